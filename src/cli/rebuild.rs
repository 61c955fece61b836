//! `goldcast rebuild`.

use super::common::{Network, Talk};
use clap::Args;
use std::path::PathBuf;

/// Builds a published image once more, from the plan and the lock that were published with it, and says whether the
/// bytes are the same.
///
/// Nobody has to be trusted for it but the signed archive: the recipe and the machine that built the image are not
/// needed. Its manifest, plan and lock must lie beside the image, as the build left them. Of the cache only packages are
/// taken, no layer of an earlier build.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Exit status: 0 identical, 1 not identical, 2 trouble.")]
pub struct Rebuild {
    /// A file of the image, its manifest, or the directory with all of them
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,
    /// Compare only; the rebuilt image is thrown away
    #[arg(long, required = true)]
    pub check: bool,
    /// Where packages come from.
    #[command(flatten)]
    pub network: Network,
    /// How to talk.
    #[command(flatten)]
    pub talk: Talk,
}
