//! `goldcast why`.

use super::common::Recipe;
use clap::Args;
use std::path::PathBuf;

/// Says why a package, or a file that no package owns, is in the image.
#[derive(Debug, Clone, Args)]
#[command(long_about)]
pub struct Why {
    /// A package's name, or an absolute path in the image
    #[arg(value_name = "PKG|/PATH")]
    pub subject: String,
    /// The recipe.
    #[command(flatten)]
    pub recipe: Recipe,
    /// The directory with the outputs, instead of out/NAME: its manifest knows the files that no package owns
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
