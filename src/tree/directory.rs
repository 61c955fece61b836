//! One directory of a tree, held open: work on the names in it that follows no link.

use super::inside::{self, by_descriptor, regular, shown};
use crate::error::{Context, Error, Result};
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmod, fchmodat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

/// A directory of a tree. Names are looked up in it and nowhere else.
#[derive(Debug)]
pub struct Directory {
    held: OwnedFd,
    /// Its path in the tree, for errors.
    path: PathBuf,
}

impl Directory {
    /// The directory that is held open, with its path in the tree.
    pub(super) fn of(held: OwnedFd, path: &Path) -> Self {
        Self { held, path: path.to_path_buf() }
    }

    /// The names in it, each with its kind of file.
    pub fn entries(&self) -> Result<Vec<(OsString, std::fs::FileType)>> {
        let listed = || {
            let entries = fs_err::read_dir(by_descriptor(&self.held))?;
            entries.map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?)))).collect()
        };
        let listed: std::io::Result<_> = listed();
        listed.doing_with(|| format!("listing {}", shown(&self.path)))
    }

    /// What kind of file a name is; nothing when there is none.
    pub fn kind(&self, name: impl AsRef<OsStr>) -> Result<Option<SFlag>> {
        let name = self.single(name.as_ref())?;
        inside::kind(&self.held, name).doing_with(|| format!("looking at {}", self.shown(name)))
    }

    /// What is known of a file.
    pub fn metadata(&self, name: impl AsRef<OsStr>) -> Result<FileStat> {
        let name = self.single(name.as_ref())?;
        fstatat(&self.held, name, AtFlags::AT_SYMLINK_NOFOLLOW)
            .doing_with(|| format!("looking at {}", self.shown(name)))
    }

    /// The directory with this name.
    pub fn enter(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let name = self.single(name.as_ref())?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let held = openat(&self.held, name, flags, Mode::empty())
            .doing_with(|| format!("entering {}", self.shown(name)))?;
        Ok(Self { held, path: self.path.join(name) })
    }

    /// What is in the file with this name.
    pub fn read(&self, name: impl AsRef<OsStr>) -> Result<Vec<u8>> {
        let name = self.single(name.as_ref())?;
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut bytes = Vec::new();
        openat(&self.held, name, flags, Mode::empty())
            .map_err(Error::from)
            .and_then(|opened| regular(opened, &self.path.join(name)))
            .and_then(|mut file| Ok(file.read_to_end(&mut bytes)?))
            .doing_with(|| format!("reading {}", self.shown(name)))?;
        Ok(bytes)
    }

    /// Writes a file. A regular one that has the name keeps its owner and mode; anything else but a directory gives way.
    pub fn write(&self, name: impl AsRef<OsStr>, bytes: &[u8]) -> Result<()> {
        let name = self.single(name.as_ref())?;
        let written = || match self.kind(name)? {
            Some(SFlag::S_IFREG) => self.filled(name, OFlag::O_TRUNC, None, bytes),
            _ => {
                self.clear(name)?;
                self.filled(name, OFlag::O_CREAT | OFlag::O_EXCL, None, bytes)
            }
        };
        written().doing_with(|| format!("writing {}", self.shown(name)))
    }

    /// Makes a new file with this mode. What has the name gives way, unless it is a directory.
    pub fn create(&self, name: impl AsRef<OsStr>, mode: u32, bytes: &[u8]) -> Result<()> {
        let name = self.single(name.as_ref())?;
        self.clear(name)
            .and_then(|()| self.filled(name, OFlag::O_CREAT | OFlag::O_EXCL, Some(mode), bytes))
            .doing_with(|| format!("writing {}", self.shown(name)))
    }

    /// Empties a file that is there.
    pub fn empty(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = self.single(name.as_ref())?;
        self.filled(name, OFlag::O_TRUNC, None, &[]).doing_with(|| format!("emptying {}", self.shown(name)))
    }

    /// Makes a symbolic link. What has the name gives way, unless it is a directory.
    pub fn link(&self, target: &str, name: impl AsRef<OsStr>) -> Result<()> {
        let name = self.single(name.as_ref())?;
        self.clear(name)
            .and_then(|()| Ok(symlinkat(target, &self.held, name)?))
            .doing_with(|| format!("linking {}", self.shown(name)))
    }

    /// Makes a directory; nothing may have the name.
    pub fn make(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let name = self.single(name.as_ref())?;
        mkdirat(&self.held, name, Mode::from_bits_truncate(0o755))
            .doing_with(|| format!("making {}", self.shown(name)))?;
        self.enter(name)
    }

    /// Gives a file an owner, a group and, unless it is a link, a mode.
    pub fn own(&self, name: impl AsRef<OsStr>, user: u32, group: u32, mode: u32) -> Result<()> {
        let name = self.single(name.as_ref())?;
        let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
        let owned = || -> Result<()> {
            fchownat(&self.held, name, user, group, AtFlags::AT_SYMLINK_NOFOLLOW)?;
            if self.kind(name)? == Some(SFlag::S_IFLNK) {
                return Ok(());
            }
            // After the owner: chown(2) clears the set-user-id bits.
            let mode = Mode::from_bits_truncate(mode);
            Ok(fchmodat(&self.held, name, mode, FchmodatFlags::FollowSymlink)?)
        };
        owned().doing_with(|| format!("owning {}", self.shown(name)))
    }

    /// Gives a file another name in the directory; what has that gives way.
    pub fn rename(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> Result<()> {
        let (from, to) = (self.single(from.as_ref())?, self.single(to.as_ref())?);
        renameat(&self.held, from, &self.held, to).doing_with(|| format!("writing {}", self.shown(to)))
    }

    /// Removes a file, or a directory with all that is in it; nothing needs to be there.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = self.single(name.as_ref())?;
        match self.kind(name)? {
            None => return Ok(()),
            // It opens each directory on the way and follows no link.
            Some(SFlag::S_IFDIR) => {
                fs_err::remove_dir_all(by_descriptor(&self.held).join(name)).map_err(Error::from)
            }
            Some(_) => Ok(unlinkat(&self.held, name, UnlinkatFlags::NoRemoveDir)?),
        }
        .doing_with(|| format!("removing {}", self.shown(name)))
    }

    /// Makes room for a file.
    fn clear(&self, name: &OsStr) -> Result<()> {
        match self.kind(name)? {
            None => Ok(()),
            Some(SFlag::S_IFDIR) => Err(Error::new("there is a directory in its place")),
            Some(_) => Ok(unlinkat(&self.held, name, UnlinkatFlags::NoRemoveDir)?),
        }
    }

    fn filled(&self, name: &OsStr, how: OFlag, mode: Option<u32>, bytes: &[u8]) -> Result<()> {
        let flags = how | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let opened = openat(&self.held, name, flags, Mode::from_bits_truncate(0o666))?;
        let mut file = regular(opened, &self.path.join(name))?;
        file.write_all(bytes)?;
        if let Some(mode) = mode {
            fchmod(&file, Mode::from_bits_truncate(mode))?;
        }
        Ok(())
    }

    /// The name, when it is one and not a path.
    fn single<'n>(&self, name: &'n OsStr) -> Result<&'n OsStr> {
        let mut components = Path::new(name).components();
        match (components.next(), components.next()) {
            (Some(Component::Normal(only)), None) if only == name => Ok(name),
            _ => Err(Error::new(format!("{name:?} cannot be the name of a file in {}", shown(&self.path)))),
        }
    }

    fn shown(&self, name: &OsStr) -> String {
        shown(&self.path.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::inside::Tree;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn tree() -> (tempfile::TempDir, Directory) {
        let tree = tempfile::tempdir().unwrap();
        let directory = Tree::open(tree.path()).unwrap().find("/").unwrap().unwrap();
        (tree, directory)
    }

    fn mode(path: &Path) -> u32 {
        fs_err::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_name_is_no_path() {
        let (_tree, directory) = tree();
        for bad in ["", ".", "..", "/", "a/b", "../x", "/etc", "a/"] {
            assert!(directory.write(bad, b"").is_err() && directory.remove(bad).is_err(), "{bad:?}");
        }
        directory.write("..a", b"").unwrap();
    }

    #[test]
    fn a_file_that_is_there_keeps_its_mode_and_a_link_gives_way() {
        let outside = tempfile::NamedTempFile::new().unwrap();
        let (tree, directory) = tree();
        let at = |name: &str| tree.path().join(name);
        fs_err::write(at("file"), "before").unwrap();
        fs_err::set_permissions(at("file"), std::fs::Permissions::from_mode(0o444)).unwrap();
        directory.write("file", b"now").unwrap();
        assert_eq!((fs_err::read_to_string(at("file")).unwrap().as_str(), mode(&at("file"))), ("now", 0o444));
        for name in ["written", "created"] {
            symlink(outside.path(), at(name)).unwrap();
        }
        directory.write("written", b"now").unwrap();
        directory.create("created", 0o751, b"now").unwrap();
        assert_eq!(mode(&at("created")), 0o751);
        assert!(at("written").symlink_metadata().unwrap().is_file());
        assert_eq!(fs_err::read(outside.path()).unwrap(), b"");
        symlink(outside.path(), at("link")).unwrap();
        assert!(directory.read("link").is_err() && directory.enter("link").is_err());
        assert!(directory.empty("link").is_err());
    }

    #[test]
    fn what_is_removed_is_never_what_a_link_leads_to() {
        let outside = tempfile::tempdir().unwrap();
        fs_err::write(outside.path().join("kept"), "").unwrap();
        let (tree, directory) = tree();
        fs_err::create_dir_all(tree.path().join("gone/below")).unwrap();
        symlink(outside.path(), tree.path().join("gone/below/link")).unwrap();
        symlink(outside.path(), tree.path().join("link")).unwrap();
        for name in ["gone", "link", "never there"] {
            directory.remove(name).unwrap();
        }
        assert_eq!(directory.entries().unwrap().len(), 0);
        assert!(outside.path().join("kept").exists());
    }
}
