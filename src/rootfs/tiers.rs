//! The steps of a plan as sets of packages, each with all that it needs and no step before has.
//!
//! The division is part of what an image is: it is made in the same way whether anything is cached or not.

use super::order;
use super::unpack::Package;
use crate::error::Result;
use crate::recipe::plan::Step;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The packages of a set in tiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tiers {
    /// The tiers, in the order in which they are installed; none is empty.
    pub all: Vec<Tier>,
    /// Which tier the initramfs is made from: after it no package has to do with an initramfs, as far as Debian is
    /// concerned, by bringing a hook, a module, firmware or device rules, or asking for an update.
    pub initramfs: usize,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// What the stage is called.
    pub name: String,
    /// The names of its packages.
    pub members: BTreeSet<String>,
}

/// Where packages put what an initramfs is made from.
const SOURCES: [&str; 10] = [
    "boot/",
    "etc/initramfs-tools/",
    "etc/modprobe.d/",
    "etc/udev/",
    "usr/lib/firmware/",
    "usr/lib/modprobe.d/",
    "usr/lib/modules/",
    "usr/lib/udev/",
    "usr/share/initramfs-tools/",
    "usr/lib/cryptsetup/",
];

/// Divides a set of packages by the steps in which they were asked for; what somebody asks for brings along all that it
/// needs. What nobody asks for in the end, as another package does instead, comes last.
pub fn divide(packages: &[Package], steps: &[Step]) -> Result<Tiers> {
    let name = |rank: &usize| packages[*rank].control.stanza.package().to_owned();
    let mut tiers = Tiers { all: Vec::new(), initramfs: 0 };
    let mut done = BTreeSet::new();
    let mut add = |stage: &str, ranks: BTreeSet<usize>| {
        let new: Vec<usize> = ranks.difference(&done).copied().collect();
        if new.is_empty() {
            return;
        }
        if new.iter().any(|&rank| concerns_initramfs(&packages[rank])) {
            tiers.initramfs = tiers.all.len();
        }
        tiers.all.push(Tier { name: stage.to_owned(), members: new.iter().map(name).collect() });
        done.extend(new);
    };
    let mut names = BTreeSet::new();
    for step in steps {
        names.extend(step.packages.iter().cloned());
        add(&step.name, order::closure(packages, &names)?);
    }
    add("other packages", (0..packages.len()).collect());
    Ok(tiers)
}

fn concerns_initramfs(package: &Package) -> bool {
    let control = &package.control;
    let scripts = ["preinst", "postinst", "triggers"];
    if scripts.iter().filter_map(|name| control.text(name)).any(|text| text.contains("update-initramfs")) {
        return true;
    }
    let sums = control.text("md5sums").unwrap_or_default();
    let shipped = sums.lines().filter_map(|line| line.split_whitespace().nth(1));
    let conffiles = control.text("conffiles").unwrap_or_default();
    let settings = conffiles.lines().filter_map(|line| line.split_whitespace().last());
    shipped.chain(settings).any(|path| {
        let path = path.trim_start_matches('/');
        // Packages may still name directories that merged /usr moved.
        let path = if path.starts_with("lib/") { format!("usr/{path}") } else { path.to_owned() };
        SOURCES.iter().any(|source| path.starts_with(source))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::deb::Control;
    use crate::rootfs::stanza::Stanza;

    fn package(fields: &str, files: &[(&str, &str)]) -> Package {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), (0o644, text.as_bytes().to_vec())));
        let control = Control { stanza: Stanza::parse(fields).unwrap(), files: files.collect() };
        Package { deb: "x.deb".into(), expanded: None, control }
    }

    fn steps(named: &[(&str, &[&str])]) -> Vec<Step> {
        let step = |(name, packages): &(&str, &[&str])| Step {
            name: (*name).to_owned(),
            packages: packages.iter().map(|package| (*package).to_owned()).collect(),
        };
        named.iter().map(step).collect()
    }

    fn names(tiers: &Tiers) -> Vec<(&str, Vec<&str>)> {
        let members = |tier: &Tier| -> Vec<&'static str> {
            tier.members.iter().map(|name| &*name.clone().leak()).collect()
        };
        tiers.all.iter().map(|tier| (tier.name.as_str(), members(tier))).collect()
    }

    #[test]
    fn a_tier_holds_what_it_needs_and_nothing_else() {
        let set = [
            package("Package: aa\nVersion: 1\nProvides: virtual\n", &[]),
            package("Package: bb\nVersion: 1\nEssential: yes\nDepends: cc\n", &[]),
            package("Package: cc\nVersion: 2\n", &[]),
            package("Package: dd\nVersion: 1\nDepends: zz (>= 3) | virtual\n", &[]),
            package("Package: ee\nVersion: 1\nDepends: dd, ff\n", &[]),
            package("Package: ff\nVersion: 1\n", &[]),
            package("Package: zz\nVersion: 2\n", &[]),
        ];
        assert_eq!(
            names(&divide(&set, &steps(&[("base", &["dd"]), ("overlay packages", &["ee"])])).unwrap()),
            [
                ("base", vec!["aa", "bb", "cc", "dd"]),
                ("overlay packages", vec!["ee", "ff"]),
                ("other packages", vec!["zz"])
            ]
        );
        assert_eq!(
            names(&divide(&set, &steps(&[("base", &["bb"])])).unwrap()),
            [("base", vec!["bb", "cc"]), ("other packages", vec!["aa", "dd", "ee", "ff", "zz"])]
        );
    }

    #[test]
    fn packages_with_hooks_or_rules_concern_the_initramfs() {
        let tier = |file, text| {
            let set = [
                package("Package: base\nVersion: 1\n", &[]),
                package("Package: own\nVersion: 1\n", &[(file, text)]),
            ];
            divide(&set, &steps(&[("base", &["base"])])).unwrap().initramfs
        };
        assert_eq!(tier("postinst", "#!/bin/sh\nupdate-initramfs -u\n"), 1);
        assert_eq!(tier("triggers", "activate-noawait update-initramfs\n"), 1);
        assert_eq!(tier("md5sums", "0123  usr/share/initramfs-tools/hooks/x\n"), 1);
        assert_eq!(tier("md5sums", "0123  lib/udev/rules.d/x\n"), 1);
        assert_eq!(tier("conffiles", "/etc/modprobe.d/x.conf\n"), 1);
        assert_eq!(tier("md5sums", "0123  usr/bin/x\n4567  usr/share/doc/boot/x\n"), 0);
    }
}
