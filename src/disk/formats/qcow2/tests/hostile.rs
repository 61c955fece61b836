//! Files that are damaged or made to deceive: an error or wrong content, never a panic.

use super::super::Reader;
use super::{Scratch, some_disk};
use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;

static WRITTEN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let scratch = Scratch::new();
    scratch.qcow2("disk.qcow2", &scratch.file("raw", &some_disk()), None).0
});

/// Reads here and there, whatever the size of the disk is said to be.
fn read(path: &Path) {
    let Ok(reader) = Reader::open(path) else { return };
    let mut bytes = vec![0; 70_000];
    for step in 0..40 {
        let offset = (reader.size() / 40).saturating_mul(step);
        let length = (reader.size() - offset).min(bytes.len() as u64) as usize;
        let _ = reader.read_at(offset, &mut bytes[..length]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn bytes_of_the_header(changes in proptest::collection::vec((0usize..112, any::<u8>()), 1..6)) {
        let mut file = WRITTEN.clone();
        for (at, byte) in changes {
            file[at] = byte;
        }
        let scratch = Scratch::new();
        read(&scratch.file("disk", &file));
    }

    #[test]
    fn fields_of_the_header(changes in proptest::collection::vec((0usize..13, 0u32..64, any::<u64>()), 1..4)) {
        let mut file = WRITTEN.clone();
        for (field, shift, value) in changes {
            file[8 + field * 8..][..8].copy_from_slice(&(value >> shift).to_be_bytes());
        }
        let scratch = Scratch::new();
        read(&scratch.file("disk", &file));
    }

    #[test]
    fn entries_of_the_tables(
        changes in proptest::collection::vec((0usize..2, 0usize..16, 0u32..64, any::<u64>()), 1..10),
        flags in 0u64..4,
    ) {
        let mut file = WRITTEN.clone();
        // L2, L1, refcount table, refcount block are the last clusters.
        let tables = file.len() - (4 << 16);
        for (table, entry, shift, value) in changes {
            let value = value >> shift & !(3 << 62) | flags << 62;
            file[tables + (table << 16) + entry * 8..][..8].copy_from_slice(&value.to_be_bytes());
        }
        let scratch = Scratch::new();
        read(&scratch.file("disk", &file));
    }

    #[test]
    fn anything_anywhere(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..200),
        length in any::<proptest::sample::Index>(),
        cut: bool,
    ) {
        let mut file = WRITTEN.clone();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if cut {
            file.truncate(length.index(file.len()));
        }
        let scratch = Scratch::new();
        read(&scratch.file("disk", &file));
    }

    #[test]
    fn a_header_and_noise(noise in proptest::collection::vec(any::<u8>(), 0..4096), bits in 9u32..22) {
        let mut file = WRITTEN[..104].to_vec();
        file[20..24].copy_from_slice(&bits.to_be_bytes());
        file.extend(noise);
        let scratch = Scratch::new();
        read(&scratch.file("disk", &file));
    }
}
