//! Where an inode's content lies: extents, or the block lists of ext2 (Linux, Documentation/filesystems/ext4/ifork.rst).

use super::inode::Inode;
use crate::diff::le::{u16_at, u32_at};
use crate::diff::source::ReadAt;
use crate::error::{Error, Result};

const EXTENT_MAGIC: u16 = 0xf30a;
/// A tree of extents has no more levels than this.
const DEEPEST: u16 = 5;
/// Longer extents are unwritten ones, by so many blocks.
const WRITTEN: u64 = 32768;
/// More pieces, or blocks of the map, than a sound file of an image has.
const LIMIT: usize = 1 << 20;

/// Blocks in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first one's number in the file.
    pub logical: u64,
    /// The first one's number in the filesystem.
    pub physical: u64,
    /// How many.
    pub blocks: u64,
    /// Whether they hold content; others are only reserved and read as zeros.
    pub written: bool,
}

/// The blocks of an inode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Map {
    /// Its content.
    pub extents: Vec<Extent>,
    /// The blocks that the map itself takes.
    pub blocks: Vec<u64>,
}

/// Reads maps of one filesystem.
pub struct Mapper<'a> {
    /// The filesystem.
    pub source: &'a dyn ReadAt,
    /// Bytes of its blocks.
    pub block_size: u64,
    /// Number of its blocks.
    pub blocks: u64,
}

impl Mapper<'_> {
    /// The map of an inode that has one.
    pub fn map(&self, inode: &Inode) -> Result<Map> {
        let mut map = Map::default();
        if inode.has_extents() {
            self.extents(inode.map(), DEEPEST, &mut map)?;
        } else {
            let end = inode.size().div_ceil(self.block_size);
            let mut logical = 0;
            for at in 0..15 {
                self.list(u32_at(inode.map(), at * 4), at.saturating_sub(11), &mut logical, end, &mut map)?;
            }
        }
        Ok(map)
    }

    fn extents(&self, node: &[u8], deepest: u16, map: &mut Map) -> Result<()> {
        let (magic, entries, depth) = (u16_at(node, 0), usize::from(u16_at(node, 2)), u16_at(node, 6));
        if magic != EXTENT_MAGIC || depth > deepest || (entries + 1) * 12 > node.len() {
            return Err(damaged());
        }
        for entry in node.chunks_exact(12).skip(1).take(entries) {
            if depth == 0 {
                let length = u64::from(u16_at(entry, 4));
                let written = length <= WRITTEN;
                let extent = Extent {
                    logical: u64::from(u32_at(entry, 0)),
                    physical: u64::from(u16_at(entry, 6)) << 32 | u64::from(u32_at(entry, 8)),
                    blocks: if written { length } else { length - WRITTEN },
                    written,
                };
                self.push(extent, map)?;
            } else {
                let block = u64::from(u16_at(entry, 8)) << 32 | u64::from(u32_at(entry, 4));
                let node = self.block_of_map(block, map)?;
                // One level down at least, so that it ends.
                self.extents(&node, depth - 1, map)?;
            }
        }
        Ok(())
    }

    /// A block of content (level 0), or a list of blocks of the level below.
    fn list(&self, block: u32, level: usize, logical: &mut u64, end: u64, map: &mut Map) -> Result<()> {
        let per_block = self.block_size / 4;
        if block == 0 || *logical >= end {
            *logical = logical.saturating_add(per_block.saturating_pow(level as u32));
            return Ok(());
        }
        if level == 0 {
            let extent = Extent { logical: *logical, physical: u64::from(block), blocks: 1, written: true };
            *logical += 1;
            return self.push(extent, map);
        }
        for entry in self.block_of_map(u64::from(block), map)?.chunks_exact(4) {
            self.list(u32_at(entry, 0), level - 1, logical, end, map)?;
        }
        Ok(())
    }

    fn push(&self, extent: Extent, map: &mut Map) -> Result<()> {
        let end = extent.physical.checked_add(extent.blocks);
        if extent.physical == 0 || end.is_none_or(|end| end > self.blocks) || map.extents.len() >= LIMIT {
            return Err(damaged());
        }
        match map.extents.last_mut() {
            Some(last)
                if last.written == extent.written
                    && last.logical + last.blocks == extent.logical
                    && last.physical + last.blocks == extent.physical =>
            {
                last.blocks += extent.blocks;
            }
            _ => map.extents.push(extent),
        }
        Ok(())
    }

    fn block_of_map(&self, block: u64, map: &mut Map) -> Result<Vec<u8>> {
        if block == 0 || block >= self.blocks || map.blocks.len() >= LIMIT {
            return Err(damaged());
        }
        map.blocks.push(block);
        self.source.bytes(block * self.block_size..(block + 1) * self.block_size, self.block_size as usize)
    }
}

fn damaged() -> Error {
    Error::new("its block map is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: u64 = 1024;

    fn mapped(source: &Vec<u8>, flags: u32, size: u32, map: &[u8]) -> Result<Map> {
        let mut bytes = vec![0; 128];
        bytes[0x4..0x8].copy_from_slice(&size.to_le_bytes());
        bytes[0x20..0x24].copy_from_slice(&flags.to_le_bytes());
        bytes[0x28..0x28 + map.len()].copy_from_slice(map);
        let blocks = source.len() as u64 / SIZE;
        Mapper { source, block_size: SIZE, blocks }.map(&Inode { bytes })
    }

    fn node(depth: u16, entries: &[[u8; 12]]) -> Vec<u8> {
        let mut bytes = vec![0x0a, 0xf3];
        for number in [entries.len() as u16, 4, depth, 0, 0] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(entries.concat());
        bytes
    }

    #[test]
    fn extents_join_and_unwritten_ones_are_told_apart() {
        let leaf = node(
            0,
            &[
                [0, 0, 0, 0, 2, 0, 0, 0, 10, 0, 0, 0],
                [2, 0, 0, 0, 1, 0, 0, 0, 12, 0, 0, 0],
                [9, 0, 0, 0, 3, 0x80, 0, 0, 20, 0, 0, 0],
            ],
        );
        let map = mapped(&vec![0; 32 << 10], 0x8_0000, 0, &leaf).unwrap();
        let extent = |logical, physical, blocks, written| Extent { logical, physical, blocks, written };
        assert_eq!(map.extents, [extent(0, 10, 3, true), extent(9, 20, 3, false)]);
    }

    #[test]
    fn a_tree_that_leads_to_itself_ends() {
        let index = node(1, &[[0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]]);
        let mut source = vec![0; 32 << 10];
        source[5 << 10..(5 << 10) + index.len()].copy_from_slice(&index);
        assert!(mapped(&source, 0x8_0000, 0, &index).is_err());
        let leaf = node(0, &[[0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0]]);
        source[5 << 10..(5 << 10) + leaf.len()].copy_from_slice(&leaf);
        let map = mapped(&source, 0x8_0000, 0, &index).unwrap();
        assert_eq!((map.blocks, map.extents[0].physical), (vec![5], 9));
    }

    #[test]
    fn block_lists_of_three_levels_are_followed() {
        let mut source = vec![0; 64 << 10];
        let mut link = |block: usize, at: usize, to: u8| source[(block << 10) + at * 4] = to;
        link(20, 0, 30);
        link(21, 0, 22);
        link(22, 1, 31);
        let mut list = [0; 60];
        (list[0], list[44], list[48], list[52]) = (10, 11, 20, 21);
        let map = mapped(&source, 0, 600 << 10, &list).unwrap();
        let places: Vec<_> = map.extents.iter().map(|extent| (extent.logical, extent.physical)).collect();
        assert_eq!(places, [(0, 10), (11, 11), (12, 30), (12 + 256 + 1, 31)]);
        assert_eq!(map.blocks, [20, 21, 22]);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(
            map in proptest::collection::vec(any::<u8>(), 60),
            noise in proptest::collection::vec(any::<u8>(), 8 << 10),
            depth in 0u8..7, extents: bool,
        ) {
            let mut source = noise;
            let mut map = map;
            for at in (0..source.len()).step_by(1024) {
                source[at..at + 8].copy_from_slice(&[0x0a, 0xf3, 84, 0, 84, 0, depth.saturating_sub(1), 0]);
            }
            map[..8].copy_from_slice(&[0x0a, 0xf3, 4, 0, 4, 0, depth, 0]);
            let _ = mapped(&source, if extents { 0x8_0000 } else { 0 }, u32::MAX, &map);
        }
    }
}
