//! What a file was made of, for the next file to take over what has not changed.

use super::cluster::COMPRESSOR;
use crate::error::{Error, Result};
use std::collections::HashMap;

/// What an encoded index begins with; the last byte is the version of its form.
const MAGIC: &[u8; 8] = b"qcow2ix\x01";
/// Bytes of an encoded entry.
const ENTRY: usize = 32 + 32 + 8 + 4;

/// A blake3 digest.
pub type Digest = [u8; 32];

/// A cluster's data in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The digest of the cluster's content, all 64 KiB of it.
    pub content: Digest,
    /// The digest of the bytes stored for it.
    pub stored: Digest,
    /// Where they begin, in bytes from the file's start.
    pub offset: u64,
    /// How many they are; 65536 when the cluster is not compressed.
    pub length: u32,
}

/// Every data cluster of a file, in the disk's order. It is worth keeping beside the file: with both, a file
/// for a disk that is nearly the same is written without compressing most of it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// What compressed the clusters.
    compressor: String,
    entries: Vec<Entry>,
}

impl Index {
    /// An index of clusters compressed by this program.
    pub fn new(entries: Vec<Entry>) -> Self {
        Self { compressor: COMPRESSOR.to_owned(), entries }
    }

    /// The clusters, in the disk's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The clusters by their content; none of them when another compressor made them, because its bytes would
    /// not be those that compressing anew gives.
    pub(super) fn by_content(&self) -> HashMap<Digest, Entry> {
        match self.compressor == COMPRESSOR {
            true => self.entries.iter().map(|entry| (entry.content, *entry)).collect(),
            false => HashMap::new(),
        }
    }

    /// The index as bytes for a file: some 76 a cluster, and a digest of them at the end.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128 + self.entries.len() * ENTRY);
        bytes.extend(MAGIC);
        bytes.extend((self.compressor.len() as u32).to_le_bytes());
        bytes.extend(self.compressor.as_bytes());
        for entry in &self.entries {
            bytes.extend(entry.content);
            bytes.extend(entry.stored);
            bytes.extend(entry.offset.to_le_bytes());
            bytes.extend(entry.length.to_le_bytes());
        }
        let digest = blake3::hash(&bytes);
        bytes.extend(digest.as_bytes());
        bytes
    }

    /// Reads what [`Index::encode`] wrote. Errors: bytes that are not whole, or of another version. An index
    /// made with another compressor is read, and then of no use.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let broken = || Error::new("the index of a qcow2 file is damaged or of another version");
        let (bytes, digest) = bytes.split_last_chunk::<32>().ok_or_else(broken)?;
        if blake3::hash(bytes) != *digest {
            return Err(broken());
        }
        let bytes = bytes.strip_prefix(MAGIC).ok_or_else(broken)?;
        let (length, bytes) = bytes.split_first_chunk().ok_or_else(broken)?;
        let (compressor, bytes) =
            bytes.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(broken)?;
        let (entries, []) = bytes.as_chunks::<ENTRY>() else { return Err(broken()) };
        Ok(Self {
            compressor: std::str::from_utf8(compressor).map_err(|_| broken())?.to_owned(),
            entries: entries.iter().map(entry).collect(),
        })
    }
}

fn entry(bytes: &[u8; ENTRY]) -> Entry {
    let (mut content, mut stored, mut offset, mut length) = ([0; 32], [0; 32], [0; 8], [0; 4]);
    content.copy_from_slice(&bytes[..32]);
    stored.copy_from_slice(&bytes[32..64]);
    offset.copy_from_slice(&bytes[64..72]);
    length.copy_from_slice(&bytes[72..]);
    Entry { content, stored, offset: u64::from_le_bytes(offset), length: u32::from_le_bytes(length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let entry = |number: u8| Entry {
            content: [number; 32],
            stored: [!number; 32],
            offset: u64::from(number) << 40,
            length: u32::from(number) + 1,
        };
        Index::new((0..200).map(entry).collect())
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let encoded = index().encode();
        assert_eq!(Index::decode(&encoded).unwrap(), index());
        assert!(encoded.len() < 200 * 80);
        assert_eq!(Index::decode(&Index::new(Vec::new()).encode()).unwrap(), Index::new(Vec::new()));
    }

    #[test]
    fn damage_at_any_place_is_noticed() {
        let encoded = index().encode();
        for at in 0..encoded.len() {
            let mut damaged = encoded.clone();
            damaged[at] ^= 0x20;
            Index::decode(&damaged).unwrap_err();
        }
        for length in 0..encoded.len() {
            Index::decode(&encoded[..length]).unwrap_err();
        }
    }

    #[test]
    fn what_another_compressor_made_is_of_no_use() {
        assert_eq!(index().by_content().len(), 200);
        let other = Index { compressor: "zlib-rs 0.0.0".into(), ..index() };
        assert_eq!(Index::decode(&other.encode()).unwrap(), other);
        assert!(other.by_content().is_empty());
    }
}
