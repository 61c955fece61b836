//! `[[repository]]`.

use super::{HEAD, USER, World};
use crate::recipe::plan::{Content, Origin, Plan};

const KEY: &str = include_str!("../../../keys/debian-archive-trixie-stable.asc");
const OTHER: &str = include_str!("../../../keys/debian-archive-bookworm-stable.asc");

const RIGHT: &str = "\
[[repository]]
name = \"postgresql\"
url = \"https://repo.example.org/debian/\"
suite = \"trixie-pgdg\"
keys = [\"keys/pgdg.asc\"]
packages = [\"postgresql-*\", \"libpq5\"]
";

fn recipe(repository: &str) -> World {
    World::new(&[("recipe.toml", &format!("{HEAD}{repository}{USER}")), ("keys/pgdg.asc", KEY)])
}

fn bytes<'p>(plan: &'p Plan, path: &str) -> &'p [u8] {
    match plan.files.get(path).map(|file| &file.content) {
        Some(Content::Regular(bytes)) => bytes,
        _ => panic!("no file {path}"),
    }
}

fn text(plan: &Plan, path: &str) -> String {
    String::from_utf8(bytes(plan, path).to_vec()).unwrap()
}

#[test]
fn the_image_gets_source_keys_and_pin() {
    let plan = recipe(RIGHT).plan();
    let repository = &plan.repositories[0];
    assert_eq!(repository.url, "https://repo.example.org/debian");
    assert_eq!((repository.host(), repository.key_files.len()), (Some("repo.example.org"), 1));
    assert!(
        repository.takes("postgresql-17") && repository.takes("libpq5") && !repository.takes("libpq-dev")
    );
    assert_eq!(
        text(&plan, "/etc/apt/sources.list.d/postgresql.sources"),
        "Types: deb\nURIs: https://repo.example.org/debian\nSuites: trixie-pgdg\nComponents: main\n\
         Architectures: amd64\nSigned-By: /etc/apt/keyrings/postgresql.pgp\n"
    );
    assert_eq!(
        text(&plan, "/etc/apt/preferences.d/postgresql.pref"),
        "Package: *\nPin: origin \"repo.example.org\"\nPin-Priority: -1\n\n\
         Package: libpq5 postgresql-*\nPin: origin \"repo.example.org\"\nPin-Priority: 500\n"
    );
    let keyring = bytes(&plan, "/etc/apt/keyrings/postgresql.pgp");
    // A packet of RFC 9580 in binary form, not armour.
    assert!(keyring[0] & 0x80 != 0);
    assert_eq!(keyring, repository.keyring);
    assert_eq!(plan.files["/etc/apt/keyrings/postgresql.pgp"].origin, Origin::Recipe("recipe.toml".into()));
    assert!(plan.sources.keys().any(|path| path.ends_with("keys/pgdg.asc")));
    let again: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(again, plan);
}

#[test]
fn a_plan_without_repositories_does_not_mention_them() {
    let plan = recipe("").plan();
    assert!(!serde_json::to_string(&plan).unwrap().contains("repositories"));
}

#[test]
fn a_base_may_say_a_part() {
    let base = "[[repository]]\nname = \"sql\"\nkeys = [\"a.asc\"]\nsuite = \"x\"\npackages = [\"sql\"]\n";
    let own = "[[repository]]\nname = \"sql\"\nurl = \"http://repo.example.org\"\nkeys = [\"b.asc\"]\npackages = [\"sql-doc\"]\n";
    let world = World::new(&[
        ("recipe.toml", &format!("extends = [\"base/a.toml\"]\n{HEAD}{own}{USER}")),
        ("base/a.toml", base),
        ("base/a.asc", KEY),
        ("b.asc", OTHER),
    ]);
    let plan = world.plan();
    let repository = &plan.repositories[0];
    assert_eq!(repository.packages.iter().collect::<Vec<_>>(), ["sql", "sql-doc"]);
    assert_eq!((plan.repositories.len(), repository.fingerprints.len()), (1, 2));
    assert_eq!(repository.key_files, ["a.asc", "b.asc"]);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (from, to, wanted, place) in [
        ("suite =", "suit =", "did you mean `suite`?", "recipe.toml:9:1"),
        ("keys =", "key =", "write `keys", "recipe.toml:10:1"),
        (
            "url = \"https://repo.example.org/debian/\"\n",
            "",
            "`repository.url` is missing",
            "recipe.toml:6:1",
        ),
        ("\"postgresql-*\", \"libpq5\"", "", "`repository.packages` is empty", "recipe.toml:11:12"),
        ("\"keys/pgdg.asc\"", "", "`repository.keys` is empty", "recipe.toml:10:8"),
        ("postgresql-*", "*", "help: name the packages", "recipe.toml:11:13"),
        ("postgresql-*", "PostgreSQL", "did you mean `postgresql`?", "recipe.toml:11:13"),
        ("keys/pgdg.asc", "keys/none.asc", "cannot read", "recipe.toml:10:9"),
        ("keys/pgdg.asc", "recipe.toml", "recipe.toml holds no OpenPGP key", "recipe.toml:10:9"),
        ("https://repo", "ftp://repo", "not a scheme that is fetched", "recipe.toml:8:7"),
        ("trixie-pgdg", "./", "a flat repository", "recipe.toml:9:9"),
        ("\"postgresql\"", "\"Postgre SQL\"", "a repository's name", "recipe.toml:7:8"),
        ("\"postgresql\"", "\"debian-security\"", "mistaken for debian's own archive", "recipe.toml:7:8"),
    ] {
        let errors = recipe(&RIGHT.replace(from, to)).errors();
        assert!(errors.contains(wanted) && errors.contains(place), "{to}: {errors}");
    }
    let errors = recipe(&format!("{RIGHT}{RIGHT}")).errors();
    assert!(errors.contains("there are two `[[repository]]` with name `postgresql`"), "{errors}");
}

#[test]
fn a_host_that_is_not_its_own_is_told_apart_by_suite_or_refused() {
    let mirror = HEAD.to_owned() + "mirror = \"http://repo.example.org/trixie\"\n";
    let beside = |suite: &str| {
        let text = format!("{mirror}{}{USER}", RIGHT.replace("trixie-pgdg", suite));
        World::new(&[("recipe.toml", &text), ("keys/pgdg.asc", KEY)])
    };
    let pin = text(&beside("trixie-pgdg").plan(), "/etc/apt/preferences.d/postgresql.pref");
    assert!(pin.contains("Pin: release trixie-pgdg\nPin-Priority: -1\n") && !pin.contains("origin"), "{pin}");
    for suite in ["trixie", "trixie-updates", "stable", "17"] {
        let errors = beside(suite).errors();
        assert!(
            errors.contains("apt cannot tell") && errors.contains("recipe.toml:9:7"),
            "{suite}: {errors}"
        );
    }
    let two = |other: &str| recipe(&format!("{RIGHT}{}", RIGHT.replace("\"postgresql\"", other)));
    assert!(two("\"second\"").errors().contains("apt cannot tell trixie-pgdg of repo.example.org"));
    let second = RIGHT.replace("\"postgresql\"", "\"second\"").replace("trixie-pgdg", "two");
    let plan = recipe(&format!("{RIGHT}{second}")).plan();
    assert!(text(&plan, "/etc/apt/preferences.d/second.pref").contains("Pin: release two\n"));
}

#[test]
fn more_components_of_the_distributions_own_archive_are_told_apart_by_these() {
    let with = |url: &str, suite: &str, components: &str| {
        let right = RIGHT.replace("https://repo.example.org/debian/", url).replace("trixie-pgdg", suite);
        let text = format!(
            "{HEAD}mirror = \"http://repo.example.org/debian\"\n{right}components = [{components}]\n{USER}\
             [overlay.updates]\n"
        );
        World::new(&[("recipe.toml", &text), ("keys/pgdg.asc", KEY)])
    };
    let (own, two) = ("http://repo.example.org/debian/", "\"non-free-firmware\", \"contrib\"");
    let plan = with(own, "trixie", two).plan();
    // apt refuses to run when two sources of one address and suite name different keys.
    assert_eq!(
        text(&plan, "/etc/apt/sources.list.d/postgresql.sources"),
        "Types: deb\nURIs: http://repo.example.org/debian\nSuites: trixie\nComponents: contrib non-free-firmware\n\
         Architectures: amd64\nSigned-By: /usr/share/keyrings/debian-archive-keyring.pgp\n"
    );
    assert!(!plan.files.contains_key("/etc/apt/keyrings/postgresql.pgp"));
    let pinned = |component: &str| {
        format!(
            "Package: *\nPin: release n=trixie,c={component}\nPin-Priority: -1\n\nPackage: libpq5 postgresql-*\n\
             Pin: release n=trixie,c={component}\nPin-Priority: 500\n"
        )
    };
    assert_eq!(
        text(&plan, "/etc/apt/preferences.d/postgresql.pref"),
        format!("{}\n{}", pinned("contrib"), pinned("non-free-firmware"))
    );
    let updates = text(&plan, "/etc/apt/apt.conf.d/50unattended-upgrades");
    let patterns: Vec<&str> = updates.lines().filter(|line| line.contains("site=")).collect();
    assert_eq!(
        patterns,
        [
            "    \"site=repo.example.org,codename=trixie,component=contrib\";",
            "    \"site=repo.example.org,codename=trixie,component=non-free-firmware\";",
        ]
    );
    let security = with("http://repo.example.org/debian-security", "trixie-security", "\"contrib\"").plan();
    let pin = text(&security, "/etc/apt/preferences.d/postgresql.pref");
    assert!(pin.contains("Pin: release n=trixie-security,c=contrib\n"), "{pin}");
    for (url, suite, components) in [
        (own, "trixie", "\"contrib\", \"main\""),
        (own, "trixie-security", "\"contrib\""),
        ("https://repo.example.org/debian", "trixie", "\"contrib\""),
        ("http://repo.example.org/other", "trixie", "\"contrib\""),
    ] {
        let errors = with(url, suite, components).errors();
        assert!(errors.contains("for more of the distribution's"), "{url} {suite}: {errors}");
    }
}

#[test]
fn a_directory_of_this_machine_is_no_source_of_the_image() {
    let local = RIGHT.replace("https://repo.example.org/debian/", "file:///srv/repository");
    let local = recipe(&local);
    assert!(local.plan().files.keys().all(|path| !path.starts_with("/etc/apt/")));
    let warnings = local.warnings();
    assert!(
        warnings[0].message.contains("does not get the repository postgresql as a source"),
        "{warnings:?}"
    );
    let mirrored = recipe(&format!("{RIGHT}mirror = \"file:///srv/repository\"\n"));
    assert_eq!(mirrored.warnings(), []);
    assert!(
        text(&mirrored.plan(), "/etc/apt/sources.list.d/postgresql.sources").contains("repo.example.org")
    );
}

#[test]
fn updates_come_from_it_too() {
    let path = "/etc/apt/apt.conf.d/50unattended-upgrades";
    let updates = text(&recipe(&format!("{RIGHT}[overlay.updates]\n")).plan(), path);
    assert!(updates.contains("    \"site=repo.example.org,codename=trixie-pgdg\";\n"), "{updates}");
    assert!(updates.contains("    \"site=repo.example.org,archive=trixie-pgdg\";\n"), "{updates}");
    assert!(!text(&recipe("[overlay.updates]\n").plan(), path).contains("site="));
}
