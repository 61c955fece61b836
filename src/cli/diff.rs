//! `goldcast diff`.

use super::common::Network;
use clap::Args;
use std::path::PathBuf;

/// Compares two images: partitions, packages, files, and every byte that these do not explain. Needs no mount and no
/// root. A recipe stands for a fresh build of it, by its lock.
#[derive(Debug, Clone, Args)]
#[command(long_about, after_help = "Exit status: 0 nothing differs, 1 something differs, 2 trouble.")]
pub struct Diff {
    /// The first image (raw disk or tar, gzip, zstd and xz also; qcow2; disk of this machine; output directory), or a
    /// recipe
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// The second image, or a recipe
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// Compare only files at or below this path in the image (`/etc`, `esp:/EFI`); may be repeated
    #[arg(long, value_name = "PATH")]
    pub only: Vec<String>,
    /// Do not show how contents differ
    #[arg(long)]
    pub stat: bool,
    /// Where packages come from, when a recipe is built.
    #[command(flatten)]
    pub network: Network,
    /// Print the report as one JSON document (see `goldcast schema diff`)
    #[arg(long)]
    pub json: bool,
}
