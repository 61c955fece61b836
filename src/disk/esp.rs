//! The EFI system partition: a FAT32 filesystem with Debian's signed shim and GRUB.
//!
//! The files are where `grub-install --target=x86_64-efi --no-nvram --uefi-secure-boot
//! --force-extra-removable` puts them, so that the installed system's own updates replace these and no others.
//! The removable path `EFI/BOOT` is what firmware starts without a boot entry. Shim's fallback program is
//! only in `EFI/debian`: beside `BOOTX64.EFI` shim would start it, and it writes boot entries and, on machines
//! with a TPM, resets; where the firmware forgets its variables that never ends.

use super::{Identity, SECTOR, fat, grub};
use crate::error::{Context, Error, Result};
use crate::tree::inside::Tree;
use std::path::Path;

/// Signed programs: name below the tree, package, where they go.
const PROGRAMS: [(&str, &str, &[&str]); 5] = [
    ("usr/lib/shim/shimx64.efi.signed", "shim-signed", &["EFI/BOOT/BOOTX64.EFI", "EFI/debian/shimx64.efi"]),
    (
        "usr/lib/shim/mmx64.efi.signed",
        "shim-helpers-amd64-signed",
        &["EFI/BOOT/mmx64.efi", "EFI/debian/mmx64.efi"],
    ),
    ("usr/lib/shim/fbx64.efi.signed", "shim-helpers-amd64-signed", &["EFI/debian/fbx64.efi"]),
    ("usr/lib/shim/BOOTX64.CSV", "shim-signed", &["EFI/debian/BOOTX64.CSV"]),
    (
        "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
        "grub-efi-amd64-signed",
        &["EFI/BOOT/grubx64.efi", "EFI/debian/grubx64.efi"],
    ),
];

/// Offset of the number of sectors before the filesystem, in its boot sector and in the copy of that (Microsoft,
/// "FAT32 File System Specification" 1.03, BPB_HiddSec).
const HIDDEN_SECTORS: usize = 0x1c;
/// The sector with the copy of the boot sector (BPB_BkBootSec).
const BACKUP_BOOT_SECTOR: usize = 6;
/// The volume's label, padded to eleven bytes.
const LABEL: [u8; 11] = *b"ESP        ";

/// The whole filesystem, `size` bytes long, for a partition that begins at byte `start` of the disk.
pub fn build(tree: &Path, identity: &Identity, epoch: i64, start: u64, size: u64) -> Result<Vec<u8>> {
    let mut files = vec![("EFI/debian/grub.cfg", grub::efi_config(identity).into_bytes())];
    let tree = Tree::open(tree)?;
    for (source, package, targets) in PROGRAMS {
        let bytes = grub::read(&tree, source, package)?;
        files.extend(targets.iter().map(|&target| (target, bytes.clone())));
    }
    files.sort_by_key(|&(path, _)| path);
    let mut image = fat::filesystem(&files, identity.esp_filesystem, LABEL, epoch, size)
        .doing("making the EFI system partition's filesystem")?;
    let hidden = u32::try_from(start / SECTOR)
        .map_err(|_| Error::new("the EFI system partition begins beyond 2 TiB"))?;
    for sector in [0, BACKUP_BOOT_SECTOR] {
        let at = sector * SECTOR as usize + HIDDEN_SECTORS;
        image[at..at + 4].copy_from_slice(&hidden.to_le_bytes());
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fatfs::{FatType, FileSystem, FsOptions};
    use std::io::{Cursor, Read};

    const SIZE: u64 = 64 << 20;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for (source, _, _) in PROGRAMS {
            let path = tree.path().join(source);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, source.repeat(300)).unwrap();
        }
        tree
    }

    fn esp(epoch: i64) -> Vec<u8> {
        build(tree().path(), &Identity::from_lock("abc"), epoch, 2 << 20, SIZE).unwrap()
    }

    #[test]
    fn it_is_fat32_and_holds_what_grub_install_leaves() {
        let identity = Identity::from_lock("abc");
        let image = esp(1_700_000_000);
        let volume = FileSystem::new(Cursor::new(image), FsOptions::new()).unwrap();
        assert_eq!(volume.fat_type(), FatType::Fat32);
        assert_eq!(volume.volume_id(), identity.esp_filesystem);
        assert_eq!(volume.read_volume_label_from_root_dir().unwrap().unwrap(), "ESP");
        let efi = volume.root_dir().open_dir("EFI").unwrap();
        let names = |directory: &str| -> Vec<String> {
            let entries = efi.open_dir(directory).unwrap();
            let names = entries.iter().map(|entry| entry.unwrap().file_name());
            names.filter(|name| !name.starts_with('.')).collect()
        };
        assert_eq!(names("BOOT"), ["BOOTX64.EFI", "grubx64.efi", "mmx64.efi"]);
        assert_eq!(
            names("debian"),
            ["BOOTX64.CSV", "fbx64.efi", "grub.cfg", "grubx64.efi", "mmx64.efi", "shimx64.efi"]
        );
        let mut text = String::new();
        efi.open_file("debian/grub.cfg").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, grub::efi_config(&identity));
        let mut shim = String::new();
        efi.open_file("BOOT/BOOTX64.EFI").unwrap().read_to_string(&mut shim).unwrap();
        assert_eq!(shim, "usr/lib/shim/shimx64.efi.signed".repeat(300));
    }

    #[test]
    fn the_same_input_gives_the_same_bytes_and_another_epoch_does_not() {
        assert!(esp(1_700_000_000) == esp(1_700_000_000));
        assert!(esp(1_700_000_000) != esp(1_700_000_002));
    }

    #[test]
    fn the_boot_sector_and_its_copy_agree() {
        let image = esp(0);
        assert_eq!(image[0x1c..0x20], 4096u32.to_le_bytes());
        assert_eq!(image[..512], image[6 * 512..7 * 512]);
        assert_eq!(image[0x41], 0, "the volume is clean");
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let tree = tree();
        fs_err::remove_file(tree.path().join("usr/lib/shim/mmx64.efi.signed")).unwrap();
        let error = build(tree.path(), &Identity::from_lock("abc"), 0, 2 << 20, SIZE).unwrap_err();
        assert!(error.advice().unwrap().contains("shim-helpers-amd64-signed"), "{error}");
    }

    #[test]
    fn programs_larger_than_the_partition_are_an_error() {
        let tree = tree();
        fs_err::write(tree.path().join("usr/lib/shim/fbx64.efi.signed"), vec![1; 65 << 20]).unwrap();
        assert!(build(tree.path(), &Identity::from_lock("abc"), 0, 2 << 20, SIZE).is_err());
    }
}
