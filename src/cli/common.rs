//! Arguments that several commands take.

use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// What the exit status of commands without another one says.
pub const EXIT_STATUS: &str =
    "Exit status: 0 fine, 1 the work failed, 2 usage or recipe error, 3 built but not proven.";

/// How a run talks.
#[derive(Debug, Clone, Default, Args)]
pub struct Talk {
    /// Tell progress as one JSON object a line on standard output (see `goldcast schema events`)
    #[arg(long)]
    pub json: bool,
    /// Tell only warnings and errors, and what was asked for
    #[arg(short, long, conflicts_with = "json")]
    pub quiet: bool,
}

/// Where packages come from.
#[derive(Debug, Clone, Args)]
pub struct Network {
    /// Base address of the package mirror: http, https or file; beside one that ends in /debian the security
    /// archive is read, in /debian-security
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// Use only what is in the cache; fail where that is not enough
    #[arg(long)]
    pub offline: bool,
    /// Downloads at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub downloads: u16,
}

/// The recipe.
#[derive(Debug, Clone, Args)]
pub struct Recipe {
    /// The recipe, a TOML file
    #[arg(value_name = "RECIPE")]
    pub recipe: PathBuf,
}

/// How much of this machine a run takes.
#[derive(Debug, Clone, Args)]
pub struct Share {
    /// Use this many processors, for the machines of a proof too (default: all)
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
}

/// The variable that stands in for `--cache-size`.
const CACHE_SIZE: &str = "GOLDCAST_CACHE_SIZE";

/// How large the cache may grow.
#[derive(Debug, Clone, Args)]
pub struct Bound {
    /// What the cache may grow to; what was used longest ago goes first
    #[arg(long, value_name = "SIZE", env = CACHE_SIZE, hide_env_values = true,
          default_value = "10 GiB", value_parser = size)]
    pub cache_size: u64,
}

fn size(text: &str) -> Result<u64, String> {
    // Who has it from the variable has typed no option.
    let set = std::env::var(CACHE_SIZE).is_ok_and(|value| value == text);
    let whence = if set { format!("; {CACHE_SIZE} is set to it") } else { String::new() };
    crate::recipe::size(text).map_err(|error| format!("{error}{whence}"))
}
