//! `goldcast build`.

use super::common::{Bound, EXIT_STATUS, Network, Recipe, Share, Talk};
use super::verify::Selection;
use crate::rootfs::workspace::Storage;
use clap::Args;
use std::path::PathBuf;

/// Builds the image of a recipe into out/NAME/, and boots it to prove it.
///
/// A recipe without a lock gets one beside it, to which the builds after it keep. An image that is not proven is kept all
/// the same, as `*.unproven`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXIT_STATUS)]
pub struct Build {
    /// The recipe.
    #[command(flatten)]
    pub recipe: Recipe,
    /// Write the outputs to this directory instead of out/NAME
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Fail when the lock is missing or stale, instead of writing it
    #[arg(long)]
    pub locked: bool,
    /// How much of this machine.
    #[command(flatten)]
    pub share: Share,
    /// Where the tree is while it is built
    #[arg(long, value_enum, default_value_t = Storage::Auto)]
    pub storage: Storage,
    /// Build only; the image is left unproven and the exit status is 0
    #[arg(long)]
    pub no_verify: bool,
    /// After a failure keep the tree, for `goldcast shell`
    #[arg(long)]
    pub keep_failed: bool,
    /// Say of each stage whether the cache had it and, when not, which input changed, from what to what
    #[arg(long)]
    pub explain: bool,
    /// How large the cache may grow.
    #[command(flatten)]
    pub bound: Bound,
    /// Where packages come from.
    #[command(flatten)]
    pub network: Network,
    /// Which checks and machines.
    #[command(flatten)]
    pub selection: Selection,
    /// How to talk.
    #[command(flatten)]
    pub talk: Talk,
}
