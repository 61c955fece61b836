//! Which packages are installed first: those of the base that a recipe extends, so that recipes which share a base share
//! its tree, and a package more or less touches only what comes after it.
//!
//! The division is part of what an image is: it is made in the same way whether anything is cached or not.

use super::order;
use super::unpack::Package;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The packages of a set in two tiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tiers {
    /// Names of those that the base asks for, with the essential ones and all that they need. All packages, when the
    /// recipe extends nothing.
    pub base: BTreeSet<String>,
    /// Whether a package that is not in the base has to do with the initramfs, as far as Debian is concerned: it
    /// brings a hook, a module, firmware or device rules, or asks for an update.
    pub own_initramfs: bool,
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

/// Divides a set of which the base asks for `names`.
pub fn divide(packages: &[Package], names: &BTreeSet<String>) -> Result<Tiers> {
    let all = || packages.iter().map(|package| package.control.stanza.package().to_owned());
    if names.is_empty() {
        return Ok(Tiers { base: all().collect(), own_initramfs: false });
    }
    let ranks = order::base(packages, names)?;
    let (base, own): (Vec<usize>, Vec<usize>) = (0..packages.len()).partition(|rank| ranks.contains(rank));
    Ok(Tiers {
        base: base.into_iter().map(|rank| packages[rank].control.stanza.package().to_owned()).collect(),
        own_initramfs: own.into_iter().any(|rank| concerns_initramfs(&packages[rank])),
    })
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

    fn names(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_base_holds_what_it_needs_and_nothing_else() {
        let set = [
            package("Package: aa\nVersion: 1\nProvides: virtual\n", &[]),
            package("Package: bb\nVersion: 1\nEssential: yes\nDepends: cc\n", &[]),
            package("Package: cc\nVersion: 2\n", &[]),
            package("Package: dd\nVersion: 1\nDepends: zz (>= 3) | virtual\n", &[]),
            package("Package: zz\nVersion: 2\n", &[]),
        ];
        assert_eq!(divide(&set, &names(&["dd"])).unwrap().base, names(&["aa", "bb", "cc", "dd"]));
        assert_eq!(divide(&set, &names(&[])).unwrap().base.len(), 5);
    }

    #[test]
    fn packages_with_hooks_or_rules_concern_the_initramfs() {
        let has = |file, text| {
            let set = [
                package("Package: base\nVersion: 1\n", &[]),
                package("Package: own\nVersion: 1\n", &[(file, text)]),
            ];
            divide(&set, &names(&["base"])).unwrap().own_initramfs
        };
        assert!(has("postinst", "#!/bin/sh\nupdate-initramfs -u\n"));
        assert!(has("triggers", "activate-noawait update-initramfs\n"));
        assert!(has("md5sums", "0123  usr/share/initramfs-tools/hooks/x\n"));
        assert!(has("md5sums", "0123  lib/udev/rules.d/x\n"));
        assert!(has("conffiles", "/etc/modprobe.d/x.conf\n"));
        assert!(!has("md5sums", "0123  usr/bin/x\n4567  usr/share/doc/boot/x\n"));
    }
}
