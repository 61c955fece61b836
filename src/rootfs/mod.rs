//! Bytes to tree: packages are unpacked by goldcast and configured by dpkg in the sandbox, then overlays,
//! accounts and boot files go on top, then everything that would tell of the build goes.

pub mod accounts;
pub mod apply;
pub mod boot;
pub mod copy;
pub mod database;
pub mod deb;
pub mod explain;
pub mod finalize;
mod inside;
mod order;
mod overrides;
pub mod packages;
pub mod scripts;
pub mod stanza;
mod system;
pub mod tools;
mod triggers;
pub mod unpack;
pub mod workspace;

use crate::archive::lock::Lock;
use crate::disk::Identity;
use crate::disk::grub::{self, BootContent};
use crate::error::Result;
use crate::progress::Progress;
use crate::recipe::plan::Plan;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use workspace::Workspace;

/// What a tree is built from.
pub struct Spec<'a> {
    /// The recipe, resolved.
    pub plan: &'a Plan,
    /// Its lock.
    pub lock: &'a Lock,
    /// The lock's packages as files, in its order.
    pub debs: &'a [PathBuf],
    /// The disk's identifiers, which fstab and the boot menu name.
    pub identity: &'a Identity,
    /// Where the package scripts' output is kept.
    pub logs: &'a Path,
}

/// A finished tree.
#[derive(Debug)]
pub struct Rootfs {
    /// Where it is.
    pub tree: PathBuf,
    /// What made each file that no package owns.
    pub explained: BTreeMap<String, String>,
    /// Bytes of its regular files.
    pub bytes: u64,
    /// How many files, directories and links it has.
    pub files: u64,
}

/// The name of the tree's directory in the workspace.
pub const TREE: &str = "tree";

/// Builds the whole tree in the workspace.
pub fn build(spec: &Spec<'_>, workspace: &Workspace, progress: &Progress) -> Result<Rootfs> {
    let tree = workspace.directory(TREE)?;
    let scratch = workspace.directory("scratch")?;
    let epoch = spec.lock.source_date_epoch;
    let set = packages::Set {
        debs: spec.debs,
        architecture: &spec.plan.distribution.architecture,
        epoch,
        debconf: &spec.plan.debconf,
    };
    let said = packages::install(&set, &tree, &scratch, progress)?;
    fs_err::write(spec.logs.join("packages.log"), said)?;
    let mut phases = explain::Phases::default();
    phases.note(&tree, explain::PACKAGES)?;

    let stage = progress.stage("overlays");
    let chroot = scripts::Chroot::new(&tree, &scratch, epoch)?;
    system::configure(spec.plan, &tree)?;
    boot::configure(spec.plan, spec.identity, &tree)?;
    phases.note(&tree, "goldcast, from [image], [distribution] and the lock")?;
    apply::apply(spec.plan, &tree, &chroot)?;
    phases.note(&tree, "accounts, services and commands of the plan")?;
    stage.finish(format!("{} files, {} accounts", spec.plan.files.len(), spec.plan.users.len()));

    let stage = progress.stage("boot");
    boot::initramfs(&tree, &chroot)?;
    phases.note(&tree, "update-initramfs, run by goldcast")?;
    for file in grub::boot_files(&tree)? {
        let target = tree.join(&file.path);
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent)?;
        }
        match &file.content {
            BootContent::CopyOf(source) => drop(fs_err::copy(tree.join(source), &target)?),
            BootContent::Bytes(bytes) => fs_err::write(&target, bytes)?,
        }
    }
    boot::menu(spec.identity, &tree, &scratch, &chroot)?;
    phases.note(&tree, "grub-install and grub-mkconfig, run by goldcast")?;
    finalize::finalize(&tree, epoch)?;
    let explained = phases.explain(&tree, spec.plan)?;
    let (files, bytes) = measure(&tree)?;
    stage.finish("initramfs, boot menu, identity removed, times clamped");
    Ok(Rootfs { tree, explained, bytes, files })
}

fn measure(directory: &Path) -> Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        files += 1;
        if metadata.is_dir() {
            let (more_files, more_bytes) = measure(&entry.path())?;
            files += more_files;
            bytes += more_bytes;
        } else if metadata.is_file() {
            bytes += metadata.len();
        }
    }
    Ok((files, bytes))
}
