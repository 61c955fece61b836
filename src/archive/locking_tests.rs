use super::*;
use crate::archive::packages;
use crate::archive::resolve::tests::packages_file;
use crate::archive::testing::{Signer, plan, release_text};
use crate::progress::Mode;
use fs_err as fs;
use std::path::{Path, PathBuf};

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86400;
const ARCHIVES: [(&str, &str); 3] =
    [("debian", "trixie"), ("debian", "trixie-updates"), ("debian-security", "trixie-security")];

/// A mirror in a directory, signed with a key of its own.
struct Bench {
    dir: tempfile::TempDir,
    signer: Signer,
    store: Store,
    plan: Plan,
}

impl Bench {
    fn new(install: &[&str], lines: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("cache")).unwrap();
        let signer = Signer::new(NOW - 99 * DAY);
        let mut plan = plan(install, &[]);
        plan.distribution.keyring = Some(signer.armoured());
        let bench = Self { dir, signer, store, plan };
        bench.publish("trixie", lines, NOW - 9 * DAY);
        bench.publish("trixie-updates", "", NOW - 2 * DAY);
        bench.publish("trixie-security", "", NOW - DAY);
        bench
    }

    fn archive(&self, suite: &str) -> PathBuf {
        let archive = ARCHIVES.iter().find(|(_, name)| *name == suite).unwrap().0;
        self.dir.path().join("mirror").join(archive)
    }

    fn publish(&self, suite: &str, lines: &str, date: i64) {
        self.publish_in(&self.archive(suite), suite, lines, date, &self.signer);
    }

    fn publish_in(&self, archive: &Path, suite: &str, lines: &str, date: i64, signer: &Signer) {
        let dists = archive.join("dists").join(suite);
        let binary = dists.join("main/binary-amd64");
        let mut text = String::new();
        for line in packages_file(lines).lines() {
            // Every package's file holds its name, so that it can be downloaded and checked.
            if let Some(path) = line.strip_prefix("Filename: ") {
                let file = archive.join(path);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, path).unwrap();
                let hash = hex::encode(Sha256::digest(path));
                text.push_str(&format!("{line}\nSize: {}\nSHA256: {hash}\n", path.len()));
            } else if !line.starts_with("Size:") && !line.starts_with("SHA256:") {
                text.push_str(&format!("{line}\n"));
            }
        }
        let hash = hex::encode(Sha256::digest(&text));
        fs::create_dir_all(binary.join("by-hash/SHA256")).unwrap();
        fs::write(binary.join("by-hash/SHA256").join(hash), &text).unwrap();
        let release = release_text(
            suite,
            date,
            Some(date + 7 * DAY + 99),
            &[("main/binary-amd64/Packages", text.as_bytes())],
        );
        let release = if suite == "trixie" { without_valid_until(&release) } else { release };
        fs::write(dists.join("InRelease"), signer.sign(&release, date)).unwrap();
    }

    fn sources(&self) -> Sources<'_> {
        let base = |archive: &str| format!("file://{}/mirror/{archive}", self.dir.path().display());
        let bases = ["debian", "debian-security"].map(|name| (name.to_string(), base(name)));
        Sources {
            store: &self.store,
            distribution: &crate::archive::distribution::DEBIAN,
            mirrors: Mirrors::exactly(bases, "the test").beside(repository::bases(&self.plan)),
            now: NOW,
            offline: false,
            jobs: 2,
        }
    }

    /// A repository with these packages, of which the recipe names some, signed by its own key.
    fn with_repository(&mut self, packages: &[&str], lines: &str) -> Signer {
        let signer = Signer::new(NOW - 99 * DAY);
        let dir = self.dir.path().join("extra");
        self.publish_in(&dir, "extra-suite", lines, NOW - DAY, &signer);
        self.plan.repositories = vec![Repository {
            name: "extra".into(),
            url: "https://repo.example.org/debian".into(),
            mirror: Some(format!("file://{}", dir.display())),
            suite: "extra-suite".into(),
            components: ["main".to_string()].into(),
            keyring: signer.armoured(),
            fingerprints: [signer.fingerprint()].into(),
            key_files: vec!["keys/extra.asc".into()],
            packages: packages.iter().map(ToString::to_string).collect(),
            origin: crate::recipe::plan::Origin::Recipe("web.toml".into()),
        }];
        signer
    }

    fn lock(&self, prior: Option<&Lock>, update: &Update) -> Result<Lock> {
        lock(&self.plan, &["tool"], prior, update, &self.sources(), &quiet())
    }
}

fn without_valid_until(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("Valid-Until")).map(|line| format!("{line}\n")).collect()
}

fn quiet() -> Progress {
    Progress::new(Mode::Silent)
}

fn versions(packages: &[LockedPackage]) -> String {
    let all: Vec<String> =
        packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
    all.join(", ")
}

const LINES: &str = "base 1 ; Essential: yes
                     web 1 ; Depends: lib
                     lib 1
                     tool 1 ; Depends: lib";

#[test]
fn a_lock_pins_image_and_tools() {
    let bench = Bench::new(&["web"], LINES);
    let lock = bench.lock(None, &Update::Keep).unwrap();
    assert_eq!(versions(&lock.packages), "base 1, lib 1, web 1");
    assert_eq!(versions(&lock.tools), "lib 1, tool 1");
    assert_eq!(lock.source_date_epoch, NOW - DAY);
    assert_eq!(lock.indexes.len(), 3);
    assert_eq!(lock.indexes[2].archive, "debian-security");
    assert_eq!(lock.indexes[2].signed_by, bench.signer.fingerprint());
    assert_eq!(lock.packages[2].because, ["recipe web.toml"]);
    assert_eq!(lock.tools[1].because, ["tool"]);
    assert_eq!(bench.lock(None, &Update::Keep).unwrap(), lock);
}

#[test]
fn updates_come_from_any_suite_and_only_when_asked_for() {
    let bench = Bench::new(&["web"], LINES);
    let first = bench.lock(None, &Update::Keep).unwrap();
    bench.publish("trixie-security", "lib 2\nweb 2 ; Depends: lib", NOW);
    let kept = bench.lock(Some(&first), &Update::Keep).unwrap();
    assert_eq!(versions(&kept.packages), "base 1, lib 1, web 1");
    let only = bench.lock(Some(&first), &Update::Only(vec!["lib".into()])).unwrap();
    assert_eq!(versions(&only.packages), "base 1, lib 2, web 1");
    assert_eq!(versions(&only.tools), "lib 2, tool 1");
    assert_eq!(only.packages[1].archive, "debian-security");
    let all = bench.lock(Some(&first), &Update::All).unwrap();
    assert_eq!(versions(&all.packages), "base 1, lib 2, web 2");
    let error = bench.lock(Some(&first), &Update::Only(vec!["lbi".into()])).unwrap_err();
    assert_eq!((error.exit().code(), error.advice()), (2, Some("did you mean lib?")));
}

#[test]
fn what_fits_only_the_old_version_follows_an_update() {
    let lines = "base 1 ; Essential: yes
                 app 1 ; Depends: lib (= 1)
                 web 1 ; Depends: lib
                 lib 1
                 tool 1 ; Depends: lib (= 1)";
    let bench = Bench::new(&["app", "web"], lines);
    let first = bench.lock(None, &Update::Keep).unwrap();
    let newer = "app 2 ; Depends: lib (= 2)\nweb 2 ; Depends: lib\nlib 2\ntool 2 ; Depends: lib (= 2)";
    bench.publish("trixie-security", newer, NOW);
    assert_eq!(bench.lock(Some(&first), &Update::Keep).unwrap().packages, first.packages);
    let only = bench.lock(Some(&first), &Update::Only(vec!["lib".into()])).unwrap();
    assert_eq!(versions(&only.packages), "app 2, base 1, lib 2, web 1");
    assert_eq!(versions(&only.tools), "lib 2, tool 2");
}

#[test]
fn an_older_index_than_the_locks_is_refused() {
    let bench = Bench::new(&["web"], LINES);
    let first = bench.lock(None, &Update::Keep).unwrap();
    bench.publish("trixie-security", "", NOW - 3 * DAY);
    let error = bench.lock(Some(&first), &Update::All).unwrap_err().to_string();
    assert!(error.contains("trixie-security is refused") && error.contains("rolled back"), "{error}");
}

#[test]
fn an_expired_security_index_is_refused_online_and_offline() {
    let bench = Bench::new(&["web"], LINES);
    bench.lock(None, &Update::Keep).unwrap();
    for offline in [false, true] {
        let sources = Sources { now: NOW + 30 * DAY, offline, ..bench.sources() };
        let error = lock(&bench.plan, &[], None, &Update::Keep, &sources, &quiet()).unwrap_err().to_string();
        assert!(error.contains("has expired"), "{error}");
    }
}

#[test]
fn a_tampered_package_list_is_refused() {
    let bench = Bench::new(&["web"], LINES);
    let dir = bench.archive("trixie").join("dists/trixie/main/binary-amd64/by-hash/SHA256");
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap().replace("Package: lib", "Package: lob");
        fs::write(path, text).unwrap();
    }
    let error = bench.lock(None, &Update::Keep).unwrap_err().to_string();
    assert!(
        error.contains("the package list of trixie (main, amd64) is not what the signed index says"),
        "{error}"
    );
}

#[test]
fn it_works_offline_once_it_has_worked_online() {
    let bench = Bench::new(&["web"], LINES);
    let offline = Sources { offline: true, ..bench.sources() };
    let error = lock(&bench.plan, &["tool"], None, &Update::Keep, &offline, &quiet()).unwrap_err();
    assert!(error.what().starts_with("the cache has no index of trixie"), "{error}");
    let online = bench.lock(None, &Update::Keep).unwrap();
    fs::remove_dir_all(bench.dir.path().join("mirror/debian/dists")).unwrap();
    let again = lock(&bench.plan, &["tool"], None, &Update::Keep, &offline, &quiet()).unwrap();
    assert_eq!(again, online);
    let error = packages::fetch(&online, &online.packages, &offline, &quiet(), &|_| {}).unwrap_err();
    assert!(error.what().contains("the cache lacks") && error.what().contains("web 1 amd64"), "{error}");
    let files = packages::fetch(&online, &online.packages, &bench.sources(), &quiet(), &|_| {}).unwrap();
    assert_eq!(fs::read_to_string(&files[2]).unwrap(), online.packages[2].path);
    assert_eq!(packages::fetch(&online, &online.packages, &offline, &quiet(), &|_| {}).unwrap(), files);
}

#[test]
fn the_snapshot_service_is_asked_for_what_the_mirror_dropped() {
    let bench = Bench::new(&["web"], LINES);
    let locked = bench.lock(None, &Update::Keep).unwrap();
    let want = packages::want(&locked, &locked.packages[0], &bench.sources()).unwrap();
    assert!(want.urls[0].starts_with("file://"));
    let path = &locked.packages[0].path;
    // Six hours after the newest index of that archive.
    let timestamp = date::compact(NOW - 2 * DAY + 6 * 3600).unwrap();
    assert!(want.urls[1].ends_with(&format!("/archive/debian/{timestamp}/{path}")), "{}", want.urls[1]);
}

#[test]
fn budgets_and_unknown_names_stop_a_lock() {
    let mut bench = Bench::new(&["web"], LINES);
    bench.plan.packages.max_count = Some(2);
    let error = bench.lock(None, &Update::Keep).unwrap_err();
    assert!(error.what().contains("3 packages, more than the 2"), "{error}");
    let error = lock(&plan(&[], &[]), &["tol"], None, &Update::Keep, &bench.sources(), &quiet()).unwrap_err();
    assert!(error.to_string().contains("no key that goldcast trusts"), "{error}");
    let error =
        lock(&bench.plan, &["tol"], None, &Update::Keep, &bench.sources(), &quiet()).unwrap_err().to_string();
    assert!(
        error.contains("goldcast's own tools cannot be had") && error.contains("nearest: tool"),
        "{error}"
    );
}

#[test]
fn a_prior_lock_of_another_release_is_not_kept() {
    let bench = Bench::new(&["web"], LINES);
    let mut other = bench.lock(None, &Update::Keep).unwrap();
    other.asks[0] = "distribution debian bookworm amd64".into();
    other.indexes[0].date = date::show(NOW);
    bench.publish("trixie-security", "lib 2", NOW);
    assert_eq!(versions(&bench.lock(Some(&other), &Update::Keep).unwrap().packages), "base 1, lib 2, web 1");
}

#[test]
fn a_repository_gives_what_is_named_and_nothing_else() {
    let mut bench = Bench::new(&["web", "sql"], LINES);
    // `lib` is in it as well, in a higher version, and `sql` would be content with it; nobody named it.
    let lines = "sql-17 3 ; Depends: lib ; Provides: sql\nlib 9\nweb 9 ; Depends: lib\ntool 9\nbase 9 ; Essential: yes";
    bench.with_repository(&["sql-*"], lines);
    let lock = bench.lock(None, &Update::Keep).unwrap();
    assert_eq!(versions(&lock.packages), "base 1, lib 1, sql-17 3, web 1");
    assert_eq!(versions(&lock.tools), "lib 1, tool 1");
    let sql = lock.packages.iter().find(|package| package.name == "sql-17").unwrap();
    assert_eq!((sql.archive.as_str(), lock.indexes[3].suite.as_str()), ("extra", "extra-suite"));
    assert!(
        lock.asks.iter().any(|ask| ask.starts_with("repository extra (https://repo.example.org/debian "))
    );
    // What only the repository has, and nobody named there, does not exist.
    bench.plan = Plan { repositories: bench.plan.repositories, ..plan(&["stranger"], &[]) };
    bench.plan.distribution.keyring = Some(bench.signer.armoured());
    let extra = bench.dir.path().join("extra");
    let signer = Signer::new(NOW - 99 * DAY);
    bench.plan.repositories[0].keyring = signer.armoured();
    bench.publish_in(&extra, "extra-suite", "sql-17 3\nstranger 1", NOW - DAY, &signer);
    let error = bench.lock(None, &Update::Keep).unwrap_err();
    assert!(error.to_string().contains("there is no such package"), "{error}");
}

#[test]
fn of_a_named_package_the_higher_version_counts_and_never_for_tools() {
    let mut bench = Bench::new(&["web"], LINES);
    bench.with_repository(&["lib", "web"], "lib 2\nweb 0.5");
    let lock = bench.lock(None, &Update::Keep).unwrap();
    assert_eq!(versions(&lock.packages), "base 1, lib 2, web 1");
    assert_eq!(versions(&lock.tools), "lib 1, tool 1");
    let archives: Vec<&str> = lock.packages.iter().map(|package| package.archive.as_str()).collect();
    assert_eq!(archives, ["debian", "extra", "debian"]);
    assert_eq!(bench.lock(Some(&lock), &Update::All).unwrap(), lock);
}

#[test]
fn a_repositorys_package_that_is_passed_over_is_told() {
    let mut bench = Bench::new(&["web"], LINES);
    bench.with_repository(&["lib"], "lib 2");
    fn list(text: &str) -> Vec<index::Stanza<'_>> {
        index::parse(text, "a list").whole().unwrap()
    }
    let told = |extra: &str, kept: &[(&str, &str)]| {
        let (own, extra) = (packages_file(LINES), packages_file(extra));
        let universe = Universe::new("amd64", [("debian", list(&own)), ("extra", list(&extra))]).unwrap();
        let request = Request {
            roots: [("web".to_string(), vec!["recipe web.toml".to_string()])].into(),
            prefer: kept.iter().map(|(name, version)| (name.to_string(), version.to_string())).collect(),
            ..Request::default()
        };
        let packages = pinned(&universe, &request, &Update::Keep, &quiet()).unwrap();
        let told = repository::passed_over(&bench.plan, &universe, &request, &packages).unwrap();
        (versions(&packages), told)
    };
    assert_eq!(told("lib 2", &[]), ("lib 2, web 1".to_string(), Vec::new()));
    assert_eq!(told("lib 0.9", &[]), ("lib 1, web 1".to_string(), Vec::new()));
    let (chosen, warnings) = told("lib 2 ; Depends: helper (= 2)", &[]);
    assert_eq!(chosen, "lib 1, web 1");
    assert_eq!(
        warnings,
        [
            "lib 1 comes from debian though the repository extra has 2: the newer one cannot be installed: recipe \
          web.toml asks for web; web 1 needs lib; lib 2 needs helper (= 2); no package is or provides helper (what \
          it needs from there has to be in the repository's `packages` too)"
        ]
    );
    let (chosen, warnings) = told("lib 2", &[("lib", "1")]);
    assert_eq!(chosen, "lib 1, web 1");
    let wanted = "lib 1 comes from debian though the repository extra has 2: `goldcast lock RECIPE --update lib` takes \
                  the newer one";
    assert_eq!(warnings, [wanted]);
}

#[test]
fn a_repositorys_package_comes_from_its_address_alone() {
    let mut bench = Bench::new(&["web"], LINES);
    bench.with_repository(&["lib"], "lib 2");
    let lock = bench.lock(None, &Update::Keep).unwrap();
    let want = packages::want(&lock, &lock.packages[1], &bench.sources()).unwrap();
    let base = bench.plan.repositories[0].mirror.clone().unwrap();
    assert_eq!(want.urls, [format!("{base}/{}", lock.packages[1].path)]);
    let files = packages::fetch(&lock, &lock.packages, &bench.sources(), &quiet(), &|_| {}).unwrap();
    assert_eq!(fs::read_to_string(&files[1]).unwrap(), lock.packages[1].path);
    let gone = Bench { store: Store::open(bench.dir.path().join("other")).unwrap(), ..bench };
    fs::remove_dir_all(gone.dir.path().join("extra/pool")).unwrap();
    let error = packages::fetch(&lock, &lock.packages[1..2], &gone.sources(), &quiet(), &|_| {}).unwrap_err();
    let advice = error.advice().unwrap_or_default();
    assert!(
        advice.contains("the repository extra may have dropped") && advice.contains("--update lib"),
        "{advice}"
    );
}

#[test]
fn a_repository_is_believed_by_its_own_keys_alone() {
    let mut bench = Bench::new(&["web"], LINES);
    let own = bench.with_repository(&["lib"], "lib 2");
    let extra = bench.dir.path().join("extra");
    // The distribution's key is not its own, and its own not the distribution's.
    bench.publish_in(&extra, "extra-suite", "lib 2", NOW - DAY, &bench.signer);
    let error = bench.lock(None, &Update::Keep).unwrap_err();
    assert_eq!(error.exit().code(), 1);
    let (text, advice) = (error.to_string(), error.advice().unwrap_or_default().to_owned());
    assert!(
        text.starts_with("nothing can be taken from the repository extra (https://repo.example.org/debian)")
    );
    assert!(text.contains(&bench.signer.signing_key()), "{text}");
    assert!(advice.contains("keys/extra.asc") && advice.contains(&own.fingerprint()), "{advice}");
    bench.publish_in(&extra, "extra-suite", "lib 2", NOW - DAY, &own);
    bench.lock(None, &Update::Keep).unwrap();
    bench.publish_in(&bench.archive("trixie"), "trixie", LINES, NOW - 9 * DAY, &own);
    let error = bench.lock(None, &Update::Keep).unwrap_err().to_string();
    assert!(error.starts_with("the index of trixie is refused: no key that goldcast trusts"), "{error}");
}

#[test]
fn a_repositorys_index_may_not_be_old_and_its_names_not_misspelt() {
    let mut bench = Bench::new(&["web"], LINES);
    let own = bench.with_repository(&["lib"], "lib 2");
    let first = bench.lock(None, &Update::Keep).unwrap();
    let extra = bench.dir.path().join("extra");
    bench.publish_in(&extra, "extra-suite", "lib 2", NOW - 3 * DAY, &own);
    let error = bench.lock(Some(&first), &Update::All).unwrap_err();
    assert!(error.to_string().contains("rolled back"), "{error}");
    assert!(error.advice().unwrap_or_default().contains("`--mirror` is not for it"), "{error:?}");
    bench.publish_in(&extra, "extra-suite", "lib 2", NOW - 30 * DAY, &own);
    let error = bench.lock(None, &Update::Keep).unwrap_err().to_string();
    assert!(error.contains("the repository extra") && error.contains("has expired"), "{error}");
    bench.publish_in(&extra, "extra-suite", "lib 2", NOW, &own);
    bench.plan.repositories[0].packages = ["lbi".to_string()].into();
    let error = bench.lock(None, &Update::Keep).unwrap_err();
    assert_eq!((error.exit().code(), error.advice()), (2, Some("did you mean lib?")));
    assert!(error.what().contains("the repository extra has no package lbi"), "{error}");
}

#[test]
fn odd_entries_of_a_repository_matter_where_they_are_named() {
    let mut bench = Bench::new(&["web"], LINES);
    let lines = "lib 2\nlib v3\nlib-odd v1\nodd v1";
    for packages in [&["lib"][..], &["lib*"]] {
        bench.with_repository(packages, lines);
        assert_eq!(versions(&bench.lock(None, &Update::Keep).unwrap().packages), "base 1, lib 2, web 1");
    }
    bench.with_repository(&["lib", "odd"], lines);
    let error = bench.lock(None, &Update::Keep).unwrap_err();
    let wanted = "the package list of extra-suite (main, amd64) of the repository extra has an entry that cannot be used \
                  (odd v1)";
    assert_eq!((error.exit().code(), error.what()), (1, wanted));
    assert!(error.advice().unwrap_or_default().contains("web.toml names it"), "{error:?}");
    // In the distribution's own lists there is none.
    bench.publish("trixie-updates", "odd v1", NOW - 2 * DAY);
    let error = bench.lock(None, &Update::Keep).unwrap_err().to_string();
    assert!(error.starts_with("the package list of trixie-updates (main, amd64) has an entry"), "{error}");
}

#[test]
fn a_repository_that_has_moved_is_not_held_to_the_former_ones_date() {
    let mut bench = Bench::new(&["web"], LINES);
    let own = bench.with_repository(&["lib"], "lib 2");
    let first = bench.lock(None, &Update::Keep).unwrap();
    bench.publish_in(&bench.dir.path().join("extra"), "extra-suite", "lib 2", NOW - 3 * DAY, &own);
    for update in [Update::Keep, Update::All] {
        let error = bench.lock(Some(&first), &update).unwrap_err();
        assert!(error.to_string().contains("rolled back"), "{error}");
    }
    bench.plan.repositories[0].url = "https://other.example.org/debian".into();
    let moved = bench.lock(Some(&first), &Update::Keep).unwrap();
    assert_eq!(versions(&moved.packages), "base 1, lib 2, web 1");
    // From now on that one's date counts.
    bench.publish_in(&bench.dir.path().join("extra"), "extra-suite", "lib 2", NOW - 4 * DAY, &own);
    assert!(bench.lock(Some(&moved), &Update::Keep).unwrap_err().to_string().contains("rolled back"));
}

#[test]
fn a_repositorys_suite_may_be_a_directory_of_the_one_its_index_names() {
    let mut bench = Bench::new(&["web"], LINES);
    let own = bench.with_repository(&["lib"], "lib 2");
    let dists = bench.dir.path().join("extra/dists");
    fs::create_dir_all(dists.join("stable/app")).unwrap();
    fs::rename(dists.join("extra-suite"), dists.join("stable/app/7.0")).unwrap();
    let index = dists.join("stable/app/7.0/InRelease");
    bench.plan.repositories[0].suite = "stable/app/7.0".into();
    let list = fs::read_dir(index.with_file_name("main").join("binary-amd64/by-hash/SHA256"));
    let list = fs::read(list.unwrap().next().unwrap().unwrap().path()).unwrap();
    let sign = |suite: &str| {
        let text = release_text(suite, NOW - DAY, None, &[("main/binary-amd64/Packages", list.as_slice())]);
        fs::write(&index, own.sign(&text, NOW - DAY)).unwrap();
    };
    for suite in ["stable/app/7.0", "stable/app"] {
        sign(suite);
        assert_eq!(versions(&bench.lock(None, &Update::Keep).unwrap().packages), "base 1, lib 2, web 1");
    }
    for suite in ["stable", "stable/app/6.0", "7.0"] {
        sign(suite);
        let error = bench.lock(None, &Update::Keep).unwrap_err().to_string();
        assert!(error.contains(&format!("but it is the index of {suite}")), "{error}");
    }
}

#[test]
fn a_repository_works_offline_once_it_has_worked_online() {
    let mut bench = Bench::new(&["web"], LINES);
    bench.with_repository(&["lib"], "lib 2");
    let online = bench.lock(None, &Update::Keep).unwrap();
    fs::remove_dir_all(bench.dir.path().join("extra")).unwrap();
    let offline = Sources { offline: true, ..bench.sources() };
    assert_eq!(lock(&bench.plan, &["tool"], None, &Update::Keep, &offline, &quiet()).unwrap(), online);
    // Another repository of the same name is another one.
    bench.plan.repositories[0].url = "https://other.example.org/debian".into();
    let offline = Sources { offline: true, ..bench.sources() };
    let error = lock(&bench.plan, &["tool"], None, &Update::Keep, &offline, &quiet()).unwrap_err();
    assert!(error.to_string().contains("the cache has no index of extra-suite"), "{error}");
}

#[test]
fn tampering_with_a_repository_is_told_by_its_name() {
    let mut bench = Bench::new(&["web"], LINES);
    bench.with_repository(&["lib"], "lib 2");
    let lists = bench.dir.path().join("extra/dists/extra-suite/main/binary-amd64/by-hash/SHA256");
    let list = fs::read_dir(lists).unwrap().next().unwrap().unwrap().path();
    let good = fs::read_to_string(&list).unwrap();
    fs::write(&list, good.replace("Version: 2", "Version: 3")).unwrap();
    let error = bench.lock(None, &Update::Keep).unwrap_err();
    let wanted = "the package list of extra-suite (main, amd64) of the repository extra is not what the signed index says";
    assert!(error.to_string().contains(wanted), "{error}");
    assert!(error.advice().unwrap_or_default().contains("`--mirror` is not for it"), "{error:?}");
    fs::write(&list, good).unwrap();
    let lock = bench.lock(None, &Update::Keep).unwrap();
    let deb = bench.dir.path().join("extra").join(&lock.packages[1].path);
    let text = fs::read_to_string(&deb).unwrap().to_uppercase();
    fs::write(&deb, text).unwrap();
    let error = packages::fetch(&lock, &lock.packages, &bench.sources(), &quiet(), &|_| {}).unwrap_err();
    assert!(error.what().starts_with("lib 2 amd64 is not what"), "{error}");
    assert!(error.advice().unwrap_or_default().contains("[[repository]] extra"), "{error:?}");
}
