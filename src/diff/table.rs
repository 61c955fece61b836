//! The partition table of a disk (UEFI specification 2.10, chapter 5).

use super::le::u32_at;
use super::report::{Change, PartitionChange, What};
use super::source::{ReadAt, Source, Stream};
use super::text::{grouped, printable};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a sector; disks with larger ones have their table elsewhere.
pub const SECTOR: u64 = 512;
/// Bytes of a sector of disks that have larger ones.
const LARGE: u64 = 4096;
/// Bytes of an entry of the table.
pub const ENTRY: u64 = 128;
/// More entries than any table has.
pub const ENTRIES: u32 = 1024;

/// A partition, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, counted from 1.
    pub number: u32,
    /// Its name in the table.
    pub name: String,
    /// The GUID of its type.
    pub kind: String,
    /// Its own GUID.
    pub guid: String,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// Attribute bits.
    pub attributes: u64,
}

impl Partition {
    /// Its bytes on the disk.
    pub fn range(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.size)
    }

    /// For people: `partition 3 (root)`.
    pub fn title(&self) -> String {
        match self.name.as_str() {
            "" => format!("partition {}", self.number),
            name => format!("partition {} ({name})", self.number),
        }
    }
}

/// A disk's table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The disk's GUID.
    pub guid: String,
    /// The disk's size in bytes.
    pub size: u64,
    /// Its partitions.
    pub partitions: BTreeMap<u32, Partition>,
    /// What is damaged.
    pub problem: Option<String>,
}

impl Table {
    /// Reads the table, from the backup at the disk's end when the first is damaged.
    pub fn read(disk: &Source) -> Self {
        let first = parse(disk);
        let (table, problem) = match first {
            Ok(table) => (table, None),
            Err(error) => {
                let hidden: Source = Arc::new(HiddenHeader(Arc::clone(disk)));
                match parse(&hidden) {
                    Ok(table) => (
                        table,
                        Some(format!("the partition table is damaged ({error}); its backup is used instead")),
                    ),
                    Err(_) => (Self::default(), Some(format!("the partition table cannot be read: {error}"))),
                }
            }
        };
        Self { size: disk.size(), problem, ..table }
    }
}

/// A disk without its first header, so that the library takes the backup.
struct HiddenHeader(Source);

impl ReadAt for HiddenHeader {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.0.read_at(offset, buffer)?;
        for (at, byte) in (offset..).zip(buffer.iter_mut()) {
            if (SECTOR..2 * SECTOR).contains(&at) {
                *byte = 0;
            }
        }
        Ok(())
    }
}

fn parse(disk: &Source) -> Result<Table> {
    // The header is in the disk's second sector, however large these are.
    let header_at = |place: u64| disk.bytes(place..place + 8, 8).is_ok_and(|bytes| bytes == b"EFI PART");
    if header_at(LARGE) && !header_at(SECTOR) {
        return Err(Error::new(format!("it is for sectors of {LARGE} bytes, which goldcast does not read")));
    }
    // The library takes these numbers for granted.
    for sector in [1, (disk.size() / SECTOR).saturating_sub(1)] {
        let header = disk.bytes(sector * SECTOR..(sector + 1) * SECTOR, SECTOR as usize)?;
        let (entries, size) = (u32_at(&header, 80), u32_at(&header, 84));
        if header.starts_with(b"EFI PART") && (entries > ENTRIES || u64::from(size) != ENTRY) {
            return Err(Error::new(format!("{entries} entries of {size} bytes")));
        }
    }
    let disk = gpt::GptConfig::new()
        .writable(false)
        .open_from_device(Stream::new(disk))
        .map_err(|error| Error::new(error.to_string()))?;
    let partitions = disk.partitions().iter().map(|(&number, entry)| {
        let size = entry.last_lba.saturating_add(1).saturating_sub(entry.first_lba);
        let partition = Partition {
            number,
            name: printable(entry.name.as_bytes()),
            kind: entry.part_type_guid.guid.to_string(),
            guid: entry.part_guid.to_string(),
            start: entry.first_lba.saturating_mul(SECTOR),
            size: size.saturating_mul(SECTOR),
            attributes: entry.flags,
        };
        (number, partition)
    });
    Ok(Table { guid: disk.guid().to_string(), partitions: partitions.collect(), ..Table::default() })
}

/// The differences of two tables: one for each partition that differs, and one with number 0 for the disk.
pub fn differences(a: &Table, b: &Table) -> Vec<PartitionChange> {
    let mut found = Vec::new();
    let mut changes = Vec::new();
    let mut tell = |what: &str, a: String, b: String| {
        if a != b {
            changes.push(Change::new(what, a, b));
        }
    };
    tell("size", bytes(a.size), bytes(b.size));
    if !a.guid.is_empty() && !b.guid.is_empty() {
        tell("GUID", a.guid.clone(), b.guid.clone());
    }
    if !changes.is_empty() {
        found.push(PartitionChange { number: 0, name: "disk".into(), change: What::Changed, changes });
    }
    let numbers: std::collections::BTreeSet<_> = a.partitions.keys().chain(b.partitions.keys()).collect();
    for &number in numbers {
        let (one, other) = (a.partitions.get(&number), b.partitions.get(&number));
        let (change, changes) = match (one, other) {
            (None, _) => (What::Added, Vec::new()),
            (_, None) => (What::Removed, Vec::new()),
            (Some(a), Some(b)) => (What::Changed, fields(a, b)),
        };
        if change != What::Changed || !changes.is_empty() {
            let name = one.or(other).map(|partition| partition.name.clone()).unwrap_or_default();
            found.push(PartitionChange { number, name, change, changes });
        }
    }
    found
}

fn fields(a: &Partition, b: &Partition) -> Vec<Change> {
    let fields = [
        ("name", a.name.clone(), b.name.clone()),
        ("type", a.kind.clone(), b.kind.clone()),
        ("GUID", a.guid.clone(), b.guid.clone()),
        ("start", bytes(a.start), bytes(b.start)),
        ("size", bytes(a.size), bytes(b.size)),
        ("attributes", format!("{:#x}", a.attributes), format!("{:#x}", b.attributes)),
    ];
    fields.into_iter().filter(|(_, a, b)| a != b).map(|(what, a, b)| Change::new(what, a, b)).collect()
}

fn bytes(number: u64) -> String {
    format!("{} bytes", grouped(number))
}
