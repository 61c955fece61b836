//! `goldcast cache`.

use super::common::Bound;
use clap::{Args, Subcommand};

/// Shows what the cache holds, or makes it smaller.
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
    /// Remove what was used longest ago until the cache is within its bound; what running builds use stays
    Gc(Bound),
    /// Remove everything from the cache
    Clear,
}
