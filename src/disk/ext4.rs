//! The root filesystem: mke2fs(8) writes it, with the tree in it, at its place in the disk file.

use super::Identity;
use super::survey::{Attribute, BLOCK, Survey};
use crate::error::{Context, Error, Result};
use crate::recipe::plan::{Image, RootSize};
use crate::sandbox::{Output, Tools};
use std::fmt::Write;
use std::path::Path;

/// The filesystem's label.
const LABEL: &str = "root";
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
/// The journal of a filesystem of less than 1 GiB of a fixed size.
const SMALL_JOURNAL_MEBIBYTES: u64 = 16;
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
    /// Measures that hold the tree: a function of its content and the recipe alone.
    pub fn new(survey: &Survey, image: &Image) -> Result<Self> {
        match image.root_size {
            RootSize::Auto => {
                let free = image.root_free.div_ceil(BLOCK);
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
                let journal = if bytes < 1 << 30 { SMALL_JOURNAL_MEBIBYTES } else { JOURNAL_MEBIBYTES };
                let geometry = Self::of(survey, bytes.div_ceil(1 << 20) * ((1 << 20) / BLOCK), journal);
                let needed = geometry.needed(survey, 0);
                if needed > geometry.blocks {
                    let mebibytes = (needed * BLOCK).div_ceil(1 << 20);
                    return Err(Error::usage(format!(
                        "the root filesystem's contents need {mebibytes} MiB, and root-size gives {}",
                        geometry.blocks * BLOCK >> 20
                    ))
                    .hint("raise root-size in the recipe, or set it to \"auto\""));
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
    /// Its UUID and hash seed.
    pub identity: &'a Identity,
    /// Seconds since 1970; every time in the filesystem is clamped to it.
    pub epoch: i64,
}

/// Makes the filesystem with the tree in it.
pub fn write(tools: &Tools, target: &Target, geometry: &Geometry, survey: &Survey) -> Result<()> {
    let Target { disk, offset, tree, identity, epoch } = target;
    // Holes read as zeros: nothing needs to be zeroed or discarded, and the kernel need not do it later.
    // Extended attributes are set afterwards, so that the host's own (SELinux labels) never come along.
    let extended = format!(
        "offset={offset},hash_seed={},root_owner=0:0,nodiscard,assume_storage_prezeroed=1,no_copy_xattrs",
        identity.hash_seed
    );
    tools
        .command("mke2fs")
        .bind_read_only(tree, "/in/tree")
        .bind(disk, "/out/disk")
        // The locale orders the directory's names; mke2fs clamps all times to SOURCE_DATE_EPOCH.
        .env("LC_ALL", "C")
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .env("MKE2FS_CONFIG", "/dev/null")
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-g", "32768", "-G", "16"])
        .args(["-O", FEATURES, "-L", LABEL, "-e", "remount-ro"])
        .args(["-m", &RESERVED_PERCENT.to_string(), "-N", &geometry.inodes.to_string()])
        .args(["-J", &format!("size={}", geometry.journal)])
        .args(["-U", &identity.root_filesystem.to_string(), "-E", &extended])
        .args(["-d", "/in/tree", "/out/disk", &geometry.blocks.to_string()])
        .run()
        .doing("making the root filesystem")?;
    set_attributes(tools, target, &survey.attributes)
}

/// Sets extended attributes by debugfs(8), which takes a file for each value.
fn set_attributes(tools: &Tools, target: &Target, attributes: &[Attribute]) -> Result<()> {
    if attributes.is_empty() {
        return Ok(());
    }
    let doing = "setting extended attributes in the root filesystem";
    let values = tempfile::tempdir().doing(doing)?;
    let mut commands = String::new();
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
    let output = command.clone().output().doing(doing)?;
    // debugfs ends with 0 whatever happens; beside its version it says only what went wrong.
    if output.status != 0 || complaints(&output).next().is_some() {
        return Err(command.failed(&output).doing(doing));
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

    fn image(root_size: RootSize, root_free: u64) -> Image {
        Image { root_size, root_free, formats: Vec::new(), hostname: "host".into() }
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
        let error = Geometry::new(&survey(1000, 100_000), &image(RootSize::Bytes(300 << 20), 0)).unwrap_err();
        assert_eq!(error.exit().code(), 2);
        assert!(error.what().ends_with("root-size gives 300"), "{error}");
        assert!(error.advice().unwrap().contains("root-size"));
    }

    #[test]
    fn a_fixed_size_is_kept() {
        let geometry = Geometry::new(&survey(1000, 100_000), &image(RootSize::Bytes(2 << 30), 0)).unwrap();
        assert_eq!(geometry, Geometry { blocks: 524_288, inodes: 131_072, journal: 64 });
    }

    #[test]
    fn many_small_files_get_their_inodes() {
        let geometry = Geometry::new(&survey(400_000, 100_000), &image(RootSize::Auto, 0)).unwrap();
        assert!(geometry.inodes >= 500_000);
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
            let geometry = Geometry::new(&survey, &image(RootSize::Auto, free)).unwrap();
            prop_assert!(geometry.inodes > inodes);
            prop_assert!(geometry.size() >= blocks * BLOCK + free + (64 << 20));
            prop_assert_eq!(geometry.size() % (1 << 20), 0);
            // The filesystem's own share stays modest: a twentieth, and a floor for journal and tables.
            prop_assert!(geometry.size() < (blocks * BLOCK + free + inodes * 512) / 19 * 20 + (96 << 20));
        }
    }
}
