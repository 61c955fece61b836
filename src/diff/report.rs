//! What a comparison found: the types of the report, which `--json` prints as they are.

use super::image::{Container, Kind};
use schemars::JsonSchema;
use serde::Serialize;

/// The only format of the report there is.
pub const VERSION: u32 = 1;

/// The outcome of `goldcast diff`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Format of this document: 1.
    pub version: u32,
    /// The first image.
    pub a: Side,
    /// The second image.
    pub b: Side,
    /// What was found.
    pub verdict: Verdict,
    /// That in one line.
    pub summary: String,
    /// sha256 of what is the same, hex: of the files when they are, of the unpacked disks or archives when only those
    /// are, stored in different ways.
    pub sha256: Option<String>,
    /// The paths below which files were compared, when not all were.
    pub only: Vec<String>,
    /// What the reader should know: damage that was met, what could not be compared.
    pub notes: Vec<String>,
    /// Differences of the partition table, and of the filesystems as a whole.
    pub partitions: Vec<PartitionChange>,
    /// Packages that differ, by dpkg's own records.
    pub packages: Vec<PackageChange>,
    /// Files that differ, by path.
    pub files: Vec<FileChange>,
    /// Bytes that differ although nothing above says why.
    pub bytes: Vec<ByteRange>,
    /// How many differing bytes of the disks are a consequence of what is above.
    pub explained_bytes: u64,
}

/// One of the two images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Side {
    /// The file.
    pub path: String,
    /// What it holds.
    pub kind: Kind,
    /// How that is stored.
    pub container: Container,
    /// Bytes of the file.
    pub size: u64,
}

/// The outcome as one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every byte of the disks (or archives) is the same.
    Identical,
    /// A disk and an archive that hold the same files; the disk's other bytes had no counterpart.
    SameFiles,
    /// No difference among the files that `only` names; nothing is said about the rest.
    SameThere,
    /// They differ.
    Different,
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It is only in the second image.
    Added,
    /// It is only in the first image.
    Removed,
    /// It is in both.
    Changed,
}

/// One property that differs; a side that does not have it has nothing there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// The property: `mode`, `owner`, `link target` …
    pub what: String,
    /// In the first image.
    pub a: Option<String>,
    /// In the second image.
    pub b: Option<String>,
}

impl Change {
    /// A property that both sides have.
    pub fn new(what: impl Into<String>, a: impl Into<String>, b: impl Into<String>) -> Self {
        Self { what: what.into(), a: Some(a.into()), b: Some(b.into()) }
    }
}

/// One partition, or the table as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PartitionChange {
    /// Its number in the table, from 1; 0 is the disk and its table.
    pub number: u32,
    /// Its name in the table.
    pub name: String,
    /// How it differs.
    pub change: What,
    /// In what.
    pub changes: Vec<Change>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PackageChange {
    /// Its name.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// How it differs.
    pub change: PackageWhat,
    /// The version in the first image.
    pub a: Option<String>,
    /// The version in the second image.
    pub b: Option<String>,
    /// Other fields of its record that differ.
    pub changes: Vec<Change>,
}

/// How a package differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PackageWhat {
    /// Only in the second image.
    Added,
    /// Only in the first image.
    Removed,
    /// Its version is higher in the second image (deb-version(7)).
    Upgraded,
    /// Its version is lower in the second image.
    Downgraded,
    /// Another version text of the same rank, or another state of installation.
    Changed,
}

/// One file, directory, link or device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileChange {
    /// The filesystem it is in, by the partition's name; `root` for the root filesystem and for archives.
    pub filesystem: String,
    /// Its path there. Bytes that are no printable UTF-8 are written `\xNN`.
    pub path: String,
    /// How it differs.
    pub change: What,
    /// The package that ships it.
    pub package: Option<String>,
    /// What it is in the first image.
    pub a: Option<Properties>,
    /// What it is in the second image.
    pub b: Option<Properties>,
    /// Which properties differ.
    pub changes: Vec<Change>,
    /// How the content differs.
    pub content: Option<ContentChange>,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Properties {
    /// `file`, `directory`, `symbolic link`, `fifo`, `socket`, `character device`, `block device`.
    pub kind: String,
    /// Permissions in octal.
    pub mode: Option<String>,
    /// Numbers, and names by the image's own accounts: `0:42 (root:shadow)`.
    pub owner: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Where a symbolic link leads.
    pub target: Option<String>,
}

/// How two contents differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "as", rename_all = "kebab-case")]
pub enum ContentChange {
    /// Both are text.
    Text {
        /// A unified diff with three lines of context.
        diff: String,
    },
    /// At least one is no text, or too long to be shown.
    #[serde(rename_all = "kebab-case")]
    Binary {
        /// The first image's content.
        a: Digest,
        /// The second image's content.
        b: Digest,
        /// Offset of the first differing byte.
        first_difference: u64,
        /// What was found inside, for compressed content and cpio archives.
        inside: Option<Inside>,
    },
    /// At least one could not be read.
    Unreadable {
        /// Why.
        why: String,
    },
}

/// A content by size and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Digest {
    /// Bytes.
    pub size: u64,
    /// sha256, hex.
    pub sha256: String,
}

/// The inside of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inside {
    /// `gzip`, `zstd`, `xz` or `cpio`.
    pub format: String,
    /// Unpacked: offset of the first differing byte. Nothing: the unpacked contents are the same (of a cpio archive:
    /// see the members).
    pub first_difference: Option<u64>,
    /// Members of a cpio archive that differ.
    pub members: Vec<MemberChange>,
    /// What else is to be said.
    pub note: Option<String>,
}

/// One member of a cpio archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MemberChange {
    /// Its name in the archive.
    pub name: String,
    /// How it differs.
    pub change: What,
    /// In what.
    pub changes: Vec<Change>,
}

/// Bytes of the disk (or the archive) that differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ByteRange {
    /// Offset in the first image of the first byte that differs.
    pub start: u64,
    /// Offset behind the last byte that differs.
    pub end: u64,
    /// `start` in the second image, when that is another place.
    pub start_b: Option<u64>,
    /// How many bytes in the range differ.
    pub count: u64,
    /// The number of the partition they are in.
    pub partition: Option<u32>,
    /// What is stored there, as exactly as goldcast knows.
    pub place: String,
}

impl Report {
    /// Whether every byte of the two disks (or archives) is the same. Nothing less is ever called identical.
    pub fn identical(&self) -> bool {
        self.verdict == Verdict::Identical
    }

    /// Whether anything differs in what was asked for: the exit status.
    pub fn differs(&self) -> bool {
        self.verdict == Verdict::Different
    }

    /// The JSON Schema of the report.
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Self)
    }
}
