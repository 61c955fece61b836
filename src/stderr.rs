//! Standard error, for what a run tells of itself.

use std::fmt::Display;
use std::io::Write;

/// Writes this text, in one piece.
pub fn write(text: impl Display) {
    bytes(text.to_string().as_bytes());
}

/// Writes this text and ends the line.
pub fn line(text: impl Display) {
    write(format_args!("{text}\n"));
}

/// Writes these bytes, which need not be text. A run goes on when nobody listens any more, where `eprintln!` would panic:
/// the Ctrl-C that stops it ends the `tee` behind it as well.
pub fn bytes(content: &[u8]) {
    std::io::stderr().write_all(content).ok();
}
