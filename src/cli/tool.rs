//! `goldcast tool`.

use super::common::{Network, Recipe, Talk};
use clap::Args;

/// Runs a program of the tools tree on files below this directory.
///
/// qemu-img, e2fsck, debugfs, sgdisk, mcopy, grub-mkpasswd-pbkdf2 and others are there. The recipe is the one whose lock pins
/// them: `goldcast lock` writes it.
#[derive(Debug, Clone, Args)]
#[command(
    long_about,
    after_help = "The exit status is that of the program, 125 where it could not be started."
)]
pub struct Tool {
    /// The recipe, whose lock pins the tools.
    #[command(flatten)]
    pub recipe: Recipe,
    /// The program and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub command: Vec<String>,
    /// Where packages come from.
    #[command(flatten)]
    pub network: Network,
    /// How to talk.
    #[command(flatten)]
    pub talk: Talk,
}
