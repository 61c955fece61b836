//! A tree to write in, over another one that stays as it is: by an overlay filesystem, else by a copy.

use super::copy;
use crate::error::{Context, Error, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

/// A writable tree that begins as another one.
#[derive(Debug)]
pub struct View {
    tree: PathBuf,
    /// The directories that an overlay shows through this one, the topmost first; none when it is a copy.
    layers: Vec<PathBuf>,
}

impl View {
    /// A view over `lowers`, the topmost first, below the new directory `place`. The lowers must not change while it
    /// lasts. Overlay filesystems are refused by some kernels and on some filesystems; then what the lowers show is
    /// copied, from `seen`.
    pub fn over(lowers: &[PathBuf], seen: &Path, place: &Path) -> Result<Self> {
        let tree = place.join("tree");
        fs_err::create_dir_all(&tree)?;
        match overlay(lowers, place, &tree) {
            Ok(upper) => {
                let layers = std::iter::once(upper).chain(lowers.iter().cloned()).collect();
                Ok(Self { tree, layers })
            }
            Err(_) => Self::copied(seen, place),
        }
    }

    /// A view that is a copy of `seen`.
    pub fn copied(seen: &Path, place: &Path) -> Result<Self> {
        let tree = place.join("tree");
        copy::tree(seen, &tree)?;
        Ok(Self { tree, layers: Vec::new() })
    }

    /// Where it is.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// What another view over this one takes as its lowers.
    pub fn layers(&self) -> Vec<PathBuf> {
        if self.layers.is_empty() { vec![self.tree.clone()] } else { self.layers.clone() }
    }

    /// Whether names that share a file in the lower tree `seen` do not share it here. An overlay copies a file when it
    /// is first written to, and only under the name that is written to: a copied tree would show the change under all.
    pub fn separated_links(&self, seen: &Path) -> Result<bool> {
        if self.layers.is_empty() {
            return Ok(false);
        }
        let mut groups: HashMap<u64, Vec<PathBuf>> = HashMap::new();
        shared(seen, Path::new(""), &mut groups)?;
        let inode = |path: &PathBuf| self.tree.join(path).symlink_metadata().ok().map(|file| file.ino());
        Ok(groups.values().any(|names| {
            let there: HashSet<u64> = names.iter().filter_map(inode).collect();
            there.len() > 1
        }))
    }
}

/// Files with several names, by inode.
fn shared(tree: &Path, below: &Path, groups: &mut HashMap<u64, Vec<PathBuf>>) -> Result<()> {
    for entry in fs_err::read_dir(tree.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            shared(tree, &path, groups)?;
            continue;
        }
        let metadata = entry.metadata()?;
        if metadata.nlink() > 1 {
            groups.entry(metadata.ino()).or_default().push(path);
        }
    }
    Ok(())
}

impl Drop for View {
    fn drop(&mut self) {
        if !self.layers.is_empty() {
            umount2(&self.tree, MntFlags::MNT_DETACH).ok();
        }
    }
}

/// Mounts an overlay and returns its upper directory.
fn overlay(lowers: &[PathBuf], place: &Path, tree: &Path) -> Result<PathBuf> {
    let (upper, work) = (place.join("upper"), place.join("work"));
    for directory in [&upper, &work] {
        fs_err::create_dir(directory)?;
    }
    // Some filesystems let an overlay be mounted and fail only when a directory is replaced: they have no attributes.
    xattr::set(&work, "user.goldcast.probe", b"1").doing("probing for extended attributes")?;
    let seen = fs_err::metadata(&lowers[0])?;
    chown(&upper, Some(seen.uid()), Some(seen.gid())).doing("owning the upper directory")?;
    fs_err::set_permissions(&upper, seen.permissions())?;
    // The kernel's list of lowers is separated by colons, and options by commas; paths with these are not for it.
    let lowers: Vec<String> = lowers.iter().map(|path| path.display().to_string()).collect();
    if lowers.iter().chain([&place.display().to_string()]).any(|path| path.contains([':', ',', '\\'])) {
        return Err(Error::new("a path holds a sign that mount options cannot"));
    }
    // userxattr: trusted attributes are not for user namespaces (overlayfs.rst, "User xattr").
    let options = format!(
        "lowerdir={},upperdir={},workdir={},userxattr",
        lowers.join(":"),
        upper.display(),
        work.display()
    );
    mount(Some("overlay"), tree, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .doing("mounting an overlay")?;
    Ok(upper)
}
