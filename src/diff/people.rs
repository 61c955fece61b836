//! Whom files belong to: accounts and packages, by the root filesystems of both images.

use super::accounts::Accounts;
use super::files::Side;
use super::packages::Owners;
use super::tree::Tree;

/// The accounts and the packages' files of both images.
pub struct People {
    accounts: (Accounts, Accounts),
    owners: (Owners, Owners),
}

impl People {
    /// Reads them from the two root filesystems.
    pub fn of(a: &Tree, b: &Tree) -> Self {
        Self { accounts: (Accounts::of(a), Accounts::of(b)), owners: (Owners::of(a), Owners::of(b)) }
    }

    /// As [`People::of`], for filesystems of which packages know nothing.
    pub fn none() -> Self {
        Self::of(&Tree::default(), &Tree::default())
    }

    /// Two trees with them.
    pub fn sides<'a>(&'a self, a: &'a Tree, b: &'a Tree) -> (Side<'a>, Side<'a>) {
        (
            Side { tree: a, accounts: &self.accounts.0, owners: &self.owners.0 },
            Side { tree: b, accounts: &self.accounts.1, owners: &self.owners.1 },
        )
    }
}
