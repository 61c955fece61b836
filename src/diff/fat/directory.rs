//! The records of a FAT directory (Microsoft, "FAT32 File System Specification" 1.03, "FAT Directory Structure").

use crate::diff::le::{Field, u16_at, u32_at};
use std::collections::VecDeque;

/// Bytes of a record.
pub const RECORD: usize = 32;
/// Attributes of a volume's label, of a directory, and of a part of a long name.
const LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
const LONG_NAME: u8 = 0x0f;
/// First byte of a record that is free, and of one behind which all are.
const FREE: u8 = 0xe5;
const END: u8 = 0;

/// One record with the parts of its long name before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The record.
    pub bytes: [u8; RECORD],
    /// The name, long if it has one.
    pub name: String,
    /// Offset of the record in the directory.
    pub at: usize,
    /// Offset of the first part of its long name, or of the record.
    pub first: usize,
}

impl Record {
    /// Whether it is the volume's label.
    pub fn is_label(&self) -> bool {
        self.bytes[11] & LABEL != 0
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.bytes[11] & DIRECTORY != 0
    }

    /// Whether it is `.` or `..`.
    pub fn is_dot(&self) -> bool {
        self.bytes[0] == b'.'
    }

    /// The first cluster of its content; 0 for none.
    pub fn cluster(&self) -> u32 {
        u32::from(u16_at(&self.bytes, 26)) | u32::from(u16_at(&self.bytes, 20)) << 16
    }

    /// Bytes of its content; 0 for a directory.
    pub fn size(&self) -> u32 {
        u32_at(&self.bytes, 28)
    }

    /// The flags that a person can set, by name.
    pub fn flags(&self) -> Option<String> {
        let names = [(0x01, "read-only"), (0x02, "hidden"), (0x04, "system"), (0x20, "archive")];
        let set: Vec<_> =
            names.iter().filter(|(bit, _)| self.bytes[11] & bit != 0).map(|flag| flag.1).collect();
        (!set.is_empty()).then(|| set.join(" "))
    }

    /// Modification time in seconds since 1970; FAT knows no time zone, UTC is taken. Nothing when it is none.
    pub fn modified(&self) -> Option<i64> {
        let (time, date) = (u16_at(&self.bytes, 22), u16_at(&self.bytes, 24));
        let part = |value: u16, shift: u16, bits: u16| (value >> shift & ((1 << bits) - 1)) as i8;
        let year = 1980 + (date >> 9) as i16;
        let time =
            jiff::civil::Time::new(part(time, 11, 5), part(time, 5, 6), part(time, 0, 5) * 2, 0).ok()?;
        let date = jiff::civil::Date::new(year, part(date, 5, 4), part(date, 0, 5)).ok()?;
        let moment = date.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(moment.timestamp().as_second())
    }
}

/// The records of a directory, label and dots included.
pub fn records(content: &[u8]) -> Vec<Record> {
    let mut found = Vec::new();
    let mut long = LongName::default();
    for (number, bytes) in content.as_chunks::<RECORD>().0.iter().enumerate() {
        match bytes[0] {
            END => break,
            FREE => long = LongName::default(),
            _ if bytes[11] & 0x3f == LONG_NAME => long.part(bytes, number),
            _ => {
                let (name, first) = match std::mem::take(&mut long).of(bytes) {
                    Some((name, first)) if bytes[11] & LABEL == 0 => (name, first),
                    _ => (short_name(bytes), number),
                };
                found.push(Record { bytes: *bytes, name, at: number * RECORD, first: first * RECORD });
            }
        }
    }
    found
}

/// The parts of a long name, which come in reverse order.
#[derive(Default)]
struct LongName {
    units: VecDeque<u16>,
    first: usize,
    next: u8,
    checksum: u8,
}

impl LongName {
    fn part(&mut self, bytes: &[u8; RECORD], number: usize) {
        let order = bytes[0] & 0x3f;
        if bytes[0] & 0x40 != 0 {
            *self = Self { first: number, next: order, checksum: bytes[13], ..Self::default() };
        }
        if order != self.next || order == 0 || bytes[13] != self.checksum {
            *self = Self::default();
            return;
        }
        self.next -= 1;
        for at in [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30].into_iter().rev() {
            self.units.push_front(u16_at(bytes, at));
        }
    }

    fn of(self, record: &[u8; RECORD]) -> Option<(String, usize)> {
        let sum = record[..11].iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        let whole = self.next == 0 && !self.units.is_empty() && sum == self.checksum;
        let units: Vec<u16> = self.units.into_iter().take_while(|&unit| unit != 0).collect();
        whole.then(|| (String::from_utf16_lossy(&units), self.first))
    }
}

fn short_name(bytes: &[u8; RECORD]) -> String {
    let part = |range: std::ops::Range<usize>, lower: u8| {
        let text: String = bytes[range].iter().map(|&byte| char::from(byte)).collect();
        let text = text.trim_end_matches(' ').to_owned();
        // Windows NT's way to spare a long name: a bit for each part in lower case.
        if bytes[12] & lower != 0 { text.to_lowercase() } else { text }
    };
    let (base, extension) = (part(0..8, 0x08), part(8..11, 0x10));
    if bytes[11] & LABEL != 0 {
        base + &extension
    } else if extension.is_empty() {
        base
    } else {
        format!("{base}.{extension}")
    }
}

/// Fields that are compared as properties of the file.
pub const TOLD: [&str; 3] = ["flags", "modification time", "size"];
/// Name of the first cluster.
pub const CLUSTER: &str = "first cluster";

/// A record's fields.
pub const FIELDS: &[Field] = &[
    (0, 11, "short name"),
    (11, 1, "flags"),
    (12, 1, "case of the name"),
    (13, 5, "creation time"),
    (18, 2, "access date"),
    (20, 2, CLUSTER),
    (22, 4, "modification time"),
    (26, 2, CLUSTER),
    (28, 4, "size"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(name: &[u8; 11], attributes: u8) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..11].copy_from_slice(name);
        bytes[11] = attributes;
        bytes
    }

    #[test]
    fn short_names_have_their_dot_and_case() {
        let mut lower = record(b"GRUB    CFG", 0x21);
        lower[12] = 0x18;
        let free = record(b"\xe5OLD    TXT", 0);
        let bytes = [record(b"ESP        ", 8), free, lower, record(b"EFI        ", 0x10), [0; 32], lower];
        let found = records(&bytes.concat());
        let names: Vec<_> = found.iter().map(|record| record.name.as_str()).collect();
        assert_eq!(names, ["ESP", "grub.cfg", "EFI"]);
        assert!(found[0].is_label() && found[2].is_directory());
        assert_eq!(found[1].flags().as_deref(), Some("read-only archive"));
        assert_eq!((found[1].at, found[1].first), (64, 64));
    }

    #[test]
    fn times_are_utc_and_impossible_ones_are_none() {
        let mut bytes = record(b"A          ", 0);
        bytes[22..26].copy_from_slice(&[0xaa, 0xb1, 0x6e, 0x57]);
        let read = |bytes: [u8; 32]| records(&bytes)[0].modified();
        assert_eq!(read(bytes), Some(1_700_000_000));
        bytes[24] = 0;
        assert_eq!(read(bytes), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), long: bool) {
            if long {
                bytes.iter_mut().skip(11).step_by(32).for_each(|byte| *byte = LONG_NAME);
            }
            for record in records(&bytes) {
                record.modified();
            }
        }
    }
}
