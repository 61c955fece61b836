//! NAME.manifest.json: what is in an image and where it came from.

use super::directory::replace;
use crate::archive::lock::LockedPackage;
use crate::disk::PartitionInfo;
use crate::error::{Context, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The only manifest format there is.
pub const SCHEMA: u32 = 1;

/// The content of NAME.manifest.json.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// Format of this file: 1.
    pub schema: u32,
    /// The image's name.
    pub name: String,
    /// Version of the goldcast that made it.
    pub goldcast: String,
    /// sha256 of the resolved recipe: everything but packages that shaped the image.
    pub plan_sha256: String,
    /// sha256 of the lock.
    pub lock_sha256: String,
    /// The build's one timestamp, seconds since 1970-01-01 UTC.
    pub source_date_epoch: i64,
    /// Distribution, release and architecture.
    pub distribution: BTreeMap<String, String>,
    /// Every package in the image.
    pub packages: Vec<Package>,
    /// Every file that no package owns, with what made it.
    pub files: BTreeMap<String, String>,
    /// The disk's partitions.
    pub partitions: Vec<Partition>,
    /// Every file handed out.
    pub artifacts: Vec<Artifact>,
}

impl Manifest {
    /// Reads one from its file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        serde_json::from_str(&text).doing_with(|| format!("reading {}", path.display()))
    }

    /// As [`Manifest::read`], with nothing for a file that does not exist.
    pub fn read_if_there(path: &Path) -> Result<Option<Self>> {
        if path.exists() { Self::read(path).map(Some) } else { Ok(None) }
    }

    /// Writes it to its file, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).doing("writing the manifest")?;
        replace(path, text + "\n")
    }
}

/// One package.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Exact version.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// sha256 of the .deb.
    pub sha256: String,
    /// Why it is in the image.
    pub because: Vec<String>,
}

impl From<&LockedPackage> for Package {
    fn from(package: &LockedPackage) -> Self {
        Self {
            name: package.name.clone(),
            version: package.version.clone(),
            architecture: package.architecture.clone(),
            sha256: package.sha256.clone(),
            because: package.because.clone(),
        }
    }
}

/// One partition.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Partition {
    /// Its number in the table, from 1.
    pub number: u32,
    /// Its name in the table.
    pub name: String,
    /// GUID of its type.
    pub kind: String,
    /// Its own GUID.
    pub guid: String,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// `ext4`, `vfat`, or nothing.
    pub filesystem: Option<String>,
    /// The filesystem's UUID or serial number.
    pub filesystem_uuid: Option<String>,
    /// Where it is mounted, for those that the recipe asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
}

impl From<&PartitionInfo> for Partition {
    fn from(partition: &PartitionInfo) -> Self {
        Self {
            number: partition.number,
            name: partition.name.clone(),
            kind: partition.kind.clone(),
            guid: partition.guid.clone(),
            start: partition.start,
            size: partition.size,
            filesystem: partition.filesystem.clone(),
            filesystem_uuid: partition.filesystem_uuid.clone(),
            mount: partition.mount.clone(),
        }
    }
}

/// One file handed out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// File name.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// sha256, hex.
    pub sha256: String,
}

/// The JSON Schema of this file.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Manifest)
}
