//! Standard output, for what was asked for.

use crate::error::{Context, Result};
use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Writes this text. A reader who has gone, as `head` does, has read what they wanted: no failure.
pub fn write(text: impl Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.doing("writing to standard output"),
    }
}

/// Writes this text and ends the line.
pub fn line(text: impl Display) -> Result<()> {
    write(format_args!("{text}\n"))
}
