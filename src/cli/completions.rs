//! `goldcast completions`.

use clap::Args;

/// Prints the completion script of a shell.
#[derive(Debug, Clone, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
