//! Two trees, path by path.

use super::accounts::Accounts;
use super::capability;
use super::content;
use super::findings::{Aspects, Changed};
use super::packages::Owners;
use super::report::{Change, FileChange, Properties, What};
use super::text::{grouped, printable, time};
use super::tree::{Entry, Kind, Tree, is_below};
use crate::error::{Context, Result};
use crate::interrupt;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// So many other names of a file are shown.
const NAMES: usize = 50;

/// One side of a comparison: a tree and what is known about its owners.
pub struct Side<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// Names of users and groups.
    pub accounts: &'a Accounts,
    /// Packages of paths.
    pub owners: &'a Owners,
}

/// What is compared, and how it is told.
pub struct Scope<'a> {
    /// Name of the filesystem, for the report.
    pub filesystem: &'a str,
    /// Only paths below one of these; everything when there are none.
    pub only: Vec<Vec<u8>>,
    /// Whether differing contents are not shown.
    pub stat: bool,
}

impl Scope<'_> {
    /// Whether a path is compared.
    pub fn has(&self, path: &[u8]) -> bool {
        self.only.is_empty() || self.only.iter().any(|prefix| is_below(path, prefix))
    }
}

/// Every path that differs, in order.
pub fn differences(a: &Side, b: &Side, scope: &Scope) -> Result<(Vec<FileChange>, Changed)> {
    let paths: BTreeSet<&Vec<u8>> = a.tree.entries.keys().chain(b.tree.entries.keys()).collect();
    let paths: Vec<&Vec<u8>> = paths.into_iter().filter(|path| scope.has(path)).collect();
    let pair = Pair {
        a,
        b,
        scope,
        linked: (a.tree.linked(), b.tree.linked()),
        whole_seconds: a.tree.whole_seconds || b.tree.whole_seconds,
    };
    let found: Vec<Option<(FileChange, Aspects)>> =
        paths.par_iter().map(|path| pair.path(path)).collect::<Result<_>>()?;
    let mut changed = Changed::default();
    let mut changes = Vec::new();
    for (path, found) in paths.iter().zip(found) {
        if let Some((change, aspects)) = found {
            changed.paths.insert((*path).clone(), aspects);
            changes.push(change);
        }
    }
    Ok((changes, changed))
}

/// Paths by the identity of the file they are names of.
type Linked<'a> = BTreeMap<u64, Vec<&'a [u8]>>;

struct Pair<'a> {
    a: &'a Side<'a>,
    b: &'a Side<'a>,
    scope: &'a Scope<'a>,
    linked: (Linked<'a>, Linked<'a>),
    whole_seconds: bool,
}

impl Pair<'_> {
    fn path(&self, path: &[u8]) -> Result<Option<(FileChange, Aspects)>> {
        interrupt::check()?;
        let (a, b) = (self.a.tree.entries.get(path), self.b.tree.entries.get(path));
        let mut aspects = Aspects::default();
        let mut changes = Vec::new();
        let mut difference = None;
        let name = printable(path);
        let change = match (a, b) {
            (None, _) => What::Added,
            (_, None) => What::Removed,
            (Some(a), Some(b)) => {
                changes = self.properties(path, a, b, &mut aspects);
                if a.kind == b.kind {
                    let shown = match self.scope.filesystem {
                        "root" => name.clone(),
                        other => format!("/{other}:{name}"),
                    };
                    let doing = || format!("comparing {name}");
                    if self.scope.stat {
                        aspects.content |= content::differs(a, b).doing_with(doing)?;
                    } else {
                        difference = content::compare(&shown, a, b).doing_with(doing)?;
                        aspects.content |= difference.is_some();
                    }
                    if aspects.content {
                        changes.push(Change { what: "content".into(), a: None, b: None });
                    }
                }
                What::Changed
            }
        };
        aspects.presence = change != What::Changed;
        if change == What::Changed && changes.is_empty() {
            return Ok(None);
        }
        let owner = |side: &Side| side.owners.owner(path).map(str::to_owned);
        let change = FileChange {
            filesystem: self.scope.filesystem.to_owned(),
            path: name,
            change,
            package: owner(self.b).or_else(|| owner(self.a)),
            a: a.map(|entry| properties(entry, self.a.accounts)),
            b: b.map(|entry| properties(entry, self.b.accounts)),
            changes,
            content: difference,
        };
        Ok(Some((change, aspects)))
    }

    fn properties(&self, path: &[u8], a: &Entry, b: &Entry, aspects: &mut Aspects) -> Vec<Change> {
        let mut changes = Vec::new();
        if a.kind != b.kind {
            aspects.kind = true;
            changes.push(match (&a.kind, &b.kind) {
                (Kind::Link(a), Kind::Link(b)) => Change::new("link target", printable(a), printable(b)),
                (a, b) => Change::new("kind", described(a), described(b)),
            });
        }
        let mut tell = |what: &str, a: Option<String>, b: Option<String>| {
            if a != b {
                changes.push(Change { what: what.into(), a, b });
                true
            } else {
                false
            }
        };
        let mode = |entry: &Entry| entry.mode.map(|mode| format!("{mode:04o}"));
        aspects.properties |= tell("mode", mode(a), mode(b));
        // By number: the same number with another name is a difference of the account file.
        if a.owner != b.owner {
            let owner = |entry: &Entry, side: &Side| entry.owner.map(|owner| side.accounts.owner(owner));
            aspects.properties |= tell("owner", owner(a, self.a), owner(b, self.b));
        }
        if a.kind == b.kind {
            aspects.content |= tell("size", size(a), size(b));
        }
        let modified = |entry: &Entry| {
            let precise =
                |(seconds, nanoseconds)| (seconds, if self.whole_seconds { 0 } else { nanoseconds });
            entry.modified.map(precise)
        };
        if modified(a) != modified(b) {
            aspects.properties |= tell("modification time", modified(a).map(time), modified(b).map(time));
        }
        let names: BTreeSet<&Vec<u8>> = a.attributes.keys().chain(b.attributes.keys()).collect();
        for name in names {
            let (a, b) = (a.attributes.get(name), b.attributes.get(name));
            if a != b {
                let text = |value: Option<&Vec<u8>>| value.map(|value| attribute(name, value));
                aspects.attributes |= tell(&format!("attribute {}", printable(name)), text(a), text(b));
            }
        }
        if let Some((only_a, only_b)) = self.links(path, a, b) {
            aspects.links |= tell("other names", only_a, only_b);
        }
        changes
    }

    /// The other names of a file that only one side has.
    fn links(&self, path: &[u8], a: &Entry, b: &Entry) -> Option<(Option<String>, Option<String>)> {
        if a.kind == Kind::Directory || b.kind == Kind::Directory {
            return None;
        }
        let a = self.linked.0.get(&a.identity).map(Vec::as_slice).unwrap_or_default();
        let b = self.linked.1.get(&b.identity).map(Vec::as_slice).unwrap_or_default();
        if a == b {
            return None;
        }
        // Both are sorted.
        let only = |mine: &[&[u8]], theirs: &[&[u8]]| {
            let mut only = mine.iter().filter(|name| **name != path && theirs.binary_search(*name).is_err());
            let shown: Vec<String> = only.by_ref().take(NAMES).map(|name| printable(name)).collect();
            (!shown.is_empty()).then(|| match only.count() {
                0 => shown.join(" "),
                more => format!("{} and {} more", shown.join(" "), grouped(more as u64)),
            })
        };
        let (only_a, only_b) = (only(a, b), only(b, a));
        (only_a.is_some() || only_b.is_some()).then_some((only_a, only_b))
    }
}

fn size(entry: &Entry) -> Option<String> {
    (entry.kind == Kind::File).then(|| format!("{} bytes", grouped(entry.size)))
}

fn described(kind: &Kind) -> String {
    match kind {
        Kind::Link(target) => format!("symbolic link to {}", printable(target)),
        Kind::Character(major, minor) | Kind::Block(major, minor) => {
            format!("{} {major}:{minor}", kind.name())
        }
        Kind::Unknown(bits) => format!("{} {bits:#o}", kind.name()),
        kind => kind.name().into(),
    }
}

/// A value of an extended attribute for people.
fn attribute(name: &[u8], value: &[u8]) -> String {
    let capability = (name == b"security.capability").then(|| capability::text(value)).flatten();
    let text = || std::str::from_utf8(value).ok().filter(|text| !text.contains(char::is_control));
    capability
        .or_else(|| text().map(|text| format!("\"{}\"", printable(text.as_bytes()))))
        .unwrap_or_else(|| format!("0x{}", hex::encode(value)))
}

fn properties(entry: &Entry, accounts: &Accounts) -> Properties {
    let target = match &entry.kind {
        Kind::Link(target) => Some(printable(target)),
        _ => None,
    };
    Properties {
        kind: match &entry.kind {
            kind @ (Kind::Character(..) | Kind::Block(..)) => described(kind),
            kind => kind.name().into(),
        },
        mode: entry.mode.map(|mode| format!("{mode:04o}")),
        owner: entry.owner.map(|owner| accounts.owner(owner)),
        size: entry.size,
        target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::testing::{file, tree};

    fn compared(a: &Tree, b: &Tree) -> Vec<FileChange> {
        let accounts =
            Accounts::of(&tree(&[("/etc/passwd", "root:x:0:0::/:\n"), ("/etc/group", "shadow:x:42:\n")]));
        let owners = Owners::of(&tree(&[("/var/lib/dpkg/info/pkg.list", "/bin/x\n")]));
        let side = |tree| Side { tree, accounts: &accounts, owners: &owners };
        let scope = Scope { filesystem: "root", only: Vec::new(), stat: false };
        let (changes, changed) = differences(&side(a), &side(b), &scope).unwrap();
        assert_eq!(changes.len(), changed.paths.len());
        changes
    }

    fn one(entry: Entry) -> Tree {
        let mut tree = Tree::default();
        tree.entries.insert(b"/usr/bin/x".to_vec(), entry);
        tree
    }

    #[track_caller]
    fn told(change: impl FnOnce(&mut Entry), what: &str, a: Option<&str>, b: Option<&str>) {
        let before = file(b"text\n");
        let mut after = before.clone();
        change(&mut after);
        let found = compared(&one(before), &one(after));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].package.as_deref()), ("/usr/bin/x", Some("pkg")));
        let wanted = Change { what: what.into(), a: a.map(Into::into), b: b.map(Into::into) };
        assert_eq!(found[0].changes, [wanted]);
    }

    #[test]
    fn each_property_is_told_alone() {
        told(|entry| entry.mode = Some(0o4755), "mode", Some("0644"), Some("4755"));
        told(|entry| entry.owner = Some((0, 42)), "owner", Some("0:0 (root:?)"), Some("0:42 (root:shadow)"));
        told(
            |entry| entry.modified = Some((5, 1)),
            "modification time",
            Some("1970-01-01T00:00:05Z"),
            Some("1970-01-01T00:00:05.000000001Z"),
        );
        told(
            |entry| {
                entry.attributes.insert(b"user.x".to_vec(), b"y".to_vec());
            },
            "attribute user.x",
            None,
            Some("\"y\""),
        );
        told(
            |entry| {
                entry.attributes.insert(b"user.x".to_vec(), vec![0, 255]);
            },
            "attribute user.x",
            None,
            Some("0x00ff"),
        );
        told(|entry| entry.kind = Kind::Fifo, "kind", Some("file"), Some("fifo"));
        told(|entry| entry.kind = Kind::Character(1, 3), "kind", Some("file"), Some("character device 1:3"));
    }

    #[test]
    fn nothing_is_told_of_the_same() {
        assert_eq!(compared(&one(file(b"x")), &one(file(b"x"))), []);
    }

    #[test]
    fn content_and_size_are_told_with_the_diff() {
        let found = compared(&one(file(b"a\n")), &one(file(b"ab\n")));
        let what: Vec<_> = found[0].changes.iter().map(|change| change.what.as_str()).collect();
        assert_eq!(what, ["size", "content"]);
        assert!(found[0].content.is_some());
    }

    #[test]
    fn links_are_compared_by_their_names() {
        let build = |groups: &[(&str, u64)]| {
            let mut tree = Tree::default();
            for (path, identity) in groups {
                let entry = Entry { identity: *identity, ..file(b"x") };
                tree.entries.insert(path.as_bytes().to_vec(), entry);
            }
            tree
        };
        let found =
            compared(&build(&[("/a", 1), ("/b", 1), ("/c", 2)]), &build(&[("/a", 7), ("/b", 8), ("/c", 7)]));
        let told: Vec<_> = found
            .iter()
            .map(|found| (found.path.as_str(), found.changes[0].a.as_deref(), found.changes[0].b.as_deref()))
            .collect();
        assert_eq!(
            told,
            [("/a", Some("/b"), Some("/c")), ("/b", Some("/a"), None), ("/c", None, Some("/a"))]
        );
        assert_eq!(compared(&build(&[("/a", 1), ("/b", 1)]), &build(&[("/a", 9), ("/b", 9)])), []);
        let many: Vec<String> = (100..200).map(|number| format!("/{number}")).collect();
        let one: Vec<(&str, u64)> = many.iter().map(|name| (name.as_str(), 1)).collect();
        let each: Vec<(&str, u64)> =
            many.iter().zip(1..).map(|(name, number)| (name.as_str(), number)).collect();
        let found = compared(&build(&one), &build(&each));
        let told = found[0].changes[0].a.as_deref().unwrap();
        assert!(told.starts_with("/101 /102 ") && told.ends_with(" /150 and 49 more"), "{told}");
    }

    #[test]
    fn a_scope_leaves_everything_else_out() {
        let (a, b) = (tree(&[("/etc/x", "1"), ("/usr/x", "1")]), tree(&[("/etc/x", "2"), ("/usr/x", "2")]));
        let (accounts, owners) = (Accounts::default(), Owners::default());
        let side = |tree| Side { tree, accounts: &accounts, owners: &owners };
        let scope = Scope { filesystem: "root", only: vec![b"/etc".to_vec()], stat: true };
        let (found, _) = differences(&side(&a), &side(&b), &scope).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), &found[0].content), ("/etc/x", &None));
        assert_eq!(found[0].changes[0].what, "content");
    }
}
