//! Files as other programs write them, put together by hand; tests/judges.rs has qemu-img write some.

use super::super::cluster::Compression;
use super::super::header::Header;
use super::{Scratch, disk_of};
use std::io::{Read, Seek, SeekFrom};

/// A file with one L1 table at the second cluster and one L2 table at the third; `clusters` follow.
fn image(header: &Header, l2: &[u64], clusters: &[&[u8]]) -> Vec<u8> {
    let cluster = header.cluster() as usize;
    let mut file = b"QFI\xfb".to_vec();
    file.extend(header.version.to_be_bytes());
    file.resize(20, 0);
    file.extend(header.cluster_bits.to_be_bytes());
    file.extend(header.size.to_be_bytes());
    file.resize(36, 0);
    file.extend(1u32.to_be_bytes());
    file.extend(header.cluster().to_be_bytes());
    file.resize(72, 0);
    let zstd = header.compression == Compression::Zstd;
    if header.version == 3 {
        file.extend(if zstd { 8u64 } else { 0 }.to_be_bytes());
        file.resize(96, 0);
        file.extend(4u32.to_be_bytes());
        file.extend(if zstd { 112u32 } else { 104 }.to_be_bytes());
        file.extend([u8::from(zstd), 0, 0, 0, 0, 0, 0, 0]);
    }
    file.resize(cluster, 0);
    file.extend(((header.cluster() * 2) | (1 << 63)).to_be_bytes());
    file.resize(2 * cluster, 0);
    file.extend(l2.iter().flat_map(|entry| entry.to_be_bytes()));
    file.resize(3 * cluster, 0);
    file.extend(clusters.concat());
    file
}

fn header(version: u32, cluster_bits: u32, guests: u64) -> Header {
    Header {
        version,
        cluster_bits,
        size: guests << cluster_bits,
        l1_entries: 1,
        l1_offset: 1 << cluster_bits,
        refcount_offset: 0,
        refcount_clusters: 0,
        compression: Compression::Zlib,
    }
}

#[test]
fn standard_and_zero_clusters_of_every_size() {
    let scratch = Scratch::new();
    for version in [2, 3] {
        for bits in [9, 12, 16, 21] {
            let cluster = 1 << bits;
            let (one, two) = (vec![1; cluster], vec![2; cluster]);
            let at = |number: u64| number << bits;
            // Without and with the mark of a single reference; version 3 can mark zeros that have a place.
            let zeros = if version == 3 { at(3) | 1 } else { 0 };
            let l2 = [at(4) | 1 << 63, 0, at(3), zeros, at(4)];
            let file = scratch.file("disk", &image(&header(version, bits, 5), &l2, &[&one, &two]));
            let expected = [&two[..], &vec![0; cluster], &one, &vec![0; cluster], &two].concat();
            assert!(disk_of(&file).unwrap() == expected, "version {version}, 2^{bits}");
        }
    }
}

#[test]
fn compressed_clusters_of_every_size() {
    let scratch = Scratch::new();
    for bits in [9, 12, 16, 21] {
        let content: Vec<u8> = (0..1 << bits).map(|at: u32| (at % 251) as u8 / 7).collect();
        let deflated = flate2_raw(&content);
        let frame = zstd::encode_all(&content[..], 3).unwrap();
        for (compression, stored) in [(Compression::Zlib, deflated), (Compression::Zstd, frame)] {
            let header = Header { compression, ..header(3, bits, 2) };
            // It begins within a sector, and the file ends with it, within another.
            let offset = (3 << bits) + 77;
            let sectors = (offset + stored.len() as u64 - 1) / 512 - offset / 512;
            let entry = offset | sectors << (62 - (bits - 8)) | 1 << 62;
            let file = image(&header, &[0, entry], &[&[0; 77], &stored]);
            let file = scratch.file("disk", &file);
            let expected = [vec![0; 1 << bits], content.clone()].concat();
            assert!(disk_of(&file).unwrap() == expected, "{compression:?}, 2^{bits}");
        }
    }
}

/// Raw deflate by another implementation, with the largest window.
fn flate2_raw(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::read::DeflateEncoder::new(content, flate2::Compression::best());
    let mut stored = Vec::new();
    encoder.read_to_end(&mut stored).unwrap();
    stored
}

#[test]
fn a_last_cluster_that_is_cut_is_filled_with_zeros() {
    let scratch = Scratch::new();
    let file = scratch.file("disk", &image(&header(3, 12, 1), &[3 << 12 | 1 << 63], &[&[5; 100]]));
    let mut expected = vec![5; 100];
    expected.resize(4096, 0);
    assert!(disk_of(&file).unwrap() == expected);
}

#[test]
fn what_the_file_does_not_have_is_an_error() {
    let scratch = Scratch::new();
    let inside = 3 << 12;
    for (entry, words) in [
        (1 << 40, "not within the file"),
        (4 << 12, "not within the file"),
        (inside | 512, "no cluster begins"),
        (1 << 62 | 4 << 12, "not within the file"),
        (1 << 62 | inside, "deflate"),
    ] {
        let file = scratch.file("disk", &image(&header(3, 12, 1), &[entry], &[&[0xff; 4096]]));
        let said = disk_of(&file).unwrap_err().to_string();
        assert!(said.contains(words), "{entry:#x}: {said:?} does not say {words:?}");
    }
    let whole = image(&header(3, 12, 1), &[0], &[]);
    for (length, words) in
        [(0, "no qcow2 file"), (50, "within its header"), (4096, "tables"), (8192, "tables")]
    {
        let said = disk_of(&scratch.file("disk", &whole[..length])).unwrap_err().to_string();
        assert!(said.contains(words), "{length}: {said:?} does not say {words:?}");
    }
}

#[test]
fn it_is_read_from_any_place() {
    let scratch = Scratch::new();
    let raw: Vec<u8> = (0..204_800u32).flat_map(u32::to_le_bytes).collect();
    scratch.qcow2("disk.qcow2", &scratch.file("raw", &raw), None);
    let mut reader = super::Reader::open(&scratch.path("disk.qcow2")).unwrap();
    let mut word = [0; 4];
    for (to, expected) in [
        (SeekFrom::Start(400_000), 100_000u32),
        (SeekFrom::Current(4), 100_002),
        (SeekFrom::End(-256), 204_736),
        (SeekFrom::Current(-418_948), 100_000),
    ] {
        reader.seek(to).unwrap();
        reader.read_exact(&mut word).unwrap();
        assert_eq!(u32::from_le_bytes(word), expected, "{to:?}");
    }
    reader.seek(SeekFrom::End(10)).unwrap();
    assert_eq!(reader.read(&mut word).unwrap(), 0);
    reader.seek(SeekFrom::Current(i64::MIN)).unwrap_err();
}
