//! `goldcast overlays`.

use clap::Args;
use std::path::PathBuf;

/// Lists the overlays that there are, or prints one's page: options, what it opens, and how it is proved.
#[derive(Debug, Clone, Args)]
#[command(long_about)]
pub struct Overlays {
    /// The overlay to tell about
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Know the overlays beside this recipe and above it as well
    #[arg(long, value_name = "RECIPE")]
    pub beside: Option<PathBuf>,
    /// Write every overlay's page to this directory
    #[arg(long, value_name = "DIR", hide = true, conflicts_with = "name")]
    pub pages: Option<PathBuf>,
    /// Measure what every overlay adds to a recipe, against the archive as it is, and write it to this file
    #[arg(long, value_name = "FILE", hide = true, conflicts_with_all = ["name", "pages"], requires = "on")]
    pub costs: Option<PathBuf>,
    /// The recipe that they are added to
    #[arg(long, value_name = "RECIPE", hide = true, requires = "costs")]
    pub on: Option<PathBuf>,
}
