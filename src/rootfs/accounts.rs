//! Names and numbers of the accounts in a tree, read from its own passwd(5) and group(5).

use crate::tree::inside::Tree;
use std::collections::HashMap;
use std::path::Path;

/// The accounts of a tree.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    users: HashMap<String, Account>,
    groups: HashMap<String, u32>,
}

/// One user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Numeric user id.
    pub uid: u32,
    /// Numeric id of the primary group.
    pub gid: u32,
    /// Home directory.
    pub home: String,
}

impl Accounts {
    /// Reads `etc/passwd` and `etc/group` below `tree`; a file that is not there yet holds nobody.
    pub fn of(tree: &Path) -> Self {
        let lines = |file: &str| -> Vec<Vec<String>> {
            let text = Tree::open(tree).and_then(|inside| inside.text(file)).ok().flatten();
            text.unwrap_or_default()
                .lines()
                .map(|line| line.split(':').map(str::to_owned).collect())
                .collect()
        };
        let users = lines("etc/passwd").into_iter().filter_map(|fields| {
            let account = Account {
                uid: fields.get(2)?.parse().ok()?,
                gid: fields.get(3)?.parse().ok()?,
                home: fields.get(5)?.clone(),
            };
            Some((fields.into_iter().next()?, account))
        });
        let groups = lines("etc/group").into_iter().filter_map(|fields| {
            let gid = fields.get(2)?.parse().ok()?;
            Some((fields.into_iter().next()?, gid))
        });
        Self { users: users.collect(), groups: groups.collect() }
    }

    /// A user by name; `root` is always known.
    pub fn user(&self, name: &str) -> Option<Account> {
        let root = || Account { uid: 0, gid: 0, home: "/root".into() };
        self.users.get(name).cloned().or_else(|| (name == "root").then(root))
    }

    /// Whether a user has this number.
    pub fn is_taken(&self, uid: u32) -> bool {
        self.users.values().any(|account| account.uid == uid)
    }

    /// A group's number by name; `root` is always known.
    pub fn group(&self, name: &str) -> Option<u32> {
        self.groups.get(name).copied().or_else(|| (name == "root").then_some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_the_trees_and_not_the_machines() {
        let machine = tempfile::tempdir().unwrap();
        fs_err::write(machine.path().join("passwd"), "theirs:x:7:7::/:\n").unwrap();
        let tree = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(machine.path(), tree.path().join("etc")).unwrap();
        assert_eq!(Accounts::of(tree.path()).user("theirs"), None);
        assert_eq!(Accounts::of(machine.path()).user("theirs"), None);
        fs_err::create_dir(machine.path().join("etc")).unwrap();
        fs_err::rename(machine.path().join("passwd"), machine.path().join("etc/passwd")).unwrap();
        assert_eq!(Accounts::of(machine.path()).user("theirs").unwrap().uid, 7);
    }
}
