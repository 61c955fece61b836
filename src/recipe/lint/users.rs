//! People's accounts: numbers, keys and hashes.

use super::super::node::Node;
use super::super::password::{self, Strength};
use super::super::problem::Problems;
use super::super::ssh_key;
use crate::nearest;
use std::collections::{BTreeMap, BTreeSet};

/// Groups that base-passwd, systemd and the packages of every server make.
const BASE_GROUPS: &[&str] = &[
    "adm",
    "audio",
    "backup",
    "bin",
    "cdrom",
    "crontab",
    "daemon",
    "dialout",
    "dip",
    "disk",
    "fax",
    "floppy",
    "games",
    "input",
    "irc",
    "kmem",
    "kvm",
    "list",
    "lp",
    "mail",
    "man",
    "messagebus",
    "netdev",
    "news",
    "nogroup",
    "operator",
    "plugdev",
    "proxy",
    "render",
    "root",
    "sasl",
    "sgx",
    "shadow",
    "src",
    "staff",
    "sudo",
    "sync",
    "sys",
    "systemd-journal",
    "systemd-network",
    "systemd-resolve",
    "systemd-timesync",
    "tape",
    "tty",
    "users",
    "utmp",
    "uucp",
    "video",
    "voice",
    "www-data",
];

/// Duplicate numbers and keys are told; weak hashes, and passwords to change that are not there, too.
pub fn users(recipe: &Node, problems: &mut Problems) {
    let mut uids: BTreeMap<i64, String> = BTreeMap::new();
    let mut keys: BTreeMap<Vec<u8>, String> = BTreeMap::new();
    for user in recipe.list("user") {
        let name = user.text("name").unwrap_or("?");
        if let (Some(uid), Some(node)) = (user.integer("uid"), user.get("uid")) {
            if let Some(other) = uids.get(&uid) {
                let message = format!("users {other} and {name} have the same uid {uid}");
                problems.error(
                    node.at,
                    message,
                    "the second",
                    Some("each account has its own number".into()),
                );
            }
            uids.entry(uid).or_insert_with(|| name.to_owned());
        }
        for (line, at) in user.texts("ssh-keys") {
            let Ok(key) = ssh_key::parse(line) else { continue };
            match keys.get(&key.blob) {
                Some(other) if other != name => {
                    let message = format!("{name} and {other} share an ssh key");
                    let help = "one key for each person tells in the logs who it was".to_owned();
                    problems.warning(at, message, "the second", Some(help));
                }
                _ => {
                    keys.insert(key.blob, name.to_owned());
                }
            }
        }
        if let (Some(true), Some(node), None) =
            (user.boolean("expire-password"), user.get("expire-password"), user.text("password-hash"))
        {
            let message = format!("{name} has no password that could be changed at the first login");
            let help = "whoever has a key alone would be asked for the old password, and be locked out: give it a \
                        `password-hash`, or leave `expire-password` out";
            problems.error(node.at, message, "no password", Some(help.into()));
        }
        if let (Some(hash), Some(node)) = (user.text("password-hash"), user.get("password-hash"))
            && password::parse(hash) == Ok(Strength::Weak)
        {
            let message = format!("the password hash of {name} is of a weak kind");
            let help = "yescrypt is far slower to guess: `mkpasswd -m yescrypt` (package whois)".to_owned();
            problems.warning(node.at, message, "weak", Some(help));
        }
    }
}

/// Refuses a person whose name a group has: each person gets a group of that name.
pub fn names(recipe: &Node, created: &BTreeSet<&str>, problems: &mut Problems) {
    for user in recipe.list("user") {
        let Some((name, node)) = user.text("name").zip(user.get("name")) else { continue };
        if created.contains(name) || BASE_GROUPS.contains(&name) {
            let message =
                format!("there is a group `{name}` already, and a person's group has the person's name");
            problems.error(node.at, message, "a group's name", Some("give this person another name".into()));
        }
    }
}

/// Warns of a group that looks like a typing error.
pub fn groups(recipe: &Node, created: &BTreeSet<&str>, problems: &mut Problems) {
    for user in recipe.list("user") {
        for (group, at) in user.texts("groups") {
            if created.contains(group) || BASE_GROUPS.contains(&group) {
                continue;
            }
            if let Some(near) = nearest::one(group, BASE_GROUPS.iter().chain(created).copied()) {
                let message = format!("neither Debian's base nor an overlay has a group `{group}`");
                problems.warning(at, message, "unknown", Some(format!("did you mean `{near}`?")));
            }
        }
    }
}
