//! `publish`: a package in the lab's Debian archive.

use super::{Context, Word};
use crate::error::Result;
use crate::verify::lab::Package;
use schemars::JsonSchema;
use serde::Deserialize;

/// `publish`: a package of the lab. A guest trusts the archive once `{{lab.archive-key}}` (base64) is in its keyring.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Publish {
    /// The only host that has it; every host when it is not said.
    #[serde(default)]
    pub host: Option<Word>,
    /// The suite it is in, `trixie-security`; the archive calls itself `Debian-Security` there, else `Debian`.
    pub suite: Word,
    /// Its component there; `main` when it is not said.
    #[serde(default)]
    pub component: Option<Word>,
    /// Its name.
    pub package: Word,
    /// Its version.
    pub version: Word,
    /// A shell script that is run as root after it was unpacked.
    #[serde(default)]
    pub postinst: Option<Word>,
    /// One line of news about this version, in its NEWS.Debian.
    #[serde(default)]
    pub news: Option<Word>,
}

impl Publish {
    /// The package, with its texts filled in.
    pub fn package(&self, context: &Context) -> Result<Package> {
        let fill = |word: &Word| context.fill(&word.text());
        Ok(Package {
            host: self.host.as_ref().map(fill).transpose()?,
            suite: fill(&self.suite)?,
            component: self.component.as_ref().map(fill).transpose()?,
            name: fill(&self.package)?,
            version: fill(&self.version)?,
            postinst: self.postinst.as_ref().map(fill).transpose()?.unwrap_or_default(),
            news: self.news.as_ref().map(fill).transpose()?.unwrap_or_default(),
        })
    }
}
