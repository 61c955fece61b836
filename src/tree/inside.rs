//! File system calls that cannot leave a tree, whatever links are in it.
//!
//! goldcast's own root stays the machine's while it works on a tree in which programs of packages and recipes ran. An
//! absolute link that one of them left there leads to a file of the machine unless it is looked up here.

use super::directory::Directory;
use crate::error::{Context, Error, Result};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, SFlag, fstat, fstatat, mkdirat};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// How often a look-up is tried again that the kernel gave up because something was renamed meanwhile.
const TRIES: u32 = 128;

/// A directory that is taken as `/` when paths below it are looked up. Paths are given with or without the `/`.
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
        match self.resolve(path, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Ok(found) => return Ok(found),
            Err(Errno::ENOENT) => {}
            Err(error) => return Err(error).doing_with(|| format!("entering {}", shown(path))),
        }
        let (parent, name) = split(path)?;
        let parent = self.directory(&parent, made)?;
        match mkdirat(&parent, name.as_os_str(), Mode::from_bits_truncate(0o755)) {
            Ok(()) => made(path),
            // Another thread was faster.
            Err(Errno::EEXIST) => {}
            Err(error) => return Err(error).doing_with(|| format!("making {}", shown(path))),
        }
        self.resolve(path, OFlag::O_PATH | OFlag::O_DIRECTORY)
            .doing_with(|| format!("entering {}", shown(path)))
    }

    /// The directory `path`; missing ones are made.
    pub fn make(&self, path: impl AsRef<Path>) -> Result<Directory> {
        let path = path.as_ref();
        Ok(Directory::of(self.directory(path, &mut |_| {})?, path))
    }

    /// The directory `path`; nothing when there is none.
    pub fn find(&self, path: impl AsRef<Path>) -> Result<Option<Directory>> {
        let path = path.as_ref();
        let found = self.held(path, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        Ok(found.map(|found| Directory::of(found, path)))
    }

    /// The directory that holds `path`, which must be there, and the last name of `path`.
    pub fn parent(&self, path: impl AsRef<Path>) -> Result<(Directory, OsString)> {
        let (parent, name) = split(path.as_ref())?;
        let directory =
            self.find(&parent)?.ok_or_else(|| Error::new(format!("there is no {} in it", shown(&parent))))?;
        Ok((directory, name))
    }

    /// Whatever `path` is, held so that it can be named; nothing when nothing is there.
    pub fn hold(&self, path: impl AsRef<Path>) -> Result<Option<OwnedFd>> {
        self.held(path.as_ref(), OFlag::O_PATH)
    }

    /// Where `path` is for the machine, without a link on the way: valid as long as nothing changes the tree.
    pub fn place(&self, path: impl AsRef<Path>) -> Result<Option<PathBuf>> {
        let Some(held) = self.hold(path)? else { return Ok(None) };
        Ok(Some(fs_err::read_link(by_descriptor(&held))?))
    }

    /// Whether there is something at `path`.
    pub fn exists(&self, path: impl AsRef<Path>) -> Result<bool> {
        Ok(self.hold(path)?.is_some())
    }

    /// What kind of file `path` is, a link in the last place not followed; nothing when nothing is there.
    pub fn kind(&self, path: impl AsRef<Path>) -> Result<Option<SFlag>> {
        let path = path.as_ref();
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => self.find(parent)?.map_or(Ok(None), |parent| parent.kind(name)),
            _ => Ok(self.find(path)?.map(|_| SFlag::S_IFDIR)),
        }
    }

    /// The permission bits of what `path` leads to; nothing when nothing is there.
    pub fn mode(&self, path: impl AsRef<Path>) -> Result<Option<u32>> {
        self.hold(path)?.map(|held| Ok(fstat(&held)?.st_mode & 0o7777)).transpose()
    }

    /// What is in the file `path`; nothing when there is none.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>> {
        let path = path.as_ref();
        // A pipe in its place must not hold the build up.
        let Some(opened) = self.held(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        regular(opened, path)
            .and_then(|mut file| Ok(file.read_to_end(&mut bytes)?))
            .doing_with(|| format!("reading {}", shown(path)))?;
        Ok(Some(bytes))
    }

    /// The text in the file `path`; nothing when there is none.
    pub fn text(&self, path: impl AsRef<Path>) -> Result<Option<String>> {
        let path = path.as_ref();
        let Some(bytes) = self.read(path)? else { return Ok(None) };
        let text = String::from_utf8(bytes).map_err(|error| error.utf8_error());
        Ok(Some(text.doing_with(|| format!("reading {}", shown(path)))?))
    }

    /// Writes the file `path` into a directory that is there, as [`Directory::write`] does.
    pub fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<()> {
        let path = path.as_ref();
        let (parent, name) = self.parent(path).doing_with(|| format!("writing {}", shown(path)))?;
        parent.write(&name, bytes.as_ref())
    }

    /// Looks `path` up; nothing when it leads nowhere.
    fn held(&self, path: &Path, flags: OFlag) -> Result<Option<OwnedFd>> {
        match self.resolve(path, flags) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(error) => Err(error).doing_with(|| format!("opening {}", shown(path))),
        }
    }

    fn resolve(&self, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        // EAGAIN: a `..` on the way, and a rename somewhere on the machine, so that the kernel cannot tell whether the
        // path stayed inside.
        let mut tries = (0..TRIES).map(|_| openat2(self.root.as_fd(), path, how));
        tries.find(|tried| !matches!(tried, Err(Errno::EAGAIN))).unwrap_or(Err(Errno::EAGAIN))
    }
}

/// The path by which this process reaches what it holds open.
pub fn by_descriptor(held: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()))
}

/// An opened file for reading, refused unless it is a regular one.
pub(super) fn regular(opened: OwnedFd, path: &Path) -> Result<fs_err::File> {
    let file = fs_err::File::from_parts(opened.into(), path);
    if file.metadata()?.is_file() { Ok(file) } else { Err(Error::new("that is no regular file")) }
}

/// A path below the tree's root, as one sees it inside.
pub(super) fn shown(path: &Path) -> String {
    format!("/{}", path.strip_prefix("/").unwrap_or(path).display())
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

    #[test]
    fn files_are_read_and_written_inside_the_tree_only() {
        let outside = tempfile::tempdir().unwrap();
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        fs_err::write(outside.path().join("secret"), "theirs").unwrap();
        std::os::unix::fs::symlink(outside.path(), at("escape")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), at("file")).unwrap();
        std::os::unix::fs::symlink("/real", at("here")).unwrap();
        fs_err::create_dir(at("real")).unwrap();
        let opened = Tree::open(tree.path()).unwrap();
        assert_eq!(opened.read("file").unwrap(), None);
        assert!(!opened.exists("escape/secret").unwrap());
        assert!(opened.kind("file").unwrap().is_some() && opened.kind("escape/secret").unwrap().is_none());
        assert!(opened.write("escape/secret", "mine").is_err());
        opened.write("file", "mine").unwrap();
        // An absolute link is one within the tree, as for programs that run there.
        opened.write("/here/it", "mine").unwrap();
        assert_eq!(opened.text("/here/it").unwrap().as_deref(), Some("mine"));
        assert_eq!(opened.place("here").unwrap().unwrap(), fs_err::canonicalize(at("real")).unwrap());
        assert!(at("file").symlink_metadata().unwrap().is_file());
        assert_eq!(fs_err::read_to_string(outside.path().join("secret")).unwrap(), "theirs");
    }

    #[test]
    fn a_pipe_is_no_file_to_read() {
        let tree = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&tree.path().join("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
        let opened = Tree::open(tree.path()).unwrap();
        assert!(opened.read("pipe").unwrap_err().to_string().contains("regular"));
        opened.write("pipe", "text").unwrap();
        assert_eq!(opened.text("pipe").unwrap().as_deref(), Some("text"));
    }
}
