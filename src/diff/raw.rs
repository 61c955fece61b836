//! Comparing bytes with bytes, on all cores, past the holes.

use super::source::ReadAt;
use crate::error::Result;
use crate::interrupt;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// Differences are first found in chunks of this many bytes.
pub const CHUNK: usize = 4096;
/// Bytes that one thread reads at a time.
const UNIT: u64 = 1 << 20;

/// A chunk with a difference in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Where it begins.
    pub offset: u64,
    /// How many of its bytes differ.
    pub bytes: u64,
}

/// The chunks in which `a` and `b` differ, in order, as far as both go.
pub fn chunks(a: &dyn ReadAt, b: &dyn ReadAt) -> Result<Vec<Chunk>> {
    let found: Vec<Vec<Chunk>> =
        units(a, b)?.into_par_iter().map(|offset| unit(a, b, offset)).collect::<Result<_>>()?;
    Ok(found.concat())
}

/// Whether `a` and `b` have the same length and the same bytes.
pub fn equal(a: &dyn ReadAt, b: &dyn ReadAt) -> Result<bool> {
    if a.size() != b.size() {
        return Ok(false);
    }
    let found = units(a, b)?.into_par_iter().find_map_any(|offset| {
        let result = pair(a, b, offset).map(|(a, b)| a != b);
        result.map(|differs| differs.then_some(())).transpose()
    });
    Ok(found.transpose()?.is_none())
}

/// The first offset at which `a` and `b` differ; their common length when one is the other's beginning.
pub fn first_difference(a: &dyn ReadAt, b: &dyn ReadAt) -> Result<Option<u64>> {
    for offset in units(a, b)? {
        let (a, b) = pair(a, b, offset)?;
        if let Some(at) = mismatch(&a, &b) {
            return Ok(Some(offset + at as u64));
        }
    }
    Ok((a.size() != b.size()).then_some(a.size().min(b.size())))
}

/// The first index at which two slices of one length differ.
pub fn mismatch(a: &[u8], b: &[u8]) -> Option<usize> {
    if a == b {
        return None;
    }
    a.iter().zip(b).position(|(a, b)| a != b)
}

/// sha256 in hex of everything in a source. Holes are hashed as the zeros they are, but not read.
pub fn sha256(source: &dyn ReadAt) -> Result<String> {
    let mut hash = Sha256::new();
    let zeros = vec![0; UNIT as usize];
    let mut buffer = zeros.clone();
    let mut offset = 0;
    let mut data = 0..0;
    while offset < source.size() {
        interrupt::check()?;
        let length = (source.size() - offset).min(UNIT) as usize;
        if data.end <= offset {
            data = source.data_from(offset)?;
        }
        if data.start >= offset + length as u64 {
            hash.update(&zeros[..length]);
        } else {
            source.read_at(offset, &mut buffer[..length])?;
            hash.update(&buffer[..length]);
        }
        offset += length as u64;
    }
    Ok(hex::encode(hash.finalize()))
}

/// Where the units begin in which at least one of the two has data.
fn units(a: &dyn ReadAt, b: &dyn ReadAt) -> Result<Vec<u64>> {
    let size = a.size().min(b.size());
    let (mut data_a, mut data_b) = (0..0, 0..0);
    let mut units = Vec::new();
    let mut offset = 0;
    while offset < size {
        if data_a.end <= offset {
            data_a = a.data_from(offset)?;
        }
        if data_b.end <= offset {
            data_b = b.data_from(offset)?;
        }
        let next = data_a.start.min(data_b.start);
        if next < offset + UNIT {
            units.push(offset);
            offset += UNIT;
        } else {
            offset = next / UNIT * UNIT;
        }
    }
    Ok(units)
}

fn pair(a: &dyn ReadAt, b: &dyn ReadAt, offset: u64) -> Result<(Vec<u8>, Vec<u8>)> {
    interrupt::check()?;
    let end = (offset + UNIT).min(a.size()).min(b.size());
    Ok((a.bytes(offset..end, UNIT as usize)?, b.bytes(offset..end, UNIT as usize)?))
}

fn unit(a: &dyn ReadAt, b: &dyn ReadAt, offset: u64) -> Result<Vec<Chunk>> {
    let (a, b) = pair(a, b, offset)?;
    if a == b {
        return Ok(Vec::new());
    }
    let chunks = a.chunks(CHUNK).zip(b.chunks(CHUNK)).enumerate();
    let differing = chunks.filter(|(_, (a, b))| a != b).map(|(number, (a, b))| Chunk {
        offset: offset + (number * CHUNK) as u64,
        bytes: a.iter().zip(b).filter(|(a, b)| a != b).count() as u64,
    });
    Ok(differing.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_byte_is_found_wherever_it_is() {
        let a = vec![7u8; 3 * (1 << 20) + 100];
        assert!(equal(&a, &a).unwrap());
        assert_eq!(chunks(&a, &a).unwrap(), []);
        for at in [0, 4095, 4096, (1 << 20) - 1, 1 << 20, a.len() - 1] {
            let mut b = a.clone();
            b[at] = 8;
            assert!(!equal(&a, &b).unwrap());
            assert_eq!(first_difference(&a, &b).unwrap(), Some(at as u64));
            let offset = (at / CHUNK * CHUNK) as u64;
            assert_eq!(chunks(&a, &b).unwrap(), [Chunk { offset, bytes: 1 }]);
        }
    }

    #[test]
    fn a_beginning_is_not_the_whole() {
        let (a, b) = (vec![1u8; 5000], vec![1u8; 5001]);
        assert!(!equal(&a, &b).unwrap());
        assert_eq!(first_difference(&a, &b).unwrap(), Some(5000));
        assert_eq!(first_difference(&a, &a).unwrap(), None);
        assert_eq!(first_difference(&Vec::new(), &b).unwrap(), Some(0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        /// Holes, and what the filesystem tells of them, change nothing.
        #[test]
        fn files_with_holes_compare_as_their_bytes(
            runs in proptest::collection::vec((any::<bool>(), 1usize..900_000), 1..8),
            flips in proptest::collection::vec((0usize..4_000_000, 1u8..), 0..4),
        ) {
            let mut bytes = Vec::new();
            for (data, count) in runs {
                bytes.resize(bytes.len() + count, if data { 0x5a } else { 0 });
            }
            let mut other = bytes.clone();
            for (at, by) in flips {
                let length = other.len();
                other[at % length] ^= by;
            }
            let a = super::super::source::into_sparse(&bytes[..], "").unwrap();
            let b = super::super::source::into_sparse(&other[..], "").unwrap();
            prop_assert_eq!(equal(&a, &b).unwrap(), bytes == other);
            let position = bytes.iter().zip(&other).position(|(a, b)| a != b);
            prop_assert_eq!(first_difference(&a, &b).unwrap(), position.map(|at| at as u64));
            let count = bytes.iter().zip(&other).filter(|(a, b)| a != b).count() as u64;
            prop_assert_eq!(chunks(&a, &b).unwrap().iter().map(|chunk| chunk.bytes).sum::<u64>(), count);
            prop_assert_eq!(sha256(&a).unwrap(), hex::encode(Sha256::digest(&bytes)));
        }
    }
}
