//! Archives that are not what they should be, and recipes that ask of a good one what it cannot give: each is
//! refused by name, leaves nothing behind, and the same command works once the cause is gone.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::archive::{Archive, DAY, Package, Signer, now};
use common::bad_server::{Habit, Server};
use common::world::World;
use common::{HEAD, Ran, USER};

impl World {
    /// `goldcast lock` is refused with this and leaves nothing.
    #[track_caller]
    fn refused(&self, wanted: &str) -> Ran {
        let ran = self.lock().code(1).says(wanted);
        self.bench.assert_nothing_written();
        ran
    }

    /// `goldcast lock` works, and what it wrote is the lock and nothing else.
    #[track_caller]
    fn works(&self) {
        self.lock().works();
        let written: Vec<_> = self.bench.written().into_iter().collect();
        assert_eq!(written, [std::path::Path::new("tiny.lock")]);
        self.bench.assert_no_leftovers();
        let lock = self.bench.read("tiny.lock");
        for name in ["base-files", "libc6", "greeter", "libgreet"] {
            assert!(lock.contains(&format!("name = \"{name}\"")), "{name} is not in\n{lock}");
        }
    }
}

#[test]
fn a_good_archive_is_accepted() {
    let world = World::new();
    world.works();
    let lock = world.bench.read("tiny.lock");
    assert!(!lock.contains("telnet-ssl"), "{lock}");
    world.lock().works().says("up to date");
    assert_eq!(world.bench.read("tiny.lock"), lock);
    // All that is asked for is in the lock: what a recipe's mirror says later does not matter.
    world.bench.run(["lock", "--locked", "--offline", "tiny.toml"]).works();
    let why = world.bench.run(["why", "libgreet", "tiny.toml"]).works();
    assert!(why.stdout.contains("recipe tiny.toml asks for greeter"), "{}", why.stdout);
}

#[test]
fn an_unsigned_index() {
    let world = World::new();
    let text = world.archive.release("trixie");
    fs_err::write(world.archive.inrelease("trixie"), text).unwrap();
    world.refused("the index of trixie is refused").says("it is not signed");
    fs_err::write(world.archive.inrelease("trixie"), "<html>Please log in</html>").unwrap();
    world.refused("it is not signed").says("login page");
    world.archive.publish();
    world.works();
}

#[test]
fn a_changed_index() {
    let world = World::new();
    let path = world.archive.inrelease("trixie-security");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, text.replace("Origin: Test", "Origin: Best")).unwrap();
    world.refused("the index of trixie-security is refused").says("changed after it was signed");
    fs_err::write(&path, format!("Valid-Until: never\n{text}")).unwrap();
    world.refused("text before the signed part");
    fs_err::write(&path, &text[..text.len() - 30]).unwrap();
    world.refused("cut short");
    fs_err::write(&path, text).unwrap();
    world.works();
}

#[test]
fn an_expired_index() {
    let mut world = World::new();
    (world.archive.date, world.archive.valid_until) = (now() - 10 * DAY, now() - 3 * DAY);
    world.archive.publish();
    world.refused("it has expired 3 days ago").says("clock");
    (world.archive.date, world.archive.valid_until) = (now(), now() + DAY);
    world.archive.publish();
    world.works();
}

#[test]
fn an_index_of_the_future() {
    let mut world = World::new();
    world.archive.date = now() + 2 * DAY;
    world.archive.publish();
    world.refused("in the future").says("set this machine's clock");
    world.archive.date = now();
    world.archive.publish();
    world.works();
}

#[test]
fn an_index_of_an_unknown_signer() {
    let mut world = World::new();
    let ours = std::mem::replace(&mut world.archive.signer, Signer::new());
    world.archive.publish();
    world.refused("no key that goldcast trusts has signed it").says("distribution.keyring");
    let strange = std::mem::replace(&mut world.archive.signer, ours);
    world.archive.publish();
    world.works();
    // Another key in the recipe is another request: the lock is stale, and the archive's key is now the stranger.
    world.bench.write("archive.asc", strange.armoured());
    world.lock().code(1).says("no key that goldcast trusts");
    world.bench.run(["lock", "--locked", "tiny.toml"]).code(2).says("the keyring is now");
}

#[test]
fn a_keyring_that_is_none_and_one_that_is_missing() {
    let mut world = World::new();
    world.bench.write("archive.asc", "no key");
    let ran = world.lock().code(2).says("keyring");
    assert!(ran.stderr.contains("gpg --export"), "{}", ran.stderr);
    world.bench.assert_nothing_written();
    fs_err::remove_file(world.bench.path("archive.asc")).unwrap();
    world.lock().code(2).says("archive.asc").says("tiny.toml:6:");
    world.bench.assert_nothing_written();
    world.trust();
    world.works();
}

#[test]
fn an_index_of_another_suite() {
    let world = World::new();
    let other = fs_err::read(world.archive.inrelease("trixie")).unwrap();
    fs_err::write(world.archive.inrelease("trixie-updates"), other).unwrap();
    world.refused("trixie-updates was asked for, but it is the index of trixie");
    world.archive.publish();
    world.works();
}

#[test]
fn an_index_older_than_the_lock_knows() {
    let mut world = World::new();
    world.works();
    let before = world.bench.read("tiny.lock");
    world.archive.date -= 3 * DAY;
    world.archive.publish();
    world.bench.run(["lock", "--update", "--", "tiny.toml"]).code(1).says("it is rolled back").says("3 days");
    assert_eq!(world.bench.read("tiny.lock"), before);
    world.archive.date += 3 * DAY + 60;
    world.archive.publish();
    world.bench.run(["lock", "--update", "--", "tiny.toml"]).works();
}

#[test]
fn a_package_list_that_the_index_does_not_know() {
    let world = World::new();
    let list = world.archive.list("trixie");
    let good = fs_err::read(&list).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs_err::remove_dir_all(list.with_file_name("by-hash")).unwrap();
    fs_err::write(&list, &bad).unwrap();
    world.refused("the package list of trixie").says("is not what the signed index says");
    fs_err::write(&list, &good[..good.len() / 2]).unwrap();
    world.refused("the package list of trixie");
    fs_err::remove_file(&list).unwrap();
    world.refused("the package list of trixie").says("No such file");
    fs_err::write(&list, good).unwrap();
    world.works();
}

#[test]
fn an_impossible_dependency() {
    let mut world = World::new();
    world.archive.package("libgreet").version = "0.9-1".into();
    world.archive.publish();
    let ran = world.refused("the packages asked for cannot be installed together");
    let chain = ran.says("recipe tiny.toml asks for greeter").says("greeter 2.0-1 needs libgreet (>= 1.0)");
    chain.says("of libgreet there is only 0.9-1");
    world.archive.package("libgreet").version = "1.2-3".into();
    world.archive.publish();
    world.works();
}

#[test]
fn packages_that_exclude_each_other() {
    let mut world = World::new();
    world.archive.packages.push(Package::new("scowler", "1", "Conflicts: libgreet"));
    world.archive.publish();
    world.recipe("install = [\"greeter\", \"scowler\"]");
    world
        .refused("cannot be installed together")
        .says("recipe tiny.toml asks for scowler")
        .says("conflicts with libgreet")
        .says("recipe tiny.toml asks for greeter");
    world.recipe("install = [\"greeter\"]");
    world.works();
}

#[test]
fn a_denied_package_that_is_pulled_in() {
    let mut world = World::new();
    world.recipe("install = [\"greeter\"]\ndeny = [\"libgreet\"]");
    world
        .refused("the recipe denies a package that it cannot do without")
        .says("recipe tiny.toml asks for greeter")
        .says("greeter 2.0-1 needs libgreet (>= 1.0)")
        .says("libgreet is denied by recipe tiny.toml");
    // Denying what nobody wants changes nothing.
    world.recipe("install = [\"greeter\"]\ndeny = [\"telnet-ssl\"]");
    world.works();
}

#[test]
fn a_misspelt_package() {
    let mut world = World::new();
    world.recipe("install = [\"greter\"]");
    let ran = world.lock().code(2).says("recipe tiny.toml asks for greter, and there is no such package");
    ran.says("nearest: greeter");
    world.bench.assert_nothing_written();
    world.recipe("install = [\"greeter\"]");
    world.works();
}

#[test]
fn budgets_that_are_exceeded() {
    let mut world = World::new();
    world.recipe("install = [\"greeter\"]\nmax-count = 3");
    world.refused("there are 4 packages, more than the 3 of packages.max-count");
    world.recipe("install = [\"greeter\"]\nmax-installed = \"3 MiB\"");
    world.refused("take 4.0 MiB installed, more than the 3.0 MiB of packages.max-installed").says("greeter");
    world.recipe("install = [\"greeter\"]\nmax-count = 4\nmax-installed = \"4 MiB\"");
    world.works();
    // A budget that shrinks below what is locked makes the lock stale.
    world.recipe("install = [\"greeter\"]\nmax-count = 3");
    world.bench.run(["lock", "--locked", "tiny.toml"]).code(2).says("more than the 3 of packages.max-count");
}

#[test]
fn offline_with_an_empty_cache_and_then_with_a_full_one() {
    let world = World::new();
    let offline = || world.bench.run(["lock", "--offline", "tiny.toml"]);
    offline().code(1).says("the cache has no index of trixie").says("--offline allows no download");
    world.bench.assert_nothing_written();
    world.works();
    let lock = world.bench.read("tiny.lock");
    fs_err::remove_file(world.bench.path("tiny.lock")).unwrap();
    fs_err::remove_dir_all(world.archive.dir()).unwrap();
    offline().works();
    assert_eq!(world.bench.read("tiny.lock"), lock);
    // The packages themselves were never fetched.
    let tool = world.bench.run(["tool", "--offline", "tiny.toml", "--", "true"]).code(1);
    tool.says("the cache lacks").says("--offline");
}

#[test]
fn locked_without_a_lock_with_a_stale_one_and_with_a_good_one() {
    let mut world = World::new();
    for command in ["lock", "build"] {
        let ran = world.bench.run([command, "--locked", "tiny.toml"]);
        ran.code(2).says("there is no lock yet").says("goldcast lock");
        world.bench.assert_nothing_written();
    }
    world.works();
    let before = world.bench.read("tiny.lock");
    world.recipe("install = [\"greeter\", \"telnet-ssl\"]");
    for command in ["lock", "build"] {
        let ran = world.bench.run([command, "--locked", "tiny.toml"]);
        ran.code(2).says("it now asks for telnet-ssl");
        assert_eq!(world.bench.read("tiny.lock"), before);
        assert!(!world.bench.path("out").exists());
    }
    world.lock().works().says("the lock is renewed, because it now asks for telnet-ssl");
    world.bench.run(["lock", "--locked", "tiny.toml"]).works();
}

#[test]
fn a_damaged_lock() {
    let world = World::new();
    world.works();
    let good = world.bench.read("tiny.lock");
    let path = world.bench.path("tiny.lock");
    let sha256 = good.lines().find_map(|line| line.strip_prefix("sha256 = ")).unwrap().to_owned();
    for (bad, wanted) in [
        (good[..good.len() / 2].to_owned(), "TOML parse error"),
        (String::new(), "it is no lock"),
        (good.replace("version = 1\n", "version = 99\n"), "format 99"),
        (good.replace("pool/main/greeter", "../../etc/greeter"), "greeter"),
        (good.replace(&sha256, "\"abc\""), "damaged"),
    ] {
        fs_err::write(&path, &bad).unwrap();
        for command in ["lock", "build"] {
            let ran = world.bench.run([command, "tiny.toml"]).code(1);
            ran.says("tiny.lock cannot be used").says(wanted).says("restore it from version control");
            assert_eq!(world.bench.read("tiny.lock"), bad, "the user's file was changed");
            assert!(!world.bench.path("out").exists());
        }
    }
    fs_err::remove_file(&path).unwrap();
    world.works();
    assert_eq!(world.bench.read("tiny.lock"), good);
}

#[test]
fn updates_take_what_is_named_and_nothing_else() {
    let mut world = World::new();
    world.works();
    for name in ["greeter", "libgreet"] {
        let mut newer = world.archive.package(name).clone();
        (newer.version, newer.suite) = ("3.0-1".into(), "trixie-security");
        world.archive.packages.push(newer);
    }
    world.archive.publish();
    world.lock().works().says("up to date");
    let ran = world.bench.run(["lock", "--update", "tiny.toml"]).code(2);
    ran.says("a recipe stands before it: `goldcast lock tiny.toml --update`");
    let ran = world.bench.run(["lock", "tiny.toml", "--update", "grreter"]).code(2);
    ran.says("no package \"grreter\"").says("did you mean greeter?");
    let ran = world.bench.run(["lock", "tiny.toml", "--update", "libgreet"]).works();
    assert_eq!(ran.stdout, "libgreet 1.2-3 -> 3.0-1\n");
    let ran = world.bench.run(["lock", "tiny.toml", "--update"]).works();
    assert_eq!(ran.stdout, "greeter 2.0-1 -> 3.0-1\n");
}

#[test]
fn an_update_moves_what_fits_only_the_old_version_and_says_what_it_cannot() {
    let mut world = World::new();
    world.archive.package("greeter").fields = "Depends: libgreet (= 1.2-3)\n".into();
    world.archive.publish();
    world.works();
    let newer = |package: &Package, version: &str, fields: &str| {
        let (version, fields) = (version.into(), fields.into());
        Package { version, fields, suite: "trixie-security", ..package.clone() }
    };
    let greeter = newer(world.archive.package("greeter"), "3.0-1", "Depends: libgreet (= 3.0-1)\n");
    let libgreet = newer(world.archive.package("libgreet"), "3.0-1", "Depends: libc6\n");
    let newest = newer(&libgreet, "4.0-1", "Depends: libc6\n");
    world.archive.packages.extend([greeter, libgreet]);
    world.archive.publish();
    let update = |world: &World| world.bench.run(["lock", "tiny.toml", "--update", "libgreet"]).works();
    assert_eq!(update(&world).stdout, "greeter 2.0-1 -> 3.0-1\nlibgreet 1.2-3 -> 3.0-1\n");
    world.archive.packages.push(newest);
    world.archive.publish();
    let ran = update(&world).says("libgreet does not get its newest version, 4.0-1: ");
    assert_eq!(ran.stdout, "");
    ran.says("greeter 3.0-1 needs libgreet (= 3.0-1)");
}

#[test]
fn a_build_tells_what_it_changes_about_the_lock() {
    let mut world = World::new();
    world.works();
    // The archive has the new version only, so what the recipe newly asks for is not all that changes.
    world.archive.package("libgreet").version = "1.3-1".into();
    world.archive.publish();
    world.recipe("install = [\"greeter\", \"telnet-ssl\"]");
    let build = world.bench.run(["build", "--no-verify", "tiny.toml"]).code(1);
    build
        .says("the lock is renewed, because it now asks for telnet-ssl")
        .says("libgreet 1.2-3 -> 1.3-1")
        .says("telnet-ssl 1.0 (new)")
        .never_says("greeter 2.0-1 ->");
    world.recipe("install = [\"greeter\"]");
    assert_eq!(world.lock().works().stdout, "telnet-ssl (gone)\n");
}

/// A second archive with a greeter of its own, and the recipe that takes these packages from it.
fn with_repository(packages: &str) -> (World, Archive, tempfile::TempDir) {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let mut extra = Archive::new(dir.path());
    for name in ["greeter", "libgreet", "libc6", "coreutils"] {
        extra.package(name).version = "9.0-1".into();
    }
    extra.packages.push(Package::new("stranger", "1.0", ""));
    extra.publish();
    world.bench.write("keys/extra.asc", extra.signer.armoured());
    let repository = format!(
        "[[repository]]\nname = \"extra\"\nurl = \"{}\"\nsuite = \"trixie\"\nkeys = [\"keys/extra.asc\"]\n\
         packages = [{packages}]\n",
        extra.address()
    );
    let text =
        format!("{HEAD}keyring = \"archive.asc\"\n[packages]\ninstall = [\"greeter\"]\n{repository}{USER}");
    world.bench.write("tiny.toml", text);
    (world, extra, dir)
}

#[test]
fn a_repository_with_a_wrong_key() {
    let (mut world, mut extra, _dir) = with_repository("\"greeter\"");
    // Not even the key that signs the distribution's own archive will do.
    let own = std::mem::replace(&mut extra.signer, Signer::new());
    extra.publish();
    world
        .refused("nothing can be taken from the repository extra")
        .says("no key that goldcast trusts has signed it")
        .says("only when a key of keys/extra.asc signs it");
    world.bench.write("archive.asc", [world.archive.signer.armoured(), extra.signer.armoured()].concat());
    world.refused("nothing can be taken from the repository extra");
    world.bench.write("keys/extra.asc", "no key");
    world.lock().code(2).says("keys/extra.asc holds no OpenPGP key").says("tiny.toml:13:");
    world.bench.assert_nothing_written();
    extra.signer = own;
    extra.publish();
    world.bench.write("keys/extra.asc", extra.signer.armoured());
    world.works();
}

#[test]
fn a_repository_gives_what_is_named_and_nothing_else() {
    let (mut world, extra, _dir) = with_repository("\"greeter\"");
    world.works();
    let lock = world.bench.read("tiny.lock");
    let of = |name: &str| {
        let from = lock.find(&format!("name = \"{name}\"")).unwrap();
        lock[from..].lines().skip(1).take(3).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("greeter"), "version = \"9.0-1\" architecture = \"amd64\" archive = \"extra\"");
    for (name, version) in [("libgreet", "1.2-3"), ("libc6", "2.41-12"), ("coreutils", "1.0")] {
        assert_eq!(
            of(name),
            format!("version = \"{version}\" architecture = \"amd64\" archive = \"debian\"")
        );
    }
    assert_eq!(lock.matches("archive = \"extra\"").count(), 2, "one index and one package\n{lock}");
    world.lock().works().says("up to date");
    // What only the repository has is not there for whom does not name it there.
    let text = world.bench.read("tiny.toml");
    world.bench.write("tiny.toml", text.replace("install = [\"greeter\"]", "install = [\"stranger\"]"));
    world.lock().code(2).says("stranger, and there is no such package");
    world.bench.write("tiny.toml", text.replace("packages = [\"greeter\"]", "packages = [\"greter\"]"));
    let ran = world.lock().code(2).says("the repository extra has no package greter");
    ran.says("did you mean greeter?");
    assert_eq!(world.bench.read("tiny.lock"), lock);
    // Without the repository the lock is stale, and its packages are the distribution's again.
    world.bench.run(["lock", "--locked", "tiny.toml"]).code(2).says("it no longer takes packages from extra");
    world.recipe("install = [\"greeter\"]");
    drop(extra);
    world.works();
    assert!(!world.bench.read("tiny.lock").contains("extra"));
}

#[test]
fn a_repositorys_package_that_cannot_be_installed_is_told() {
    let (mut world, mut extra, _dir) = with_repository("\"greeter\"");
    extra.package("greeter").fields = "Depends: libgreet (>= 9)\n".into();
    extra.publish();
    let told = "greeter 2.0-1 comes from debian though the repository extra has 9.0-1";
    let ran = world.lock().works().says(told).says("greeter 9.0-1 needs libgreet (>= 9)");
    ran.says("of libgreet there is only 1.2-3").says("in the repository's `packages` too");
    // Named as well, it can; what is locked stays until it is to be updated.
    let text = world.bench.read("tiny.toml");
    world
        .bench
        .write("tiny.toml", text.replace("[\"greeter\"]\n[[user", "[\"greeter\", \"libgreet\"]\n[[user"));
    world.lock().works().says(told).says("`goldcast lock RECIPE --update greeter` takes the newer one");
    let ran =
        world.bench.run(["lock", "tiny.toml", "--update", "greeter"]).works().never_says("comes from debian");
    assert_eq!(ran.stdout, "greeter 2.0-1 -> 9.0-1\nlibgreet 1.2-3 -> 9.0-1\n");
}

/// A run of a tool needs all packages of the tools tree, and nothing but them.
fn tool(world: &World) -> Ran {
    world.bench.run(["tool", "tiny.toml", "--", "true"])
}

#[test]
fn a_package_with_wrong_bytes() {
    let world = World::new();
    world.works();
    for (package, command) in [("dosfstools", "tool"), ("greeter", "build")] {
        let run = || match command {
            "tool" => tool(&world),
            _ => world.bench.run(["build", "--no-verify", "tiny.toml"]),
        };
        let path = world.archive.deb(package);
        let good = fs_err::read(&path).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        let longer = [&good[..], b"x"].concat();
        for (bad, wanted) in [(&flipped, "its sha256 is"), (&longer, "bytes, not")] {
            fs_err::write(&path, bad).unwrap();
            let ran = run().code(1).says(package).says("is not what the signed index says").says(wanted);
            ran.says(&format!("from file://{}", path.display()))
                .says("serves wrong bytes: try another --mirror");
            assert!(!world.bench.path("out/tiny").exists());
            world.bench.assert_no_leftovers();
        }
        fs_err::write(&path, good).unwrap();
    }
    tool(&world).works();
    // There is no dpkg in this archive, so the build ends where dpkg would run: past the download.
    let build = world.bench.run(["build", "--no-verify", "tiny.toml"]).code(1);
    build.says("starting dpkg inside the sandbox").never_says("signed index");
    assert!(!world.bench.path("out/tiny").exists());
    world.bench.assert_no_leftovers();
}

#[test]
fn an_output_directory_that_cannot_be() {
    let mut world = World::new();
    world.works();
    world.bench.write("taken", "by a file");
    let built = world.bench.run(["build", "--no-verify", "tiny.toml", "--out", "taken"]).code(1);
    built.says("making the output directory").says("taken").never_says("] download").never_says("] base");
    assert_eq!(world.bench.read("taken"), "by a file");
    world.works();
    world.bench.assert_no_leftovers();
}

#[test]
fn a_download_that_breaks_off() {
    let mut world = World::new();
    let server = Server::start(world.archive.dir());
    world.bench.mirror(server.url("/debian")).proxy(server.url(""));
    server.spoil("trixie/InRelease", Habit::Truncated(100));
    world.refused("cannot download the index of trixie").says("tried 5 times");
    server.mend();
    world.works();

    server.spoil("dosfstools_1.0_amd64.deb", Habit::Truncated(30));
    let ran = tool(&world).code(1).says("cannot download dosfstools 1.0 amd64").says("broke off after");
    ran.says("goldcast lock RECIPE --update dosfstools");
    world.bench.assert_no_leftovers();
    server.mend();
    tool(&world).works();
    // Nothing is asked for a second time.
    let asked = server.log().len();
    tool(&world).works();
    assert_eq!(server.log().len(), asked);
}

#[test]
fn a_package_that_the_mirror_dropped() {
    let mut world = World::new();
    // The proxy answers for every host: also for the service that keeps old versions.
    let elsewhere = tempfile::tempdir().unwrap();
    let server = Server::start(elsewhere.path());
    world.bench.proxy(server.url(""));
    world.works();
    let path = world.archive.deb("dosfstools");
    let deb = fs_err::read(&path).unwrap();
    fs_err::remove_file(&path).unwrap();
    let ran = tool(&world).code(1).says("cannot download dosfstools 1.0 amd64");
    ran.says("may have dropped this version").says("goldcast lock RECIPE --update dosfstools").says("404");
    world.bench.assert_no_leftovers();

    // Now the service has it.
    let asked = server.log();
    let asked = asked.iter().find(|line| line.contains("dosfstools_1.0")).unwrap();
    assert!(asked.starts_with("snapshot."), "{asked}");
    let kept = elsewhere.path().join(asked.split_once('/').unwrap().1);
    fs_err::create_dir_all(kept.parent().unwrap()).unwrap();
    fs_err::write(kept, deb).unwrap();
    tool(&world).works();
}

#[test]
fn two_runs_at_once_share_one_cache() {
    let world = World::new();
    world.works();
    let runs: Vec<_> = (0..3)
        .map(|_| {
            let mut command = world.bench.command(["tool", "tiny.toml", "--", "true"]);
            std::thread::spawn(move || Ran::of(&mut command))
        })
        .collect();
    for run in runs {
        run.join().unwrap().works();
    }
    world.bench.assert_no_leftovers();
}
