//! What every byte of the filesystem is for.

use super::{Filesystem, inode};
use crate::diff::atlas::Atlas;
use crate::diff::text::printable;

/// What a stretch of the filesystem is for. What is none of these is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Around the superblock: for boot loaders.
    Boot,
    /// The superblock, or its copy in a group.
    Superblock(u64),
    /// The group descriptors, or their copy in a group.
    Descriptors(u64),
    /// Kept for more group descriptors, in a group.
    Reserved(u64),
    /// The bitmap of a group's blocks.
    BlockBitmap(u64),
    /// The bitmap of a group's inodes.
    InodeBitmap(u64),
    /// The inodes of a group.
    Inodes(u64),
    /// Content of an inode.
    Content(u32),
    /// Behind the end of an inode's content, in its last block.
    Slack(u32),
    /// Kept for an inode, but never written.
    Unwritten(u32),
    /// The map of an inode's blocks.
    Map(u32),
    /// Extended attributes of an inode.
    Attributes(u32),
    /// Behind the filesystem's last block.
    Outside,
}

impl Filesystem {
    /// The atlas of the whole partition, in bytes from its start.
    pub(super) fn places(&self) -> Atlas<Place> {
        let superblock = &self.superblock;
        let size = superblock.block_size;
        let mut places = Vec::new();
        let mut add = |block: u64, blocks: u64, place: Place| {
            places.push((block * size..(block + blocks) * size, place));
        };
        for group in 0..superblock.groups() {
            let start = superblock.group_start(group);
            if superblock.has_copies(group) {
                let descriptors = superblock.descriptor_blocks();
                if group > 0 {
                    add(start, 1, Place::Superblock(group));
                }
                add(start + 1, descriptors, Place::Descriptors(group));
                add(start + 1 + descriptors, superblock.reserved_descriptors, Place::Reserved(group));
            }
        }
        let table = (u64::from(superblock.inodes_per_group) * superblock.inode_size).div_ceil(size);
        for (group, descriptor) in (0..).zip(&self.descriptors) {
            // What lies elsewhere is a damaged descriptor's claim.
            let exists = |block: &u64| *block < superblock.blocks;
            for (block, blocks, place) in [
                (descriptor.block_bitmap, 1, Place::BlockBitmap(group)),
                (descriptor.inode_bitmap, 1, Place::InodeBitmap(group)),
                (descriptor.inode_table, table, Place::Inodes(group)),
            ] {
                if exists(&block) {
                    add(block, blocks, place);
                }
            }
        }
        for (&number, stored) in &self.inodes {
            for &block in &stored.map.blocks {
                add(block, 1, Place::Map(number));
            }
            let attributes = stored.inode.attribute_block();
            if (1..superblock.blocks).contains(&attributes) {
                add(attributes, 1, Place::Attributes(number));
            }
        }
        let end = superblock.blocks * size;
        for (&number, stored) in &self.inodes {
            for extent in &stored.map.extents {
                let (start, length) = (extent.physical * size, extent.blocks * size);
                if !extent.written {
                    places.push((start..start + length, Place::Unwritten(number)));
                    continue;
                }
                let content = stored.inode.size().saturating_sub(extent.logical * size).min(length);
                places.push((start..start + content, Place::Content(number)));
                places.push((start + content..start + length, Place::Slack(number)));
            }
        }
        places.push((0..1024, Place::Boot));
        places.push((2048..size, Place::Boot));
        places.push((1024..2048, Place::Superblock(0)));
        places.push((end..u64::MAX, Place::Outside));
        places.retain(|(range, _)| !range.is_empty());
        Atlas::new(places)
    }

    /// A place for people.
    pub(super) fn describe(&self, place: Option<&Place>) -> String {
        let copy = |group: u64, what: &str| match group {
            0 => what.to_owned(),
            group => format!("copy of the {what} in group {group}"),
        };
        match place.copied() {
            None => "free space".into(),
            Some(Place::Boot) => "boot block".into(),
            Some(Place::Superblock(group)) => copy(group, "superblock"),
            Some(Place::Descriptors(group)) => copy(group, "group descriptors"),
            Some(Place::Reserved(group)) => format!("room for group descriptors in group {group}"),
            Some(Place::BlockBitmap(group)) => format!("block bitmap of group {group}"),
            Some(Place::InodeBitmap(group)) => format!("inode bitmap of group {group}"),
            Some(Place::Inodes(group)) => format!("inode table of group {group}"),
            Some(Place::Content(inode::JOURNAL)) => "journal (inode 8)".into(),
            Some(Place::Content(number)) => match self.paths.get(&number) {
                Some(paths) if self.inodes[&number].inode.mode() & 0xf000 == 0x4000 => {
                    format!("directory {} (inode {number})", printable(&paths[0]))
                }
                Some(_) => format!("content of {}", self.inode_name(number)),
                None => self.inode_name(number),
            },
            Some(Place::Slack(number)) => format!("behind the end of {}", self.inode_name(number)),
            Some(Place::Unwritten(number)) => format!("unwritten block of {}", self.inode_name(number)),
            Some(Place::Map(number)) => format!("block map of {}", self.inode_name(number)),
            Some(Place::Attributes(number)) => {
                format!("extended attributes of {}", self.inode_name(number))
            }
            Some(Place::Outside) => "behind the filesystem".into(),
        }
    }
}
