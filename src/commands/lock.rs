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
    let before = crate::archive::lock::Lock::read_if_there(&session.lock_path())?;
    let lock = session.lock(&locking)?;
    let path = session.lock_path();
    if before.as_ref() == Some(&lock) {
        session.progress.say(format!("{} is up to date: {} packages", path.display(), lock.packages.len()));
        return Ok(());
    }
    let old: std::collections::BTreeMap<&str, &str> = before
        .iter()
        .flat_map(|lock| &lock.packages)
        .map(|package| (package.name.as_str(), package.version.as_str()))
        .collect();
    let say = |line: String| session.progress.answer(line);
    for package in &lock.packages {
        match old.get(package.name.as_str()) {
            Some(version) if *version == package.version => {}
            Some(version) => say(format!("{} {version} -> {}", package.name, package.version))?,
            None if before.is_some() => say(format!("{} {} (new)", package.name, package.version))?,
            None => {}
        }
    }
    for name in old.keys().filter(|name| !lock.packages.iter().any(|package| package.name == **name)) {
        say(format!("{name} (gone)"))?;
    }
    session.progress.say(format!("wrote {}: {} packages", path.display(), lock.packages.len()));
    Ok(())
}
