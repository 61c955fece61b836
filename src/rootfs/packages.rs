//! A set of packages, unpacked and configured: the part of a tree that depends on the lock alone.

use super::database;
use super::deb;
use super::filter::Filter;
use super::kernel;
use super::order;
use super::scripts::Chroot;
use super::triggers;
use super::unpack::{Claims, Package, Unpacker};
use crate::error::{Context, Result};
use crate::progress::{Progress, Stage};
use crate::recipe::plan::Debconf;
use crate::store::Store;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// What is to be installed.
pub struct Set<'a> {
    /// All packages that will be in the tree, sorted by name: a package's place is its rank.
    pub packages: &'a [Package],
    /// Ranks of those that are there already, configured.
    pub present: &'a BTreeSet<usize>,
    /// Debian's name of the architecture.
    pub architecture: &'a str,
    /// The build's one timestamp.
    pub epoch: i64,
    /// What of the packages stays out.
    pub filter: &'a Filter,
    /// Answers for debconf.
    pub debconf: &'a [Debconf],
    /// What the stage is called when it is shown: `base` or `packages`.
    pub name: &'a str,
}

/// Unpacks and configures the set in `tree`, which is empty unless packages are present. Returns what dpkg and the
/// scripts said.
pub fn install(set: &Set<'_>, tree: &Path, scratch: &Path, progress: &Progress) -> Result<String> {
    let Set { packages, present, .. } = set;
    if present.is_empty() {
        skeleton(tree, set.architecture)?;
    }
    let chroot = Chroot::new(tree, scratch, set.epoch)?;
    let batches = order::batches(packages, present)?;
    let claims = Claims::of(tree, packages, present)?;
    let mut configured = (*present).clone();
    let mut said = String::new();
    let stage = progress.stage(set.name);
    let total = packages.len() - present.len();
    stage.items(2 * total as u64);
    let mut answered = false;
    if !present.is_empty() {
        chroot.preseed(set.debconf)?;
        answered = true;
    }
    for (number, batch) in batches.iter().enumerate() {
        let scripts: Vec<&Package> = batch.iter().map(|&rank| &packages[rank]).collect();
        // Without a shell no script can run: then they come after the first packages are unpacked.
        let bare = configured.is_empty();
        if !bare {
            chroot.preinst(&scripts)?;
        }
        let unpacker = Unpacker::new(tree, packages, &claims)?.filter(set.filter);
        let mut largest_first = batch.clone();
        largest_first.sort_by_key(|&rank| std::cmp::Reverse(size(&packages[rank].deb)));
        let unpacked = unpacker.unpack(&largest_first, &|rank| {
            stage.now(packages[rank].control.stanza.package());
            stage.add(1);
        })?;
        database::record(tree, packages, &unpacked)?;
        triggers::activate(tree, packages, &configured, &unpacked)?;
        if bare {
            chroot.preinst(&scripts)?;
        }
        if number + 1 < batches.len() {
            said.push_str(&configure(&chroot, &stage)?);
            configured.extend(batch.iter().copied());
            if !answered {
                chroot.preseed(set.debconf)?;
                answered = true;
            }
        }
    }
    if !answered {
        chroot.preseed(set.debconf)?;
    }
    said.push_str(&kernel::beside(tree, &chroot, || configure(&chroot, &stage))?);
    chroot.release()?;
    stage.finish(format!("{total} packages unpacked and configured"));
    Ok(said)
}

fn configure(chroot: &Chroot, stage: &Stage) -> Result<String> {
    chroot.configure(|line| {
        if let Some(name) = line.strip_prefix("Setting up ") {
            stage.add(1);
            stage.now(name.split(' ').next().unwrap_or_default());
        }
    })
}

fn size(path: &Path) -> u64 {
    fs_err::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Reads the control archives, in parallel. What is unpacked of them is kept in expanded form when there is a store
/// for it.
pub fn read(debs: &[PathBuf], store: Option<&Store>) -> Result<Vec<Package>> {
    debs.par_iter()
        .map(|deb| {
            let sha256 = deb.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let expanded = store.map(|store| store.expanded(sha256)).transpose()?;
            Ok(Package { deb: deb.clone(), expanded, control: deb::control(deb)? })
        })
        .collect()
}

/// What must be there before the first package: the links of merged /usr, and dpkg's database.
fn skeleton(tree: &Path, architecture: &str) -> Result<()> {
    merge_usr(tree)?;
    database::create(tree, architecture)?;
    // Mount points of the sandbox; base-files brings them too, but the first script may run before that. The mode
    // is of a directory's first making, and base-files' script cannot see through what is mounted here.
    for (name, mode) in [("dev", 0o755), ("proc", 0o755), ("sys", 0o755), ("run", 0o755), ("tmp", 0o1777)] {
        fs_err::create_dir(tree.join(name))?;
        fs_err::set_permissions(tree.join(name), std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Makes the links of merged /usr (file-hierarchy(7)) in an empty tree.
pub fn merge_usr(tree: &Path) -> Result<()> {
    fs_err::set_permissions(tree, std::fs::Permissions::from_mode(0o755))?;
    for name in ["bin", "sbin", "lib", "lib64"] {
        fs_err::create_dir_all(tree.join("usr").join(name))?;
        symlink(format!("usr/{name}"), tree.join(name))
            .doing_with(|| format!("linking /{name} into /usr"))?;
    }
    Ok(())
}
