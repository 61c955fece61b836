//! Standard error, for what a run tells of itself.

use std::fmt::Display;
use std::io::Write;

/// Writes this text, in one piece. A run goes on when nobody listens any more, where `eprintln!` would panic: the Ctrl-C
/// that stops it ends the `tee` behind it as well.
pub fn write(text: impl Display) {
    std::io::stderr().write_all(text.to_string().as_bytes()).ok();
}

/// Writes this text and ends the line.
pub fn line(text: impl Display) {
    write(format_args!("{text}\n"));
}
