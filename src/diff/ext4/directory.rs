//! The records of a directory (Linux, Documentation/filesystems/ext4/directory.rst). Read in sequence: the blocks of a
//! hash tree look like empty records to that.

use crate::diff::le::{u16_at, u32_at};
use std::ops::Range;

/// Type of the record at a block's end that holds only a checksum.
const CHECKSUM_TYPE: u8 = 0xde;

/// One record that names an inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The inode.
    pub inode: u32,
    /// The name.
    pub name: Vec<u8>,
}

/// The records in a directory's blocks but `.` and `..`, and whether all blocks are sound.
pub fn records(content: &[u8], block_size: usize) -> (Vec<Record>, bool) {
    let (mut found, mut sound) = (Vec::new(), true);
    for block in content.chunks(block_size) {
        sound &= walk(block, |at, length| {
            let inode = u32_at(block, at);
            let name = &block[at + 8..at + 8 + length];
            if inode != 0 && !matches!(name, b"." | b"..") {
                sound &= !name.is_empty() && !name.contains(&b'/') && !name.contains(&0);
                found.push(Record { inode, name: name.to_vec() });
            }
        });
    }
    found.retain(|record| !record.name.is_empty() && !record.name.contains(&b'/'));
    (found, sound)
}

/// A directory's content with inode numbers and checksums blanked: what is left is the order of the names and the
/// space between them.
pub fn without_numbers(content: &[u8], block_size: usize) -> Vec<u8> {
    let mut content = content.to_vec();
    for block in content.chunks_mut(block_size) {
        let mut blank: Vec<Range<usize>> = Vec::new();
        walk(block, |at, length| {
            let empty = u32_at(block, at) == 0;
            let hash_node = at == 0 && usize::from(u16_at(block, 4)) == block.len();
            match block[at + 7] {
                CHECKSUM_TYPE if empty && length == 0 => blank.push(at + 8..at + 12),
                _ if !empty => blank.push(at..at + 4),
                // The last eight bytes of a hash tree's block end with a checksum.
                _ if hash_node => blank.push(block.len() - 4..block.len()),
                _ => {}
            }
            // The root of a hash tree: the record of `..` spans the tree, whose checksum is at the block's end.
            if at == 12
                && &block[at + 8..at + 8 + length] == b".."
                && at + usize::from(u16_at(block, 16)) == block.len()
            {
                blank.push(block.len() - 4..block.len());
            }
        });
        for range in blank {
            if let Some(bytes) = block.get_mut(range) {
                bytes.fill(0);
            }
        }
    }
    content
}

/// Calls back with the offset and the name's length of every record; false when the block is damaged.
fn walk(block: &[u8], mut record: impl FnMut(usize, usize)) -> bool {
    let mut at = 0;
    while at < block.len() {
        let length = usize::from(u16_at(block, at + 4));
        let Some(&name) = block.get(at + 6) else { return false };
        if length < 8 || length % 4 != 0 || at + length > block.len() || 8 + usize::from(name) > length {
            return false;
        }
        record(at, name.into());
        at += length;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(inode: u32, length: u16, kind: u8, name: &[u8]) -> Vec<u8> {
        let mut bytes = inode.to_le_bytes().to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend([name.len() as u8, kind]);
        bytes.extend(name);
        bytes.resize(length.into(), 0);
        bytes
    }

    fn block(first: u32, name: &[u8], checksum: u8) -> Vec<u8> {
        let mut bytes = [record(2, 12, 2, b"."), record(2, 12, 2, b"..")].concat();
        bytes.extend(record(first, 16, 1, name));
        bytes.extend(record(0, 8, 0, b""));
        let left = 128 - bytes.len() as u16 - 12;
        bytes.extend(record(16, left, 1, b"last"));
        bytes.extend(record(0, 12, CHECKSUM_TYPE, b""));
        bytes[124] = checksum;
        bytes
    }

    #[test]
    fn records_are_read_and_empty_ones_passed() {
        let (found, sound) = records(&block(12, b"name", 0), 128);
        let names: Vec<_> = found.iter().map(|record| (record.inode, &record.name[..])).collect();
        assert_eq!(names, [(12, &b"name"[..]), (16, b"last")]);
        assert!(sound);
    }

    #[test]
    fn only_numbers_and_checksums_are_blanked() {
        let plain = |block: Vec<u8>| without_numbers(&block, 128);
        assert_eq!(plain(block(12, b"name", 1)), plain(block(13, b"name", 2)));
        assert_ne!(plain(block(12, b"name", 1)), plain(block(12, b"nome", 1)));
        let mut padding = block(12, b"name", 1);
        padding[24 + 13] = 1;
        assert_ne!(plain(block(12, b"name", 1)), plain(padding));
    }

    #[test]
    fn damage_is_told() {
        for (at, to) in [(4, 13), (4, 0), (6, 200), (29, 0xff), (32, b'/'), (32, 0)] {
            let mut bytes = block(12, b"name", 0);
            bytes[at] = to;
            assert!(!records(&bytes, 128).1, "{at}");
        }
        assert!(!records(&[1, 0, 0], 128).1);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(0u8..24, 0..300)) {
            let (found, _) = records(&bytes, 128);
            prop_assert!(found.iter().all(|record| !record.name.contains(&b'/')));
            prop_assert_eq!(without_numbers(&bytes, 128).len(), bytes.len());
        }
    }
}
