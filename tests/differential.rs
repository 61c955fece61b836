//! The same packages, installed by goldcast and by mmdebstrap: the trees must be the same.
//!
//! mmdebstrap runs in goldcast's sandbox, without network, on a repository made of the very same .debs. What may
//! differ is a list with a reason for each entry; an entry that nothing needs any more fails the test too.
#![allow(clippy::unwrap_used)]

mod support;

use goldcast::archive::lock::Lock;
use goldcast::rootfs::deb;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;
use support::{Golden, cache, golden, scratch};

/// Where the trees may differ. `*` stands for anything in one name, `**` at the end for everything below.
const DIFFERENCES: [(&str, &[&str]); 14] = [
    (
        "made by goldcast after the packages: how the system starts and what it is called",
        &[
            "/boot/efi",
            "/boot/grub",
            "/boot/grub/**",
            // Holds RESUME=none, which is written before it is made.
            "/boot/initrd.img-*",
            "/etc/default/grub",
            "/etc/fstab",
            "/etc/grub.d/enable_cloud",
            "/etc/hostname",
            "/etc/hosts",
            "/etc/initramfs-tools/conf.d/resume",
        ],
    ),
    (
        "package sources: goldcast writes the release's, mmdebstrap the repository that it read",
        &["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"],
    ),
    (
        "overlay accounts: its files, and what pam-auth-update(8) and dpkg-statoverride(1) make of its words",
        &[
            "/etc/at.allow",
            "/etc/cron.allow",
            "/etc/cron.d",
            "/etc/cron.daily",
            "/etc/issue",
            "/etc/issue.net",
            "/etc/login.defs",
            "/etc/motd",
            "/etc/pam.d/common-session",
            "/etc/pam.d/common-session-noninteractive",
            "/etc/pam.d/su",
            "/etc/sudoers.d",
            "/etc/sudoers.d/50-accounts",
            "/usr/share/pam-configs/umask",
            // The profiles that libpam-runtime asks for, with ours among them.
            "/var/cache/debconf/config.dat",
            "/var/lib/dpkg/statoverride",
            "/var/lib/pam/seen",
            "/var/lib/pam/session",
            "/var/lib/pam/session-noninteractive",
        ],
    ),
    (
        "overlay core",
        &[
            "/etc/locale.conf",
            "/etc/systemd/system-preset",
            "/etc/systemd/system-preset/00-goldcast.preset",
            "/etc/systemd/system/systemd-firstboot.service",
        ],
    ),
    (
        "overlay identity: the root partition's definition, and the unit that grows the filesystem in it",
        &[
            "/etc/repart.d",
            "/etc/repart.d/50-root.conf",
            "/etc/systemd/system/local-fs.target.wants",
            "/etc/systemd/system/local-fs.target.wants/systemd-growfs-root.service",
        ],
    ),
    (
        "overlay network: its files, and the units of systemd-networkd, which no package enables",
        &[
            "/etc/systemd/network/50-wired.network",
            "/etc/systemd/resolved.conf.d",
            "/etc/systemd/resolved.conf.d/50-network.conf",
            "/etc/systemd/system/dbus-org.freedesktop.network1.service",
            "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
            "/etc/systemd/system/network-online.target.wants",
            "/etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service",
            "/etc/systemd/system/sockets.target.wants",
            "/etc/systemd/system/sockets.target.wants/systemd-networkd.socket",
            "/etc/systemd/system/sysinit.target.wants/systemd-network-generator.service",
            "/etc/systemd/system/systemd-networkd-wait-online.service.d",
            "/etc/systemd/system/systemd-networkd-wait-online.service.d/50-any.conf",
        ],
    ),
    (
        "overlay ssh",
        &[
            "/etc/issue.d",
            "/etc/issue.d/ssh-fingerprint.issue",
            "/etc/pam.d/sshd",
            "/etc/ssh/sshd_config",
            "/etc/systemd/system-generators",
            "/etc/systemd/system-generators/systemd-ssh-generator",
            "/etc/systemd/system/ssh.service.d",
            "/etc/systemd/system/ssh.service.d/50-fingerprint.conf",
            "/etc/systemd/system/sshd-keygen.service.d",
            "/etc/systemd/system/sshd-keygen.service.d/50-ssh.conf",
            "/usr/local/lib/goldcast",
            "/usr/local/lib/goldcast/ssh-fingerprint",
        ],
    ),
    ("the recipe's user", &["/home/admin", "/home/admin/**", "/etc/subuid", "/etc/subgid"]),
    (
        "identity, which an image must not have; an unset machine-id is 'uninitialized', read-only as systemd makes it",
        &["/etc/machine-id", "/etc/ssh/ssh_host_*"],
    ),
    (
        "locks and backups of the tools that built the tree, which goldcast removes",
        &[
            "/etc/.pwd.lock",
            "/etc/group-",
            "/etc/gshadow-",
            "/etc/passwd-",
            "/etc/shadow-",
            "/var/cache/debconf/config.dat-old",
            "/var/cache/debconf/templates.dat-old",
            "/var/lib/dpkg/diversions-old",
            "/var/lib/dpkg/lock",
            "/var/lib/dpkg/lock-frontend",
            "/var/lib/dpkg/status-old",
            "/var/lib/dpkg/triggers/Lock",
            "/var/lib/ucf/hashfile.0",
            "/var/lib/ucf/registry.0",
        ],
    ),
    (
        "apt's own traces: mmdebstrap installs with apt, goldcast without",
        &[
            "/var/cache/apt/archives/lock",
            "/var/cache/apt/archives/partial",
            "/var/lib/apt/extended_states",
            "/var/lib/apt/lists/lock",
            "/var/lib/apt/lists/partial",
        ],
    ),
    ("mmdebstrap's own settings for apt", &["/etc/apt/apt.conf.d/99mmdebstrap"]),
    ("device nodes, which a system's kernel makes itself", &["/dev/*"]),
    ("made under /run by a script; a system's /run starts empty", &["/run/lock", "/run/lock/*"]),
];

/// What the lines of a text file mean.
type Meaning = fn(&str) -> BTreeSet<String>;

/// Text files whose lines are compared by what they mean.
const BY_MEANING: [(&str, Meaning); 5] = [
    // Numbers of system accounts are given out in the order in which scripts run.
    ("/etc/passwd", |text| accounts(text, &[2, 3])),
    ("/etc/group", |text| accounts(text, &[2])),
    ("/etc/shadow", |text| accounts(text, &[])),
    ("/etc/gshadow", |text| accounts(text, &[])),
    // Who listens to which trigger: the order is that of unpacking.
    ("/var/lib/dpkg/triggers/File", |text| text.lines().map(str::to_owned).collect()),
];

/// A colon-separated account file without these columns, and without what concerns the recipe's user and the group
/// that overlay ssh makes for those who may log in.
fn accounts(text: &str, numbers: &[usize]) -> BTreeSet<String> {
    let line = |line: &str| {
        let mut fields: Vec<&str> = line.split(':').collect();
        if ["admin", "sshusers"].contains(&fields[0]) {
            return None;
        }
        // overlay accounts locks root's password, which has none: `*` and `!*` both let nobody in.
        if fields[0] == "root" && fields.len() == 9 {
            fields[1] = fields[1].trim_start_matches('!');
        }
        if fields[0] == "sudo" {
            let last = fields.len() - 1;
            fields[last] = "";
        }
        numbers.iter().for_each(|number| fields[*number] = "");
        Some(fields.join(":"))
    };
    text.lines().filter_map(line).collect()
}

/// A file of a tree, as far as it is compared.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    kind: String,
    mode: u32,
    owner: String,
    group: String,
    /// Where a symbolic link leads, or all the names of a file that has several.
    link: String,
    /// Extended attributes, capabilities among them.
    attributes: BTreeMap<String, Vec<u8>>,
    /// sha256 of a regular file.
    content: String,
    /// Modification time; of directories it is the build's.
    time: u64,
}

/// A tree, and the text of its files that are compared by meaning.
struct Tree {
    nodes: BTreeMap<String, Node>,
    texts: BTreeMap<String, String>,
}

/// Reads a tar archive.
fn read(archive: impl Read) -> Tree {
    let (mut nodes, mut texts) = (BTreeMap::new(), BTreeMap::new());
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let absolute = |path: &Path| {
        let path = path.to_str().unwrap().trim_start_matches('.').trim_matches('/');
        format!("/{path}")
    };
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = absolute(&entry.path().unwrap());
        let mut attributes = BTreeMap::new();
        if let Some(extensions) = entry.pax_extensions().unwrap() {
            for extension in extensions.map(Result::unwrap) {
                if let Some(name) = extension.key().unwrap().strip_prefix("SCHILY.xattr.") {
                    attributes.insert(name.to_owned(), extension.value_bytes().to_vec());
                }
            }
        }
        let header = entry.header();
        let kind = header.entry_type();
        if kind == tar::EntryType::Link {
            let first = absolute(&entry.link_name().unwrap().unwrap());
            names.entry(first.clone()).or_insert_with(|| [first].into()).insert(path);
            continue;
        }
        let link = if kind == tar::EntryType::Symlink {
            entry.link_name_bytes().unwrap().escape_ascii().to_string()
        } else {
            String::new()
        };
        let mode = header.mode().unwrap() & 0o7777;
        let ids = (header.uid().unwrap().to_string(), header.gid().unwrap().to_string());
        let time = if kind == tar::EntryType::Directory { 0 } else { header.mtime().unwrap() };
        let mut content = String::new();
        if kind == tar::EntryType::Regular {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            content = hex::encode(Sha256::digest(&bytes));
            if BY_MEANING.iter().any(|(file, _)| *file == path) {
                texts.insert(path.clone(), String::from_utf8(bytes).unwrap());
            }
        }
        let node = Node {
            kind: format!("{kind:?}"),
            mode,
            owner: ids.0,
            group: ids.1,
            link,
            attributes,
            content,
            time,
        };
        assert!(nodes.insert(path.clone(), node).is_none(), "{path} is twice in the archive");
    }
    for (first, all) in names {
        nodes.get_mut(&first).unwrap().link = all.iter().cloned().collect::<Vec<_>>().join(" ");
    }
    name_owners(&mut nodes, &texts);
    Tree { nodes, texts }
}

/// Puts names in the place of numbers.
fn name_owners(nodes: &mut BTreeMap<String, Node>, texts: &BTreeMap<String, String>) {
    let names = |file: &str| -> BTreeMap<String, String> {
        let fields = texts[file].lines().map(|line| line.split(':').collect::<Vec<_>>());
        fields.map(|fields| (fields[2].to_owned(), fields[0].to_owned())).collect()
    };
    let (users, groups) = (names("/etc/passwd"), names("/etc/group"));
    for (path, node) in nodes {
        let missing = || panic!("{path} belongs to a number that has no name: {node:?}");
        let owner = users.get(&node.owner).cloned().unwrap_or_else(missing);
        let group = groups.get(&node.group).cloned().unwrap_or_else(missing);
        (node.owner, node.group) = (owner, group);
    }
}

/// Every place where the trees differ, with what differs.
fn compare(ours: &Tree, theirs: &Tree) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let all: BTreeSet<&String> = ours.nodes.keys().chain(theirs.nodes.keys()).collect();
    for path in all {
        match (ours.nodes.get(path), theirs.nodes.get(path)) {
            (Some(_), None) => drop(found.insert(path.clone(), "only goldcast has it".to_owned())),
            (None, Some(_)) => drop(found.insert(path.clone(), "only mmdebstrap has it".to_owned())),
            (Some(ours_here), Some(theirs_here)) => {
                let mut text = differences(path, ours_here, theirs_here);
                if let Some((_, meaning)) = BY_MEANING.iter().find(|(file, _)| file == path) {
                    text = text.lines().filter(|line| !line.starts_with("content")).collect::<String>();
                    let (ours, theirs) = (meaning(&ours.texts[path]), meaning(&theirs.texts[path]));
                    for line in ours.symmetric_difference(&theirs) {
                        let whose = if ours.contains(line) { "goldcast" } else { "mmdebstrap" };
                        writeln!(text, "only {whose} has the line {line}").unwrap();
                    }
                }
                if !text.is_empty() {
                    found.insert(path.clone(), text);
                }
            }
            (None, None) => {}
        }
    }
    found
}

fn differences(path: &str, ours: &Node, theirs: &Node) -> String {
    let mut text = String::new();
    let mut field = |name: &str, ours: &dyn std::fmt::Debug, theirs: &dyn std::fmt::Debug| {
        let (ours, theirs) = (format!("{ours:?}"), format!("{theirs:?}"));
        if ours != theirs {
            writeln!(text, "{name}: goldcast {ours}, mmdebstrap {theirs}").unwrap();
        }
    };
    field("type", &ours.kind, &theirs.kind);
    field("mode", &format!("{:o}", ours.mode), &format!("{:o}", theirs.mode));
    field("owner", &ours.owner, &theirs.owner);
    field("group", &ours.group, &theirs.group);
    field("link", &ours.link, &theirs.link);
    field("attributes", &ours.attributes, &theirs.attributes);
    field("content", &ours.content, &theirs.content);
    // dpkg gives its own records the packages' times, goldcast the build's; nothing reads them.
    if !path.starts_with("/var/lib/dpkg/info/") {
        field("time", &ours.time, &theirs.time);
    }
    text
}

fn fits(pattern: &str, path: &str) -> bool {
    if let Some(above) = pattern.strip_suffix("**") {
        return path.starts_with(above);
    }
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern.iter().zip(path).all(|(pattern, name)| match pattern.split_once('*') {
            Some((start, end)) => {
                name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
            }
            None => *pattern == name,
        })
}

/// What is left of the differences without those that the list allows, and the list's entries that nothing needs.
fn unjustified(found: BTreeMap<String, String>) -> (BTreeMap<String, String>, Vec<&'static str>) {
    let patterns: Vec<&str> = DIFFERENCES.iter().flat_map(|(_, patterns)| patterns.iter().copied()).collect();
    let idle =
        patterns.iter().copied().filter(|pattern| !found.keys().any(|path| fits(pattern, path))).collect();
    let rest = found.into_iter().filter(|(path, _)| !patterns.iter().any(|pattern| fits(pattern, path)));
    (rest.collect(), idle)
}

/// A flat repository (sources.list(5)) of the image's packages; returns their names.
fn repository(golden: &Golden, at: &Path) -> Vec<String> {
    let lock = Lock::read(&golden.recipe.with_extension("lock")).unwrap();
    fs_err::create_dir(at).unwrap();
    let store = goldcast::store::Store::open(cache()).unwrap();
    let mut index = String::new();
    for package in &lock.packages {
        let file = format!("{}_{}.deb", package.name, package.architecture);
        let blob = store.expect(&package.sha256).unwrap();
        fs_err::hard_link(&blob, at.join(&file)).unwrap();
        let control = deb::control(&blob).unwrap().stanza.with("");
        let control = control.trim_end();
        write!(
            index,
            "{control}\nFilename: ./{file}\nSize: {}\nSHA256: {}\n\n",
            package.size, package.sha256
        )
        .unwrap();
    }
    fs_err::write(at.join("Packages"), &index).unwrap();
    // mmdebstrap takes essential packages from the suite of this name only.
    let release = &golden.manifest.distribution["release"];
    let digest = hex::encode(Sha256::digest(&index));
    let text =
        format!("Suite: {release}\nCodename: {release}\nSHA256:\n {digest} {} Packages\n", index.len());
    fs_err::write(at.join("Release"), text).unwrap();
    lock.packages.into_iter().map(|package| package.name).collect()
}

/// The tree that mmdebstrap makes of the same packages.
fn reference(golden: &Golden, directory: &Path) -> Tree {
    let names = repository(golden, &directory.join("repo"));
    let script = format!(
        "set -eu
        export SOURCE_DATE_EPOCH={} TMPDIR=/here/work
        mkdir work
        mmdebstrap --mode=root --variant=essential --format=tar \\
            --aptopt='APT::Sandbox::User \"root\"' --aptopt='APT::Install-Recommends \"false\"' \\
            --include={} {} /here/reference.tar 'deb [trusted=yes] copy:///here/repo ./'",
        golden.manifest.source_date_epoch,
        names.join(","),
        golden.manifest.distribution["release"],
    );
    golden.judge(directory, &["sh", "-c", &script]);
    read(fs_err::File::open(directory.join("reference.tar")).unwrap())
}

fn ours(golden: &Golden) -> Tree {
    let archive = fs_err::File::open(golden.file("rootfs.tar.zst")).unwrap();
    read(zstd::stream::read::Decoder::new(archive).unwrap())
}

#[test]
fn the_tree_is_the_one_that_mmdebstrap_makes() {
    let golden = golden();
    let scratch = scratch("differential");
    let theirs = reference(&golden, scratch.path());
    let ours = ours(&golden);
    assert!(ours.nodes.len() > 10_000 && theirs.nodes.len() > 10_000);
    // What the comparison is for is there at all.
    assert!(ours.nodes.values().any(|node| node.attributes.contains_key("security.capability")));
    assert!(ours.nodes.values().any(|node| node.mode & 0o4000 != 0));
    assert!(ours.nodes.values().any(|node| node.owner != "root"));
    assert!(ours.nodes.values().any(|node| node.link.contains(' ')));

    // Passwords were set on the build's one day (shadow(5), third field), not on today.
    let day = (golden.manifest.source_date_epoch / 86400).to_string();
    let other = |line: &&str| line.split(':').nth(2) != Some(&*day);
    assert_eq!(ours.texts["/etc/shadow"].lines().filter(other).collect::<Vec<_>>(), Vec::<&str>::new());

    let (rest, idle) = unjustified(compare(&ours, &theirs));
    let shown: Vec<String> = rest.iter().take(100).map(|(path, what)| format!("{path}\n{what}")).collect();
    assert!(rest.is_empty(), "{} differences that nothing justifies:\n{}", rest.len(), shown.join("\n"));
    assert!(idle.is_empty(), "entries in the list of differences that nothing needs: {idle:?}");
}

#[test]
fn every_kind_of_difference_is_found() {
    let node = |change: &dyn Fn(&mut Node)| {
        let mut node = Node {
            kind: "Regular".into(),
            mode: 0o644,
            owner: "root".into(),
            group: "root".into(),
            link: String::new(),
            attributes: BTreeMap::new(),
            content: "00".into(),
            time: 1,
        };
        change(&mut node);
        node
    };
    let tree = |node: Node| Tree { nodes: [("/usr/bin/x".to_owned(), node)].into(), texts: BTreeMap::new() };
    let ours = tree(node(&|_| {}));
    assert!(compare(&ours, &tree(node(&|_| {}))).is_empty());
    let changes: [&dyn Fn(&mut Node); 8] = [
        &|node| node.kind = "Symlink".into(),
        &|node| node.mode = 0o4644,
        &|node| node.owner = "daemon".into(),
        &|node| node.group = "daemon".into(),
        &|node| node.link = "/usr/bin/x /usr/bin/y".into(),
        &|node| drop(node.attributes.insert("security.capability".into(), vec![1])),
        &|node| node.content = "01".into(),
        &|node| node.time = 2,
    ];
    for change in changes {
        let (rest, _) = unjustified(compare(&ours, &tree(node(change))));
        assert_eq!(rest.len(), 1);
    }
    let missing = Tree { nodes: BTreeMap::new(), texts: BTreeMap::new() };
    assert_eq!(compare(&ours, &missing).len(), 1);
    assert!(
        fits("/dev/*", "/dev/null")
            && !fits("/dev/*", "/dev/pts/0")
            && fits("/home/admin/**", "/home/admin/a/b")
    );
}
