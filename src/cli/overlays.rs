//! `goldcast overlays`.

use clap::Args;
use std::path::PathBuf;

/// Lists the overlays that there are, or prints one's page: options, what it opens, and how it is proved.
#[derive(Debug, Clone, Args)]
pub struct Overlays {
    /// The overlay to tell about
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Write every overlay's page to this directory
    #[arg(long, value_name = "DIR", hide = true, conflicts_with = "name")]
    pub pages: Option<PathBuf>,
}
