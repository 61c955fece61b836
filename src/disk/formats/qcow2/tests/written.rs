//! What is written: sound, the disk, and always the same bytes.

use super::super::{CLUSTER, Earlier, Entry, Index};
use super::{Content, Scratch, disk, disk_of, numbers, some_disk, sound};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::os::unix::fs::FileExt;

#[test]
fn the_file_is_sound_and_holds_the_disk() {
    let scratch = Scratch::new();
    let disk = some_disk();
    let (file, written) = scratch.qcow2("disk.qcow2", &scratch.file("raw", &disk), None);
    assert_eq!(sound::check(&file), (7, 3));
    assert!(disk_of(&scratch.path("disk.qcow2")).unwrap() == disk);
    assert_eq!(written.size, file.len() as u64);
    assert_eq!(written.sha256, hex::encode(Sha256::digest(&file)));
    assert_eq!(written.index.entries().len(), 10);
    for entry in written.index.entries() {
        let stored = &file[entry.offset as usize..][..entry.length as usize];
        assert_eq!(blake3::hash(stored), entry.stored);
    }
}

#[test]
fn nothing_lies_between_the_clusters() {
    let scratch = Scratch::new();
    let (_, written) = scratch.qcow2("disk.qcow2", &scratch.file("raw", &some_disk()), None);
    let (standard, compressed): (Vec<Entry>, Vec<Entry>) =
        written.index.entries().iter().partition(|entry| entry.length == CLUSTER as u32);
    let mut end = CLUSTER as u64;
    for entry in compressed {
        assert_eq!(entry.offset, end);
        end += u64::from(entry.length);
    }
    for entry in standard {
        end = end.next_multiple_of(CLUSTER as u64);
        assert_eq!(entry.offset, end);
        end += CLUSTER as u64;
    }
    // L2, L1, refcount table, refcount block.
    assert_eq!(written.size, end + 4 * CLUSTER as u64);
}

#[test]
fn disks_of_any_size_are_sound() {
    let scratch = Scratch::new();
    let content = disk(&[Content::Text, Content::Random]);
    for size in [0, 1, 511, 512, 513, CLUSTER, CLUSTER + 1, CLUSTER + 4096, 2 * CLUSTER] {
        let raw = scratch.file("raw", &content[..size]);
        let (file, _) = scratch.qcow2("disk.qcow2", &raw, None);
        let (compressed, standard) = sound::check(&file);
        assert_eq!(compressed + standard, size.div_ceil(CLUSTER));
        assert_eq!(standard, usize::from(size == 2 * CLUSTER));
        let mut filled = content[..size].to_vec();
        filled.resize(size.next_multiple_of(512), 0);
        assert!(disk_of(&scratch.path("disk.qcow2")).unwrap() == filled, "{size}");
    }
}

#[test]
fn a_large_disk_has_no_tables_for_its_holes() {
    let scratch = Scratch::new();
    let raw = scratch.file("raw", b"");
    let file = fs_err::OpenOptions::new().write(true).open(&raw).unwrap();
    file.set_len(40 << 30).unwrap();
    // One cluster each in the second L2 table and in the last but one of 80.
    for (offset, byte) in [((512 << 20) + 5, 1), ((39 << 30) + 77, 2)] {
        file.file().write_all_at(&[byte], offset).unwrap();
    }
    let (file, _) = scratch.qcow2("disk.qcow2", &raw, None);
    assert_eq!(sound::check(&file), (2, 0));
    assert_eq!(file.len(), 7 * CLUSTER);
    let reader = super::Reader::open(&scratch.path("disk.qcow2")).unwrap();
    let table = 512 << 20;
    for (offset, mapped) in [
        (0, table),
        (table, table),
        (table + 5, table + 5),
        (2 * table, 78 * table),
        (79 * table, 80 * table),
        (80 * table, 80 * table),
        (u64::MAX, 80 * table),
    ] {
        assert_eq!(reader.mapped_from(offset), mapped, "{offset}");
    }
    let mut bytes = [9; 3];
    for (offset, expected) in [(0, [0; 3]), ((512 << 20) + 4, [0, 1, 0]), ((39 << 30) + 77, [2, 0, 0])] {
        reader.read_at(offset, &mut bytes).unwrap();
        assert_eq!(bytes, expected);
    }
    reader.read_at((40 << 30) - 3, &mut bytes).unwrap();
    reader.read_at((40 << 30) - 2, &mut bytes).unwrap_err();
    reader.read_at(u64::MAX - 1, &mut bytes).unwrap_err();
}

#[test]
fn holes_and_cores_make_no_difference() {
    let scratch = Scratch::new();
    // More than two batches.
    let kinds = [Content::Text, Content::Zeros, Content::Random, Content::Text, Content::Text];
    let disk = disk(&kinds.repeat(150));
    let raw = scratch.file("raw", &disk);
    let holes = scratch.file("holes", b"");
    let file = fs_err::OpenOptions::new().write(true).open(&holes).unwrap();
    file.set_len(disk.len() as u64).unwrap();
    crate::disk::sparse::write_at(&file, 0, &disk).unwrap();
    let (whole, first) = scratch.qcow2("whole.qcow2", &raw, None);
    for cores in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(cores).build().unwrap();
        for source in [&raw, &holes] {
            let (file, written) = pool.install(|| scratch.qcow2("again.qcow2", source, None));
            assert!(file == whole && written == first, "{cores} cores");
        }
    }
    assert_eq!(sound::check(&whole), (450, 150));
    assert!(disk_of(&scratch.path("whole.qcow2")).unwrap() == disk);
}

#[test]
fn an_earlier_file_changes_no_byte() {
    let scratch = Scratch::new();
    let old = some_disk();
    let mut new = old.clone();
    new[100] ^= 1;
    new[2 * CLUSTER + 5] ^= 1;
    new[9 * CLUSTER..10 * CLUSTER].fill(0);
    // One moved, one twice.
    new.copy_within(0..CLUSTER, 3 * CLUSTER);
    new.copy_within(7 * CLUSTER..8 * CLUSTER, 4 * CLUSTER);
    let (_, earlier) = scratch.qcow2("old.qcow2", &scratch.file("old", &old), None);
    let raw = scratch.file("new", &new);
    let (cold, expected) = scratch.qcow2("cold.qcow2", &raw, None);
    let file = scratch.path("old.qcow2");
    let reuse = Some(Earlier { file: &file, index: &earlier.index });
    let (warm, written) = scratch.qcow2("warm.qcow2", &raw, reuse);
    assert!(warm == cold && written == expected);

    // Damaged in every compressed cluster, cut short, gone.
    let whole = fs_err::read(&file).unwrap();
    let mut damaged = whole.clone();
    for entry in earlier.index.entries() {
        damaged[entry.offset as usize + entry.length as usize / 2] ^= 4;
    }
    for content in [&damaged[..], &whole[..CLUSTER + 3000], b""] {
        fs_err::write(&file, content).unwrap();
        let (warm, written) = scratch.qcow2("warm.qcow2", &raw, reuse);
        assert!(warm == cold && written == expected);
    }
    fs_err::remove_file(&file).unwrap();
    let (warm, written) = scratch.qcow2("warm.qcow2", &raw, reuse);
    assert!(warm == cold && written == expected);
}

#[test]
fn what_is_known_is_copied_and_not_compressed() {
    let scratch = Scratch::new();
    let disk = some_disk();
    let raw = scratch.file("raw", &disk);
    let (cold, written) = scratch.qcow2("cold.qcow2", &raw, None);
    // Bytes that this compressor does not make tell whether they were taken over.
    let stored = b"not a deflate stream";
    let mut entries = written.index.entries().to_vec();
    assert!(entries[1].length < CLUSTER as u32);
    let mut tampered = cold.clone();
    let offset = entries[1].offset as usize;
    tampered[offset..offset + stored.len()].copy_from_slice(stored);
    entries[1].stored = *blake3::hash(stored).as_bytes();
    entries[1].length = stored.len() as u32;
    let file = scratch.file("tampered.qcow2", &tampered);
    let index = Index::new(entries);
    let (warm, _) = scratch.qcow2("warm.qcow2", &raw, Some(Earlier { file: &file, index: &index }));
    assert!(warm.windows(stored.len()).any(|bytes| bytes == stored));
    // What another compressor made is not taken over.
    let encoded = written.index.encode();
    let name = super::super::cluster::COMPRESSOR.as_bytes();
    let at = encoded.windows(name.len()).position(|bytes| bytes == name).unwrap();
    let mut other = index.encode();
    other[at] ^= 1;
    let end = other.len() - 32;
    let digest = *blake3::hash(&other[..end]).as_bytes();
    other[end..].copy_from_slice(&digest);
    let other = Index::decode(&other).unwrap();
    let (warm, _) = scratch.qcow2("warm.qcow2", &raw, Some(Earlier { file: &file, index: &other }));
    assert!(warm == cold);
}

#[test]
fn an_index_that_lies_breaks_nothing_but_its_clusters() {
    let scratch = Scratch::new();
    let raw = scratch.file("raw", &some_disk());
    let (cold, written) = scratch.qcow2("cold.qcow2", &raw, None);
    let file = scratch.path("cold.qcow2");
    for (offset, length) in [(u64::MAX, 100), (0, 0), (0, u32::MAX), (u64::MAX - 50, 65535), (5, 65537)] {
        let entries = written.index.entries().iter();
        let index = Index::new(entries.map(|entry| Entry { offset, length, ..*entry }).collect());
        let (warm, again) = scratch.qcow2("warm.qcow2", &raw, Some(Earlier { file: &file, index: &index }));
        assert!(warm == cold && again == written, "{offset} {length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_disk_comes_back(
        kinds in proptest::collection::vec(0u8..4, 0..40),
        cut in 0usize..CLUSTER,
        reads in proptest::collection::vec((any::<u64>(), 0usize..200_000), 20),
        seed: u64,
    ) {
        let kind = |&kind: &u8| match kind {
            0 => Content::Zeros,
            1 => Content::Text,
            2 => Content::Mixed,
            _ => Content::Random,
        };
        let mut disk = disk(&kinds.iter().map(kind).collect::<Vec<_>>());
        disk.truncate(disk.len().saturating_sub(cut));
        // Some clusters become partly zeros, partly data.
        let mut random = numbers(seed);
        for _ in 0..kinds.len() / 4 {
            let at = random() as usize % disk.len().max(1);
            let end = (at + random() as usize % 100_000).min(disk.len());
            disk[at.min(end)..end].fill(0);
        }
        let scratch = Scratch::new();
        let raw = scratch.file("raw", &disk);
        let (file, _) = scratch.qcow2("disk.qcow2", &raw, None);
        sound::check(&file);
        disk.resize(disk.len().next_multiple_of(512), 0);
        prop_assert!(disk_of(&scratch.path("disk.qcow2")).unwrap() == disk);
        let reader = super::Reader::open(&scratch.path("disk.qcow2")).unwrap();
        for (offset, length) in reads {
            let offset = offset % (disk.len() as u64 + 1);
            let length = length.min(disk.len() - offset as usize);
            let mut bytes = vec![7; length];
            reader.read_at(offset, &mut bytes).unwrap();
            prop_assert!(bytes == disk[offset as usize..][..length]);
        }
    }
}
