//! Archives written by the tar library, and what is told of their bytes.

use super::*;
use crate::diff::findings::Aspects;
use crate::diff::source::ReadAt;
use std::sync::Arc;

type Written<'a> = (&'a str, EntryType, &'a [u8], &'a str);

fn bytes(members: &[Written], change: impl Fn(&mut tar::Header)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, content, target) in members {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(42);
        header.set_mtime(7);
        header.set_size(content.len() as u64);
        header.as_ustar_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_ustar_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
        change(&mut header);
        header.set_cksum();
        builder.append_pax_extensions([("SCHILY.xattr.user.x", &b"y"[..])]).unwrap();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

const MEMBERS: [Written; 4] = [
    ("./", EntryType::Directory, b"", ""),
    ("./a", EntryType::Regular, b"content", ""),
    ("./b", EntryType::Link, b"", "./a"),
    ("./c", EntryType::Symlink, b"", "a"),
];

fn read(bytes: &[u8]) -> Archive {
    Archive::read(Arc::new(bytes.to_vec())).unwrap()
}

fn told(a: &[u8], b: &[u8], changed: &[&str]) -> Vec<String> {
    let paths = changed.iter().map(|path| (path.as_bytes().to_vec(), Aspects::default())).collect();
    let mut findings = Findings::default();
    compare(&read(a), &read(b), &Changed { paths }, &mut findings).unwrap();
    findings.told.into_iter().map(|finding| finding.place).collect()
}

#[test]
fn an_archive_is_a_tree() {
    let archive = read(&bytes(&MEMBERS, |_| ()));
    assert_eq!(archive.problems, [""; 0]);
    let entries = &archive.tree.entries;
    assert_eq!(entries.keys().map(Vec::as_slice).collect::<Vec<_>>(), [&b"/"[..], b"/a", b"/b", b"/c"]);
    let (a, b) = (&entries[&b"/a"[..]], &entries[&b"/b"[..]]);
    assert_eq!((a.identity, a.size, a.owner, a.mode), (b.identity, 7, Some((0, 42)), Some(0o644)));
    assert_eq!(a.attributes[&b"user.x"[..]], b"y");
    assert_eq!(entries[&b"/c"[..]].kind, Kind::Link(b"a".to_vec()));
    let Body::Stored(content) = &b.body else { panic!() };
    assert_eq!(content.bytes(0..7, 7).unwrap(), b"content");
}

#[test]
fn fields_that_are_no_property_are_told_by_member() {
    let a = bytes(&MEMBERS, |_| ());
    let named = bytes(&MEMBERS[..2], |header| {
        header.set_username("root").unwrap();
    });
    let first = bytes(&MEMBERS[..2], |_| ());
    assert_eq!(told(&first, &named, &[]), ["header of /: owner's name", "header of /a: owner's name"]);
    // The same number, written in another way.
    let spaced = bytes(&MEMBERS[..2], |header| header.as_mut_bytes()[100] = b' ');
    assert_eq!(told(&first, &spaced, &[]), ["header of /: mode", "header of /a: mode"]);
    assert_eq!(told(&first, &spaced, &["/", "/a"]), [""; 0]);
    let mut padded = a.clone();
    let content = a.windows(7).position(|window| window == b"content").unwrap();
    padded[content + 9] = 1;
    assert_eq!(told(&a, &padded, &[]), ["padding behind /a"]);
    let mut longer = a.clone();
    longer.extend([0; 512]);
    assert_eq!(told(&a, &longer, &[]), ["end of the archive"]);
}

#[test]
fn another_order_is_told_where_it_begins() {
    let swapped = [MEMBERS[0], MEMBERS[1], MEMBERS[3], MEMBERS[2]];
    let (a, b) = (bytes(&MEMBERS, |_| ()), bytes(&swapped, |_| ()));
    assert_eq!(told(&a, &b, &[]), ["order of members: /b in A, /c in B"]);
    let without = [MEMBERS[0], MEMBERS[1], MEMBERS[3]];
    assert_eq!(told(&a, &bytes(&without, |_| ()), &["/b"]), [""; 0]);
}

/// A file of five pieces between holes, of which the header has room for four, and another file behind it.
fn sparse(last: &[u8]) -> Vec<u8> {
    let mut pieces: Vec<(u64, Vec<u8>)> = (1..5).map(|number| (number * 2048, vec![7; 512])).collect();
    pieces.push((5 * 2048, last.to_vec()));
    let list = |listed: &mut tar::GnuSparseHeader, (offset, bytes): &(u64, Vec<u8>)| {
        listed.set_offset(*offset);
        listed.set_length(bytes.len() as u64);
    };
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_path("holes").unwrap();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(7);
    header.set_size(4 * 512 + last.len() as u64);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.sparse.iter_mut().zip(&pieces).for_each(|(listed, piece)| list(listed, piece));
    gnu.set_is_extended(true);
    gnu.set_real_size(5 * 2048 + last.len() as u64);
    header.set_cksum();
    let mut more = GnuExtSparseHeader::new();
    list(&mut more.sparse_mut()[0], &pieces[4]);
    let mut archive = [&header.as_bytes()[..], &more.as_bytes()[..]].concat();
    for (_, bytes) in &pieces {
        archive.extend(bytes);
    }
    archive.resize(archive.len().next_multiple_of(512), 0);
    archive.extend(bytes(&MEMBERS[1..2], |_| ()));
    archive
}

#[test]
fn a_file_that_is_stored_without_its_holes_has_its_content() {
    let archive = read(&sparse(b"last"));
    assert_eq!(archive.problems, [""; 0]);
    assert!(archive.tree.entries.contains_key(&b"/a"[..]));
    let entry = &archive.tree.entries[&b"/holes"[..]];
    let Body::Stored(content) = &entry.body else { panic!() };
    let mut wanted = vec![0; 5 * 2048];
    (1..5).for_each(|number| wanted[number * 2048..][..512].fill(7));
    wanted.extend(b"last");
    assert!(content.bytes(0..content.size(), 1 << 20).unwrap() == wanted);
    // Its difference is that of the file, and nothing of the next member is taken for its padding.
    let mut other = sparse(b"lost");
    let next = other.windows(7).position(|window| window == b"content").unwrap();
    other[next] = b'C';
    assert_eq!(told(&sparse(b"last"), &other, &["/holes", "/a"]), [""; 0]);
}

#[test]
fn what_is_no_file_is_compared_as_bytes() {
    let global = |comment: &[u8]| bytes(&[("global", EntryType::XGlobalHeader, comment, "")], |_| ());
    assert_eq!(told(&global(b"13 comment=a\n"), &global(b"13 comment=b\n"), &[]), ["content of /global"]);
    // Of two members with one name the tree has the second.
    let twice = |first: &[u8]| bytes(&[("./a", EntryType::Regular, first, ""), MEMBERS[1]], |_| ());
    assert_eq!(told(&twice(b"1"), &twice(b"2"), &[]), ["content of /a"]);
    let cut = |byte: u8| {
        let mut archive = bytes(&MEMBERS[1..2], |_| ());
        let content = archive.windows(7).position(|window| window == b"content").unwrap();
        archive[content + 1] = byte;
        archive.truncate(content + 3);
        archive
    };
    assert_eq!(told(&cut(b'1'), &cut(b'2'), &[]), ["content of /a"]);
}

#[test]
fn a_long_rest_that_cannot_be_read_is_one_difference() {
    let content = vec![1; 65 << 20];
    let long = [MEMBERS[0], ("./a", EntryType::Regular, &content[..], "")];
    let whole = bytes(&long, |_| ());
    let mut damaged = whole.clone();
    let second = whole.len() - 1024 - content.len() - 512;
    damaged[second + 150] ^= 1;
    assert_eq!(told(&whole, &damaged, &["/a"]), ["end of the archive"]);
}

#[test]
fn damage_is_told_and_what_was_read_stays() {
    let whole = bytes(&MEMBERS, |_| ());
    let second = whole.windows(7).position(|window| window == b"content").unwrap() - 512;
    let mut damaged = whole.clone();
    damaged[second + 150] ^= 1;
    let archive = read(&damaged);
    assert_eq!(archive.tree.entries.len(), 1);
    assert!(archive.problems[0].contains("damaged"), "{:?}", archive.problems);
    let cut = read(&whole[..second + 515]);
    let entry = cut.tree.entries.get(&b"/a"[..]);
    assert!(entry.is_none_or(|entry| matches!(entry.body, Body::Unreadable(_))));
    assert_eq!(absolute(b"./usr//bin/"), b"/usr/bin");
    assert_eq!(absolute(b"./"), b"/");
}
