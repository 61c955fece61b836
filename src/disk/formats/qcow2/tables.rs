//! The tables from guest clusters to their data, and the reference counts of host clusters ("Cluster mapping",
//! "Host cluster management").

use super::cluster::Compression;
use super::header::Header;
use super::write::Placed;
use super::{CLUSTER, CLUSTER_BITS, SECTOR};
use crate::error::{Error, Result};
use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use std::ops::Range;

/// Bit 63 of L1 and L2 entries: the reference count is exactly one.
const COPIED: u64 = 1 << 63;
/// Bit 62 of an L2 entry: the cluster is compressed.
const COMPRESSED: u64 = 1 << 62;
/// Bit 0 of the L2 entry of a standard cluster: it reads as zeros.
const ZEROS: u64 = 1;
/// Bits 9 to 55 of L1 entries and of L2 entries of standard clusters: the offset of a host cluster.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// Reference counts of two bytes in a cluster.
const COUNTS: usize = CLUSTER / 2;

/// What an L2 entry says of its guest cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// It is not stored: all zeros.
    Zeros,
    /// It is the host cluster at this offset in bytes.
    Standard(u64),
    /// It is compressed.
    Compressed {
        /// Where its data begins, in bytes.
        offset: u64,
        /// Bytes up to the end of the data's last sector.
        length: u64,
    },
}

impl Mapping {
    /// Reads an L2 entry. The offset it gives may lie beyond the file's end.
    pub fn decode(entry: u64, header: &Header) -> Result<Self> {
        if entry & COMPRESSED != 0 {
            let length_bits = header.cluster_bits - 8;
            let offset_bits = 62 - length_bits;
            let offset = entry & ((1 << offset_bits) - 1);
            let sectors = entry >> offset_bits & ((1 << length_bits) - 1);
            return Ok(Self::Compressed { offset, length: (sectors + 1) * SECTOR - offset % SECTOR });
        }
        if entry & ZEROS != 0 {
            return match header.version {
                2 => Err(Error::new("its tables tell of zeros as version 2 cannot")),
                _ => Ok(Self::Zeros),
            };
        }
        match host_cluster(entry, header)? {
            None => Ok(Self::Zeros),
            Some(offset) => Ok(Self::Standard(offset)),
        }
    }

    /// The L2 entry in a file with clusters of 64 KiB; a standard cluster is referred to once only.
    pub fn encode(self) -> u64 {
        match self {
            Self::Zeros => 0,
            Self::Standard(offset) => offset | COPIED,
            Self::Compressed { offset, length } => {
                let sectors = (offset + length - 1) / SECTOR - offset / SECTOR;
                offset | sectors << (62 - (CLUSTER_BITS - 8)) | COMPRESSED
            }
        }
    }
}

/// The offset in bytes that an L1 entry, or an L2 entry of a standard cluster, gives. It may lie beyond the
/// file's end.
pub fn host_cluster(entry: u64, header: &Header) -> Result<Option<u64>> {
    let offset = entry & OFFSET;
    if !offset.is_multiple_of(header.cluster()) {
        return Err(Error::new(format!("its tables point to {offset:#x}, where no cluster begins")));
    }
    Ok((offset != 0).then_some(offset))
}

/// Writes everything that is not data: the tables behind the data, which ends at `data_end` bytes, and the
/// header in the first cluster. The file ends with the last table.
///
/// Behind the data, because how long they are is known only then, and nothing of the file is then left empty.
pub fn write(file: &File, size: u64, data_end: u64, clusters: &[Placed]) -> Result<()> {
    let mut hosts = Hosts { file, counts: Vec::new() };
    hosts.count(0..CLUSTER as u64)?;
    for cluster in clusters {
        let start = cluster.entry.offset;
        hosts.count(start..start + u64::from(cluster.entry.length))?;
    }
    // Data that ends at a cluster's end leaves the next one free, any other the one behind.
    hosts.counts.resize(data_end.div_ceil(CLUSTER as u64) as usize, 0);

    let mut header = Header {
        version: 3,
        cluster_bits: CLUSTER_BITS,
        size,
        l1_entries: 0,
        l1_offset: 0,
        refcount_offset: 0,
        refcount_clusters: 0,
        compression: Compression::Zlib,
    };
    let l2_index = |placed: &Placed| placed.guest >> header.l2_bits();
    let mut l1 = vec![0u64; header.l1_needed() as usize];
    for part in clusters.chunk_by(|one, next| l2_index(one) == l2_index(next)) {
        let mut l2 = vec![0u64; 1 << header.l2_bits()];
        for cluster in part {
            l2[(cluster.guest % (1 << header.l2_bits())) as usize] = cluster.mapping().encode();
        }
        l1[l2_index(&part[0]) as usize] = hosts.append(&l2.map_bytes())? | COPIED;
    }
    header.l1_entries = l1.len() as u32;
    header.l1_offset = hosts.append(&l1.map_bytes())?;
    (header.refcount_offset, header.refcount_clusters) = hosts.finish()?;
    file.write_all_at(&header.encode(), 0)?;
    Ok(())
}

/// Bytes of a table's numbers.
trait MapBytes {
    /// Each number, its highest byte first.
    fn map_bytes(&self) -> Vec<u8>;
}

impl MapBytes for [u64] {
    fn map_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|number| number.to_be_bytes()).collect()
    }
}

/// The host clusters of a file that grows, and how often each is referred to.
struct Hosts<'a> {
    file: &'a File,
    counts: Vec<u16>,
}

impl Hosts<'_> {
    /// Counts one reference to every host cluster that holds some of these bytes.
    fn count(&mut self, bytes: Range<u64>) -> Result<()> {
        let clusters = (bytes.start >> CLUSTER_BITS) as usize..=((bytes.end - 1) >> CLUSTER_BITS) as usize;
        if self.counts.len() <= *clusters.end() {
            self.counts.resize(clusters.end() + 1, 0);
        }
        for count in &mut self.counts[clusters] {
            *count = count.checked_add(1).ok_or_else(|| {
                Error::new("a cluster of the qcow2 file is referred to more than 65535 times")
            })?;
        }
        Ok(())
    }

    /// Writes a table behind all that there is, in clusters of its own; returns its offset. An empty one, the L1
    /// table of a disk of no bytes, takes none and is said to be at 0, as QEMU has it.
    fn append(&mut self, table: &[u8]) -> Result<u64> {
        if table.is_empty() {
            return Ok(0);
        }
        let offset = (self.counts.len() as u64) << CLUSTER_BITS;
        let mut padded = table.to_vec();
        padded.resize(table.len().next_multiple_of(CLUSTER), 0);
        self.file.write_all_at(&padded, offset)?;
        self.count(offset..offset + padded.len() as u64)?;
        Ok(offset)
    }

    /// Writes the counts, those of the clusters that they take themselves among them. Returns where the
    /// refcount table lies and how many clusters it takes.
    fn finish(mut self) -> Result<(u64, u32)> {
        let used = self.counts.len();
        let (mut blocks, mut table) = (0, 0);
        while (used + table + blocks).div_ceil(COUNTS) > blocks || (blocks * 8).div_ceil(CLUSTER) > table {
            blocks = (used + table + blocks).div_ceil(COUNTS);
            table = (blocks * 8).div_ceil(CLUSTER);
        }
        self.counts.resize(used + table + blocks, 1);
        let offset = |cluster: usize| (cluster as u64) << CLUSTER_BITS;
        let entries: Vec<u64> = (0..blocks).map(|block| offset(used + table + block)).collect();
        let mut bytes = entries[..].map_bytes();
        bytes.resize(table * CLUSTER, 0);
        bytes.extend(self.counts.iter().flat_map(|count| count.to_be_bytes()));
        bytes.resize((table + blocks) * CLUSTER, 0);
        self.file.write_all_at(&bytes, offset(used))?;
        Ok((offset(used), table as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(cluster_bits: u32) -> Header {
        Header {
            version: 3,
            cluster_bits,
            size: 1 << 20,
            l1_entries: 1,
            l1_offset: 0,
            refcount_offset: 0,
            refcount_clusters: 1,
            compression: Compression::Zlib,
        }
    }

    proptest! {
        #[test]
        fn entries_are_read_as_written(offset in 1u64..1 << 50, length in 1u64..CLUSTER as u64) {
            let entry = Mapping::Compressed { offset, length }.encode();
            let Mapping::Compressed { offset: start, length: whole } = Mapping::decode(entry, &header(16))?
            else { panic!() };
            prop_assert_eq!(start, offset);
            // Up to the end of the last sector and no further.
            prop_assert!(whole >= length && whole - length < SECTOR && (offset + whole) % SECTOR == 0);
            let standard = Mapping::Standard(offset << CLUSTER_BITS & OFFSET);
            if standard != Mapping::Standard(0) {
                prop_assert_eq!(Mapping::decode(standard.encode(), &header(16))?, standard);
            }
        }

        #[test]
        fn no_entry_makes_the_reader_stumble(entry: u64, cluster_bits in 9u32..=21) {
            if let Ok(Mapping::Compressed { length, .. }) = Mapping::decode(entry, &header(cluster_bits)) {
                prop_assert!(length > 0 && length <= 2 << cluster_bits);
            }
        }
    }

    #[test]
    fn zeros_and_misplaced_clusters_are_told_apart() {
        assert_eq!(Mapping::decode(0, &header(16)).unwrap(), Mapping::Zeros);
        assert_eq!(Mapping::decode(COPIED | 3 << 16 | ZEROS, &header(16)).unwrap(), Mapping::Zeros);
        assert_eq!(Mapping::decode(COPIED | 3 << 12, &header(12)).unwrap(), Mapping::Standard(3 << 12));
        Mapping::decode(COPIED | 3 << 12, &header(16)).unwrap_err();
        Mapping::decode(ZEROS, &Header { version: 2, ..header(16) }).unwrap_err();
    }

    #[test]
    fn reference_counts_count_themselves_at_every_size() {
        let scratch = tempfile::NamedTempFile::new().unwrap();
        // One block of counts is just enough, just too small, and so on.
        for used in [1, 3, COUNTS - 3, COUNTS - 2, COUNTS - 1, COUNTS, 2 * COUNTS - 3, 2 * COUNTS - 2] {
            let file = File::create(scratch.path()).unwrap();
            let hosts = Hosts { file: &file, counts: vec![1; used] };
            let (offset, table) = hosts.finish().unwrap();
            assert_eq!((offset, table), ((used as u64) << CLUSTER_BITS, 1));
            let length = file.metadata().unwrap().len() as usize;
            let blocks = length / CLUSTER - used - 1;
            assert_eq!(blocks, (used + 1 + blocks).div_ceil(COUNTS), "{used}");
            let mut bytes = vec![0; length - offset as usize];
            fs_err::os::unix::fs::FileExt::read_exact_at(
                &File::open(scratch.path()).unwrap(),
                &mut bytes,
                offset,
            )
            .unwrap();
            let counted = bytes[CLUSTER..].chunks(2).filter(|count| *count == [0, 1]).count();
            assert_eq!(counted, length / CLUSTER, "{used}");
        }
    }
}
