//! The last pass over a tree: no identity, no traces of the build, no time later than the build's own.

use crate::error::{Context, Result};
use crate::recipe::fleeting::{EMPTIED, LOGS, MACHINE_ID, TRACES, glob};
use crate::tree::directory::Directory;
use crate::tree::inside::Tree;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use rayon::prelude::*;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Cleans the tree and clamps its times. `touched` is what [`View::touched`] tells of it: what is not there was
/// finalized before.
///
/// [`View::touched`]: crate::tree::view::View::touched
pub fn finalize(tree: &Path, touched: Option<&Path>, epoch: i64) -> Result<()> {
    clean(&Tree::open(tree)?)?;
    match touched {
        Some(touched) => clamp_times_of(tree, touched, epoch),
        None => clamp_times(tree, epoch),
    }
}

/// Removes what tells of the build.
fn clean(tree: &Tree) -> Result<()> {
    for pattern in TRACES {
        let (directory, pattern) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        let Some(directory) = tree.find(directory)? else { continue };
        for (name, kind) in directory.entries()? {
            // Directories among them belong to packages.
            if glob(pattern, &name.to_string_lossy()) && !kind.is_dir() {
                directory.remove(name)?;
            }
        }
    }
    for directory in EMPTIED {
        let Some(directory) = tree.find(directory)? else { continue };
        for (name, _) in directory.entries()? {
            directory.remove(name)?;
        }
    }
    if let Some(logs) = tree.find(LOGS)? {
        empty_logs(&logs)?;
    }
    // machine-id(5): "uninitialized" makes the first boot a first boot, which is when identities are made.
    tree.write(MACHINE_ID, "uninitialized\n").doing("resetting the machine id")
}

/// Logs go, the directories that packages made for them stay. Files that a package ships or made on purpose
/// for their mode (btmp, wtmp, lastlog) are emptied.
fn empty_logs(directory: &Directory) -> Result<()> {
    for (name, kind) in directory.entries()? {
        if kind.is_dir() {
            empty_logs(&directory.enter(name)?)?;
        } else if kind.is_file() {
            let keep = ["btmp", "wtmp", "lastlog", "faillog"].iter().any(|kept| name == *kept);
            if keep { directory.empty(name)? } else { directory.remove(name)? }
        }
    }
    Ok(())
}

/// Sets every time of modification that is later than `epoch` to it, of links and directories too, and earlier times of
/// access as well.
pub fn clamp_times(tree: &Path, epoch: i64) -> Result<()> {
    let mut all = Vec::new();
    collect(tree, &mut all)?;
    // A directory's own time does not change while times inside it are set, so the order is free.
    all.par_iter().try_for_each(|path| clamp(path, epoch))
}

/// As [`clamp_times`], for those files of the tree that are below `touched` at the same path.
fn clamp_times_of(tree: &Path, touched: &Path, epoch: i64) -> Result<()> {
    let mut all = Vec::new();
    collect(touched, &mut all)?;
    let places = all.iter().map(|path| tree.join(path.strip_prefix(touched).unwrap_or(path)));
    // What is gone from the tree has a mark in its place there.
    places.filter(|path| path.symlink_metadata().is_ok()).try_for_each(|path| clamp(&path, epoch))
}

fn collect(directory: &Path, all: &mut Vec<PathBuf>) -> Result<()> {
    all.push(directory.to_path_buf());
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), all)?;
        } else {
            all.push(entry.path());
        }
    }
    Ok(())
}

/// Only what must change is touched: in a tree over another one, touching is copying.
fn clamp(path: &Path, epoch: i64) -> Result<()> {
    let metadata = fs_err::symlink_metadata(path)?;
    let mtime = metadata.mtime().min(epoch);
    // mke2fs copies access times, and clamps only those that are later.
    let late = metadata.mtime() != mtime || metadata.mtime_nsec() != 0;
    if !late && metadata.atime() >= epoch {
        return Ok(());
    }
    let (access, modification) = (TimeSpec::new(epoch, 0), TimeSpec::new(mtime, 0));
    utimensat(nix::fcntl::AT_FDCWD, path, &access, &modification, UtimensatFlags::NoFollowSymlink)
        .doing_with(|| format!("setting the time of {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_clamped_down_and_never_up() {
        let tree = tempfile::tempdir().unwrap();
        fs_err::create_dir(tree.path().join("etc")).unwrap();
        let old = tree.path().join("old");
        fs_err::write(&old, "").unwrap();
        let time = TimeSpec::new(1000, 0);
        utimensat(nix::fcntl::AT_FDCWD, &old, &time, &time, UtimensatFlags::NoFollowSymlink).unwrap();
        std::os::unix::fs::symlink("nowhere", tree.path().join("link")).unwrap();
        finalize(tree.path(), None, 2000).unwrap();
        let mtime = |name: &str| fs_err::symlink_metadata(tree.path().join(name)).unwrap().mtime();
        assert_eq!(
            (mtime("old"), mtime("link"), mtime("etc"), mtime("etc/machine-id")),
            (1000, 2000, 2000, 2000)
        );
    }
    #[test]
    fn nothing_is_cleaned_that_a_link_out_of_the_tree_leads_to() {
        let machine = tempfile::tempdir().unwrap();
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, at(name)).unwrap();
        for name in ["passwd-", "machine-id", "old.log", "btmp"] {
            fs_err::write(machine.path().join(name), "theirs").unwrap();
        }
        for name in ["etc", "root", "run", "var/lib/apt", "var/lib/dpkg", "var/log/kept", "inside/below"] {
            fs_err::create_dir_all(at(name)).unwrap();
        }
        for name in ["tmp", "var/lib/apt/lists", "var/lib/systemd", "run/theirs", "var/log/theirs"] {
            link(machine.path(), name);
        }
        link(&machine.path().join("machine-id"), "etc/machine-id");
        link(&machine.path().join("btmp"), "var/log/kept/btmp");
        fs_err::write(at("var/log/kept/old.log"), "ours").unwrap();
        fs_err::write(at("inside/below/it"), "ours").unwrap();
        link(machine.path(), "inside/below/theirs");
        // A link that stays inside is followed: what programs of the tree left in /var/tmp is there.
        link(Path::new("/inside"), "var/tmp");
        finalize(tree.path(), None, 2000).unwrap();
        for name in ["passwd-", "machine-id", "old.log", "btmp"] {
            let path = machine.path().join(name);
            assert_eq!(fs_err::read_to_string(&path).unwrap(), "theirs", "{name}");
            assert!(fs_err::metadata(&path).unwrap().mtime() > 2000, "{name}");
        }
        assert_eq!(fs_err::read_to_string(at("etc/machine-id")).unwrap(), "uninitialized\n");
        for empty in ["inside", "run"] {
            assert_eq!(fs_err::read_dir(at(empty)).unwrap().count(), 0, "{empty}");
        }
        assert!(at("var/log/kept").is_dir() && !at("var/log/kept/old.log").exists());
    }

    #[test]
    fn logs_behind_a_link_out_of_the_tree_are_not_the_trees() {
        let machine = tempfile::tempdir().unwrap();
        fs_err::write(machine.path().join("syslog"), "theirs").unwrap();
        let tree = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(tree.path().join("etc")).unwrap();
        fs_err::create_dir_all(tree.path().join("var")).unwrap();
        std::os::unix::fs::symlink(machine.path(), tree.path().join("var/log")).unwrap();
        finalize(tree.path(), None, 2000).unwrap();
        assert_eq!(fs_err::read_to_string(machine.path().join("syslog")).unwrap(), "theirs");
    }

    #[test]
    fn the_machine_id_keeps_its_mode() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("etc/machine-id");
        fs_err::create_dir_all(tree.path().join("etc")).unwrap();
        fs_err::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
        use std::os::unix::fs::PermissionsExt;
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        finalize(tree.path(), None, 2000).unwrap();
        assert_eq!(fs_err::metadata(&path).unwrap().mode() & 0o7777, 0o644);
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "uninitialized\n");
    }
}
