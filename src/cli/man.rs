//! `goldcast man`: for packagers.

use clap::Args;
use std::path::PathBuf;

/// Writes a manual page for goldcast and each command.
#[derive(Debug, Clone, Args)]
pub struct Man {
    /// The directory to write to
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}
