//! dpkg triggers: deb-triggers(5). Which package wants to know of what, and what must be told later.

use super::database;
use super::unpack::{Package, Unpacked};
use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One line of a `triggers` control file.
#[derive(Debug, PartialEq, Eq)]
struct Directive {
    activates: bool,
    awaits: bool,
    name: String,
}

fn directives(package: &Package) -> Vec<Directive> {
    package
        .control
        .text("triggers")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let (activates, awaits) = match words.next()? {
                "interest" | "interest-await" => (false, true),
                "interest-noawait" => (false, false),
                "activate" | "activate-await" => (true, true),
                "activate-noawait" => (true, false),
                _ => return None,
            };
            Some(Directive { activates, awaits, name: words.next()?.to_owned() })
        })
        .collect()
}

/// Writes a package's interests where dpkg looks for them: paths in `triggers/File`, others in a file each.
pub fn record_interests(triggers: &Path, package: &Package) -> Result<()> {
    let who = database::info_name(package);
    for directive in directives(package).iter().filter(|directive| !directive.activates) {
        let suffix = if directive.awaits { "" } else { "/noawait" };
        let (file, line) = if directive.name.starts_with('/') {
            ("File".to_owned(), format!("{} {who}{suffix}\n", directive.name))
        } else {
            (directive.name.clone(), format!("{who}{suffix}\n"))
        };
        let path = triggers.join(file);
        let mut text = fs_err::read_to_string(&path).unwrap_or_default();
        if !text.lines().any(|known| known == line.trim_end()) {
            text.push_str(&line);
            fs_err::write(&path, text)?;
        }
    }
    Ok(())
}

/// Marks, among the packages that are configured already, those that the newly unpacked ones trigger.
///
/// dpkg does this while it unpacks. Packages that are not configured yet need no trigger: their
/// configuration does the work.
pub fn activate(
    tree: &Path,
    packages: &[Package],
    configured: &BTreeSet<usize>,
    unpacked: &BTreeMap<usize, Unpacked>,
) -> Result<()> {
    let activated: BTreeSet<String> = unpacked
        .keys()
        .flat_map(|&rank| directives(&packages[rank]))
        .filter(|directive| directive.activates)
        .map(|directive| directive.name)
        .collect();
    let paths: BTreeSet<&str> =
        unpacked.values().flat_map(|result| result.paths.iter().map(String::as_str)).collect();
    let below = |directory: &str| {
        let prefix = format!("{directory}/");
        paths.contains(directory)
            || paths.range(prefix.as_str()..).next().is_some_and(|path| path.starts_with(&prefix))
    };
    let mut pending: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for &rank in configured {
        for directive in directives(&packages[rank]).into_iter().filter(|directive| !directive.activates) {
            let hit = if directive.name.starts_with('/') {
                below(&directive.name)
            } else {
                activated.contains(&directive.name)
            };
            if hit {
                pending.entry(packages[rank].control.stanza.package()).or_default().push(directive.name);
            }
        }
    }
    if pending.is_empty() {
        return Ok(());
    }
    database::edit_status(tree, |name, record| {
        let names = pending.get(name)?;
        let record = record.replace("Status: install ok installed", "Status: install ok triggers-pending");
        Some(format!("{record}\nTriggers-Pending: {}", names.join(" ")))
    })
}
