//! From a plan to a lock: signed indexes read, versions chosen, everything pinned.

use super::date;
use super::distribution::Distribution;
use super::index::{self, IndexFile};
use super::lock::{Lock, LockedIndex, LockedPackage, VERSION};
use super::lockfile::{asks, budget_error, digest_of, distribution_of, who};
use super::mirrors::Mirrors;
use super::release::{self, Expected, Keyring, Release};
use super::repository;
use super::resolve::{Chosen, Request};
use super::universe::Universe;
use super::update::Update;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::recipe::plan::{Plan, Repository};
use crate::store::{FetchOptions, Store};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where packages come from.
#[derive(Debug, Clone)]
pub struct Sources<'a> {
    /// Where downloads are kept.
    pub store: &'a Store,
    /// The distribution.
    pub distribution: &'static Distribution,
    /// Its mirrors, and the addresses of the recipe's repositories.
    pub mirrors: Mirrors,
    /// This moment, seconds since 1970: signed indexes expire.
    pub now: i64,
    /// Nothing is taken from the network.
    pub offline: bool,
    /// Downloads at the same time.
    pub jobs: usize,
}

impl<'a> Sources<'a> {
    /// The sources for a plan, by this machine's clock. `mirror` is the `--mirror` argument.
    pub fn for_plan(plan: &Plan, store: &'a Store, mirror: Option<&str>, offline: bool) -> Result<Self> {
        let distribution = distribution_of(plan)?;
        let mirrors = Mirrors::resolve(distribution, mirror, plan.distribution.mirror.as_deref())?
            .beside(repository::bases(plan));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
        let jobs = FetchOptions::default().jobs;
        Ok(Self { store, distribution, mirrors, now, offline, jobs })
    }

    pub(super) fn options(&self) -> FetchOptions {
        FetchOptions { jobs: self.jobs, offline: self.offline }
    }
}

/// Chooses exact packages for the image and, on their own, for the tools tree.
///
/// The tools' closure holds what the tools depend on and nothing else: essential packages are in it only
/// when something depends on them, or when they are among `tools`.
///
/// From a repository of the recipe, packages that it names there are in the choice and no other, not even what
/// these depend on. Of a package that the distribution has as well the higher version counts, as apt has it for
/// sources of equal priority; of equal versions the distribution's. Tools never come from a repository: they run on
/// the building host.
///
/// `prior` is the lock that was there: its versions are kept as `update` says, and an index older than the
/// one it was made from is refused.
pub fn lock(
    plan: &Plan,
    tools: &[&str],
    prior: Option<&Lock>,
    update: &Update,
    sources: &Sources<'_>,
    progress: &Progress,
) -> Result<Lock> {
    let stage = progress.stage("lock");
    let asks = asks(plan, tools);
    // Versions of another distribution or release mean nothing here.
    let prior = prior.filter(|prior| prior.asks.first() == asks.first());
    update.check(prior)?;
    stage.now("signed indexes");
    let indexes = read_indexes(plan, prior, sources, progress)?;
    let texts = indexes.packages(sources, progress)?;
    stage.now("dependencies");
    let lists: Vec<_> =
        texts.par_iter().map(|(archive, what, text)| (archive.as_str(), index::parse(text, what))).collect();
    let architecture = &plan.distribution.architecture;
    let (own, extra): (Vec<_>, Vec<_>) =
        lists.into_iter().partition(|(archive, _)| sources.distribution.has(archive));
    let own: Vec<_> =
        own.into_iter().map(|(archive, list)| Ok((archive, list.whole()?))).collect::<Result<_>>()?;
    let without = if extra.is_empty() { None } else { Some(Universe::new(architecture, own.clone())?) };
    let extra = repository::named(plan, extra, progress)?;
    let universe = Universe::new(architecture, own.into_iter().chain(extra))?;

    let image = Request {
        roots: plan.packages.install.iter().map(|(name, origins)| (name.clone(), who(origins))).collect(),
        deny: plan.packages.deny.iter().map(|(name, origins)| (name.clone(), who(origins))).collect(),
        prefer: update.kept(prior.map(|prior| &prior.packages[..])),
        at_least: BTreeMap::new(),
        essential: true,
    };
    let tools = Request {
        roots: tools.iter().map(|name| (name.to_string(), vec!["tool".to_string()])).collect(),
        deny: BTreeMap::new(),
        prefer: update.kept(prior.map(|prior| &prior.tools[..])),
        at_least: BTreeMap::new(),
        essential: false,
    };
    for name in image.deny.keys() {
        if !universe.knows(name) {
            progress.warn(format!("the recipe denies {name}, and there is no such package"));
        }
    }
    let packages = pinned(&universe, &image, update, progress)?;
    let tools = pinned(without.as_ref().unwrap_or(&universe), &tools, update, progress)
        .map_err(|error| error.doing("goldcast's own tools cannot be had"))?;
    for warning in repository::passed_over(plan, &universe, &image, &packages)? {
        progress.warn(warning);
    }
    warn_of_changed_bytes(prior, &packages, &tools, progress);
    if let Some(error) = budget_error(&plan.packages, &packages) {
        return Err(error);
    }
    let source_date_epoch = indexes.suites.iter().map(|suite| suite.release.date).max().unwrap_or_default();
    let summary = format!("{} packages, {} for tools, from {}", packages.len(), tools.len(), universe.len());
    let lock = Lock {
        version: VERSION,
        source_date_epoch,
        request: digest_of(&asks),
        asks,
        indexes: indexes.suites.iter().map(ReadSuite::locked).collect(),
        packages,
        tools,
    };
    stage.finish(summary);
    Ok(lock)
}

/// A suite whose index is to be read.
struct Suite<'a> {
    archive: &'a str,
    name: &'a str,
    components: Vec<&'a str>,
    keyring: &'a Keyring,
    /// The repository that it is in, when it is not the distribution's.
    repository: Option<&'a Repository>,
}

/// One suite's verified index.
struct ReadSuite {
    archive: String,
    name: String,
    sha256: String,
    release: Release,
    files: Vec<IndexFile>,
}

impl ReadSuite {
    fn locked(&self) -> LockedIndex {
        LockedIndex {
            archive: self.archive.clone(),
            suite: self.name.clone(),
            date: date::show(self.release.date),
            sha256: self.sha256.clone(),
            signed_by: self.release.signed_by.clone(),
        }
    }
}

struct Indexes {
    suites: Vec<ReadSuite>,
}

/// What the store remembers of a suite, for offline runs.
#[derive(Debug, Serialize, Deserialize)]
struct LastGood {
    sha256: String,
}

fn read_indexes(
    plan: &Plan,
    prior: Option<&Lock>,
    sources: &Sources<'_>,
    progress: &Progress,
) -> Result<Indexes> {
    let of = sources.distribution.release(&plan.distribution.release)?;
    let keyring = match &plan.distribution.keyring {
        Some(own) => Keyring::read([own.as_slice()])?,
        None => Keyring::read(of.keys.iter().map(|key| key.as_bytes()))?,
    };
    if sources.offline {
        progress.say("offline: versions are chosen from the indexes of the last run that had a network");
    }
    let keyrings: Vec<(&Repository, Keyring)> = plan
        .repositories
        .iter()
        .map(|repository| Ok((repository, Keyring::read([repository.keyring.as_slice()])?)))
        .collect::<Result<_>>()?;
    let own = of.suites.iter().map(|suite| Suite {
        archive: suite.archive,
        name: suite.name,
        components: of.components.to_vec(),
        keyring: &keyring,
        repository: None,
    });
    let extra = keyrings.iter().map(|(repository, keyring)| Suite {
        archive: &repository.name,
        name: &repository.suite,
        components: repository.components.iter().map(String::as_str).collect(),
        keyring,
        repository: Some(repository),
    });
    let all: Vec<Suite<'_>> = own.chain(extra).collect();
    let architecture = &plan.distribution.architecture;
    let suites: Result<Vec<ReadSuite>> = all
        .par_iter()
        .map(|suite| {
            let read = read_suite(suite, architecture, prior, sources);
            read.map_err(|error| match suite.repository {
                Some(repository) => repository::refused(error, repository),
                None => error,
            })
        })
        .collect();
    Ok(Indexes { suites: suites? })
}

fn read_suite(
    suite: &Suite<'_>,
    architecture: &str,
    prior: Option<&Lock>,
    sources: &Sources<'_>,
) -> Result<ReadSuite> {
    let (base, source) = (sources.mirrors.base(suite.archive)?, sources.mirrors.source_of(suite.archive));
    let (key, source) = match suite.repository {
        None => {
            let key = format!("inrelease.{}.{}.{}", sources.distribution.name, suite.archive, suite.name);
            (key, source.as_str())
        }
        // Recipes call different repositories by the same name.
        Some(repository) => (repository::cache_key(repository), base),
    };
    let bytes = if sources.offline {
        let last: Option<LastGood> = sources.store.get_result(&key)?;
        let path = last.as_ref().and_then(|last| sources.store.path(&last.sha256));
        let (Some(last), Some(_)) = (last, path) else {
            return Err(Error::new(format!("the cache has no index of {}", suite.name))
                .because("--offline allows no download")
                .hint("run `goldcast lock RECIPE` once without --offline; a build with an unchanged lock works offline"));
        };
        sources.store.verify(&last.sha256)?;
        sources.store.get_bytes(&last.sha256)?
    } else {
        let url = format!("{base}/dists/{}/InRelease", suite.name);
        let what = format!("the index of {} from {source}", suite.name);
        sources.store.fetch_bytes(&what, &[url], release::LIMIT)?
    };
    // A repository that has moved is another one, whose index may be older.
    let known = |prior: &&Lock| suite.repository.is_none_or(|repository| prior.knows(repository));
    let locked = prior.filter(known).and_then(|prior| {
        let of_suite = |index: &&LockedIndex| index.archive == suite.archive && index.suite == suite.name;
        prior.indexes.iter().find(of_suite).and_then(|index| date::read(&index.date))
    });
    // As apt has it. Among the distribution's own suites the name tells one from the other, so it has to be whole.
    let alias = suite.repository.and(suite.name.rsplit_once('/')).map(|(start, _)| start);
    let expected = Expected { suite: suite.name, alias, now: sources.now, not_before: locked };
    let release = Release::verify(&bytes, suite.keyring, &expected)?;
    let sha256 = hex::encode(Sha256::digest(&bytes));
    if !sources.offline {
        sources.store.put_bytes(&bytes)?;
        sources.store.put_result(&key, &LastGood { sha256: sha256.clone() })?;
    }
    let files = index::files(&release, suite.name, &suite.components, architecture, base);
    let mut files = files.map_err(|error| match suite.repository {
        Some(repository) => {
            error.hint(format!("check `components` and `suite` of the [[repository]] {}", repository.name))
        }
        None => error.hint("check distribution.architecture in the recipe"),
    })?;
    for file in files.iter_mut().filter(|_| suite.repository.is_some()) {
        file.want.what.push_str(&format!(" of the repository {}", suite.archive));
    }
    Ok(ReadSuite { archive: suite.archive.into(), name: suite.name.into(), sha256, release, files })
}

impl Indexes {
    /// The unpacked package lists, as (archive, what it is, text), in the suites' order.
    fn packages(&self, sources: &Sources<'_>, progress: &Progress) -> Result<Vec<(String, String, String)>> {
        let files: Vec<(&ReadSuite, &IndexFile)> =
            self.suites.iter().flat_map(|suite| suite.files.iter().map(move |file| (suite, file))).collect();
        let wants: Vec<_> = files.iter().map(|(_, file)| file.want.clone()).collect();
        let fetched = sources.store.fetch(&wants, &sources.options(), progress);
        fetched.map_err(|error| {
            let meant = |(_, file): &&(&ReadSuite, &IndexFile)| error.what().contains(&file.want.what);
            match files.iter().find(meant).filter(|(suite, _)| !sources.distribution.has(&suite.archive)) {
                Some((suite, _)) => repository::not_the_mirrors(error, &suite.archive),
                None => error,
            }
        })?;
        files
            .par_iter()
            .map(|(suite, file)| {
                crate::interrupt::check()?;
                let bytes = sources.store.get_bytes(&file.want.sha256)?;
                // The store checked it when it came in; a disk may have changed it since.
                if hex::encode(Sha256::digest(&bytes)) != file.want.sha256 {
                    sources.store.verify(&file.want.sha256)?;
                }
                Ok((suite.archive.clone(), file.want.what.clone(), file.unpack(&bytes)?))
            })
            .collect()
    }
}

fn pinned(
    universe: &Universe<'_>,
    request: &Request,
    update: &Update,
    progress: &Progress,
) -> Result<Vec<LockedPackage>> {
    let (chosen, warnings) = update.resolve(universe, request)?;
    for warning in warnings {
        progress.warn(warning);
    }
    let pin = |chosen: Chosen| {
        let package = universe.package(chosen.package);
        let stanza = &package.stanza;
        LockedPackage {
            name: stanza.name.into(),
            version: stanza.version.into(),
            architecture: stanza.architecture.into(),
            archive: package.archive.into(),
            path: stanza.filename.into(),
            size: stanza.size,
            installed_size: stanza.installed_size,
            sha256: stanza.sha256.into(),
            because: chosen.because,
        }
    };
    Ok(chosen.into_iter().map(pin).collect())
}

/// An archive never changes the bytes of a version; when it does, the user should look.
fn warn_of_changed_bytes(
    prior: Option<&Lock>,
    packages: &[LockedPackage],
    tools: &[LockedPackage],
    progress: &Progress,
) {
    let Some(prior) = prior else { return };
    let before: BTreeMap<_, _> = (prior.packages.iter().chain(&prior.tools))
        .map(|package| ((&package.name, &package.version, &package.architecture), &package.sha256))
        .collect();
    for package in packages.iter().chain(tools) {
        let key = (&package.name, &package.version, &package.architecture);
        if before.get(&key).is_some_and(|sha256| **sha256 != package.sha256) {
            progress.warn(format!(
                "{} has other bytes than the lock had under the same version",
                package.identity()
            ));
        }
    }
}

#[cfg(test)]
#[path = "locking_tests.rs"]
mod tests;
