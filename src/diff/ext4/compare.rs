//! Two filesystems by their bytes, after their files were compared: what the files do not explain.
//!
//! Every differing byte is either told with what it belongs to, or it follows from something that is told: from a
//! file's difference, or from another byte's. Where both sides have the same measures, the bytes of one offset are
//! compared with one another. Content of files that lies at another place is no difference of its own: the files were
//! compared by path, and that they moved is told of their inodes.

use super::places::Place;
use super::{Filesystem, directory};
use crate::diff::atlas::Atlas;
use crate::diff::findings::{Changed, Findings, count};
use crate::diff::le;
use crate::diff::raw;
use crate::diff::tree::{Body, Kind};
use crate::disk::sparse::is_zero;
use crate::error::Result;
use std::ops::Range;

/// Tells the differences that `changed`, the differences between the trees, does not explain.
pub fn compare(a: &Filesystem, b: &Filesystem, changed: &Changed, findings: &mut Findings) -> Result<()> {
    let mut pair = Pair { a, b, changed, places_a: a.places(), places_b: b.places(), findings };
    pair.superblocks();
    pair.moved_inodes();
    if a.superblock.same_measures(&b.superblock) {
        pair.moved_directories()?;
        return pair.bytes();
    }
    pair.findings.notes.push(
        "the two filesystems have different measures: their free space and internal structures were not compared"
            .into(),
    );
    pair.moved_directories()
}

/// Two filesystems in comparison.
pub(super) struct Pair<'a> {
    pub(super) a: &'a Filesystem,
    pub(super) b: &'a Filesystem,
    pub(super) changed: &'a Changed,
    pub(super) places_a: Atlas<Place>,
    pub(super) places_b: Atlas<Place>,
    pub(super) findings: &'a mut Findings,
}

impl Pair<'_> {
    pub(super) fn field(
        &mut self,
        offset: u64,
        range: &Range<usize>,
        count: u64,
        follows: bool,
        place: impl FnOnce() -> String,
    ) {
        if follows {
            self.findings.explain(count);
        } else {
            self.findings.tell(offset + range.start as u64..offset + range.end as u64, count, place());
        }
    }

    /// Everything at one offset in both.
    fn bytes(&mut self) -> Result<()> {
        let (source_a, source_b) = (&*self.a.source, &*self.b.source);
        for chunk in raw::chunks(source_a, source_b)? {
            let end = (chunk.offset + raw::CHUNK as u64).min(source_a.size()).min(source_b.size());
            let bytes_a = source_a.bytes(chunk.offset..end, raw::CHUNK)?;
            let bytes_b = source_b.bytes(chunk.offset..end, raw::CHUNK)?;
            let mut parts = Vec::new();
            for (range, place_a) in self.places_a.within(chunk.offset..end) {
                for (range, place_b) in self.places_b.within(range) {
                    parts.push((range, place_a.copied(), place_b.copied()));
                }
            }
            for (range, place_a, place_b) in parts {
                let inside = (range.start - chunk.offset) as usize..(range.end - chunk.offset) as usize;
                let (part_a, part_b) = (&bytes_a[inside.clone()], &bytes_b[inside]);
                if part_a != part_b {
                    self.part(range.start, place_a, place_b, part_a, part_b)?;
                }
            }
        }
        Ok(())
    }

    fn part(
        &mut self,
        offset: u64,
        place_a: Option<Place>,
        place_b: Option<Place>,
        a: &[u8],
        b: &[u8],
    ) -> Result<()> {
        match (place_a, place_b) {
            (Some(Place::Superblock(0)), Some(Place::Superblock(0))) => {}
            (Some(Place::Superblock(one)), Some(Place::Superblock(other))) if one == other => {
                self.superblock_copy(offset, one, a, b);
            }
            (Some(Place::Descriptors(one)), Some(Place::Descriptors(other))) if one == other => {
                self.descriptors(offset, one, a, b)?;
            }
            (Some(Place::BlockBitmap(one)), Some(Place::BlockBitmap(other))) if one == other => {
                self.bitmap(offset, one, a, b, Self::block_bit);
            }
            (Some(Place::InodeBitmap(one)), Some(Place::InodeBitmap(other))) if one == other => {
                self.bitmap(offset, one, a, b, Self::inode_bit);
            }
            (Some(Place::Inodes(one)), Some(Place::Inodes(other))) if one == other => {
                self.inodes(offset, one, a, b);
            }
            (Some(Place::Content(one)), Some(Place::Content(other))) if self.same_directory(one, other) => {
                self.directory(offset, one, a, b);
            }
            (Some(Place::Map(one)), Some(Place::Map(other))) if self.same_path(one, other) => {
                let same = self.a.inodes[&one].map.extents == self.b.inodes[&other].map.extents;
                // Content that lies elsewhere follows from nothing, unless other blocks are in use.
                self.whole(offset, !same && self.changed.allocation(), a, b, place_a);
            }
            (Some(Place::Attributes(one)), Some(Place::Attributes(other))) if self.same_path(one, other) => {
                let changed = self.aspects(one).attributes;
                self.whole(offset, changed, a, b, place_a);
            }
            _ => self.other(offset, place_a, place_b, a, b),
        }
        Ok(())
    }

    pub(super) fn whole(&mut self, offset: u64, follows: bool, a: &[u8], b: &[u8], place: Option<Place>) {
        if follows {
            self.findings.explain(count(a, b, &(0..a.len())));
        } else {
            self.findings.tell_all(offset, a, b, &self.a.describe(place.as_ref()));
        }
    }

    /// Whether two inodes are the same file: a path leads to both.
    pub(super) fn same_path(&self, one: u32, other: u32) -> bool {
        let (paths_a, paths_b) = (self.a.paths.get(&one), self.b.paths.get(&other));
        paths_a.zip(paths_b).is_some_and(|(a, b)| a.iter().any(|path| b.contains(path)))
    }

    fn same_directory(&self, one: u32, other: u32) -> bool {
        let directory = |fs: &Filesystem, number| fs.inodes[number].inode.mode() & 0xf000 == 0x4000;
        self.same_path(one, other) && directory(self.a, &one) && directory(self.b, &other)
    }

    /// A block of a directory that lies at the same place.
    fn directory(&mut self, offset: u64, number: u32, a: &[u8], b: &[u8]) {
        let size = self.a.superblock.block_size as usize;
        let path = &self.a.paths[&number][0];
        // Inode numbers that changed are told by the paths that have them.
        let renumbered = directory::without_numbers(a, size) == directory::without_numbers(b, size)
            && directory::records(a, size).0 != directory::records(b, size).0;
        let follows = renumbered || self.changed.children(path);
        self.whole(offset, follows, a, b, Some(Place::Content(number)));
    }

    fn other(&mut self, offset: u64, place_a: Option<Place>, place_b: Option<Place>, a: &[u8], b: &[u8]) {
        for run in le::runs(a, b) {
            let (part_a, part_b) = (&a[run.clone()], &b[run.clone()]);
            let (sound_a, sound_b) = (accounted(self.a, place_a, part_a), accounted(self.b, place_b, part_b));
            let count = count(a, b, &run);
            // Free on both sides: zeros on one explain nothing about the other.
            if sound_a && sound_b {
                self.findings.explain(count);
                continue;
            }
            let (name_a, name_b) = (self.a.describe(place_a.as_ref()), self.b.describe(place_b.as_ref()));
            let place = if name_a == name_b { name_a } else { format!("{name_a} in A, {name_b} in B") };
            self.findings.tell(offset + run.start as u64..offset + run.end as u64, count, place);
        }
    }
}

/// Whether bytes at a place say nothing that was not compared already.
fn accounted(fs: &Filesystem, place: Option<Place>, bytes: &[u8]) -> bool {
    match place {
        None | Some(Place::Slack(_) | Place::Unwritten(_)) => is_zero(bytes),
        Some(Place::Content(number)) => fs.paths.get(&number).is_some_and(|paths| {
            let entry = fs.tree.entries.get(&paths[0]);
            entry.is_some_and(|entry| match entry.kind {
                Kind::File => matches!(entry.body, Body::Stored(_)),
                _ => true,
            })
        }),
        Some(Place::Map(number) | Place::Attributes(number)) => fs.paths.contains_key(&number),
        _ => false,
    }
}
