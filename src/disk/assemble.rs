//! Putting the disk together: every part is written at its place in one sparse file, none is copied there.

use super::ext4::{self, Geometry, Target};
use super::layout::{Layout, Partition, Role, SECTOR};
use super::{Identity, boot_record, esp, grub, sparse, survey};
use crate::error::{Context, Result};
use crate::interrupt;
use crate::progress::Progress;
use crate::recipe::plan::Image;
use crate::sandbox::Tools;
use fs_err::File;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a disk is made from.
#[derive(Debug, Clone, Copy)]
pub struct Spec<'a> {
    /// The finished tree, with its true owners.
    pub tree: &'a Path,
    /// The disk file to make, under a temporary name: renaming it when all is done is the caller's part.
    pub out: &'a Path,
    /// The identifiers, which the tree's fstab and grub.cfg already name.
    pub identity: &'a Identity,
    /// source-date-epoch: seconds since 1970, UTC.
    pub epoch: i64,
    /// Sizes that the recipe asks for.
    pub image: &'a Image,
    /// Where mke2fs, debugfs and grub-mkimage come from.
    pub tools: &'a Tools,
}

/// A disk that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its size in bytes.
    pub size: u64,
    /// Its partitions, in order.
    pub partitions: Vec<PartitionInfo>,
}

/// One partition, for the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartitionInfo {
    /// Its number, counted from 1.
    pub number: u32,
    /// Its name in the table.
    pub name: String,
    /// GUID of its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its own GUID.
    pub guid: String,
    /// Where it begins, in bytes.
    pub start: u64,
    /// Its size in bytes.
    pub size: u64,
    /// The filesystem on it: `vfat` or `ext4`.
    pub filesystem: Option<String>,
    /// The filesystem's UUID as blkid(8) prints it.
    pub filesystem_uuid: Option<String>,
}

/// Makes the disk. The same spec gives the same bytes.
pub fn write(spec: &Spec, progress: &Progress) -> Result<Disk> {
    let stage = progress.stage("disk");
    let doing = || format!("making the disk image {}", spec.out.display());
    stage.now("measuring the tree");
    let found = survey::survey(spec.tree, spec.epoch).doing_with(doing)?;
    let geometry = Geometry::new(&found, spec.image)?;
    let layout = Layout::new(spec.identity, geometry.size())?;
    let file = File::options().read(true).write(true).create(true).truncate(true).open(spec.out)?;
    file.set_len(layout.size)?;

    stage.now("writing the root filesystem");
    let target = Target {
        disk: spec.out,
        offset: layout.root.start,
        tree: spec.tree,
        identity: spec.identity,
        epoch: spec.epoch,
    };
    let (root, boot) = rayon::join(
        || ext4::write(spec.tools, &target, &geometry, &found),
        || boot_parts(spec, &layout, &file),
    );
    root.and(boot).doing_with(doing)?;
    interrupt::check()?;
    drop(file);
    let partitions = layout.partitions().map(|partition| describe(partition, spec.identity)).into();
    stage.finish(format!("{} MiB, {} files", layout.size >> 20, found.inodes));
    Ok(Disk { size: layout.size, partitions })
}

/// Everything but the root filesystem: table, BIOS boot images, EFI system partition.
fn boot_parts(spec: &Spec, layout: &Layout, file: &File) -> Result<()> {
    layout.write(file)?;
    let mut images = grub::bios_images(spec.tree, spec.tools, spec.identity)?;
    boot_record::place_core(&mut images.core, layout.bios.start, layout.bios.size)?;
    sparse::write_at(file, layout.bios.start, &images.core)?;
    let first = first_sector(file)?;
    sparse::write_at(file, 0, &boot_record::first_sector(&first, &images.boot, layout.bios.start)?)?;
    let esp = esp::build(spec.tree, spec.identity, spec.epoch, layout.esp.start, layout.esp.size)?;
    sparse::write_at(file, layout.esp.start, &esp)
}

fn first_sector(file: &File) -> Result<[u8; SECTOR as usize]> {
    use fs_err::os::unix::fs::FileExt;
    let mut sector = [0; SECTOR as usize];
    file.read_exact_at(&mut sector, 0)?;
    Ok(sector)
}

fn describe(partition: &Partition, identity: &Identity) -> PartitionInfo {
    let (filesystem, uuid) = match partition.role {
        Role::Bios => (None, None),
        Role::Esp => (Some("vfat"), Some(identity.esp_uuid())),
        Role::Root => (Some("ext4"), Some(identity.root_filesystem.to_string())),
    };
    PartitionInfo {
        number: partition.number,
        name: partition.name().to_owned(),
        kind: partition.type_guid().to_string(),
        guid: partition.guid.to_string(),
        start: partition.start,
        size: partition.size,
        filesystem: filesystem.map(str::to_owned),
        filesystem_uuid: uuid,
    }
}
