//! One walk over the tree: what it takes up in each filesystem, and what mke2fs(8) cannot be trusted to copy.

use super::sparse::{self, Piece, Pieces};
use crate::error::{Context, Error, Result};
use crate::interrupt;
use crate::tree::attributes;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use std::collections::HashSet;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Bytes of a block of a filesystem.
pub const BLOCK: u64 = 4096;
/// Bytes of a piece of a file. A file without a piece that is all zeros is counted whole: it has few of them.
const STRETCH: usize = 1 << 20;
/// Extents in a block of their tree: it has room for 340 (ext4, struct ext4_extent), and a split leaves half of it empty.
const EXTENTS: u64 = 170;
/// So many blocks in a row are one extent or a few; it ends with its group at the latest, which has four times as many.
const EXTENT: u64 = 8192;
/// A symbolic link's target up to this length lies in the inode (ext4(5), "fast symlinks").
const FAST_SYMLINK: u64 = 59;

/// What a filesystem is to hold; numbers depend on the content only, never on the host's filesystem.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Inodes, hard links counted once.
    pub inodes: u64,
    /// Blocks of 4 KiB for files, directories, long links and attributes; a little more than needed.
    pub blocks: u64,
    /// Extended attributes that belong in the image, sorted by path and name.
    pub attributes: Vec<Attribute>,
}

/// One extended attribute of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The file, as an absolute path in its filesystem.
    pub path: PathBuf,
    /// The attribute's name: `security.capability`.
    pub name: String,
    /// Its value as getxattr(2) gives it.
    pub value: Vec<u8>,
}

/// Walks the tree, for filesystems with these mount points in the same order; the first is the root's. Access times before `epoch` are raised to it on the way: mke2fs copies access times, only
/// clamping them down to the epoch, and whether reading a file moves its access time depends on the host.
pub fn survey(tree: &Path, epoch: i64, mounts: &[&str]) -> Result<Vec<Survey>> {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    if (now as i64) < epoch {
        // Change times cannot be set, and mke2fs only clamps those that are later than the epoch.
        return Err(Error::new("this machine's clock is before the time of the lock")
            .because(format!(
                "the clock says {now}, the lock's source-date-epoch is {epoch} (seconds since 1970)"
            ))
            .hint("set the clock"));
    }
    let metadata = fs_err::symlink_metadata(tree)?;
    let places = mounts.iter().map(|mount| tree.join(mount.trim_start_matches('/'))).collect();
    let mut walk = Walk {
        epoch,
        device: metadata.dev(),
        places,
        linked: HashSet::new(),
        found: mounts.iter().map(|_| Survey::default()).collect(),
        buffer: Vec::new(),
    };
    walk.root(0)?;
    for (mount, survey) in mounts.iter().zip(&mut walk.found) {
        if survey.inodes == 0 {
            return Err(Error::usage(format!("a partition cannot be mounted at {mount}"))
                .because("in the image that is no directory of its own, but a link, or below one")
                .hint("say the directory that the link leads to as `mount` of the [[partition]]"));
        }
        survey.attributes.sort_by(|a, b| (&a.path, &a.name).cmp(&(&b.path, &b.name)));
    }
    Ok(walk.found)
}

struct Walk {
    epoch: i64,
    device: u64,
    /// Where each filesystem begins.
    places: Vec<PathBuf>,
    /// Files that were met, by filesystem: names in two of them are two files.
    linked: HashSet<(usize, u64, u64)>,
    found: Vec<Survey>,
    /// A piece of the file that is being read.
    buffer: Vec<u8>,
}

impl Walk {
    /// Walks what is in filesystem `to`.
    fn root(&mut self, to: usize) -> Result<()> {
        let directory = self.places[to].clone();
        self.found[to].inodes += 1;
        self.attributes(&directory, to)?;
        self.directory(&directory, to)
    }

    fn directory(&mut self, directory: &Path, of: usize) -> Result<()> {
        interrupt::check()?;
        let mut used = 0;
        let mut entries = fs_err::read_dir(directory)?.collect::<std::io::Result<Vec<_>>>()?;
        // Which of a file's names is met first must not depend on the host's order.
        entries.sort_by_key(|entry| entry.file_name());
        for entry in entries {
            // A record is eight bytes and the name, rounded up to four (ext4, struct ext4_dir_entry_2).
            used += (8 + entry.file_name().len() as u64).next_multiple_of(4);
            self.entry(&entry.path(), &entry.metadata()?, of)?;
        }
        // A record never crosses a block, so that up to one longest record is lost at each block's end.
        self.found[of].blocks += 1 + used / (BLOCK - 264 - 12);
        Ok(())
    }

    fn entry(&mut self, path: &Path, metadata: &std::fs::Metadata, of: usize) -> Result<()> {
        let kind = metadata.file_type();
        let file = (of, metadata.dev(), metadata.ino());
        if metadata.nlink() > 1 && !kind.is_dir() && !self.linked.insert(file) {
            return Ok(());
        }
        self.found[of].inodes += 1;
        if metadata.atime() < self.epoch {
            let access = TimeSpec::new(self.epoch, 0);
            utimensat(
                nix::fcntl::AT_FDCWD,
                path,
                &access,
                &TimeSpec::UTIME_OMIT,
                UtimensatFlags::NoFollowSymlink,
            )
            .doing_with(|| format!("setting the access time of {}", path.display()))?;
        }
        if kind.is_dir() {
            if metadata.dev() != self.device {
                return Err(Error::new(format!("something is mounted in the tree, at {}", path.display())));
            }
            match self.places.iter().position(|place| place == path) {
                // A mount point is an empty directory where it is, and the root of what is mounted there.
                Some(mounted) => {
                    self.found[of].blocks += 1;
                    self.root(mounted)?;
                }
                None => self.directory(path, of)?,
            }
        } else if kind.is_symlink() {
            self.found[of].blocks += u64::from(metadata.size() > FAST_SYMLINK);
        } else if kind.is_file() {
            let blocks = self.blocks(path, metadata.size())?;
            self.found[of].blocks += blocks;
        } else if !(kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket()) {
            return Err(Error::new(format!(
                "{} is of a kind that has no place in a filesystem",
                path.display()
            )));
        }
        if !kind.is_symlink() {
            self.attributes(path, of)?;
        }
        Ok(())
    }

    /// Blocks of a file and of the tree of its extents, which it has when they are more than four. Blocks of zeros are
    /// none: mke2fs leaves them out, be they stored or a hole.
    fn blocks(&mut self, path: &Path, size: u64) -> Result<u64> {
        let whole = size.div_ceil(BLOCK);
        let whole = whole + u64::from(whole > EXTENT);
        if size < STRETCH as u64 {
            return Ok(whole);
        }
        let (mut stretches, mut blocks, mut extents, mut inside) = (0_u64, 0_u64, 0_u64, false);
        let mut pieces = Pieces::open(path, STRETCH)?;
        while let Some(piece) = pieces.next(&mut self.buffer)? {
            match piece {
                Piece::Zeros(length) => {
                    stretches += u64::from(length == STRETCH);
                    inside = false;
                }
                Piece::Data => {
                    for block in self.buffer.chunks(BLOCK as usize) {
                        let stored = !sparse::is_zero(block);
                        blocks += u64::from(stored);
                        extents += u64::from(stored && !inside);
                        inside = stored;
                    }
                }
            }
        }
        if stretches == 0 {
            return Ok(whole);
        }
        let extents = extents + blocks / EXTENT;
        Ok(blocks + if extents > 4 { 1 + extents / EXTENTS } else { 0 })
    }

    fn attributes(&mut self, path: &Path, of: usize) -> Result<()> {
        let kept = attributes::of(path)?;
        let inside = Path::new("/").join(path.strip_prefix(&self.places[of]).unwrap_or(path));
        let found = &mut self.found[of];
        found.blocks += u64::from(!kept.is_empty());
        found.attributes.extend(kept.into_iter().map(|(name, value)| Attribute {
            path: inside.clone(),
            name,
            value,
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const EPOCH: i64 = 1_600_000_000;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path();
        fs_err::create_dir_all(path.join("a/b")).unwrap();
        fs_err::write(path.join("a/file"), vec![1; 4097]).unwrap();
        fs_err::hard_link(path.join("a/file"), path.join("a/link")).unwrap();
        fs_err::write(path.join("a/empty"), "").unwrap();
        symlink("short", path.join("a/short")).unwrap();
        symlink("x".repeat(60), path.join("a/long")).unwrap();
        tree
    }

    fn whole(tree: &Path) -> Survey {
        survey(tree, EPOCH, &["/"]).unwrap().remove(0)
    }

    #[test]
    fn each_filesystem_has_its_own_and_mount_points_are_empty_directories() {
        let tree = tree();
        fs_err::create_dir(tree.path().join("a/b/c")).unwrap();
        fs_err::write(tree.path().join("a/b/c/file"), [1; 5000]).unwrap();
        fs_err::hard_link(tree.path().join("a/file"), tree.path().join("a/b/link")).unwrap();
        let found = survey(tree.path(), EPOCH, &["/", "/a", "/a/b/c"]).unwrap();
        let counted: Vec<(u64, u64)> = found.iter().map(|found| (found.inodes, found.blocks)).collect();
        // The root and a; a with b, b's mount point c, file, empty, short and long; c with its file.
        assert_eq!(counted, [(2, 2), (7, 3 + 2 + 1), (2, 1 + 2)]);
        // A file with names in two filesystems is two files.
        let found = survey(tree.path(), EPOCH, &["/", "/a/b"]).unwrap();
        assert_eq!(found.iter().map(|found| found.inodes).collect::<Vec<_>>(), [7, 4]);
    }

    #[test]
    fn a_mount_point_below_a_link_is_refused() {
        let tree = tree();
        symlink("a", tree.path().join("to-a")).unwrap();
        for mount in ["/to-a", "/to-a/b", "/nowhere", "/a/file"] {
            let error = survey(tree.path(), EPOCH, &["/", mount]).unwrap_err();
            assert!(error.what().ends_with(mount), "{error}");
            assert_eq!(error.exit().code(), 2);
        }
    }

    #[test]
    fn links_are_counted_once_and_sizes_in_blocks() {
        let found = whole(tree().path());
        // Root, a, b, file, empty, short, long.
        assert_eq!(found.inodes, 7);
        // Three directories, two blocks of the file, one of the long link.
        assert_eq!(found.blocks, 3 + 2 + 1);
    }

    #[test]
    fn long_stretches_of_zeros_take_no_blocks_stored_or_not() {
        let tree = tempfile::tempdir().unwrap();
        let count = |bytes: &[u8], size: u64| {
            let path = tree.path().join("file");
            fs_err::write(&path, bytes).unwrap();
            fs_err::OpenOptions::new().write(true).open(&path).unwrap().set_len(size).unwrap();
            // Less the directory.
            whole(tree.path()).blocks - 1
        };
        assert_eq!(count(&[1], 20 << 30), 1);
        let mut zeros = vec![0_u8; 3 << 20];
        assert_eq!(count(&zeros, 3 << 20), 0);
        zeros[(3 << 20) - 1] = 1;
        assert_eq!(count(&zeros, 3 << 20), 1);
        let mut short = vec![1_u8; 3 << 20];
        short[4096..2 << 20].fill(0);
        assert_eq!(count(&short, 3 << 20), 257);
        // No whole piece.
        short[(1 << 20) + 4096] = 1;
        assert_eq!(count(&short, 3 << 20), 768);
        // Every other block of a MiB: 128 extents and their tree.
        let mut scattered = vec![0_u8; 2 << 20];
        scattered[1 << 20..].iter_mut().step_by(8192).for_each(|byte| *byte = 1);
        assert_eq!(count(&scattered, 2 << 20), 129);
    }

    #[test]
    fn a_directory_of_many_names_takes_more_blocks() {
        let tree = tempfile::tempdir().unwrap();
        for number in 0..100 {
            fs_err::write(tree.path().join(format!("{number:0>100}")), "").unwrap();
        }
        assert_eq!(whole(tree.path()).blocks, 1 + 100 * 108 / 3820);
    }

    #[test]
    fn old_access_times_are_raised_and_modification_times_left_alone() {
        let tree = tree();
        let file = tree.path().join("a/file");
        let old = TimeSpec::new(1_000_000_000, 0);
        utimensat(nix::fcntl::AT_FDCWD, &file, &old, &old, UtimensatFlags::NoFollowSymlink).unwrap();
        whole(tree.path());
        let metadata = fs_err::metadata(&file).unwrap();
        assert_eq!((metadata.atime(), metadata.mtime()), (EPOCH, 1_000_000_000));
    }

    #[test]
    fn a_clock_before_the_lock_is_refused() {
        let error = survey(tree().path(), i64::MAX, &["/"]).unwrap_err();
        assert_eq!(error.advice(), Some("set the clock"));
    }

    #[test]
    fn attributes_are_found_where_the_filesystem_has_them() {
        let tree = tree();
        let file = tree.path().join("a/file");
        if let Err(error) = xattr::set(&file, "user.b", b"2") {
            return println!("could not check: the filesystem has no attributes: {error}");
        }
        xattr::set(&file, "user.a", b"1").unwrap();
        let found = whole(tree.path()).attributes;
        assert!(found.iter().all(|found| found.path == Path::new("/a/file")), "{found:?}");
        assert_eq!(found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["user.a", "user.b"]);
    }
}
