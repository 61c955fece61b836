//! From packages to the finished tree: base, packages, initramfs, overlays, each taken from the cache or made and kept.
//!
//! A tree that another one is made over stays as it is, so that it can be packed, and an initramfs made from it, beside
//! the work on the next one. What is made does not depend on any of this: a restored tree is the one that was packed.

use super::layer::{Cache, Made, Record};
use super::tiers::{self, Tiers};
use super::unpack::Package;
use super::workspace::Workspace;
use super::{Rootfs, Spec, apply, boot, explain, finalize, initramfs, keys, packages, scripts, system};
use crate::disk::grub::{self, BootContent};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::store::Key;
use crate::tree::index::Index;
use crate::tree::view::View;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::thread::{Scope, ScopedJoinHandle};

/// A tree of packages that others are made over.
struct Ground {
    /// Where it is.
    tree: PathBuf,
    /// What a view over it takes as its lowers.
    layers: Vec<PathBuf>,
    /// Whether somebody else reads it, so that it must stay as it is.
    read: bool,
    /// What package scripts said.
    log: String,
    /// What made each file that no package owns.
    origins: BTreeMap<String, String>,
}

struct Builder<'a> {
    spec: &'a Spec<'a>,
    workspace: &'a Workspace,
    cache: &'a Cache<'a>,
    progress: &'a Progress,
    epoch: i64,
    /// Where this attempt works.
    directory: PathBuf,
    packages: OnceLock<Vec<Package>>,
}

type Task<'scope> = ScopedJoinHandle<'scope, Result<()>>;

/// Builds the whole tree in the workspace.
pub fn build(
    spec: &Spec<'_>,
    workspace: &Workspace,
    cache: &Cache<'_>,
    progress: &Progress,
) -> Result<Rootfs> {
    let epoch = spec.lock.source_date_epoch;
    let mut attempt = 0;
    loop {
        let directory = workspace.directory(&format!("attempt-{attempt}"))?;
        let builder =
            Builder { spec, workspace, cache, progress, epoch, directory, packages: OnceLock::new() };
        match std::thread::scope(|scope| builder.build(scope)) {
            // What was damaged has been removed: it is made anew, from a clean start.
            Err(error) if cache.damaged.swap(false, Ordering::Relaxed) && attempt < ATTEMPTS => {
                progress.warn(format!("{error}; it was damaged and is made anew"));
                workspace.discard(&builder.directory)?;
                attempt += 1;
            }
            built => return built,
        }
    }
}

/// There are three layers; a fourth damaged one means that the cache's disk is.
const ATTEMPTS: u32 = 3;

impl<'a> Builder<'a> {
    fn build<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Result<Rootfs> {
        let tiers = self.tiers()?;
        let base_key = keys::base(self.spec, &tiers)?;
        let one_tier = self.spec.lock.packages.iter().all(|package| tiers.base.contains(&package.name));
        let set_key = if one_tier { base_key.clone() } else { keys::set(&base_key, self.spec, &tiers) };
        let under_initramfs = if tiers.own_initramfs { &set_key } else { &base_key };
        let initramfs_key = keys::initramfs(under_initramfs, self.spec);

        let base_record = self.cache.find(&base_key)?;
        // What is to be done to the base is of no use without it.
        let set_record = self.cache.find(&set_key)?.filter(|_| base_record.is_some());
        let initramfs_record = self.cache.find(&initramfs_key)?;
        self.note(&base_key, base_record.is_some())?;
        if !one_tier {
            self.note(&set_key, set_record.is_some())?;
        }
        self.note(&initramfs_key, initramfs_record.is_some())?;

        let mut keeping = Vec::new();
        let initramfs_from_base = initramfs_record.is_none() && !tiers.own_initramfs;
        let base = if set_record.is_none() || one_tier || initramfs_from_base {
            Some(self.base(scope, &tiers, &base_key, base_record.as_ref(), &mut keeping)?)
        } else {
            None
        };
        let mut making = None;
        if let Some(base) = base.as_ref().filter(|_| initramfs_from_base) {
            making = Some(self.initramfs(scope, base, &initramfs_key));
        }
        let set = match (base, base_record, set_record) {
            (Some(base), _, _) if one_tier => Ground { read: base.read || making.is_some(), ..base },
            (base, Some(below), Some(record)) => self.restored(base, &below, &record)?,
            (Some(base), _, None) => self.set(scope, base, &tiers, (&base_key, &set_key), &mut keeping)?,
            _ => return Err(Error::new("there is no tree to build on")),
        };
        if initramfs_record.is_none() && tiers.own_initramfs {
            making = Some(self.initramfs(scope, &set, &initramfs_key));
        }
        let read = set.read || (tiers.own_initramfs && making.is_some());
        fs_err::write(self.spec.logs.join("packages.log"), &set.log)?;
        let ready = || match (making, &initramfs_record) {
            (Some(making), _) => joined(making),
            (None, Some(record)) => self.cache.restore(record, &self.place("initramfs/out")?, self.epoch),
            (None, None) => Err(Error::new("there is no initramfs")),
        };
        let tree_key = keys::tree(&set_key, &initramfs_key, self.spec)?;
        self.note(&tree_key, false)?;
        let finished = self.finished(&Ground { read, ..set }, ready)?;
        keeping.into_iter().try_for_each(joined)?;
        Ok(finished)
    }

    /// A directory of this attempt; it is made.
    fn place(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        fs_err::create_dir_all(&path)?;
        Ok(path)
    }

    fn note(&self, key: &Key, reused: bool) -> Result<()> {
        if reused { self.cache.trail.reused(key) } else { self.cache.trail.made(key) }
    }

    /// The packages' control data; read when first asked for.
    fn packages(&self) -> Result<&[Package]> {
        if let Some(read) = self.packages.get() {
            return Ok(read);
        }
        let debs = (self.spec.debs)()?;
        let names = debs.iter().filter_map(|deb| deb.file_name());
        let expanded: Vec<PathBuf> = names.map(|name| Path::new("expanded").join(name)).collect();
        self.cache.store.hold(expanded.iter().map(PathBuf::as_path))?;
        let read = packages::read(&debs, Some(self.cache.store))?;
        Ok(self.packages.get_or_init(|| read))
    }

    /// How the packages are divided, which their control data says; remembered, so that these need not be read.
    fn tiers(&self) -> Result<Tiers> {
        let mut hash = Sha256::new();
        hash.update(keys::program()?);
        for name in &self.spec.plan.packages.base {
            hash.update(name);
            hash.update("\n");
        }
        for package in &self.spec.lock.packages {
            hash.update(&package.sha256);
        }
        let name = format!("tiers.{}", hex::encode(hash.finalize()));
        if let Some(known) = self.cache.store.get_result(&name)? {
            return Ok(known);
        }
        let tiers = tiers::divide(self.packages()?, &self.spec.plan.packages.base)?;
        self.cache.store.put_result(&name, &tiers)?;
        Ok(tiers)
    }

    /// The tree of the base's packages.
    fn base<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        tiers: &Tiers,
        key: &Key,
        record: Option<&Record>,
        keeping: &mut Vec<Task<'scope>>,
    ) -> Result<Ground> {
        let tree = self.place("base/tree")?;
        if let Some(record) = record {
            let stage = self.progress.stage("base");
            self.cache.restore(record, &tree, self.epoch)?;
            stage.finish("restored from the cache");
            return Ok(Ground {
                layers: vec![tree.clone()],
                tree,
                read: false,
                log: record.log.clone(),
                origins: record.origins.clone(),
            });
        }
        let all = self.packages()?;
        let belongs = |package: &&Package| tiers.base.contains(package.control.stanza.package());
        let of_base: Vec<Package> = all.iter().filter(belongs).cloned().collect();
        self.workspace.working_on(&tree);
        let log = self.install("base", &of_base, &BTreeSet::new(), tiers, &tree)?;
        let origins = explain::packages(&tree)?;
        let ground = Ground { layers: vec![tree.clone()], tree, read: true, log, origins };
        keeping.push(self.keep(scope, key.clone(), &ground, None));
        Ok(ground)
    }

    /// The tree of all packages, as it was kept.
    fn restored(&self, base: Option<Ground>, below: &Record, record: &Record) -> Result<Ground> {
        let stage = self.progress.stage("packages");
        let (tree, layers) = match base {
            Some(base) => {
                let view = View::over(&base.layers, &base.tree, &self.place("packages")?)?;
                let (tree, layers) = (view.tree().to_path_buf(), view.layers());
                self.workspace.hold(view);
                (tree, layers)
            }
            None => {
                let tree = self.place("packages/tree")?;
                self.cache.restore(below, &tree, self.epoch)?;
                (tree.clone(), vec![tree])
            }
        };
        self.cache.restore(record, &tree, self.epoch)?;
        stage.finish("restored from the cache");
        Ok(Ground { tree, layers, read: false, log: record.log.clone(), origins: record.origins.clone() })
    }

    /// The tree of all packages, over that of the base.
    fn set<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        base: Ground,
        tiers: &Tiers,
        (base_key, key): (&Key, &Key),
        keeping: &mut Vec<Task<'scope>>,
    ) -> Result<Ground> {
        let all = self.packages()?;
        let belongs = |rank: &usize| tiers.base.contains(all[*rank].control.stanza.package());
        let present: BTreeSet<usize> = (0..all.len()).filter(belongs).collect();
        let work = |tree: &Path| self.install("packages", all, &present, tiers, tree);
        let (view, said) = self.over(&base, "packages", work)?;
        let origins = explain::packages(view.tree())?;
        let ground = Ground {
            tree: view.tree().to_path_buf(),
            layers: view.layers(),
            read: true,
            log: base.log + &said,
            origins,
        };
        self.workspace.hold(view);
        let below = Some((base_key.clone(), base.tree));
        keeping.push(self.keep(scope, key.clone(), &ground, below));
        Ok(ground)
    }

    /// Works in a view over a tree. An overlay takes apart names that share a file when one of them is written to; what
    /// the work would give in a tree of its own is what counts, so then it is done in a copy.
    fn over<T>(&self, ground: &Ground, name: &str, work: impl Fn(&Path) -> Result<T>) -> Result<(View, T)> {
        let view = View::over(&ground.layers, &ground.tree, &self.place(name)?)?;
        self.workspace.working_on(view.tree());
        let done = work(view.tree())?;
        if !view.separated_links(&ground.tree)? {
            return Ok((view, done));
        }
        drop(view);
        let copy = View::copied(&ground.tree, &self.place(&format!("{name}-copy"))?)?;
        self.workspace.working_on(copy.tree());
        let done = work(copy.tree())?;
        Ok((copy, done))
    }

    fn install(
        &self,
        name: &str,
        packages: &[Package],
        present: &BTreeSet<usize>,
        tiers: &Tiers,
        tree: &Path,
    ) -> Result<String> {
        let plan = self.spec.plan;
        let of_base = |package: &String| tiers.base.contains(package);
        let answers = plan.debconf.iter().filter(|answer| of_base(&answer.package) == present.is_empty());
        let set = packages::Set {
            packages,
            present,
            architecture: &plan.distribution.architecture,
            epoch: self.epoch,
            debconf: &answers.cloned().collect::<Vec<_>>(),
            name,
        };
        let scratch = self.place(&format!("scratch/{name}"))?;
        let said = packages::install(&set, tree, &scratch, self.progress)?;
        finalize::finalize(tree, self.epoch)?;
        Ok(said)
    }

    /// Keeps a tree in the cache, beside other work. `below` is the tree it was made over, and that one's key.
    fn keep<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        key: Key,
        ground: &Ground,
        below: Option<(Key, PathBuf)>,
    ) -> Task<'scope> {
        let (tree, log, origins) = (ground.tree.clone(), ground.log.clone(), ground.origins.clone());
        scope.spawn(move || {
            let made = Made { key: &key, tree: &tree, epoch: self.epoch, log: &log, origins: &origins };
            let below = match below {
                Some((_, tree)) => Index::of(&tree)?,
                None => Index::default(),
            };
            let kept = Index::of(&tree).and_then(|index| self.cache.keep(&made, &below, &index));
            self.told(kept)
        })
    }

    /// A layer that cannot be kept costs the next build time, not this one its result.
    fn told(&self, kept: Result<()>) -> Result<()> {
        if let Err(error) = kept {
            crate::interrupt::check()?;
            self.progress.warn(error.to_string());
        }
        Ok(())
    }

    /// Makes the initramfs beside other work.
    fn initramfs<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        ground: &Ground,
        key: &Key,
    ) -> Task<'scope> {
        let (layers, tree, key) = (ground.layers.clone(), ground.tree.clone(), key.clone());
        scope.spawn(move || {
            let stage = self.progress.stage("initramfs");
            let place = self.place("initramfs")?;
            let view = View::over(&layers, &tree, &place)?;
            let out = self.place("initramfs/out")?;
            let scratch = self.place("scratch/initramfs")?;
            initramfs::make(self.spec, view.tree(), &scratch, &out)
                .inspect_err(|_| self.workspace.working_on(view.tree()))?;
            self.workspace.hold(view);
            stage.finish("made by update-initramfs");
            let made = Made { key: &key, tree: &out, epoch: self.epoch, log: "", origins: &BTreeMap::new() };
            let kept = Index::of(&out).and_then(|index| self.cache.keep(&made, &Index::default(), &index));
            self.told(kept)
        })
    }

    /// The finished tree, over that of all packages; `ready` waits for the initramfs.
    fn finished(&self, ground: &Ground, ready: impl FnOnce() -> Result<()>) -> Result<Rootfs> {
        let Spec { plan, identity, .. } = self.spec;
        let scratch = self.place("scratch/tree")?;
        let stage = self.progress.stage("overlays");
        let work = |tree: &Path| {
            let chroot = scripts::Chroot::new(tree, &scratch, self.epoch)?;
            system::configure(plan, tree)?;
            boot::configure(plan, identity, tree)?;
            apply::apply(plan, tree, &chroot)
        };
        let tree = if ground.read {
            let (view, ()) = self.over(ground, "tree", work)?;
            let tree = view.tree().to_path_buf();
            self.workspace.hold(view);
            tree
        } else {
            self.workspace.working_on(&ground.tree);
            work(&ground.tree)?;
            ground.tree.clone()
        };
        stage.finish(format!("{} files, {} accounts", plan.files.len(), plan.users.len()));

        ready()?;
        let stage = self.progress.stage("boot");
        self.workspace.working_on(&tree);
        let chroot = scripts::Chroot::new(&tree, &scratch, self.epoch)?;
        initramfs::place(&self.place("initramfs/out")?, &tree)?;
        for file in grub::boot_files(&tree)? {
            let target = tree.join(&file.path);
            if let Some(parent) = target.parent() {
                fs_err::create_dir_all(parent)?;
            }
            match &file.content {
                BootContent::CopyOf(source) => drop(fs_err::copy(tree.join(source), &target)?),
                BootContent::Bytes(bytes) => fs_err::write(&target, bytes)?,
            }
        }
        boot::menu(identity, &tree, &scratch, &chroot)?;
        finalize::finalize(&tree, self.epoch)?;
        let explained = explain::explain(&tree, plan, &ground.origins)?;
        let (files, bytes) = measure(&tree)?;
        stage.finish("boot menu, identity removed, times clamped");
        Ok(Rootfs { tree, explained, bytes, files })
    }
}

fn joined(task: Task<'_>) -> Result<()> {
    task.join().unwrap_or_else(|_| Err(Error::new("a thread of the build panicked")))
}

fn measure(directory: &Path) -> Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        files += 1;
        if metadata.is_dir() {
            let (more_files, more_bytes) = measure(&entry.path())?;
            files += more_files;
            bytes += more_bytes;
        } else if metadata.is_file() {
            bytes += metadata.len();
        }
    }
    Ok((files, bytes))
}
