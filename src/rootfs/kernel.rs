//! depmod(8) for the kernels of a tree, beside the work that does not need it.
//!
//! The kernel's package script runs it and waits, a third of the time that all scripts take. Here scripts find one that
//! does nothing, and the real one runs next to dpkg.

use super::scripts::Chroot;
use crate::error::{Context, Error, Result};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where modules are, a directory for each kernel.
const MODULES: &str = "usr/lib/modules";
/// Directories of depmod.d(5).
const SETTINGS: [&str; 3] = ["etc/depmod.d", "usr/lib/depmod.d", "usr/local/lib/depmod.d"];

/// Runs `work`, and depmod for every kernel that has no list of dependencies yet. When work changed modules or
/// settings, depmod runs once more.
pub fn beside<T: Send>(tree: &Path, chroot: &Chroot, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let fresh: Vec<String> = versions(tree)?
        .into_iter()
        .filter(|version| !tree.join(MODULES).join(version).join("modules.dep").exists())
        .collect();
    let before = state(tree)?;
    let (listed, worked) = std::thread::scope(|scope| {
        let listing = scope.spawn(|| fresh.iter().try_for_each(|version| depmod(chroot, version)));
        let worked = work();
        let listed = listing.join().unwrap_or_else(|_| Err(Error::new("the thread of depmod panicked")));
        (listed, worked)
    });
    let done = worked?;
    listed?;
    if state(tree)? != before {
        for version in versions(tree)? {
            depmod(chroot, &version)?;
        }
    }
    Ok(done)
}

fn depmod(chroot: &Chroot, version: &str) -> Result<()> {
    let ran = chroot.command("depmod").arg(version).run();
    ran.doing(format!("listing the modules of the kernel {version}"))?;
    Ok(())
}

/// The kernels that have modules and the list of those built in, which depmod needs.
fn versions(tree: &Path) -> Result<Vec<String>> {
    let directory = tree.join(MODULES);
    if !directory.is_dir() || !tree.join("usr/sbin/depmod").exists() {
        return Ok(Vec::new());
    }
    let mut versions = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        if entry.path().join("modules.builtin").exists() {
            versions.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    versions.sort();
    Ok(versions)
}

/// What depmod reads: modules and settings, with size and time.
fn state(tree: &Path) -> Result<BTreeMap<PathBuf, (u64, i64)>> {
    let mut found = BTreeMap::new();
    for directory in SETTINGS.into_iter().chain([MODULES]) {
        note(&tree.join(directory), &mut found)?;
    }
    Ok(found)
}

fn note(directory: &Path, found: &mut BTreeMap<PathBuf, (u64, i64)>) -> Result<()> {
    let Ok(entries) = fs_err::read_dir(directory) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            note(&path, found)?;
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        // What depmod writes itself is modules.dep and its like; modules.builtin and modules.order come with the kernel.
        let module = [".ko", ".ko.xz", ".ko.zst", ".ko.gz", ".conf"].iter().any(|end| name.ends_with(end));
        if module {
            let metadata = fs_err::symlink_metadata(&path)?;
            found.insert(path, (metadata.size(), metadata.mtime()));
        }
    }
    Ok(())
}
