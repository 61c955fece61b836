//! Tables written by goldcast's own disk stage, and damaged ones.

use super::super::table::differences;
use super::*;
use crate::diff::report::Change;
use crate::disk::{Identity, Layout};
use std::io::Cursor;
use std::sync::Arc;

fn disk(lock: &str, root_size: u64) -> Vec<u8> {
    let layout = Layout::new(&Identity::from_lock(lock), &[("/", root_size)]).unwrap();
    let mut disk = Cursor::new(vec![0; layout.size as usize]);
    layout.write(&mut disk).unwrap();
    disk.into_inner()
}

fn told(a: &[u8], b: &[u8]) -> (Vec<PartitionChange>, Vec<(u64, String)>) {
    let (a, b): (Source, Source) = (Arc::new(a.to_vec()), Arc::new(b.to_vec()));
    let (table_a, table_b) = (Table::read(&a), Table::read(&b));
    let changes = differences(&table_a, &table_b);
    let mut findings = Findings::default();
    compare((&a, &table_a), (&b, &table_b), &changes, &mut findings).unwrap();
    (changes, findings.told.into_iter().map(|told| (told.range.start, told.place)).collect())
}

#[test]
fn the_table_is_read_with_its_names() {
    let source: Source = Arc::new(disk("abc", 1 << 20));
    let table = Table::read(&source);
    assert_eq!((table.problem, table.partitions.len()), (None, 3));
    let root = &table.partitions[&3];
    assert_eq!((root.title().as_str(), root.size, root.attributes), ("partition 3 (root)", 1 << 20, 1 << 59));
}

#[test]
fn other_identifiers_are_differences_of_partitions_and_explain_the_rest() {
    let (changes, bytes) = told(&disk("abc", 1 << 20), &disk("abd", 1 << 20));
    assert_eq!(changes.iter().map(|change| change.number).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(changes.iter().all(|change| change.changes.len() == 1 && change.changes[0].what == "GUID"));
    assert_eq!(bytes, []);
}

#[test]
fn another_size_is_a_difference_of_partition_and_disk() {
    let (changes, bytes) = told(&disk("abc", 1 << 20), &disk("abc", 2 << 20));
    assert_eq!(changes.iter().map(|change| change.number).collect::<Vec<_>>(), [0, 3]);
    assert_eq!(changes[1].changes[0], Change::new("size", "1,048,576 bytes", "2,097,152 bytes"));
    // The protective record covers the disk; it is no part of the table.
    assert_eq!(bytes, [(459, "boot record: partition records".to_owned())]);
}

#[test]
fn every_flipped_byte_outside_of_partitions_is_told_by_its_place() {
    let image = disk("abc", 1 << 20);
    let end = image.len();
    for (at, place) in [
        (3, "boot record: boot code"),
        (441, "boot record: disk signature"),
        (500, "boot record: partition records"),
        (512 + 10, "partition table: revision"),
        (512 + 60, "partition table: disk GUID"),
        (512 + 200, "partition table: reserved bytes"),
        (1024 + 128 + 40, "partition table: entry 2"),
        (1024 + 70 * 128, "partition table: entry 71"),
        (40_000, "gap before partition 1"),
        (end - 512 + 60, "backup of the partition table: disk GUID"),
        (end - 512 - 128 * 128 + 256 + 3, "backup of the partition table: entry 3"),
        (end - (1 << 20) + 5, "gap behind the last partition"),
    ] {
        let mut other = image.clone();
        other[at] ^= 0x40;
        assert_eq!(told(&image, &other), (vec![], vec![(at as u64, place.to_owned())]), "{at}");
        assert_eq!(told(&other, &image), (vec![], vec![(at as u64, place.to_owned())]), "{at}");
    }
}

#[test]
fn a_damaged_table_is_read_from_its_backup_and_told() {
    let image = disk("abc", 1 << 20);
    for at in [512, 512 + 60, 1024 + 40] {
        let mut other = image.clone();
        other[at] ^= 1;
        let source: Source = Arc::new(other);
        let table = Table::read(&source);
        assert_eq!(table.partitions.len(), 3);
        assert!(table.problem.is_none_or(|problem| problem.contains("backup")) || at != 1024 + 40);
    }
    let mut other = image.clone();
    other[512..40 * 512].fill(0);
    let length = other.len();
    other[length - 40 * 512..].fill(0);
    let source: Source = Arc::new(other);
    let table = Table::read(&source);
    assert!(table.partitions.is_empty() && table.problem.is_some());
}

#[test]
fn a_table_for_larger_sectors_is_told_as_that() {
    let mut image = vec![0; 1 << 20];
    image[4096..4104].copy_from_slice(b"EFI PART");
    let source: Source = Arc::new(image);
    assert!(Table::read(&source).problem.unwrap().contains("sectors of 4096 bytes"));
}

#[test]
fn impossible_numbers_are_refused_before_the_library_sees_them() {
    for (at, value) in [(80, u32::MAX), (84, 64), (84, 0)] {
        let mut image = disk("abc", 1 << 20);
        let end = image.len();
        for header in [512, end - 512] {
            image[header + at..header + at + 4].copy_from_slice(&value.to_le_bytes());
        }
        let source: Source = Arc::new(image);
        assert!(Table::read(&source).problem.is_some());
    }
    for bytes in [vec![], vec![0; 100], vec![0xff; 2000]] {
        let source: Source = Arc::new(bytes);
        assert!(Table::read(&source).problem.is_some());
    }
}
