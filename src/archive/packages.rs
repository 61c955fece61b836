//! Locked packages into the store: from the mirror, else from the snapshot service, which extra repositories do not have.

use super::date;
use super::lock::{Lock, LockedPackage};
use super::locking::Sources;
use super::repository;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::store::{self, Want};
use std::path::{Path, PathBuf};

/// How long after an index's date the snapshot service may have seen it, in seconds: it looks a few times a
/// day, and the address of a moment means the last look before it.
const SNAPSHOT_DELAYS: [i64; 3] = [6 * 3600, 24 * 3600, 0];

/// Makes sure that the store has these packages of the lock, and returns their files in the same order. `arrived` is
/// given the file of each that was downloaded, by the thread that did it.
pub fn fetch(
    lock: &Lock,
    packages: &[LockedPackage],
    sources: &Sources<'_>,
    progress: &Progress,
    arrived: &(dyn Fn(&Path) + Sync),
) -> Result<Vec<PathBuf>> {
    let wants: Result<Vec<Want>> = packages.iter().map(|package| want(lock, package, sources)).collect();
    let wants = wants?;
    let told = |want: &Want| {
        if let Some(path) = sources.store.path(&want.sha256) {
            arrived(&path);
        }
    };
    let fetched = sources.store.fetch_and(&wants, &sources.options(), progress, &told);
    fetched.map_err(|error| {
        let what = |package: &&LockedPackage| error.what() == format!("cannot download {}", package.identity());
        // Wrong bytes and full disks have advice of their own.
        let unreachable = error.advice() == Some(store::UNREACHABLE);
        match packages.iter().find(what).filter(|_| unreachable) {
            Some(package) if !sources.distribution.has(&package.archive) => error.hint(format!(
                "the repository {} may have dropped this version, and unlike the distribution's it has no archive \
                 of all that it ever published: `goldcast lock RECIPE --update {}` chooses a newer one;\n\
                 otherwise check the network and its address in the recipe (`--mirror` is not for it)",
                package.archive, package.name
            )),
            Some(package) => error.hint(format!(
                "the archive may have dropped this version: `goldcast lock RECIPE --update {}` chooses a newer one;\n\
                 otherwise check the network and --mirror",
                package.name
            )),
            None => {
                let meant = |package: &&LockedPackage| error.what().starts_with(&package.identity());
                let extra = packages.iter().find(meant).filter(|it| !sources.distribution.has(&it.archive));
                match extra {
                    Some(package) => repository::not_the_mirrors(error, &package.archive),
                    None => error,
                }
            }
        }
    })?;
    packages.iter().map(|package| sources.store.expect(&package.sha256)).collect()
}

pub(super) fn want(lock: &Lock, package: &LockedPackage, sources: &Sources<'_>) -> Result<Want> {
    let mut urls = vec![format!("{}/{}", sources.mirrors.base(&package.archive)?, package.path)];
    let dates = lock.indexes.iter().filter(|index| index.archive == package.archive);
    let newest = dates.filter_map(|index| date::read(&index.date)).max();
    if let Some(newest) = newest.filter(|_| sources.distribution.has(&package.archive)) {
        for delay in SNAPSHOT_DELAYS {
            if let Some(timestamp) = newest.checked_add(delay).and_then(date::compact) {
                let base = sources.distribution.snapshot_of(&package.archive, &timestamp);
                urls.push(format!("{base}/{}", package.path));
            }
        }
    }
    if package.size == 0 {
        return Err(Error::new(format!("the lock says that {} is empty", package.identity()))
            .hint("the lock is damaged: make it anew with `goldcast lock RECIPE --update`"));
    }
    Ok(Want { what: package.identity(), sha256: package.sha256.clone(), size: package.size, urls })
}
