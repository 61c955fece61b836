//! The tools tree: programs that the host is not asked for.

use super::{Command, Root};
use std::path::{Path, PathBuf};

/// An unpacked Debian tree from which goldcast runs its tools.
#[derive(Debug, Clone)]
pub struct Tools {
    tree: PathBuf,
}

impl Tools {
    /// The tools tree in this directory.
    pub fn at(tree: impl Into<PathBuf>) -> Self {
        Self { tree: tree.into() }
    }

    /// A run of one of its programs: the tree is read-only, what the program works on is bound into it.
    pub fn command(&self, program: &str) -> Command {
        Command::new(Root::ReadOnly(self.tree.clone()), program)
    }

    /// Where a file of the tools tree is on the host: `path("/usr/lib/grub")`.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.tree.join(Path::new(inside).strip_prefix("/").unwrap_or(Path::new(inside)))
    }
}
