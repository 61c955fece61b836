//! `goldcast lock`.

use super::session::{Locking, Session};
use crate::archive::Update;
use crate::cli::lock::Lock;
use crate::error::Result;

/// Runs the command.
pub fn lock(arguments: &Lock) -> Result<()> {
    let session = Session::open(&arguments.recipe.recipe, &arguments.network, &arguments.talk)?;
    crate::interrupt::listen()?;
    let locking = match &arguments.update {
        Some(names) if names.is_empty() => Locking::Update(Update::All),
        Some(names) => Locking::Update(Update::Only(names.clone())),
        None if arguments.locked => Locking::Refused,
        None => Locking::Allowed,
    };
    let (lock, before) = session.renewed(&locking)?;
    let path = session.lock_path();
    if before.as_ref() == Some(&lock) {
        session.progress.say(format!("{} is up to date: {} packages", path.display(), lock.packages.len()));
        return Ok(());
    }
    for change in before.iter().flat_map(|before| lock.changes_since(before)) {
        session.progress.answer(change)?;
    }
    session.progress.say(format!("wrote {}: {} packages", path.display(), lock.packages.len()));
    Ok(())
}
