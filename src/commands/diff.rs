//! `goldcast diff`: two images, and what is different about them.

use crate::cli::diff::Diff;
use crate::diff::{self, Options};
use crate::error::{Context, Exit, Result};
use std::io::{ErrorKind, Write};

/// Runs the command. As diff(1) does, it ends with 1 when something differs and with 2 when it could not tell.
pub fn diff(arguments: &Diff) -> Result<()> {
    crate::interrupt::listen()?;
    let differs = compare(arguments).map_err(|error| match error.exit() {
        Exit::Failed => error.exit_with(Exit::Usage),
        _ => error,
    })?;
    if differs {
        std::process::exit(Exit::Failed.code());
    }
    Ok(())
}

fn compare(arguments: &Diff) -> Result<bool> {
    let options = Options { only: arguments.only.clone(), stat: arguments.stat };
    let report = diff::images(&arguments.a, &arguments.b, &options)?;
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&report).doing("writing the report")? + "\n",
        false => report.render(),
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.doing("writing the report")?,
    }
    Ok(report.differs())
}
