//! The command line: argument structs only, a file per command. What they do is elsewhere.

pub mod build;
pub mod cache;
pub mod check;
pub mod common;
pub mod completions;
pub mod diff;
pub mod lock;
pub mod man;
pub mod overlays;
pub mod rebuild;
pub mod run;
pub mod schema;
pub mod shell;
pub mod tool;
pub mod verify;
pub mod why;

use clap::{Parser, Subcommand};

/// Builds minimal, hardened Debian server images from a short recipe, and proves them by booting them.
#[derive(Debug, Parser)]
#[command(name = "goldcast", version, propagate_version = true, disable_help_subcommand = true)]
#[command(
    after_help = "Exit status: 0 fine, 1 the work failed, 2 usage or recipe error, 3 built but not proven."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What goldcast can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a recipe's image and prove it
    Build(build::Build),
    /// Choose the exact packages of a recipe, without building
    Lock(lock::Lock),
    /// Prove an image that is already built
    Verify(verify::Verify),
    /// Check a recipe; needs no network and writes nothing
    Check(check::Check),
    /// Say why a package or a file is in the image
    Why(why::Why),
    /// List the overlays, or tell about one
    Overlays(overlays::Overlays),
    /// Compare two images
    Diff(diff::Diff),
    /// Build a published image once more and compare
    Rebuild(rebuild::Rebuild),
    /// Boot a built image with its console on this terminal
    Run(run::Run),
    /// Enter the tree that a failed build left behind (--keep-failed)
    Shell(shell::Shell),
    /// Run a program of the tools tree on files below this directory
    Tool(tool::Tool),
    /// Show the cache, or make it smaller
    Cache(cache::Cache),
    /// Print the JSON Schema of recipes, for editors
    Schema(schema::Schema),
    /// Print completions for a shell
    Completions(completions::Completions),
    /// Write the manual pages
    #[command(hide = true)]
    Man(man::Man),
}
