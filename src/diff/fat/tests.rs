//! This reader against the fatfs library, and what it tells of differing bytes.

use super::*;
use crate::diff::findings::{Aspects, Changed, Findings};
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use std::io::{Cursor, Read, Write};
use std::sync::Arc;

/// A filesystem of this kind with some files, written by the library.
fn image(kind: FatType) -> Vec<u8> {
    let size = match kind {
        FatType::Fat12 => 2 << 20,
        FatType::Fat16 => 16 << 20,
        FatType::Fat32 => 40 << 20,
    };
    let mut image = vec![0; size];
    let options =
        FormatVolumeOptions::new().fat_type(kind).volume_id(0x1234_5678).volume_label(*b"TEST       ");
    let options = if kind == FatType::Fat32 { options.bytes_per_cluster(512) } else { options };
    fatfs::format_volume(Cursor::new(&mut image[..]), options).unwrap();
    let volume = FileSystem::new(Cursor::new(&mut image[..]), FsOptions::new()).unwrap();
    let root = volume.root_dir();
    root.create_dir("EFI").unwrap();
    root.create_dir("EFI/A long name of a directory").unwrap();
    let files = [
        ("EFI/BOOTX64.EFI", vec![1; 100_000]),
        ("EFI/A long name of a directory/grub.cfg", b"text\n".to_vec()),
        ("EFI/A long name of a directory/gr\u{f6}\u{df}e", vec![2; 512]),
        ("empty", Vec::new()),
    ];
    for (path, bytes) in files {
        let mut file = root.create_file(path).unwrap();
        file.write_all(&bytes).unwrap();
        file.flush().unwrap();
    }
    for number in 0..40 {
        root.create_file(&format!("EFI/a file with a long name {number}")).unwrap();
    }
    drop(root);
    volume.unmount().unwrap();
    image
}

fn read_all(image: &[u8]) -> BTreeMap<String, Option<Vec<u8>>> {
    let volume = FileSystem::new(Cursor::new(image.to_vec()), FsOptions::new()).unwrap();
    let mut found = BTreeMap::from([("/".to_owned(), None)]);
    let mut left = vec![(String::new(), volume.root_dir())];
    while let Some((path, directory)) = left.pop() {
        for entry in directory.iter().map(Result::unwrap) {
            let child = format!("{path}/{}", entry.file_name());
            if entry.is_file() {
                let mut bytes = Vec::new();
                entry.to_file().read_to_end(&mut bytes).unwrap();
                found.insert(child, Some(bytes));
            } else if !entry.file_name().starts_with('.') {
                found.insert(child.clone(), None);
                left.push((child, entry.to_dir()));
            }
        }
    }
    found
}

fn read(image: &[u8]) -> Filesystem {
    Filesystem::read(Arc::new(image.to_vec())).unwrap()
}

fn told(a: &[u8], b: &[u8], changed: &Changed) -> Vec<String> {
    let mut findings = Findings::default();
    compare(&read(a), &read(b), changed, &mut findings).unwrap();
    findings.told.into_iter().map(|finding| finding.place).collect()
}

#[test]
fn the_tree_is_the_one_that_fatfs_reads() {
    for kind in [FatType::Fat12, FatType::Fat16, FatType::Fat32] {
        let image = image(kind);
        let filesystem = read(&image);
        assert_eq!(filesystem.problems, [""; 0]);
        assert_eq!(filesystem.names(), ("TEST".to_owned(), "1234-5678".to_owned()));
        let mine: BTreeMap<String, Option<Vec<u8>>> = filesystem
            .tree
            .entries
            .iter()
            .map(|(path, entry)| {
                let content = match &entry.body {
                    Body::Stored(content) => Some(content.bytes(0..content.size(), 1 << 20).unwrap()),
                    _ => None,
                };
                (String::from_utf8(path.clone()).unwrap(), content)
            })
            .collect();
        assert!(mine == read_all(&image), "{kind:?}");
        assert_eq!(mine.len(), 47);
    }
}

/// None goes unseen: a byte of a file's content is told with the file, everything else here.
#[test]
fn no_flipped_byte_is_overlooked() {
    for kind in [FatType::Fat12, FatType::Fat16, FatType::Fat32] {
        let image = image(kind);
        let original = read(&image);
        let places = original.places();
        // The whole of the small volume; of the others, which take longer to compare, a choice.
        let (step, fine) = if kind == FatType::Fat12 { (1013, 7) } else { (image.len() / 30, 61) };
        let near = original.measures.data as usize..original.measures.data as usize + 8192;
        let interesting =
            (0..1200).step_by(fine).chain((0..image.len()).step_by(step)).chain(near.step_by(fine));
        for at in interesting {
            let mut other = image.clone();
            other[at] ^= 0x41;
            let Ok(filesystem) = Filesystem::read(Arc::new(other)) else { continue };
            let people = crate::diff::people::People::none();
            let (side_a, side_b) = people.sides(&original.tree, &filesystem.tree);
            let scope = crate::diff::files::Scope { filesystem: "esp", only: Vec::new(), stat: true };
            let (_, changed) = crate::diff::files::differences(&side_a, &side_b, &scope).unwrap();
            let mut findings = Findings::default();
            compare(&original, &filesystem, &changed, &mut findings).unwrap();
            let hit = findings.told.iter().any(|told| told.range.contains(&(at as u64)));
            let differs = !changed.paths.is_empty() || original.names() != filesystem.names();
            let slot = (at / 32 * 32) as u64;
            let names = (original.records.get(&slot), filesystem.records.get(&slot));
            let place = places.at(at as u64).1;
            assert!(hit || differs, "{kind:?} byte {at} in {place:?}, {names:?}: {findings:?}");
        }
    }
}

#[test]
fn fields_of_records_are_told_by_path() {
    let image = image(FatType::Fat32);
    let filesystem = read(&image);
    let file = filesystem.files.iter().find(|file| file.path.ends_with(b"/grub.cfg")).unwrap();
    for (offset, field) in [(14, "creation time"), (18, "access date"), (12, "case of the name")] {
        let mut other = image.clone();
        other[file.place as usize + offset] ^= 1;
        let place = format!("record of /EFI/A long name of a directory/grub.cfg: {field}");
        assert_eq!(told(&image, &other, &Changed::default()), [place]);
    }
    let mut other = image.clone();
    other[file.clusters[0].start as usize + 100] = 1;
    let place = "behind the end of /EFI/A long name of a directory/grub.cfg";
    assert_eq!(told(&image, &other, &Changed::default()), [place]);
    let mut other = image.clone();
    let cluster = file.record.as_ref().unwrap().cluster() as usize;
    let second = (filesystem.measures.table.end as usize) + cluster * 4;
    other[second] ^= 1;
    assert_eq!(told(&image, &other, &Changed::default()), ["FAT 2"]);
}

#[test]
fn what_follows_from_files_is_not_told() {
    let image = image(FatType::Fat32);
    let mut other = image.clone();
    {
        let volume = FileSystem::new(Cursor::new(&mut other[..]), FsOptions::new()).unwrap();
        volume.root_dir().create_file("new").unwrap().write_all(&[5; 3000]).unwrap();
        volume.root_dir().remove("EFI/BOOTX64.EFI").unwrap();
    }
    let presence = Aspects { presence: true, ..Aspects::default() };
    let paths = [(b"/new".to_vec(), presence), (b"/EFI/BOOTX64.EFI".to_vec(), presence)].into();
    assert_eq!(told(&image, &other, &Changed { paths }), [""; 0]);
    assert_ne!(told(&image, &other, &Changed::default()), [""; 0]);
}

#[test]
fn broken_chains_are_told_and_break_nothing() {
    let image = image(FatType::Fat32);
    let filesystem = read(&image);
    let file = filesystem.files.iter().find(|file| file.path == b"/EFI/BOOTX64.EFI").unwrap();
    let link =
        filesystem.measures.table.start as usize + file.record.as_ref().unwrap().cluster() as usize * 4;
    for (to, words) in
        [(0u32, "broken"), (0x0fff_ffff, "shorter"), (file.record.as_ref().unwrap().cluster(), "broken")]
    {
        let mut other = image.clone();
        other[link..link + 4].copy_from_slice(&to.to_le_bytes());
        let body = &read(&other).tree.entries[&b"/EFI/BOOTX64.EFI"[..]].body;
        assert!(matches!(body, Body::Unreadable(why) if why.contains(words)), "{to}");
    }
}

#[test]
fn nonsense_is_an_error_and_breaks_nothing() {
    assert!(Filesystem::read(Arc::new(Vec::new())).is_err());
    assert!(Filesystem::read(Arc::new(vec![0xff; 1 << 20])).is_err());
    let image = image(FatType::Fat16);
    for at in 0..64 {
        for value in [0, 1, 0x7f, 0xff] {
            let mut broken = image.clone();
            broken[at] = value;
            let _ = Filesystem::read(Arc::new(broken));
        }
    }
}

/// As `mkfs.fat -F 32` makes it when the volume is small.
#[test]
fn fat32_may_have_few_clusters() {
    let mut image = image(FatType::Fat32);
    assert_eq!(image[13], 1);
    image[13] = 2;
    let measures = Measures::read(&image).unwrap();
    assert_eq!((measures.bits, measures.clusters < 65525), (Bits::ThirtyTwo, true));
}

#[test]
fn chains_that_all_files_share_end() {
    let mut image = image(FatType::Fat12);
    let filesystem = read(&image);
    let clusters = filesystem.measures.clusters as usize;
    let long = filesystem.measures.cluster as usize * (clusters / 2);
    {
        let volume = FileSystem::new(Cursor::new(&mut image[..]), FsOptions::new()).unwrap();
        volume.root_dir().create_file("long").unwrap().write_all(&vec![3; long]).unwrap();
    }
    let filesystem = read(&image);
    assert!(filesystem.problems.is_empty());
    let find = |name: &[u8]| filesystem.files.iter().find(|file| file.path == name).unwrap().place as usize;
    let chain: Vec<u8> = image[find(b"/long") + 26..][..6].to_vec();
    for number in 0..40 {
        let place = find(format!("/EFI/a file with a long name {number}").as_bytes());
        image[place + 26..][..6].copy_from_slice(&chain);
    }
    let filesystem = read(&image);
    let read = |entry: &&Entry| matches!(entry.body, Body::Stored(_)) && entry.size == long as u64;
    let found = filesystem.tree.entries.values().filter(read).count();
    assert!((2..=2 * SHARED as usize).contains(&found), "{found}");
}
