//! What several commands begin with: the plan, its lock, the store, the tools.

use crate::archive::Update;
use crate::archive::lock::Lock;
use crate::archive::lockfile::Status;
use crate::archive::locking::{self, Sources};
use crate::archive::packages;
use crate::cli::common::{Network, Share, Talk};
use crate::error::{Error, Result};
use crate::progress::{Mode, Progress};
use crate::recipe::{self, Beside, Library, Plan};
use crate::rootfs::tools;
use crate::sandbox::{self, Tools};
use crate::store::Store;
use crate::{typed, verify};
use std::env::consts::ARCH;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A recipe that was read, and where its work is kept.
pub struct Session {
    /// The voice of the run.
    pub progress: Progress,
    /// The recipe's path.
    pub recipe: PathBuf,
    /// The resolved recipe.
    pub plan: Plan,
    /// Downloads and cached results.
    pub store: Store,
    network: Network,
}

/// What may be done about a lock that is missing or stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locking {
    /// It is written.
    Allowed,
    /// It is an error (`--locked`).
    Refused,
    /// It is written anew, with newer versions of what this names.
    Update(Update),
}

/// Reads a recipe, with the checks of its own, and tells its warnings.
pub fn load(recipe: &Path, progress: &Progress) -> Result<Plan> {
    let library = Library::beside(recipe)?;
    let loaded = recipe::load(recipe, &library)?;
    for warning in &loaded.warnings {
        let help = warning.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        progress.warn(format!("{}: {}{help}", warning.position, warning.message));
    }
    let checks = checks_beside(recipe);
    for directory in &checks.strangers {
        progress.warn(format!(
            "{}: passed over, with the checks in it: it belongs to somebody else than the recipe's owner or root",
            directory.display()
        ));
    }
    verify::checks(&loaded.plan, &checks.found)?;
    Ok(loaded.plan)
}

/// The lock that lies beside a recipe, for commands that only read it. They answer of one that no longer fits, too, and
/// say that it does not.
pub fn lock_beside(recipe: &Path, plan: &Plan, progress: &Progress) -> Result<Lock> {
    let path = recipe.with_extension("lock");
    let renew = format!("`goldcast lock {}`", typed::path(recipe));
    let lock = Lock::read_if_there(&path)?.ok_or_else(|| {
        Error::usage(format!("there is no lock {} yet", path.display())).hint(format!("make it with {renew}"))
    })?;
    let names = tools::packages();
    let tools: Vec<&str> = names.iter().map(String::as_str).collect();
    if let Status::Stale { why } = lock.status(plan, &tools) {
        progress.warn(format!("{} does not fit the recipe: {why} ({renew} renews it)", path.display()));
    }
    Ok(lock)
}

fn mode(talk: &Talk) -> Mode {
    if talk.quiet { Mode::Quiet } else { Mode::detect(talk.json) }
}

/// Where the outputs of an image with this name are, unless `--out` names another directory.
pub fn outputs(asked: Option<&Path>, name: &str) -> PathBuf {
    asked.map_or_else(|| Path::new("out").join(name), Path::to_path_buf)
}

/// Holds the rest of the run to as much of this machine as was asked for.
pub fn hold_to(share: &Share) -> Result<()> {
    let Some(jobs) = share.jobs else { return Ok(()) };
    rayon::ThreadPoolBuilder::new()
        .num_threads(jobs.get())
        .build_global()
        .map_err(|error| Error::new(format!("cannot use {jobs} processors")).because(error))
}

/// `qemu-tests/` beside the recipe or in the directories above it, the nearest first.
pub fn check_directories(recipe: &Path) -> Vec<PathBuf> {
    checks_beside(recipe).found
}

fn checks_beside(recipe: &Path) -> Beside {
    recipe::beside(recipe, "qemu-tests")
}

impl Session {
    /// Reads the recipe and opens the store. Nothing is written before the recipe is known to be right.
    pub fn open(recipe: &Path, network: &Network, talk: &Talk) -> Result<Self> {
        let progress = Progress::new(mode(talk));
        let plan = load(recipe, &progress)?;
        let store = Store::open(Store::default_dir()?)?.leased()?;
        Ok(Self { progress, recipe: recipe.to_path_buf(), plan, store, network: network.clone() })
    }

    /// As [`Session::open`], for commands that make files of other owners or run tools: the process enters
    /// its user namespace first.
    pub fn enter(recipe: &Path, network: &Network, talk: &Talk) -> Result<Self> {
        // The recipe first: a mistake in it is told even where namespaces are refused.
        load(recipe, &Progress::new(Mode::Silent))?;
        sandbox::enter()?;
        crate::interrupt::listen()?;
        Self::open(recipe, network, talk)
    }

    /// A session of a plan that is known already, and of which `path` tells in messages; the process enters its user
    /// namespace.
    pub fn of_plan(path: &Path, plan: Plan, network: &Network, talk: &Talk) -> Result<Self> {
        sandbox::enter()?;
        crate::interrupt::listen()?;
        let progress = Progress::new(mode(talk));
        let store = Store::open(Store::default_dir()?)?.leased()?;
        Ok(Self { progress, recipe: path.to_path_buf(), plan, store, network: network.clone() })
    }

    /// Where the lock is: beside the recipe.
    pub fn lock_path(&self) -> PathBuf {
        self.recipe.with_extension("lock")
    }

    /// Where packages come from.
    pub fn sources(&self) -> Result<Sources<'_>> {
        let mut sources =
            Sources::for_plan(&self.plan, &self.store, self.network.mirror.as_deref(), self.network.offline)?;
        sources.jobs = self.network.downloads.into();
        Ok(sources)
    }

    /// The lock that is there when it is fresh, else a new one, of which it is told what has changed.
    pub fn lock(&self, locking: &Locking) -> Result<Lock> {
        let (lock, before) = self.renewed(locking)?;
        for change in before.iter().flat_map(|before| lock.changes_since(before)) {
            self.progress.say(change);
        }
        Ok(lock)
    }

    /// As [`Session::lock`], with the lock that was there before, and nothing told of the changes.
    pub fn renewed(&self, locking: &Locking) -> Result<(Lock, Option<Lock>)> {
        let path = self.lock_path();
        let names = tools::packages();
        let tools: Vec<&str> = names.iter().map(String::as_str).collect();
        let prior = Lock::read_if_there(&path)?;
        let reason = match (&prior, locking) {
            (_, Locking::Update(_)) => None,
            (None, _) => Some("there is no lock yet".to_owned()),
            (Some(lock), _) => match lock.status(&self.plan, &tools) {
                Status::Fresh => return Ok((lock.clone(), prior.clone())),
                Status::Stale { why } => Some(why),
            },
        };
        if let (Locking::Refused, Some(why)) = (locking, &reason) {
            return Err(Error::usage(format!("the lock {} does not fit the recipe", path.display()))
                .because(why)
                .hint(format!(
                    "run `goldcast lock {}` and commit the lock; `goldcast build` without --locked writes it, too",
                    typed::path(&self.recipe)
                )));
        }
        if let (Some(why), true) = (&reason, prior.is_some()) {
            self.progress.say(format!("the lock is renewed, because {why}"));
        }
        let update = match locking {
            Locking::Update(update) => update.clone(),
            _ => Update::Keep,
        };
        let lock =
            locking::lock(&self.plan, &tools, prior.as_ref(), &update, &self.sources()?, &self.progress)?;
        lock.write(&path)?;
        Ok((lock, prior))
    }

    /// The tools tree of a lock.
    pub fn tools(&self, lock: &Lock) -> Result<Tools> {
        if ARCH != "x86_64" {
            self.progress.warn(format!(
                "the tools are programs for amd64, and this machine is {ARCH}: they run only where its kernel has an \
                 emulator for them (binfmt_misc)"
            ));
        }
        let digests: Vec<&str> = lock.tools.iter().map(|package| package.sha256.as_str()).collect();
        let trees = self.store.dir().join("trees");
        let place = tools::place(&digests, &trees);
        self.store.hold(place.strip_prefix(self.store.dir()).ok())?;
        if place.is_dir() {
            return Ok(Tools::at(place));
        }
        let debs = packages::fetch(lock, &lock.tools, &self.sources()?, &self.progress, &|_| {})?;
        tools::prepare(&debs, &digests, &trees, &self.progress)
    }

    /// The directory that outputs go to.
    pub fn out(&self, asked: Option<&Path>) -> PathBuf {
        outputs(asked, &self.plan.name)
    }

    /// Where goldcast works: memory when there is enough, else here. `TMPDIR` moves it.
    pub fn work(&self) -> PathBuf {
        work(std::env::var_os("TMPDIR"), self.store.dir())
    }
}

/// A variable that is set to nothing says nothing.
fn work(temporary: Option<OsString>, cache: &Path) -> PathBuf {
    match temporary.filter(|directory| !directory.is_empty()) {
        Some(directory) => PathBuf::from(directory).join("goldcast"),
        None => cache.join("work"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_in_the_cache_unless_tmpdir_names_a_place() {
        let done = |temporary: Option<&str>| work(temporary.map(OsString::from), Path::new("/cache"));
        assert_eq!(done(None), Path::new("/cache/work"));
        assert_eq!(done(Some("")), Path::new("/cache/work"));
        assert_eq!(done(Some("/large")), Path::new("/large/goldcast"));
    }
}
