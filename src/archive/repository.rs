//! Package repositories of the recipe, beside the distribution's archives: what is taken from them, and how they are
//! refused.

use super::index::{List, Stanza};
use super::lock::LockedPackage;
use super::resolve::Request;
use super::universe::Universe;
use super::update;
use crate::error::{Error, Result};
use crate::nearest;
use crate::progress::Progress;
use crate::recipe::plan::{Plan, Repository};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The name and the address of each, for downloads.
pub fn bases(plan: &Plan) -> impl Iterator<Item = (String, String)> {
    plan.repositories.iter().map(|repository| {
        let base = repository.mirror.as_ref().unwrap_or(&repository.url);
        (repository.name.clone(), base.clone())
    })
}

/// What the store remembers the last good index by: recipes may call different repositories by the same name.
pub fn cache_key(repository: &Repository) -> String {
    let Repository { url, suite, .. } = repository;
    format!("inrelease.repository.{}", hex::encode(Sha256::digest(format!("{url} {suite}"))))
}

/// Leaves in the lists of repositories what the recipe names. A name that is not there is most likely misspelt. Entries
/// that cannot be used are told of when they are named, and are an error when nothing else of that name is there.
pub fn named<'a>(
    plan: &Plan,
    lists: Vec<(&'a str, List<'a>)>,
    progress: &Progress,
) -> Result<Vec<(&'a str, Vec<Stanza<'a>>)>> {
    for repository in &plan.repositories {
        let own = || lists.iter().filter(|(archive, _)| *archive == repository.name).map(|(_, list)| list);
        let names = || own().flat_map(|list| list.stanzas.iter().map(|stanza| stanza.name));
        for wanted in &repository.packages {
            let only = Repository { packages: [wanted.clone()].into(), ..repository.clone() };
            if names().any(|name| only.takes(name)) {
                continue;
            }
            for list in own() {
                if let Some(bad) = list.unusable.iter().find(|bad| only.takes(bad.name)) {
                    return Err(list.refused(bad).hint(format!(
                        "{} names it: tell the owner of the repository, or take it out of `packages`",
                        repository.origin
                    )));
                }
            }
            let what = format!("the repository {} has no package {wanted}", repository.name);
            let error = Error::usage(what).because(format!("{} names it", repository.origin));
            return Err(match nearest::several(wanted, names())[..] {
                [near, ..] => error.hint(format!("did you mean {near}?")),
                [] => error.hint("check `packages`, `suite` and `components` of the [[repository]]"),
            });
        }
        for list in own() {
            for bad in list.unusable.iter().filter(|bad| repository.takes(bad.name)) {
                progress.warn(list.refused(bad).to_string());
            }
        }
    }
    let taken = |(archive, list): (&'a str, List<'a>)| {
        let repository = plan.repositories.iter().find(|repository| repository.name == archive);
        let mut stanzas = list.stanzas;
        stanzas.retain(|stanza| repository.is_some_and(|repository| repository.takes(stanza.name)));
        (archive, stanzas)
    };
    Ok(lists.into_iter().map(taken).collect())
}

/// Warnings of packages that a repository was named for and has in the highest version, and that come from elsewhere all
/// the same: its own cannot be installed, or the lock keeps the other. apt in the image would offer them as updates.
pub fn passed_over(
    plan: &Plan,
    universe: &Universe<'_>,
    request: &Request,
    packages: &[LockedPackage],
) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for LockedPackage { name, version, archive, .. } in packages {
        let best = universe.named(name).first().map(|&id| universe.package(id));
        let Some(best) = best.filter(|best| best.archive != archive && best.stanza.version != version) else {
            continue;
        };
        let Some(repository) = plan.repositories.iter().find(|of| of.name == best.archive) else { continue };
        let (newest, repository) = (best.stanza.version, &repository.name);
        // As an update has it: nothing else gets older.
        let now = packages.iter().map(|package| (package.name.clone(), package.version.clone()));
        let bound: BTreeMap<_, _> = now.chain([(name.clone(), newest.to_string())]).collect();
        let instead = match update::attempt(universe, &Request { at_least: bound, ..request.clone() })? {
            Ok(_) => format!("`goldcast lock RECIPE --update {name}` takes the newer one"),
            Err(error) => format!(
                "the newer one cannot be installed: {} (what it needs from there has to be in the repository's \
                 `packages` too)",
                update::why(&error)
            ),
        };
        warnings.push(format!(
            "{name} {version} comes from {archive} though the repository {repository} has {newest}: {instead}"
        ));
    }
    Ok(warnings)
}

/// The error of a repository's index: it says whose keys would have been believed, and nothing of the distribution's
/// mirrors.
pub fn refused(error: Error, repository: &Repository) -> Error {
    let Repository { name, url, fingerprints, key_files, .. } = repository;
    let unknown = error.causes().iter().any(|cause| cause.contains("no key that goldcast trusts"));
    let error = error.doing(format!("nothing can be taken from the repository {name} ({url})"));
    if unknown {
        let prints: Vec<&str> = fingerprints.iter().map(String::as_str).collect();
        return error.hint(format!(
            "it is believed only when a key of {} signs it: {}",
            key_files.join(", "),
            prints.join(", ")
        ));
    }
    not_the_mirrors(error, name)
}

/// Advice that names `--mirror` is of no use for what comes from a repository.
pub fn not_the_mirrors(error: Error, name: &str) -> Error {
    if error.advice().is_none_or(|advice| !advice.contains("--mirror")) {
        return error;
    }
    error.hint(format!(
        "check the network, this machine's clock, and `url` and `suite` of the [[repository]] {name}; `--mirror` is not \
         for it"
    ))
}
