//! A FAT filesystem (12, 16 or 32 bits) as it lies in an image, read without mounting (Microsoft, "FAT32 File System
//! Specification" 1.03).
//!
//! Why not by the fatfs library, which writes the images' own: it does not show which clusters a file has, and a
//! difference has to be told by the place of its bytes. The tests hold this reader's tree against that library's.

mod compare;
mod directory;
mod measures;
mod places;

pub use compare::compare;

use super::le::{u16_at, u32_at};
use super::source::{ReadAt, Source};
use super::text::printable;
use super::tree::{Body, Content, Entry, Kind, Piece, Tree, fault};
use crate::error::{Error, Result};
use crate::interrupt;
use directory::Record;
use measures::{Bits, Measures};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Larger tables are not those of an EFI system partition.
const TABLE_LIMIT: usize = 64 << 20;
/// A directory of more bytes is none (the specification allows 2 MiB).
const DIRECTORY_LIMIT: usize = 2 << 20;
/// Each cluster belongs to one file. Where damage gives it to more, all chains together are followed so many times as
/// far as there are clusters.
const SHARED: u64 = 8;

/// A file or directory and where it lies.
struct File {
    path: Vec<u8>,
    record: Option<Record>,
    /// Where the record lies in the volume.
    place: u64,
    clusters: Vec<Range<u64>>,
}

/// A filesystem that was read: its tree, and where everything lies.
pub struct Filesystem {
    source: Source,
    measures: Measures,
    table: Vec<u8>,
    /// Its files.
    pub tree: Tree,
    /// What is damaged, in words.
    pub problems: Vec<String>,
    /// The volume's label, from the root directory.
    label: Option<Record>,
    files: Vec<File>,
    /// Which file or other name the record at a place in the volume belongs to.
    records: BTreeMap<u64, String>,
    /// How many clusters of chains are still followed.
    left: u64,
}

impl Filesystem {
    /// Reads the filesystem at the start of `source`. What is damaged in the tree is told in `problems`; an error is
    /// only that there is no such filesystem.
    pub fn read(source: Source) -> Result<Self> {
        let measures = Measures::read(&*source)?;
        let table = source.bytes(measures.table.clone(), TABLE_LIMIT)?;
        let mut filesystem = Self {
            source,
            left: u64::from(measures.clusters) * SHARED,
            measures,
            table,
            tree: Tree { whole_seconds: true, ..Tree::default() },
            problems: Vec::new(),
            label: None,
            files: Vec::new(),
            records: BTreeMap::new(),
        };
        filesystem.walk()?;
        Ok(filesystem)
    }

    /// Whether a filesystem of this kind begins `source`.
    pub fn is_there(source: &dyn ReadAt) -> bool {
        Measures::read(source).is_ok()
    }

    /// The label, and the serial number as blkid(8) prints it.
    pub fn names(&self) -> (String, String) {
        let label = self.label.as_ref().map(|record| printable(record.name.as_bytes()));
        let serial = u32_at(&self.measures.boot, if self.measures.bits == Bits::ThirtyTwo { 67 } else { 39 });
        (label.unwrap_or_default(), format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff))
    }

    fn walk(&mut self) -> Result<()> {
        let root = match self.measures.bits {
            Bits::ThirtyTwo => self.chain(u32_at(&self.measures.boot, 44)),
            _ => Ok(vec![self.measures.root.clone()]),
        };
        let mut visited = BTreeSet::new();
        let mut pending = vec![0];
        let clusters = root.unwrap_or_else(|error| {
            fault(&mut self.problems, format!("/: {error}"));
            Vec::new()
        });
        self.files.push(File { path: b"/".to_vec(), record: None, place: 0, clusters });
        self.tree.entries.insert(b"/".to_vec(), entry(Kind::Directory, 0, Body::None));
        while let Some(number) = pending.pop() {
            interrupt::check()?;
            let (path, clusters) = (self.files[number].path.clone(), self.files[number].clusters.clone());
            let mut content = Vec::new();
            for range in &clusters {
                content.extend(self.source.bytes(range.clone(), DIRECTORY_LIMIT)?);
                if content.len() > DIRECTORY_LIMIT {
                    return Err(Error::new("a directory has no end"));
                }
            }
            for record in directory::records(&content) {
                let child = [path.strip_suffix(b"/").unwrap_or(&path), b"/", record.name.as_bytes()].concat();
                let name = if record.is_label() {
                    "the volume's label".into()
                } else if record.is_dot() {
                    // Its name may be damaged.
                    format!("{}/{}", printable(&path), if record.at == 0 { "." } else { ".." })
                } else {
                    printable(&child)
                };
                for at in (record.first..=record.at).step_by(directory::RECORD) {
                    self.records.insert(place_in(&clusters, at as u64), name.clone());
                }
                let place = place_in(&clusters, record.at as u64);
                if record.is_label() {
                    // Elsewhere it is nonsense.
                    if number == 0 {
                        self.label = Some(record);
                    }
                } else if !record.is_dot() {
                    self.add(child, record, place, &mut pending, &mut visited)?;
                }
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        path: Vec<u8>,
        record: Record,
        place: u64,
        pending: &mut Vec<usize>,
        visited: &mut BTreeSet<u32>,
    ) -> Result<()> {
        let chain = if record.cluster() == 0 { Ok(Vec::new()) } else { self.chain(record.cluster()) };
        let number = self.files.len();
        let name = printable(&path);
        let mut made = if record.is_directory() {
            if let Err(error) = &chain {
                fault(&mut self.problems, format!("{name}: {error}"));
            }
            if visited.insert(record.cluster()) {
                pending.push(number);
            } else {
                fault(&mut self.problems, format!("{name}: the directory has a second name"));
            }
            entry(Kind::Directory, 0, Body::None)
        } else {
            let size = u64::from(record.size());
            let body = match chain.as_ref().map(|clusters| content(&self.source, clusters, size)) {
                Ok(Ok(content)) => Body::Stored(content),
                Ok(Err(error)) => Body::Unreadable(error.to_string()),
                Err(error) => Body::Unreadable(error.to_string()),
            };
            entry(Kind::File, size, body)
        };
        made.identity = number as u64;
        made.modified = record.modified().map(|seconds| (seconds, 0));
        if let Some(flags) = record.flags() {
            made.attributes.insert(b"flags".to_vec(), flags.into_bytes());
        }
        if !self.tree.add(path.clone(), made)? {
            fault(&mut self.problems, format!("{name}: the name is there twice"));
        }
        self.files.push(File { path, record: Some(record), place, clusters: chain.unwrap_or_default() });
        Ok(())
    }

    /// The stretches of the clusters from `first` on.
    fn chain(&mut self, first: u32) -> Result<Vec<Range<u64>>> {
        let damaged = || Error::new("its chain of clusters is broken");
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let (mut cluster, mut left) = (first, self.measures.clusters);
        loop {
            let index = cluster.checked_sub(2).filter(|&index| index < self.measures.clusters);
            let start = self.measures.data + u64::from(index.ok_or_else(damaged)?) * self.measures.cluster;
            let end = start + self.measures.cluster;
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
            left = left.checked_sub(1).ok_or_else(damaged)?;
            self.left = self.left.checked_sub(1).ok_or_else(damaged)?;
            match self.link(cluster) {
                None => return Ok(ranges),
                Some(next) => cluster = next,
            }
        }
    }

    /// The cluster behind this one; nothing at the end of a chain.
    fn link(&self, cluster: u32) -> Option<u32> {
        let number = cluster as usize;
        let (next, end) = match self.measures.bits {
            Bits::Twelve => {
                let pair = u32::from(u16_at(&self.table, number + number / 2));
                (if number.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 }, 0xff8)
            }
            Bits::Sixteen => (u32::from(u16_at(&self.table, number * 2)), 0xfff8),
            Bits::ThirtyTwo => (u32_at(&self.table, number * 4) & 0x0fff_ffff, 0x0fff_fff8),
        };
        (next < end).then_some(next)
    }
}

/// Where the byte at an offset of a file lies in the volume.
fn place_in(clusters: &[Range<u64>], mut at: u64) -> u64 {
    for range in clusters {
        let length = range.end - range.start;
        if at < length {
            return range.start + at;
        }
        at -= length;
    }
    u64::MAX
}

fn content(source: &Source, clusters: &[Range<u64>], size: u64) -> Result<Content> {
    let mut at = 0;
    let mut pieces = Vec::new();
    for range in clusters {
        let length = (range.end - range.start).min(size - at);
        if length > 0 {
            pieces.push(Piece { at, from: range.start, length });
        }
        at += length;
    }
    if at < size {
        return Err(Error::new("its chain of clusters is shorter than its size"));
    }
    Content::new(source, size, pieces)
}

fn entry(kind: Kind, size: u64, body: Body) -> Entry {
    Entry {
        kind,
        mode: None,
        owner: None,
        size,
        modified: None,
        attributes: BTreeMap::new(),
        identity: 0,
        body,
    }
}

#[cfg(test)]
mod tests;
