//! `goldcast lock`.

use super::common::{Network, Recipe, Talk};
use crate::typed;
use clap::Args;

/// Writes the lock beside the recipe: every package as exact version, size and sha256.
///
/// A lock that fits the recipe stays as it is. In one that does not, every version stays that the archive still has.
#[derive(Debug, Clone, Args)]
pub struct Lock {
    /// The recipe.
    #[command(flatten)]
    pub recipe: Recipe,
    /// Take the newest versions: of these packages, or of all when none is named; it stands after RECIPE
    #[arg(long, value_name = "PKG", num_args = 0.., value_parser = package)]
    pub update: Option<Vec<String>>,
    /// Fail when the lock is missing or stale, instead of writing it
    #[arg(long, conflicts_with = "update")]
    pub locked: bool,
    /// Where packages come from.
    #[command(flatten)]
    pub network: Network,
    /// How to talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// What follows `--update` is taken for packages, a recipe too.
fn package(text: &str) -> Result<String, String> {
    if text.contains('/') || text.ends_with(".toml") {
        return Err(format!("a recipe stands before it: `goldcast lock {} --update`", typed::word(text)));
    }
    Ok(text.to_owned())
}
