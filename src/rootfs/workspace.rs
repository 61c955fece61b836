//! Where a tree is while it is built: in memory when there is enough, else on disk.

use crate::error::{Context, Result};
use crate::progress::Progress;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::path::{Path, PathBuf};

/// A directory for one build. What is in it goes when this is dropped, and when the process is killed:
/// the mount lives in goldcast's own mount namespace, and a directory on disk is locked by its process, so
/// that the next run can tell that it was left behind.
#[derive(Debug)]
pub struct Workspace {
    directory: tempfile::TempDir,
    in_memory: bool,
    /// Held, not read: its lock says that the directory is in use.
    _lock: fs_err::File,
}

/// The name of the lock file beside each workspace.
const LOCK: &str = "in-use";
/// Memory left for everything else when the tree is kept in it.
const RESERVE: u64 = 1 << 30;

impl Workspace {
    /// A workspace for a tree of about `expected` bytes, below `parent`.
    pub fn new(parent: &Path, expected: u64, progress: &Progress) -> Result<Self> {
        fs_err::create_dir_all(parent)?;
        clear_abandoned(parent);
        let directory = tempfile::Builder::new().prefix("build-").tempdir_in(parent)?;
        let lock = fs_err::File::create(parent.join(lock_name(directory.path())))?;
        lock.file().lock().doing("locking the build's working directory")?;
        // The tree, the initramfs's own working copy, and the sandbox's /tmp.
        let needed = expected.saturating_mul(2);
        let in_memory = available_memory() > needed + RESERVE;
        if in_memory {
            let options = format!("mode=0755,size={}", needed + RESERVE);
            mount(
                Some("tmpfs"),
                directory.path(),
                Some("tmpfs"),
                MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
                Some(options.as_str()),
            )
            .doing("mounting memory for the build")?;
        } else {
            progress.say("too little free memory for the tree: it is built on disk, which takes longer");
        }
        Ok(Self { directory, in_memory, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A new directory in it.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        fs_err::create_dir_all(&path)?;
        Ok(path)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if self.in_memory {
            // A lazy unmount cannot fail for being busy, and the memory is freed with the last user.
            umount2(self.directory.path(), MntFlags::MNT_DETACH).ok();
        }
        if let Some(parent) = self.path().parent() {
            fs_err::remove_file(parent.join(lock_name(self.path()))).ok();
        }
    }
}

fn lock_name(directory: &Path) -> String {
    format!("{}.{LOCK}", directory.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes what killed runs left. A directory whose lock is held belongs to a living one.
fn clear_abandoned(parent: &Path) {
    let Ok(entries) = fs_err::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(directory) = name.strip_suffix(&format!(".{LOCK}")) else { continue };
        let abandoned = fs_err::File::open(entry.path()).is_ok_and(|file| file.file().try_lock().is_ok());
        if abandoned {
            fs_err::remove_dir_all(parent.join(directory)).ok();
            fs_err::remove_file(entry.path()).ok();
        }
    }
}

/// MemAvailable of /proc/meminfo (proc_meminfo(5)), in bytes, bounded by the control group's limit.
fn available_memory() -> u64 {
    let text = fs_err::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = field.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    let host = kib.unwrap_or(0) * 1024;
    let limit = |file: &str| fs_err::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    match (limit("/sys/fs/cgroup/memory.max"), limit("/sys/fs/cgroup/memory.current")) {
        (Some(max), Some(current)) => host.min(max.saturating_sub(current)),
        _ => host,
    }
}
