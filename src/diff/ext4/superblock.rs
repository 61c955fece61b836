//! The superblock and the group descriptors (Linux, Documentation/filesystems/ext4/super.rst and group_descr.rst).

use crate::diff::le::{Field, split_u64, u16_at, u32_at};
use crate::diff::source::ReadAt;
use crate::error::{Error, Result};

/// Where the superblock lies, and how long it is.
pub const OFFSET: u64 = 1024;
/// Bytes of a superblock.
pub const LENGTH: usize = 1024;

const MAGIC: u16 = 0xef53;
/// Features that move structures to places that are not known here.
const INCOMPAT_META_BG: u32 = 0x10;
const INCOMPAT_64BIT: u32 = 0x80;
const COMPAT_SPARSE_SUPER2: u32 = 0x200;
const RO_COMPAT_SPARSE_SUPER: u32 = 0x1;
const RO_COMPAT_BIGALLOC: u32 = 0x200;
/// The journal holds changes that are not yet written back.
const INCOMPAT_RECOVER: u32 = 0x4;

/// What the superblock says about the filesystem's measures.
#[derive(Debug, Clone)]
pub struct Superblock {
    /// The structure itself.
    pub bytes: Vec<u8>,
    /// Bytes of a block.
    pub block_size: u64,
    /// Blocks of the filesystem.
    pub blocks: u64,
    /// The block that group 0 begins with: 1 when blocks have 1 KiB.
    pub first_block: u64,
    /// Blocks of a group; the last may have fewer.
    pub blocks_per_group: u64,
    /// Inodes of a group.
    pub inodes_per_group: u32,
    /// Bytes of an inode.
    pub inode_size: u64,
    /// Bytes of a group descriptor.
    pub descriptor_size: u64,
    /// Blocks behind the group descriptors that are kept for more of them.
    pub reserved_descriptors: u64,
}

impl Superblock {
    /// Whether there is one, be it of use or not.
    pub fn is_there(source: &dyn ReadAt) -> bool {
        let magic = OFFSET + 0x38;
        source.bytes(magic..magic + 2, 2).is_ok_and(|bytes| u16_at(&bytes, 0) == MAGIC)
    }

    /// Reads the superblock of the filesystem at the start of `source`. Checksums are not looked at: a damaged
    /// filesystem is compared, too.
    pub fn read(source: &dyn ReadAt) -> Result<Self> {
        let bytes = source.bytes(OFFSET..OFFSET + LENGTH as u64, LENGTH)?;
        if u16_at(&bytes, 0x38) != MAGIC {
            return Err(Error::new("there is no ext4 superblock"));
        }
        let word = |at| u64::from(u32_at(&bytes, at));
        let (compat, incompat, ro_compat) =
            (u32_at(&bytes, 0x5c), u32_at(&bytes, 0x60), u32_at(&bytes, 0x64));
        let unsupported = [
            (incompat & INCOMPAT_META_BG, "meta_bg"),
            (compat & COMPAT_SPARSE_SUPER2, "sparse_super2"),
            (ro_compat & RO_COMPAT_BIGALLOC, "bigalloc"),
        ];
        if let Some((_, name)) = unsupported.iter().find(|(bit, _)| *bit != 0) {
            return Err(Error::new(format!("it has ext4's feature {name}, which goldcast does not read")));
        }
        let is_64bit = incompat & INCOMPAT_64BIT != 0;
        let damaged = || Error::new("its superblock holds numbers that cannot be");
        let log_size = u32_at(&bytes, 0x18);
        // Up to 32 KiB: beyond, directory records are written in another way.
        if log_size > 5 {
            return Err(damaged());
        }
        let old = u32_at(&bytes, 0x4c) == 0;
        let superblock = Self {
            block_size: 1024 << log_size,
            blocks: if is_64bit { split_u64(&bytes, 0x4, 0x150) } else { word(0x4) },
            first_block: word(0x14),
            blocks_per_group: word(0x20),
            inodes_per_group: u32_at(&bytes, 0x28),
            inode_size: if old { 128 } else { u64::from(u16_at(&bytes, 0x58)) },
            descriptor_size: if is_64bit { u64::from(u16_at(&bytes, 0xfe)) } else { 32 },
            reserved_descriptors: u64::from(u16_at(&bytes, 0xce)),
            bytes,
        };
        let bits = superblock.block_size * 8;
        let sound = superblock.first_block == u64::from(log_size == 0)
            && (1..=bits).contains(&superblock.blocks_per_group)
            && (1..=bits).contains(&u64::from(superblock.inodes_per_group))
            && superblock.inode_size.is_power_of_two()
            && (128..=superblock.block_size.min(4096)).contains(&superblock.inode_size)
            && superblock.descriptor_size.is_power_of_two()
            && (32..=1024).contains(&superblock.descriptor_size)
            && (3..=1024).contains(&superblock.first_inode())
            && superblock.blocks > superblock.first_block
            && superblock.blocks < 1 << 48
            && u64::from(superblock.inodes()) <= superblock.groups() * u64::from(superblock.inodes_per_group);
        if !sound {
            return Err(damaged());
        }
        if superblock.blocks * superblock.block_size > source.size() {
            return Err(Error::new("it is larger than its partition"));
        }
        Ok(superblock)
    }

    /// Inodes of the filesystem.
    pub fn inodes(&self) -> u32 {
        u32_at(&self.bytes, 0)
    }

    /// The first inode that is not reserved for the filesystem itself.
    pub fn first_inode(&self) -> u32 {
        if u32_at(&self.bytes, 0x4c) == 0 { 11 } else { u32_at(&self.bytes, 0x54) }
    }

    /// The inode of the file that keeps track of deleted files in use (feature orphan_file); 0 for none.
    pub fn orphan_file(&self) -> u32 {
        u32_at(&self.bytes, 0x280)
    }

    /// The UUID in its usual form.
    pub fn uuid(&self) -> String {
        let bytes: [u8; 16] = self.bytes[0x68..0x78].try_into().unwrap_or_default();
        uuid::Uuid::from_bytes(bytes).to_string()
    }

    /// The label.
    pub fn label(&self) -> &[u8] {
        let label = &self.bytes[0x78..0x88];
        &label[..label.iter().position(|&byte| byte == 0).unwrap_or(label.len())]
    }

    /// Whether the journal must be replayed before the filesystem is what its user last saw.
    pub fn needs_recovery(&self) -> bool {
        u32_at(&self.bytes, 0x60) & INCOMPAT_RECOVER != 0
    }

    /// Number of groups.
    pub fn groups(&self) -> u64 {
        (self.blocks - self.first_block).div_ceil(self.blocks_per_group)
    }

    /// Blocks that the group descriptors take.
    pub fn descriptor_blocks(&self) -> u64 {
        (self.groups() * self.descriptor_size).div_ceil(self.block_size)
    }

    /// First block of a group.
    pub fn group_start(&self, group: u64) -> u64 {
        self.first_block + group * self.blocks_per_group
    }

    /// Whether a group begins with copies of superblock and descriptors: all without sparse_super, with it groups 0, 1
    /// and the powers of 3, 5 and 7.
    pub fn has_copies(&self, group: u64) -> bool {
        let power_of = |base: u64| {
            let mut power = base;
            while power < group {
                power *= base;
            }
            power == group
        };
        let sparse = u32_at(&self.bytes, 0x64) & RO_COMPAT_SPARSE_SUPER != 0;
        !sparse || group <= 1 || power_of(3) || power_of(5) || power_of(7)
    }

    /// The descriptor of every group.
    pub fn descriptors(&self, source: &dyn ReadAt) -> Result<Vec<Descriptor>> {
        let start = (self.first_block + 1) * self.block_size;
        let end = start + self.groups() * self.descriptor_size;
        let bytes = source.bytes(start..end, 1 << 28)?;
        Ok(bytes
            .chunks_exact(self.descriptor_size as usize)
            .map(|bytes| {
                // The high halves are there when descriptors have 64 bytes; beyond the end they are 0.
                let block = |low: usize| split_u64(bytes, low, low + 0x20);
                Descriptor { block_bitmap: block(0), inode_bitmap: block(4), inode_table: block(8) }
            })
            .collect())
    }

    /// Whether two filesystems have every structure at the same place.
    pub fn same_measures(&self, other: &Self) -> bool {
        let measures = |of: &Self| {
            let sizes = (of.block_size, of.blocks, of.first_block, of.blocks_per_group);
            (sizes, of.inodes_per_group, of.inode_size, of.descriptor_size, of.reserved_descriptors)
        };
        measures(self) == measures(other)
    }
}

/// Where a group keeps its structures, as block numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// The bitmap of its blocks.
    pub block_bitmap: u64,
    /// The bitmap of its inodes.
    pub inode_bitmap: u64,
    /// The first block of its inodes.
    pub inode_table: u64,
}

/// Fields of the superblock that follow from what is stored; they are told only when nothing else explains them.
pub const FREE: [&str; 2] = ["free blocks count", "free inodes count"];
/// Name of every checksum field here.
pub const CHECKSUM: &str = "checksum";
/// Fields that are told with the partition.
pub const TOLD: [&str; 2] = ["UUID", "label"];

/// The superblock's fields.
pub const FIELDS: &[Field] = &[
    (0x0, 4, "inodes count"),
    (0x4, 4, "blocks count"),
    (0x8, 4, "reserved blocks count"),
    (0xc, 4, "free blocks count"),
    (0x10, 4, "free inodes count"),
    (0x14, 4, "first data block"),
    (0x18, 4, "block size"),
    (0x1c, 4, "cluster size"),
    (0x20, 4, "blocks per group"),
    (0x24, 4, "clusters per group"),
    (0x28, 4, "inodes per group"),
    (0x2c, 4, "mount time"),
    (0x30, 4, "write time"),
    (0x34, 2, "mount count"),
    (0x36, 2, "maximum mount count"),
    (0x38, 2, "magic number"),
    (0x3a, 2, "state"),
    (0x3c, 2, "error behaviour"),
    (0x3e, 2, "minor revision"),
    (0x40, 4, "time of last check"),
    (0x44, 4, "check interval"),
    (0x48, 4, "creator system"),
    (0x4c, 4, "revision"),
    (0x50, 2, "uid of reserved blocks"),
    (0x52, 2, "gid of reserved blocks"),
    (0x54, 4, "first inode"),
    (0x58, 2, "inode size"),
    (0x5a, 2, "block group number"),
    (0x5c, 12, "features"),
    (0x68, 16, "UUID"),
    (0x78, 16, "label"),
    (0x88, 64, "last mount point"),
    (0xcc, 2, "preallocation"),
    (0xce, 2, "reserved descriptor blocks"),
    (0xd0, 24, "journal"),
    (0xe8, 4, "orphan list"),
    (0xec, 16, "directory hash seed"),
    (0xfc, 1, "directory hash version"),
    (0xfd, 1, "journal backup type"),
    (0xfe, 2, "descriptor size"),
    (0x100, 4, "default mount options"),
    (0x104, 4, "first metablock group"),
    (0x108, 4, "creation time"),
    (0x10c, 68, "journal backup"),
    (0x150, 4, "blocks count"),
    (0x154, 4, "reserved blocks count"),
    (0x158, 4, "free blocks count"),
    (0x15c, 4, "extra inode size"),
    (0x160, 4, "flags"),
    (0x164, 2, "RAID stride"),
    (0x166, 10, "multiple mount protection"),
    (0x170, 4, "RAID stripe width"),
    (0x174, 1, "groups per flex group"),
    (0x175, 1, "checksum type"),
    (0x178, 8, "kilobytes written"),
    (0x180, 20, "snapshot"),
    (0x194, 108, "error record"),
    (0x200, 64, "mount options"),
    (0x240, 8, "quota inodes"),
    (0x248, 4, "overhead blocks"),
    (0x24c, 8, "backup groups"),
    (0x254, 20, "encryption"),
    (0x268, 4, "lost+found inode"),
    (0x26c, 4, "project quota inode"),
    (0x270, 4, "checksum seed"),
    (0x274, 1, "write time"),
    (0x275, 1, "mount time"),
    (0x276, 1, "creation time"),
    (0x277, 1, "time of last check"),
    (0x278, 4, "error record"),
    (0x27c, 4, "encoding"),
    (0x280, 4, "orphan file inode"),
    (0x3fc, 4, CHECKSUM),
];

/// A group descriptor's fields.
pub const DESCRIPTOR_FIELDS: &[Field] = &[
    (0x0, 4, "place of the block bitmap"),
    (0x4, 4, "place of the inode bitmap"),
    (0x8, 4, "place of the inode table"),
    (0xc, 2, "free blocks count"),
    (0xe, 2, "free inodes count"),
    (0x10, 2, "directories count"),
    (0x12, 2, "flags"),
    (0x14, 4, "place of the exclude bitmap"),
    (0x18, 2, "checksum of the block bitmap"),
    (0x1a, 2, "checksum of the inode bitmap"),
    (0x1c, 2, "unused inodes count"),
    (0x1e, 2, CHECKSUM),
    (0x20, 4, "place of the block bitmap"),
    (0x24, 4, "place of the inode bitmap"),
    (0x28, 4, "place of the inode table"),
    (0x2c, 2, "free blocks count"),
    (0x2e, 2, "free inodes count"),
    (0x30, 2, "directories count"),
    (0x32, 2, "unused inodes count"),
    (0x34, 4, "place of the exclude bitmap"),
    (0x38, 2, "checksum of the block bitmap"),
    (0x3a, 2, "checksum of the inode bitmap"),
];
