//! Against a real mirror: `cargo test --lib archive::live -- --ignored --nocapture`.

use super::testing::plan;
use super::{Sources, Update, lock, packages};
use crate::archive::lock::Lock;
use crate::progress::{Mode, Progress};
use crate::store::Store;
use std::time::Instant;

const SERVER: [&str; 8] = [
    "systemd-sysv",
    "openssh-server",
    "linux-image-amd64",
    "apt",
    "grub-efi-amd64-signed",
    "shim-signed",
    "initramfs-tools",
    "dbus",
];
const TOOLS: [&str; 6] = ["e2fsprogs", "grub-pc-bin", "grub-common", "qemu-system-x86", "ovmf", "qemu-utils"];

#[test]
#[ignore = "reads a real mirror; LIVE_LOCK names the file the lock is written to, LIVE_FETCH=1 downloads it"]
fn a_real_archive_is_locked_and_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let cache = std::env::var_os("LIVE_CACHE").map_or(dir.path().join("cache"), Into::into);
    let store = Store::open(cache).unwrap();
    let progress = Progress::new(Mode::Plain);
    let extra = std::env::var("LIVE_PACKAGES").unwrap_or_default();
    let asked: Vec<&str> = SERVER.iter().copied().chain(extra.split_whitespace()).collect();
    let plan = plan(&asked, &["telnetd"]);
    let sources =
        Sources::for_plan(&plan, &store, None, false).unwrap_or_else(|error| panic!("{}", error.render()));
    let made = lock(&plan, &TOOLS, None, &Update::Keep, &sources, &progress);
    let made = made.unwrap_or_else(|error| panic!("{}", error.render()));
    let file = std::env::var_os("LIVE_LOCK").map_or(dir.path().join("web.lock"), Into::into);
    made.write(&file).unwrap();
    assert_eq!(Lock::read(&file).unwrap(), made);

    let start = Instant::now();
    let offline = Sources { offline: true, ..sources.clone() };
    let again = lock(&plan, &TOOLS, Some(&made), &Update::Keep, &offline, &progress);
    assert_eq!(again.unwrap_or_else(|error| panic!("{}", error.render())), made);
    println!("locked again, offline, in {:?}", start.elapsed());

    if std::env::var_os("LIVE_FETCH").is_some() {
        let start = Instant::now();
        let files = packages::fetch(&made, &made.packages, &sources, &progress, &|_| {});
        let files = files.unwrap_or_else(|error| panic!("{}", error.render()));
        println!("{} packages in {:?}", files.len(), start.elapsed());
        assert!(packages::fetch(&made, &made.packages, &offline, &progress, &|_| {}).is_ok());
    }
}
