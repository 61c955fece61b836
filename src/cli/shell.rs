//! `goldcast shell`.

use clap::Args;

/// Enters the tree that the last failed build with --keep-failed left.
#[derive(Debug, Clone, Args)]
#[command(
    long_about,
    after_help = "The exit status is that of the command or shell, 125 where it could not be started."
)]
pub struct Shell {
    /// The image's name, as the recipe has it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// A command instead of a shell
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}
