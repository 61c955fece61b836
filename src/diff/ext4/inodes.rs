//! Comparing inodes and directories: by their path, wherever they lie.

use super::compare::Pair;
use super::inode::{self, Inode};
use super::{Filesystem, directory};
use crate::diff::findings::{Aspects, count};
use crate::diff::le;
use crate::diff::text::{self, printable};
use crate::diff::tree::Kind;
use crate::disk::sparse::is_zero;
use crate::error::Result;

impl Pair<'_> {
    /// Files whose inodes lie at different places: they are compared here, by path. The others are when the bytes of
    /// one place are.
    pub(super) fn moved_inodes(&mut self) {
        let same_measures = self.a.superblock.same_measures(&self.b.superblock);
        let mut moved = 0;
        let mut first = None;
        for (path, entry) in &self.a.tree.entries {
            let Some(other) = self.b.tree.entries.get(path) else { continue };
            let (number_a, number_b) = (entry.identity as u32, other.identity as u32);
            let numbers = (self.a.place_of_inode(number_a), self.b.place_of_inode(number_b));
            let (Some(place_a), Some(place_b)) = numbers else { continue };
            // Of several names, by the first that is in both.
            let mut names = self.a.paths.get(&number_a).into_iter().flatten();
            let named = names.find(|name| self.b.tree.entries.contains_key(*name)) == Some(path);
            if same_measures && number_a == number_b || entry.kind != other.kind || !named {
                continue;
            }
            if number_a != number_b {
                moved += 1;
                let example = format!("{} {number_a} \u{2192} {number_b}", printable(path));
                first.get_or_insert((place_a, place_b, example));
            }
            let (inode_a, inode_b) = (&self.a.inodes[&number_a].inode, &self.b.inodes[&number_b].inode);
            for (name, range) in le::differing(inode::FIELDS, &inode_a.bytes, &inode_b.bytes) {
                let aspects = self.changed.of(path);
                let follows = name == inode::CHECKSUM
                    || [inode::BLOCK_MAP, inode::BLOCKS].contains(&name) && inode_a.has_map()
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
    pub(super) fn moved_directories(&mut self) -> Result<()> {
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

    pub(super) fn inodes(&mut self, offset: u64, group: u64, a: &[u8], b: &[u8]) {
        let superblock = &self.a.superblock;
        let size = superblock.inode_size;
        let in_table = offset - self.a.descriptors[group as usize].inode_table * superblock.block_size;
        let first = group * u64::from(superblock.inodes_per_group) + in_table / size + 1;
        let pairs = a.chunks(size as usize).zip(b.chunks(size as usize));
        for (slot, (a, b)) in pairs.enumerate().filter(|(_, (a, b))| a != b) {
            let offset = offset + slot as u64 * size;
            let number = (first + slot as u64) as u32;
            let (paths_a, paths_b) = (self.a.paths.get(&number), self.b.paths.get(&number));
            if self.same_path(number, number) || (paths_a, paths_b) == (None, None) {
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
                            && inode.has_map()
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
    pub(super) fn aspects(&self, number: u32) -> Aspects {
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
}
