//! Joining GRUB's two BIOS images on a disk, byte for byte as grub-install(8) for `i386-pc` leaves them.
//!
//! The first sector (`boot.img`) loads one sector, the start of `core.img`, which loads the rest of it by a
//! block list. Only the addresses in both are filled in here. Offsets: GRUB's `include/grub/i386/pc/boot.h`
//! and `include/grub/offsets.h`; what the setup tool does with them: the GRUB manual, "BIOS installation".

use super::SECTOR;
use crate::error::{Error, Result};

/// boot.img: 64-bit number of the sector where core.img begins.
const KERNEL_SECTOR: std::ops::Range<usize> = 0x5c..0x64;
/// boot.img: BIOS drive to load from; 0xff is the drive that was booted.
const BOOT_DRIVE: usize = 0x64;
/// boot.img: a jump over the check for BIOSes that forget to say which hard disk they booted from.
const DRIVE_CHECK: std::ops::Range<usize> = 0x66..0x68;
/// boot.img: code ends here; from here on the sector is the partition table's and stays as it is on the disk.
const CODE_END: usize = 0x1b8;
/// core.img: the first block list entry, at the end of the first sector: u64 start sector, u16 number of
/// sectors, u16 segment to load them to.
const BLOCK_LIST: usize = SECTOR as usize - 12;
/// Where the rest of core.img is loaded (`GRUB_BOOT_MACHINE_KERNEL_SEG` + one sector).
const LOAD_SEGMENT: u16 = 0x820;

/// The disk's first sector: `boot_image`'s code, told where core.img is, before the protective MBR's table.
pub fn first_sector(
    protective_mbr: &[u8],
    boot_image: &[u8],
    core_start: u64,
) -> Result<[u8; SECTOR as usize]> {
    let unknown = || Error::new("GRUB's boot.img is not what goldcast knows how to install");
    let mut sector: [u8; SECTOR as usize] = boot_image
        .try_into()
        .map_err(|_| unknown().because(format!("{} bytes long, not 512", boot_image.len())))?;
    if sector[DRIVE_CHECK.start] != 0xeb || sector[BOOT_DRIVE] != 0xff {
        return Err(unknown().because("the drive check is not at its place"));
    }
    let table = protective_mbr
        .get(CODE_END..SECTOR as usize)
        .ok_or_else(|| Error::new("the protective MBR is shorter than a sector"))?;
    sector[KERNEL_SECTOR].copy_from_slice(&(core_start / SECTOR).to_le_bytes());
    // Two no-ops turn the check on, as the setup tool does for every hard disk.
    sector[DRIVE_CHECK].fill(0x90);
    sector[CODE_END..].copy_from_slice(table);
    Ok(sector)
}

/// Fills in where the rest of `core` lies when it is written at `start`, into `room` bytes.
pub fn place_core(core: &mut [u8], start: u64, room: u64) -> Result<()> {
    let unknown =
        |why: String| Error::new("GRUB's core.img is not what goldcast knows how to install").because(why);
    let length = core.len() as u64;
    if length > room {
        return Err(Error::new("GRUB's core.img does not fit its partition")
            .because(format!("it has {length} bytes, the partition {room}")));
    }
    let list = core
        .get_mut(BLOCK_LIST..SECTOR as usize)
        .filter(|_| length > SECTOR)
        .ok_or_else(|| unknown(format!("only {length} bytes long")))?;
    if list[10..12] != LOAD_SEGMENT.to_le_bytes() {
        return Err(unknown("its block list is not at its place".into()));
    }
    let rest = u16::try_from(length.div_ceil(SECTOR) - 1).map_err(|error| unknown(error.to_string()))?;
    list[0..8].copy_from_slice(&(start / SECTOR + 1).to_le_bytes());
    list[8..10].copy_from_slice(&rest.to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot_image() -> Vec<u8> {
        let mut image = vec![0x11; 512];
        image[0x64] = 0xff;
        image[0x66..0x68].copy_from_slice(&[0xeb, 0x05]);
        image
    }

    fn core(length: usize) -> Vec<u8> {
        let mut core = vec![0x22; length];
        core[0x1fe..0x200].copy_from_slice(&[0x20, 0x08]);
        core
    }

    #[test]
    fn the_boot_sector_points_at_the_core_and_keeps_the_partition_table() {
        let sector = first_sector(&[0x33; 512], &boot_image(), 1 << 20).unwrap();
        assert_eq!(sector[0x5c..0x64], 2048u64.to_le_bytes());
        assert_eq!(sector[0x64..0x68], [0xff, 0x11, 0x90, 0x90]);
        assert!(sector[0x1b8..].iter().all(|&byte| byte == 0x33));
        assert!(sector[..0x5c].iter().all(|&byte| byte == 0x11));
        assert!(sector[0x68..0x1b8].iter().all(|&byte| byte == 0x11));
    }

    #[test]
    fn an_unknown_boot_image_is_refused() {
        let mut other = boot_image();
        other[0x66] = 0x90;
        for image in [&other[..], &other[..511], &[]] {
            assert!(first_sector(&[0; 512], image, 1 << 20).is_err());
        }
        assert!(first_sector(&[0; 100], &boot_image(), 1 << 20).is_err());
    }

    #[test]
    fn the_block_list_covers_the_rest_of_the_core() {
        for (length, sectors) in [(513, 1u16), (1024, 1), (1025, 2), (29501, 57)] {
            let mut image = core(length);
            place_core(&mut image, 1 << 20, 1 << 20).unwrap();
            assert_eq!(image[0x1f4..0x1fc], 2049u64.to_le_bytes());
            assert_eq!(image[0x1fc..0x1fe], sectors.to_le_bytes());
            assert_eq!(image[0x1fe..0x200], [0x20, 0x08]);
        }
    }

    #[test]
    fn a_core_that_is_too_large_too_small_or_strange_is_refused() {
        assert!(place_core(&mut core(2048), 1 << 20, 2047).is_err());
        assert!(place_core(&mut core(512), 1 << 20, 1 << 20).is_err());
        assert!(place_core(&mut [0; 10], 1 << 20, 1 << 20).is_err());
        assert!(place_core(&mut [0; 2048], 1 << 20, 1 << 20).is_err());
    }
}
