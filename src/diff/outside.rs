//! The bytes of a disk that belong to no partition: boot record, partition tables, gaps (UEFI specification 2.10,
//! chapter 5).

use super::findings::{Findings, count};
use super::le::{self, Field, u32_at, u64_at};
use super::raw;
use super::report::PartitionChange;
use super::source::{ReadAt, Source, Window};
use super::table::{ENTRIES, ENTRY, Partition, SECTOR, Table};
use crate::error::Result;
use std::ops::Range;

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
pub fn compare(
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
