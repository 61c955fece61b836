//! `goldcast cache`.

use crate::cli::cache::{Action, Cache};
use crate::error::Result;
use crate::output::table::human;
use crate::sandbox;
use crate::stdout;
use crate::store::Store;

/// Runs the command.
pub fn cache(arguments: &Cache) -> Result<()> {
    let directory = Store::default_dir()?;
    if !matches!(arguments.action, Some(Action::Path)) {
        // Trees of builds belong to mapped ids: only the namespace may look into all of them, and remove them.
        sandbox::enter()?;
    }
    match &arguments.action {
        Some(Action::Path) => stdout::line(directory.display())?,
        Some(Action::Clear) => {
            let store = Store::open(directory)?;
            store.clear()?;
            stdout::line(format_args!("{} is empty", store.dir().display()))?;
        }
        Some(Action::Gc(bound)) => {
            let store = Store::open(directory)?;
            let done = store.collect(bound.cache_size)?;
            let (freed, remaining) = (human(done.freed), human(done.remaining));
            stdout::line(format_args!(
                "{} entries removed, {freed} freed, {remaining} remain",
                done.removed
            ))?;
            if done.remaining > bound.cache_size {
                stdout::line(format_args!("running builds use {}", human(done.held)))?;
            }
        }
        None => {
            let store = Store::open(directory)?;
            stdout::line(store.dir().display())?;
            for (kind, size) in store.sizes()? {
                stdout::line(format_args!("  {kind:<28} {:>10}  {} files", human(size.bytes), size.files))?;
            }
        }
    }
    Ok(())
}
