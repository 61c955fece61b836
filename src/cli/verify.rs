//! `goldcast verify`.

use super::common::{EXIT_STATUS, Network, Recipe, Share, Talk};
use clap::Args;
use std::path::PathBuf;

/// Boots the image that a recipe built and proves it again; no byte of it is changed.
///
/// When it is not proven, its files are called `*.unproven` afterwards. A proof that holds takes that away, unless it
/// leaves out a check or a firmware. With --only no name changes.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXIT_STATUS)]
pub struct Verify {
    /// The recipe.
    #[command(flatten)]
    pub recipe: Recipe,
    /// The directory with the outputs, instead of out/NAME
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Only list the checks that would run; with --mutants the sabotages
    #[arg(long)]
    pub list: bool,
    /// Sabotage copies of the booted machine, and see that the checks notice; --only names mutants then
    #[arg(long, conflicts_with_all = ["skip", "quick"])]
    pub mutants: bool,
    /// How much of this machine.
    #[command(flatten)]
    pub share: Share,
    /// Where packages come from.
    #[command(flatten)]
    pub network: Network,
    /// Which checks and machines.
    #[command(flatten)]
    pub selection: Selection,
    /// How to talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// Which part of the proof is run.
#[derive(Debug, Clone, Default, Args)]
pub struct Selection {
    /// Run only the check with this name; may be repeated. `verify` puts its report into partial/ then, below
    /// the outputs, and leaves the whole one as it is
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Leave out the check with this name; the report shows it as skipped; may be repeated
    #[arg(long, value_name = "NAME")]
    pub skip: Vec<String>,
    /// One firmware and no destructive checks
    #[arg(long)]
    pub quick: bool,
    /// Boot only with this firmware; may be repeated (default: all)
    #[arg(long, value_name = "FIRMWARE", value_parser = ["bios", "uefi", "secure-boot"])]
    pub firmware: Vec<String>,
}
