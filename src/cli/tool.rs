//! `goldcast tool`.

use super::common::{Network, Recipe, Talk};
use clap::Args;

/// Runs a program of the tools tree (qemu-img, e2fsck, sgdisk, debugfs …) on files below this directory.
#[derive(Debug, Clone, Args)]
#[command(long_about)]
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
