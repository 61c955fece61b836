//! `goldcast cache`.

use clap::{Args, Subcommand};

/// Shows what the cache holds, or empties it.
#[derive(Debug, Clone, Args)]
pub struct Cache {
    /// What to do; shows sizes when nothing is named.
    #[command(subcommand)]
    pub action: Option<Action>,
}

/// What can be done with the cache.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Print the cache's directory
    Path,
    /// Remove everything from the cache
    Clear,
}
