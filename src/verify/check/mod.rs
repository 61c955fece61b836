//! Checks: named assertions about an image, as data.
//!
//! A check file (`qemu-tests/NAME.toml`) holds `[[check]]` tables; a check is a list of steps and holds when all
//! of them do. The step kinds are implemented once, here; what is more special is a script beside the file.

mod connect;
mod console;
mod context;
mod expect;
mod load;
mod login;
mod publish;
mod rehearse;
mod run;
mod select;
mod serve;
mod ssh;
mod step;
mod tree;
mod validate;

pub use context::{Context, FACTS, VALUES};
pub use expect::{Exit, ExitWord, Expect, JsonPlace, Lines, Text};
#[cfg(test)]
pub use load::shipped;
pub use load::{BASE, Checks, declarations, files_below, load, schema};
pub use publish::Publish;
pub use rehearse::rehearse;
pub use run::{Place, Runner};
pub use select::{Chosen, Selection, select};
pub use ssh::Key;
pub use step::{Account, Client, Connect, Digest, Lacks, Mail, OneOf, Ssh, Step, Talk, Tree, Word};
pub use tree::ImageTree;
pub use validate::is_name;

use super::firmware::Firmware;
use crate::error::{Error, Result};
use crate::recipe::quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a check needs beyond a booted machine; `tool:NAME` is a program of the tools tree.
pub const CAPABILITIES: [&str; 2] = ["user", "lab"];

/// One named assertion about an image.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Check {
    /// Its name, unique among all: lower-case words joined by `-`.
    pub name: String,
    /// Where it looks from.
    pub kind: Kind,
    /// What holds when it passes, as a sentence.
    pub proves: String,
    /// The row of the requirements that it belongs to: `S7`.
    #[serde(default)]
    pub requirement: Option<String>,
    /// Whether its failure fails the proof.
    #[serde(default)]
    pub severity: Severity,
    /// What it needs; where that is missing it is reported as not checkable.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The firmwares that it runs on.
    #[serde(default)]
    pub firmware: Which,
    /// It leaves the machine in another state than it found it, so it runs on a copy.
    #[serde(default)]
    pub destructive: bool,
    /// It is done on a machine of its own, which boots for the first time, and which differs so from the others.
    #[serde(default)]
    pub machine: Option<Own>,
    /// The heading under which the report's page shows what its first step printed, among what is in the image.
    #[serde(default)]
    pub lists: Option<String>,
    /// The conditions under which it applies at all; all must hold.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// What it does, in order.
    pub steps: Vec<Step>,
    /// The file it comes from.
    #[serde(skip)]
    pub source: String,
    /// The scripts that its steps name, by name.
    #[serde(skip)]
    pub scripts: BTreeMap<String, String>,
    /// The files of its machine's volume, by path.
    #[serde(skip)]
    pub volume: BTreeMap<String, Vec<u8>>,
    /// How other overlays of the image let the run's key in; see [`LetIn`].
    #[serde(skip)]
    pub let_in: Vec<LetIn>,
}

impl Check {
    /// How many times a machine boots for it alone: what takes the most time.
    pub fn boots(&self) -> usize {
        let own =
            self.machine.as_ref().map_or(0, |own| usize::from(!own.as_shipped()) + usize::from(own.clone));
        let restarts = self.steps.iter().map(|step| {
            let talked = step.console.iter().flatten().filter(|talk| talk.restart == Some(true)).count();
            talked + usize::from(step.reboot == Some(true))
        });
        own + restarts.sum::<usize>()
    }

    /// For how many seconds at most it waits for what it looks at.
    pub fn patience(&self) -> u64 {
        self.steps.iter().filter_map(|step| step.within).sum()
    }

    /// Whether all that it does in a lab is to send over the wire and to look at what comes back: it can be made while
    /// others are at work on the machine.
    pub fn over_the_wire(&self) -> bool {
        let sends = |step: &Step| {
            let script =
                step.script.is_some() && !step.inside && step.key_for.is_none() && step.serves.is_none();
            step.connect.is_some() || step.outside.is_some() || script
        };
        let leaves = !self.destructive && self.machine.is_none();
        self.kind == Kind::Outside && leaves && self.steps.iter().all(sends)
    }
}

/// `machine`: how the machine differs that is booted for one check.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Own {
    /// The size of its disk, larger than the image: `20 GiB`.
    #[serde(default)]
    pub disk_size: Option<String>,
    /// A second drive, read-only.
    #[serde(default)]
    pub volume: Option<Volume>,
    /// There is a second machine of the image beside it, which steps with `differs` compare with.
    #[serde(default)]
    pub clone: bool,
}

impl Own {
    /// Whether its first machine is one that any check gets.
    pub fn as_shipped(&self) -> bool {
        self.disk_size.is_none() && self.volume.is_none()
    }

    /// The disk's size in bytes.
    pub fn bytes(&self) -> Result<Option<u64>> {
        let Some(text) = &self.disk_size else { return Ok(None) };
        let size = quantity::size(text);
        size.map(Some).map_err(|fault| Error::usage(format!("`{text}` is not a size")).because(fault.why))
    }
}

/// A drive with a FAT filesystem, made from a directory.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Volume {
    /// The filesystem's label, at most eleven characters.
    pub label: String,
    /// The directory beside the check file whose files it holds. In text `{{…}}` is filled in, `{{run.key}}` too: the
    /// public half of the key that `ssh` steps offer.
    pub directory: String,
}

/// `[let-in]` of a check file: what a key alone needs to get in where its overlay asks for more than a key. It is done
/// for the run's key in the checks of all other files, in the throw-away overlay, and undone after each login: what the
/// overlay asks for is for its own checks to prove.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LetIn {
    /// How the user gets in, for the report: `as a member of an exempt group`.
    pub how: String,
    /// A bash script, run as root in the machine; the user's name is in its environment as `NAME`.
    pub run: String,
    /// A script that sets right what the first one did.
    pub undo: String,
}

/// `[prepare]` of a check file: what the lab needs to reach a machine whose overlay lets others reach it. It is done to
/// every machine of the proof once it is up, in the throw-away overlay; that nobody else is let in is for the overlay's own
/// checks to prove, on a copy where it is undone.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Prepare {
    /// What is done, for the report: `the lab is among the networks that reach SSH`.
    pub how: String,
    /// The conditions under which it is needed; all must hold.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// A bash script, run as root in the machine; what it does must outlast a restart.
    pub run: String,
}

/// Where a check looks from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Reads the disk, without booting it.
    Static,
    /// Runs in the booted machine.
    Inside,
    /// Runs beside the booted machine, in its network.
    Outside,
}

impl Kind {
    /// As in a check file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Inside => "inside",
            Self::Outside => "outside",
        }
    }
}

/// How much a failure weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The image is not proven.
    #[default]
    Error,
    /// It is reported, and the verdict does not change.
    Warning,
}

/// The firmwares that a check runs on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "`firmware` must be \"all\", \"families\", \"once\" or a list of \"bios\", \"uefi\", \"secure-boot\""
)]
pub enum Which {
    /// `all`, `families` or `once`.
    Word(Often),
    /// These, as far as they are booted at all.
    These(Vec<Firmware>),
}

impl Default for Which {
    fn default() -> Self {
        Self::Word(Often::Once)
    }
}

/// The word form of [`Which`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Often {
    /// On every firmware that is booted.
    All,
    /// On one of each family: BIOS, and UEFI, with Secure Boot where it is booted. For what the boot loader does, which
    /// is the same program on both kinds of UEFI, and with Secure Boot allows less.
    Families,
    /// On the first one.
    Once,
}

/// A condition on the plan.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Condition {
    /// A dotted path into the context: `overlay.ssh.port`.
    pub path: String,
    /// The value there must be this.
    #[serde(default)]
    pub equals: Option<serde_json::Value>,
    /// The value there must be another than this (or missing).
    #[serde(default)]
    pub differs: Option<serde_json::Value>,
    /// The value there must be a list with this in it.
    #[serde(default)]
    pub contains: Option<serde_json::Value>,
    /// There must be (`true`) or must not be (`false`) anything.
    #[serde(default)]
    pub present: Option<bool>,
}
