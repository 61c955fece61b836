//! `goldcast completions`.

use clap::Args;

/// Prints the completion script of a shell.
///
/// bash finds it as ~/.local/share/bash-completion/completions/goldcast, fish as ~/.config/fish/completions/goldcast.fish,
/// zsh as _goldcast in a directory of its `fpath`.
#[derive(Debug, Clone, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
