//! `goldcast diff` on a real image and on copies of it that were changed in one known way: it names that and nothing
//! else. Changes within the root filesystem are made by debugfs from the tools tree.
#![allow(clippy::unwrap_used)]

mod support;

use goldcast::diff::{Options, Report, Verdict};
use goldcast::output::manifest::Partition;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;
use support::{Golden, cut, flip, goldcast, golden, said, scratch};
use tempfile::TempDir;

/// A copy of the golden raw image to be changed.
struct Copy {
    golden: Golden,
    directory: TempDir,
}

impl Copy {
    fn new() -> Self {
        let (golden, directory) = (golden(), scratch("diff"));
        let raw = golden.file("raw");
        cut(&raw, 0, raw.metadata().unwrap().len(), &directory.path().join("b.raw"));
        Self { golden, directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("b.raw")
    }

    fn partition(&self, name: &str) -> &Partition {
        self.golden.manifest.partitions.iter().find(|partition| partition.name == name).unwrap()
    }

    /// Runs commands of debugfs on the root filesystem; returns what it says.
    fn debugfs(&self, commands: &[&str]) -> String {
        let device = format!("b.raw?offset={}", self.partition("root").start);
        fs_err::write(self.directory.path().join("commands"), commands.join("\n") + "\n").unwrap();
        let argv = ["debugfs", "-w", "-f", "commands", &device];
        let said = self.golden.judge(self.directory.path(), &argv);
        assert!(!said.contains("File not found") && !said.contains("nvalid"), "{said}");
        said
    }

    /// Where the bytes of a file of the root filesystem begin on the disk.
    fn place(&self, path: &str) -> u64 {
        let said = self.debugfs(&[&format!("blocks {path}")]);
        let blocks = said.lines().rfind(|line| line.starts_with(|c: char| c.is_ascii_digit())).unwrap();
        let first: u64 = blocks.split(' ').next().unwrap().parse().unwrap();
        self.partition("root").start + first * 4096
    }

    /// A file of the host, by the name that debugfs sees it under.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        fs_err::write(self.directory.path().join(name), content).unwrap();
    }

    fn diff(&self, arguments: &[&str]) -> Output {
        diff(&self.golden.file("raw"), &self.path(), arguments)
    }

    /// The report as text, without its head, which names the files.
    fn told(&self, arguments: &[&str]) -> String {
        let output = self.diff(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let (summary, rest) = text.split_once("\n\n").unwrap();
        let rest = rest.split_once("\n\n").unwrap().1;
        format!("{summary}\n{rest}")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.diff(&["--json"]).stdout).unwrap()
    }

    fn report(&self) -> Report {
        goldcast::diff::images(&self.golden.file("raw"), &self.path(), &Options::default()).unwrap()
    }
}

fn diff(a: &Path, b: &Path, arguments: &[&str]) -> Output {
    goldcast().arg("diff").arg(a).arg(b).args(arguments).output().unwrap()
}

/// debugfs notes in the superblock when it wrote, and how much.
fn without_own_marks(text: &str) -> String {
    let marks = ["superblock: write time", "superblock: kilobytes written"];
    text.lines()
        .filter(|line| !marks.iter().any(|mark| line.ends_with(mark)))
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn every_format_of_one_image_is_the_same() {
    let golden = golden();
    let raw = golden.file("raw");
    let sum = golden.digest("raw");
    for ending in ["raw", "raw.zst", "raw.gz", "qcow2"] {
        let output = diff(&raw, &golden.file(ending), &[]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.starts_with(&format!("identical: sha256 {sum}")),
            "{ending}: {text}"
        );
    }
    let output = diff(&golden.out, &raw, &[]);
    assert!(output.status.success(), "a directory stands for its image: {}", said(&output));
    // The archive is made from the tree, the disk by mke2fs: that both are the same says that both are read well.
    for (a, b) in [("raw", "rootfs.tar.zst"), ("rootfs.tar.gz", "raw")] {
        let report = goldcast::diff::images(&golden.file(a), &golden.file(b), &Options::default()).unwrap();
        assert_eq!(report.verdict, Verdict::SameFiles, "{}", report.render());
        assert!(!report.identical() && !report.differs());
    }
    let output = diff(&golden.file("rootfs.tar.gz"), &golden.file("rootfs.tar.zst"), &[]);
    assert!(output.status.success() && said(&output).starts_with("identical: "), "{}", said(&output));
}

#[test]
fn a_file_compressed_anew_is_not_identical() {
    let golden = golden();
    let scratch = scratch("diff");
    let other = scratch.path().join("other.raw.zst");
    let mut raw = fs_err::File::open(golden.file("raw")).unwrap();
    zstd::stream::copy_encode(&mut raw, fs_err::File::create(&other).unwrap(), 1).unwrap();
    let output = diff(&golden.file("raw.zst"), &other, &[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("zstd stream; what it unpacks to is the same"), "{text}");
}

#[test]
fn flipped_bytes_are_named_by_their_place() {
    let copy = Copy::new();
    let (bios, esp, root) =
        (copy.partition("bios").start, copy.partition("esp").start, copy.partition("root"));
    let size = copy.path().metadata().unwrap().len();
    let backup_entries = size - 512 - 128 * 128;
    for (at, place) in [
        (7, "boot record: boot code"),
        (512 + 60, "partition table: disk GUID"),
        (1024 + 40, "partition table: entry 1"),
        (700_000, "gap before partition 1"),
        (bios + 1000, "partition 1: boot loader image for BIOS"),
        (esp + 3, "partition 2: boot sector: name of the maker"),
        (root.start + 100, "partition 3: boot block"),
        (root.start + 1024 + 0x3fc, "partition 3: superblock: checksum"),
        (root.start + 1024 + 0xec, "partition 3: superblock: directory hash seed"),
        (root.start + 4096 + 0x1e, "partition 3: descriptor of group 0: checksum"),
        (root.start + root.size + 5000, "gap behind the last partition"),
        (backup_entries + 256, "backup of the partition table: entry 3"),
        (size - 512 + 30, "backup of the partition table: its own place"),
    ] {
        flip(&copy.path(), at);
        let report = copy.report();
        let told: Vec<_> = report.bytes.iter().map(|range| (range.start, range.end, range.count)).collect();
        assert_eq!(told, [(at, at + 1, 1)], "{place}: {}", report.render());
        assert!(
            report.render().contains(&format!("bytes {at}..{}  {place}\n", at + 1)),
            "{}",
            report.render()
        );
        assert!(report.files.is_empty() && report.partitions.is_empty() && report.packages.is_empty());
        assert!(report.differs() && !report.identical());
        flip(&copy.path(), at);
    }
    assert!(copy.report().identical());
}

#[test]
fn a_flipped_label_is_named_with_the_filesystem() {
    let copy = Copy::new();
    flip(&copy.path(), copy.partition("root").start + 1024 + 0x78);
    let text = String::from_utf8(copy.diff(&[]).stdout).unwrap();
    assert!(text.contains("changed  3 root\n           filesystem label root \u{2192} 'oot\n"), "{text}");
    assert!(text.starts_with("1 partition differs\n"), "{text}");
    assert!(text.contains("note: B: partition 3 (root): the filesystem is damaged"), "{text}");
}

#[test]
fn flipped_bytes_of_contents_are_named_by_their_file() {
    let copy = Copy::new();
    let place = copy.place("/usr/bin/bash") + 4096 * 3 + 17;
    flip(&copy.path(), place);
    let report = copy.report();
    assert_eq!(
        (report.files.len(), report.bytes.len(), report.explained_bytes),
        (1, 0, 1),
        "{}",
        report.render()
    );
    let text = copy.told(&[]);
    assert!(text.contains("  changed  /usr/bin/bash  [bash]\n"), "{text}");
    assert!(text.contains(&format!("first difference at byte {}\n", 4096 * 3 + 17)), "{text}");
    flip(&copy.path(), place);

    let place = copy.place("/etc/debian_version");
    flip(&copy.path(), place);
    let text = copy.told(&[]);
    assert!(text.contains("--- a/etc/debian_version\n+++ b/etc/debian_version\n@@ -1 +1 @@\n-13"), "{text}");
    assert!(!copy.told(&["--stat"]).contains("@@"));
    flip(&copy.path(), place);

    // The byte behind the end of a short file, in its block.
    flip(&copy.path(), place + 4000);
    let text = copy.told(&[]);
    assert!(
        text.starts_with("1 byte range differs\n") && text.contains("behind the end of inode "),
        "{text}"
    );
    assert!(text.contains("= /etc/debian_version"), "{text}");
}

#[test]
fn a_flipped_byte_in_the_esp_is_named() {
    let copy = Copy::new();
    let esp = copy.partition("esp");
    let bytes = {
        let part = copy.directory.path().join("esp");
        cut(&copy.path(), esp.start, esp.size, &part);
        fs_err::read(part).unwrap()
    };
    let find = |wanted: &[u8]| {
        esp.start + bytes.windows(wanted.len()).position(|found| found == wanted).unwrap() as u64
    };
    flip(&copy.path(), find(b"configfile $prefix"));
    let text = copy.told(&[]);
    assert!(
        text.contains("  changed  esp:/EFI/debian/grub.cfg\n") && text.starts_with("1 file differs\n"),
        "{text}"
    );
    assert!(text.contains("-configfile $prefix/grub.cfg\n+6onfigfile $prefix/grub.cfg\n"), "{text}");
    flip(&copy.path(), find(b"configfile $prefix"));
    // Creation time in the record of grub.cfg, which lies behind its name.
    flip(&copy.path(), find(b"GRUB    CFG") + 14);
    let text = copy.told(&[]);
    assert!(text.contains("record of /EFI/debian/grub.cfg: creation time\n"), "{text}");
    assert!(text.starts_with("1 byte range differs\n"), "{text}");
}

#[test]
fn properties_are_named_with_their_old_and_new_values() {
    let copy = Copy::new();
    copy.file("capability", [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    copy.debugfs(&[
        "set_inode_field /etc/hostname mode 0100600",
        "set_inode_field /etc/shadow gid 0",
        "set_inode_field /etc/fstab mtime 20200101",
        "set_inode_field /etc/issue crtime 20200101",
        "ea_set -f capability /usr/bin/bash security.capability",
        "ea_rm /usr/bin/mtr-packet security.capability",
    ]);
    let text = without_own_marks(&copy.told(&[]));
    let (files, bytes) = text.split_once("\nbytes that nothing above explains\n").unwrap();
    let wanted = "files
  changed  /etc/fstab
           modification time EPOCH \u{2192} 2020-01-01T00:00:00Z
  changed  /etc/hostname
           mode 0644 \u{2192} 0600
  changed  /etc/shadow
           owner 0:42 (root:shadow) \u{2192} 0:0 (root:root)
  changed  /usr/bin/bash  [bash]
           attribute security.capability none \u{2192} cap_net_raw=ep
  changed  /usr/bin/mtr-packet  [mtr-tiny]
           attribute security.capability cap_net_raw=ep \u{2192} none
";
    let epoch = files.lines().find_map(|line| line.trim().strip_prefix("modification time ")).unwrap();
    let wanted = wanted.replace("EPOCH", epoch.split(' ').next().unwrap());
    assert_eq!(files.split_once('\n').unwrap().1, wanted);
    assert!(bytes.lines().count() == 1 && bytes.contains("= /etc/issue: creation time"), "{bytes}");
}

#[test]
fn files_come_and_go_by_name() {
    let copy = Copy::new();
    copy.file("text", "one line\n");
    copy.debugfs(&[
        "rm /etc/motd",
        "mkdir /etc/new",
        "write text /etc/new/file",
        "symlink /etc/link hostname",
        "cd /dev",
        "mknod null2 c 1 3",
        "cd /",
        "ln /etc/hosts /etc/hosts2",
    ]);
    let report = copy.report();
    let told: Vec<_> = report
        .files
        .iter()
        .map(|file| {
            let word = serde_json::to_value(file.change).unwrap();
            format!("{} {}", word.as_str().unwrap(), file.path)
        })
        .collect();
    let wanted = [
        "added /dev/null2",
        "changed /etc/hosts",
        "added /etc/hosts2",
        "added /etc/link",
        "removed /etc/motd",
        "added /etc/new",
        "added /etc/new/file",
    ];
    assert_eq!(told, wanted, "{}", report.render());
    let text = without_own_marks(&report.render());
    assert!(text.contains("           other names none \u{2192} /etc/hosts2\n"), "{text}");
    assert!(text.contains("  added    /etc/link  symbolic link to hostname"), "{text}");
    assert!(text.contains("  added    /dev/null2  character device 1:3"), "{text}");
    assert!(text.contains("  added    /etc/new/file  file 0644 0:0 (root:root) 9 bytes\n"), "{text}");
    // What became of blocks, inodes, bitmaps and counts follows from that.
    let bytes: Vec<_> = text.lines().filter(|line| line.starts_with("  bytes ")).collect();
    assert_eq!(bytes, [""; 0], "{text}");
}

#[test]
fn packages_are_compared_by_version() {
    let copy = Copy::new();
    copy.debugfs(&["dump /var/lib/dpkg/status status"]);
    let status = fs_err::read_to_string(copy.directory.path().join("status")).unwrap();
    let mut records: Vec<String> = status.split("\n\n").map(str::to_owned).collect();
    let position = |records: &[String], name: &str| {
        records.iter().position(|record| record.starts_with(&format!("Package: {name}\n"))).unwrap()
    };
    records.remove(position(&records, "mtr-tiny"));
    let bash = position(&records, "bash");
    let version = records[bash].lines().find_map(|line| line.strip_prefix("Version: ")).unwrap().to_owned();
    records[bash] =
        records[bash].replace(&format!("Version: {version}"), &format!("Version: {version}+new1"));
    copy.file("status2", records.join("\n\n"));
    copy.debugfs(&["rm /var/lib/dpkg/status", "write status2 /var/lib/dpkg/status"]);
    let text = copy.told(&["--stat"]);
    assert!(text.starts_with("2 packages, 1 file, "), "{text}");
    assert!(
        text.contains(&format!("  upgraded   bash {version} \u{2192} {version}+new1 (amd64)\n")),
        "{text}"
    );
    assert!(text.contains("  removed    mtr-tiny "), "{text}");
    let json = copy.json();
    assert_eq!(
        (&json["packages"][0]["name"], &json["packages"][0]["change"]),
        (&"bash".into(), &"upgraded".into())
    );
}

#[test]
fn members_of_the_initramfs_are_named() {
    let copy = Copy::new();
    let names = copy.golden.manifest.files.keys().filter_map(|path| path.strip_prefix("/boot/"));
    let file = names.into_iter().find(|name| name.starts_with("initrd.img-")).unwrap();
    copy.debugfs(&[&format!("dump /boot/{file} initrd")]);
    let mut initrd = fs_err::read(copy.directory.path().join("initrd")).unwrap();
    // One more archive behind what is there, as the kernel allows.
    initrd.resize(initrd.len().next_multiple_of(4), 0);
    for (name, content) in [("extra/file", "content\n"), ("TRAILER!!!", "")] {
        let numbers = [1, 0o100_644, 0, 0, 1, 0, content.len(), 0, 0, 0, 0, name.len() + 1, 0];
        let digits: String = numbers.iter().map(|number| format!("{number:08x}")).collect();
        initrd.extend(format!("070701{digits}{name}\0").bytes());
        initrd.resize(initrd.len().next_multiple_of(4), 0);
        initrd.extend(content.bytes());
        initrd.resize(initrd.len().next_multiple_of(4), 0);
    }
    copy.file("initrd2", &initrd);
    copy.debugfs(&[&format!("rm /boot/{file}"), &format!("write initrd2 /boot/{file}")]);
    let json = copy.json();
    let change = json["files"]
        .as_array()
        .unwrap()
        .iter()
        .find(|change| change["path"] == format!("/boot/{file}"))
        .unwrap();
    let inside = &change["content"]["inside"];
    assert_eq!((&inside["format"], &inside["note"]), (&"cpio".into(), &Value::Null), "{inside}");
    assert_eq!(inside["members"].as_array().unwrap().len(), 1, "{inside}");
    assert_eq!(
        (&inside["members"][0]["name"], &inside["members"][0]["change"]),
        (&"extra/file".into(), &"added".into())
    );
}

#[test]
fn only_narrows_and_says_so() {
    let copy = Copy::new();
    copy.debugfs(&["set_inode_field /etc/hostname mode 0100600"]);
    let output = copy.diff(&["--only", "/usr/bin", "--only", "esp:/EFI"]);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(
        text.starts_with("no difference below /usr/bin, esp:/EFI (") && text.contains("differ elsewhere"),
        "{text}"
    );
    let output = copy.diff(&["--only", "/etc/hostname"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).starts_with("1 file differs below /etc/hostname\n"), "{}", said(&output));
    for wrong in ["/etcc", "etc"] {
        let output = copy.diff(&["--only", wrong]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("hint: paths begin with"), "{}", said(&output));
    }
}

#[test]
fn the_json_is_what_its_schema_says() {
    let copy = Copy::new();
    copy.file("text", "x\n");
    copy.debugfs(&["rm /etc/hostname", "write text /etc/hostname"]);
    let json = copy.json();
    let schema: Value =
        serde_json::from_slice(&goldcast().args(["schema", "diff"]).output().unwrap().stdout).unwrap();
    conforms(&json, &schema, &schema);
    assert_eq!((&json["version"], &json["verdict"]), (&1.into(), &"different".into()));
    assert_eq!(json["files"][0]["content"]["as"], "text");
    // Twice the same words.
    assert_eq!(json, copy.json());
}

/// Checks the part of JSON Schema that schemas of Rust types use.
#[track_caller]
fn conforms(value: &Value, schema: &Value, whole: &Value) {
    if let Some(reference) = schema["$ref"].as_str() {
        return conforms(value, whole.pointer(reference.trim_start_matches('#')).unwrap(), whole);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let Some(choice) = choices.iter().find(|choice| (choice["type"] == "null") == value.is_null()) else {
            panic!("{value} is none of {schema}")
        };
        return conforms(value, choice, whole);
    }
    if let Value::Object(fields) = value {
        let choices = schema["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
        let tagged = choices.iter().find(|choice| choice["properties"]["as"]["const"] == value["as"]);
        let properties = tagged.unwrap_or(schema)["properties"].as_object();
        for (name, field) in fields {
            let Some(schema) = properties.and_then(|properties| properties.get(name)) else {
                panic!("{name} is not in {schema}")
            };
            conforms(field, schema, whole);
        }
        for required in tagged.unwrap_or(schema)["required"].as_array().into_iter().flatten() {
            assert!(fields.contains_key(required.as_str().unwrap()), "{required} is missing in {value}");
        }
    }
    for item in value.as_array().into_iter().flatten() {
        conforms(item, &schema["items"], whole);
    }
}

#[test]
fn trouble_is_told_apart_from_difference() {
    let golden = golden();
    let scratch = scratch("diff");
    let text = scratch.path().join("notes.txt");
    fs_err::write(&text, "hello").unwrap();
    for (b, words) in [
        (text.as_path(), "expected is a disk with a GUID partition table"),
        (scratch.path(), "there is no image in"),
        (Path::new("/nowhere/x.raw"), "/nowhere/x.raw"),
    ] {
        let output = diff(&golden.file("raw"), b, &[]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
        assert!(output.stdout.is_empty());
    }
    // Half of a compressed image.
    let half = scratch.path().join("half.raw.zst");
    let whole = golden.file("raw.zst");
    cut(&whole, 0, whole.metadata().unwrap().len() / 2, &half);
    let output = diff(&golden.file("raw"), &half, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("unpacking"), "{}", said(&output));
}

/// Bytes all over the disk, in an order that is the same in every run: none is overlooked.
#[test]
fn no_flipped_byte_is_overlooked() {
    let copy = Copy::new();
    let size = copy.path().metadata().unwrap().len();
    let mut state = 20_251_124u64;
    for round in 0..40 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Every other one near the start of the root filesystem, where its own structures are.
        let at = match round % 2 {
            0 => (state >> 20) % size,
            _ => copy.partition("root").start + (state >> 20) % (24 << 20),
        };
        flip(&copy.path(), at);
        let report = copy.report();
        assert!(report.differs() && !report.identical(), "byte {at}");
        let told = report.bytes.iter().any(|range| (range.start..range.end).contains(&at));
        let elsewhere = report.files.len() + report.partitions.len();
        assert!(told || elsewhere > 0, "byte {at}: {}", report.render());
        flip(&copy.path(), at);
    }
}
