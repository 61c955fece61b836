//! `goldcast check`.

use super::common::Recipe;
use clap::Args;

/// Reads a recipe with its bases and overlays and says what is wrong with it.
#[derive(Debug, Clone, Args)]
#[command(long_about)]
pub struct Check {
    /// The recipe.
    #[command(flatten)]
    pub recipe: Recipe,
    /// Print the resolved plan as JSON
    #[arg(long)]
    pub plan: bool,
}
