//! What one sandboxed run looks like, as data handed from goldcast to its re-executed self.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The network of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// A new network namespace with nothing in it, loopback down.
    None,
    /// The network namespace of the thread that starts the run.
    Inherit,
}

/// What the run sees as `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Root {
    /// This tree itself, writable: for package scripts.
    Tree(PathBuf),
    /// An empty memory filesystem with this tree's entries on it read-only, where mount points can be made
    /// freely: for tools.
    ReadOnly(PathBuf),
}

impl Root {
    /// The tree on the host's side.
    pub fn tree(&self) -> &std::path::Path {
        match self {
            Self::Tree(path) | Self::ReadOnly(path) => path,
        }
    }
}

/// A file or directory of the outside that the run sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Where it is outside.
    pub host: PathBuf,
    /// Where it is inside, absolute.
    pub inside: PathBuf,
    /// Whether the run may write to it.
    pub writable: bool,
}

/// One sandboxed run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// What is `/`.
    pub root: Root,
    /// What else is seen, mounted in order.
    pub binds: Vec<Bind>,
    /// The network.
    pub network: Network,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Working directory inside.
    pub cwd: PathBuf,
    /// Host name inside (uts namespace).
    pub hostname: String,
    /// Keeps the groups of the user who runs goldcast: by one of them a device may be open to it.
    pub groups: bool,
    /// Stays in the terminal's session, so that the program can own the terminal.
    pub terminal: bool,
}
