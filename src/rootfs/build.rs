//! From packages to the finished tree: base, packages, initramfs, overlays, each taken from the cache or made and kept.
//!
//! A tree that another one is made over stays as it is, so that it can be packed, and an initramfs made from it, beside
//! the work on the next one. What is made does not depend on any of this: a restored tree is the one that was packed.

use super::filter::Filter;
use super::layer::{Cache, Made, Record};
use super::tiers::{self, Tier, Tiers};
use super::unpack::Package;
use super::workspace::Workspace;
use super::{Rootfs, Spec, apply, boot, explain, finalize, initramfs, keys, packages, scripts, system};
use crate::disk::grub::{self, BootContent};
use crate::error::{Context, Error, Result};
use crate::progress::Progress;
use crate::store::Key;
use crate::tree::index::Index;
use crate::tree::inside::{self, Tree};
use crate::tree::view::View;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread::{Scope, ScopedJoinHandle};

/// A tree of packages that others are made over.
#[derive(Clone, Default)]
struct Ground {
    /// Where it is.
    tree: PathBuf,
    /// What a view over it takes as its lowers.
    layers: Vec<PathBuf>,
    /// Whether somebody else reads it, so that it must stay as it is.
    read: bool,
    /// What package scripts said.
    log: String,
    /// What made each file that no package owns; found out beside other work.
    origins: Arc<OnceLock<BTreeMap<String, String>>>,
    /// What is in it; found out beside other work.
    index: Arc<OnceLock<Index>>,
}

impl Ground {
    /// The tree of a view over this one.
    fn over(&self, view: &View) -> Self {
        Self {
            tree: view.tree().to_path_buf(),
            layers: view.layers(),
            read: false,
            log: self.log.clone(),
            ..Self::default()
        }
    }

    /// Takes over what is known of a layer: its log is that of all below it as well.
    fn told(&mut self, record: &Record) {
        self.log.clone_from(&record.log);
        self.origins = Arc::new(record.origins.clone().into());
    }

    fn origins(&self) -> Result<&BTreeMap<String, String>> {
        known(&self.origins, || explain::packages(&self.tree))
    }

    fn index(&self) -> Result<&Index> {
        known(&self.index, || Index::of(&self.tree))
    }
}

/// What a cell holds, after it was found out when need be.
fn known<T>(cell: &OnceLock<T>, find: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(known) = cell.get() {
        return Ok(known);
    }
    let found = find()?;
    Ok(cell.get_or_init(|| found))
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
        let mut keys: Vec<Key> = Vec::new();
        for tier in &tiers.all {
            keys.push(keys::tier(tier, keys.last(), self.spec)?);
        }
        let (last, under) = match (keys.last(), keys.get(tiers.initramfs)) {
            (Some(last), Some(under)) => (last, under),
            _ => return Err(Error::new("there is nothing to install")),
        };
        let initramfs_key = keys::initramfs(under, self.spec);
        let tree_key = keys::tree(last, &initramfs_key, self.spec)?;

        // A layer is of use only with all those below it.
        let mut records: Vec<Record> = Vec::new();
        for key in &keys {
            match self.cache.find(key)? {
                Some(record) if records.len() < keys.len() => records.push(record),
                _ => break,
            }
        }
        let initramfs_record = self.cache.find(&initramfs_key)?;
        for (place, key) in keys.iter().enumerate() {
            self.note(key, place < records.len())?;
        }
        self.note(&initramfs_key, initramfs_record.is_some())?;
        self.note(&tree_key, false)?;

        let mut keeping = Vec::new();
        let mut making = None;
        let mut ground: Option<Ground> = None;
        // All that is cached is restored at once, unless an initramfs is to be made on the way.
        let stop =
            if initramfs_record.is_some() { records.len() } else { records.len().min(tiers.initramfs + 1) };
        if stop > 0 {
            ground = Some(self.restored(&records[..stop])?);
        }
        for place in stop.saturating_sub(1)..keys.len() {
            let mut next = match ground.take() {
                Some(ground) if place + 1 == stop => ground,
                Some(below) if place < records.len() => self.restored_over(&below, &records[place])?,
                below => self.installed(scope, below, &tiers, place, &keys, &mut keeping)?,
            };
            if place == tiers.initramfs && initramfs_record.is_none() {
                making = Some(self.initramfs(scope, &next));
                next.read = true;
            }
            ground = Some(next);
        }
        let set = ground.ok_or_else(|| Error::new("there is no tree to build on"))?;
        fs_err::write(self.spec.logs.join("packages.log"), &set.log)?;
        let made = making.is_some();
        let ready = || match (making, &initramfs_record) {
            (Some(making), _) => joined(making),
            (None, Some(record)) => self.cache.restore(record, &self.place("initramfs/out")?, self.epoch),
            (None, None) => Err(Error::new("there is no initramfs")),
        };
        let finished = self.finished(last, &set, || {
            ready()?;
            if made {
                keeping.push(self.keep_initramfs(scope, initramfs_key)?);
            }
            Ok(())
        })?;
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
        let steps = &self.spec.plan.packages.steps;
        let text = serde_json::to_vec(steps).doing("writing down what was asked for")?;
        hash.update(text);
        for package in &self.spec.lock.packages {
            hash.update(&package.sha256);
        }
        let name = format!("tiers.{}", hex::encode(hash.finalize()));
        if let Some(known) = self.cache.store.get_result(&name)? {
            return Ok(known);
        }
        let tiers = tiers::divide(self.packages()?, steps)?;
        self.cache.store.put_result(&name, &tiers)?;
        Ok(tiers)
    }

    /// A tree of packages from the layers that make it up.
    fn restored(&self, records: &[Record]) -> Result<Ground> {
        let stage = self.progress.stage("restore");
        let tree = self.place("restored/tree")?;
        let mut ground = Ground { layers: vec![tree.clone()], tree, ..Ground::default() };
        for record in records {
            self.cache.restore(record, &ground.tree, self.epoch)?;
            ground.told(record);
        }
        let names: Vec<&str> = records.iter().map(|record| record.key.stage()).collect();
        stage.finish(format!("{} from the cache", names.join(", ")));
        Ok(ground)
    }

    /// A further layer over a tree that must stay as it is.
    fn restored_over(&self, below: &Ground, record: &Record) -> Result<Ground> {
        let stage = self.progress.stage("restore");
        let name = record.key.stage();
        let view = View::over(&below.layers, &below.tree, &self.place(name)?)?;
        self.cache.restore(record, view.tree(), self.epoch)?;
        let mut ground = below.over(&view);
        ground.told(record);
        self.workspace.hold(view);
        stage.finish(format!("{name} from the cache"));
        Ok(ground)
    }

    /// Installs a tier over the one before it, and keeps it.
    fn installed<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        below: Option<Ground>,
        tiers: &Tiers,
        place: usize,
        keys: &[Key],
        keeping: &mut Vec<Task<'scope>>,
    ) -> Result<Ground> {
        let all = self.packages()?;
        // Later tiers must not shape earlier ones.
        let tier_of = |package: &Package| {
            let name = package.control.stanza.package();
            tiers.all.iter().position(|tier| tier.members.contains(name))
        };
        let so_far: Vec<Package> = all
            .iter()
            .filter(|package| tier_of(package).is_some_and(|tier| tier <= place))
            .cloned()
            .collect();
        let present: BTreeSet<usize> =
            (0..so_far.len()).filter(|&rank| tier_of(&so_far[rank]) != Some(place)).collect();
        let work = |tree: &Path, touched: Option<&Path>| {
            let said = self.install(&tiers.all[place], &so_far, &present, tree)?;
            finalize::finalize(tree, touched, self.epoch)?;
            Ok(said)
        };
        let mut ground = match &below {
            Some(below) => {
                let (view, said) = self.over(below, &format!("tier-{place}"), work)?;
                let mut ground = below.over(&view);
                ground.log.push_str(&said);
                self.workspace.hold(view);
                ground
            }
            None => {
                let tree = self.place("first/tree")?;
                self.workspace.working_on(&tree);
                let log = work(&tree, None)?;
                Ground { layers: vec![tree.clone()], tree, log, ..Ground::default() }
            }
        };
        ground.read = true;
        keeping.push(self.keep(scope, keys[place].clone(), ground.clone(), below));
        Ok(ground)
    }

    /// Works in a view over a tree. An overlay takes apart names that share a file when one of them is written to; what
    /// the work would give in a tree of its own is what counts, so then it is done in a copy.
    fn over<T>(
        &self,
        ground: &Ground,
        name: &str,
        work: impl Fn(&Path, Option<&Path>) -> Result<T>,
    ) -> Result<(View, T)> {
        let view = View::over(&ground.layers, &ground.tree, &self.place(name)?)?;
        self.workspace.working_on(view.tree());
        let done = work(view.tree(), view.touched())?;
        if !view.separated_links(&ground.tree)? {
            return Ok((view, done));
        }
        drop(view);
        let copy = View::copied(&ground.tree, &self.place(&format!("{name}-copy"))?)?;
        self.workspace.working_on(copy.tree());
        let done = work(copy.tree(), None)?;
        Ok((copy, done))
    }

    fn install(
        &self,
        tier: &Tier,
        packages: &[Package],
        present: &BTreeSet<usize>,
        tree: &Path,
    ) -> Result<String> {
        let plan = self.spec.plan;
        let answers = plan.debconf.iter().filter(|answer| tier.members.contains(&answer.package));
        let set = packages::Set {
            packages,
            present,
            architecture: &plan.distribution.architecture,
            epoch: self.epoch,
            filter: &Filter::of(&plan.packages)?,
            debconf: &answers.cloned().collect::<Vec<_>>(),
            name: &tier.name,
        };
        let scratch = self.place(&format!("scratch/{}", tier.name))?;
        packages::install(&set, tree, &scratch, self.progress)
    }

    /// Keeps a tree in the cache, beside other work. `below` is the tree it was made over.
    fn keep<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        key: Key,
        ground: Ground,
        below: Option<Ground>,
    ) -> Task<'scope> {
        scope.spawn(move || {
            let kept = || {
                let Ground { tree, log, .. } = &ground;
                let made = Made { key: &key, tree, epoch: self.epoch, log, origins: ground.origins()? };
                let nothing = Index::default();
                let under = below.as_ref().map_or(Ok(&nothing), Ground::index)?;
                self.cache.keep(&made, under, ground.index()?)
            };
            self.told(kept())
        })
    }

    /// Keeps what came of making the initramfs, beside other work.
    fn keep_initramfs<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        key: Key,
    ) -> Result<Task<'scope>> {
        let out = Ground { tree: self.place("initramfs/out")?, ..Ground::default() };
        out.origins.get_or_init(BTreeMap::new);
        Ok(self.keep(scope, key, out, None))
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
    fn initramfs<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, ground: &Ground) -> Task<'scope> {
        let (layers, tree) = (ground.layers.clone(), ground.tree.clone());
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
            Ok(())
        })
    }

    /// The finished tree, over that of all packages; `ready` waits for the initramfs.
    fn finished(&self, set: &Key, ground: &Ground, ready: impl FnOnce() -> Result<()>) -> Result<Rootfs> {
        let Spec { plan, identity, .. } = self.spec;
        let scratch = self.place("scratch/tree")?;
        let stage = self.progress.stage("overlays");
        let work = |tree: &Path, _: Option<&Path>| {
            let chroot = scripts::Chroot::new(tree, &scratch, self.epoch)?;
            system::configure(plan, tree)?;
            boot::configure(plan, identity, tree)?;
            apply::apply(plan, tree, &chroot)
        };
        let (tree, touched) = if ground.read {
            let (view, ()) = self.over(ground, "tree", work)?;
            let places = (view.tree().to_path_buf(), view.touched().map(Path::to_path_buf));
            self.workspace.hold(view);
            places
        } else {
            self.workspace.working_on(&ground.tree);
            work(&ground.tree, None)?;
            (ground.tree.clone(), None)
        };
        stage.finish(format!("{} files, {} accounts", plan.files.len(), plan.users.len()));

        ready()?;
        let stage = self.progress.stage("boot");
        self.workspace.working_on(&tree);
        let chroot = scripts::Chroot::new(&tree, &scratch, self.epoch)?;
        initramfs::place(&self.place("initramfs/out")?, &tree)?;
        boot_files(&tree)?;
        self.menu(&tree, &scratch, &chroot, set)?;
        finalize::finalize(&tree, touched.as_deref(), self.epoch)?;
        let explained = explain::explain(&tree, plan, ground.origins()?)?;
        let (files, bytes) = measure(&tree)?;
        stage.finish("boot menu, identity removed, times clamped");
        Ok(Rootfs { tree, explained, bytes, files })
    }

    /// GRUB's menu: that of an earlier build from the same, or a new one.
    fn menu(&self, tree: &Path, scratch: &Path, chroot: &scripts::Chroot, set: &Key) -> Result<()> {
        let store = self.cache.store;
        let name = format!("menu.{}", keys::menu(set, tree, self.spec)?.digest());
        let inside = Tree::open(tree)?;
        let (parent, file) = inside::split(Path::new(boot::MENU))?;
        let earlier = if self.cache.anew { None } else { store.get_result::<(u32, String)>(&name)? };
        if let Some((mode, text)) = earlier {
            return inside.make(parent)?.create(file, mode, text.as_bytes());
        }
        boot::menu(self.spec.identity, tree, scratch, chroot)?;
        let mode = inside.make(parent)?.metadata(file)?.st_mode & 0o7777;
        store.put_result(&name, &(mode, inside.text(boot::MENU)?.unwrap_or_default()))
    }
}

/// Puts into the tree's /boot/grub what GRUB needs there beside its menu.
fn boot_files(tree: &Path) -> Result<()> {
    let files = grub::boot_files(tree)?;
    let tree = Tree::open(tree)?;
    for file in files {
        let (parent, name) = inside::split(&file.path)?;
        let (mode, bytes) = match file.content {
            BootContent::CopyOf(source) => (tree.mode(&source)?, grub::read(&tree, &source, "grub-common")?),
            BootContent::Bytes(bytes) => (None, bytes),
        };
        tree.make(parent)?.create(name, mode.unwrap_or(0o644), &bytes)?;
    }
    Ok(())
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
