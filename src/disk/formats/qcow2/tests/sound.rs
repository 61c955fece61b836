//! A second opinion on a file's tables: what `qemu-img check` looks at, in a few lines.

use super::super::{CLUSTER, SECTOR};

fn number(file: &[u8], at: u64) -> u64 {
    u64::from_be_bytes(file[at as usize..][..8].try_into().unwrap())
}

/// Asserts that every reference count is the number of references, that the mark for exactly one reference is
/// where it must be, and that nothing lies beyond the file's end. Returns how many guest clusters are compressed
/// and how many are not.
pub fn check(file: &[u8]) -> (usize, usize) {
    let cluster = CLUSTER as u64;
    let clusters = file.len() as u64 / cluster;
    assert_eq!(file.len() as u64 % cluster, 0, "the file does not end with a cluster");
    let mut references = vec![0u64; clusters as usize];
    let mut refer = |start: u64, length: u64| {
        for host in start / cluster..(start + length).div_ceil(cluster) {
            references[host as usize] += 1;
        }
    };
    refer(0, cluster);
    let l1_entries = u64::from(u32::from_be_bytes(file[36..40].try_into().unwrap()));
    let (l1, table) = (number(file, 40), number(file, 48));
    let table_clusters = u64::from(u32::from_be_bytes(file[56..60].try_into().unwrap()));
    refer(l1, (l1_entries * 8).next_multiple_of(cluster));
    refer(table, table_clusters * cluster);
    let (mut compressed, mut standard) = (0, 0);
    for entry in (0..l1_entries).map(|at| number(file, l1 + at * 8)).filter(|entry| *entry != 0) {
        assert_eq!(entry >> 56, 0x80, "an L2 table is referred to once");
        let l2 = entry & (u64::MAX >> 8);
        assert_eq!(l2 % cluster, 0);
        refer(l2, cluster);
        let entries = (0..cluster / 8).map(|at| number(file, l2 + at * 8)).filter(|entry| *entry != 0);
        let before = compressed + standard;
        for entry in entries {
            if entry >> 62 == 1 {
                let (offset, sectors) = (entry & ((1 << 54) - 1), (entry >> 54 & 0xff) + 1);
                let end = offset / SECTOR * SECTOR + sectors * SECTOR;
                assert!(end <= file.len() as u64);
                refer(offset, end - offset);
                compressed += 1;
            } else {
                assert_eq!(entry >> 56, 0x80, "a standard cluster is referred to once");
                refer(entry & (u64::MAX >> 8), cluster);
                standard += 1;
            }
        }
        assert!(compressed + standard > before, "an L2 table without entries");
    }
    let blocks: Vec<u64> = (0..table_clusters * cluster / 8).map(|at| number(file, table + at * 8)).collect();
    for block in blocks.iter().filter(|block| **block != 0) {
        assert_eq!(block % cluster, 0);
        refer(*block, cluster);
    }
    for (host, counted) in references.iter().enumerate() {
        let block = blocks[host / (CLUSTER / 2)] as usize;
        let at = block + host % (CLUSTER / 2) * 2;
        let says = u16::from_be_bytes(file[at..at + 2].try_into().unwrap());
        assert_eq!(u64::from(says), *counted, "references to host cluster {host} of {clusters}");
        assert_ne!(*counted, 0, "host cluster {host} of {clusters} is not used");
    }
    (compressed, standard)
}
