//! Keeping the store within a bound: what was used longest ago goes first.

use super::{Store, TMP, add_sizes, lease};
use crate::error::Result;
use fs_err as fs;
use std::path::PathBuf;
use std::time::SystemTime;

/// Kinds whose entries can be made or downloaded again, and how deep below the kind's directory an entry is.
const COLLECTED: [(&str, usize); 5] = [("cas", 2), ("expanded", 1), ("layers", 1), ("trees", 1), ("ac", 1)];

/// How the names of what is being made begin.
const MAKING: &str = "making-";

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Entries removed.
    pub removed: u64,
    /// Bytes freed.
    pub freed: u64,
    /// Bytes that remain.
    pub remaining: u64,
    /// Bytes of entries that running builds use.
    pub held: u64,
}

struct Candidate {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl Store {
    /// Removes what was used longest ago until at most `bound` bytes remain. What running builds use stays, whatever
    /// the bound is.
    pub fn collect(&self, bound: u64) -> Result<Collected> {
        let _gate = lease::gate(self.dir(), lease::Turn::Alone)?;
        let (held, living) = lease::held(self.dir())?;
        if living == 0 {
            self.sweep()?;
        }
        let mut done = Collected::default();
        let mut candidates = Vec::new();
        for (kind, depth) in COLLECTED {
            for path in self.entries(kind, depth)? {
                let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
                let mut size = super::Size::default();
                if metadata.is_dir() {
                    add_sizes(&path, &mut size)?;
                } else {
                    size.bytes = metadata.len();
                }
                done.remaining += size.bytes;
                if held.contains(path.strip_prefix(self.dir()).unwrap_or(&path)) {
                    done.held += size.bytes;
                } else {
                    candidates.push(Candidate { path, bytes: size.bytes, used: metadata.modified()? });
                }
            }
        }
        candidates.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
        for candidate in candidates {
            if done.remaining <= bound {
                break;
            }
            crate::interrupt::check()?;
            self.discard(&candidate.path)?;
            done.remaining -= candidate.bytes;
            done.freed += candidate.bytes;
            done.removed += 1;
        }
        Ok(done)
    }

    /// Removes what killed builds left half made. Only while no build is running.
    pub(super) fn sweep(&self) -> Result<()> {
        for (kind, prefix) in [(TMP, ""), ("expanded", MAKING), ("layers", MAKING)] {
            for entry in fs::read_dir(self.dir().join(kind))? {
                let entry = entry?;
                if !entry.file_name().to_string_lossy().starts_with(prefix) {
                    continue;
                }
                if entry.file_type()?.is_dir() {
                    fs::remove_dir_all(entry.path())?;
                } else {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// Removes an entry so that nobody sees half of it: by a rename first.
    pub(super) fn discard(&self, path: &std::path::Path) -> Result<()> {
        let grave = self.tmp_dir()?;
        match fs::rename(path, grave.path().join("gone")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn entries(&self, kind: &str, depth: usize) -> Result<Vec<PathBuf>> {
        let mut level = vec![self.dir().join(kind)];
        for _ in 0..depth {
            let mut next = Vec::new();
            for directory in level {
                for entry in fs::read_dir(directory)? {
                    next.push(entry?.path());
                }
            }
            level = next;
        }
        // What is being made has a name of its own there.
        level.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            !name.starts_with(MAKING)
        });
        Ok(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::time::Duration;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("cache")).unwrap();
        (dir, store)
    }

    fn aged(store: &Store, bytes: &[u8], age: u64) -> String {
        let sha256 = store.put_bytes(bytes).unwrap();
        let path = store.path(&sha256).unwrap();
        let then = SystemTime::now() - Duration::from_secs(age);
        fs::File::open(path).unwrap().file().set_modified(then).unwrap();
        sha256
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let (_dir, store) = store();
        let (old, new) = (aged(&store, &[1; 1000], 100), aged(&store, &[2; 1000], 50));
        let done = store.collect(1500).unwrap();
        assert_eq!(done, Collected { removed: 1, freed: 1000, remaining: 1000, held: 0 });
        assert!(store.path(&old).is_none() && store.path(&new).is_some());
        assert_eq!(store.collect(1500).unwrap().removed, 0);
    }

    #[test]
    fn what_is_held_stays_and_was_used() {
        let (_dir, store) = store();
        let (old, new) = (aged(&store, &[1; 1000], 100), aged(&store, &[2; 1000], 50));
        let user = store.clone().leased().unwrap();
        let entry = store.path(&old).unwrap();
        user.hold([entry.strip_prefix(store.dir()).unwrap()]).unwrap();
        let done = store.collect(0).unwrap();
        assert_eq!((done.removed, done.held), (1, 1000));
        assert!(store.path(&old).is_some() && store.path(&new).is_none());
        drop(user);
        assert_eq!(store.collect(0).unwrap().remaining, 0);
    }

    #[test]
    fn the_lease_of_a_process_that_died_holds_nothing() {
        let (_dir, store) = store();
        let old = aged(&store, &[1; 1000], 100);
        let entry = store.path(&old).unwrap();
        let text = entry.strip_prefix(store.dir()).unwrap().display().to_string();
        fs::write(store.dir().join("active/build-dead"), text).unwrap();
        store.collect(0).unwrap();
        assert!(store.path(&old).is_none());
        assert!(!Path::new(&store.dir().join("active/build-dead")).exists());
    }

    #[test]
    fn layers_go_whole_and_what_is_being_made_stays_while_a_build_runs() {
        let (_dir, store) = store();
        let busy = store.clone().leased().unwrap();
        for name in ["set-1", "making-2"] {
            fs::create_dir_all(store.dir().join("layers").join(name)).unwrap();
            fs::write(store.dir().join("layers").join(name).join("0"), [1; 10]).unwrap();
        }
        assert_eq!(store.collect(0).unwrap(), Collected { removed: 1, freed: 10, remaining: 0, held: 0 });
        assert!(store.dir().join("layers/making-2/0").exists());
        drop(busy);
        store.collect(0).unwrap();
        assert!(!store.dir().join("layers/making-2").exists());
    }
}
