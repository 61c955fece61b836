//! What others' tools say about goldcast's outputs: nothing to complain. Each is also shown a damaged copy, so
//! that its silence means something.
#![allow(clippy::unwrap_used)]

mod support;

use goldcast::disk::formats::qcow2::Reader;
use goldcast::output::manifest::{Manifest, Partition};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;
use support::{Golden, cut, flip, goldcast, golden, raw_only, said, scratch, sha256};

/// The partition that holds this filesystem.
fn partition<'a>(golden: &'a Golden, filesystem: &str) -> &'a Partition {
    let holds = |partition: &&Partition| partition.filesystem.as_deref() == Some(filesystem);
    golden.manifest.partitions.iter().find(holds).unwrap()
}

/// Asserts that a judge does not accept what was damaged, and says so in these words.
fn refused(golden: &Golden, directory: &Path, argv: &[&str], words: &str) {
    let output = golden.tool(directory, argv);
    let said = said(&output);
    assert!(said.contains(words), "{argv:?} on a damaged file does not say {words:?} but:\n{said}");
}

#[test]
fn sgdisk_finds_no_problem_in_the_partition_table() {
    let golden = golden();
    let found = golden.judge(&golden.out, &["sgdisk", "-v", "golden.raw"]);
    assert!(found.contains("No problems found"), "{found}");
    assert!(!found.to_lowercase().contains("warning"), "{found}");

    // The table lies at both ends; a copy of these is enough to damage.
    let scratch = scratch("gpt");
    let raw = golden.file("raw");
    let size = raw.metadata().unwrap().len();
    let copy = scratch.path().join("table.raw");
    cut(&raw, 0, 1 << 20, &copy);
    let end = scratch.path().join("end");
    cut(&raw, size - (1 << 20), 1 << 20, &end);
    let file = fs_err::OpenOptions::new().write(true).open(&copy).unwrap();
    std::os::unix::fs::FileExt::write_all_at(file.file(), &fs_err::read(&end).unwrap(), size - (1 << 20))
        .unwrap();
    let found = golden.judge(scratch.path(), &["sgdisk", "-v", "table.raw"]);
    assert!(found.contains("No problems found"), "{found}");
    // The first entry of the table, in the third sector.
    flip(&copy, 2 * 512 + 40);
    refused(&golden, scratch.path(), &["sgdisk", "-v", "table.raw"], "corrupt");
}

#[test]
fn e2fsck_finds_a_clean_root_filesystem() {
    let golden = golden();
    let scratch = scratch("ext4");
    let root = partition(&golden, "ext4");
    let copy = scratch.path().join("root.ext4");
    cut(&golden.file("raw"), root.start, root.size, &copy);
    let found = golden.judge(scratch.path(), &["fsck.ext4", "-fn", "root.ext4"]);
    assert!(found.contains("Pass 5") && !found.contains("Fix"), "{found}");
    // The label, which the superblock's checksum covers.
    flip(&copy, 1024 + 0x78);
    refused(&golden, scratch.path(), &["fsck.ext4", "-fn", "root.ext4"], "checksum does not match");
}

#[test]
fn a_disk_with_partitions_of_the_recipe_is_as_sound() {
    let golden = golden();
    let scratch = scratch("partitions");
    let at = |name: &str| scratch.path().join(name);
    let partitions =
        [("/var", 512), ("/var/log", 64), ("/var/log/audit", 64), ("/var/tmp", 128), ("/home", 64)];
    let tables: String = partitions
        .iter()
        .map(|(mount, size)| format!("[[partition]]\nmount = \"{mount}\"\nsize = \"{size} MiB\"\n"))
        .collect();
    fs_err::write(at("golden.toml"), raw_only(&golden) + &tables).unwrap();
    fs_err::copy(golden.recipe.with_extension("lock"), at("golden.lock")).unwrap();
    let build = |out: &str| {
        let mut build = goldcast();
        build
            .arg("build")
            .arg(at("golden.toml"))
            .arg("--out")
            .arg(at(out))
            .arg("--no-verify")
            .assert()
            .success();
        at(out).join("golden.raw")
    };
    let raw = build("out");
    assert_eq!(sha256(&raw), sha256(&build("again")));
    let found = golden.judge(&at("out"), &["sgdisk", "-v", "golden.raw"]);
    assert!(found.contains("No problems found") && !found.to_lowercase().contains("warning"), "{found}");

    let manifest = fs_err::read(at("out").join("golden.manifest.json")).unwrap();
    let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
    let ext4: Vec<&Partition> =
        manifest.partitions.iter().filter(|part| part.filesystem.as_deref() == Some("ext4")).collect();
    assert_eq!(ext4.len(), 1 + partitions.len());
    let root = ext4.iter().find(|part| part.number == 3).unwrap();
    assert!(ext4.iter().all(|part| part.start <= root.start), "the root is not the last");
    for part in &ext4 {
        let copy = at("part.ext4");
        cut(&raw, part.start, part.size, &copy);
        let found = golden.judge(scratch.path(), &["fsck.ext4", "-fn", "part.ext4"]);
        assert!(found.contains("Pass 5") && !found.contains("Fix"), "{}: {found}", part.name);
        // What is in the tree is in it, and each mount point is an empty directory around it.
        let listed = golden.judge(scratch.path(), &["debugfs", "-R", "ls -p /", "part.ext4"]);
        let has = |name: &str| listed.contains(&format!("/{name}/"));
        let wanted: &[&str] = match part.mount.as_deref() {
            None => &["home", "var", "usr"],
            Some("/var") => &["lib", "log", "tmp"],
            Some("/var/log") => &["audit", "journal"],
            Some("/home") => &["admin"],
            _ => &["lost+found"],
        };
        assert!(wanted.iter().all(|name| has(name)), "{}: {listed}", part.name);
        if part.mount.as_deref() == Some("/var/tmp") {
            assert!(
                golden.judge(scratch.path(), &["debugfs", "-R", "stat /", "part.ext4"]).contains("01777")
            );
        }
        flip(&copy, 1024 + 0x78);
        refused(&golden, scratch.path(), &["fsck.ext4", "-fn", "part.ext4"], "checksum does not match");
    }
    // To goldcast it is the golden tree, spread over more filesystems.
    let mut diff = goldcast();
    let output = diff.arg("diff").arg(golden.file("rootfs.tar.zst")).arg(&raw).output().unwrap();
    let told = said(&output);
    assert!(told.contains("/etc/fstab") && told.contains("/var/log/audit"), "{told}");
    assert!(!told.contains("/var/lib") && !told.contains("/home/admin"), "{told}");
}

#[test]
fn fsck_vfat_finds_a_clean_esp() {
    let golden = golden();
    let scratch = scratch("vfat");
    let esp = partition(&golden, "vfat");
    let copy = scratch.path().join("esp.vfat");
    cut(&golden.file("raw"), esp.start, esp.size, &copy);
    let found = golden.judge(scratch.path(), &["fsck.vfat", "-n", "-v", "esp.vfat"]);
    assert!(found.contains("clusters") && !found.contains("differ"), "{found}");
    let sector = fs_err::read(&copy).unwrap();
    let number = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
    // The start of the first of both FATs, by the boot sector: reserved sectors times the sector's size.
    flip(&copy, number(14) * number(11) + 16);
    refused(&golden, scratch.path(), &["fsck.vfat", "-n", "esp.vfat"], "FATs differ");
}

#[test]
fn qemu_img_takes_the_qcow2_for_sound_and_equal_to_the_raw_image() {
    let golden = golden();
    let found = golden.judge(&golden.out, &["qemu-img", "check", "golden.qcow2"]);
    assert!(found.contains("No errors were found"), "{found}");
    let compare = ["qemu-img", "compare", "-f", "raw", "-F", "qcow2", "golden.raw", "golden.qcow2"];
    assert!(golden.judge(&golden.out, &compare).contains("identical"));

    let scratch = scratch("qcow2");
    let raw = golden.file("raw");
    let copy = scratch.path().join("golden.raw");
    cut(&raw, 0, raw.metadata().unwrap().len(), &copy);
    fs_err::hard_link(golden.file("qcow2"), scratch.path().join("golden.qcow2")).unwrap();
    flip(&copy, partition(&golden, "ext4").start + 5000);
    refused(&golden, scratch.path(), &compare, "mismatch");

    let damaged = scratch.path().join("damaged.qcow2");
    fs_err::copy(golden.file("qcow2"), &damaged).unwrap();
    let header = fs_err::read(&damaged).unwrap();
    // Offset 48 of the header: where the table of reference counts lies (QEMU, docs/interop/qcow2.txt).
    let table = u64::from_be_bytes(header[48..56].try_into().unwrap());
    let block = u64::from_be_bytes(header[table as usize..][..8].try_into().unwrap());
    flip(&damaged, block + 1);
    let output = golden.tool(scratch.path(), &["qemu-img", "check", "damaged.qcow2"]);
    assert!(!output.status.success() && said(&output).contains("found on the image"), "{}", said(&output));

    // A byte of the first compressed cluster, behind the header's cluster.
    fs_err::copy(golden.file("qcow2"), &damaged).unwrap();
    flip(&damaged, (64 << 10) + 20);
    let compare = ["qemu-img", "compare", "-f", "raw", "-F", "qcow2", "golden.raw", "damaged.qcow2"];
    fs_err::remove_file(&copy).unwrap();
    fs_err::hard_link(&raw, &copy).unwrap();
    let output = golden.tool(scratch.path(), &compare);
    assert!(!output.status.success() && !said(&output).contains("identical"), "{}", said(&output));
}

/// sha256 of the disk in a qcow2 file as goldcast reads it, in hex, or why it does not.
fn disk_of(path: &Path) -> Result<String, String> {
    let mut reader = Reader::open(path).map_err(|error| error.to_string())?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer).map_err(|error| error.to_string())? {
            0 => return Ok(hex::encode(hash.finalize())),
            length => hash.update(&buffer[..length]),
        }
    }
}

#[test]
fn goldcast_reads_the_qcow2_files_of_qemu_img_and_its_own() {
    let golden = golden();
    assert_eq!(disk_of(&golden.file("qcow2")).unwrap(), golden.digest("raw"));

    let scratch = scratch("foreign");
    cut(&golden.file("raw"), partition(&golden, "ext4").start, 24 << 20, &scratch.path().join("part.raw"));
    // Compressed and not, in every size and kind; the last ones then get zeros, data and discarded clusters.
    let script = r#"set -eu
        n=10
        for size in 512 4k 64k 2M; do
            for how in "-c -o compat=0.10" "-c -o compat=1.1" "-c -o compression_type=zstd" \
                       "-o compat=0.10" "-o compat=1.1" "-o preallocation=metadata,lazy_refcounts=on"; do
                qemu-img convert -f raw -O qcow2 $how,cluster_size=$size part.raw $n.qcow2
                n=$((n + 1))
            done
        done
        for old in 11 13 16 23 26 28 29; do
            cp $old.qcow2 $n.qcow2
            qemu-io -f qcow2 -c 'write -z 1M 3M' -c 'write -P 7 70000 9k' -c 'discard 9M 2M' $n.qcow2 >&2
            qemu-img convert -f qcow2 -O raw $n.qcow2 $n.raw
            n=$((n + 1))
        done
        sha256sum part.raw *.raw"#;
    let found = golden.judge(scratch.path(), &["sh", "-c", script]);
    let digest = |file: &str| {
        let line = found.lines().find(|line| line.ends_with(&format!("  {file}"))).expect(file);
        line.split(' ').next().unwrap().to_owned()
    };
    for n in 10..34 {
        let read = disk_of(&scratch.path().join(format!("{n}.qcow2")));
        assert_eq!(read.unwrap_or_else(|error| panic!("{n}: {error}")), digest("part.raw"), "{n}");
    }
    for n in 34..41 {
        let read = disk_of(&scratch.path().join(format!("{n}.qcow2")));
        assert_eq!(read.unwrap_or_else(|error| panic!("{n}: {error}")), digest(&format!("{n}.raw")), "{n}");
        assert_ne!(digest(&format!("{n}.raw")), digest("part.raw"), "{n}");
    }
}

#[test]
fn goldcast_does_not_read_qcow2_files_that_are_not_all_of_the_disk() {
    let golden = golden();
    let scratch = scratch("refused");
    let script = "set -eu
        create() { qemu-img create -q -f qcow2 \"$@\" 1M; }
        create plain.qcow2
        create -b plain.qcow2 -F qcow2 backing.qcow2
        create -o data_file=data.raw external.qcow2
        create -o extended_l2=on extended.qcow2
        create --object secret,id=key,data=secret -o encrypt.format=luks,encrypt.key-secret=key \
            -o encrypt.iter-time=10 encrypted.qcow2
        create snapshots.qcow2
        qemu-img snapshot -c one snapshots.qcow2
        chmod a+r *";
    golden.judge(scratch.path(), &["sh", "-c", script]);
    disk_of(&scratch.path().join("plain.qcow2")).unwrap();
    for (file, words) in [
        ("backing", "a backing file"),
        ("external", "an external data file"),
        ("extended", "extended L2 entries"),
        ("encrypted", "encryption"),
        ("snapshots", "snapshots"),
    ] {
        let said = disk_of(&scratch.path().join(format!("{file}.qcow2"))).unwrap_err();
        assert!(said.contains(words), "{file}: {said:?} does not say {words:?}");
    }
}

#[test]
fn compressed_images_unpack_to_the_raw_image() {
    let golden = golden();
    let raw = sha256(&golden.file("raw"));
    assert_eq!(raw, golden.digest("raw"));
    for (program, ending) in [("zstd", "raw.zst"), ("gzip", "raw.gz")] {
        let script =
            format!("set -e; {program} -t golden.{ending}; {program} -dc golden.{ending} | sha256sum");
        let found = golden.judge(&golden.out, &["sh", "-c", &script]);
        assert!(found.contains(&raw), "golden.{ending}: {found}");
    }
}

#[test]
fn sha256sum_checks_every_output() {
    let golden = golden();
    let found = golden.judge(&golden.out, &["sha256sum", "--strict", "-c", "SHA256SUMS"]);
    let sums = fs_err::read_to_string(golden.out.join("SHA256SUMS")).unwrap();
    for entry in fs_err::read_dir(&golden.out).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name != "SHA256SUMS" && entry.file_type().unwrap().is_file() {
            assert!(found.contains(&format!("{name}: OK")), "{name} is not among\n{found}");
        }
    }
    for artifact in &golden.manifest.artifacts {
        assert!(sums.contains(&format!("{}  {}\n", artifact.sha256, artifact.file)), "{}", artifact.file);
    }
    let scratch = scratch("sums");
    let copy = scratch.path().join("golden.manifest.json");
    fs_err::copy(golden.file("manifest.json"), &copy).unwrap();
    let line = sums.lines().find(|line| line.ends_with("golden.manifest.json")).unwrap();
    fs_err::write(scratch.path().join("SHA256SUMS"), format!("{line}\n")).unwrap();
    golden.judge(scratch.path(), &["sha256sum", "-c", "SHA256SUMS"]);
    flip(&copy, 100);
    refused(&golden, scratch.path(), &["sha256sum", "-c", "SHA256SUMS"], "FAILED");
}

#[test]
fn gnu_tar_lists_the_tree() {
    let golden = golden();
    let script = "set -eu
        zstd -dc golden.rootfs.tar.zst | sha256sum
        gzip -dc golden.rootfs.tar.gz | sha256sum
        zstd -dc golden.rootfs.tar.zst | tar --numeric-owner --quoting-style=literal -tvf -";
    let found = golden.judge(&golden.out, &["sh", "-c", script]);
    let mut lines = found.lines();
    assert_eq!(lines.next().unwrap(), lines.next().unwrap(), "the two archives hold different bytes");
    let mut paths = std::collections::BTreeSet::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(words.len() >= 6, "not a line of tar's: {line}");
        let path = words[5].trim_start_matches('.').trim_end_matches('/');
        paths.insert(path.to_owned());
        match path {
            "/etc/shadow" => assert_eq!((words[0], words[1]), ("-rw-r-----", "0/42"), "{line}"),
            "/usr/bin/sudo" => assert_eq!((words[0], words[1]), ("-rwsr-xr-x", "0/0"), "{line}"),
            "/tmp" => assert_eq!(words[0], "drwxrwxrwt", "{line}"),
            "/home/admin" => assert_eq!(words[1], "1000/1000", "{line}"),
            _ => {}
        }
    }
    for path in ["/etc/shadow", "/usr/bin/sudo", "/tmp", "/home/admin"] {
        assert!(paths.contains(path), "{path} is not in the archive");
    }
    let missing: Vec<&String> = golden.manifest.files.keys().filter(|path| !paths.contains(*path)).collect();
    assert!(missing.is_empty(), "the manifest tells of files that the archive does not have: {missing:?}");
}
