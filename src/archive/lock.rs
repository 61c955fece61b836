//! The lock: every package of the image and of the tools tree as exact bytes.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The only lock format there is.
pub const VERSION: u32 = 1;

/// The content of `NAME.lock`, beside the recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// Format of this file: [`VERSION`].
    pub version: u32,
    /// The build's one timestamp, seconds since 1970-01-01 UTC: the newest index date.
    pub source_date_epoch: i64,
    /// sha256 (hex) of what was asked for: distribution, repositories, packages, denials, tools.
    pub request: String,
    /// What `request` is the sha256 of, a line each: it tells what changed when the lock is stale.
    pub asks: Vec<String>,
    /// The signed indexes that the packages were chosen from.
    #[serde(rename = "index")]
    pub indexes: Vec<LockedIndex>,
    /// Packages of the image, sorted by name.
    #[serde(rename = "package")]
    pub packages: Vec<LockedPackage>,
    /// Packages of the tools tree, sorted by name.
    #[serde(rename = "tool")]
    pub tools: Vec<LockedPackage>,
}

impl Lock {
    /// What is different about the image's packages since an earlier lock, a line each.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let versions = |lock: &Self| -> BTreeMap<String, String> {
            lock.packages.iter().map(|package| (package.name.clone(), package.version.clone())).collect()
        };
        let (old, new) = (versions(before), versions(self));
        let mut changes = Vec::new();
        for (name, version) in &new {
            match old.get(name) {
                Some(known) if known == version => {}
                Some(known) => changes.push(format!("{name} {known} -> {version}")),
                None => changes.push(format!("{name} {version} (new)")),
            }
        }
        changes
            .extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| format!("{name} (gone)")));
        changes
    }
}

/// One suite's signed index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedIndex {
    /// The archive's label within its distribution: `debian`, `debian-security`, or an extra repository's name.
    pub archive: String,
    /// The suite's path below `dists/`: `trixie-security`.
    pub suite: String,
    /// The Release file's Date, RFC 3339.
    pub date: String,
    /// sha256 of the InRelease file.
    pub sha256: String,
    /// Fingerprint of the key whose signature was accepted.
    pub signed_by: String,
}

/// One package as exact bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedPackage {
    /// Package name.
    pub name: String,
    /// Exact version, as dpkg prints it.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// The archive it came from, as in [`LockedIndex::archive`].
    pub archive: String,
    /// Path below the archive's base address (`Filename:`).
    pub path: String,
    /// Bytes of the .deb.
    pub size: u64,
    /// Installed-Size in KiB, as its index says.
    #[serde(default)]
    pub installed_size: u64,
    /// sha256 of the .deb, hex.
    pub sha256: String,
    /// Why it is here: `recipe`, `overlay ssh`, `essential`, `tool`, or `systemd Depends libc6`.
    pub because: Vec<String>,
}

impl LockedPackage {
    /// `name_version_arch`, for messages.
    pub fn identity(&self) -> String {
        format!("{} {} {}", self.name, self.version, self.architecture)
    }
}
