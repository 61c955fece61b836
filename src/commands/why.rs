//! `goldcast why`: for every package and every file, who wanted it.

use super::session;
use crate::archive::lock::{Lock, LockedPackage};
use crate::cli::why::Why;
use crate::error::{Error, Result};
use crate::output::manifest::Manifest;
use crate::output::published::MANIFEST;
use crate::progress::{Mode, Progress};
use crate::recipe::Plan;
use crate::rootfs::deb;
use crate::store::Store;
use crate::{stdout, typed};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

/// Runs the command.
pub fn why(arguments: &Why) -> Result<()> {
    let recipe = &arguments.recipe.recipe;
    let progress = Progress::new(Mode::detect(false));
    let plan = session::load(recipe, &progress).map_err(|error| turned(error, &arguments.subject, recipe))?;
    let lock = session::lock_beside(recipe, &plan, &progress)?;
    if arguments.subject.starts_with('/') {
        let out = session::outputs(arguments.out.as_deref(), &plan.name);
        file(&arguments.subject, &plan, &lock, &out)
    } else {
        package(&arguments.subject, &lock)
    }
}

/// Other commands take the recipe first.
fn turned(error: Error, subject: &str, recipe: &Path) -> Error {
    match subject.ends_with(".toml") && !recipe.exists() {
        true => error.hint(format!(
            "the recipe stands last: `goldcast why {} {}`",
            typed::path(recipe),
            typed::word(subject)
        )),
        false => error,
    }
}

fn package(name: &str, lock: &Lock) -> Result<()> {
    let packages: BTreeMap<&str, &LockedPackage> =
        lock.packages.iter().map(|package| (package.name.as_str(), package)).collect();
    let Some(package) = packages.get(name) else {
        let error = Error::usage(format!("the package {name} is not in the image"));
        if name.contains('/') {
            return Err(error.hint(format!("a file is named by its absolute path: /{name}")));
        }
        let near = packages.keys().max_by(|a, b| {
            strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)).then_with(|| b.cmp(a))
        });
        return Err(match near.filter(|near| strsim::jaro_winkler(near, name) > 0.8) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error,
        });
    };
    stdout::line(format_args!("{} {} {}", package.name, package.version, package.architecture))?;
    for reason in &package.because {
        stdout::line(format_args!("  {reason}"))?;
    }
    stdout::line("")?;
    for line in chain(name, &packages) {
        stdout::line(line)?;
    }
    Ok(())
}

/// The shortest way from something that was asked for to the package.
fn chain(name: &str, packages: &BTreeMap<&str, &LockedPackage>) -> Vec<String> {
    // A reason is either a root ("recipe …", "overlay …", "essential") or "NAME Depends …".
    let wanted_by = |reason: &str| -> Option<String> {
        let mut words = reason.split(' ');
        let (first, second) = (words.next()?, words.next()?);
        (["Depends", "Pre-Depends"].contains(&second) && packages.contains_key(first))
            .then(|| first.to_owned())
    };
    let mut came_from: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut seen = BTreeSet::from([name.to_owned()]);
    let mut open = VecDeque::from([name.to_owned()]);
    while let Some(current) = open.pop_front() {
        let Some(package) = packages.get(current.as_str()) else { continue };
        for reason in &package.because {
            match wanted_by(reason) {
                None => {
                    let mut lines = vec![format!("{reason} asks for {current}")];
                    let mut at = &current;
                    while let Some((next, relation)) = came_from.get(at) {
                        lines.push(format!("  {relation}, which is {next}"));
                        at = next;
                    }
                    return lines;
                }
                Some(from) => {
                    if seen.insert(from.clone()) {
                        came_from.insert(from.clone(), (current.clone(), reason.clone()));
                        open.push_back(from);
                    }
                }
            }
        }
    }
    Vec::new()
}

fn file(path: &str, plan: &Plan, lock: &Lock, out: &Path) -> Result<()> {
    if let Some(file) = plan.files.get(path) {
        stdout::line(format_args!("{path}\n  {}", file.origin))?;
        return Ok(());
    }
    let manifest = out.join(format!("{}{MANIFEST}", plan.name));
    if manifest.exists()
        && let Some(origin) = Manifest::read(&manifest)?.files.get(path)
    {
        stdout::line(format_args!("{path}\n  {origin}"))?;
        return Ok(());
    }
    let owners = owners(path, lock)?;
    if owners.is_empty() {
        return Err(Error::usage(format!("{path} is not in the image"))
            .because("no package in the lock ships it, and no built image's manifest names it")
            .hint(format!(
                "files that package scripts make are known once the image is built, from {}",
                manifest.display()
            )));
    }
    stdout::line(path)?;
    for owner in owners {
        stdout::line(format_args!("  package {owner}"))?;
    }
    Ok(())
}

/// The packages that ship a path. They are read from the store: what is not there cannot be asked.
fn owners(path: &str, lock: &Lock) -> Result<Vec<String>> {
    let store = Store::open(Store::default_dir()?)?;
    let wanted = crate::rootfs::unpack::merged(Path::new(path.trim_start_matches('/')));
    let owners: Vec<Option<String>> = lock
        .packages
        .par_iter()
        .map(|package| {
            let deb = store.path(&package.sha256).ok_or_else(|| {
                Error::new(format!("{} is not in the cache", package.identity()))
                    .hint("build the image once, or name a package instead of a file")
            })?;
            let mut found = false;
            deb::data(&deb, |stream| {
                let mut archive = tar::Archive::new(stream);
                for entry in archive.entries()? {
                    let entry = entry?;
                    let shipped = entry.path()?.into_owned();
                    let shipped = shipped.strip_prefix("./").unwrap_or(&shipped);
                    if crate::rootfs::unpack::merged(shipped) == wanted {
                        found = true;
                        break;
                    }
                }
                Ok(())
            })?;
            Ok(found.then(|| format!("{} {}", package.name, package.version)))
        })
        .collect::<Result<_>>()?;
    Ok(owners.into_iter().flatten().collect())
}
