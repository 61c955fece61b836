//! What the terminal can show.

use std::ffi::OsStr;
use std::io::IsTerminal;

/// Whether standard error is a terminal that follows escape sequences, for bars and colours. One whose `TERM` is `dumb` or
/// not said, an editor's shell or a build server's, does not (terminfo(5)).
pub fn moves() -> bool {
    std::io::stderr().is_terminal() && follows_sequences(std::env::var_os("TERM").as_deref())
}

fn follows_sequences(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dumb_terminal_and_one_without_a_name_follow_none() {
        let follows = |term: &str| follows_sequences(Some(OsStr::new(term)));
        assert!(follows("xterm-256color") && follows("linux"));
        assert!(!follows("dumb") && !follows("") && !follows_sequences(None));
    }
}
