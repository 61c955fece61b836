//! Which versions a new lock keeps of the one before it, and which it takes anew.

use super::lock::{Lock, LockedPackage};
use super::resolve::{Chosen, Request, resolve};
use super::universe::{PackageId, Universe};
use super::version::Version;
use crate::error::{Error, Result};
use crate::{interrupt, nearest};
use std::collections::{BTreeMap, BTreeSet};

/// Which locked versions may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// None that the archive still has: only what the recipe newly needs is chosen.
    Keep,
    /// All: every package gets the newest version.
    All,
    /// These packages get the newest version, and what their new versions need with them: others that fit only the old
    /// one follow.
    Only(Vec<String>),
}

impl Update {
    /// The versions of these locked packages that are to be kept where they can be, by name.
    pub(super) fn kept(&self, prior: Option<&[LockedPackage]>) -> BTreeMap<String, String> {
        let stays = |name: &String| match self {
            Self::Keep => true,
            Self::All => false,
            Self::Only(names) => !names.contains(name),
        };
        let prior = prior.unwrap_or_default().iter();
        prior
            .filter(|package| stays(&package.name))
            .map(|package| (package.name.clone(), package.version.clone()))
            .collect()
    }

    /// `--update NAME` of a package that is not in the lock is a mistake worth telling.
    pub(super) fn check(&self, prior: Option<&Lock>) -> Result<()> {
        let (Self::Only(names), Some(prior)) = (self, prior) else { return Ok(()) };
        let known = || prior.packages.iter().chain(&prior.tools).map(|package| package.name.as_str());
        for name in names {
            if known().any(|known| known == name) {
                continue;
            }
            let error = Error::usage(format!("the lock has no package {name:?} to update"));
            return Err(match nearest::several(name, known())[..] {
                [near, ..] => error.hint(format!("did you mean {near}?")),
                [] => error.hint("name packages that are in the lock; new ones go into the recipe"),
            });
        }
        Ok(())
    }

    /// Resolves the request, and has the packages that are to get their newest version get it, also where what is kept
    /// of others does not fit it. Nothing gets an older version for that. With it come warnings of those that stay
    /// behind, and why.
    pub(super) fn resolve(
        &self,
        universe: &Universe<'_>,
        request: &Request,
    ) -> Result<(Vec<Chosen>, Vec<String>)> {
        let mut chosen = resolve(universe, request)?;
        let Self::Only(names) = self else { return Ok((chosen, Vec::new())) };
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let wanted: Vec<(&str, Vec<&str>)> = (names.into_iter())
            .map(|name| (name, newer(universe, &chosen, name)))
            .filter(|(_, versions)| !versions.is_empty())
            .collect();
        if wanted.is_empty() {
            return Ok((chosen, Vec::new()));
        }
        let now = chosen.iter().map(|chosen| universe.package(chosen.package).stanza);
        let floor = now.map(|stanza| (stanza.name.to_string(), stanza.version.to_string())).collect();
        let mut bounded = Request { at_least: floor, ..request.clone() };
        // Most often all of them can be had together.
        let newest: Vec<(&str, &str)> =
            wanted.iter().filter_map(|(name, versions)| Some((*name, *versions.first()?))).collect();
        match attempt(universe, &raised(&bounded, newest.iter().copied()))? {
            Ok(all) if newest.iter().all(|wanted| has(universe, &all, *wanted)) => {
                return Ok((all, Vec::new()));
            }
            _ => {}
        }
        let mut warnings = Vec::new();
        for (name, versions) in wanted {
            for (place, version) in versions.into_iter().enumerate() {
                let request = raised(&bounded, [(name, version)]);
                match attempt(universe, &request)? {
                    Ok(better) if has(universe, &better, (name, version)) => {
                        (chosen, bounded) = (better, request);
                        break;
                    }
                    answer if place == 0 => {
                        let why = match answer {
                            Ok(_) => "with it nothing would need it any more".to_owned(),
                            Err(error) => why(&error),
                        };
                        warnings.push(format!("{name} does not get its newest version, {version}: {why}"));
                    }
                    _ => {}
                }
            }
        }
        Ok((chosen, warnings))
    }
}

/// Whether this version of a package is chosen: a bound also holds where the package is not there at all.
fn has(universe: &Universe<'_>, chosen: &[Chosen], (name, version): (&str, &str)) -> bool {
    let mut stanzas = chosen.iter().map(|chosen| universe.package(chosen.package).stanza);
    stanzas.any(|stanza| stanza.name == name && stanza.version == version)
}

/// The versions of a chosen package that are higher than the one chosen, the highest first.
fn newer<'a>(universe: &Universe<'a>, chosen: &[Chosen], name: &str) -> Vec<&'a str> {
    let ids = universe.named(name);
    let version = |id: PackageId| universe.package(id).stanza.version;
    let Some(taken) = ids.iter().find(|id| chosen.iter().any(|chosen| chosen.package == **id)) else {
        return Vec::new();
    };
    let taken = Version::parse(version(*taken)).ok();
    let mut versions: Vec<&'a str> = (ids.iter().map(|&id| version(id)))
        .take_while(|version| Version::parse(version).ok() > taken)
        .collect();
    versions.dedup();
    versions
}

/// The request with higher bounds for these.
fn raised<'n>(request: &Request, bounds: impl IntoIterator<Item = (&'n str, &'n str)>) -> Request {
    let mut request = request.clone();
    request
        .at_least
        .extend(bounds.into_iter().map(|(name, version)| (name.to_string(), version.to_string())));
    request
}

/// Resolves; what makes it impossible is not yet an error, unlike the user's stopping it.
pub(super) fn attempt(universe: &Universe<'_>, request: &Request) -> Result<Result<Vec<Chosen>>> {
    let resolved = resolve(universe, request);
    interrupt::check()?;
    Ok(resolved)
}

/// The nearest reason of an attempt that failed, on one line.
pub(super) fn why(error: &Error) -> String {
    let cause = error.causes().first().map_or(error.what(), String::as_str);
    cause.trim().lines().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::index;
    use super::super::resolve::tests::packages_file;
    use super::*;

    /// What an update of these names gives, as `name version`, with its warnings. Everything was at version 1 before.
    fn update(lines: &str, roots: &[&str], names: &[&str]) -> (String, Vec<String>) {
        let text = packages_file(lines);
        let list = index::parse(&text, "test").whole().unwrap();
        let one = |name: &str| (name.to_string(), "1".to_string());
        let before = list.iter().filter(|stanza| stanza.version == "1").map(|stanza| one(stanza.name));
        let prefer = before.filter(|(name, _)| !names.contains(&name.as_str())).collect();
        let universe = Universe::new("amd64", [("debian", list.clone())]).unwrap();
        let roots =
            roots.iter().map(|name| (name.to_string(), vec!["recipe web.toml".to_string()])).collect();
        let request = Request { roots, prefer, ..Request::default() };
        let update = Update::Only(names.iter().map(|name| name.to_string()).collect());
        let (chosen, warnings) = update.resolve(&universe, &request).unwrap();
        let identity = |chosen: Chosen| {
            let stanza = universe.package(chosen.package).stanza;
            format!("{} {}", stanza.name, stanza.version)
        };
        (chosen.into_iter().map(identity).collect::<Vec<_>>().join(", "), warnings)
    }

    #[track_caller]
    fn check(lines: &str, roots: &[&str], names: &[&str], expected: &str) {
        assert_eq!(update(lines, roots, names), (expected.to_string(), Vec::new()));
    }

    #[test]
    fn dependants_that_fit_only_the_old_version_follow() {
        let lines = "app 1 ; Depends: lib (= 1), more
                     app 2 ; Depends: lib (= 2), more
                     lib 1
                     lib 2
                     more 1
                     more 2";
        check(lines, &["app"], &[], "app 1, lib 1, more 1");
        check(lines, &["app"], &["lib"], "app 2, lib 2, more 1");
        check(lines, &["app"], &["more"], "app 1, lib 1, more 2");
        // Also along a chain, and what the new version breaks.
        let lines = "top 1 ; Depends: app (= 1), side
                     top 2 ; Depends: app (= 2), side
                     app 1 ; Depends: lib (= 1)
                     app 2 ; Depends: lib (= 2)
                     lib 1
                     lib 2 ; Breaks: side (<< 2)
                     side 1
                     side 2";
        check(lines, &["top"], &["lib"], "app 2, lib 2, side 2, top 2");
    }

    #[test]
    fn the_newest_that_can_be_had_is_taken_and_what_hinders_is_told() {
        let lines = "app 1 ; Depends: lib (= 1)
                     app 2 ; Depends: lib (= 2)
                     lib 1
                     lib 2
                     lib 3";
        let (chosen, warnings) = update(lines, &["app"], &["lib"]);
        assert_eq!(chosen, "app 2, lib 2");
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.starts_with("lib does not get its newest version, 3: "), "{warning}");
        assert!(warning.contains("recipe web.toml asks for app; app "), "{warning}");
        assert!(warning.contains("lib (>= 3) is wanted, which lib "), "{warning}");
        // One that cannot have it does not keep it from the others.
        let lines = "app 1 ; Depends: lib (= 1)
                     lib 1
                     lib 2
                     own 1 ; Depends: ghost | lib
                     own 2 ; Depends: ghost
                     tip 1 ; Depends: top (= 1)
                     tip 2 ; Depends: top (= 2)
                     top 1
                     top 2";
        let (chosen, warnings) = update(lines, &["app", "own", "tip"], &["top", "own", "lib"]);
        assert_eq!(chosen, "app 1, lib 1, own 1, tip 2, top 2");
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        let told =
            "lib does not get its newest version, 2: recipe web.toml asks for app; app 1 needs lib (= 1); ";
        assert!(warnings[0].starts_with(told), "{warnings:?}");
        assert!(warnings[1].contains("own 2 needs ghost; no package is or provides ghost"), "{warnings:?}");
    }

    #[test]
    fn an_update_takes_nothing_away() {
        let lines = "app 1 ; Depends: lib (= 1) | other
                     lib 1
                     lib 2
                     other 1";
        let (chosen, warnings) = update(lines, &["app"], &["lib"]);
        assert_eq!(chosen, "app 1, lib 1");
        let told = "lib does not get its newest version, 2: with it nothing would need it any more";
        assert_eq!(warnings, [told]);
    }

    #[test]
    fn nothing_gets_older_for_an_update() {
        let lines = "app 1 ; Depends: lib (= 1)
                     app 0.9 ; Depends: lib
                     lib 1
                     lib 2";
        let (chosen, warnings) = update(lines, &["app"], &["lib"]);
        assert_eq!(chosen, "app 1, lib 1");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
}
