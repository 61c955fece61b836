//! The header, in the first cluster ("Header" in the format's description).

use super::CLUSTER_BITS;
use super::cluster::Compression;
use crate::error::{Error, Result};

/// The bytes every file begins with.
const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Bytes of a header with all fields known here.
pub const LENGTH: usize = 112;
/// Bytes of a version 2 header, and of the smallest one of version 3.
const LENGTH_2: usize = 72;
const LENGTH_3: usize = 104;
/// Bits of a reference count, as a power of two: 16.
const REFCOUNT_ORDER: u32 = 4;
/// QEMU's own limits: clusters of 2 MiB, an L1 table of 32 MiB.
const MAX_CLUSTER_BITS: u32 = 21;
const MAX_L1: u64 = 32 << 20;
/// Bits of incompatible_features. Bit 0, dirty, only means that reference counts may be wrong.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

/// What the header says that matters for files without backing file, encryption, snapshots, external data and
/// extended L2 entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// A cluster has `1 << cluster_bits` bytes.
    pub cluster_bits: u32,
    /// Bytes of the disk.
    pub size: u64,
    /// Entries of the L1 table.
    pub l1_entries: u32,
    /// Where the L1 table lies, in bytes from the file's start.
    pub l1_offset: u64,
    /// Where the refcount table lies, in bytes from the file's start.
    pub refcount_offset: u64,
    /// Clusters that the refcount table takes.
    pub refcount_clusters: u32,
    /// How compressed clusters are compressed.
    pub compression: Compression,
}

impl Header {
    /// Bytes of a cluster.
    pub fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Bits of an index into an L2 table: its entries of eight bytes fill a cluster.
    pub fn l2_bits(&self) -> u32 {
        self.cluster_bits - 3
    }

    /// Entries of the L1 table that the disk's size needs.
    pub fn l1_needed(&self) -> u64 {
        self.size.div_ceil(1 << (self.cluster_bits + self.l2_bits()))
    }

    /// The header and the mark that no extension follows, as qemu-img writes them for `compat=1.1` but for the
    /// table of features' names. Only for headers of files written here: version 3, 64 KiB, zlib.
    pub fn encode(&self) -> Vec<u8> {
        debug_assert_eq!((self.version, self.cluster_bits), (3, CLUSTER_BITS));
        debug_assert_eq!(self.compression, Compression::Zlib);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.version.to_be_bytes());
        bytes.extend([0; 12]); // backing file: none
        bytes.extend(self.cluster_bits.to_be_bytes());
        bytes.extend(self.size.to_be_bytes());
        bytes.extend(0u32.to_be_bytes()); // encryption: none
        bytes.extend(self.l1_entries.to_be_bytes());
        bytes.extend(self.l1_offset.to_be_bytes());
        bytes.extend(self.refcount_offset.to_be_bytes());
        bytes.extend(self.refcount_clusters.to_be_bytes());
        bytes.extend([0; 12]); // snapshots: none
        bytes.extend([0; 24]); // features: none
        bytes.extend(REFCOUNT_ORDER.to_be_bytes());
        bytes.extend((LENGTH as u32).to_be_bytes());
        bytes.extend([0; 8]); // compression: zlib, and padding
        bytes.extend([0; 8]); // extensions: the end
        bytes
    }

    /// Reads a header from the first [`LENGTH`] bytes of a file, or all that it has. What it says about places
    /// in the file is not compared with the file's length.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if !bytes.starts_with(&MAGIC) {
            return Err(Error::new("it is no qcow2 file").because("it does not begin with QFI\\xfb"));
        }
        let field = Fields(bytes);
        let version = field.u32(4)?;
        if !(2..=3).contains(&version) {
            return Err(foreign(format!("version {version}"), "qcow2 has the versions 2 and 3"));
        }
        let header_length = if version == 2 { LENGTH_2 as u32 } else { field.u32(100)? };
        let features = if version == 2 { 0 } else { field.u64(72)? };
        if version == 3 && (header_length < LENGTH_3 as u32 || header_length % 8 != 0) {
            return Err(Error::new(format!("its header says that it has {header_length} bytes")));
        }
        refuse_features(features)?;
        if field.u64(8)? != 0 {
            return Err(foreign("a backing file".into(), "the disk is only in part in this file"));
        }
        if field.u32(32)? != 0 {
            return Err(foreign("encryption".into(), "the disk cannot be read without its key"));
        }
        if field.u32(60)? != 0 {
            return Err(foreign("snapshots".into(), "which state of the disk is meant is not known"));
        }
        let kind = if header_length > LENGTH_3 as u32 { field.bytes::<1>(LENGTH_3)?[0] } else { 0 };
        let compression = match (kind, features & COMPRESSION_TYPE != 0) {
            (0, false) => Compression::Zlib,
            (1, true) => Compression::Zstd,
            (kind, flag) => {
                return Err(Error::new("its compression is not known")
                    .because(format!("its header says type {kind}, feature bit {}", u8::from(flag))));
            }
        };
        let header = Self {
            version,
            cluster_bits: field.u32(20)?,
            size: field.u64(24)?,
            l1_entries: field.u32(36)?,
            l1_offset: field.u64(40)?,
            refcount_offset: field.u64(48)?,
            refcount_clusters: field.u32(56)?,
            compression,
        };
        if !(9..=MAX_CLUSTER_BITS).contains(&header.cluster_bits) {
            return Err(Error::new(format!("its clusters would have 2^{} bytes", header.cluster_bits))
                .because("qcow2 has clusters of 2^9 to 2^21 bytes"));
        }
        let (has, needs) = (u64::from(header.l1_entries), header.l1_needed());
        if needs > has || needs > MAX_L1 / 8 {
            return Err(Error::new(format!("its disk of {} bytes does not fit its L1 table", header.size))
                .because(format!("it has {has} entries, {needs} are needed, QEMU takes {}", MAX_L1 / 8)));
        }
        if !header.l1_offset.is_multiple_of(header.cluster()) {
            return Err(Error::new("its L1 table does not begin at a cluster"));
        }
        Ok(header)
    }
}

/// Refuses an image for what it makes use of.
fn foreign(what: String, why: &str) -> Error {
    Error::new(format!("it uses what is not read here: {what}"))
        .because(why)
        .hint("`qemu-img convert -O qcow2` makes a plain copy of it")
}

fn refuse_features(features: u64) -> Result<()> {
    if features & CORRUPT != 0 {
        return Err(Error::new("it is marked as corrupt").hint("`qemu-img check -r all` may repair it"));
    }
    if features & EXTERNAL_DATA != 0 {
        return Err(foreign("an external data file".into(), "the disk is not in this file"));
    }
    if features & EXTENDED_L2 != 0 {
        return Err(foreign("extended L2 entries".into(), "its tables have another form"));
    }
    let unknown = features & !(DIRTY | COMPRESSION_TYPE);
    if unknown != 0 {
        return Err(foreign(
            format!("incompatible feature bits {unknown:#x}"),
            "they were not known when this was made",
        ));
    }
    Ok(())
}

/// Numbers at places in a header.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        bytes.copied().ok_or_else(|| Error::new("it ends within its header"))
    }

    fn u32(&self, at: usize) -> Result<u32> {
        self.bytes(at).map(u32::from_be_bytes)
    }

    fn u64(&self, at: usize) -> Result<u64> {
        self.bytes(at).map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            version: 3,
            cluster_bits: 16,
            size: 3 << 30,
            l1_entries: 6,
            l1_offset: 5 << 16,
            refcount_offset: 6 << 16,
            refcount_clusters: 1,
            compression: Compression::Zlib,
        }
    }

    /// The header with other bytes at a place, and what parsing says about it.
    fn refused(at: usize, bytes: &[u8]) -> String {
        let mut encoded = header().encode();
        encoded[at..at + bytes.len()].copy_from_slice(bytes);
        Header::parse(&encoded).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read() {
        let encoded = header().encode();
        assert_eq!(encoded.len(), LENGTH + 8);
        assert_eq!(Header::parse(&encoded).unwrap(), header());
        assert_eq!(Header::parse(&encoded[..LENGTH]).unwrap(), header());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (at, bytes, words) in [
            (0, &b"QFJ"[..], "no qcow2 file"),
            (7, &[4], "version 4"),
            (15, &[1], "a backing file"),
            (23, &[8], "2^8 bytes"),
            (23, &[22], "2^22 bytes"),
            (24, &[1], "does not fit its L1 table"),
            (39, &[5], "does not fit its L1 table"),
            (35, &[2], "encryption"),
            (47, &[1], "does not begin at a cluster"),
            (63, &[1], "snapshots"),
            (79, &[2], "corrupt"),
            (79, &[4], "external data file"),
            (79, &[8], "compression is not known"),
            (79, &[16], "extended L2"),
            (79, &[32], "feature bits 0x20"),
            (103, &[96], "has 96 bytes"),
            (103, &[113], "has 113 bytes"),
            (104, &[1], "compression is not known"),
            (104, &[2], "compression is not known"),
        ] {
            let said = refused(at, bytes);
            assert!(said.contains(words), "{at}: {bytes:?}: {said:?} does not say {words:?}");
        }
    }

    #[test]
    fn a_header_that_ends_early_is_refused() {
        let encoded = header().encode();
        for length in 0..=LENGTH_3 {
            Header::parse(&encoded[..length]).unwrap_err();
        }
        Header::parse(&encoded[..LENGTH_3 + 1]).unwrap();
    }

    #[test]
    fn version_2_and_a_dirty_image_are_read() {
        let mut encoded = header().encode();
        encoded[79] = 1;
        assert_eq!(Header::parse(&encoded).unwrap(), header());
        encoded[7] = 2;
        // Nothing beyond byte 72 is part of a version 2 header.
        encoded[72..].fill(0xff);
        assert_eq!(Header::parse(&encoded).unwrap(), Header { version: 2, ..header() });
        assert_eq!(Header::parse(&encoded[..LENGTH_2]).unwrap(), Header { version: 2, ..header() });
    }
}
