//! File system calls that cannot leave a tree, whatever links are in it.

use crate::error::{Context, Error, Result};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// A directory that is taken as `/` when paths below it are looked up.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
}

impl Tree {
    /// Opens the directory.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = openat(AT_FDCWD, path, flags, Mode::empty())
            .doing_with(|| format!("opening the tree {}", path.display()))?;
        Ok(Self { root })
    }

    /// Opens the directory `path`, following links as if the tree were the root (openat2(2),
    /// RESOLVE_IN_ROOT). Missing directories are made, and told to `made`.
    pub fn directory(&self, path: &Path, made: &mut dyn FnMut(&Path)) -> Result<OwnedFd> {
        match self.resolve(path) {
            Ok(found) => return Ok(found),
            Err(Errno::ENOENT) => {}
            Err(error) => return Err(error).doing_with(|| format!("entering /{}", path.display())),
        }
        let (parent, name) = split(path)?;
        let parent = self.directory(&parent, made)?;
        match mkdirat(&parent, name.as_os_str(), Mode::from_bits_truncate(0o755)) {
            Ok(()) => made(path),
            // Another thread was faster.
            Err(Errno::EEXIST) => {}
            Err(error) => return Err(error).doing_with(|| format!("making /{}", path.display())),
        }
        self.resolve(path).doing_with(|| format!("entering /{}", path.display()))
    }

    fn resolve(&self, path: &Path) -> nix::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        openat2(self.root.as_fd(), path, how)
    }
}

/// What kind of file `name` is in `parent`, not following a link; `None` when there is nothing.
pub fn kind(parent: &OwnedFd, name: &OsStr) -> Result<Option<SFlag>> {
    match fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()))),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(Error::from(error)),
    }
}

/// The directory and the last name of a path; the root itself has none.
pub fn split(path: &Path) -> Result<(PathBuf, OsString)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent.to_path_buf(), name.to_os_string())),
        _ => Err(Error::new(format!("/{} has no name", path.display()))),
    }
}

/// A path out of an archive as a path below the root. Refused: absolute paths and `..`.
pub fn relative(path: &Path) -> Result<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => clean.push(name),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Error::new(format!(
                    "it holds the path {}, which leads out of the tree",
                    path.display()
                )));
            }
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_out_are_refused() {
        assert_eq!(relative(Path::new("./usr/./bin/x")).unwrap(), Path::new("usr/bin/x"));
        assert_eq!(relative(Path::new("./")).unwrap(), Path::new(""));
        for bad in ["/etc/passwd", "../x", "usr/../../x", "./.."] {
            assert!(relative(Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn links_are_followed_inside_the_tree_only() {
        let outside = tempfile::tempdir().unwrap();
        let tree = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), tree.path().join("escape")).unwrap();
        std::os::unix::fs::symlink("../../..", tree.path().join("up")).unwrap();
        let opened = Tree::open(tree.path()).unwrap();
        // The absolute target is looked up below the tree, where it does not exist: nothing is made outside.
        assert!(opened.directory(Path::new("escape/made"), &mut |_| {}).is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        opened.directory(Path::new("up/made"), &mut |_| {}).unwrap();
        assert!(tree.path().join("made").is_dir());
    }
}
