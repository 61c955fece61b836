//! The text of a report that has everything.

use super::super::image::{Container, Kind};
use super::super::report::{Digest, MemberChange, VERSION, Verdict};
use super::super::summary;
use super::*;

fn report() -> Report {
    let side = |path: &str, container| Side { path: path.into(), kind: Kind::Disk, container, size: 3 << 20 };
    Report {
        version: VERSION,
        a: side("a.raw", Container::Plain),
        b: side("b.raw.zst", Container::Zstandard),
        verdict: Verdict::Different,
        summary: String::new(),
        sha256: None,
        only: Vec::new(),
        notes: vec!["A: the partition table is damaged".into()],
        partitions: Vec::new(),
        packages: Vec::new(),
        files: Vec::new(),
        bytes: Vec::new(),
        explained_bytes: 0,
    }
}

fn file(path: &str, change: What) -> FileChange {
    let properties = Properties {
        kind: "file".into(),
        mode: Some("0644".into()),
        owner: Some("0:42 (root:shadow)".into()),
        size: 1234,
        target: None,
    };
    FileChange {
        filesystem: ROOT.into(),
        path: path.into(),
        change,
        package: Some("pkg".into()),
        a: (change != What::Added).then(|| properties.clone()),
        b: (change != What::Removed).then_some(properties),
        changes: Vec::new(),
        content: None,
    }
}

#[test]
fn every_section_has_its_form() {
    let mut report = report();
    report.partitions.push(PartitionChange {
        number: 3,
        name: "root".into(),
        change: What::Changed,
        changes: vec![Change::new("size", "1 byte", "2 bytes")],
    });
    report.packages.push(PackageChange {
        name: "less".into(),
        architecture: "amd64".into(),
        change: PackageWhat::Upgraded,
        a: Some("1".into()),
        b: Some("2".into()),
        changes: Vec::new(),
    });
    let mut text = file("/etc/x", What::Changed);
    text.changes =
        vec![Change::new("mode", "0644", "0600"), Change { what: "content".into(), a: None, b: None }];
    text.content =
        Some(ContentChange::Text { diff: "--- a/etc/x\n+++ b/etc/x\n-a\n+\u{1b}[31mb\r\n".into() });
    let mut binary = file("/EFI/x", What::Changed);
    binary.filesystem = "esp".into();
    let digest = |size| Digest { size, sha256: "00".into() };
    let member = MemberChange {
        name: "init".into(),
        change: What::Changed,
        changes: vec![Change::new("size", "1", "2")],
    };
    let inside = Inside { format: "cpio".into(), first_difference: None, members: vec![member], note: None };
    binary.content =
        Some(ContentChange::Binary { a: digest(1), b: digest(2), first_difference: 7, inside: Some(inside) });
    report.files = vec![binary, text, file("/gone", What::Removed), file("/new", What::Added)];
    report.bytes.push(ByteRange {
        start: 10,
        end: 20,
        start_b: Some(30),
        count: 4,
        partition: Some(3),
        place: "superblock: label".into(),
    });
    let report = summary::finish(report, 0);
    insta::assert_snapshot!(report.render(), @r"
    1 package, 4 files, 1 partition, 1 byte range differ

      A  a.raw  (disk, 3.0 MiB)
      B  b.raw.zst  (disk, zstd, 3.0 MiB)
      note: A: the partition table is damaged

    partitions
      changed  3 root
               size 1 byte → 2 bytes

    packages
      upgraded   less 1 → 2 (amd64)

    files
      changed  esp:/EFI/x  [pkg]
               A 1 bytes, sha256 00
               B 2 bytes, sha256 00
               first difference at byte 7
               cpio: 1 member differs
                 changed  init
                          size 1 → 2
      changed  /etc/x  [pkg]
               mode 0644 → 0600
    --- a/etc/x
    +++ b/etc/x
    -a
    +\x1b[31mb\x0d
      removed  /gone  file 0644 0:42 (root:shadow) 1,234 bytes  [pkg]
      added    /new  file 0644 0:42 (root:shadow) 1,234 bytes  [pkg]

    bytes that nothing above explains
      bytes 10..20, 4 of them (in B from 30)  partition 3: superblock: label
    ");
}

#[test]
fn a_whole_directory_is_one_line_when_it_holds_much() {
    let mut report = report();
    report.files = vec![file("/a", What::Added)];
    report.files.extend((0..30).map(|number| file(&format!("/a/{number:02}"), What::Added)));
    report.files.push(file("/a-b", What::Added));
    let report = summary::finish(report, 0);
    let text = report.render();
    assert!(
        text.contains(
            "added    /a  file 0644 0:42 (root:shadow) 1,234 bytes  [pkg]  and 30 paths below it\n"
        ),
        "{text}"
    );
    assert!(!text.contains("/a/00") && text.contains("/a-b"), "{text}");
}

#[test]
fn verdicts_are_never_mistaken_for_identity() {
    let same = |only: &[&str]| {
        let only = only.iter().map(|path| (*path).to_owned()).collect();
        summary::finish(Report { only, ..report() }, 5)
    };
    let files = same(&[]);
    assert!(!files.identical() && !files.differs() && files.summary.starts_with("the same files (5 paths)"));
    let there = same(&["/etc"]);
    assert!(!there.identical() && !there.differs());
    assert_eq!(there.summary, "no difference below /etc (5 paths); the images differ elsewhere");
    let mut mixed = Report { only: vec!["/etc".into()], ..report() };
    mixed.b.kind = Kind::Archive;
    let summary = summary::finish(mixed, 5).summary;
    assert_eq!(summary, "no difference below /etc (5 paths); the rest was not compared");
    let mut identical = report();
    (identical.verdict, identical.sha256) = (Verdict::Identical, Some("ab".into()));
    assert_eq!(
        summary::finish(identical, 0).summary,
        "identical: sha256 ab (of the disk; it is stored in two ways)"
    );
    let mut one = report();
    one.files.push(file("/a", What::Added));
    assert_eq!(summary::finish(one, 0).summary, "1 file differs");
}
