//! The same lock gives the same bytes: as root and as an ordinary user, in any directory, with any umask, time zone
//! and locale, with any number of processors, from a cold and from a warm cache.
#![allow(clippy::unwrap_used)]

mod support;

use assert_cmd::Command;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use support::{Golden, TOOLS, binary, cache, golden, said, sha256};
use tempfile::TempDir;

/// The ordinary user that root builds as.
fn user() -> String {
    std::env::var("GOLDCAST_TEST_USER").unwrap_or_else(|_| "goldcast-test".into())
}

/// Another place to build in, with a cache of its own that has the packages and nothing made of them.
struct Elsewhere {
    directory: TempDir,
    out: PathBuf,
}

impl Elsewhere {
    fn new(golden: &Golden, parent: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("else where").tempdir_in(parent).unwrap();
        fs_err::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        for (from, to) in
            [(&golden.recipe, "golden.toml"), (&golden.recipe.with_extension("lock"), "golden.lock")]
        {
            fs_err::copy(from, directory.path().join(to)).unwrap();
        }
        fs_err::copy(binary(), directory.path().join("goldcast")).unwrap();
        copy_tree(&cache().join("cas"), &directory.path().join("cache/cas"));
        let out = directory.path().join("out");
        Self { directory, out }
    }

    /// Everything but the packages' own bytes goes to a user.
    fn give_to(&self, uid: u32, gid: u32) {
        fn give(path: &Path, uid: u32, gid: u32) {
            chown(path, Some(uid), Some(gid)).unwrap();
            for entry in fs_err::read_dir(path).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    give(&entry.path(), uid, gid);
                }
            }
        }
        give(self.directory.path(), uid, gid);
    }

    /// Builds with everything around it changed; returns the raw image's sha256.
    fn build(&self, change: impl FnOnce(&mut std::process::Command)) -> String {
        let mut command = std::process::Command::new("/bin/sh");
        command
            .args(["-c", "umask 077; exec ./goldcast \"$@\"", "sh"])
            .args(["build", "golden.toml", "--locked", "--offline", "--no-verify", "--jobs", "1", "--out"])
            .arg(&self.out)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.directory.path())
            .env("GOLDCAST_CACHE", self.directory.path().join("cache"))
            .env("GOLDCAST_TOOLS", TOOLS)
            .env("TZ", "Pacific/Auckland")
            .env("LANG", "de_DE.UTF-8")
            .env("LC_ALL", "de_DE.UTF-8");
        change(&mut command);
        Command::from_std(command).assert().success();
        sha256(&self.out.join("golden.raw"))
    }
}

/// Copies a directory by linking its files; where that cannot be, the bytes are copied.
fn copy_tree(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else if fs_err::hard_link(entry.path(), &target).is_err() {
            fs_err::copy(entry.path(), &target).unwrap();
        }
    }
}

/// A directory that any user can enter: below target/ when its parents let others through.
fn open_to_all() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let open = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.mode() & 0o001 != 0);
    if here.ancestors().all(open) { here } else { PathBuf::from("/var/tmp") }
}

fn run(program: &str, arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be run: {error}; this test as root needs it"))
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).any(|directory| directory.join(program).exists())
}

/// The ids of the ordinary user, who is made when missing; with subordinate ids.
fn ordinary_user() -> (u32, u32) {
    assert!(
        is_there("newuidmap") && is_there("newgidmap"),
        "a build as an ordinary user needs newuidmap and newgidmap: install the package uidmap (apt-get install uidmap)"
    );
    let name = user();
    if !run("id", &[&name]).status.success() {
        let made = run("useradd", &["--create-home", &name]);
        assert!(made.status.success(), "useradd {name}: {}", said(&made));
    }
    for (file, option) in [("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")] {
        let text = fs_err::read_to_string(file).unwrap_or_default();
        if !text.lines().any(|line| line.starts_with(&format!("{name}:"))) {
            let made = run("usermod", &[option, "300000-365535", &name]);
            assert!(made.status.success(), "usermod {option}: {}", said(&made));
        }
    }
    let number = |option: &str| -> u32 {
        String::from_utf8_lossy(&run("id", &[option, &name]).stdout).trim().parse().unwrap()
    };
    (number("-u"), number("-g"))
}

#[test]
fn an_image_has_the_same_bytes_whoever_builds_it_and_wherever() {
    let golden = golden();
    let expected = golden.digest("raw");
    if !nix::unistd::geteuid().is_root() {
        println!("not run as root: whether root's image is the same could not be checked");
        let elsewhere = Elsewhere::new(&golden, Path::new(env!("CARGO_TARGET_TMPDIR")));
        assert_eq!(elsewhere.build(|_| {}), expected, "a cold build elsewhere");
        assert_eq!(elsewhere.build(|_| {}), expected, "a warm build elsewhere");
        return;
    }
    let (uid, gid) = ordinary_user();
    let elsewhere = Elsewhere::new(&golden, &open_to_all());
    elsewhere.give_to(uid, gid);
    // As one process after another: with the user's ids, and no group of root's.
    let ordinary = elsewhere.build(|command| {
        command.uid(uid).gid(gid);
    });
    assert_eq!(ordinary, expected, "a cold build by {} elsewhere", user());
    assert_eq!(fs_err::metadata(elsewhere.out.join("golden.raw")).unwrap().uid(), uid);
    for ending in ["qcow2", "raw.zst", "raw.gz", "rootfs.tar.zst", "rootfs.tar.gz"] {
        let file = elsewhere.out.join(format!("golden.{ending}"));
        assert_eq!(sha256(&file), golden.digest(ending), "golden.{ending}");
    }

    // Root again, warm, and in the first place.
    let again = support::scratch("again");
    let mut command = support::goldcast();
    command
        .arg("build")
        .arg(&golden.recipe)
        .args(["--locked", "--no-verify", "--out"])
        .arg(again.path().join("out"));
    command.assert().success();
    assert_eq!(sha256(&again.path().join("out/golden.raw")), expected, "a warm build by root");
}
