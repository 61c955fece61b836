//! Two filesystems by their bytes, after their files were compared: what the files do not explain.
//!
//! Every differing byte is either told with what it belongs to, or it follows from something that is told: from a
//! file's difference, or from another byte's. Where both sides have the same measures, the bytes of one offset are
//! compared with one another. Content of files that lies at another place is no difference of its own: the files were
//! compared by path, and that they moved is told of their inodes.

use super::inode::{self, Inode};
use super::places::Place;
use super::{Filesystem, directory, superblock};
use crate::diff::atlas::Atlas;
use crate::diff::findings::{Aspects, Changed, Findings, count};
use crate::diff::le;
use crate::diff::raw;
use crate::diff::text::{self, printable};
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

/// Whether what a bit of a bitmap stands for is in use on either side, and its name.
type Bit = (bool, bool, String);

struct Pair<'a> {
    a: &'a Filesystem,
    b: &'a Filesystem,
    changed: &'a Changed,
    places_a: Atlas<Place>,
    places_b: Atlas<Place>,
    findings: &'a mut Findings,
}

impl Pair<'_> {
    fn superblocks(&mut self) {
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

    fn field(
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

    /// Files with the same path but another inode number: their inodes are compared here, because their bytes lie at
    /// different offsets.
    fn moved_inodes(&mut self) {
        let mut moved = 0;
        let mut first = None;
        for (path, entry) in &self.a.tree.entries {
            let Some(other) = self.b.tree.entries.get(path) else { continue };
            let (number_a, number_b) = (entry.identity as u32, other.identity as u32);
            let numbers = (self.a.place_of_inode(number_a), self.b.place_of_inode(number_b));
            let (Some(place_a), Some(place_b)) = numbers else { continue };
            let named = self.a.paths.get(&number_a).is_some_and(|paths| paths[0] == *path);
            if (number_a, place_a) == (number_b, place_b) || entry.kind != other.kind || !named {
                continue;
            }
            moved += 1;
            let example = format!("{} {number_a} \u{2192} {number_b}", printable(path));
            first.get_or_insert((place_a, place_b, example));
            let (inode_a, inode_b) = (&self.a.inodes[&number_a].inode, &self.b.inodes[&number_b].inode);
            for (name, range) in le::differing(inode::FIELDS, &inode_a.bytes, &inode_b.bytes) {
                let aspects = self.changed.of(path);
                let follows = name == inode::CHECKSUM
                    || [inode::BLOCK_MAP, inode::BLOCKS].contains(&name) && !inode_a.is_mapless()
                    || self.follows(name, path, &entry.kind, inode_a, aspects);
                if !follows {
                    let count = count(&inode_a.bytes, &inode_b.bytes, &range);
                    let start = place_a + range.start as u64;
                    self.findings.tell_apart(
                        start..start + range.len() as u64,
                        place_b + range.start as u64,
                        count,
                        format!("{}: {name}", self.a.inode_name(number_a)),
                    );
                }
            }
        }
        if let Some((place_a, place_b, example)) = first.filter(|_| !self.changed.allocation()) {
            let place = format!(
                "inode table: {} another inode number, the first {example}",
                text::count(moved, "path has", "paths have")
            );
            let size = self.a.superblock.inode_size;
            self.findings.tell_apart(place_a..place_a + size, place_b, size, place);
        }
    }

    /// Directories whose blocks lie elsewhere, by their records.
    fn moved_directories(&mut self) -> Result<()> {
        for (path, entry) in &self.a.tree.entries {
            let other = self.b.tree.entries.get(path).filter(|other| other.kind == Kind::Directory);
            let Some(other) = other.filter(|_| entry.kind == Kind::Directory) else { continue };
            let (number_a, number_b) = (entry.identity as u32, other.identity as u32);
            let (stored_a, stored_b) = (&self.a.inodes[&number_a], &self.b.inodes[&number_b]);
            let together = self.a.superblock.same_measures(&self.b.superblock)
                && stored_a.map.extents == stored_b.map.extents;
            if together || self.changed.children(path) {
                continue;
            }
            let (Ok(content_a), Ok(content_b)) = (self.a.directory(number_a), self.b.directory(number_b))
            else {
                continue;
            };
            let blank = |fs: &Filesystem, content: &[u8]| {
                directory::without_numbers(content, fs.superblock.block_size as usize)
            };
            let (blank_a, blank_b) = (blank(self.a, &content_a), blank(self.b, &content_b));
            if let Some(run) = le::runs(&blank_a, &blank_b).first() {
                let start = |fs: &Filesystem, number: u32| {
                    let stored = &fs.inodes[&number];
                    let piece = stored.map.extents.first().map_or(0, |extent| extent.physical);
                    piece * fs.superblock.block_size
                };
                let (start_a, start_b) = (start(self.a, number_a), start(self.b, number_b));
                let whole = 0..blank_a.len().max(blank_b.len());
                self.findings.tell_apart(
                    start_a + run.start as u64..start_a + blank_a.len() as u64,
                    start_b + run.start as u64,
                    count(&blank_a, &blank_b, &whole),
                    format!(
                        "directory {} (inode {number_a}): order or space of its records",
                        printable(path)
                    ),
                );
            }
        }
        Ok(())
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
                self.whole(offset, !same, a, b, place_a);
            }
            (Some(Place::Attributes(one)), Some(Place::Attributes(other))) if self.same_path(one, other) => {
                let changed = self.aspects(one).attributes;
                self.whole(offset, changed, a, b, place_a);
            }
            _ => self.other(offset, place_a, place_b, a, b),
        }
        Ok(())
    }

    fn whole(&mut self, offset: u64, follows: bool, a: &[u8], b: &[u8], place: Option<Place>) {
        if follows {
            self.findings.explain(count(a, b, &(0..a.len())));
        } else {
            self.findings.tell_all(offset, a, b, &self.a.describe(place.as_ref()));
        }
    }

    fn superblock_copy(&mut self, offset: u64, group: u64, a: &[u8], b: &[u8]) {
        let primary = le::differing(superblock::FIELDS, &self.a.superblock.bytes, &self.b.superblock.bytes);
        let fields = le::differing(superblock::FIELDS, a, b);
        for (name, range) in &fields {
            let follows = primary.iter().any(|(other, _)| other == name);
            self.field(offset, range, count(a, b, range), follows, || {
                format!("copy of the superblock in group {group}: {name}")
            });
        }
    }

    fn descriptors(&mut self, offset: u64, copy: u64, a: &[u8], b: &[u8]) -> Result<()> {
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
                        self.bitmaps_differ(group, |group| group.block_bitmap)?
                    }
                    "free inodes count"
                    | "unused inodes count"
                    | "directories count"
                    | "checksum of the inode bitmap" => {
                        self.bitmaps_differ(group, |group| group.inode_bitmap)?
                    }
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

    fn bitmaps_differ(&self, group: u64, block: impl Fn(&superblock::Descriptor) -> u64) -> Result<bool> {
        let size = self.a.superblock.block_size;
        let read = |fs: &Filesystem| {
            let start = fs.descriptors.get(group as usize).map_or(0, &block) * size;
            fs.source.bytes(start..start + size, size as usize)
        };
        Ok(read(self.a)? != read(self.b)?)
    }

    /// Bits follow when on both sides each says what is really in use.
    fn bitmap(
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

    fn block_bit(&self, group: u64, bit: u64) -> Option<Bit> {
        let superblock = &self.a.superblock;
        let block = superblock.group_start(group) + bit;
        (bit < superblock.blocks_per_group && block < superblock.blocks).then(|| {
            let used = |places: &Atlas<Place>| places.at(block * superblock.block_size).1.is_some();
            let name = format!("block bitmap of group {group}: block {block}");
            (used(&self.places_a), used(&self.places_b), name)
        })
    }

    fn inode_bit(&self, group: u64, bit: u64) -> Option<Bit> {
        let per_group = u64::from(self.a.superblock.inodes_per_group);
        (bit < per_group).then(|| {
            let number = (group * per_group + bit + 1) as u32;
            let used = |fs: &Filesystem| fs.inodes.get(&number).is_some_and(|stored| stored.inode.is_used());
            let name = format!("inode bitmap of group {group}: {}", self.a.inode_name(number));
            (used(self.a), used(self.b), name)
        })
    }

    fn inodes(&mut self, offset: u64, group: u64, a: &[u8], b: &[u8]) {
        let superblock = &self.a.superblock;
        let size = superblock.inode_size;
        let in_table = offset - self.a.descriptors[group as usize].inode_table * superblock.block_size;
        let first = group * u64::from(superblock.inodes_per_group) + in_table / size + 1;
        let pairs = a.chunks(size as usize).zip(b.chunks(size as usize));
        for (slot, (a, b)) in pairs.enumerate().filter(|(_, (a, b))| a != b) {
            let offset = offset + slot as u64 * size;
            let number = (first + slot as u64) as u32;
            let (paths_a, paths_b) = (self.a.paths.get(&number), self.b.paths.get(&number));
            if paths_a.and_then(|paths| paths.first()) == paths_b.and_then(|paths| paths.first()) {
                self.inode(offset, number, a, b);
                continue;
            }
            let accounted = |mine: Option<&Vec<Vec<u8>>>, bytes: &[u8], theirs: Option<&Vec<Vec<u8>>>| {
                // A path's inode is compared by the path. What a deleted file leaves behind follows from its removal.
                mine.is_some()
                    || is_zero(bytes)
                    || theirs.is_some_and(|paths| paths.iter().any(|path| self.changed.of(path).presence))
            };
            if accounted(paths_a, a, paths_b) && accounted(paths_b, b, paths_a) {
                self.findings.explain(count(a, b, &(0..a.len())));
            } else {
                let place = format!("{} in A, {} in B", self.a.inode_name(number), self.b.inode_name(number));
                self.findings.tell_all(offset, a, b, &place);
            }
        }
    }

    /// An inode that is the same file in both.
    fn inode(&mut self, offset: u64, number: u32, a: &[u8], b: &[u8]) {
        let inode = Inode { bytes: a.to_vec() };
        let path = self.a.paths.get(&number).and_then(|paths| paths.first()).cloned();
        let kind =
            path.as_ref().and_then(|path| self.a.tree.entries.get(path)).map(|entry| entry.kind.clone());
        let aspects = self.aspects(number);
        let fields = le::differing(inode::FIELDS, a, b);
        for (name, range) in &fields {
            let follows = match *name {
                inode::CHECKSUM => fields.iter().any(|(other, _)| other != name),
                name => path.as_ref().zip(kind.as_ref()).is_some_and(|(path, kind)| {
                    self.follows(name, path, kind, &inode, aspects)
                        // With other blocks in use, the rest move.
                        || [inode::BLOCK_MAP, inode::BLOCKS].contains(&name)
                            && !inode.is_mapless()
                            && self.changed.allocation()
                }),
            };
            let label = format!("{}: {name}", self.a.inode_name(number));
            self.field(offset, range, count(a, b, range), follows, || label);
        }
    }

    /// Whether a difference in an inode's field is told with the file.
    fn follows(&self, field: &str, path: &[u8], kind: &Kind, inode: &Inode, aspects: Aspects) -> bool {
        match field {
            "size" => match kind {
                Kind::File => self.changed.has(path),
                Kind::Directory => self.changed.children(path),
                _ => aspects.kind,
            },
            name if inode::TOLD.contains(&name) => self.changed.has(path),
            inode::LINKS => aspects.links || self.changed.children(path),
            inode::BLOCK_MAP if inode.is_mapless() => aspects.kind,
            inode::BLOCK_MAP | inode::BLOCKS => {
                aspects.content || aspects.kind || aspects.attributes || self.changed.children(path)
            }
            inode::ATTRIBUTES => aspects.attributes,
            _ => false,
        }
    }

    /// The aspects of all names of an inode together.
    fn aspects(&self, number: u32) -> Aspects {
        let mut all = Aspects::default();
        for path in [self.a, self.b].into_iter().filter_map(|fs| fs.paths.get(&number)).flatten() {
            let of = self.changed.of(path);
            all.presence |= of.presence;
            all.kind |= of.kind;
            all.content |= of.content;
            all.links |= of.links || of.presence;
            all.attributes |= of.attributes;
        }
        all
    }

    fn same_path(&self, one: u32, other: u32) -> bool {
        let first =
            |fs: &'_ Filesystem, number| fs.paths.get(&number).and_then(|paths| paths.first().cloned());
        let path = first(self.a, one);
        path.is_some() && path == first(self.b, other)
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
