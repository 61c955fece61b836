//! A set of packages, unpacked and configured: the part of a tree that depends on the lock alone.

use super::database;
use super::deb;
use super::order;
use super::scripts::Chroot;
use super::triggers;
use super::unpack::{Claims, Package, Unpacker};
use crate::error::{Context, Result};
use crate::progress::Progress;
use crate::recipe::plan::Debconf;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// What is to be installed, and where.
pub struct Set<'a> {
    /// The packages' files, sorted by package name: a package's place is its rank.
    pub debs: &'a [PathBuf],
    /// Debian's name of the architecture.
    pub architecture: &'a str,
    /// The build's one timestamp.
    pub epoch: i64,
    /// Answers for debconf.
    pub debconf: &'a [Debconf],
}

/// Unpacks and configures the set in the empty directory `tree`. Returns what dpkg and the scripts said.
pub fn install(set: &Set<'_>, tree: &Path, scratch: &Path, progress: &Progress) -> Result<String> {
    let packages = read(set.debs)?;
    skeleton(tree, set.architecture)?;
    let chroot = Chroot::new(tree, scratch, set.epoch)?;
    let batches = order::batches(&packages)?;
    let claims = Claims::default();
    let mut configured = BTreeSet::new();
    let mut said = String::new();
    let unpacking = progress.stage("unpack");
    unpacking.items(packages.len() as u64);
    let mut configuring = 0.0;
    for (number, batch) in batches.iter().enumerate() {
        let scripts: Vec<&Package> = batch.iter().map(|&rank| &packages[rank]).collect();
        // The first batch holds the shell that runs scripts, so its own come after it is unpacked.
        if number > 0 {
            chroot.preinst(&scripts)?;
        }
        let unpacker = Unpacker::new(tree, &packages, &claims)?;
        let mut largest_first = batch.clone();
        largest_first.sort_by_key(|&rank| std::cmp::Reverse(size(&set.debs[rank])));
        let unpacked = unpacker.unpack(&largest_first, &|rank| {
            unpacking.now(packages[rank].control.stanza.package());
            unpacking.add(1);
        })?;
        database::record(tree, &packages, &unpacked)?;
        triggers::activate(tree, &packages, &configured, &unpacked)?;
        if number == 0 {
            chroot.preinst(&scripts)?;
        }
        if number + 1 < batches.len() {
            let start = std::time::Instant::now();
            said.push_str(&chroot.configure(|line| unpacking.now(line))?);
            configuring += start.elapsed().as_secs_f64();
            configured.extend(batch.iter().copied());
            chroot.preseed(if number == 0 { set.debconf } else { &[] })?;
        }
    }
    unpacking.finish(format!(
        "{} packages in {} batches, {configuring:.1} s of it configuring what others need first",
        packages.len(),
        batches.len()
    ));
    let stage = progress.stage("configure");
    stage.items((packages.len() - configured.len()) as u64);
    if batches.len() == 1 {
        chroot.preseed(set.debconf)?;
    }
    said.push_str(&chroot.configure(|line| {
        if let Some(name) = line.strip_prefix("Setting up ") {
            stage.add(1);
            stage.now(name.split(' ').next().unwrap_or_default());
        }
    })?);
    chroot.release()?;
    stage.finish(format!("{} packages", packages.len()));
    Ok(said)
}

fn size(path: &Path) -> u64 {
    fs_err::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Reads the control archives, in parallel.
pub fn read(debs: &[PathBuf]) -> Result<Vec<Package>> {
    debs.par_iter().map(|deb| Ok(Package { deb: deb.clone(), control: deb::control(deb)? })).collect()
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
