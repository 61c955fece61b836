//! The measures of a FAT volume, by its boot sector (Microsoft, "FAT32 File System Specification" 1.03, "Boot Sector and
//! BPB").

use crate::diff::le::{u16_at, u32_at};
use crate::diff::source::ReadAt;
use crate::error::{Error, Result};
use std::ops::Range;

/// Bytes of the boot sector that are looked at.
const BOOT: usize = 512;

/// How many bits a cluster's number has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// FAT12.
    Twelve,
    /// FAT16.
    Sixteen,
    /// FAT32.
    ThirtyTwo,
}

/// The measures of a volume, in bytes from its start.
#[derive(Debug, Clone)]
pub struct Measures {
    /// The boot sector.
    pub boot: Vec<u8>,
    /// Bytes of a sector.
    pub sector: u64,
    /// Bytes of a cluster.
    pub cluster: u64,
    /// Its kind.
    pub bits: Bits,
    /// The first FAT.
    pub table: Range<u64>,
    /// Number of FATs, one behind the other.
    pub tables: u64,
    /// The root directory; empty for FAT32, which has it among the clusters.
    pub root: Range<u64>,
    /// Where the clusters begin.
    pub data: u64,
    /// Number of clusters.
    pub clusters: u32,
}

impl Measures {
    /// Reads the boot sector.
    pub fn read(source: &dyn ReadAt) -> Result<Self> {
        let none = || Error::new("there is no FAT filesystem");
        let boot = source.bytes(0..BOOT as u64, BOOT)?;
        let short = |at: usize| u64::from(u16_at(&boot, at));
        let sector = short(11);
        let (per_cluster, reserved, tables) = (u64::from(boot[13]), short(14), u64::from(boot[16]));
        let either =
            |short: u64, long: usize| if short == 0 { u64::from(u32_at(&boot, long)) } else { short };
        let (sectors, table) = (either(short(19), 32), either(short(22), 36));
        let sound = boot[510..] == [0x55, 0xaa]
            && matches!(sector, 512 | 1024 | 2048 | 4096)
            && per_cluster.is_power_of_two()
            && reserved > 0
            && (1..=4).contains(&tables)
            && table > 0
            && sectors * sector <= source.size();
        if !sound {
            return Err(none());
        }
        let root = (reserved + tables * table) * sector;
        let root = root..root + (short(17) * 32).next_multiple_of(sector);
        let room = (sectors * sector).checked_sub(root.end).ok_or_else(none)?;
        let cluster = per_cluster * sector;
        let clusters = u32::try_from(room / cluster).map_err(|_| none())?;
        // The specification tells them apart by the number of clusters. mkfs.fat(8) makes FAT32 with fewer, too, when it
        // is told to, and Linux goes by the size of the table in 16 bits, which only FAT32 leaves out.
        let bits = match clusters {
            _ if short(22) == 0 => Bits::ThirtyTwo,
            0..4085 => Bits::Twelve,
            4085..65525 => Bits::Sixteen,
            _ => return Err(none()),
        };
        // Only FAT32 has its root directory among the clusters.
        if (short(17) == 0) != (bits == Bits::ThirtyTwo) {
            return Err(none());
        }
        let table = reserved * sector..(reserved + table) * sector;
        Ok(Self { data: root.end, boot, sector, cluster, bits, table, tables, root, clusters })
    }

    /// Where the clusters end.
    pub fn end(&self) -> u64 {
        self.data + u64::from(self.clusters) * self.cluster
    }

    /// Whether two volumes have every structure at the same place.
    pub fn same_measures(&self, other: &Self) -> bool {
        let places = |of: &Self| (of.sector, of.cluster, of.bits, of.table.clone(), of.tables, of.clusters);
        places(self) == places(other)
            && [48..52, 44..48].into_iter().all(|range| self.boot[range.clone()] == other.boot[range])
    }
}
