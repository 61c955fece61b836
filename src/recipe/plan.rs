//! The plan: the recipe fully resolved. Pure data: made without network, root or a clock.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Everything that the stages after it need to know of a recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What the image is called; the stem of every output file.
    pub name: String,
    /// The disk and its files.
    pub image: Image,
    /// Partitions beside the root's, by mount point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<Partition>,
    /// What it is made of.
    pub distribution: Distribution,
    /// Package repositories beside the distribution's, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<Repository>,
    /// Packages asked for, denied and bounded.
    pub packages: Packages,
    /// People's accounts, in recipe order.
    pub users: Vec<User>,
    /// Groups that overlays create, by name.
    pub groups: BTreeMap<String, Group>,
    /// Files, directories and links that no package owns, by absolute path.
    pub files: BTreeMap<String, File>,
    /// Answers given to debconf before packages are configured.
    pub debconf: Vec<Debconf>,
    /// Units switched on, off or masked.
    pub services: Services,
    /// Commands run in the finished tree, in order (`pam-auth-update`, `update-ca-certificates`).
    pub commands: Vec<Command>,
    /// Words added to the kernel's command line, each with its reason.
    pub kernel_arguments: Vec<Reasoned>,
    /// Sockets that the image is meant to listen on, all addresses; loopback is not listed.
    pub opens: BTreeSet<Port>,
    /// Files handed out beside the image, for other machines to use, by what follows `NAME.`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Output>,
    /// Overlays that are on, with every option's final value, by name.
    pub overlays: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
    /// Every file whose text shaped the plan (recipe, bases, overlay files), with its sha256 in hex.
    pub sources: BTreeMap<PathBuf, String>,
}

impl Plan {
    /// The topics of the checks that apply to it, beside those of every image: its overlays, and what else it has.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        let partitions = (!self.partitions.is_empty()).then_some("partitions");
        self.overlays.keys().map(String::as_str).chain(partitions)
    }
}

/// `[image]` resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Size of the root filesystem.
    pub root_size: RootSize,
    /// Free bytes kept in an `auto` sized root filesystem.
    pub root_free: u64,
    /// Most bytes of memory that the booted system may use at rest.
    pub max_memory: Option<u64>,
    /// Artifacts asked for, in the recipe's order; `raw` is always made first.
    pub formats: Vec<Format>,
    /// Host name written to /etc/hostname.
    pub hostname: String,
}

/// Size of the root filesystem in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootSize {
    /// As small as the tree allows, plus `root_free`.
    Auto,
    /// Exactly this many bytes.
    Bytes(u64),
}

/// A file format handed out.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum Format {
    /// The disk, byte for byte, sparse.
    #[serde(rename = "raw")]
    Raw,
    /// The disk compressed with zstd.
    #[serde(rename = "raw.zst")]
    RawZst,
    /// The disk compressed with gzip.
    #[serde(rename = "raw.gz")]
    RawGz,
    /// QEMU's copy-on-write format, compressed.
    #[serde(rename = "qcow2")]
    Qcow2,
    /// The root filesystem's tree as a tar archive, zstd.
    #[serde(rename = "rootfs.tar.zst")]
    RootfsTarZst,
    /// The root filesystem's tree as a tar archive, gzip.
    #[serde(rename = "rootfs.tar.gz")]
    RootfsTarGz,
}

impl Format {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Raw, Self::RawZst, Self::RawGz, Self::Qcow2, Self::RootfsTarZst, Self::RootfsTarGz];

    /// The file name's ending, which is also the name in a recipe.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::RawZst => "raw.zst",
            Self::RawGz => "raw.gz",
            Self::Qcow2 => "qcow2",
            Self::RootfsTarZst => "rootfs.tar.zst",
            Self::RootfsTarGz => "rootfs.tar.gz",
        }
    }
}

/// What goldcast itself puts behind `NAME.` in the output directory.
pub const OWN_ENDINGS: [&str; 12] = [
    "raw",
    "raw.zst",
    "raw.gz",
    "qcow2",
    "rootfs.tar.zst",
    "rootfs.tar.gz",
    "manifest.json",
    "plan.json",
    "lock",
    "proof.json",
    "proof.html",
    "junit.xml",
];

/// What it puts there for the directory with the logs.
pub const LOGS: &str = "logs";

/// A partition with a filesystem of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Where it is mounted.
    pub mount: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its mount options, in order.
    pub options: Vec<String>,
    /// Who asked for it.
    pub origin: Origin,
}

/// `[distribution]` resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// `debian`.
    pub name: String,
    /// The codename: `trixie`.
    pub release: String,
    /// Debian's name of the architecture: `amd64`.
    pub architecture: String,
    /// A mirror's base address from the recipe, when it names one.
    pub mirror: Option<String>,
    /// OpenPGP certificates (armoured or binary) from the recipe's own keyring, in place of the built-in ones.
    pub keyring: Option<Vec<u8>>,
}

/// A package repository beside the distribution's: pinned by its keys and to the packages named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// What it is called, in the lock too.
    pub name: String,
    /// Its base address: http, https, or a directory of the building host (`file://`).
    pub url: String,
    /// Where the build takes the same from, when that is not `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// Its suite, below `dists/`.
    pub suite: String,
    /// Components of the suite.
    pub components: BTreeSet<String>,
    /// The keys that sign it: OpenPGP certificates, binary, public parts only.
    #[serde(with = "super::bytes")]
    pub keyring: Vec<u8>,
    /// Fingerprints of these keys, upper-case hex.
    pub fingerprints: BTreeSet<String>,
    /// The files that they come from, as the recipe names them.
    pub key_files: Vec<String>,
    /// Names of the packages that are taken from it, and no other; `*` is any part.
    pub packages: BTreeSet<String>,
    /// Who asked for it.
    pub origin: Origin,
}

impl Repository {
    /// Whether a package of this name is taken from it.
    pub fn takes(&self, name: &str) -> bool {
        self.packages.iter().any(|pattern| matches(pattern, name))
    }

    /// The host that the running system asks; none when it is a directory of the building host.
    pub fn host(&self) -> Option<&str> {
        super::address::host(&self.url)
    }
}

/// Whether a name fits a pattern in which `*` is any part of it.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let (between, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut left) = name.strip_prefix(start) else { return false };
    for part in between.split('*') {
        match left.split_once(part) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(end)
}

/// `[packages]` and what overlays add to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    /// Packages to install, each with who asked for it.
    pub install: BTreeMap<String, Vec<Origin>>,
    /// The same names in the steps in which they are installed; see [`super::steps`].
    pub steps: Vec<Step>,
    /// Packages that may never be in the image.
    pub deny: BTreeMap<String, Vec<Origin>>,
    /// Patterns of paths that packages ship and the image does not take; see [`crate::rootfs::filter`].
    #[serde(default)]
    pub path_exclude: BTreeMap<String, Vec<Origin>>,
    /// Patterns of what is taken all the same.
    #[serde(default)]
    pub path_include: BTreeMap<String, Vec<Origin>>,
    /// Most packages allowed.
    pub max_count: Option<u64>,
    /// Most bytes allowed, as the sum of the packages' Installed-Size.
    pub max_installed: Option<u64>,
}

/// Packages that are installed together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What the step is called.
    pub name: String,
    /// Names of what was asked for in it and in no step before.
    pub packages: BTreeSet<String>,
}

/// Who asked for something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A recipe file, by path as given.
    Recipe(PathBuf),
    /// An overlay, by name.
    Overlay(String),
    /// goldcast itself, and why.
    Goldcast(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Recipe(path) => write!(f, "recipe {}", path.display()),
            Self::Overlay(name) => write!(f, "overlay {name}"),
            Self::Goldcast(why) => write!(f, "goldcast ({why})"),
        }
    }
}

/// A value with who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasoned {
    /// The value.
    pub value: String,
    /// Who asked for it.
    pub origin: Origin,
}

/// A person's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Numeric id, when the recipe fixes it.
    pub uid: Option<u32>,
    /// Supplementary groups, overlays' additions included.
    pub groups: BTreeSet<String>,
    /// Lines for ~/.ssh/authorized_keys.
    pub ssh_keys: Vec<String>,
    /// More keys come to the machine after it was built.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub later_keys: bool,
    /// A crypt(5) hash; without one the password is locked.
    pub password_hash: Option<String>,
    /// The first login asks for a new password.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expire_password: bool,
    /// Login shell.
    pub shell: String,
    /// Full name (GECOS).
    pub comment: String,
}

impl User {
    /// Whether its shell lets somebody in.
    pub fn has_shell(&self) -> bool {
        !["nologin", "false", "true"].iter().any(|none| self.shell.rsplit('/').next() == Some(none))
    }
}

/// A group that an overlay creates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// A system group (id below 1000).
    pub system: bool,
    /// Who asked for it.
    pub origin: Origin,
}

/// A file, directory or link that no package owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// What is there.
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
    /// Owner's name.
    pub owner: String,
    /// Group's name.
    pub group: String,
    /// Who asked for it.
    pub origin: Origin,
}

/// A file handed out beside the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The text.
    pub content: String,
    /// Who asked for it.
    pub origin: Origin,
}

/// What a [`File`] is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A regular file with these bytes.
    Regular(#[serde(with = "super::bytes")] Vec<u8>),
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Link(String),
}

/// One answer for debconf-set-selections(1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debconf {
    /// The package that asks.
    pub package: String,
    /// The question's name.
    pub question: String,
    /// The question's type (`string`, `boolean`, `select` …).
    pub kind: String,
    /// The answer.
    pub value: String,
    /// Who asked for it.
    pub origin: Origin,
}

/// Units by what is done to them; each with who asked for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Services {
    /// systemctl enable.
    pub enable: BTreeMap<String, Origin>,
    /// systemctl disable.
    pub disable: BTreeMap<String, Origin>,
    /// systemctl mask.
    pub mask: BTreeMap<String, Origin>,
}

/// A command run inside the tree after overlays' files are in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Who asked for it.
    pub origin: Origin,
}

/// A socket that is meant to be open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The port's number.
    pub number: u16,
    /// Whether the image itself listens there; otherwise it lets through what somebody may run there later.
    pub listens: bool,
    /// The networks that may reach it; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// Who asked for it.
    pub origin: Origin,
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_any_part_of_a_name() {
        for (pattern, name, fits) in [
            ("libpq5", "libpq5", true),
            ("libpq5", "libpq5x", false),
            ("postgresql-*", "postgresql-17", true),
            ("postgresql-*", "postgresql", false),
            ("postgresql-*-jit", "postgresql-17-jit", true),
            ("postgresql-*-jit", "postgresql-17", false),
            ("pg*a*b", "pgxaybzb", true),
            ("pg*a*b", "pgxbya", false),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
