//! What a check does, step by step, as a check file says it; the files beside this one do it.

use super::{Condition, Expect, Publish};
use crate::verify::lab::Service;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

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
    /// A bash script in a file beside the check file; runs where the check's kind says. One that looks from outside ends
    /// with status 77 when it cannot tell.
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
    /// The conditions under which the step is taken; all must hold.
    #[serde(default)]
    pub when: Vec<Condition>,
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
    /// The envelope's sender.
    #[serde(default)]
    pub from: Option<Word>,
    /// How many letters there must be, and some seconds later still; at least one when it is not said.
    #[serde(default)]
    pub count: Option<usize>,
    /// Only letters that came encrypted, or only those that came in the clear.
    #[serde(default)]
    pub encrypted: Option<bool>,
    /// Only letters of this account at the relay.
    #[serde(default)]
    pub account: Option<Account>,
}

/// Who a letter is from, as the relay's client said and proved.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Account {
    /// The name.
    pub user: Word,
    /// The password.
    pub password: Word,
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

/// `tree`: the files of the image's root filesystem. In patterns `*` is any part of a name, `**` any path;
/// `{{…}}` is filled in.
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
