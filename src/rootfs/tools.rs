//! The tools tree: packages of the lock, unpacked and never configured.

use super::packages;
use super::unpack::{Claims, Owners, Unpacker};
use crate::error::{Context, Result};
use crate::progress::Progress;
use crate::sandbox::Tools;
use crate::scratch::Scratch;
use crate::tree::inside::Tree;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Changes when trees made by an earlier goldcast are not to be used any more.
const FORMAT: &str = "tools tree 4";

/// What the host is not asked for, as Debian packages.
const PACKAGES: [&str; 21] = [
    // What the others' scripts and goldcast's own commands take for granted.
    "bash",
    "coreutils",
    "dash",
    // mke2fs and debugfs for the root filesystem, e2fsck for its judges.
    "e2fsprogs",
    // grub-mkimage.
    "grub-common",
    // The machine that the proof boots, its firmware, and its disk formats.
    "qemu-system-x86",
    "qemu-utils",
    "ovmf",
    // The outside of the proof: a client that logs in, and a network for it.
    "openssh-client",
    "iproute2",
    // What gives the guest an address and names, and what looks for open doors.
    "dnsmasq-base",
    "nmap",
    // Asks as a monitoring host does.
    "nagios-nrpe-plugin",
    // Judges what the SSH server offers.
    "ssh-audit",
    // Computes codes of a second factor, and is what ssh-audit and rrsync are written in.
    "python3",
    // Where the guest's backups go.
    "openssh-server",
    "rclone",
    "rsync",
    // Judges of the disk.
    "gdisk",
    "dosfstools",
    "mtools",
];

/// More packages for the tools tree, from `GOLDCAST_TOOLS` (names between spaces): for `goldcast tool`.
pub fn packages() -> Vec<String> {
    let more = std::env::var("GOLDCAST_TOOLS").unwrap_or_default();
    let mut all: Vec<String> = PACKAGES.iter().map(|name| (*name).to_owned()).collect();
    all.extend(more.split_whitespace().map(str::to_owned));
    all.sort();
    all.dedup();
    all
}

/// Where the tree of packages with these digests is kept.
pub fn place(digests: &[&str], parent: &Path) -> PathBuf {
    let mut key = Sha256::new();
    key.update(FORMAT);
    digests.iter().for_each(|digest| key.update(digest));
    parent.join(&hex::encode(key.finalize())[..32])
}

/// Makes the tools tree of these packages below `parent`.
pub fn prepare(debs: &[PathBuf], digests: &[&str], parent: &Path, progress: &Progress) -> Result<Tools> {
    let place = place(digests, parent);
    fs_err::create_dir_all(parent)?;
    let stage = progress.stage("tools");
    stage.items(debs.len() as u64);
    let scratch = Scratch::new(parent, "making-")?;
    let tree = scratch.path().join("tree");
    fs_err::create_dir(&tree)?;
    unpack(debs, &tree, &|| stage.add(1)).doing("making the tools tree")?;
    match fs_err::rename(&tree, &place) {
        // Another goldcast made the same tree in the meantime.
        Err(_) if place.is_dir() => {}
        renamed => renamed?,
    }
    stage.finish(format!("{} packages unpacked", debs.len()));
    Ok(Tools::at(place))
}

/// Libraries that packages leave to update-alternatives(1), with the directory that the only one of each is in.
const ALTERNATIVES: [(&str, &str); 1] = [("libblas.so.3", "blas")];

/// Makes the links by which programs find such libraries; no package script has.
fn alternatives(tree: &Tree) -> Result<()> {
    let libraries = Path::new("usr/lib");
    for (name, _) in tree.make(libraries)?.entries()? {
        let path = libraries.join(name);
        let Some(directory) = tree.find(&path)? else { continue };
        for (library, below) in ALTERNATIVES {
            if tree.exists(path.join(below).join(library))? && directory.kind(library)?.is_none() {
                directory.link(&format!("{below}/{library}"), library)?;
            }
        }
    }
    Ok(())
}

fn unpack(debs: &[PathBuf], tree: &Path, done: &(dyn Fn() + Sync)) -> Result<()> {
    packages::merge_usr(tree)?;
    let packages = packages::read(debs, None)?;
    let claims = Claims::default();
    let all: Vec<usize> = (0..packages.len()).collect();
    Unpacker::new(tree, &packages, &claims)?.owners(Owners::Mine).unpack(&all, &|_| done())?;
    let tree = Tree::open(tree)?;
    alternatives(&tree)?;
    // Programs such as ssh ask who they are; no package script has made these.
    let settings = tree.make("etc")?;
    settings.write(
        "passwd",
        // sshd does what needs no privileges as an account of its own.
        b"root:x:0:0:root:/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    )?;
    settings.write("group", b"root:x:0:\nnogroup:x:65534:\n")?;
    Ok(())
}
