//! dpkg triggers: deb-triggers(5). Which package wants to know of what, and what must be told later.

use super::database;
use super::unpack::{Package, Unpacked};
use crate::error::{Error, Result};
use crate::tree::directory::Directory;
use nix::sys::stat::SFlag;
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

/// What a name says how it is activated; see `trig_classify_byname` in dpkg's lib/dpkg/triglib.c.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// By files that change at or below a path.
    Path,
    /// By name.
    Explicit,
}

/// The kind of a trigger; nothing when dpkg would take the name for none.
fn kind(name: &str) -> Option<Kind> {
    if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    if let Some(path) = name.strip_prefix('/') {
        return path.split('/').all(|part| !part.is_empty()).then_some(Kind::Path);
    }
    // As a package's, in which dpkg still takes capitals; it names a file in the database.
    let signs = |byte: u8| byte.is_ascii_alphanumeric() || b"-+.".contains(&byte);
    let legal = name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(signs);
    legal.then_some(Kind::Explicit)
}

/// Writes a package's interests where dpkg looks for them: paths in `triggers/File`, others in a file each.
///
/// dpkg refuses a package with an interest in what is no trigger, and so does goldcast.
pub fn record_interests(triggers: &Directory, package: &Package) -> Result<()> {
    let who = database::info_name(package);
    for directive in directives(package).iter().filter(|directive| !directive.activates) {
        let suffix = if directive.awaits { "" } else { "/noawait" };
        let name = directive.name.as_str();
        let (file, line) = match kind(name) {
            Some(Kind::Path) => ("File", format!("{name} {who}{suffix}\n")),
            Some(Kind::Explicit) => (name, format!("{who}{suffix}\n")),
            None => return Err(no_trigger(package, name)),
        };
        // A link there is none of dpkg's.
        let known = triggers.kind(file)? == Some(SFlag::S_IFREG);
        let mut text = if known { triggers.read(file)? } else { Vec::new() };
        if !text.split(|&byte| byte == b'\n').any(|known| known == line.trim_end().as_bytes()) {
            text.extend(line.bytes());
            triggers.write(file, &text)?;
        }
    }
    Ok(())
}

fn no_trigger(package: &Package, name: &str) -> Error {
    Error::new(format!("the package {} wants to be told of {name:?}", package.control.stanza.package()))
        .because("a trigger is named by an absolute path, or as a package is (deb-triggers(5))")
        .hint("dpkg does not install such a package either: take another one, or tell who made it")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::deb::Control;
    use crate::rootfs::stanza::Stanza;
    use crate::tree::inside::Tree;

    fn package(triggers: &str) -> Package {
        let stanza = Stanza::parse("Package: xx\nArchitecture: all\n").unwrap();
        let files = BTreeMap::from([("triggers".to_owned(), (0o644, triggers.as_bytes().to_vec()))]);
        Package { deb: "xx.deb".into(), expanded: None, control: Control { stanza, files } }
    }

    #[test]
    fn names_are_told_apart_as_dpkg_does() {
        for path in ["/usr/share/man", "/a", "/usr/lib/x86_64-linux-gnu"] {
            assert_eq!(kind(path), Some(Kind::Path), "{path}");
        }
        for name in ["ldconfig", "update-initramfs", "libc6.1", "g++", "Upper"] {
            assert_eq!(kind(name), Some(Kind::Explicit), "{name}");
        }
        for bad in ["", "/", "/a/", "//a", "..", ".x", "-x", "../x", "a/../b", "a_b", "a\tb", "ä", "a\u{7f}"]
        {
            assert_eq!(kind(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn interests_stay_in_the_database() {
        let outside = tempfile::tempdir().unwrap();
        let theirs = outside.path().join("theirs");
        fs_err::write(&theirs, "").unwrap();
        let database = outside.path().join("tree/triggers");
        fs_err::create_dir_all(&database).unwrap();
        std::os::unix::fs::symlink(&theirs, database.join("linked")).unwrap();
        let triggers = Tree::open(&database).unwrap().find("/").unwrap().unwrap();
        let text =
            "interest-noawait /usr/lib\ninterest named # why\ninterest linked\nactivate ../../theirs\n";
        for _ in 0..2 {
            record_interests(&triggers, &package(text)).unwrap();
        }
        let read = |name: &str| fs_err::read_to_string(database.join(name)).unwrap();
        assert_eq!((read("File").as_str(), read("named").as_str()), ("/usr/lib xx/noawait\n", "xx\n"));
        assert_eq!(read("linked"), "xx\n");
        for bad in ["interest ../../theirs\n", "interest-await ..\n"] {
            let error = record_interests(&triggers, &package(bad)).unwrap_err();
            assert!(error.to_string().contains("deb-triggers(5)") && error.advice().is_some(), "{error}");
        }
        assert_eq!(fs_err::read(&theirs).unwrap(), b"");
    }
}
