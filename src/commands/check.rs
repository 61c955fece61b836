//! `goldcast check`.

use crate::cli::check::Check;
use crate::error::{Context, Result};
use crate::progress::{Mode, Progress};
use crate::stdout;

/// Runs the command.
pub fn check(arguments: &Check) -> Result<()> {
    let progress = Progress::new(Mode::detect(false));
    let plan = super::session::load(&arguments.recipe.recipe, &progress)?;
    if arguments.plan {
        return stdout::line(serde_json::to_string_pretty(&plan).doing("writing down the plan")?);
    }
    stdout::line(format_args!(
        "{}: {} {} {}, {} packages asked for, {} overlays, {} accounts",
        plan.name,
        plan.distribution.name,
        plan.distribution.release,
        plan.distribution.architecture,
        plan.packages.install.len(),
        plan.overlays.len(),
        plan.users.len()
    ))
}
