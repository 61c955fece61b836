//! What made each file that no package owns.

use super::database;
use super::unpack::merged;
use crate::error::Result;
use crate::recipe::plan::Plan;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

/// Files known to be made by a program on behalf of many packages, by the beginning of their path.
const MAKERS: [(&str, &str); 13] = [
    ("/etc/alternatives/", "update-alternatives, run by package scripts"),
    ("/var/lib/dpkg/", "dpkg's own database"),
    ("/etc/ssl/certs/", "update-ca-certificates, run by ca-certificates"),
    ("/var/cache/debconf/", "debconf's own database"),
    ("/var/lib/ucf/", "ucf's own database"),
    ("/var/lib/systemd/deb-systemd-helper-enabled/", "deb-systemd-helper, run by package scripts"),
    ("/var/lib/systemd/deb-systemd-user-helper-enabled/", "deb-systemd-helper, run by package scripts"),
    ("/etc/systemd/system/", "systemctl enable, run by package scripts"),
    ("/etc/systemd/user/", "systemctl enable, run by package scripts"),
    ("/etc/rc", "update-rc.d, run by package scripts"),
    ("/usr/lib/modules/", "depmod, run by the kernel's package script"),
    ("/etc/ld.so.cache", "ldconfig, run by libc-bin"),
    ("/var/cache/ldconfig", "ldconfig, run by libc-bin"),
];

/// Watches a tree from phase to phase and remembers in which one an unowned path appeared.
#[derive(Debug, Default)]
pub struct Phases {
    seen: HashSet<PathBuf>,
    origins: BTreeMap<PathBuf, String>,
}

impl Phases {
    /// Notes what is new in the tree since the last call, as made by `phase`.
    pub fn note(&mut self, tree: &Path, phase: &str) -> Result<()> {
        let mut found = Vec::new();
        walk(tree, Path::new(""), &mut found)?;
        for path in found {
            if self.seen.insert(path.clone()) {
                self.origins.insert(path, phase.to_owned());
            }
        }
        Ok(())
    }

    /// Every path in the finished tree that no package owns, with what made it.
    pub fn explain(&self, tree: &Path, plan: &Plan) -> Result<BTreeMap<String, String>> {
        let owned = owned(tree)?;
        let scripts = scripts(tree)?;
        let mut present = Vec::new();
        walk(tree, Path::new(""), &mut present)?;
        let mut explained = BTreeMap::new();
        for path in present.iter().filter(|path| !owned.contains(*path)) {
            let shown = format!("/{}", path.display());
            let origin = self.origin(&shown, path, plan, &scripts);
            explained.insert(shown, origin);
        }
        Ok(explained)
    }

    fn origin(&self, shown: &str, path: &Path, plan: &Plan, scripts: &BTreeMap<String, String>) -> String {
        if let Some(file) = plan.files.get(shown) {
            return file.origin.to_string();
        }
        if let Some((_, file)) = plan.files.iter().find(|(below, _)| below.starts_with(&format!("{shown}/")))
        {
            return format!("{}, as the directory of its files", file.origin);
        }
        let unit = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let services = &plan.services;
        for (verb, units) in [("enable", &services.enable), ("mask", &services.mask)] {
            if let Some(origin) = units.get(&unit).filter(|_| shown.starts_with("/etc/systemd/system/")) {
                return format!("systemctl {verb}, asked for by {origin}");
            }
        }
        if let Some((_, maker)) = MAKERS.iter().find(|(start, _)| shown.starts_with(start)) {
            return (*maker).to_owned();
        }
        let phase = self.origins.get(path).map_or("the build's last pass", String::as_str);
        if phase != PACKAGES {
            return phase.to_owned();
        }
        // The script that names the path, or the nearest directory above it, made it.
        let mut names = path.ancestors().take_while(|part| part.components().count() > 1);
        let named = names.find_map(|part| {
            let name = format!("/{}", part.display());
            scripts.iter().find(|(_, text)| text.contains(&name)).map(|(package, _)| package)
        });
        match named {
            Some(package) => format!("a package script of {package}"),
            None => PACKAGES.to_owned(),
        }
    }
}

/// The phase in which packages are unpacked and configured.
pub const PACKAGES: &str = "package scripts";

fn walk(tree: &Path, below: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries: Vec<_> = fs_err::read_dir(tree.join(below))?.collect::<std::io::Result<_>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let path = below.join(entry.file_name());
        let is_dir = entry.file_type()?.is_dir();
        found.push(path.clone());
        if is_dir {
            walk(tree, &path, found)?;
        }
    }
    Ok(())
}

/// Every path in the lists of dpkg's database, with the links of merged /usr followed.
fn owned(tree: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut owned = BTreeSet::new();
    for entry in fs_err::read_dir(tree.join(database::DIRECTORY).join("info"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "list") {
            let text = fs_err::read_to_string(&path)?;
            owned.extend(text.lines().map(|line| merged(Path::new(line.trim_start_matches('/')))));
        }
    }
    // The links and directories of merged /usr itself belong to base-files.
    owned.extend(
        ["bin", "sbin", "lib", "lib64", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"].map(PathBuf::from),
    );
    Ok(owned)
}

/// The maintainer scripts of every package, as one text each.
fn scripts(tree: &Path) -> Result<BTreeMap<String, String>> {
    let mut scripts: BTreeMap<String, String> = BTreeMap::new();
    for entry in fs_err::read_dir(tree.join(database::DIRECTORY).join("info"))? {
        let path = entry?.path();
        let kind = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if ["preinst", "postinst", "postrm", "prerm"].contains(&kind) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let package = name.split(':').next().unwrap_or_default().to_owned();
            let text = String::from_utf8_lossy(&fs_err::read(&path)?).into_owned();
            scripts.entry(package).or_default().push_str(&text);
        }
    }
    Ok(scripts)
}
