//! What each stage of a tree is made from.

use super::tiers::Tier;
use super::{Spec, initramfs};
use crate::archive::lock::LockedPackage;
use crate::error::{Context, Result};
use crate::recipe::plan::{Content, Debconf, File, Partition};
use crate::store::Key;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::OnceLock;

/// Files of a plan that may shape GRUB's menu, by the beginning of their path: its scripts and what they call, kernels,
/// the distribution's name, fonts and backgrounds.
const MENU_SOURCES: [&str; 10] = [
    "/boot/",
    "/etc/default/grub",
    "/etc/grub.d/",
    "/etc/kernel",
    "/etc/lsb-release",
    "/etc/os-release",
    "/usr/bin/",
    "/usr/lib/",
    "/usr/sbin/",
    "/usr/share/",
];

/// The tree of a tier's packages, over that of the tier before it.
pub fn tier(tier: &Tier, before: Option<&Key>, spec: &Spec<'_>) -> Result<Key> {
    let key = Key::new(&tier.name);
    let key = match before {
        Some(before) => key.with(before.stage(), before.digest()),
        None => {
            let mut key = key
                .with("goldcast", program()?)
                .with("architecture", &spec.plan.distribution.architecture)
                .with("source-date-epoch", spec.lock.source_date_epoch.to_string());
            for pattern in spec.plan.packages.path_exclude.keys() {
                key = key.with(format!("path {pattern}"), "excluded");
            }
            for pattern in spec.plan.packages.path_include.keys() {
                key = key.with(format!("path {pattern} all the same"), "included");
            }
            key
        }
    };
    Ok(packages(key, spec, |package| tier.members.contains(package)))
}

/// The initramfs, from a tree of packages.
pub fn initramfs(tree: &Key, spec: &Spec<'_>) -> Key {
    let mut key = Key::new("initramfs").with(tree.stage(), tree.digest());
    for (path, file) in initramfs::sources(spec) {
        key = key.with(format!("file {path}"), of_file(&file));
    }
    key
}

/// The finished tree.
pub fn tree(set: &Key, initramfs: &Key, spec: &Spec<'_>) -> Result<Key> {
    let plan = spec.plan;
    let written = |value: serde_json::Result<String>| value.doing("writing down the plan");
    let mut key = Key::new("tree")
        .with("packages", set.digest())
        .with("initramfs", initramfs.digest())
        .with("root filesystem", spec.identity.root.filesystem.to_string())
        .with("esp filesystem", spec.identity.esp_uuid())
        .with("hostname", &plan.image.hostname)
        .with("mirror", plan.distribution.mirror.clone().unwrap_or_default())
        .with("distribution", format!("{} {}", plan.distribution.name, plan.distribution.release));
    for Partition { mount, options, .. } in &plan.partitions {
        let uuid = spec.identity.volume(mount).filesystem;
        key = key.with(format!("filesystem {mount}"), format!("{uuid} {}", options.join(",")));
    }
    for (path, file) in &plan.files {
        key = key.with(format!("file {path}"), of_file(file));
    }
    for (place, user) in plan.users.iter().enumerate() {
        let text = written(serde_json::to_string(&(place, user)))?;
        key = key.with(format!("user {}", user.name), hex::encode(Sha256::digest(text)));
    }
    for (name, group) in &plan.groups {
        key = key.with(format!("group {name}"), if group.system { "system" } else { "ordinary" });
    }
    let services = &plan.services;
    for (verb, units) in
        [("enabled", &services.enable), ("disabled", &services.disable), ("masked", &services.mask)]
    {
        for unit in units.keys() {
            key = key.with(format!("unit {unit} {verb}"), "yes");
        }
    }
    for (place, command) in plan.commands.iter().enumerate() {
        key = key.with(format!("command {place}"), command.argv.join(" "));
    }
    let words: Vec<&str> = plan.kernel_arguments.iter().map(|word| word.value.as_str()).collect();
    Ok(key.with("kernel arguments", words.join(" ")))
}

/// GRUB's menu in a tree that is finished but for it. What grub-mkconfig(8) reads is the packages', the settings that
/// goldcast writes for it, or somewhere below /boot and /etc, where the plan's files and commands may have put more.
pub fn menu(set: &Key, tree: &Path, spec: &Spec<'_>) -> Result<Key> {
    let mut key = Key::new("boot menu")
        .with("packages", set.digest())
        .with("root filesystem", spec.identity.root.filesystem.to_string())
        .with("root partition", spec.identity.root.partition.to_string())
        .with("settings", fs_err::read_to_string(tree.join("etc/default/grub"))?);
    for (path, file) in &spec.plan.files {
        if MENU_SOURCES.iter().any(|start| path.starts_with(start)) {
            key = key.with(format!("file {path}"), of_file(file));
        }
    }
    for (place, command) in spec.plan.commands.iter().enumerate() {
        key = key.with(format!("command {place}"), command.argv.join(" "));
    }
    Ok(key)
}

fn packages(mut key: Key, spec: &Spec<'_>, belongs: impl Fn(&str) -> bool) -> Key {
    for LockedPackage { name, version, sha256, .. } in &spec.lock.packages {
        if belongs(name) {
            key = key.with(format!("package {name}"), format!("{version} {sha256}"));
        }
    }
    for Debconf { package, question, kind, value, .. } in &spec.plan.debconf {
        if belongs(package) {
            key = key.with(format!("answer {package} {question}"), format!("{kind} {value}"));
        }
    }
    key
}

fn of_file(file: &File) -> String {
    let content = match &file.content {
        Content::Regular(bytes) => hex::encode(Sha256::digest(bytes)),
        Content::Directory => "directory".to_owned(),
        Content::Link(target) => format!("link to {target}"),
    };
    format!("{content} {:04o} {}:{}", file.mode, file.owner, file.group)
}

/// Version and digest of the running program: another one may do things differently.
pub fn program() -> Result<String> {
    static DIGEST: OnceLock<String> = OnceLock::new();
    if let Some(known) = DIGEST.get() {
        return Ok(known.clone());
    }
    let sha256 = crate::store::hash_file(std::path::Path::new("/proc/self/exe"))
        .doing("reading goldcast's own program")?;
    Ok(DIGEST.get_or_init(|| format!("{} {sha256}", env!("CARGO_PKG_VERSION"))).clone())
}
