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
mod run;
mod select;
mod serve;
mod ssh;
mod tree;

pub use context::{Context, FACTS};
#[cfg(test)]
pub use load::shipped;
pub use load::{BASE, Checks, load, nearest, schema};
pub use publish::Publish;
pub use run::{Place, Runner};
pub use select::{Chosen, Selection, select};
pub use ssh::Key;
pub use tree::ImageTree;

use super::firmware::Firmware;
use super::lab::Service;
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
    /// There must be (`true`) or must not be (`false`) anything.
    #[serde(default)]
    pub present: Option<bool>,
}

/// One step. Exactly one of the kinds (`run` to `console`) is named.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// A bash script, run as root in the machine.
    #[serde(default)]
    pub run: Option<String>,
    /// A program of the tools tree with its arguments, run in the machine's network.
    #[serde(default)]
    pub outside: Option<Vec<Word>>,
    /// A bash script in a file beside the check file; runs where the check's kind says.
    #[serde(default)]
    pub script: Option<String>,
    /// The script runs in the machine, though the check looks from outside.
    #[serde(default)]
    pub inside: bool,
    /// The script looks from outside and logs in as this user: the file of the run's key, let in there as with `ssh`,
    /// is in its environment as `SSH_KEY`.
    #[serde(default)]
    pub key_for: Option<Word>,
    /// The script is a server at the lab's outside host: it goes on beside the steps that follow, until the check ends
    /// or a step stops it. The step holds when this TCP port answers there. Scripts that look from outside find what
    /// the others of their check left in `/lab`.
    #[serde(default)]
    pub serves: Option<Word>,
    /// Stops the server that this script is.
    #[serde(default)]
    pub stops: Option<String>,
    /// A TCP connection to the machine.
    #[serde(default)]
    pub connect: Option<Connect>,
    /// An SSH session with a key made for this run.
    #[serde(default)]
    pub ssh: Option<Ssh>,
    /// Letters that came to the lab's mail server since the check began.
    #[serde(default)]
    pub mail: Option<Mail>,
    /// Switches the lab's mail server; it is `on` when a check begins.
    #[serde(default)]
    pub mail_server: Option<Service>,
    /// Puts a package into the lab's Debian archive, where every mirror's name leads.
    #[serde(default)]
    pub publish: Option<Publish>,
    /// A look at the files of the image.
    #[serde(default)]
    pub tree: Option<Tree>,
    /// The image file after all boots.
    #[serde(default)]
    pub digest: Option<Digest>,
    /// Restarts the machine and waits until it is up again.
    #[serde(default)]
    pub reboot: Option<bool>,
    /// Talks with whoever answers on the machine's serial line.
    #[serde(default)]
    pub console: Option<Vec<Talk>>,
    /// Environment of `run`, `outside` and `script`.
    #[serde(default)]
    pub env: BTreeMap<String, Word>,
    /// Keeps standard output under this name when the step holds: later steps of the check see it as `{{kept.NAME}}`.
    #[serde(default)]
    pub keep: Option<String>,
    /// What must come out; without it, exit status 0.
    #[serde(default)]
    pub expect: Expect,
    /// A `run` or `script` in the machine is done on the second machine as well, with the same expectations, and no line
    /// that it writes there may be one that it wrote here.
    #[serde(default)]
    pub differs: bool,
    /// Tries again until it holds, for at most so many seconds.
    #[serde(default)]
    pub within: Option<u64>,
    /// Seconds that one try may take.
    #[serde(default)]
    pub timeout: Option<u64>,
}

/// A text that may contain `{{…}}`; numbers and truth values are taken as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a string, a number or a truth value")]
pub enum Word {
    /// As written.
    Text(String),
    /// A number.
    Number(i64),
    /// `true` or `false`.
    Truth(bool),
}

impl Word {
    /// The text, before `{{…}}` is filled in.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
        }
    }
}

/// `mail`: letters that came since the check began.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mail {
    /// Words that a letter has in its headers or body, all of them; other letters do not count.
    pub contains: Vec<Word>,
    /// One of the envelope's recipients.
    #[serde(default)]
    pub to: Option<Word>,
    /// How many letters there must be, and some seconds later still; at least one when it is not said.
    #[serde(default)]
    pub count: Option<usize>,
    /// Only letters that came encrypted, or only those that came in the clear.
    #[serde(default)]
    pub encrypted: Option<bool>,
}

/// `connect`: a TCP connection to the machine.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Connect {
    /// The port.
    pub port: Word,
    /// The machine's address, when it is not its first: `{{guest.address6}}`.
    #[serde(default)]
    pub address: Option<Word>,
    /// The address that the connection comes from: `{{lab.attacker}}`. Only in the lab.
    #[serde(default)]
    pub from: Option<Word>,
    /// Whether something must answer there.
    pub open: bool,
    /// Sent once the connection is there; then all is read that the service says until it hangs up.
    #[serde(default)]
    pub send: Option<Word>,
    /// A regular expression for the first thing that the service says. Outside the lab a port that says nothing cannot
    /// be told from a silently dropped one, so `open = true` needs it.
    #[serde(default)]
    pub banner: Option<String>,
}

/// An entry of `console`: exactly one of `restart`, `send`, and `wait` with or without `lacks`, or `lacks` alone.
/// Escape sequences are not in what is compared.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Talk {
    /// Tells the machine to restart, without waiting for it. Steps after this one are for the boot that follows.
    #[serde(default)]
    pub restart: Option<bool>,
    /// Types this; Enter is `\r`.
    #[serde(default)]
    pub send: Option<Word>,
    /// Waits for what matches this regular expression, behind what was waited for or typed last.
    #[serde(default)]
    pub wait: Option<String>,
    /// What matches this may not come, until what is waited for has come.
    #[serde(default)]
    pub lacks: Option<String>,
    /// Seconds to listen; for `wait` as many as a boot may take when it does not say.
    #[serde(default)]
    pub within: Option<u64>,
}

/// `ssh`: a session with a key made for this run.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ssh {
    /// Who logs in.
    pub user: Word,
    /// The port.
    pub port: Word,
    /// What runs there.
    #[serde(default)]
    pub command: Option<String>,
    /// The client: a command is for `ssh`, the others list and fetch a file.
    #[serde(default)]
    pub program: Client,
    /// Puts the run's key into the user's authorized keys in the throw-away overlay, and offers it. A user whose first
    /// login asks for a new password is let in without that.
    #[serde(default = "yes")]
    pub key: bool,
    /// Whether the key is put there at all, before it is offered.
    #[serde(default = "yes")]
    pub authorize: bool,
    /// The address that the client comes from: `{{lab.attacker}}`. In the lab it is the owner's for a login that must
    /// succeed and a stranger's for one that must not, unless it or the machine's address is said.
    #[serde(default)]
    pub from: Option<Word>,
    /// The machine's address, when it is not its first: `{{guest.address6}}`.
    #[serde(default)]
    pub address: Option<Word>,
    /// Whether the client gets through to the server at all; when not, it must be shut out before a word is said.
    #[serde(default = "yes")]
    pub reach: bool,
    /// Whether the login must succeed.
    #[serde(default = "yes")]
    pub login: bool,
    /// The authentication methods that the server must name when it refuses, in any order.
    #[serde(default)]
    pub offers: Option<Vec<String>>,
    /// More options for the client (`KexAlgorithms=…`).
    #[serde(default)]
    pub options: Vec<String>,
}

/// A client that speaks SSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Client {
    /// ssh(1): runs a command.
    #[default]
    Ssh,
    /// sftp(1): lists the home directory.
    Sftp,
    /// scp(1): fetches /etc/hostname.
    Scp,
}

fn yes() -> bool {
    true
}

/// `tree`: the files of the image's root filesystem. In patterns `*` is any part of a name, `**` any path.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tree {
    /// Nothing may be there.
    #[serde(default)]
    pub absent: Vec<String>,
    /// No regular file may be there; links and directories may.
    #[serde(default)]
    pub no_files: Vec<String>,
    /// Regular files there must have no content.
    #[serde(default)]
    pub empty: Vec<String>,
    /// Something must be there.
    #[serde(default)]
    pub present: Vec<String>,
    /// Files with one of several contents; a file that is not there counts as empty.
    #[serde(default)]
    pub one_of: Vec<OneOf>,
    /// Words that no file may contain.
    #[serde(default)]
    pub lacks: Vec<Lacks>,
}

/// A file with one of several contents.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OneOf {
    /// The file.
    pub path: String,
    /// What it may contain, without white space at the ends.
    pub contents: Vec<String>,
}

/// Words that no file may contain.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lacks {
    /// Patterns of the files to read, up to 1 MiB each.
    pub files: Vec<String>,
    /// The words; one that comes out empty is not looked for.
    pub words: Vec<String>,
}

/// `digest`: the image file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Digest {
    /// Its sha256 after all boots is the one that the proof names.
    Unchanged,
}

/// What must come out of a step.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// The exit status, or `any`; 0 when it is not named.
    #[serde(default)]
    pub exit: Option<Exit>,
    /// Standard output.
    #[serde(default)]
    pub stdout: Text,
    /// Standard error.
    #[serde(default)]
    pub stderr: Text,
}

/// An exit status that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "an exit status, a list of them, or \"any\" or \"failure\"")]
pub enum Exit {
    /// This one.
    Is(i32),
    /// One of these.
    OneOf(Vec<i32>),
    /// A word for many.
    Word(ExitWord),
}

/// The word form of [`Exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExitWord {
    /// Whatever it is.
    Any,
    /// Anything but 0.
    Failure,
}

/// What a text must be. White space at its ends does not count.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Text {
    /// Exactly this.
    #[serde(default)]
    pub equals: Option<String>,
    /// Nothing (`true`), or something (`false`).
    #[serde(default)]
    pub empty: Option<bool>,
    /// All of these occur in it.
    #[serde(default)]
    pub contains: Vec<String>,
    /// None of these occurs in it.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// A regular expression matches somewhere in it (`^` and `$` are the ends of lines).
    #[serde(default)]
    pub matches: Option<String>,
    /// Its lines, compared as a set with a fact of the plan.
    #[serde(default)]
    pub lines: Option<Lines>,
    /// It is JSON, and these places in it have these values.
    #[serde(default)]
    pub json: Vec<JsonPlace>,
}

/// Lines as a set, compared with a fact by name. Exactly one is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lines {
    /// The same lines as this fact.
    #[serde(default)]
    pub equal: Option<String>,
    /// No line that is not in this fact.
    #[serde(default)]
    pub within: Option<String>,
    /// Every line of this fact, and maybe more.
    #[serde(default)]
    pub include: Option<String>,
}

/// A place in a JSON document and its value.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct JsonPlace {
    /// A JSON pointer (RFC 6901): `/nftables/0/metainfo`.
    pub pointer: String,
    /// What must be there.
    pub equals: serde_json::Value,
}
