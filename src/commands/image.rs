//! From a plan and its lock to the disk and its formats, in a staging directory.

use super::session::Session;
use crate::archive::lock::Lock;
use crate::archive::packages;
use crate::disk::formats::qcow2;
use crate::disk::{self, Identity, formats};
use crate::error::Result;
use crate::interrupt;
use crate::output::directory::Staging;
use crate::output::manifest::{Artifact, Partition};
use crate::recipe::plan::Format;
use crate::rootfs::layer::Cache;
use crate::rootfs::workspace::{Storage, Workspace};
use crate::rootfs::{self, Rootfs, expand};
use crate::sandbox::Tools;
use crate::store::Trail;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What was made.
pub struct Image {
    /// sha256 of the raw disk, hex.
    pub raw_sha256: String,
    /// The disk's partitions.
    pub partitions: Vec<Partition>,
    /// The files that the recipe asks for.
    pub artifacts: Vec<Artifact>,
    /// What made each file that no package owns.
    pub explained: BTreeMap<String, String>,
    /// Bytes of the tree's regular files.
    pub bytes: u64,
    /// How many files, directories and links the tree has.
    pub files: u64,
}

/// How it is made; the result does not depend on it.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Where the tree is built.
    pub storage: Storage,
    /// After a failure the tree is kept.
    pub keep_failed: bool,
    /// Nothing that an earlier build left is taken.
    pub anew: bool,
}

/// Makes the image of the session's plan in `staging`; the raw disk is always among its files.
pub fn make(
    session: &Session,
    lock: &Lock,
    tools: &Tools,
    staging: &Staging,
    trail: &Trail<'_>,
    how: How,
) -> Result<Image> {
    let identity = Identity::from_lock(&lock.digest()?);
    let expected = lock.packages.iter().map(|package| package.installed_size * 1024).sum();
    let workspace = Workspace::new(&session.work(), expected, how.storage, &session.progress)?;
    let (store, progress) = (&session.store, &session.progress);
    let cache = Cache { store, trail, progress, anew: how.anew, damaged: false.into() };
    let debs = || fetch(session, lock);
    let spec =
        rootfs::Spec { plan: &session.plan, lock, debs: &debs, identity: &identity, logs: &staging.logs() };
    let built = match rootfs::build(&spec, &workspace, &cache, &session.progress) {
        // Who stops a build has not seen it fail, and may still want the tree of one that did.
        Err(error) if how.keep_failed && interrupt::check().is_ok() => {
            return Err(super::shell::keep(session, &workspace, error));
        }
        built => built?,
    };
    write(session, lock, &identity, built, tools, (&workspace, staging, trail))
}

/// What is known of the qcow2 file that the recipe's last build left: it saves compressing most of it again.
fn earlier(session: &Session, trail: &Trail<'_>) -> Option<qcow2::Index> {
    let blob: String = session.store.get_result(&trail.remembered("qcow2")).ok()??;
    qcow2::Index::decode(&session.store.get_bytes(&blob).ok()?).ok()
}

/// The packages of the image; each is expanded as soon as it has come.
fn fetch(session: &Session, lock: &Lock) -> Result<Vec<PathBuf>> {
    let arrived = |deb: &Path| {
        let sha256 = deb.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Ok(place) = session.store.expanded(sha256) {
            expand::ahead(deb, &place);
        }
    };
    packages::fetch(lock, &lock.packages, &session.sources()?, &session.progress, &arrived)
}

fn write(
    session: &Session,
    lock: &Lock,
    identity: &Identity,
    built: Rootfs,
    tools: &Tools,
    (workspace, staging, trail): (&Workspace, &Staging, &Trail<'_>),
) -> Result<Image> {
    let plan = &session.plan;
    let raw = staging.path().join(format!("{}.raw", plan.name));
    let spec = disk::Spec {
        tree: &built.tree,
        out: &raw,
        identity,
        epoch: lock.source_date_epoch,
        filesystems: &disk::Filesystem::of(plan),
        tools,
        work: &workspace.directory("disk")?,
    };
    let disk = disk::write(&spec, &session.progress)?;
    let qcow2 = staging.target().join(format!("{}.{}", plan.name, Format::Qcow2.extension()));
    let index = earlier(session, trail);
    let source = formats::Source {
        raw: &raw,
        tree: &built.tree,
        epoch: lock.source_date_epoch,
        earlier: index.as_ref().map(|index| qcow2::Earlier { file: &qcow2, index }),
    };
    let (sha256, made) = rayon::join(
        || -> Result<String> {
            let stage = session.progress.stage("hash");
            let sha256 = disk::sha256(&raw)?;
            stage.finish("sha256 of the disk");
            Ok(sha256)
        },
        || formats::write(&plan.image.formats, &source, staging.path(), &plan.name, &session.progress),
    );
    let sha256 = sha256?;
    let raw = Artifact { file: format!("{}.raw", plan.name), size: disk.size, sha256: sha256.clone() };
    let wanted = plan.image.formats.contains(&Format::Raw).then_some(raw);
    let made = made?;
    for index in made.iter().filter_map(|made| made.index.as_ref()) {
        let blob = session.store.put_bytes(&index.encode())?;
        session.store.put_result(&trail.remembered("qcow2"), &blob)?;
    }
    let others =
        made.into_iter().map(|made| Artifact { file: made.file, size: made.size, sha256: made.sha256 });
    Ok(Image {
        raw_sha256: sha256,
        partitions: disk.partitions.iter().map(Partition::from).collect(),
        artifacts: wanted.into_iter().chain(others).collect(),
        explained: built.explained,
        bytes: built.bytes,
        files: built.files,
    })
}
