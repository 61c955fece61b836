//! Reading a file, goldcast's or another's: any byte of the disk, without QEMU.

use super::cluster::unpack;
use super::header::{self, Header};
use super::tables::{Mapping, host_cluster};
use crate::error::{Context, Error, Result};
use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// L2 tables and unpacked clusters kept; either of them is at most 2 MiB.
const KEPT: usize = 16;

/// The disk in a qcow2 file of version 2 or 3.
///
/// Refused are files that are not all of the disk (backing files, external data files), encrypted ones, those
/// with snapshots, with extended L2 entries, and those marked as corrupt. The bytes are taken for hostile: a file
/// that is damaged or made to deceive gives an error or wrong content, never a panic, and takes no more memory
/// than its tables and a few clusters.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: File,
    /// Bytes of the file.
    length: u64,
    header: Header,
    l1: Vec<u64>,
    kept: Mutex<Kept>,
    /// Where [`Read`] goes on.
    position: u64,
}

/// What was read last.
#[derive(Debug, Default)]
struct Kept {
    tables: Recent<Vec<u64>>,
    clusters: Recent<Vec<u8>>,
}

impl Reader {
    /// Opens a file. Errors: it cannot be read, is no qcow2 file, or one that is refused.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        Self::from_file(file).doing_with(|| format!("opening {}", path.display()))
    }

    fn from_file(file: File) -> Result<Self> {
        let length = file.metadata()?.len();
        let mut bytes = vec![0; length.min(header::LENGTH as u64) as usize];
        file.read_exact_at(&mut bytes, 0)?;
        let header = Header::parse(&bytes)?;
        let path = file.path().to_owned();
        let mut reader =
            Self { path, file, length, header, l1: Vec::new(), kept: Mutex::default(), position: 0 };
        reader.l1 = reader.table(reader.header.l1_offset, reader.header.l1_needed())?;
        Ok(reader)
    }

    /// Bytes of the disk.
    pub fn size(&self) -> u64 {
        self.header.size
    }

    /// The first place at or behind `offset` that an L2 table tells of; before it, all are zeros. The disk's size when
    /// there is none.
    pub fn mapped_from(&self, offset: u64) -> u64 {
        let bits = self.header.cluster_bits + self.header.l2_bits();
        let first = offset >> bits;
        let entries = self.l1.iter().skip(usize::try_from(first).unwrap_or(usize::MAX));
        match entries.enumerate().find(|(_, entry)| **entry != 0) {
            None => self.size(),
            Some((0, _)) => offset.min(self.size()),
            Some((further, _)) => ((first + further as u64) << bits).min(self.size()),
        }
    }

    /// Fills `bytes` with those of the disk from `offset` on. Errors: they are not all within the disk, or the
    /// file is damaged where they are stored.
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let end = offset.checked_add(bytes.len() as u64).filter(|&end| end <= self.size());
        let end = end.ok_or_else(|| {
            Error::new(format!("{} bytes at {offset} are not within the disk", bytes.len()))
                .because(format!("it has {} bytes", self.size()))
        })?;
        let (mut at, mut rest) = (offset, bytes);
        while at < end {
            let within = at % self.header.cluster();
            let length = (self.header.cluster() - within).min(end - at) as usize;
            let (piece, others) = rest.split_at_mut(length);
            self.read_cluster(at >> self.header.cluster_bits, within as usize, piece)
                .doing_with(|| format!("reading {} at {at} of its disk", self.path.display()))?;
            rest = others;
            at += length as u64;
        }
        Ok(())
    }

    /// Reads from one guest cluster only.
    fn read_cluster(&self, guest: u64, within: usize, bytes: &mut [u8]) -> Result<()> {
        match self.mapping(guest)? {
            Mapping::Zeros => bytes.fill(0),
            Mapping::Standard(offset) => {
                self.inside(offset)?;
                // What the file does not have of its last cluster is zeros, as for QEMU.
                let start = offset.saturating_add(within as u64);
                let stored = self.length.saturating_sub(start).min(bytes.len() as u64) as usize;
                self.file.read_exact_at(&mut bytes[..stored], start)?;
                bytes[stored..].fill(0);
            }
            Mapping::Compressed { offset, length } => {
                let content = self.kept().clusters.get(offset);
                let content = match content {
                    Some(content) => content,
                    None => {
                        let content = Arc::new(self.unpacked(offset, length)?);
                        self.kept().clusters.put(offset, Arc::clone(&content));
                        content
                    }
                };
                bytes.copy_from_slice(&content[within..within + bytes.len()]);
            }
        }
        Ok(())
    }

    fn mapping(&self, guest: u64) -> Result<Mapping> {
        let l1 = self.l1.get((guest >> self.header.l2_bits()) as usize).copied();
        let l1 = l1.ok_or_else(|| Error::new("its L1 table is too short"))?;
        let Some(offset) = host_cluster(l1, &self.header)? else { return Ok(Mapping::Zeros) };
        let table = self.kept().tables.get(offset);
        let table = match table {
            Some(table) => table,
            None => {
                let table = Arc::new(self.table(offset, 1 << self.header.l2_bits())?);
                self.kept().tables.put(offset, Arc::clone(&table));
                table
            }
        };
        Mapping::decode(table[(guest % (1 << self.header.l2_bits())) as usize], &self.header)
    }

    /// A table of so many entries, which must be in the file: what is allocated for it is too.
    fn table(&self, offset: u64, entries: u64) -> Result<Vec<u64>> {
        let bytes = entries.saturating_mul(8);
        if offset.checked_add(bytes).is_none_or(|end| end > self.length) {
            return Err(Error::new("one of its tables is not within the file")
                .because(format!("{bytes} bytes at {offset}, and the file has {}", self.length))
                .hint("is the file complete?"));
        }
        let mut table = vec![0; bytes as usize];
        self.file.read_exact_at(&mut table, offset)?;
        let (entries, _) = table.as_chunks();
        Ok(entries.iter().map(|&entry| u64::from_be_bytes(entry)).collect())
    }

    fn unpacked(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        self.inside(offset)?;
        // The last sector need not be whole at the file's end.
        let mut stored = vec![0; length.min(self.length - offset) as usize];
        self.file.read_exact_at(&mut stored, offset)?;
        let mut content = vec![0; self.header.cluster() as usize];
        unpack(self.header.compression, &stored, &mut content)
            .doing_with(|| format!("unpacking the compressed cluster at {offset} of the file"))?;
        Ok(content)
    }

    /// Asserts that data can begin at an offset.
    fn inside(&self, offset: u64) -> Result<()> {
        if offset >= self.length {
            return Err(Error::new("a cluster of the disk is not within the file")
                .because(format!("it is said to be at {offset}, and the file has {}", self.length))
                .hint("is the file complete?"));
        }
        Ok(())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The disk from its start to its end; not the end of the file.
impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let length = self.size().saturating_sub(self.position).min(bytes.len() as u64) as usize;
        if length > 0 {
            self.read_at(self.position, &mut bytes[..length]).map_err(std::io::Error::other)?;
            self.position += length as u64;
        }
        Ok(length)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.size().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// A few values by their offsets, those used longest ago forgotten first.
#[derive(Debug)]
struct Recent<T>(VecDeque<(u64, Arc<T>)>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Recent<T> {
    fn get(&mut self, offset: u64) -> Option<Arc<T>> {
        let at = self.0.iter().position(|(known, _)| *known == offset)?;
        let found = self.0.remove(at)?;
        let value = Arc::clone(&found.1);
        self.0.push_front(found);
        Some(value)
    }

    fn put(&mut self, offset: u64, value: Arc<T>) {
        self.0.push_front((offset, value));
        self.0.truncate(KEPT);
    }
}
