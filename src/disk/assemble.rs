//! Putting the disk together: every part is written at its place in one sparse file, none is copied there.

use super::ext4::{self, Geometry, Target};
use super::filesystem::{Filesystem, ROOT, below};
use super::layout::{Layout, Partition, Role, SECTOR};
use super::survey::Survey;
use super::{Identity, boot_record, esp, grub, sparse, survey};
use crate::error::{Context, Result};
use crate::interrupt;
use crate::progress::Progress;
use crate::sandbox::Tools;
use fs_err::File;
use nix::sys::stat::UtimensatFlags;
use nix::sys::stat::utimensat;
use nix::sys::time::TimeSpec;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

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
    /// The filesystems that the tree is spread over, the root's first.
    pub filesystems: &'a [Filesystem],
    /// Where mke2fs, debugfs and grub-mkimage come from.
    pub tools: &'a Tools,
    /// A directory for what is handed to them. The caller clears it, also after a run that was killed.
    pub work: &'a Path,
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
    /// Where it is mounted, for those that the recipe asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
}

/// Makes the disk. The same spec gives the same bytes.
pub fn write(spec: &Spec, progress: &Progress) -> Result<Disk> {
    let stage = progress.stage("disk");
    let doing = || format!("making the disk image {}", spec.out.display());
    stage.now("measuring the tree");
    let mounts: Vec<&str> = spec.filesystems.iter().map(|filesystem| filesystem.mount.as_str()).collect();
    let found = survey::survey(spec.tree, spec.epoch, &mounts).doing_with(doing)?;
    let geometries = spec.filesystems.iter().zip(&found);
    let geometries: Vec<Geometry> =
        geometries.map(|(filesystem, found)| Geometry::new(found, filesystem)).collect::<Result<_>>()?;
    let sizes: Vec<(&str, u64)> = mounts.iter().copied().zip(geometries.iter().map(Geometry::size)).collect();
    let layout = Layout::new(spec.identity, &sizes)?;
    let file = File::options().read(true).write(true).create(true).truncate(true).open(spec.out)?;
    file.set_len(layout.size)?;

    stage.now("writing the filesystems");
    let (root, boot) =
        rayon::join(|| filesystems(spec, &layout, &geometries, &found), || boot_parts(spec, &layout, &file));
    root.and(boot).doing_with(doing)?;
    interrupt::check()?;
    drop(file);
    let partitions = layout.partitions().map(|partition| describe(partition, spec.identity)).collect();
    let inodes: u64 = found.iter().map(|found| found.inodes).sum();
    stage.finish(format!("{} MiB, {inodes} files", layout.size >> 20));
    Ok(Disk { size: layout.size, partitions })
}

/// All filesystems. What of one's part of the tree lies in another is covered by an empty directory, so that nothing is
/// copied.
fn filesystems(spec: &Spec, layout: &Layout, geometries: &[Geometry], found: &[Survey]) -> Result<()> {
    let empty = tempfile::tempdir_in(spec.work)?;
    (0..spec.filesystems.len()).into_par_iter().try_for_each(|index| {
        let filesystem = &spec.filesystems[index];
        let covered = inner(spec.filesystems, filesystem)
            .map(|inner| {
                let directory = mount_point(spec, inner, empty.path())?;
                Ok((below(&inner.mount, &filesystem.mount).unwrap_or_default().to_owned(), directory))
            })
            .collect::<Result<Vec<(String, PathBuf)>>>()?;
        let target = Target {
            disk: spec.out,
            offset: layout.filesystems[index].start,
            tree: &spec.tree.join(filesystem.mount.trim_start_matches('/')),
            covered: &covered,
            filesystem,
            volume: spec.identity.volume(&filesystem.mount),
            epoch: spec.epoch,
            work: spec.work,
        };
        ext4::write(spec.tools, &target, &geometries[index], &found[index])
    })
}

/// The filesystems that are mounted in another one, less those in one of these.
fn inner<'a>(all: &'a [Filesystem], of: &'a Filesystem) -> impl Iterator<Item = &'a Filesystem> {
    let is_in = |inner: &Filesystem, outer: &Filesystem| {
        below(&inner.mount, &outer.mount).is_some_and(|rest| !rest.is_empty())
    };
    all.iter().filter(move |inner| {
        is_in(inner, of) && !all.iter().any(|between| is_in(between, of) && is_in(inner, between))
    })
}

/// An empty directory, otherwise as the one in the tree where the filesystem is mounted.
fn mount_point(spec: &Spec, filesystem: &Filesystem, place: &Path) -> Result<PathBuf> {
    let directory = place.join(filesystem.name());
    let like = fs_err::symlink_metadata(spec.tree.join(filesystem.mount.trim_start_matches('/')))?;
    fs_err::create_dir(&directory)?;
    let doing = || format!("making a mount point like {}", filesystem.mount);
    chown(&directory, Some(like.uid()), Some(like.gid())).doing_with(doing)?;
    fs_err::set_permissions(&directory, like.permissions())?;
    let times =
        (TimeSpec::new(like.atime(), like.atime_nsec()), TimeSpec::new(like.mtime(), like.mtime_nsec()));
    utimensat(nix::fcntl::AT_FDCWD, &directory, &times.0, &times.1, UtimensatFlags::NoFollowSymlink)
        .doing_with(doing)?;
    Ok(directory)
}

/// Everything but the ext4 filesystems: table, BIOS boot images, EFI system partition.
fn boot_parts(spec: &Spec, layout: &Layout, file: &File) -> Result<()> {
    layout.write(file)?;
    let mut images = grub::bios_images(spec.tree, spec.tools, spec.identity, spec.work)?;
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
    let (filesystem, uuid, mount) = match &partition.role {
        Role::Bios => (None, None, None),
        Role::Esp => (Some("vfat"), Some(identity.esp_uuid()), None),
        Role::Filesystem(mount) => {
            let volume = identity.volume(mount);
            let mount = (mount != ROOT).then(|| mount.clone());
            (Some("ext4"), Some(volume.filesystem.to_string()), mount)
        }
    };
    PartitionInfo {
        number: partition.number,
        name: partition.name(),
        kind: partition.type_guid().to_string(),
        guid: partition.guid.to_string(),
        start: partition.start,
        size: partition.size,
        filesystem: filesystem.map(str::to_owned),
        filesystem_uuid: uuid,
        mount,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::plan::RootSize;

    #[test]
    fn a_filesystem_covers_what_is_mounted_directly_in_it() {
        let all: Vec<Filesystem> =
            ["/", "/home", "/var", "/var/lib/x", "/var/log", "/var/log/audit", "/variable"]
                .map(|mount| Filesystem {
                    mount: mount.into(),
                    size: RootSize::Auto,
                    free: 0,
                    options: String::new(),
                })
                .into();
        let inside = |index: usize| -> Vec<&str> {
            inner(&all, &all[index]).map(|inner| inner.mount.as_str()).collect()
        };
        assert_eq!(inside(0), ["/home", "/var", "/variable"]);
        assert_eq!(inside(2), ["/var/lib/x", "/var/log"]);
        assert_eq!(inside(4), ["/var/log/audit"]);
        assert_eq!(inside(6), [""; 0]);
    }
}
