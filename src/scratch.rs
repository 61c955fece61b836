//! Working directories that a killed run cannot leave to be trusted: each is locked by its process, and the
//! next run removes those whose lock is free.

use crate::error::{Context, Result};
use std::path::Path;

/// A directory for one run; it goes when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    directory: tempfile::TempDir,
    /// Held, not read: the kernel frees the lock with the process (flock(2)).
    _lock: fs_err::File,
}

impl Scratch {
    /// A new directory below `parent` (which is made) whose name begins with `prefix`.
    pub fn new(parent: &Path, prefix: &str) -> Result<Self> {
        fs_err::create_dir_all(parent)?;
        // One run at a time makes and clears here, so that a new directory is never seen before its lock.
        let _turn = turn(parent)?;
        clear_abandoned(parent, prefix)?;
        let directory = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(parent)
            .doing_with(|| format!("writing below {}", parent.display()))?;
        let lock = fs_err::File::open(directory.path())?;
        lock.file().lock().doing("locking a working directory")?;
        Ok(Self { directory, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Waits for this run's turn to change what is in a directory. It lasts until the file is dropped (flock(2)).
pub fn turn(directory: &Path) -> Result<fs_err::File> {
    let turn = fs_err::File::open(directory)?;
    turn.file().lock().doing_with(|| format!("locking {}", directory.display()))?;
    Ok(turn)
}

fn clear_abandoned(parent: &Path, prefix: &str) -> Result<()> {
    for entry in fs_err::read_dir(parent)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(prefix) || !entry.file_type()?.is_dir() {
            continue;
        }
        let free = fs_err::File::open(entry.path()).is_ok_and(|file| file.file().try_lock().is_ok());
        if free {
            // What cannot be removed now is tried again by the next run.
            fs_err::remove_dir_all(entry.path()).ok();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abandoned_directories_go_and_living_ones_stay() {
        let parent = tempfile::tempdir().unwrap();
        let abandoned = parent.path().join("build-x");
        fs_err::create_dir(&abandoned).unwrap();
        fs_err::create_dir(parent.path().join("other")).unwrap();
        let first = Scratch::new(parent.path(), "build-").unwrap();
        let second = Scratch::new(parent.path(), "build-").unwrap();
        assert!(!abandoned.exists());
        assert!(first.path().is_dir() && second.path().is_dir() && parent.path().join("other").is_dir());
        let gone = second.path().to_path_buf();
        drop(second);
        assert!(!gone.exists());
    }
}
