//! Packages by dpkg's own records in the root filesystem, and which files they ship.

use super::report::{Change, PackageChange, PackageWhat};
use super::text::printable;
use super::tree::Tree;
use crate::archive::version::Version;
use crate::rootfs::stanza::Stanza;
use crate::rootfs::unpack::merged;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// dpkg's record of every package.
const STATUS: &str = "/var/lib/dpkg/status";
/// Where dpkg keeps the list of each package's files.
const INFO: &str = "/var/lib/dpkg/info";
/// The state of a package that is there as it should be.
const INSTALLED: &str = "install ok installed";

/// Records by name and architecture.
type Records = BTreeMap<(String, String), Stanza>;

/// The packages of a tree; records that cannot be read are left out, their difference is one of the file.
fn records(tree: &Tree) -> Records {
    let text = tree.text(STATUS).unwrap_or_default();
    let stanzas = text.split("\n\n").filter_map(|text| Stanza::parse(text).ok());
    let keyed = stanzas.map(|stanza| {
        let architecture = stanza.get("Architecture").unwrap_or_default().to_owned();
        ((stanza.package().to_owned(), printable(architecture.as_bytes())), stanza)
    });
    keyed.collect()
}

/// The packages that differ, by name.
pub fn differences(a: &Tree, b: &Tree) -> Vec<PackageChange> {
    let (a, b) = (records(a), records(b));
    let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    keys.into_iter().filter_map(|key| difference(key, a.get(key), b.get(key))).collect()
}

fn difference(key: &(String, String), a: Option<&Stanza>, b: Option<&Stanza>) -> Option<PackageChange> {
    let version =
        |stanza: Option<&Stanza>| Some(printable(stanza?.get("Version").unwrap_or_default().as_bytes()));
    let (version_a, version_b) = (version(a), version(b));
    let state = |stanza: &Stanza| stanza.get("Status").unwrap_or_default().to_owned();
    let mut changes = Vec::new();
    let change = match (a, b) {
        (None, _) => PackageWhat::Added,
        (_, None) => PackageWhat::Removed,
        (Some(a), Some(b)) => {
            let (state_a, state_b) = (state(a), state(b));
            if state_a != state_b {
                let text = |state: String| printable(state.as_bytes());
                changes.push(Change::new("state", text(state_a), text(state_b)));
            }
            match (&version_a, &version_b) {
                (a, b) if a != b => order(a.as_deref().unwrap_or_default(), b.as_deref().unwrap_or_default()),
                _ if changes.is_empty() => return None,
                _ => PackageWhat::Changed,
            }
        }
    };
    if let (None, Some(one)) | (Some(one), None) = (a, b)
        && state(one) != INSTALLED
    {
        let text = Some(printable(state(one).as_bytes()));
        let (a, b) = if a.is_some() { (text, None) } else { (None, text) };
        changes.push(Change { what: "state".into(), a, b });
    }
    let (name, architecture) = key.clone();
    Some(PackageChange { name, architecture, change, a: version_a, b: version_b, changes })
}

fn order(a: &str, b: &str) -> PackageWhat {
    match (Version::parse(a), Version::parse(b)) {
        (Ok(a), Ok(b)) => match a.cmp(&b) {
            Ordering::Less => PackageWhat::Upgraded,
            Ordering::Greater => PackageWhat::Downgraded,
            Ordering::Equal => PackageWhat::Changed,
        },
        _ => PackageWhat::Changed,
    }
}

/// Which package ships which path.
#[derive(Debug, Default)]
pub struct Owners {
    paths: BTreeMap<Vec<u8>, String>,
}

impl Owners {
    /// By the lists of dpkg in a tree. Of several packages that ship a path, as they do directories, none owns it.
    pub fn of(tree: &Tree) -> Self {
        let mut paths: BTreeMap<Vec<u8>, Option<String>> = BTreeMap::new();
        for list in tree.children(INFO).filter(|path| path.ends_with(".list")) {
            let Some(name) = list.strip_prefix(INFO).and_then(|name| name.strip_prefix('/')) else {
                continue;
            };
            let name = printable(name.trim_end_matches(".list").as_bytes());
            for line in tree.text(list).unwrap_or_default().lines() {
                let owner = paths.entry(canonical(line.as_bytes())).or_insert_with(|| Some(name.clone()));
                if owner.as_ref().is_some_and(|owner| *owner != name) {
                    *owner = None;
                }
            }
        }
        let owned = paths.into_iter().filter_map(|(path, owner)| Some((path, owner?)));
        Self { paths: owned.collect() }
    }

    /// The package that ships an absolute path.
    pub fn owner(&self, path: &[u8]) -> Option<&str> {
        self.paths.get(&canonical(path)).map(String::as_str)
    }
}

/// A path with the links of merged /usr followed.
fn canonical(path: &[u8]) -> Vec<u8> {
    let relative = path.strip_prefix(b"/").unwrap_or(path);
    merged(Path::new(std::ffi::OsStr::from_bytes(relative))).into_os_string().into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::testing::tree;

    fn status(packages: &[(&str, &str, &str)]) -> Tree {
        let text: String = packages
            .iter()
            .map(|(name, version, state)| {
                let head = format!("Package: {name}\nStatus: {state}\nArchitecture: amd64\n");
                format!("{head}Version: {version}\nDescription: x\n y\n\n")
            })
            .collect();
        tree(&[(STATUS, &text)])
    }

    #[test]
    fn versions_are_ordered_as_dpkg_does() {
        let a = status(&[
            ("aa", "1.0~rc1-1", INSTALLED),
            ("bb", "2:1", INSTALLED),
            ("cc", "1.0", INSTALLED),
            ("dd", "1", INSTALLED),
            ("ee", "1", INSTALLED),
        ]);
        let b = status(&[
            ("aa", "1.0-1", INSTALLED),
            ("bb", "3", INSTALLED),
            ("cc", "1.00", INSTALLED),
            ("dd", "1", "install ok half-configured"),
            ("ff", "1", INSTALLED),
        ]);
        let found = differences(&a, &b);
        let told: Vec<_> = found.iter().map(|change| (change.name.as_str(), change.change)).collect();
        use PackageWhat::{Added, Changed, Downgraded, Removed, Upgraded};
        let wanted = [
            ("aa", Upgraded),
            ("bb", Downgraded),
            ("cc", Changed),
            ("dd", Changed),
            ("ee", Removed),
            ("ff", Added),
        ];
        assert_eq!(told, wanted);
        assert_eq!(found[3].changes[0].b.as_deref(), Some("install ok half-configured"));
        assert_eq!(differences(&a, &a), []);
    }

    #[test]
    fn files_have_owners_through_merged_usr() {
        let tree = tree(&[
            ("/var/lib/dpkg/info/bash.list", "/.\n/bin\n/bin/bash\n/etc\n/etc/skel\n"),
            ("/var/lib/dpkg/info/dash:amd64.list", "/.\n/usr/bin/dash\n/etc\n"),
            ("/var/lib/dpkg/info/dash.md5sums", "/x\n"),
        ]);
        let owners = Owners::of(&tree);
        assert_eq!(owners.owner(b"/usr/bin/bash"), Some("bash"));
        assert_eq!(owners.owner(b"/bin/dash"), Some("dash:amd64"));
        assert_eq!(owners.owner(b"/etc/skel"), Some("bash"));
        assert_eq!(owners.owner(b"/etc"), None, "several packages ship it");
        assert_eq!(owners.owner(b"/x"), None);
    }
}
