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
#[command(name = "goldcast", version, propagate_version = true)]
#[command(after_help = common::EXIT_STATUS)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What goldcast can do. Each is told in a line here, and whole at its arguments: a doc comment would take the place of
/// that one too.
#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum Command {
    #[command(about = "Build a recipe's image and prove it")]
    Build(build::Build),
    #[command(about = "Choose the exact packages of a recipe, without building")]
    Lock(lock::Lock),
    #[command(about = "Prove an image that is already built")]
    Verify(verify::Verify),
    #[command(about = "Check a recipe; needs no network and writes nothing")]
    Check(check::Check),
    #[command(about = "Say why a package or a file is in the image")]
    Why(why::Why),
    #[command(about = "List the overlays, or tell about one")]
    Overlays(overlays::Overlays),
    #[command(about = "Compare two images")]
    Diff(diff::Diff),
    #[command(about = "Build a published image once more and compare")]
    Rebuild(rebuild::Rebuild),
    #[command(about = "Boot a built image with its console on this terminal")]
    Run(run::Run),
    #[command(about = "Enter the tree that a failed build left behind (--keep-failed)")]
    Shell(shell::Shell),
    #[command(about = "Run a program of the tools tree on files below this directory")]
    Tool(tool::Tool),
    #[command(about = "Show the cache, or make it smaller")]
    Cache(cache::Cache),
    #[command(about = "Print a JSON Schema: of recipes, for editors, or of what goldcast writes")]
    Schema(schema::Schema),
    #[command(about = "Print completions for a shell")]
    Completions(completions::Completions),
    #[command(hide = true, about = "Write the manual pages")]
    Man(man::Man),
}

impl Command {
    /// How it is to talk, where that can be chosen.
    pub fn talk(&self) -> Option<&common::Talk> {
        match self {
            Self::Build(build) => Some(&build.talk),
            Self::Lock(lock) => Some(&lock.talk),
            Self::Rebuild(rebuild) => Some(&rebuild.talk),
            Self::Run(run) => Some(&run.talk),
            Self::Tool(tool) => Some(&tool.talk),
            Self::Verify(verify) => Some(&verify.talk),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_command_is_told_in_a_line_and_whole() {
        let cli = Cli::command();
        cli.clone().debug_assert();
        let told = |name: &str| {
            let command = cli.find_subcommand(name).unwrap();
            let text = |styled: Option<&clap::builder::StyledStr>| styled.map(ToString::to_string);
            (text(command.get_about()).unwrap(), text(command.get_long_about()).unwrap_or_default())
        };
        let (line, whole) = told("diff");
        assert_eq!(line, "Compare two images");
        assert!(
            whole.starts_with("Compares two images: partitions") && whole.contains("by its lock"),
            "{whole}"
        );
        for (name, wanted) in [
            ("build", "out/NAME/"),
            ("lock", "sha256"),
            ("verify", "*.unproven"),
            ("why", "no package owns"),
            ("rebuild", "Its manifest, plan and lock must lie beside the image"),
            ("run", "Ctrl-A X"),
            ("tool", "debugfs"),
        ] {
            assert!(told(name).1.contains(wanted), "{name}: {:?}", told(name));
        }
    }
}
