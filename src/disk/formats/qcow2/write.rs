//! Writing a compressed file from a raw disk.
//!
//! The header's cluster comes first, then the compressed clusters one behind the other in the disk's order,
//! then those that did not become smaller, which must begin at a host cluster, then the tables. That leaves
//! nothing unused between them, which an order by the disk alone would: some 1.5 % of a system's disk.

use super::cluster::compress;
use super::index::{Digest, Entry, Index};
use super::tables::{self, Mapping};
use super::{CLUSTER, CLUSTER_BITS, SECTOR};
use crate::disk::sparse::{self, Piece, Pieces};
use crate::error::{Error, Result};
use crate::interrupt;
use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// Clusters compressed at a time, 16 MiB. With one batch being compressed, one read and one written there are
/// at most 64 MiB in memory.
const BATCH: usize = 256;

/// An earlier file, to take clusters over from.
#[derive(Debug, Clone, Copy)]
pub struct Earlier<'a> {
    /// The file. It may be missing or damaged: what it does not give is compressed anew.
    pub file: &'a Path,
    /// What was written to it. It is believed: keep it where nobody else writes.
    pub index: &'a Index,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file's size in bytes.
    pub size: u64,
    /// The file's sha256 in hex.
    pub sha256: String,
    /// What is in it.
    pub index: Index,
}

/// Writes the disk in the file `raw` to a new file `out`: version 3, clusters of 64 KiB, deflate, nothing stored
/// for clusters of zeros, as `qemu-img convert -O qcow2 -c -o compat=1.1` makes it but for the order in the file.
///
/// The bytes depend on the disk's content only; not on the number of cores, on holes, or on `earlier`, which
/// only saves time. A disk that does not end at a sector is filled up with zeros, as QEMU does.
pub fn write(raw: &Path, out: &Path, earlier: Option<Earlier<'_>>) -> Result<Written> {
    let size = fs_err::metadata(raw)?.len().next_multiple_of(SECTOR);
    let file = File::create(out)?;
    let mut output = Output { file: &file, end: CLUSTER as u64, clusters: Vec::new() };
    output.compressed(raw, &Reuse::new(earlier))?;
    output.uncompressed(raw)?;
    tables::write(&file, size, output.end, &output.clusters)?;
    let index = Index::new(output.clusters.iter().map(|placed| placed.entry).collect());
    Ok(Written { size: file.metadata()?.len(), sha256: sparse::sha256(out)?, index })
}

/// A guest cluster and where its data lies in the file.
#[derive(Debug)]
pub struct Placed {
    /// Its number on the disk.
    pub guest: u64,
    /// Its data.
    pub entry: Entry,
}

impl Placed {
    /// What its L2 entry says.
    pub fn mapping(&self) -> Mapping {
        match self.is_compressed() {
            true => Mapping::Compressed { offset: self.entry.offset, length: u64::from(self.entry.length) },
            false => Mapping::Standard(self.entry.offset),
        }
    }

    fn is_compressed(&self) -> bool {
        self.entry.length < CLUSTER as u32
    }
}

/// A cluster ready to be written.
struct Packed {
    guest: u64,
    content: Digest,
    /// Its compressed bytes and their digest, unless it does not become smaller.
    compressed: Option<(Vec<u8>, Digest)>,
}

/// Some guest clusters that are not zeros.
#[derive(Default)]
struct Batch {
    guests: Vec<u64>,
    /// Their content, one cluster each; there may be more of them, to be filled later.
    content: Vec<Vec<u8>>,
}

impl Batch {
    /// Replaces the batch by the next clusters; `next` is the number of the first. Leaves it empty at the end.
    fn fill(&mut self, pieces: &mut Pieces, next: &mut u64) -> Result<()> {
        self.guests.clear();
        while self.guests.len() < BATCH {
            let free = self.guests.len();
            if self.content.len() == free {
                self.content.push(Vec::new());
            }
            let Some(piece) = pieces.next(&mut self.content[free])? else { break };
            if piece == Piece::Data {
                self.content[free].resize(CLUSTER, 0);
                self.guests.push(*next);
            }
            *next += 1;
        }
        Ok(())
    }

    fn pack(&self, reuse: &Reuse) -> Result<Vec<Packed>> {
        self.guests
            .par_iter()
            .zip(&self.content)
            .map(|(&guest, content)| {
                interrupt::check()?;
                reuse.pack(guest, content)
            })
            .collect()
    }
}

/// The file being written.
struct Output<'a> {
    file: &'a File,
    /// Where the next data goes, in bytes.
    end: u64,
    /// What was written, in the disk's order.
    clusters: Vec<Placed>,
}

impl Output<'_> {
    /// Writes the compressed clusters. Those that did not become smaller get a place without an offset.
    fn compressed(&mut self, raw: &Path, reuse: &Reuse) -> Result<()> {
        let mut pieces = Pieces::open(raw, CLUSTER)?;
        let mut next = 0;
        let (mut now, mut later, mut done) = (Batch::default(), Batch::default(), Vec::new());
        now.fill(&mut pieces, &mut next)?;
        while !now.guests.is_empty() || !done.is_empty() {
            let former = std::mem::take(&mut done);
            let (packed, moved) = rayon::join(
                || now.pack(reuse),
                || {
                    self.append(former)?;
                    later.fill(&mut pieces, &mut next)
                },
            );
            moved?;
            done = packed?;
            std::mem::swap(&mut now, &mut later);
        }
        Ok(())
    }

    fn append(&mut self, packed: Vec<Packed>) -> Result<()> {
        for Packed { guest, content, compressed } in packed {
            let entry = match compressed {
                None => Entry { content, stored: content, offset: 0, length: CLUSTER as u32 },
                Some((bytes, stored)) => {
                    let offset = self.end;
                    self.file.write_all_at(&bytes, offset)?;
                    self.end += bytes.len() as u64;
                    Entry { content, stored, offset, length: bytes.len() as u32 }
                }
            };
            self.clusters.push(Placed { guest, entry });
        }
        Ok(())
    }

    /// Writes the clusters that did not become smaller, read once more: holding them would take memory without
    /// bound.
    fn uncompressed(&mut self, raw: &Path) -> Result<()> {
        let mut clusters: Vec<&mut Placed> =
            self.clusters.iter_mut().filter(|placed| !placed.is_compressed()).collect();
        if clusters.is_empty() {
            return Ok(());
        }
        let start = self.end.next_multiple_of(CLUSTER as u64);
        self.end = start + ((clusters.len() as u64) << CLUSTER_BITS);
        let source = File::open(raw)?;
        let size = source.metadata()?.len();
        clusters.par_iter_mut().enumerate().try_for_each_init(
            || vec![0; CLUSTER],
            |content, (number, placed)| {
                interrupt::check()?;
                let from = placed.guest << CLUSTER_BITS;
                let length = size.saturating_sub(from).min(CLUSTER as u64) as usize;
                source.read_exact_at(&mut content[..length], from)?;
                content[length..].fill(0);
                if blake3::hash(content) != placed.entry.content {
                    return Err(Error::new(format!("{} changed while it was read", raw.display())));
                }
                placed.entry.offset = start + ((number as u64) << CLUSTER_BITS);
                self.file.write_all_at(content, placed.entry.offset)?;
                Ok(())
            },
        )
    }
}

/// The clusters of an earlier file.
struct Reuse {
    file: Option<File>,
    entries: HashMap<Digest, Entry>,
}

impl Reuse {
    fn new(earlier: Option<Earlier<'_>>) -> Self {
        // A file that cannot be opened, or that is a named pipe or the like, gives nothing.
        let file = earlier.filter(|earlier| earlier.file.is_file()).and_then(|e| File::open(e.file).ok());
        let entries = match (&file, earlier) {
            (Some(_), Some(earlier)) => earlier.index.by_content(),
            _ => HashMap::new(),
        };
        Self { file, entries }
    }

    fn pack(&self, guest: u64, content: &[u8]) -> Result<Packed> {
        let digest = *blake3::hash(content).as_bytes();
        let known = self.entries.get(&digest);
        let compressed = match known {
            Some(entry) if entry.length == CLUSTER as u32 => None,
            _ => match known.and_then(|entry| self.stored(entry)) {
                Some(bytes) => Some(bytes),
                None => compress(content)?.map(|bytes| {
                    let digest = *blake3::hash(&bytes).as_bytes();
                    (bytes, digest)
                }),
            },
        };
        Ok(Packed { guest, content: digest, compressed })
    }

    /// A cluster's compressed bytes and their digest, when they are still there.
    fn stored(&self, entry: &Entry) -> Option<(Vec<u8>, Digest)> {
        if !(1..CLUSTER as u32).contains(&entry.length) {
            return None;
        }
        let mut bytes = vec![0; entry.length as usize];
        self.file.as_ref()?.read_exact_at(&mut bytes, entry.offset).ok()?;
        (blake3::hash(&bytes) == entry.stored).then_some((bytes, entry.stored))
    }
}
