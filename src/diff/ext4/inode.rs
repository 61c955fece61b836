//! An inode as it lies on the disk (Linux, Documentation/filesystems/ext4/inodes.rst).

use crate::diff::le::{Field, u16_at, u32_at};
use crate::diff::tree::Kind;

/// The root directory.
pub const ROOT: u32 = 2;
/// Keeps blocks for the group descriptors of a larger filesystem.
pub const RESIZE: u32 = 7;
/// The journal.
pub const JOURNAL: u32 = 8;

/// Its blocks are described by extents, not by block lists.
const FLAG_EXTENTS: u32 = 0x8_0000;
/// Its content lies in the inode itself.
const FLAG_INLINE: u32 = 0x1000_0000;
/// Its content is encrypted.
const FLAG_ENCRYPTED: u32 = 0x800;

/// Where the block map lies, and how long it is.
pub const MAP: std::ops::Range<usize> = 0x28..0x64;

/// One inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// The structure itself, as long as the filesystem's inodes are: 128 bytes or more.
    pub bytes: Vec<u8>,
}

impl Inode {
    /// Type and permissions.
    pub fn mode(&self) -> u32 {
        u32::from(u16_at(&self.bytes, 0))
    }

    /// Owner and group.
    pub fn owner(&self) -> (u32, u32) {
        let id = |low, high| u32::from(u16_at(&self.bytes, low)) | u32::from(u16_at(&self.bytes, high)) << 16;
        (id(0x2, 0x78), id(0x18, 0x7a))
    }

    /// Bytes of its content.
    pub fn size(&self) -> u64 {
        u64::from(u32_at(&self.bytes, 0x4)) | u64::from(u32_at(&self.bytes, 0x6c)) << 32
    }

    /// Number of names.
    pub fn links(&self) -> u16 {
        u16_at(&self.bytes, 0x1a)
    }

    /// Modification time: seconds and nanoseconds since 1970.
    pub fn modified(&self) -> (i64, u32) {
        let seconds = i64::from(u32_at(&self.bytes, 0x10) as i32);
        // Two bits of the extra field extend the seconds, 30 are the nanoseconds.
        let extra = if self.extra() >= 0x8c - 0x80 { u32_at(&self.bytes, 0x88) } else { 0 };
        (seconds + (i64::from(extra & 3) << 32), extra >> 2)
    }

    /// Bytes of the fields behind the first 128.
    fn extra(&self) -> usize {
        usize::from(u16_at(&self.bytes, 0x80))
    }

    /// Block of its extended attributes; 0 for none.
    pub fn attribute_block(&self) -> u64 {
        u64::from(u32_at(&self.bytes, 0x68)) | u64::from(u16_at(&self.bytes, 0x76)) << 32
    }

    /// The space behind the fields, where extended attributes may lie.
    pub fn attribute_space(&self) -> &[u8] {
        self.bytes.get(128 + self.extra()..).unwrap_or_default()
    }

    /// The 60 bytes of its block map.
    pub fn map(&self) -> &[u8] {
        &self.bytes[MAP]
    }

    /// Whether the block map is a tree of extents.
    pub fn has_extents(&self) -> bool {
        u32_at(&self.bytes, 0x20) & FLAG_EXTENTS != 0
    }

    /// Why its content cannot be read here, if so.
    pub fn unreadable(&self) -> Option<&'static str> {
        match u32_at(&self.bytes, 0x20) {
            flags if flags & FLAG_INLINE != 0 => Some("its content lies in the inode (inline_data)"),
            flags if flags & FLAG_ENCRYPTED != 0 => Some("it is encrypted"),
            _ => None,
        }
    }

    /// Whether anything is stored under this number.
    pub fn is_used(&self) -> bool {
        self.links() > 0 && self.mode() != 0
    }

    /// Whether its block map holds something else: a device's number or a short link's target.
    pub fn is_mapless(&self) -> bool {
        match self.mode() & 0xf000 {
            0x4000 | 0x8000 => false,
            0xa000 => self.size() < 60,
            _ => true,
        }
    }

    /// Whether it has a block map, and neither that nor content in its place.
    pub fn has_map(&self) -> bool {
        !self.is_mapless() && u32_at(&self.bytes, 0x20) & FLAG_INLINE == 0
    }

    /// What it is; a symbolic link's target is given by the caller.
    pub fn kind(&self, target: Vec<u8>) -> Kind {
        let device = || {
            // The old form has 8 bits for each number, the new one 12 and 20 (Linux, ext4_iget).
            match (u32_at(self.map(), 0), u32_at(self.map(), 4)) {
                (0, new) => (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xf_ff00),
                (old, _) => (old >> 8 & 0xff, old & 0xff),
            }
        };
        match self.mode() & 0xf000 {
            0x8000 => Kind::File,
            0x4000 => Kind::Directory,
            0xa000 => Kind::Link(target),
            0x1000 => Kind::Fifo,
            0xc000 => Kind::Socket,
            0x2000 => Kind::Character(device().0, device().1),
            0x6000 => Kind::Block(device().0, device().1),
            other => Kind::Unknown(other),
        }
    }
}

/// Fields that are compared as properties of the file.
pub const TOLD: [&str; 4] = ["mode", "owner", "size", "modification time"];
/// Name of the block map.
pub const BLOCK_MAP: &str = "block map";
/// Name of the number of blocks.
pub const BLOCKS: &str = "blocks count";
/// Name of the number of names.
pub const LINKS: &str = "links count";
/// Name of the extended attributes and where they lie.
pub const ATTRIBUTES: &str = "extended attributes";
/// Name of the checksum.
pub const CHECKSUM: &str = "checksum";

/// The inode's fields. What lies behind the last is [`ATTRIBUTES`].
pub const FIELDS: &[Field] = &[
    (0x0, 2, "mode"),
    (0x2, 2, "owner"),
    (0x4, 4, "size"),
    (0x8, 4, "access time"),
    (0xc, 4, "change time"),
    (0x10, 4, "modification time"),
    (0x14, 4, "deletion time"),
    (0x18, 2, "owner"),
    (0x1a, 2, LINKS),
    (0x1c, 4, BLOCKS),
    (0x20, 4, "flags"),
    (0x24, 4, "version"),
    (0x28, 60, BLOCK_MAP),
    (0x64, 4, "generation"),
    (0x68, 4, ATTRIBUTES),
    (0x6c, 4, "size"),
    (0x74, 2, BLOCKS),
    (0x76, 2, ATTRIBUTES),
    (0x78, 4, "owner"),
    (0x7c, 2, CHECKSUM),
    (0x80, 2, "extra size"),
    (0x82, 2, CHECKSUM),
    (0x84, 4, "change time"),
    (0x88, 4, "modification time"),
    (0x8c, 4, "access time"),
    (0x90, 8, "creation time"),
    (0x98, 4, "version"),
    (0x9c, 4, "project"),
    (0xa0, 0x7f60, ATTRIBUTES),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn inode(mode: u16) -> Inode {
        let mut bytes = vec![0; 256];
        bytes[0..2].copy_from_slice(&mode.to_le_bytes());
        bytes[0x80] = 32;
        Inode { bytes }
    }

    #[test]
    fn times_go_beyond_2038_and_before_1970() {
        let mut late = inode(0x81a4);
        late.bytes[0x10..0x14].copy_from_slice(&1u32.to_le_bytes());
        late.bytes[0x88..0x8c].copy_from_slice(&(7 << 2 | 1u32).to_le_bytes());
        assert_eq!(late.modified(), ((1 << 32) + 1, 7));
        late.bytes[0x80] = 0;
        assert_eq!(late.modified(), (1, 0), "the extra field is not in use");
        let mut early = inode(0x81a4);
        early.bytes[0x10..0x14].copy_from_slice(&(-5i32).to_le_bytes());
        assert_eq!(early.modified(), (-5, 0));
    }

    #[test]
    fn owners_have_32_bits() {
        let mut inode = inode(0x81a4);
        inode.bytes[0x2..0x4].copy_from_slice(&[1, 0]);
        inode.bytes[0x78..0x7c].copy_from_slice(&[2, 0, 3, 0]);
        assert_eq!(inode.owner(), (0x2_0001, 0x3_0000));
    }

    #[test]
    fn device_numbers_are_read_in_both_forms() {
        let mut device = inode(0x21b6);
        device.bytes[0x28..0x2c].copy_from_slice(&0x0103u32.to_le_bytes());
        assert_eq!(device.kind(Vec::new()), Kind::Character(1, 3));
        device.bytes[0x28..0x2c].fill(0);
        // 259:300 is 0x12c with 0x1 above the major number.
        device.bytes[0x2c..0x30].copy_from_slice(&0x0011_032cu32.to_le_bytes());
        assert_eq!(device.kind(Vec::new()), Kind::Character(0x103, 0x12c));
    }
}
