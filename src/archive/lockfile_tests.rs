use super::*;
use crate::archive::lock::LockedIndex;
use crate::archive::testing::plan;
use proptest::prelude::*;

const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn package(name: &str, installed_size: u64) -> LockedPackage {
    LockedPackage {
        name: name.into(),
        version: "1:2.0-3".into(),
        architecture: "amd64".into(),
        archive: "debian".into(),
        path: format!("pool/main/{name}.deb"),
        size: 10,
        installed_size,
        sha256: HASH.into(),
        because: vec!["recipe web.toml".into()],
    }
}

fn lock(plan: &Plan, tools: &[&str]) -> Lock {
    let asks = asks(plan, tools);
    Lock {
        version: VERSION,
        source_date_epoch: 1_789_199_741,
        request: digest_of(&asks),
        asks,
        indexes: vec![LockedIndex {
            archive: "debian".into(),
            suite: "trixie".into(),
            date: "2026-09-12T07:55:41Z".into(),
            sha256: HASH.into(),
            signed_by: "AB".into(),
        }],
        packages: vec![package("less", 2048), package("vim-tiny", 1024)],
        tools: vec![package("e2fsprogs", 1)],
    }
}

#[test]
fn a_lock_comes_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("web.lock");
    let lock = lock(&plan(&["less"], &[]), &["e2fsprogs"]);
    assert_eq!(Lock::read_if_there(&file).unwrap(), None);
    lock.write(&file).unwrap();
    assert_eq!(Lock::read(&file).unwrap(), lock);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn the_order_of_packages_changes_neither_bytes_nor_digest() {
    let one = lock(&plan(&["less"], &[]), &[]);
    let mut other = one.clone();
    other.packages.reverse();
    assert_eq!(one.digest().unwrap(), other.digest().unwrap());
    other.packages[0].version = "2".into();
    assert_ne!(one.digest().unwrap(), other.digest().unwrap());
}

#[test]
fn what_changed_between_two_locks_is_told_by_package() {
    let before = lock(&plan(&["less"], &[]), &[]);
    assert_eq!(before.changes_since(&before), [""; 0]);
    let mut after = before.clone();
    after.packages[0].version = "3".into();
    after.packages[1] = package("nano", 1);
    after.tools[0].version = "3".into();
    assert_eq!(after.changes_since(&before), ["less 1:2.0-3 -> 3", "nano 1:2.0-3 (new)", "vim-tiny (gone)"]);
}

#[test]
fn a_damaged_lock_is_refused() {
    let text = lock(&plan(&["less"], &[]), &[]).text().unwrap();
    Lock::parse(&text).unwrap();
    for (from, to) in [
        ("version = 1\n", "version = 2\n"),
        ("pool/main/less.deb", "../../etc/passwd"),
        (HASH, "00"),
        ("\"less\"", "\"vim-tiny\""),
        ("1:2.0-3", "x"),
        ("amd64\"\narchive", "../x\"\narchive"),
        ("2026-09-12T07:55:41Z", "soon"),
        ("source-date-epoch", "source-date"),
        ("request", "{"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        assert!(Lock::parse(&changed).is_err(), "{from} -> {to}");
    }
}

#[test]
fn a_lock_is_stale_when_what_is_asked_changes_and_says_how() {
    let before = plan(&["less", "vim-tiny"], &["telnetd"]);
    let lock = lock(&before, &["e2fsprogs"]);
    assert_eq!(lock.status(&before, &["e2fsprogs"]), Status::Fresh);
    let after = plan(&["less", "nginx", "rsync"], &["rsh-client"]);
    let Status::Stale { why } = lock.status(&after, &["e2fsprogs", "ovmf"]) else { panic!("fresh") };
    assert_eq!(
        why,
        "it now asks for nginx, rsync; it now denies rsh-client; goldcast now needs the tools ovmf; \
         it no longer asks for vim-tiny; it no longer denies telnetd"
    );
    let mut other = before.clone();
    other.distribution.release = "bookworm".into();
    assert!(matches!(lock.status(&other, &["e2fsprogs"]), Status::Stale { why } if why.contains("bookworm")));
    other = before.clone();
    other.distribution.keyring = Some(vec![1]);
    assert!(matches!(lock.status(&other, &["e2fsprogs"]), Status::Stale { why } if why.contains("keyring")));
}

#[test]
fn what_does_not_change_the_packages_does_not_make_a_lock_stale() {
    let before = plan(&["less"], &[]);
    let lock = lock(&before, &["a", "b"]);
    let mut after = before.clone();
    after.distribution.mirror = Some("http://mirror.test/debian".into());
    after.packages.install.insert("less".into(), vec![Origin::Overlay("base".into())]);
    after.name = "other".into();
    assert_eq!(lock.status(&after, &["b", "a", "a"]), Status::Fresh);
    assert_eq!(request_digest(&before, &["a", "b"]), lock.request);
}

#[test]
fn budgets_are_enforced_with_the_biggest_packages() {
    let mut plan = plan(&["less"], &[]);
    let lock = lock(&plan, &[]);
    plan.packages.max_count = Some(2);
    plan.packages.max_installed = Some(3 << 20);
    assert_eq!(lock.status(&plan, &[]), Status::Fresh);
    plan.packages.max_installed = Some((3 << 20) - 1);
    let error = budget_error(&plan.packages, &lock.packages).unwrap();
    assert!(error.what().contains("take 3.0 MiB installed, more than the 3.0 MiB"), "{error}");
    let list = &error.causes()[0];
    assert!(list.find("less") < list.find("vim-tiny"), "{list}");
    assert!(matches!(lock.status(&plan, &[]), Status::Stale { .. }));
    plan.packages.max_count = Some(1);
    assert!(
        budget_error(&plan.packages, &lock.packages).unwrap().what().contains("2 packages, more than the 1")
    );
}

#[test]
fn who_asks_does_not_depend_on_the_directory() {
    let origins = [Origin::Recipe("/home/x/recipes/web.toml".into()), Origin::Overlay("ssh".into())];
    assert_eq!(who(&origins), ["overlay ssh", "recipe web.toml"]);
    assert_eq!(who(&[]), ["recipe"]);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}", at in 0..2000usize, junk in ".{0,4}") {
        let _ = Lock::parse(&text);
        let good = lock(&plan(&["less"], &[]), &[]).text().unwrap();
        let at = (0..=at.min(good.len())).rev().find(|&at| good.is_char_boundary(at)).unwrap();
        let _ = Lock::parse(&format!("{}{junk}{}", &good[..at], &good[at..]));
    }
}
