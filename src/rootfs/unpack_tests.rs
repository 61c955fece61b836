//! Packages made for the occasion, many of them hostile.

use super::*;
use crate::rootfs::{deb, packages};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// One entry of a data archive: path, kind, mode, and content or link target.
type Entry<'a> = (&'a str, EntryType, u32, &'a str);

/// Writes a .deb. Paths are put into the headers as they are, however wrong.
fn deb(directory: &Path, fields: &str, entries: &[Entry]) -> PathBuf {
    let mut control = tar::Builder::new(Vec::new());
    add(&mut control, &("./control", EntryType::Regular, 0o644, &format!("{fields}Architecture: all\n")));
    let mut data = tar::Builder::new(Vec::new());
    entries.iter().for_each(|entry| add(&mut data, entry));
    let path = directory.join(format!("{}.deb", hex::encode(Md5::digest(format!("{fields}{entries:?}")))));
    let mut archive = ar::Builder::new(fs_err::File::create(&path).unwrap());
    let packed = zstd::encode_all(&data.into_inner().unwrap()[..], 1).unwrap();
    for (name, bytes) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", control.into_inner().unwrap()),
        ("data.tar.zst", packed),
    ] {
        let header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
        archive.append(&header, &bytes[..]).unwrap();
    }
    path
}

fn add(archive: &mut tar::Builder<Vec<u8>>, (path, kind, mode, content): &Entry) {
    let mut header = tar::Header::new_gnu();
    let name = &mut header.as_old_mut().name;
    name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(*kind);
    header.set_mode(*mode);
    header.set_mtime(1_000_000);
    header.set_uid(0);
    header.set_gid(0);
    let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
    if is_link {
        header.set_link_name_literal(content).unwrap();
        header.set_size(0);
    } else {
        header.set_size(content.len() as u64);
    }
    header.set_cksum();
    archive.append(&header, if is_link { &b""[..] } else { content.as_bytes() }).unwrap();
}

/// Unpacks packages into a new tree; the ranks are their places, in whatever order `order` names them.
fn unpack(
    order: &[usize],
    packages: &[(&str, &[Entry])],
) -> (tempfile::TempDir, Result<BTreeMap<usize, Unpacked>>) {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("tree");
    fs_err::create_dir(&tree).unwrap();
    packages::merge_usr(&tree).unwrap();
    let debs: Vec<PathBuf> =
        packages.iter().map(|(fields, entries)| deb(scratch.path(), fields, entries)).collect();
    let read = packages::read(&debs, None).unwrap();
    let claims = Claims::default();
    let result = Unpacker::new(&tree, &read, &claims).unwrap().owners(Owners::Mine).unpack(order, &|_| {});
    (scratch, result)
}

fn refused(entries: &[Entry]) -> String {
    let (scratch, result) = unpack(&[0], &[("Package: evil\nVersion: 1\n", entries)]);
    assert!(!scratch.path().join("escaped").exists());
    result.unwrap_err().to_string()
}

#[test]
fn paths_out_of_the_tree_are_refused() {
    assert!(refused(&[("/etc/passwd", EntryType::Regular, 0o644, "x")]).contains("leads out of the tree"));
    assert!(refused(&[("../escaped", EntryType::Regular, 0o644, "x")]).contains("leads out of the tree"));
    assert!(
        refused(&[("./usr/../../escaped", EntryType::Regular, 0o644, "x")]).contains("leads out of the tree")
    );
}

#[test]
fn links_do_not_lead_out_of_the_tree() {
    // A link to the outside, then a file through it: the link is followed inside the tree.
    let (scratch, result) = unpack(
        &[0],
        &[(
            "Package: evil\nVersion: 1\n",
            &[
                ("./usr/out", EntryType::Symlink, 0o777, "../../.."),
                ("./usr/out/escaped", EntryType::Regular, 0o644, "x"),
            ],
        )],
    );
    result.unwrap();
    assert!(!scratch.path().join("escaped").exists());
    assert!(scratch.path().join("tree/escaped").exists());
    let hard = refused(&[("./usr/passwd", EntryType::Link, 0o644, "../../etc/passwd")]);
    assert!(hard.contains("leads out of the tree"), "{hard}");
    let absolute = refused(&[("./usr/passwd", EntryType::Link, 0o644, "/etc/passwd")]);
    assert!(absolute.contains("leads out of the tree"), "{absolute}");
}

#[test]
fn devices_are_refused() {
    let said = refused(&[("./dev/sda", EntryType::Block, 0o600, "")]);
    assert!(said.contains("may not ship devices"), "{said}");
    assert!(refused(&[("./dev/kmem", EntryType::Char, 0o600, "")]).contains("may not ship devices"));
}

#[test]
fn a_damaged_archive_is_an_error_and_names_the_package() {
    let scratch = tempfile::tempdir().unwrap();
    let good =
        deb(scratch.path(), "Package: ok\nVersion: 1\n", &[("./a", EntryType::Regular, 0o644, "text")]);
    let bytes = fs_err::read(&good).unwrap();
    for length in [0, 7, 60, 200, bytes.len() - 20] {
        let cut = scratch.path().join("cut.deb");
        fs_err::write(&cut, &bytes[..length]).unwrap();
        let result = deb::control(&cut).and_then(|_| {
            deb::data(&cut, |stream| Ok(std::io::copy(stream, &mut std::io::sink()).map(drop)?))
        });
        let said = result.expect_err("a cut package").to_string();
        assert!(said.contains("cut.deb"), "{length}: {said}");
    }
}

#[test]
fn what_two_packages_ship_goes_by_rank_and_replaces_not_by_time() {
    let first: (&str, &[Entry]) = (
        "Package: old\nVersion: 1\n",
        &[("./etc/", EntryType::Directory, 0o750, ""), ("./etc/shared", EntryType::Regular, 0o644, "old")],
    );
    let second: (&str, &[Entry]) = (
        "Package: new\nVersion: 2\nReplaces: old (<< 2)\n",
        &[("./etc/", EntryType::Directory, 0o755, ""), ("./etc/shared", EntryType::Regular, 0o600, "new")],
    );
    for order in [[0, 1], [1, 0]] {
        let (scratch, result) = unpack(&order, &[first, second]);
        let unpacked = result.unwrap();
        let tree = scratch.path().join("tree");
        assert_eq!(fs_err::read_to_string(tree.join("etc/shared")).unwrap(), "new");
        assert_eq!(fs_err::metadata(tree.join("etc/shared")).unwrap().permissions().mode() & 0o777, 0o600);
        // The lower rank decides what a directory is.
        assert_eq!(fs_err::metadata(tree.join("etc")).unwrap().permissions().mode() & 0o777, 0o750);
        assert_eq!(fs_err::metadata(tree.join("etc")).unwrap().mtime(), 1_000_000);
        assert_eq!(unpacked[&0].paths, ["/etc"]);
        assert_eq!(unpacked[&1].paths, ["/etc", "/etc/shared"]);
    }
    let (_scratch, result) = unpack(&[0, 1], &[first, ("Package: rude\nVersion: 1\n", second.1)]);
    let said = result.unwrap_err().to_string();
    assert!(said.contains("old") && said.contains("rude") && said.contains("/etc/shared"), "{said}");
}

#[test]
fn packages_that_race_for_many_paths_end_as_their_ranks_say() {
    let names: Vec<String> = (0..400).map(|number| format!("./etc/{number}")).collect();
    let linked: Vec<String> = (0..400).map(|number| format!("./etc/link{number}")).collect();
    let files = |text: &'static str| -> Vec<Entry> {
        names.iter().map(|name| (name.as_str(), EntryType::Regular, 0o644, text)).collect()
    };
    let mut old = files("old");
    old.extend(
        linked.iter().zip(&names).map(|(link, name)| (link.as_str(), EntryType::Link, 0o644, name.as_str())),
    );
    let new = files("new");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    for order in [[0, 1], [1, 0]] {
        let (scratch, result) = pool.install(|| {
            unpack(
                &order,
                &[("Package: old\nVersion: 1\n", &old), ("Package: new\nVersion: 2\nReplaces: old\n", &new)],
            )
        });
        result.unwrap();
        for name in names.iter().chain(&linked) {
            let path = scratch.path().join("tree").join(name);
            assert_eq!(fs_err::read_to_string(&path).unwrap(), "new", "{name}");
            assert_eq!(fs_err::metadata(&path).unwrap().nlink(), 2, "{name}");
        }
    }
}

#[test]
fn the_links_of_merged_usr_are_one_place() {
    let (scratch, result) = unpack(
        &[0],
        &[(
            "Package: split\nVersion: 1\n",
            &[
                ("./lib/", EntryType::Directory, 0o755, ""),
                ("./lib/x.so.1", EntryType::Regular, 0o644, "x"),
                ("./lib/x.so", EntryType::Symlink, 0o777, "x.so.1"),
                ("./lib/y.so", EntryType::Link, 0o644, "./lib/x.so.1"),
            ],
        )],
    );
    let unpacked = result.unwrap();
    let library = scratch.path().join("tree/usr/lib");
    assert_eq!(fs_err::read_to_string(library.join("x.so")).unwrap(), "x");
    assert_eq!(fs_err::metadata(library.join("y.so")).unwrap().nlink(), 2);
    assert!(fs_err::symlink_metadata(scratch.path().join("tree/lib")).unwrap().is_symlink());
    // dpkg's list keeps the names that the package uses, and sums are made for a package that ships none.
    assert_eq!(unpacked[&0].paths, ["/lib", "/lib/x.so.1", "/lib/x.so", "/lib/y.so"]);
    assert_eq!(unpacked[&0].digests[Path::new("lib/x.so.1")], hex::encode(Md5::digest("x")));
}
