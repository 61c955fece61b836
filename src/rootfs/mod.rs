//! Bytes to tree: packages are unpacked by goldcast and configured by dpkg in the sandbox, then overlays,
//! accounts and boot files go on top, then everything that would tell of the build goes.

pub mod accounts;
pub mod apply;
pub mod boot;
mod build;
pub mod database;
pub mod deb;
pub mod expand;
pub mod explain;
pub mod filter;
pub mod finalize;
mod initramfs;
mod kernel;
pub mod keys;
pub mod layer;
mod order;
mod overrides;
pub mod packages;
pub mod scripts;
pub mod stanza;
mod system;
pub mod tiers;
pub mod tools;
mod triggers;
pub mod unpack;
pub mod workspace;

use crate::archive::lock::Lock;
use crate::disk::Identity;
use crate::error::Result;
use crate::recipe::plan::Plan;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use build::build;

/// What a tree is built from.
pub struct Spec<'a> {
    /// The recipe, resolved.
    pub plan: &'a Plan,
    /// Its lock.
    pub lock: &'a Lock,
    /// Gives the lock's packages as files, in its order; asked only when they are needed.
    pub debs: &'a (dyn Fn() -> Result<Vec<PathBuf>> + Sync),
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
