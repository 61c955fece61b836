//! What each overlay brings with it, measured against Debian's archive as it is, and what it adds to a boot: for the
//! overlays' pages.

use super::session::load;
use crate::archive::Update;
use crate::archive::locking::{self, Sources};
use crate::error::{Context, Error, Result};
use crate::progress::{Mode, Progress};
use crate::recipe::plan::Origin;
use crate::recipe::{Library, Plan};
use crate::store::Store;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The figures that the pages are made with.
const MEASURED: &str = include_str!("../../overlays/costs.toml");

/// What each adds to a boot, as `benches/boot.sh` counted it.
const BOOTS: &str = include_str!("../../overlays/boots.toml");

/// What boots cost, in millions of instructions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boots {
    /// A whole boot of the base alone.
    base: u64,
    /// What overlays add to it; two boots of the same image differ by some tens, which may be less than nothing.
    overlay: BTreeMap<String, i64>,
}

impl Boots {
    /// The counts as they were made last.
    pub fn counted() -> Result<Self> {
        toml::from_str(BOOTS)
            .map_err(|error| Error::new("reading what overlays add to a boot").because(error))
    }

    /// What this overlay adds to a boot, in percent of a boot of the base alone.
    pub fn percent(&self, overlay: &str) -> Option<f64> {
        // Counts are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        self.overlay.get(overlay).map(|millions| *millions as f64 * 100.0 / self.base as f64)
    }
}

/// What an overlay adds to the base and to the overlays that it turns on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Packages, with what they depend on.
    pub packages: usize,
    /// Their installed size in KiB, as the packages say; `slim` leaves a part of it out.
    pub kib: u64,
}

/// The figures as they were measured last, by overlay.
pub fn measured() -> Result<BTreeMap<String, Cost>> {
    toml::from_str(MEASURED).map_err(|error| Error::new("reading the overlays' costs").because(error))
}

/// Measures them on top of a recipe that turns on no more than it must, and writes them.
pub fn measure(recipe: &Path, file: &Path) -> Result<()> {
    let progress = Progress::new(Mode::Silent);
    let mut plan = load(recipe, &progress)?;
    plan.packages
        .install
        .retain(|_, origins| origins.iter().any(|origin| matches!(origin, Origin::Recipe(_))));
    let store = Store::open(Store::default_dir()?)?.leased()?;
    let library = Library::beside(recipe)?;
    let mut costs = BTreeMap::new();
    for overlay in library.overlays() {
        let mut below = BTreeSet::new();
        for name in overlay.needs() {
            with_needs(&name, &library, &mut below)?;
        }
        let before = closure(&plan, &below, &store, &progress)?;
        below.extend(overlay.packages());
        let after = closure(&plan, &below, &store, &progress)?;
        let added: Vec<u64> =
            after.iter().filter(|(name, _)| !before.contains_key(*name)).map(|(_, kib)| *kib).collect();
        costs.insert(overlay.name.as_str(), Cost { packages: added.len(), kib: added.iter().sum() });
    }
    let text =
        toml::to_string(&costs).map_err(|error| Error::new("writing the overlays' costs").because(error))?;
    fs_err::write(
        file,
        format!(
            "# Made by `make costs`: packages and KiB that each overlay adds to what it turns on.\n\n{text}"
        ),
    )
    .doing("writing the overlays' costs")
}

/// The packages of this overlay and of all that it turns on.
fn with_needs(name: &str, library: &Library, packages: &mut BTreeSet<String>) -> Result<()> {
    let overlay = library.overlay(name).ok_or_else(|| Error::new(format!("there is no overlay `{name}`")))?;
    packages.extend(overlay.packages());
    overlay.needs().iter().try_for_each(|name| with_needs(name, library, packages))
}

/// These packages and what they depend on, on top of the plan's: each with its installed size in KiB.
fn closure(
    plan: &Plan,
    packages: &BTreeSet<String>,
    store: &Store,
    progress: &Progress,
) -> Result<BTreeMap<String, u64>> {
    let mut plan = plan.clone();
    for package in packages {
        plan.packages.install.entry(package.clone()).or_default();
    }
    let sources = Sources::for_plan(&plan, store, None, false)?;
    let lock = locking::lock(&plan, &[], None, &Update::Keep, &sources, progress)?;
    Ok(lock.packages.into_iter().map(|package| (package.name, package.installed_size)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_overlay_has_its_costs_and_only_those_with_packages_have_any() {
        let costs = measured().unwrap();
        let library = Library::built_in().unwrap();
        let names: Vec<&str> = library.overlays().map(|overlay| overlay.name.as_str()).collect();
        assert_eq!(costs.keys().map(String::as_str).collect::<Vec<_>>(), names, "run `make costs`");
        for overlay in library.overlays() {
            let cost = costs[&overlay.name];
            assert_eq!(
                overlay.packages().is_empty(),
                cost.packages == 0,
                "{}: run `make costs`",
                overlay.name
            );
            assert_eq!(cost.packages == 0, cost.kib == 0, "{}", overlay.name);
            let percent = Boots::counted().unwrap().percent(&overlay.name);
            assert!(percent.is_some_and(|percent| percent > -1.0), "{}: run `make boots`", overlay.name);
        }
    }
}
