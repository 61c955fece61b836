//! QEMU's own disk format, written compressed on all cores and read without QEMU.
//!
//! The format is described in QEMU's sources, docs/interop/qcow2.txt; names here are those of that document. A
//! file consists of clusters. The disk it holds is cut into guest clusters of the same size, each of which is
//! absent (it reads as zeros), stored as it is in a host cluster, or stored compressed anywhere. An L1 table
//! points to L2 tables, and these to the guest clusters' data; reference counts tell which host clusters are
//! used.

mod cluster;
mod header;
mod index;
mod read;
mod tables;
#[cfg(test)]
mod tests;
mod write;

pub use index::{Entry, Index};
pub use read::Reader;
pub use write::{Earlier, Written, write};

/// Bits of an offset within a cluster of the files written here: 64 KiB, which qemu-img takes too.
const CLUSTER_BITS: u32 = 16;
/// Bytes of a cluster of the files written here.
const CLUSTER: usize = 1 << CLUSTER_BITS;
/// Bytes that lengths of disks and of compressed data are counted in.
const SECTOR: u64 = 512;
