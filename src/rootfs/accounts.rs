//! Names and numbers of the accounts in a tree, read from its own passwd(5) and group(5).

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
            fs_err::read_to_string(tree.join(file))
                .unwrap_or_default()
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
