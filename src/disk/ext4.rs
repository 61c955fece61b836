//! A filesystem: mke2fs(8) writes it, with its part of the tree in it, at its place in the disk file.

use super::filesystem::Filesystem;
use super::identity::Volume;
use super::survey::{Attribute, BLOCK, Survey};
use crate::error::{Context, Error, Result};
use crate::recipe::plan::RootSize;
use crate::sandbox::{Command, Output, Tools};
use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What Debian 13's mke2fs turns on, spelled out so that no configuration file decides. GRUB 2.12 reads all of
/// it; metadata_csum_seed lets an installed system change its UUID while mounted.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,\
    metadata_csum_seed,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum,orphan_file";
/// One inode for this many bytes, Debian's default; more when the tree needs them.
const BYTES_PER_INODE: u64 = 16384;
/// Blocks that only root may fill, in percent. The usual five are too much once the disk has grown.
const RESERVED_PERCENT: u64 = 1;
/// The journal keeps its size when the filesystem grows, so it is made for a disk of some 10 GiB.
const JOURNAL_MEBIBYTES: u64 = 64;
/// Journals of small filesystems of a fixed size: below so many bytes, so many MiB.
const SMALL_JOURNALS: [(u64, u64); 2] = [(128 << 20, 4), (1 << 30, 16)];
const BLOCKS_PER_GROUP: u64 = 32768;
const INODE_SIZE: u64 = 256;
const DESCRIPTOR_SIZE: u64 = 64;

/// The filesystem's measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Blocks of 4 KiB.
    pub blocks: u64,
    /// Inodes.
    pub inodes: u64,
    /// MiB of journal.
    pub journal: u64,
}

impl Geometry {
    /// Measures that hold what was surveyed: a function of its content and the recipe alone.
    pub fn new(survey: &Survey, filesystem: &Filesystem) -> Result<Self> {
        match filesystem.size {
            RootSize::Auto => {
                let free = filesystem.free.div_ceil(BLOCK);
                let mut blocks = survey.blocks + free;
                // What the filesystem itself takes grows with it, a few percent; so this ends soon.
                loop {
                    let geometry = Self::of(survey, blocks, JOURNAL_MEBIBYTES);
                    let wanted = geometry.needed(survey, free).next_multiple_of((1 << 20) / BLOCK);
                    if wanted <= blocks {
                        return Ok(geometry);
                    }
                    blocks = wanted;
                }
            }
            RootSize::Bytes(bytes) => {
                let small = SMALL_JOURNALS.iter().find(|(below, _)| bytes < *below);
                let journal = small.map_or(JOURNAL_MEBIBYTES, |(_, mebibytes)| *mebibytes);
                let geometry = Self::of(survey, bytes.div_ceil(1 << 20) * ((1 << 20) / BLOCK), journal);
                let needed = geometry.needed(survey, 0);
                if needed > geometry.blocks {
                    let mebibytes = (needed * BLOCK).div_ceil(1 << 20);
                    let given = geometry.size() >> 20;
                    return Err(if filesystem.is_root() {
                        Error::usage(format!(
                            "the root filesystem's contents need {mebibytes} MiB, and root-size gives {given}"
                        ))
                        .hint("raise root-size in the recipe, or set it to \"auto\"")
                    } else {
                        Error::usage(format!(
                            "the contents of {} need {mebibytes} MiB, and its partition has {given}",
                            filesystem.mount
                        ))
                        .hint("raise `size` of its [[partition]] in the recipe")
                    });
                }
                Ok(geometry)
            }
        }
    }

    fn of(survey: &Survey, blocks: u64, journal: u64) -> Self {
        let spare = survey.inodes + survey.inodes / 4 + 1024;
        Self { blocks, inodes: (blocks * BLOCK / BYTES_PER_INODE).max(spare), journal }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.blocks * BLOCK
    }

    /// Blocks that the tree, the filesystem's own structures, root's reserve and `free` take in this geometry.
    fn needed(&self, survey: &Survey, free: u64) -> u64 {
        let groups = self.blocks.div_ceil(BLOCKS_PER_GROUP);
        let per_block = BLOCK / DESCRIPTOR_SIZE;
        // mke2fs keeps room for the descriptors of a filesystem 1024 times as large (its option resize).
        let grown = (self.blocks * 1024).min(1 << 32).div_ceil(BLOCKS_PER_GROUP).div_ceil(per_block);
        let descriptors = grown.min(groups.div_ceil(per_block) + BLOCK / 4);
        // Superblock copies are in groups 0, 1 and the powers of 3, 5 and 7 (sparse_super).
        let copies = (0..groups).filter(|&group| has_superblock(group)).count() as u64;
        let inode_tables = (self.inodes * INODE_SIZE).div_ceil(BLOCK) + groups;
        let orphan_file = 512;
        let structures = groups * 2 + copies * (1 + descriptors) + inode_tables + orphan_file;
        let journal = self.journal * ((1 << 20) / BLOCK) + 8;
        // A half percent for what no formula sees: extent trees, holes at the ends of groups.
        let contents = survey.blocks + survey.blocks / 200 + 64;
        (contents + free + structures + journal) * 100 / (100 - RESERVED_PERCENT) + 1
    }
}

fn has_superblock(group: u64) -> bool {
    let power_of = |base: u64| {
        let mut power = base;
        while power < group {
            power *= base;
        }
        power == group
    };
    group <= 1 || power_of(3) || power_of(5) || power_of(7)
}

/// Where and from what the filesystem is made.
#[derive(Debug)]
pub struct Target<'a> {
    /// The disk file; it must have its full size and a hole where the filesystem goes.
    pub disk: &'a Path,
    /// Where in it the filesystem begins, in bytes.
    pub offset: u64,
    /// The tree.
    pub tree: &'a Path,
    /// Directories that are seen in the tree in place of its own, with their paths in it: what lies there is in another
    /// filesystem.
    pub covered: &'a [(String, PathBuf)],
    /// What it is.
    pub filesystem: &'a Filesystem,
    /// Its UUID and hash seed.
    pub volume: Volume,
    /// Seconds since 1970; every time in the filesystem is clamped to it.
    pub epoch: i64,
    /// A directory for what debugfs is handed.
    pub work: &'a Path,
}

/// Makes the filesystem with the tree in it.
pub fn write(tools: &Tools, target: &Target, geometry: &Geometry, survey: &Survey) -> Result<()> {
    let Target { disk, offset, tree, filesystem, volume, epoch, .. } = target;
    // Holes read as zeros: nothing needs to be zeroed or discarded, and the kernel need not do it later.
    // Extended attributes are set afterwards, so that the host's own (SELinux labels) never come along.
    let extended = format!(
        "offset={offset},hash_seed={},root_owner=0:0,nodiscard,assume_storage_prezeroed=1,no_copy_xattrs",
        volume.hash_seed
    );
    let command = tools.command("mke2fs").bind_read_only(tree, "/in/tree");
    let covering = |command: Command, (inside, directory): &(String, PathBuf)| {
        command.bind_read_only(directory, &format!("/in/tree/{inside}"))
    };
    target
        .covered
        .iter()
        .fold(command, covering)
        .bind(disk, "/out/disk")
        // The locale orders the directory's names; mke2fs clamps all times to SOURCE_DATE_EPOCH.
        .env("LC_ALL", "C")
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .env("MKE2FS_CONFIG", "/dev/null")
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-g", "32768", "-G", "16"])
        .args(["-O", FEATURES, "-L", &filesystem.label(), "-e", "remount-ro"])
        .args(["-m", &RESERVED_PERCENT.to_string(), "-N", &geometry.inodes.to_string()])
        .args(["-J", &format!("size={}", geometry.journal)])
        .args(["-U", &volume.filesystem.to_string(), "-E", &extended])
        .args(["-d", "/in/tree", "/out/disk", &geometry.blocks.to_string()])
        .run()
        .doing_with(|| format!("making the {} filesystem", filesystem.name()))?;
    complete(tools, target, &survey.attributes)
}

/// The mode, owner, group and time of modification that mke2fs gives to the root directory.
fn made_root(epoch: i64) -> (u32, u32, u32, i64) {
    (0o40755, 0, 0, epoch)
}

/// Commands of debugfs(8) that give the root directory what it has in the tree.
fn root_commands(tree: &Path, epoch: i64) -> Result<String> {
    let root = fs_err::symlink_metadata(tree)?;
    let (mode, owner, group, modified) = (root.mode(), root.uid(), root.gid(), root.mtime());
    if (mode, owner, group, modified) == made_root(epoch) {
        return Ok(String::new());
    }
    Ok(format!(
        "set_inode_field / mode 0{mode:o}\nset_inode_field / uid {owner}\nset_inode_field / gid {group}\n\
         set_inode_field / mtime @{modified}\n"
    ))
}

/// Does by debugfs(8) what mke2fs does not: the root directory's own properties, and extended attributes, for each of
/// which it takes a file.
fn complete(tools: &Tools, target: &Target, attributes: &[Attribute]) -> Result<()> {
    // The tree's own directory is the workspace's; those in it are the packages' and the recipe's.
    let mut commands = match target.filesystem.is_root() {
        true => String::new(),
        false => root_commands(target.tree, target.epoch)?,
    };
    if attributes.is_empty() && commands.is_empty() {
        return Ok(());
    }
    let doing = || format!("setting owners and attributes in the {} filesystem", target.filesystem.name());
    let values = tempfile::tempdir_in(target.work).doing_with(doing)?;
    for (number, attribute) in attributes.iter().enumerate() {
        fs_err::write(values.path().join(number.to_string()), &attribute.value)?;
        let (path, name) = (quoted(attribute.path.to_str())?, quoted(Some(&attribute.name))?);
        // Writing to a String cannot fail.
        let _ = writeln!(commands, "ea_set -f /in/values/{number} {path} {name}");
    }
    fs_err::write(values.path().join("commands"), commands)?;
    let command = tools
        .command("debugfs")
        .bind_read_only(values.path(), "/in/values")
        .bind(target.disk, "/out/disk")
        .env("SOURCE_DATE_EPOCH", target.epoch.to_string())
        .args(["-w", "-f", "/in/values/commands", &format!("/out/disk?offset={}", target.offset)]);
    let output = command.clone().output().doing_with(doing)?;
    // debugfs ends with 0 whatever happens; beside its version it says only what went wrong.
    if output.status != 0 || complaints(&output).next().is_some() {
        return Err(command.failed(&output).doing(doing()));
    }
    Ok(())
}

fn complaints(output: &Output) -> impl Iterator<Item = &str> {
    let text = std::str::from_utf8(&output.stderr).unwrap_or("unreadable");
    text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("debugfs "))
}

/// A word for debugfs, which knows quotes but no escapes.
fn quoted(word: Option<&str>) -> Result<String> {
    match word {
        Some(word) if !word.contains(['"', '\n', '\r', '\0']) => Ok(format!("\"{word}\"")),
        _ => Err(Error::new("a file with extended attributes has a name that debugfs cannot be told")
            .because(format!("{word:?}"))
            .hint("names of such files must be UTF-8 without quotes and line ends")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filesystem(mount: &str, size: RootSize, free: u64) -> Filesystem {
        Filesystem { mount: mount.into(), size, free, options: String::new() }
    }

    fn root(size: RootSize, free: u64) -> Filesystem {
        filesystem("/", size, free)
    }

    fn survey(inodes: u64, blocks: u64) -> Survey {
        Survey { inodes, blocks, attributes: Vec::new() }
    }

    #[test]
    fn superblock_copies_are_where_sparse_super_puts_them() {
        let groups: Vec<u64> = (0..130).filter(|&group| has_superblock(group)).collect();
        assert_eq!(groups, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }

    #[test]
    fn a_fixed_size_that_is_too_small_says_how_much_is_needed() {
        let error = Geometry::new(&survey(1000, 100_000), &root(RootSize::Bytes(300 << 20), 0)).unwrap_err();
        assert_eq!(error.exit().code(), 2);
        assert!(error.what().ends_with("root-size gives 300"), "{error}");
        assert!(error.advice().unwrap().contains("root-size"));
    }

    #[test]
    fn a_partition_that_is_too_small_is_named_and_a_small_one_has_a_small_journal() {
        let of = |mebibytes: u64| filesystem("/var/log", RootSize::Bytes(mebibytes << 20), 0);
        let error = Geometry::new(&survey(10, 20_000), &of(64)).unwrap_err();
        assert_eq!(error.exit().code(), 2);
        assert!(error.what().starts_with("the contents of /var/log need "), "{error}");
        assert!(error.what().ends_with("and its partition has 64"), "{error}");
        for (mebibytes, journal) in [(64, 4), (127, 4), (128, 16), (1023, 16), (1024, 64)] {
            let geometry = Geometry::new(&survey(10, 10), &of(mebibytes)).unwrap();
            assert_eq!((geometry.size() >> 20, geometry.journal), (mebibytes, journal));
        }
    }

    #[test]
    fn a_fixed_size_is_kept() {
        let geometry = Geometry::new(&survey(1000, 100_000), &root(RootSize::Bytes(2 << 30), 0)).unwrap();
        assert_eq!(geometry, Geometry { blocks: 524_288, inodes: 131_072, journal: 64 });
    }

    #[test]
    fn many_small_files_get_their_inodes() {
        let geometry = Geometry::new(&survey(400_000, 100_000), &root(RootSize::Auto, 0)).unwrap();
        assert!(geometry.inodes >= 500_000);
    }

    #[test]
    fn a_root_directory_is_left_alone_only_when_it_is_as_mke2fs_makes_it() {
        use nix::unistd::{Gid, Uid};
        let tree = tempfile::tempdir().unwrap();
        fs_err::set_permissions(tree.path(), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
        let modified = fs_err::metadata(tree.path()).unwrap().mtime();
        let (owner, group) = (Uid::effective(), Gid::effective());
        assert_eq!(
            root_commands(tree.path(), 5).unwrap(),
            format!(
                "set_inode_field / mode 041777\nset_inode_field / uid {owner}\nset_inode_field / gid {group}\n\
                 set_inode_field / mtime @{modified}\n"
            )
        );
        fs_err::set_permissions(tree.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        if owner.is_root() && group.as_raw() == 0 {
            assert_eq!(root_commands(tree.path(), modified).unwrap(), "");
        }
        assert_ne!(root_commands(tree.path(), modified + 1).unwrap(), "");
    }

    #[test]
    fn words_that_debugfs_would_misread_are_refused() {
        assert_eq!(quoted(Some("/a b")).unwrap(), "\"/a b\"");
        for word in [Some("/a\"b"), Some("/a\nrm /"), None] {
            assert!(quoted(word).is_err());
        }
    }

    proptest! {
        #[test]
        fn auto_sizes_hold_the_tree_and_what_was_asked_free(
            inodes in 1u64..500_000, blocks in 1u64..20_000_000, free in 0u64..(1 << 40),
        ) {
            let survey = survey(inodes, blocks);
            let geometry = Geometry::new(&survey, &root(RootSize::Auto, free)).unwrap();
            prop_assert!(geometry.inodes > inodes);
            prop_assert!(geometry.size() >= blocks * BLOCK + free + (64 << 20));
            prop_assert_eq!(geometry.size() % (1 << 20), 0);
            // The filesystem's own share stays modest: a twentieth, and a floor for journal and tables.
            prop_assert!(geometry.size() < (blocks * BLOCK + free + inodes * 512) / 19 * 20 + (96 << 20));
        }
    }
}
