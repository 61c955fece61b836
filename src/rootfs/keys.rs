//! What each stage of a tree is made from.

use super::tiers::Tier;
use super::{Spec, initramfs};
use crate::archive::lock::LockedPackage;
use crate::error::{Context, Result};
use crate::recipe::plan::{Content, Debconf, File, Partition, Plan};
use crate::store::Key;
use crate::tree::inside::Tree;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
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

/// Those of them that are run, so that what they name shapes the menu as well.
const MENU_SCRIPTS: [&str; 3] = ["/etc/default/grub", "/etc/grub.d/", "/etc/kernel"];

/// Directories of the administrator's own programs.
const LOCAL_PROGRAMS: [&str; 2] = ["/usr/local/bin", "/usr/local/sbin"];

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
        .with("settings", Tree::open(tree)?.text("etc/default/grub")?.unwrap_or_default());
    for path in shapes_menu(spec.plan) {
        key = key.with(format!("file {path}"), of_file(&spec.plan.files[path]));
    }
    for (place, command) in spec.plan.commands.iter().enumerate() {
        key = key.with(format!("command {place}"), command.argv.join(" "));
    }
    Ok(key)
}

/// The plan's files that may shape GRUB's menu: those in its places, and what a command or a script of the menu names.
fn shapes_menu(plan: &Plan) -> BTreeSet<&str> {
    let starts = |path: &str, with: &[&str]| with.iter().any(|start| path.starts_with(start));
    let mut texts: Vec<String> = plan.commands.iter().map(|command| command.argv.join(" ")).collect();
    let mut found: BTreeSet<&str> = BTreeSet::new();
    loop {
        let new: Vec<(&str, &File)> = plan
            .files
            .iter()
            .map(|(path, file)| (path.as_str(), file))
            .filter(|(path, _)| !found.contains(path))
            .filter(|(path, _)| {
                // Programs there are found by name.
                let name = path.rsplit_once('/').filter(|(directory, _)| LOCAL_PROGRAMS.contains(directory));
                let named = name.map_or(*path, |(_, name)| name);
                starts(path, &MENU_SOURCES) || texts.iter().any(|text| text.contains(named))
            })
            .collect();
        if new.is_empty() {
            return found;
        }
        for (path, file) in new {
            let run = !starts(path, &MENU_SOURCES) || starts(path, &MENU_SCRIPTS);
            if let (Content::Regular(bytes), true) = (&file.content, run) {
                texts.push(String::from_utf8_lossy(bytes).into_owned());
            }
            found.insert(path);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::plan::{Command, Origin};
    use crate::recipe::testing::empty_plan;

    #[test]
    fn what_the_menus_scripts_and_commands_name_shapes_the_menu() {
        let mut plan = empty_plan("x");
        let origin = || Origin::Overlay("x".into());
        for (path, text) in [
            ("/etc/grub.d/12_x", ". /etc/x.conf"),
            ("/etc/x.conf", "exec x-more"),
            ("/usr/local/sbin/x-more", ""),
            ("/usr/local/sbin/tune", "cat /etc/y.conf"),
            ("/etc/y.conf", ""),
            ("/usr/lib/systemd/system/z.service", "ExecStart=/bin/cat /etc/z.conf"),
            ("/etc/z.conf", ""),
        ] {
            let content = Content::Regular(text.into());
            let (owner, group) = ("root".into(), "root".into());
            plan.files.insert(path.into(), File { content, mode: 0o644, owner, group, origin: origin() });
        }
        plan.commands = vec![Command { argv: vec!["tune".into()], origin: origin() }];
        let found: Vec<&str> = shapes_menu(&plan).into_iter().collect();
        assert_eq!(
            found,
            [
                "/etc/grub.d/12_x",
                "/etc/x.conf",
                "/etc/y.conf",
                "/usr/lib/systemd/system/z.service",
                "/usr/local/sbin/tune",
                "/usr/local/sbin/x-more",
            ]
        );
    }
}
