//! depmod(8) for the kernels of a tree, beside the work that does not need it.
//!
//! The kernel's package script runs it and waits, a third of the time that all scripts take. Here scripts find one that
//! does nothing, and the real one runs next to dpkg.

use super::scripts::Chroot;
use crate::error::{Context, Error, Result};
use crate::tree::directory::Directory;
use crate::tree::inside::Tree;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where modules are, a directory for each kernel.
const MODULES: &str = "usr/lib/modules";
/// Directories of depmod.d(5).
const SETTINGS: [&str; 3] = ["etc/depmod.d", "usr/lib/depmod.d", "usr/local/lib/depmod.d"];

/// Runs `work`, and depmod for every kernel that has no list of dependencies yet. When work changed modules or
/// settings, depmod runs once more.
pub fn beside<T: Send>(tree: &Path, chroot: &Chroot, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let tree = Tree::open(tree)?;
    let mut fresh = versions(&tree)?;
    fresh.retain(|version| !has(&tree, version, "modules.dep"));
    let before = state(&tree)?;
    let (listed, worked) = std::thread::scope(|scope| {
        let listing = scope.spawn(|| fresh.iter().try_for_each(|version| depmod(chroot, version)));
        let worked = work();
        let listed = listing.join().unwrap_or_else(|_| Err(Error::new("the thread of depmod panicked")));
        (listed, worked)
    });
    let done = worked?;
    listed?;
    if state(&tree)? != before {
        for version in versions(&tree)? {
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
fn versions(tree: &Tree) -> Result<Vec<String>> {
    let Some(directory) = tree.find(MODULES)?.filter(|_| tree.exists("usr/sbin/depmod").unwrap_or(false))
    else {
        return Ok(Vec::new());
    };
    let names = directory.entries()?.into_iter().map(|(name, _)| name.to_string_lossy().into_owned());
    let mut versions: Vec<String> = names.filter(|name| has(tree, name, "modules.builtin")).collect();
    versions.sort();
    Ok(versions)
}

fn has(tree: &Tree, version: &str, file: &str) -> bool {
    tree.exists(Path::new(MODULES).join(version).join(file)).unwrap_or(false)
}

/// What depmod reads: modules and settings, with size and time.
fn state(tree: &Tree) -> Result<BTreeMap<PathBuf, (i64, i64)>> {
    let mut found = BTreeMap::new();
    for path in SETTINGS.into_iter().chain([MODULES]) {
        if let Some(directory) = tree.find(path)? {
            note(&directory, Path::new(path), &mut found)?;
        }
    }
    Ok(found)
}

fn note(directory: &Directory, path: &Path, found: &mut BTreeMap<PathBuf, (i64, i64)>) -> Result<()> {
    for (entry, kind) in directory.entries()? {
        let path = path.join(&entry);
        if kind.is_dir() {
            note(&directory.enter(entry)?, &path, found)?;
            continue;
        }
        let name = entry.to_string_lossy();
        // What depmod writes itself is modules.dep and its like; modules.builtin and modules.order come with the kernel.
        let module = [".ko", ".ko.xz", ".ko.zst", ".ko.gz", ".conf"].iter().any(|end| name.ends_with(end));
        if module {
            let metadata = directory.metadata(&entry)?;
            found.insert(path, (metadata.st_size, metadata.st_mtime));
        }
    }
    Ok(())
}
