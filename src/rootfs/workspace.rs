//! Where a tree is while it is built: in memory when there is enough, else on disk.

use crate::error::{Context, Result};
use crate::memory;
use crate::progress::Progress;
use crate::scratch::Scratch;
use crate::tree::view::View;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A directory for one build. What is in it goes when this is dropped, and when the process is killed: the
/// mount lives in goldcast's own mount namespace.
#[derive(Debug)]
pub struct Workspace {
    scratch: Scratch,
    in_memory: bool,
    /// Mounts in it, in the order in which they were made.
    views: Mutex<Vec<View>>,
    tree: Mutex<Option<PathBuf>>,
}

/// Where the tree is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Storage {
    /// In memory when there is enough, else on disk
    Auto,
    /// In memory, whatever there is
    Memory,
    /// On disk
    Disk,
}

/// Memory left for everything else when the tree is kept in it.
const RESERVE: u64 = 1 << 30;

impl Workspace {
    /// A workspace for a tree of about `expected` bytes, below `parent`.
    pub fn new(parent: &Path, expected: u64, storage: Storage, progress: &Progress) -> Result<Self> {
        let scratch = Scratch::new(parent, "build-")?;
        // The tree, the initramfs's own working copy, and copies of the tree where it cannot be seen through.
        let needed = expected.saturating_mul(3);
        let enough = memory::available() > needed + RESERVE;
        let in_memory = storage == Storage::Memory || (storage == Storage::Auto && enough);
        if in_memory {
            let options = format!("mode=0755,size={}", needed + RESERVE);
            mount(
                Some("tmpfs"),
                scratch.path(),
                Some("tmpfs"),
                MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
                Some(options.as_str()),
            )
            .doing("mounting memory for the build")?;
        } else if storage == Storage::Auto {
            progress.say("too little free memory for the tree: it is built on disk, which takes longer");
        }
        Ok(Self { scratch, in_memory, views: Mutex::default(), tree: Mutex::default() })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// A new directory in it.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        fs_err::create_dir_all(&path)?;
        Ok(path)
    }

    /// Keeps a view as long as the workspace is there.
    pub fn hold(&self, view: View) {
        lock(&self.views).push(view);
    }

    /// Removes a directory of it, after all views are gone.
    pub fn discard(&self, directory: &Path) -> Result<()> {
        let mut views = lock(&self.views);
        while views.pop().is_some() {}
        Ok(fs_err::remove_dir_all(directory)?)
    }

    /// Says which tree is being worked on: the one to look at when the work fails.
    pub fn working_on(&self, tree: &Path) {
        *lock(&self.tree) = Some(tree.to_path_buf());
    }

    /// The tree that was worked on last.
    pub fn worked_on(&self) -> Option<PathBuf> {
        lock(&self.tree).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // A view may be over another one.
        let views = self.views.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        while views.pop().is_some() {}
        if self.in_memory {
            // A lazy unmount cannot fail for being busy, and the memory is freed with the last user.
            umount2(self.scratch.path(), MntFlags::MNT_DETACH).ok();
        }
    }
}
