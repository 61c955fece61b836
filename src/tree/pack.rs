//! A tree, or what must be done to another one to get it, as compressed archives that are written and read in parallel.

use super::archive::Archive;
use super::index::{Changes, Index};
use crate::error::{Context, Error, Result};
use crate::interrupt;
use fs_err::os::unix::fs::OpenOptionsExt;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{Mode, UtimensatFlags, makedev, mknod, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use tar::{EntryType, Header};

/// The archive of directories: they come before everything else.
const DIRECTORIES: &str = "directories.tar.zst";
/// The list of paths that go, each ended by a NUL.
const REMOVED: &str = "removed.zst";
/// Bytes of files that go into one archive.
const PART: u64 = 16 << 20;
/// The fastest: what is packed here is read again soon, and more often than written.
const LEVEL: i32 = 1;

/// Packs `changes` of `tree`, whose index this is, into the existing directory `into`. Returns how many archives hold
/// its files.
pub fn pack(tree: &Path, index: &Index, changes: &Changes, epoch: i64, into: &Path) -> Result<usize> {
    let mut removed = Vec::new();
    for path in &changes.removed {
        removed.extend_from_slice(path.as_os_str().as_bytes());
        removed.push(0);
    }
    let mut list = compressed(&into.join(REMOVED))?;
    list.write_all(&removed)?;
    list.finish()?;
    write(tree, &directories(index, changes), epoch, &into.join(DIRECTORIES))?;
    let parts = parts(index, changes);
    let numbered = parts.par_iter().with_max_len(1).enumerate();
    numbered
        .try_for_each(|(number, part)| write(tree, part, epoch, &into.join(format!("{number}.tar.zst"))))?;
    Ok(parts.len())
}

/// A file whose content is compressed, with a checksum behind it.
fn compressed(to: &Path) -> Result<zstd::Encoder<'static, fs_err::File>> {
    let mut out = zstd::Encoder::new(fs_err::File::create(to)?, LEVEL)?;
    out.include_checksum(true)?;
    Ok(out)
}

/// Changed directories, and those in which something changes: their times must be set again.
fn directories(index: &Index, changes: &Changes) -> Vec<PathBuf> {
    let mut directories = BTreeSet::new();
    for path in changes.changed.iter().chain(&changes.removed) {
        for above in path.ancestors() {
            if index.get(above).is_some_and(|node| node.is_directory()) {
                directories.insert(above.to_path_buf());
            }
        }
    }
    directories.into_iter().collect()
}

/// The other files in archives of about one size. All names of a file are in one of them.
fn parts(index: &Index, changes: &Changes) -> Vec<Vec<PathBuf>> {
    let changed = |path: &Path| changes.changed.contains(path);
    let mut names: BTreeMap<&Path, Vec<&Path>> = BTreeMap::new();
    for (path, node) in index.iter() {
        names.entry(node.first_name.as_deref().unwrap_or(path)).or_default().push(path);
    }
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut bytes = 0;
    for (first, names) in names {
        let Some(node) = index.get(first).filter(|node| !node.is_directory()) else { continue };
        // With one name, the others are written too: restoring must join them.
        if !names.iter().any(|name| changed(name)) {
            continue;
        }
        part.extend(names.into_iter().map(Path::to_path_buf));
        bytes += node.size;
        if bytes >= PART {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

fn write(tree: &Path, paths: &[PathBuf], epoch: i64, to: &Path) -> Result<()> {
    let doing = || format!("writing {}", to.display());
    let mut out = compressed(to).doing_with(doing)?;
    let mut archive = Archive::new(&mut out, epoch);
    for path in paths {
        interrupt::check()?;
        let full = tree.join(path);
        let name = if path.as_os_str().is_empty() { b"./" } else { path.as_os_str().as_bytes() };
        archive.entry(&full, name, &fs_err::symlink_metadata(&full)?).doing_with(doing)?;
    }
    archive.finish().doing_with(doing)?;
    out.finish().doing_with(doing)?.flush()?;
    Ok(())
}

/// Does to `tree` what was packed into the directory `from`. Access times become `epoch`. What is damaged is an
/// error: every file has a checksum, and `parts` says how many archives there must be.
pub fn restore(from: &Path, parts: usize, tree: &Path, epoch: i64) -> Result<()> {
    let removed = zstd::decode_all(fs_err::File::open(from.join(REMOVED))?).doing("reading what goes")?;
    for path in removed.split(|&byte| byte == 0).filter(|path| !path.is_empty()) {
        let path = tree.join(below(Path::new(std::ffi::OsStr::from_bytes(path)))?);
        remove(&path)?;
    }
    let mut directories = Vec::new();
    read(&from.join(DIRECTORIES), |path, header, attributes, _| {
        let path = tree.join(path);
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                fs_err::remove_file(&path)?;
                fs_err::create_dir(&path)?;
            }
            Err(_) => fs_err::create_dir(&path)?,
        }
        directories.push((path, header.clone(), attributes));
        Ok(())
    })?;
    (0..parts).into_par_iter().with_max_len(1).try_for_each(|number| {
        read(&from.join(format!("{number}.tar.zst")), |path, header, attributes, content| {
            let path = tree.join(path);
            if path.symlink_metadata().is_ok() {
                remove(&path)?;
            }
            make(tree, &path, header, content)?;
            if header.entry_type() != EntryType::Link {
                finish(&path, header, &attributes, epoch)?;
            }
            Ok(())
        })
    })?;
    // The deepest first: what is made in a directory changes its time.
    directories.sort_by(|a, b| b.0.cmp(&a.0));
    for (path, header, attributes) in &directories {
        finish(path, header, attributes, epoch)?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(fs_err::remove_dir_all(path)?),
        Ok(_) => Ok(fs_err::remove_file(path)?),
        Err(_) => Ok(()),
    }
}

/// A path that stays below the tree.
fn below(path: &Path) -> Result<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            _ => return Err(Error::new(format!("it holds the path {}", path.display()))),
        }
    }
    Ok(clean)
}

type Attributes = Vec<(String, Vec<u8>)>;

/// Calls `each` for every entry of an archive, with its path below the tree, header, attributes and content.
fn read(
    archive: &Path,
    mut each: impl FnMut(PathBuf, &Header, Attributes, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let doing = || format!("reading {}", archive.display());
    let stream = zstd::Decoder::new(fs_err::File::open(archive)?).doing_with(doing)?;
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries().doing_with(doing)? {
        interrupt::check()?;
        let mut entry = entry.doing_with(doing)?;
        let path = below(&PathBuf::from(std::ffi::OsString::from_vec(entry.path_bytes().into_owned())))?;
        let mut header = entry.header().clone();
        let mut attributes = Vec::new();
        let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        if let Some(extensions) = entry.pax_extensions().doing_with(doing)? {
            for extension in extensions {
                let extension = extension.doing_with(doing)?;
                let Ok(key) = extension.key() else { continue };
                if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                    attributes.push((name.to_owned(), extension.value_bytes().to_vec()));
                } else if let ("uid" | "gid", Ok(Ok(id))) = (key, extension.value().map(str::parse::<u64>)) {
                    if key == "uid" { header.set_uid(id) } else { header.set_gid(id) }
                }
            }
        }
        match link {
            // A link's target is handed over as its content: the header has no room for a long one.
            Some(target) => each(path, &header, attributes, &mut target.as_slice()),
            None => each(path, &header, attributes, &mut entry),
        }
        .doing_with(doing)?;
    }
    // The checksum is behind the archive's end.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).doing_with(doing)?;
    Ok(())
}

fn make(tree: &Path, path: &Path, header: &Header, content: &mut dyn Read) -> Result<()> {
    let doing = || format!("restoring {}", path.display());
    let mut target = || -> Result<PathBuf> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).doing_with(doing)?;
        Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
    };
    match header.entry_type() {
        EntryType::Regular => {
            let mut options = fs_err::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
            std::io::copy(content, &mut file).doing_with(doing)?;
        }
        EntryType::Link => fs_err::hard_link(tree.join(below(&target()?)?), path)?,
        EntryType::Symlink => symlink(target()?, path).doing_with(doing)?,
        kind => {
            let kind = match kind {
                EntryType::Fifo => nix::sys::stat::SFlag::S_IFIFO,
                EntryType::Char => nix::sys::stat::SFlag::S_IFCHR,
                EntryType::Block => nix::sys::stat::SFlag::S_IFBLK,
                other => {
                    return Err(Error::new(format!("it is of the unknown kind {other:?}"))).doing_with(doing);
                }
            };
            let number = |part: std::io::Result<Option<u32>>| u64::from(part.ok().flatten().unwrap_or(0));
            // A pipe has no number, and the fields are empty.
            let device = makedev(number(header.device_major()), number(header.device_minor()));
            mknod(path, kind, Mode::from_bits_truncate(0o600), device).doing_with(doing)?;
        }
    }
    Ok(())
}

fn finish(path: &Path, header: &Header, attributes: &Attributes, epoch: i64) -> Result<()> {
    let doing = || format!("restoring {}", path.display());
    let id = |number: u64| u32::try_from(number).map_err(|_| Error::new("an id is out of range"));
    let (uid, gid) = (Uid::from_raw(id(header.uid()?)?), Gid::from_raw(id(header.gid()?)?));
    fchownat(AT_FDCWD, path, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW).doing_with(doing)?;
    if header.entry_type() != EntryType::Symlink {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(header.mode()?))?;
        for (name, value) in attributes {
            xattr::set(path, name, value).doing_with(doing)?;
        }
    }
    let mtime = TimeSpec::new(i64::try_from(header.mtime()?).unwrap_or(0), 0);
    let flags = UtimensatFlags::NoFollowSymlink;
    utimensat(AT_FDCWD, path, &TimeSpec::new(epoch, 0), &mtime, flags).doing_with(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: i64 = 1_700_000_000;

    fn touch(tree: &Path) {
        let index = Index::of(tree).unwrap();
        let mut paths: Vec<_> = index.iter().map(|(path, _)| tree.join(path)).collect();
        paths.reverse();
        for (number, path) in paths.iter().enumerate() {
            let time = TimeSpec::new(1_600_000_000 + number as i64, 0);
            utimensat(AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink).unwrap();
        }
    }

    fn first() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        fs_err::create_dir_all(at("usr/bin/deep/er")).unwrap();
        fs_err::create_dir_all(at("etc")).unwrap();
        fs_err::write(at("usr/bin/perl"), vec![7; 70_000]).unwrap();
        fs_err::hard_link(at("usr/bin/perl"), at("usr/bin/deep/perl5")).unwrap();
        fs_err::write(at("etc/passwd"), "root").unwrap();
        fs_err::set_permissions(at("etc/passwd"), std::fs::Permissions::from_mode(0o4640)).unwrap();
        fs_err::write(at(&format!("etc/{}", "n".repeat(200))), "long").unwrap();
        symlink("x".repeat(150), at("etc/link")).unwrap();
        nix::unistd::mkfifo(&at("etc/fifo"), Mode::from_bits_truncate(0o620)).unwrap();
        touch(tree.path());
        tree
    }

    /// Packs the way from one tree to another, restores it on a copy of the one, and wants the other.
    fn goes(from: &Path, to: &Path) {
        let (before, after) = (Index::of(from).unwrap(), Index::of(to).unwrap());
        let packed = tempfile::tempdir().unwrap();
        let parts = pack(to, &after, &after.changes_from(&before), EPOCH, packed.path()).unwrap();
        let place = tempfile::tempdir().unwrap();
        let copy = place.path().join("copy");
        crate::tree::copy::tree(from, &copy).unwrap();
        restore(packed.path(), parts, &copy, EPOCH).unwrap();
        let restored = Index::of(&copy).unwrap();
        assert_eq!(restored.changes_from(&after), Changes::default());
        assert_eq!(restored.digest(), after.digest());
    }

    #[test]
    fn a_tree_comes_back_as_it_was() {
        let (nothing, tree) = (tempfile::tempdir().unwrap(), first());
        goes(nothing.path(), tree.path());
    }

    #[test]
    fn one_tree_becomes_another() {
        let (from, to) = (first(), first());
        let at = |name: &str| to.path().join(name);
        fs_err::remove_dir_all(at("usr/bin/deep/er")).unwrap();
        fs_err::remove_file(at("etc/fifo")).unwrap();
        fs_err::create_dir(at("etc/fifo")).unwrap();
        fs_err::write(at("etc/fifo/in"), "side").unwrap();
        fs_err::write(at("usr/bin/deep/er"), "a file now").unwrap();
        fs_err::hard_link(at("usr/bin/perl"), at("third")).unwrap();
        fs_err::remove_file(at("etc/link")).unwrap();
        touch(to.path());
        goes(from.path(), to.path());
        goes(to.path(), from.path());
    }

    #[test]
    fn a_directory_keeps_its_time_when_only_its_content_changes() {
        let (from, to) = (first(), first());
        let etc = to.path().join("etc");
        let old = fs_err::metadata(&etc).unwrap().modified().unwrap();
        let passwd = etc.join("passwd");
        fs_err::write(&passwd, "toor").unwrap();
        fs_err::File::open(&passwd).unwrap().file().set_modified(old).unwrap();
        fs_err::File::open(&etc).unwrap().file().set_modified(old).unwrap();
        goes(from.path(), to.path());
    }

    #[test]
    fn damage_is_an_error() {
        let (tree, packed) = (first(), tempfile::tempdir().unwrap());
        let index = Index::of(tree.path()).unwrap();
        let changes = index.changes_from(&Index::default());
        assert_eq!(pack(tree.path(), &index, &changes, EPOCH, packed.path()).unwrap(), 1);
        let part = packed.path().join("0.tar.zst");
        let good = fs_err::read(&part).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs_err::write(&part, bad).unwrap();
            let place = tempfile::tempdir().unwrap();
            assert!(restore(packed.path(), 1, place.path(), EPOCH).is_err(), "byte {at}");
        }
        fs_err::write(&part, &good[..good.len() / 2]).unwrap();
        assert!(restore(packed.path(), 1, tempfile::tempdir().unwrap().path(), EPOCH).is_err());
        fs_err::remove_file(&part).unwrap();
        assert!(restore(packed.path(), 1, tempfile::tempdir().unwrap().path(), EPOCH).is_err());
    }

    #[test]
    fn a_path_cannot_leave_the_tree() {
        assert!(below(Path::new("a/../b")).is_err() && below(Path::new("/a")).is_err());
        assert_eq!(below(Path::new("./a/b")).unwrap(), Path::new("a/b"));
    }
}
