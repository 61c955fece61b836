//! A tree to write in, over another one that stays as it is: by an overlay filesystem, else by a copy.

use super::copy;
use crate::error::{Context, Error, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
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

    /// A directory that holds, at the paths they have in the tree, all files that are not those of the lower tree any
    /// more; those that are gone are device nodes there. Nothing when only the whole tree tells.
    pub fn touched(&self) -> Option<&Path> {
        self.layers.first().map(PathBuf::as_path)
    }

    /// Whether a file that has several names in the lower tree `seen` was written to here. An overlay copies a file when
    /// it is first written to, and only under the name that is written to: a copied tree would show the change under all.
    pub fn separated_links(&self, seen: &Path) -> Result<bool> {
        self.touched().map_or(Ok(false), |upper| separated(upper, seen, Path::new("")))
    }
}

fn separated(upper: &Path, seen: &Path, below: &Path) -> Result<bool> {
    // Below a new directory nothing has a name there, and what a link in its place leads to is not of the tree.
    if !seen.join(below).symlink_metadata().is_ok_and(|lower| lower.is_dir()) {
        return Ok(false);
    }
    for entry in fs_err::read_dir(upper.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let found = if entry.file_type()?.is_dir() {
            separated(upper, seen, &path)?
        } else {
            let lower = seen.join(&path).symlink_metadata();
            lower.is_ok_and(|lower| lower.is_file() && lower.nlink() > 1)
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
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
