//! What running builds use, so that nothing of it is collected under their hands.
//!
//! Each build has a file in `active/`, locked as long as it lives (flock(2)), that names what it uses. Naming and
//! collecting take turns at a gate; so what is named before it is looked at is there, or it is made anew.

use super::Store;
use crate::error::{Context, Result};
use fs_err as fs;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// One process's claim on entries of the store; clones share it. It ends with the last clone, or the process.
#[derive(Debug, Clone)]
pub struct Lease(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: PathBuf,
    path: PathBuf,
    file: Mutex<fs::File>,
}

impl Lease {
    pub fn new(store: &Store) -> Result<Self> {
        let _gate = gate(store.dir(), Turn::Alone)?;
        let (_, living) = held(store.dir())?;
        if living == 0 {
            store.sweep()?;
        }
        let made = tempfile::Builder::new().prefix("build-").tempfile_in(store.dir().join("active"));
        let (file, path) =
            made.doing("cannot register with the cache")?.keep().map_err(|error| error.error)?;
        file.lock().doing("cannot register with the cache")?;
        let file = Mutex::new(fs::File::from_parts(file, path.clone()));
        Ok(Self(Arc::new(Inner { store: store.dir().to_path_buf(), path, file })))
    }

    /// Names entries, by path below the store, that must not be collected while the lease lasts, and marks those that
    /// are there as used now. They may not be there: look only afterwards.
    pub fn hold<'a>(&self, entries: impl IntoIterator<Item = &'a Path>) -> Result<()> {
        let _gate = gate(&self.0.store, Turn::Shared)?;
        let mut file = self.0.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut text = String::new();
        for entry in entries {
            text.push_str(&entry.to_string_lossy());
            text.push('\n');
            mark_used(&self.0.store.join(entry));
        }
        Ok(file.write_all(text.as_bytes())?)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What stays is without a lock: the next collection removes it.
        fs::remove_file(&self.path).ok();
    }
}

/// Says that an entry is used now: what was used longest ago is collected first.
pub(super) fn mark_used(path: &Path) {
    let now = TimeSpec::UTIME_NOW;
    // Only the owner may; an entry of somebody else's is not collected by us either.
    utimensat(nix::fcntl::AT_FDCWD, path, &now, &now, UtimensatFlags::FollowSymlink).ok();
}

/// Who passes the gate.
pub(super) enum Turn {
    /// One of many who name what they use.
    Shared,
    /// The one who collects.
    Alone,
}

/// Waits at the gate; it is passed until the value is dropped.
pub(super) fn gate(store: &Path, turn: Turn) -> Result<fs::File> {
    let gate = fs::File::open(store.join("active")).doing("opening the cache")?;
    match turn {
        Turn::Shared => gate.file().lock_shared(),
        Turn::Alone => gate.file().lock(),
    }
    .doing("waiting for the cache")?;
    Ok(gate)
}

/// What living leases name, and how many these are. Files of those that ended without cleaning up are removed. The gate
/// must be passed alone.
pub(super) fn held(store: &Path) -> Result<(BTreeSet<PathBuf>, usize)> {
    let mut held = BTreeSet::new();
    let mut living = 0;
    for entry in fs::read_dir(store.join("active"))? {
        let path = entry?.path();
        let Ok(file) = fs::File::open(&path) else { continue };
        if file.file().try_lock().is_ok() {
            fs::remove_file(&path).ok();
        } else {
            living += 1;
            held.extend(fs::read_to_string(&path).unwrap_or_default().lines().map(PathBuf::from));
        }
    }
    Ok((held, living))
}
