//! Where the partitions lie, and the GUID partition table (UEFI specification 2.10, chapter 5) that says so.

use super::Identity;
use super::filesystem::{self, ROOT};
use crate::error::{Error, Result};
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{Read, Seek, Write};
use uuid::Uuid;

/// Bytes of a sector; every size and start here is in bytes and a multiple of it.
pub const SECTOR: u64 = 512;
/// Everything starts and ends on this boundary, which suits every kind of storage.
pub const MEBIBYTE: u64 = 1 << 20;

/// GRUB's BIOS image is some 30 KiB; 1 MiB keeps the next partition aligned.
const BIOS_SIZE: u64 = MEBIBYTE;
/// Shim, GRUB and MokManager take 10 MiB, twice that while grub-install(8) replaces them. Firmware is only
/// sure to read FAT32 (UEFI 2.10, 13.3), which needs more than 65,524 clusters: 64 MiB is the smallest round
/// size that has them with room to spare.
const ESP_SIZE: u64 = 64 * MEBIBYTE;
/// Room for the backup table (33 sectors) that keeps the disk's size a multiple of 1 MiB.
const BACKUP_SIZE: u64 = MEBIBYTE;

/// Bit 59 of a partition's attributes: systemd-gpt-auto-generator(8) and systemd-repart(8) grow the
/// filesystem to the partition ("GrowFileSystem", The Discoverable Partitions Specification).
const GROW_FILE_SYSTEM: u64 = 1 << 59;

/// The table has room for 128 partitions, three of which are always there.
pub const MOST_FILESYSTEMS: usize = 126;
/// The numbers of these three stay whatever else is on the disk: GRUB's images name the root's.
const BIOS_NUMBER: u32 = 1;
const ESP_NUMBER: u32 = 2;
const ROOT_NUMBER: u32 = 3;

/// What a partition is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Holds GRUB's image for BIOS machines, outside any filesystem.
    Bios,
    /// The EFI system partition.
    Esp,
    /// A filesystem, by its mount point. That of the root is last, so that it can grow with the disk.
    Filesystem(String),
}

/// One partition; `start` and `size` in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, counted from 1.
    pub number: u32,
    /// What it is for.
    pub role: Role,
    /// Its own GUID.
    pub guid: Uuid,
    /// Where it begins.
    pub start: u64,
    /// How long it is.
    pub size: u64,
}

impl Partition {
    /// The name in the table (`/dev/disk/by-partlabel`).
    pub fn name(&self) -> String {
        match &self.role {
            Role::Bios => "bios".into(),
            Role::Esp => "esp".into(),
            Role::Filesystem(mount) => filesystem::name(mount),
        }
    }

    /// The GUID of its type.
    pub fn type_guid(&self) -> Uuid {
        self.kind().guid
    }

    fn is_root(&self) -> bool {
        matches!(&self.role, Role::Filesystem(mount) if mount == ROOT)
    }

    /// The type's GUIDs: `21686148-…`, `C12A7328-…`, the discoverable x86-64 root `4F68BCE3-…`, and for all else the
    /// plain `0FC63DAF-…`, which systemd-gpt-auto-generator(8) leaves to fstab(5).
    fn kind(&self) -> partition_types::Type {
        match &self.role {
            Role::Bios => partition_types::BIOS,
            Role::Esp => partition_types::EFI,
            Role::Filesystem(_) if self.is_root() => partition_types::LINUX_ROOT_X64,
            Role::Filesystem(_) => partition_types::LINUX_FS,
        }
    }

    fn attributes(&self) -> u64 {
        if self.is_root() { GROW_FILE_SYSTEM } else { 0 }
    }
}

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The disk's GUID.
    pub disk: Uuid,
    /// The disk's size, a multiple of 1 MiB.
    pub size: u64,
    /// BIOS boot partition, at the disk's first aligned place.
    pub bios: Partition,
    /// EFI system partition.
    pub esp: Partition,
    /// The partitions with ext4 filesystems, in the order in which they were given, which is not that of the disk.
    pub filesystems: Vec<Partition>,
}

impl Layout {
    /// The layout for filesystems of at least these sizes, each rounded up to 1 MiB: mount points with bytes, the
    /// root's first.
    pub fn new(identity: &Identity, filesystems: &[(&str, u64)]) -> Result<Self> {
        let bios = Partition {
            number: BIOS_NUMBER,
            role: Role::Bios,
            guid: identity.bios_partition,
            start: MEBIBYTE,
            size: BIOS_SIZE,
        };
        let esp = Partition {
            number: ESP_NUMBER,
            role: Role::Esp,
            guid: identity.esp_partition,
            start: bios.start + bios.size,
            size: ESP_SIZE,
        };
        let mut partitions = Vec::new();
        for (number, &(mount, size)) in (ROOT_NUMBER..).zip(filesystems) {
            let size = size
                .checked_next_multiple_of(MEBIBYTE)
                .filter(|&size| size < filesystem::END)
                .ok_or_else(|| {
                    let whose = if mount == ROOT { "root" } else { mount };
                    Error::usage(format!("a {whose} filesystem of {size} bytes is too large for a disk"))
                })?;
            partitions.push(Partition {
                number,
                role: Role::Filesystem(mount.to_owned()),
                guid: identity.volume(mount).partition,
                start: 0,
                size,
            });
        }
        // GPT has room for 128, each below `END`: the sum cannot overflow.
        if partitions.len() > MOST_FILESYSTEMS {
            return Err(Error::usage(format!("{} filesystems are too many for a disk", partitions.len())));
        }
        let mut end = esp.start + esp.size;
        let (roots, others): (Vec<_>, Vec<_>) = partitions.iter_mut().partition(|p| p.is_root());
        for partition in others.into_iter().chain(roots) {
            partition.start = end;
            end += partition.size;
        }
        Ok(Self { disk: identity.disk, size: end + BACKUP_SIZE, bios, esp, filesystems: partitions })
    }

    /// The partitions by number.
    pub fn partitions(&self) -> impl Iterator<Item = &Partition> {
        [&self.bios, &self.esp].into_iter().chain(&self.filesystems)
    }

    /// Writes protective MBR, table and backup table. The device must already have the layout's size.
    pub fn write<D: Read + Write + Seek + Debug>(&self, device: D) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| Error::new("writing the partition table").because(error);
        let mut device = device;
        // UEFI 2.10, 5.2.3: the size is that of the disk without its first sector, or all ones when too large.
        let sectors = u32::try_from(self.size / SECTOR - 1).unwrap_or(u32::MAX);
        ProtectiveMBR::with_lb_size(sectors).overwrite_lba0(&mut device).map_err(|error| failed(&error))?;
        let mut table = gpt::GptConfig::new()
            .writable(true)
            .logical_block_size(LogicalBlockSize::Lb512)
            .create_from_device(device, Some(self.disk))
            .map_err(|error| failed(&error))?;
        let entries: BTreeMap<u32, gpt::partition::Partition> = self
            .partitions()
            .map(|partition| {
                let entry = gpt::partition::Partition {
                    part_type_guid: partition.kind(),
                    part_guid: partition.guid,
                    first_lba: partition.start / SECTOR,
                    last_lba: (partition.start + partition.size) / SECTOR - 1,
                    flags: partition.attributes(),
                    name: partition.name(),
                };
                (partition.number, entry)
            })
            .collect();
        table.update_partitions(entries).map_err(|error| failed(&error))?;
        table.write().map_err(|error| failed(&error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn table(root_size: u64) -> (Layout, Vec<u8>) {
        written(&[("/", root_size)])
    }

    fn written(filesystems: &[(&str, u64)]) -> (Layout, Vec<u8>) {
        let layout = Layout::new(&Identity::from_lock("abc"), filesystems).unwrap();
        let mut disk = Cursor::new(vec![0; layout.size as usize]);
        layout.write(&mut disk).unwrap();
        (layout, disk.into_inner())
    }

    #[test]
    fn everything_is_aligned_and_nothing_overlaps() {
        let (layout, _) = table(5 * MEBIBYTE + 1);
        assert_eq!(layout.filesystems[0].size, 6 * MEBIBYTE);
        let mut end = MEBIBYTE;
        for partition in layout.partitions() {
            assert_eq!(partition.start, end);
            assert_eq!(partition.start % MEBIBYTE, 0);
            assert_eq!(partition.size % MEBIBYTE, 0);
            end = partition.start + partition.size;
        }
        assert_eq!(end + BACKUP_SIZE, layout.size);
    }

    #[test]
    fn the_table_reads_back_with_its_backup_and_is_the_same_each_time() {
        let (layout, bytes) = table(MEBIBYTE);
        assert!(bytes == table(MEBIBYTE).1);
        let read = gpt::GptConfig::new().open_from_device(Cursor::new(bytes)).unwrap();
        assert_eq!(*read.guid(), layout.disk);
        let backup = read.backup_header().unwrap();
        assert_eq!(backup.current_lba, layout.size / SECTOR - 1);
        assert_eq!(backup.last_usable, layout.size / SECTOR - 34);
        let root = &read.partitions()[&3];
        assert_eq!(root.part_guid, layout.filesystems[0].guid);
        assert_eq!(root.part_type_guid.guid.to_string(), "4f68bce3-e8cd-4db1-96e7-fbcaf984b709");
        assert_eq!(root.flags >> 59, 1);
        assert_eq!(root.last_lba, layout.size / SECTOR - 2048 - 1);
        assert_eq!(
            read.partitions()[&1].part_type_guid.guid.to_string(),
            "21686148-6449-6e6f-744e-656564454649"
        );
        assert_eq!(read.partitions()[&2].first_lba, 4096);
    }

    #[test]
    fn further_partitions_lie_before_the_root_and_have_numbers_after_it() {
        let (layout, bytes) = written(&[("/", MEBIBYTE), ("/var", 3 * MEBIBYTE), ("/var/log", 2 * MEBIBYTE)]);
        let read = gpt::GptConfig::new().open_from_device(Cursor::new(bytes)).unwrap();
        let seen: Vec<(u32, u64, &str)> = read
            .partitions()
            .iter()
            .map(|(&number, entry)| (number, (entry.first_lba * SECTOR) >> 20, entry.name.as_str()))
            .collect();
        let wanted = [(1, 1, "bios"), (2, 2, "esp"), (3, 71, "root"), (4, 66, "var"), (5, 69, "var-log")];
        assert_eq!(seen, wanted);
        assert_eq!(layout.size, 73 * MEBIBYTE);
        let entry = &read.partitions()[&5];
        assert_eq!(entry.part_type_guid.guid.to_string(), "0fc63daf-8483-4772-8e79-3d69d8477de4");
        assert_eq!((entry.flags, read.partitions()[&3].flags >> 59), (0, 1));
        assert_eq!(entry.part_guid, Identity::from_lock("abc").volume("/var/log").partition);
    }

    #[test]
    fn more_partitions_than_a_table_holds_are_refused() {
        let mounts: Vec<String> = (0..MOST_FILESYSTEMS).map(|number| format!("/srv/{number}")).collect();
        let mut filesystems = vec![("/", MEBIBYTE)];
        filesystems.extend(mounts.iter().map(|mount| (mount.as_str(), MEBIBYTE)));
        assert!(Layout::new(&Identity::from_lock("abc"), &filesystems).is_err());
        filesystems.pop();
        assert_eq!(written(&filesystems).0.partitions().count(), 128);
    }

    #[test]
    fn the_protective_mbr_covers_the_disk() {
        let (layout, bytes) = table(MEBIBYTE);
        assert_eq!(&bytes[510..512], [0x55, 0xaa]);
        assert_eq!(bytes[446 + 4], 0xee);
        assert_eq!(bytes[446 + 8..446 + 12], 1u32.to_le_bytes());
        assert_eq!(bytes[446 + 12..446 + 16], (layout.size as u32 / 512 - 1).to_le_bytes());
        assert!(bytes[462..510].iter().all(|&byte| byte == 0), "the other three records are empty");
    }

    #[test]
    fn absurd_sizes_are_refused() {
        for size in [u64::MAX, u64::MAX - MEBIBYTE, 1 << 50] {
            assert!(Layout::new(&Identity::from_lock("abc"), &[("/", size)]).is_err());
        }
    }
}
