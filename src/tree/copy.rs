//! Copying a tree with owners, modes, times, hard links and extended attributes.

use crate::error::{Context, Error, Result};
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat};
use std::collections::HashMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// Copies `from` to `to`, which is replaced.
pub fn tree(from: &Path, to: &Path) -> Result<()> {
    match to.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs_err::remove_dir_all(to)?,
        Ok(_) => fs_err::remove_file(to)?,
        Err(_) => {}
    }
    if let Some(parent) = to.parent() {
        fs_err::create_dir_all(parent)?;
    }
    entry(from, to, &mut HashMap::new())
        .doing_with(|| format!("copying {} to {}", from.display(), to.display()))
}

fn entry(from: &Path, to: &Path, links: &mut HashMap<u64, PathBuf>) -> Result<()> {
    let metadata = fs_err::symlink_metadata(from)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        fs_err::create_dir(to)?;
        for child in fs_err::read_dir(from)? {
            let child = child?;
            entry(&child.path(), &to.join(child.file_name()), links)?;
        }
    } else if kind.is_symlink() {
        symlink(fs_err::read_link(from)?, to)?;
    } else if kind.is_file() {
        if metadata.nlink() > 1 {
            if let Some(first) = links.get(&metadata.ino()) {
                return Ok(fs_err::hard_link(first, to)?);
            }
            links.insert(metadata.ino(), to.to_path_buf());
        }
        fs_err::copy(from, to)?;
    } else if kind.is_fifo() {
        nix::unistd::mkfifo(to, nix::sys::stat::Mode::from_bits_truncate(0o600))?;
    } else {
        return Err(Error::new(format!("{} is of a kind that no package ships", from.display())));
    }
    let owner = (Some(Uid::from_raw(metadata.uid())), Some(Gid::from_raw(metadata.gid())));
    fchownat(AT_FDCWD, to, owner.0, owner.1, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if !kind.is_symlink() {
        fs_err::set_permissions(to, metadata.permissions())?;
        for name in xattr::list(from)? {
            if let Some(value) = xattr::get(from, &name)? {
                xattr::set(to, &name, &value)?;
            }
        }
    }
    let time = TimeSpec::new(metadata.mtime(), metadata.mtime_nsec());
    utimensat(AT_FDCWD, to, &time, &time, UtimensatFlags::NoFollowSymlink)?;
    Ok(())
}
