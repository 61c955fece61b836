//! What made each file that no package owns.

use super::database;
use super::unpack::merged;
use crate::disk::filesystem::below;
use crate::error::{Context, Error, Result};
use crate::recipe::plan::Plan;
use crate::tree::directory::Directory;
use crate::tree::inside::Tree;
use std::collections::{BTreeMap, HashSet};
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

/// Paths that goldcast makes itself after the packages, by their beginning.
const OWN: [(&str, &str); 12] = [
    ("/boot/grub", "grub-install and grub-mkconfig, run by goldcast"),
    ("/boot/initrd.img", INITRAMFS),
    ("/var/lib/initramfs-tools", INITRAMFS),
    ("/boot/efi", SETTINGS),
    ("/etc/apt/sources.list.d/debian.sources", SETTINGS),
    ("/etc/default/grub", SETTINGS),
    (super::filter::SETTINGS, "goldcast, from `path-exclude` and `path-include`"),
    ("/etc/fstab", SETTINGS),
    ("/etc/grub.d/enable_cloud", SETTINGS),
    ("/etc/hostname", SETTINGS),
    ("/etc/hosts", SETTINGS),
    ("/etc/initramfs-tools/conf.d/resume", SETTINGS),
];
const INITRAMFS: &str = "update-initramfs, run by goldcast";
const SETTINGS: &str = "goldcast, from [image], [distribution] and the lock";

/// What made each file of a tree of packages that none of them owns.
pub fn packages(tree: &Path) -> Result<BTreeMap<String, String>> {
    let scripts = scripts(tree)?;
    Ok(unowned(tree)?.into_iter().map(|path| (shown(&path), by_scripts(&path, &scripts))).collect())
}

/// Every path in the finished tree that no package owns, with what made it. `before` says so for the tree as it was
/// before anything of the plan was done to it.
pub fn explain(
    tree: &Path,
    plan: &Plan,
    before: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    let explained = unowned(tree)?.into_iter().map(|path| {
        let shown = shown(&path);
        let origin = by_plan(&shown, &path, plan)
            .or_else(|| before.get(&shown).cloned())
            .or_else(|| mount_point(&shown, plan))
            .or_else(|| made_by(&OWN, &shown))
            .or_else(|| made_by(&MAKERS, &shown))
            .unwrap_or_else(|| "accounts, services and commands of the plan".to_owned());
        (shown, origin)
    });
    Ok(explained.collect())
}

fn shown(path: &Path) -> String {
    format!("/{}", path.display())
}

fn made_by(makers: &[(&str, &str)], shown: &str) -> Option<String> {
    makers.iter().find(|(start, _)| shown.starts_with(start)).map(|(_, maker)| (*maker).to_owned())
}

fn by_plan(shown: &str, path: &Path, plan: &Plan) -> Option<String> {
    if let Some(file) = plan.files.get(shown) {
        return Some(file.origin.to_string());
    }
    let below = format!("{shown}/");
    if let Some((_, file)) = plan.files.iter().find(|(path, _)| path.starts_with(&below)) {
        return Some(format!("{}, as the directory of its files", file.origin));
    }
    let unit = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let services = &plan.services;
    [("enable", &services.enable), ("mask", &services.mask)].into_iter().find_map(|(verb, units)| {
        let origin = units.get(&unit).filter(|_| shown.starts_with("/etc/systemd/system/"))?;
        Some(format!("systemctl {verb}, asked for by {origin}"))
    })
}

/// A directory on the way to a partition's mount point, or that itself.
fn mount_point(shown: &str, plan: &Plan) -> Option<String> {
    let partition = plan.partitions.iter().find(|partition| below(&partition.mount, shown).is_some())?;
    Some(format!("{}, as the mount point of its partition", partition.origin))
}

/// The script that names the path, or the nearest directory above it, made it.
fn by_scripts(path: &Path, scripts: &BTreeMap<String, String>) -> String {
    if let Some(maker) = made_by(&MAKERS, &shown(path)) {
        return maker;
    }
    let mut names = path.ancestors().take_while(|part| part.components().count() > 1);
    let named = names.find_map(|part| {
        let name = shown(part);
        scripts.iter().find(|(_, text)| text.contains(&name)).map(|(package, _)| package)
    });
    match named {
        Some(package) => format!("a package script of {package}"),
        None => "package scripts".to_owned(),
    }
}

/// The paths of a tree that are in no list of dpkg's database.
fn unowned(tree: &Path) -> Result<Vec<PathBuf>> {
    let owned = owned(tree)?;
    let mut present = Vec::new();
    walk(tree, Path::new(""), &mut present)?;
    present.retain(|path| !owned.contains(path));
    Ok(present)
}

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

/// The directory of what dpkg's database keeps of each package.
fn info(tree: &Path) -> Result<Directory> {
    let info = Tree::open(tree)?.find(Path::new(database::DIRECTORY).join("info"))?;
    info.ok_or_else(|| Error::new("there is no database of dpkg in the tree"))
}

fn files(directory: &Directory) -> Result<impl Iterator<Item = PathBuf>> {
    let entries = directory.entries()?.into_iter().filter(|(_, kind)| kind.is_file());
    Ok(entries.map(|(name, _)| PathBuf::from(name)))
}

/// Every path in the lists of dpkg's database, with the links of merged /usr followed.
fn owned(tree: &Path) -> Result<HashSet<PathBuf>> {
    let mut owned = HashSet::new();
    let info = info(tree)?;
    for name in files(&info)? {
        if name.extension().is_some_and(|extension| extension == "list") {
            let text = info.read(&name)?;
            let text = str::from_utf8(&text).doing_with(|| format!("reading {}", name.display()))?;
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
    let info = info(tree)?;
    for path in files(&info)? {
        let kind = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if ["preinst", "postinst", "postrm", "prerm"].contains(&kind) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let package = name.split(':').next().unwrap_or_default().to_owned();
            let text = String::from_utf8_lossy(&info.read(&path)?).into_owned();
            scripts.entry(package).or_default().push_str(&text);
        }
    }
    Ok(scripts)
}
