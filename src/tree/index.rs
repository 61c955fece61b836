//! What is in a tree, path by path: enough to tell whether two trees are the same, and where they are not.

use super::attributes;
use crate::error::{Context, Result};
use crate::interrupt;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Type and permission bits, `st_mode` of inode(7).
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
    /// Bytes of a regular file; the device number of a device node; else 0.
    pub size: u64,
    /// BLAKE3 of a regular file's bytes, or of a symbolic link's target.
    pub content: [u8; 32],
    /// Of a file with several names in the tree: the first of them in byte order.
    pub first_name: Option<PathBuf>,
    /// Extended attributes that belong in an image, by name.
    pub attributes: Vec<(String, Vec<u8>)>,
}

impl Node {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.mode & nix::libc::S_IFMT == nix::libc::S_IFDIR
    }
}

/// A tree's files by path below its root; the root itself is the empty path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index(BTreeMap<PathBuf, Node>);

/// Where a tree is not like another one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Paths that are new or not the same, in order.
    pub changed: BTreeSet<PathBuf>,
    /// Paths that are gone; of a directory that is gone, only the directory itself.
    pub removed: BTreeSet<PathBuf>,
}

impl Index {
    /// Reads the whole tree, every byte of it.
    pub fn of(tree: &Path) -> Result<Self> {
        let mut paths = vec![PathBuf::new()];
        collect(tree, Path::new(""), &mut paths)?;
        paths.sort();
        let mut found: Vec<Found> =
            paths.into_par_iter().with_min_len(64).map(|path| node(tree, path)).collect::<Result<_>>()?;
        let mut first: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
        for (path, _, inode) in &found {
            if let Some(inode) = inode {
                first.entry(*inode).or_insert_with(|| path.clone());
            }
        }
        for (_, node, inode) in &mut found {
            node.first_name = inode.and_then(|inode| first.get(&inode).cloned());
        }
        Ok(Self(found.into_iter().map(|(path, node, _)| (path, node)).collect()))
    }

    /// The files, in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&PathBuf, &Node)> {
        self.0.iter()
    }

    /// One file.
    pub fn get(&self, path: &Path) -> Option<&Node> {
        self.0.get(path)
    }

    /// BLAKE3 over everything, in hex: two trees have the same digest when nothing tells them apart.
    pub fn digest(&self) -> String {
        let mut hash = blake3::Hasher::new();
        let mut field = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for (path, node) in &self.0 {
            field(path.as_os_str().as_encoded_bytes());
            for number in [node.mode, node.uid, node.gid] {
                field(&number.to_le_bytes());
            }
            field(&node.mtime.to_le_bytes());
            field(&node.size.to_le_bytes());
            field(&node.content);
            field(node.first_name.as_deref().unwrap_or(Path::new("")).as_os_str().as_encoded_bytes());
            for (name, value) in &node.attributes {
                field(name.as_bytes());
                field(value);
            }
        }
        hash.finalize().to_hex().to_string()
    }

    /// What must be done to `earlier` to get this.
    pub fn changes_from(&self, earlier: &Self) -> Changes {
        let mut changes = Changes::default();
        for (path, node) in &self.0 {
            if earlier.0.get(path) != Some(node) {
                changes.changed.insert(path.clone());
            }
        }
        for path in earlier.0.keys().filter(|path| !self.0.contains_key(*path)) {
            let gone_above = path.ancestors().skip(1).any(|above| changes.removed.contains(above));
            if !gone_above {
                changes.removed.insert(path.clone());
            }
        }
        changes
    }
}

fn collect(tree: &Path, below: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    interrupt::check()?;
    for entry in fs_err::read_dir(tree.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let is_directory = entry.file_type()?.is_dir();
        if is_directory {
            collect(tree, &path, paths)?;
        }
        paths.push(path);
    }
    Ok(())
}

/// A path, its node, and device and inode when the file has several names.
type Found = (PathBuf, Node, Option<(u64, u64)>);

fn node(tree: &Path, path: PathBuf) -> Result<Found> {
    let full = tree.join(&path);
    let metadata = fs_err::symlink_metadata(&full)?;
    let kind = metadata.file_type();
    let (size, content) = if kind.is_file() {
        (metadata.size(), digest(&full)?)
    } else if kind.is_symlink() {
        (0, *blake3::hash(fs_err::read_link(&full)?.as_os_str().as_encoded_bytes()).as_bytes())
    } else {
        (metadata.rdev(), [0; 32])
    };
    let inode = (metadata.nlink() > 1 && !kind.is_dir()).then(|| (metadata.dev(), metadata.ino()));
    let node = Node {
        mode: metadata.mode(),
        uid: metadata.uid(),
        gid: metadata.gid(),
        mtime: metadata.mtime(),
        size,
        content,
        first_name: None,
        attributes: if kind.is_symlink() { Vec::new() } else { attributes::of(&full)? },
    };
    Ok((path, node, inode))
}

/// BLAKE3 of a file's bytes.
fn digest(path: &Path) -> Result<[u8; 32]> {
    let mut file = fs_err::File::open(path)?;
    let mut hash = blake3::Hasher::new();
    let mut buffer = [0; 1 << 16];
    loop {
        match file.read(&mut buffer).doing_with(|| format!("reading {}", path.display()))? {
            0 => return Ok(*hash.finalize().as_bytes()),
            count => {
                hash.update(&buffer[..count]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        fs_err::create_dir_all(at("etc/x")).unwrap();
        fs_err::write(at("etc/x/file"), "content").unwrap();
        fs_err::write(at("bin"), "program").unwrap();
        fs_err::hard_link(at("bin"), at("same")).unwrap();
        symlink("bin", at("link")).unwrap();
        tree
    }

    fn paths(set: &BTreeSet<PathBuf>) -> Vec<&str> {
        set.iter().map(|path| path.to_str().unwrap()).collect()
    }

    #[test]
    fn every_kind_of_change_is_seen() {
        let tree = tree();
        let at = |name: &str| tree.path().join(name);
        let before = Index::of(tree.path()).unwrap();
        assert_eq!(before, Index::of(tree.path()).unwrap());
        let mut digests = BTreeSet::from([before.digest()]);
        let mut changed = |name: &str| {
            let now = Index::of(tree.path()).unwrap();
            assert!(digests.insert(now.digest()), "{name}");
            let changes = now.changes_from(&before);
            assert!(changes.changed.contains(Path::new(name)), "{name}: {changes:?}");
        };
        fs_err::set_permissions(at("etc/x/file"), std::fs::Permissions::from_mode(0o600)).unwrap();
        changed("etc/x/file");
        fs_err::write(at("etc/x/file"), "CONTENT").unwrap();
        changed("etc/x/file");
        fs_err::remove_file(at("link")).unwrap();
        symlink("same", at("link")).unwrap();
        changed("link");
        let file = fs_err::File::options().write(true).open(at("bin")).unwrap();
        file.file().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(5)).unwrap();
        changed("same");
        nix::unistd::mkfifo(&at("new"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        changed("new");
    }

    #[test]
    fn what_is_gone_is_told_once() {
        let tree = tree();
        let before = Index::of(tree.path()).unwrap();
        fs_err::remove_dir_all(tree.path().join("etc")).unwrap();
        fs_err::remove_file(tree.path().join("link")).unwrap();
        let changes = Index::of(tree.path()).unwrap().changes_from(&before);
        assert_eq!(paths(&changes.removed), ["etc", "link"]);
    }

    #[test]
    fn hard_links_have_a_first_name() {
        let tree = tree();
        let before = Index::of(tree.path()).unwrap();
        assert_eq!(before.get(Path::new("same")).unwrap().first_name.as_deref(), Some(Path::new("bin")));
        assert_eq!(before.get(Path::new("link")).unwrap().first_name, None);
    }
}
