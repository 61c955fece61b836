//! This reader against the ext4_view library, and what it tells of differing bytes. The filesystems are made by the
//! host's mke2fs and changed by its debugfs; without these the tests are told as ignored. tests/diff.rs does it with those of
//! the tools tree.

use super::*;
use crate::diff::findings::{Aspects, Changed, Findings};
use std::sync::Arc;

/// A filesystem of 24 MiB.
fn image(options: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    fs_err::create_dir_all(root.join("many")).unwrap();
    for number in 0..600 {
        fs_err::write(root.join(format!("many/{number:0>60}")), number.to_string()).unwrap();
    }
    fs_err::write(root.join("text"), "one\ntwo\n").unwrap();
    fs_err::hard_link(root.join("text"), root.join("linked")).unwrap();
    let mut big = vec![0; 300_000];
    big[..5000].fill(7);
    big[200_000..].fill(8);
    fs_err::write(root.join("holes"), big).unwrap();
    std::os::unix::fs::symlink("text", root.join("short")).unwrap();
    std::os::unix::fs::symlink("x".repeat(200), root.join("long")).unwrap();
    nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o640)).unwrap();
    let file = directory.path().join("image");
    fs_err::File::create(&file).unwrap().set_len(24 << 20).unwrap();
    let mut command = vec!["-q", "-t", "ext4", "-N", "1024", "-L", "test", "-d"];
    command.extend([root.to_str().unwrap(), file.to_str().unwrap()]);
    command.splice(3..3, options.iter().copied());
    let made = duct::cmd("/sbin/mke2fs", command).stderr_capture().unchecked().run().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs_err::read(file).unwrap()
}

fn debugfs(image: &[u8], commands: &[&str]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), image).unwrap();
    for command in commands {
        let made = duct::cmd!("/sbin/debugfs", "-w", "-R", command, file.path())
            .stdout_null()
            .stderr_capture()
            .run()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    fs_err::read(file.path()).unwrap()
}

fn read(image: &[u8]) -> Filesystem {
    Filesystem::read(Arc::new(image.to_vec())).unwrap()
}

fn content(entry: &Entry) -> Vec<u8> {
    let Body::Stored(content) = &entry.body else { panic!("it has no content") };
    content.bytes(0..content.size(), 1 << 20).unwrap()
}

/// Mode, owner, modification time, and content or target.
type Seen = (u32, (u32, u32), (i64, u32), Vec<u8>);

/// What the library sees, by path.
fn judged(image: &[u8]) -> BTreeMap<Vec<u8>, Seen> {
    let judge = ext4_view::Ext4::load(Box::new(image.to_vec())).unwrap();
    let mut found = BTreeMap::new();
    let mut left = vec![ext4_view::PathBuf::new("/")];
    while let Some(directory) = left.pop() {
        for entry in judge.read_dir(&directory).unwrap().map(Result::unwrap) {
            if matches!(entry.file_name().as_str(), Ok("." | "..")) {
                continue;
            }
            let (path, metadata) = (entry.path(), entry.metadata().unwrap());
            let bytes = if metadata.is_symlink() {
                judge.read_link(&path).unwrap().as_path().to_str().unwrap().as_bytes().to_vec()
            } else if metadata.file_type().is_regular_file() {
                judge.read(&path).unwrap()
            } else {
                Vec::new()
            };
            let modified = metadata.modified();
            let owner = (metadata.uid(), metadata.gid());
            let mode = u32::from(metadata.mode()) & 0o7777;
            let time = (modified.seconds(), modified.nanoseconds());
            found.insert(path.to_str().unwrap().as_bytes().to_vec(), (mode, owner, time, bytes));
            if metadata.is_dir() {
                left.push(path);
            }
        }
    }
    found
}

#[test]
#[cfg_attr(not(host_e2fsprogs), ignore = "could not check: the host has no mke2fs and debugfs")]
fn the_tree_is_the_one_that_ext4_view_reads() {
    for options in
        [&["-b", "4096"][..], &["-b", "1024"], &["-b", "1024", "-O", "^extent,^64bit,^metadata_csum"]]
    {
        let image = image(options);
        let filesystem = read(&image);
        assert_eq!(filesystem.problems, [""; 0]);
        assert_eq!(filesystem.damage(), None);
        let mut mine = BTreeMap::new();
        for (path, entry) in &filesystem.tree.entries {
            let bytes = match &entry.kind {
                Kind::File => content(entry),
                Kind::Link(target) => target.clone(),
                _ => Vec::new(),
            };
            let about = (entry.mode.unwrap(), entry.owner.unwrap(), entry.modified.unwrap(), bytes);
            mine.insert(path.clone(), about);
        }
        assert!(mine.remove(&b"/"[..]).is_some());
        let judged = judged(&image);
        assert!(mine.keys().eq(judged.keys()));
        assert!(mine == judged, "{options:?}");
        let entry = |path: &str| &filesystem.tree.entries[path.as_bytes()];
        assert_eq!(entry("/fifo").kind, Kind::Fifo);
        assert_eq!(entry("/text").identity, entry("/linked").identity);
        assert_eq!(filesystem.names().0, "test");
    }
}

/// Tells what differs between two images whose trees are taken for equal but for `changed`.
fn told(a: &[u8], b: &[u8], changed: &Changed) -> Vec<String> {
    let mut findings = Findings::default();
    compare(&read(a), &read(b), changed, &mut findings).unwrap();
    findings.told.into_iter().map(|finding| finding.place).collect()
}

fn changed(paths: &[(&str, Aspects)]) -> Changed {
    Changed { paths: paths.iter().map(|(path, aspects)| (path.as_bytes().to_vec(), *aspects)).collect() }
}

/// The differences of two trees.
fn trees(a: &Tree, b: &Tree) -> Changed {
    let people = crate::diff::people::People::none();
    let (side_a, side_b) = people.sides(a, b);
    let scope = crate::diff::files::Scope { filesystem: "root", only: Vec::new(), stat: true };
    crate::diff::files::differences(&side_a, &side_b, &scope).unwrap().1
}

/// No flipped byte goes unseen: it is told by its place, or the trees differ.
#[test]
#[cfg_attr(not(host_e2fsprogs), ignore = "could not check: the host has no mke2fs and debugfs")]
fn no_flipped_byte_is_overlooked() {
    let image = image(&["-b", "1024"]);
    let original = read(&image);
    let places = original.places();
    for at in
        (0..image.len()).step_by(99_991).chain((1024..2048).step_by(31)).chain((2048..900_000).step_by(7919))
    {
        let mut other = image.clone();
        other[at] ^= 0x41;
        let Ok(filesystem) = Filesystem::read(Arc::new(other)) else { continue };
        let changed = trees(&original.tree, &filesystem.tree);
        let mut findings = Findings::default();
        compare(&original, &filesystem, &changed, &mut findings).unwrap();
        let hit = findings.told.iter().any(|told| told.range.contains(&(at as u64)));
        let differs = !changed.paths.is_empty() || original.names() != filesystem.names();
        let same_measures = original.superblock.same_measures(&filesystem.superblock);
        assert!(hit || differs, "byte {at} in {:?}: {:?}", places.at(at as u64).1, findings.told);
        // What is told and what follows are all there is.
        let count: u64 = findings.told.iter().map(|told| told.count).sum();
        assert!(count + findings.explained == 1 || !same_measures || differs, "byte {at}: {findings:?}");
    }
}

#[test]
#[cfg_attr(not(host_e2fsprogs), ignore = "could not check: the host has no mke2fs and debugfs")]
fn hidden_fields_are_told_by_inode_and_path() {
    let image = image(&["-b", "4096"]);
    let number = read(&image).tree.entries[&b"/many"[..]].identity;
    for (field, value, name) in [
        ("crtime", "20200101", "creation time"),
        ("atime", "20200101", "access time"),
        ("generation", "77", "generation"),
        ("flags", "0x80010", "flags"),
    ] {
        let other = debugfs(&image, &[&format!("set_inode_field /many {field} {value}")]);
        assert_eq!(told(&image, &other, &Changed::default()), [format!("inode {number} = /many: {name}")]);
    }
    let other = debugfs(&image, &["ssv hash_seed 00000000-0000-0000-0000-000000000001"]);
    let told = told(&image, &other, &Changed::default());
    assert!(told.iter().any(|told| told == "superblock: directory hash seed"), "{told:?}");
}

#[test]
#[cfg_attr(not(host_e2fsprogs), ignore = "could not check: the host has no mke2fs and debugfs")]
fn what_follows_from_files_is_not_told() {
    let image = image(&["-b", "4096"]);
    // debugfs notes the time of its own writing.
    let own = |told: Vec<String>| -> Vec<String> {
        let own = ["superblock: write time", "superblock: kilobytes written"];
        told.into_iter().filter(|told| !own.contains(&told.as_str())).collect()
    };
    let mode = debugfs(&image, &["set_inode_field /text mode 0100600"]);
    let properties = Aspects { properties: true, ..Aspects::default() };
    assert_eq!(
        own(told(&image, &mode, &changed(&[("/text", properties), ("/linked", properties)]))),
        [""; 0]
    );

    let presence = Aspects { presence: true, ..Aspects::default() };
    let removed = debugfs(&image, &["rm /holes", "rm /short"]);
    let gone = changed(&[("/holes", presence), ("/short", presence)]);
    assert_eq!(own(told(&image, &removed, &gone)), [""; 0]);
    let not_told = own(told(&image, &removed, &Changed::default()));
    assert!(not_told.iter().any(|told| told.starts_with("directory / ")), "{not_told:?}");

    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), vec![9; 20_000]).unwrap();
    let write = format!("write {} new", file.path().display());
    let added = debugfs(&image, &[&write, "mkdir /directory", "symlink /new-link target"]);
    let new = changed(&[("/new", presence), ("/directory", presence), ("/new-link", presence)]);
    assert_eq!(own(told(&image, &added, &new)), [""; 0]);
}

#[test]
#[cfg_attr(not(host_e2fsprogs), ignore = "could not check: the host has no mke2fs and debugfs")]
fn attributes_of_both_places_are_read() {
    let image = image(&["-b", "4096"]);
    let long = "v".repeat(300);
    let other =
        debugfs(&image, &["ea_set /text user.short value", &format!("ea_set /text user.long {long}")]);
    let filesystem = read(&other);
    let attributes = &filesystem.tree.entries[&b"/text"[..]].attributes;
    assert_eq!(attributes[&b"user.short"[..]], b"value");
    assert_eq!(attributes[&b"user.long"[..]], long.as_bytes());
    let attributes = Aspects { attributes: true, ..Aspects::default() };
    let found = told(&image, &other, &changed(&[("/text", attributes), ("/linked", attributes)]));
    assert!(found.iter().all(|told| told.starts_with("superblock: ")), "{found:?}");
}

#[test]
#[cfg_attr(not(host_e2fsprogs), ignore = "could not check: the host has no mke2fs and debugfs")]
fn a_free_block_and_the_journal_are_told_by_name() {
    let image = image(&["-b", "4096"]);
    let filesystem = read(&image);
    let places = filesystem.places();
    let mut seen = BTreeSet::new();
    for at in (0..image.len() as u64).step_by(4096) {
        let name = filesystem.describe(places.at(at + 2000).1);
        let mut other = image.clone();
        other[at as usize + 2000] ^= 1;
        let wanted = ["free space", "journal (inode 8)", "boot block"].iter().find(|wanted| **wanted == name);
        if wanted.is_some_and(|wanted| seen.insert(*wanted)) {
            assert_eq!(told(&image, &other, &Changed::default()), [name]);
        }
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
#[cfg_attr(not(host_e2fsprogs), ignore = "could not check: the host has no mke2fs and debugfs")]
fn nonsense_is_an_error_and_breaks_nothing() {
    assert!(Filesystem::read(Arc::new(Vec::new())).is_err());
    assert!(Filesystem::read(Arc::new(vec![0xff; 1 << 20])).is_err());
    let image = image(&["-b", "1024"]);
    // Each number of the superblock in turn is the largest there is.
    for at in (1024..2048).step_by(4) {
        let mut broken = image.clone();
        broken[at..at + 4].fill(0xff);
        let _ = Filesystem::read(Arc::new(broken));
    }
    assert!(Filesystem::read(Arc::new(image[..1 << 20].to_vec())).is_err(), "it is cut off");
}

#[test]
#[cfg_attr(not(host_e2fsprogs), ignore = "could not check: the host has no mke2fs and debugfs")]
fn a_file_that_lost_its_first_name_is_still_compared() {
    let image = image(&["-b", "4096"]);
    // The first name is gone, a directory has the inode, and the second name leads to another with the same content.
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), "one\ntwo\n").unwrap();
    let write = format!("write {} text", file.path().display());
    let commands = ["rm /linked", "rm /text", "mkdir /new", &write, "set_inode_field /text generation 77"];
    let other = debugfs(&image, &commands);
    let presence = Aspects { presence: true, ..Aspects::default() };
    let links = Aspects { links: true, ..Aspects::default() };
    let found =
        told(&image, &other, &changed(&[("/linked", presence), ("/new", presence), ("/text", links)]));
    assert!(found.iter().any(|told| told.ends_with(": generation")), "{found:?}");
}

#[test]
#[cfg_attr(not(host_e2fsprogs), ignore = "could not check: the host has no mke2fs and debugfs")]
fn content_in_an_inode_is_no_block_map() {
    let mut image = image(&["-b", "4096"]);
    let filesystem = read(&image);
    let number = filesystem.tree.entries[&b"/text"[..]].identity as u32;
    let place = filesystem.place_of_inode(number).unwrap() as usize;
    // The flag of inline_data; what is in place of the map is then content.
    image[place + 0x23] |= 0x10;
    let mut other = image.clone();
    other[place + 0x30] ^= 1;
    let presence = Aspects { presence: true, ..Aspects::default() };
    let found = told(&image, &other, &changed(&[("/elsewhere", presence)]));
    assert!(found.len() == 1 && found[0].ends_with(": block map"), "{found:?}");
}

#[test]
#[cfg_attr(not(host_e2fsprogs), ignore = "could not check: the host has no mke2fs and debugfs")]
fn a_descriptor_that_leads_nowhere_is_told() {
    let image = image(&["-b", "4096"]);
    let mut other = image.clone();
    // Place of the block bitmap, its upper half too, and the count of free blocks.
    for at in [0, 2, 0x20, 0x23, 0xc] {
        other[4096 + at] ^= 0x70;
    }
    let found = told(&image, &other, &Changed::default());
    assert!(found.iter().any(|told| told.ends_with(": place of the block bitmap")), "{found:?}");
}
