//! Standard output, for what was asked for.

use crate::error::{Context, Result};
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Writes this text. A reader who has gone, as `head` does, has read what they wanted: no failure.
pub fn write(text: impl Display) -> Result<()> {
    let mut out = io::stdout().lock();
    unless_gone(write!(out, "{text}").and_then(|()| out.flush()))
}

/// Writes this text and ends the line.
pub fn line(text: impl Display) -> Result<()> {
    write(format_args!("{text}\n"))
}

/// Writes these bytes, which need not be text.
pub fn bytes(content: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    unless_gone(out.write_all(content).and_then(|()| out.flush()))
}

fn unless_gone(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.doing("writing to standard output"),
    }
}
