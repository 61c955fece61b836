//! `goldcast schema`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Prints a JSON Schema: of recipes, of checks, or of a file that goldcast writes.
#[derive(Debug, Clone, Args)]
#[command(long_about)]
pub struct Schema {
    /// Which one
    #[arg(value_enum, default_value_t = Which::Recipe)]
    pub which: Which,
    /// That of recipes with the overlays beside this recipe and above it
    #[arg(long, value_name = "RECIPE")]
    pub beside: Option<PathBuf>,
}

/// The schemas there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// Recipes.
    Recipe,
    /// Files with checks of your own, `qemu-tests/NAME.toml` beside a recipe.
    Checks,
    /// NAME.proof.json.
    Proof,
    /// NAME.manifest.json.
    Manifest,
    /// The report of `goldcast diff --json`.
    Diff,
    /// A line of what the other commands tell with `--json`.
    Events,
}
