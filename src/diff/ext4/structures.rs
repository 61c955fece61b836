//! Comparing the filesystem's own structures: superblock, group descriptors, bitmaps, and their copies.

use super::compare::Pair;
use super::places::Place;
use super::{Filesystem, superblock};
use crate::diff::atlas::Atlas;
use crate::diff::findings::count;
use crate::diff::le;
use crate::diff::tree::Kind;
use crate::error::Result;

/// Whether what a bit of a bitmap stands for is in use on either side, and its name.
type Bit = (bool, bool, String);

impl Pair<'_> {
    pub(super) fn superblocks(&mut self) {
        let (a, b) = (&self.a.superblock.bytes, &self.b.superblock.bytes);
        let fields = le::differing(superblock::FIELDS, a, b);
        for (name, range) in &fields {
            let follows = match *name {
                name if superblock::TOLD.contains(&name) => true,
                name if superblock::FREE.contains(&name) => self.changed.allocation(),
                superblock::CHECKSUM => fields.iter().any(|(other, _)| other != name),
                _ => false,
            };
            self.field(superblock::OFFSET, range, count(a, b, range), follows, || {
                format!("superblock: {name}")
            });
        }
    }

    pub(super) fn superblock_copy(&mut self, offset: u64, group: u64, a: &[u8], b: &[u8]) {
        let primary = le::differing(superblock::FIELDS, &self.a.superblock.bytes, &self.b.superblock.bytes);
        let fields = le::differing(superblock::FIELDS, a, b);
        for (name, range) in &fields {
            let follows = primary.iter().any(|(other, _)| other == name);
            self.field(offset, range, count(a, b, range), follows, || {
                format!("copy of the superblock in group {group}: {name}")
            });
        }
    }

    pub(super) fn descriptors(&mut self, offset: u64, copy: u64, a: &[u8], b: &[u8]) -> Result<()> {
        let superblock = &self.a.superblock;
        let (size, block) = (superblock.descriptor_size, superblock.block_size);
        let in_table = offset - (superblock.group_start(copy) + 1) * block;
        if copy > 0 {
            let start = (superblock.first_block + 1) * block + in_table;
            let range = start..start + a.len() as u64;
            let follows = self.a.source.bytes(range.clone(), a.len())? == a
                && self.b.source.bytes(range, b.len())? == b;
            self.whole(offset, follows, a, b, Some(Place::Descriptors(copy)));
            return Ok(());
        }
        let pairs = a.chunks(size as usize).zip(b.chunks(size as usize));
        for (group, (a, b)) in (in_table / size..).zip(pairs) {
            let fields = le::differing(superblock::DESCRIPTOR_FIELDS, a, b);
            for (name, range) in &fields {
                let follows = match *name {
                    "free blocks count" | "checksum of the block bitmap" => {
                        self.bitmaps_differ(group, |group| group.block_bitmap)
                    }
                    "free inodes count" | "unused inodes count" | "checksum of the inode bitmap" => {
                        self.bitmaps_differ(group, |group| group.inode_bitmap)
                    }
                    // A directory may take the number of a file that is gone.
                    "directories count" => self.directories_differ(),
                    superblock::CHECKSUM => fields.iter().any(|(other, _)| other != name),
                    _ => false,
                };
                let offset = offset + group * size - in_table;
                self.field(offset, range, count(a, b, range), follows, || {
                    format!("descriptor of group {group}: {name}")
                });
            }
        }
        Ok(())
    }

    /// Whether there are other directories.
    fn directories_differ(&self) -> bool {
        self.changed.paths.iter().filter(|(_, of)| of.presence || of.kind).any(|(path, _)| {
            let entry = |fs: &'_ Filesystem| fs.tree.entries.get(path).map(|entry| entry.kind.clone());
            [entry(self.a), entry(self.b)].contains(&Some(Kind::Directory))
        })
    }

    fn bitmaps_differ(&self, group: u64, block: impl Fn(&superblock::Descriptor) -> u64) -> bool {
        let size = self.a.superblock.block_size;
        // A damaged descriptor may say that it is where nothing is.
        let read = |fs: &Filesystem| {
            let start = block(fs.descriptors.get(group as usize)?).checked_mul(size)?;
            fs.source.bytes(start..start.checked_add(size)?, size as usize).ok()
        };
        read(self.a) != read(self.b)
    }

    /// Bits follow when on both sides each says what is really in use.
    pub(super) fn bitmap(
        &mut self,
        offset: u64,
        group: u64,
        a: &[u8],
        b: &[u8],
        judge: fn(&Self, u64, u64) -> Option<Bit>,
    ) {
        let size = self.a.superblock.block_size;
        for (at, (a, b)) in a.iter().zip(b).enumerate().filter(|(_, (a, b))| a != b) {
            let byte = offset + at as u64;
            let bits = (0..8).filter(|bit| (a ^ b) >> bit & 1 == 1);
            let wrong: Vec<String> = bits
                .filter_map(|bit| {
                    let set = |byte: u8| byte >> bit & 1 == 1;
                    match judge(self, group, byte % size * 8 + bit) {
                        Some((used_a, used_b, _)) if (used_a, used_b) == (set(*a), set(*b)) => None,
                        Some((_, _, name)) => Some(name),
                        None => Some("bits behind the last".into()),
                    }
                })
                .collect();
            match wrong.first() {
                None => self.findings.explain(1),
                Some(name) => self.findings.tell(byte..byte + 1, 1, name.clone()),
            }
        }
    }

    pub(super) fn block_bit(&self, group: u64, bit: u64) -> Option<Bit> {
        let superblock = &self.a.superblock;
        let block = superblock.group_start(group) + bit;
        (bit < superblock.blocks_per_group && block < superblock.blocks).then(|| {
            let used = |places: &Atlas<Place>| places.at(block * superblock.block_size).1.is_some();
            let name = format!("block bitmap of group {group}: block {block}");
            (used(&self.places_a), used(&self.places_b), name)
        })
    }

    pub(super) fn inode_bit(&self, group: u64, bit: u64) -> Option<Bit> {
        let per_group = u64::from(self.a.superblock.inodes_per_group);
        (bit < per_group).then(|| {
            let number = (group * per_group + bit + 1) as u32;
            let used = |fs: &Filesystem| fs.inodes.get(&number).is_some_and(|stored| stored.inode.is_used());
            let name = format!("inode bitmap of group {group}: {}", self.a.inode_name(number));
            (used(self.a), used(self.b), name)
        })
    }
}
