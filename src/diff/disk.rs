//! The partition table of a disk, and the bytes that belong to no partition (UEFI specification 2.10, chapter 5).

use super::findings::{Findings, count};
use super::le::{self, Field, u32_at, u64_at};
use super::raw;
use super::report::{Change, PartitionChange, What};
use super::source::{ReadAt, Source, Stream, Window};
use super::text::{grouped, printable};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a sector; disks with larger ones have their table elsewhere.
const SECTOR: u64 = 512;
/// Bytes of an entry of the table.
const ENTRY: u64 = 128;
/// More entries than any table has.
const ENTRIES: u32 = 1024;

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
                    Err(_) => (Self::default(), Some(format!("the partition table is damaged: {error}"))),
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

/// Fields of the first sector.
const BOOT_RECORD: &[Field] = &[
    (0, 440, "boot code"),
    (440, 6, "disk signature"),
    (446, 64, "partition records"),
    (510, 2, "signature"),
];

/// Fields of a table's header.
const HEADER: &[Field] = &[
    (0, 8, "signature"),
    (8, 4, "revision"),
    (12, 4, "header size"),
    (16, 4, CHECKSUM),
    (24, 8, "its own place"),
    (32, 8, "the other header's place"),
    (40, 8, "first usable sector"),
    (48, 8, "last usable sector"),
    (56, 16, GUID),
    (72, 8, "place of the entries"),
    (80, 4, "number of entries"),
    (84, 4, "size of an entry"),
    (88, 4, ENTRIES_CHECKSUM),
];
const CHECKSUM: &str = "checksum";
const ENTRIES_CHECKSUM: &str = "checksum of the entries";
const GUID: &str = "disk GUID";

/// Where a table lies on its disk.
struct Parts {
    header: Range<u64>,
    entries: Range<u64>,
}

/// Header and entries: the first, or the backup at the end.
fn parts(disk: &Source, backup: bool) -> Result<Parts> {
    let last = (disk.size() / SECTOR).saturating_sub(1) * SECTOR;
    let start = if backup { last } else { SECTOR };
    let header = disk.bytes(start..start + SECTOR, SECTOR as usize)?;
    let length = u64::from(u32_at(&header, 80).min(ENTRIES)) * ENTRY;
    let entries = u64_at(&header, 72).saturating_mul(SECTOR);
    // Where a sound table has its entries, should this one say something else.
    let usual = if backup { last.saturating_sub(128 * ENTRY) } else { 2 * SECTOR };
    let sound = header.starts_with(b"EFI PART") && entries.saturating_add(length) <= disk.size();
    let entries = if sound { entries..entries + length } else { usual..usual + 128 * ENTRY };
    Ok(Parts { header: start..start + SECTOR, entries })
}

/// The bytes outside of partitions of two disks: boot sector, tables, gaps. `changed` are the differences of the tables.
pub fn outside(
    (disk_a, a): (&Source, &Table),
    (disk_b, b): (&Source, &Table),
    changed: &[PartitionChange],
    findings: &mut Findings,
) -> Result<()> {
    let tables = Tables {
        changed,
        first: (parts(disk_a, false)?, parts(disk_b, false)?),
        backup: (parts(disk_a, true)?, parts(disk_b, true)?),
        disks: (disk_a, disk_b),
    };
    let gaps_a = gaps(a, disk_a.size(), tables.backup.0.entries.start);
    let gaps_b = gaps(b, disk_b.size(), tables.backup.1.entries.start);
    for (name, range_a) in gaps_a {
        let Some((_, range_b)) = gaps_b.iter().find(|(other, _)| *other == name) else { continue };
        if range_a.end - range_a.start != range_b.end - range_b.start && name != BACKUP {
            findings
                .notes
                .push(format!("the {name} has another size; its bytes were compared as far as both go"));
        }
        tables.gap(&name, range_a, range_b.clone(), findings)?;
    }
    Ok(())
}

/// What lies behind the last partition's last gap: the backup table.
const BACKUP: &str = "backup of the partition table";

/// Stretches outside of partitions, by name.
fn gaps(table: &Table, size: u64, backup: u64) -> Vec<(String, Range<u64>)> {
    let mut partitions: Vec<&Partition> = table.partitions.values().collect();
    partitions.sort_by_key(|partition| partition.start);
    let mut found = Vec::new();
    let mut end = 0;
    for partition in partitions {
        if partition.start > end {
            found
                .push((format!("gap before partition {}", partition.number), end..partition.start.min(size)));
        }
        end = end.max(partition.range().end);
    }
    let backup = backup.clamp(end.min(size), size);
    if backup > end {
        found.push(("gap behind the last partition".into(), end..backup));
    }
    found.push((BACKUP.into(), backup..size));
    found.retain(|(_, range)| range.start < range.end);
    found
}

struct Tables<'a> {
    changed: &'a [PartitionChange],
    first: (Parts, Parts),
    backup: (Parts, Parts),
    disks: (&'a Source, &'a Source),
}

impl Tables<'_> {
    fn gap(&self, name: &str, a: Range<u64>, b: Range<u64>, findings: &mut Findings) -> Result<()> {
        let (start_a, start_b) = (a.start, b.start);
        let (a, b) = (Window::new(self.disks.0, a), Window::new(self.disks.1, b));
        for chunk in raw::chunks(&a, &b)? {
            let end = (chunk.offset + raw::CHUNK as u64).min(a.size()).min(b.size());
            let (bytes_a, bytes_b) =
                (a.bytes(chunk.offset..end, raw::CHUNK)?, b.bytes(chunk.offset..end, raw::CHUNK)?);
            // Sector by sector: no structure here crosses one.
            let pairs = bytes_a.chunks(SECTOR as usize).zip(bytes_b.chunks(SECTOR as usize));
            for (at, (a, b)) in (chunk.offset..).step_by(SECTOR as usize).zip(pairs) {
                if a != b {
                    self.sector(name, start_a + at, start_b + at, a, b, findings);
                }
            }
        }
        Ok(())
    }

    fn sector(&self, gap: &str, at: u64, at_b: u64, a: &[u8], b: &[u8], findings: &mut Findings) {
        let mut tell = |range: Range<usize>, place: String| {
            let count = count(a, b, &range);
            let (start, end) = (at + range.start as u64, at + range.end as u64);
            match at == at_b {
                true => findings.tell(start..end, count, place),
                false => findings.tell_apart(start..end, at_b + range.start as u64, count, place),
            }
        };
        let mut explained = 0;
        let in_both = |of: fn(&Parts) -> &Range<u64>, parts: &(Parts, Parts)| {
            of(&parts.0).contains(&at) && of(&parts.1).contains(&at_b)
        };
        if at == 0 {
            for (name, range) in le::differing(BOOT_RECORD, a, b) {
                tell(range, format!("boot record: {name}"));
            }
        } else if in_both(|parts| &parts.header, &self.first) {
            let fields = le::differing(HEADER, a, b);
            for (name, range) in &fields {
                if self.header_follows(name) {
                    explained += count(a, b, range);
                } else {
                    tell(range.clone(), format!("partition table: {name}"));
                }
            }
        } else if in_both(|parts| &parts.header, &self.backup) {
            for (name, range) in le::differing(HEADER, a, b) {
                if self.header_follows(name) && self.first_differs(|parts| &parts.header) {
                    explained += count(a, b, &range);
                } else {
                    tell(range, format!("{BACKUP}: {name}"));
                }
            }
        } else if in_both(|parts| &parts.entries, &self.first) {
            let first = (at - self.first.0.entries.start) / ENTRY + 1;
            self.entries(first, a, b, |number, range, follows| match follows {
                true => explained += count(a, b, &range),
                false => tell(range, format!("partition table: entry {number}")),
            });
        } else if in_both(|parts| &parts.entries, &self.backup) {
            let first = (at - self.backup.0.entries.start) / ENTRY + 1;
            let copied = self.backup_is_copy();
            self.entries(first, a, b, |number, range, follows| match follows && copied {
                true => explained += count(a, b, &range),
                false => tell(range, format!("{BACKUP}: entry {number}")),
            });
        } else {
            for range in le::runs(a, b) {
                tell(range, gap.to_owned());
            }
        }
        findings.explain(explained);
    }

    fn entries(&self, first: u64, a: &[u8], b: &[u8], mut each: impl FnMut(u64, Range<usize>, bool)) {
        let pairs = a.chunks(ENTRY as usize).zip(b.chunks(ENTRY as usize));
        for (slot, (a, b)) in pairs.enumerate() {
            let number = first + slot as u64;
            let follows = self.changed.iter().any(|change| u64::from(change.number) == number);
            for range in le::runs(a, b) {
                let start = slot * ENTRY as usize;
                each(number, start + range.start..start + range.end, follows);
            }
        }
    }

    /// Whether a header's field says again what is told of the partitions.
    fn header_follows(&self, field: &str) -> bool {
        let disk = self.changed.iter().find(|change| change.number == 0);
        let told =
            |what: &str| disk.is_some_and(|disk| disk.changes.iter().any(|change| change.what == what));
        match field {
            GUID => told("GUID"),
            CHECKSUM => !self.changed.is_empty(),
            ENTRIES_CHECKSUM => self.changed.iter().any(|change| change.number > 0),
            "its own place" | "the other header's place" | "last usable sector" | "place of the entries" => {
                told("size")
            }
            _ => false,
        }
    }

    fn first_differs(&self, part: fn(&Parts) -> &Range<u64>) -> bool {
        let read = |disk: &Source, parts: &Parts| disk.bytes(part(parts).clone(), 1 << 20).ok();
        read(self.disks.0, &self.first.0) != read(self.disks.1, &self.first.1)
    }

    /// Whether on both disks the backup has the entries of the first table.
    fn backup_is_copy(&self) -> bool {
        let same = |disk: &Source, first: &Parts, backup: &Parts| {
            let read = |parts: &Parts| disk.bytes(parts.entries.clone(), 1 << 20).ok();
            read(first).is_some() && read(first) == read(backup)
        };
        same(self.disks.0, &self.first.0, &self.backup.0) && same(self.disks.1, &self.first.1, &self.backup.1)
    }
}

#[cfg(test)]
mod tests;
