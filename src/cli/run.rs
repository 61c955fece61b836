//! `goldcast run`.

use super::common::{Network, Recipe, Talk};
use clap::Args;
use std::path::PathBuf;

/// Boots the built image: serial console on this terminal (Ctrl-A X ends it), ssh on a loopback port. With --script,
/// runs a script inside instead.
///
/// The TCP ports that the image opens, ssh among them, are ports of 127.0.0.1, which are told first. The image itself is
/// never changed.
#[derive(Debug, Clone, Args)]
#[command(long_about, after_help = "With --script the exit status is that of the script.")]
pub struct Run {
    /// The recipe.
    #[command(flatten)]
    pub recipe: Recipe,
    /// The directory with the outputs, instead of out/NAME
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The firmware
    #[arg(long, default_value = "uefi", value_parser = ["bios", "uefi", "secure-boot"])]
    pub firmware: String,
    /// The machine's memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(256..))]
    pub memory: u32,
    /// Keep what the machine writes in this directory, and go on from it next time
    #[arg(long, value_name = "DIR")]
    pub persist: Option<PathBuf>,
    /// Run this bash script as root inside once the system is up, then switch the machine off; no console
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// Emulate, and let the machine's clock count its instructions: what the script measures is work, not the host's load
    #[arg(long, requires = "script", hide = true)]
    pub counted: bool,
    /// Where packages come from.
    #[command(flatten)]
    pub network: Network,
    /// How to talk.
    #[command(flatten)]
    pub talk: Talk,
}
