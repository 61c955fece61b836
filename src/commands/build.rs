//! `goldcast build`: recipe to image to proof.

use super::session::{Locking, Session};
use super::verify;
use crate::archive::lock::Lock;
use crate::archive::packages;
use crate::cli::build::Build;
use crate::disk::{self, Identity, formats};
use crate::error::{Context, Error, Exit, Result};
use crate::output::directory::{self, Staging, UNPROVEN};
use crate::output::manifest::{self, Artifact, Manifest, Partition};
use crate::output::table::{Table, human};
use crate::recipe::plan::Format;
use crate::rootfs::workspace::Workspace;
use crate::rootfs::{self, Rootfs};
use crate::sandbox::Tools;
use crate::verify::Verdict;
use sha2::{Digest, Sha256};
use std::path::Path;

/// Runs the command.
pub fn build(arguments: &Build) -> Result<()> {
    let session = Session::enter(&arguments.recipe.recipe, &arguments.network, &arguments.talk)?;
    if let Some(jobs) = arguments.jobs {
        rayon::ThreadPoolBuilder::new()
            .num_threads(jobs)
            .build_global()
            .map_err(|error| Error::new(format!("cannot use {jobs} processors")).because(error))?;
    }
    let locking = if arguments.locked { Locking::Refused } else { Locking::Allowed };
    let lock = session.lock(&locking)?;
    let debs = packages::fetch(&lock, &lock.packages, &session.sources()?, &session.progress)?;
    let tools = session.tools(&lock)?;
    let out = session.out(arguments.out.as_deref());
    let staging = Staging::new(&out)?;
    let identity = Identity::from_lock(&lock.digest()?);

    let expected = lock.packages.iter().map(|package| package.installed_size * 1024).sum();
    let workspace = Workspace::new(&session.work(), expected, &session.progress)?;
    let built = rootfs::build(
        &rootfs::Spec {
            plan: &session.plan,
            lock: &lock,
            debs: &debs,
            identity: &identity,
            logs: &staging.logs(),
        },
        &workspace,
        &session.progress,
    );
    let built = match built {
        Err(error) if arguments.keep_failed => return Err(super::shell::keep(&session, &workspace, error)),
        built => built?,
    };
    let image = write_disk(&session, &lock, &identity, &built, &tools, &staging)?;
    drop(workspace);

    let name = session.plan.name.clone();
    let raw = staging.path().join(format!("{name}.raw"));
    let mut table = Table::default();
    let verdict = if arguments.no_verify {
        None
    } else {
        let proof = verify::prove(
            &session,
            &lock,
            &tools,
            &raw,
            &image.raw_sha256,
            staging.path(),
            &arguments.selection,
        )?;
        table.text(proof.table());
        Some(proof.verdict)
    };
    let raw_wanted = session.plan.image.formats.contains(&Format::Raw);
    if !raw_wanted {
        fs_err::remove_file(&raw)?;
    }
    finish(&session, &lock, &built, &image, verdict, staging)?;

    table.stages(session.progress.ended());
    table.fact("image", out.display().to_string());
    table.fact("packages", lock.packages.len().to_string());
    table.fact("root", format!("{} in {} files", human(built.bytes), built.files));
    for artifact in &image.artifacts {
        table.fact(artifact.file.clone(), human(artifact.size));
    }
    table.fact("sha256", format!("{} (raw)", image.raw_sha256));
    table.fact(
        "proof",
        verdict.map_or("not run (--no-verify)".to_owned(), |verdict| verdict.name().to_owned()),
    );
    table.print(&session.progress);
    match verdict {
        None | Some(Verdict::Proven) => Ok(()),
        Some(verdict) => {
            Err(Error::new(format!("the image {name} was built, and its proof is {}", verdict.name()))
                .hint(format!(
                    "see {}; the image is kept as *.{UNPROVEN}",
                    out.join(format!("{name}.proof.json")).display()
                ))
                .exit_with(Exit::Unproven))
        }
    }
}

/// What was made of a tree.
struct Image {
    raw_sha256: String,
    partitions: Vec<Partition>,
    artifacts: Vec<Artifact>,
}

fn write_disk(
    session: &Session,
    lock: &Lock,
    identity: &Identity,
    built: &Rootfs,
    tools: &Tools,
    staging: &Staging,
) -> Result<Image> {
    let plan = &session.plan;
    let raw = staging.path().join(format!("{}.raw", plan.name));
    let spec = disk::Spec {
        tree: &built.tree,
        out: &raw,
        identity,
        epoch: lock.source_date_epoch,
        image: &plan.image,
        tools,
    };
    let disk = disk::write(&spec, &session.progress)?;
    let source =
        formats::Source { raw: &raw, tree: &built.tree, epoch: lock.source_date_epoch, earlier: None };
    let made = formats::write(&plan.image.formats, &source, staging.path(), &plan.name, &session.progress)?;
    let raw = Artifact { file: format!("{}.raw", plan.name), size: disk.size, sha256: disk.sha256.clone() };
    let wanted = plan.image.formats.contains(&Format::Raw).then_some(raw);
    let others =
        made.into_iter().map(|made| Artifact { file: made.file, size: made.size, sha256: made.sha256 });
    let artifacts = wanted.into_iter().chain(others).collect();
    let partitions = disk
        .partitions
        .iter()
        .map(|partition| Partition {
            number: partition.number,
            name: partition.name.clone(),
            kind: partition.kind.clone(),
            guid: partition.guid.clone(),
            start: partition.start,
            size: partition.size,
            filesystem: partition.filesystem.clone(),
            filesystem_uuid: partition.filesystem_uuid.clone(),
        })
        .collect();
    Ok(Image { raw_sha256: disk.sha256, partitions, artifacts })
}

/// Manifest and checksums, and everything into place.
fn finish(
    session: &Session,
    lock: &Lock,
    built: &Rootfs,
    image: &Image,
    verdict: Option<Verdict>,
    staging: Staging,
) -> Result<()> {
    let plan = &session.plan;
    let name = &plan.name;
    let unproven = verdict.is_some_and(|verdict| verdict != Verdict::Proven);
    let mut artifacts = image.artifacts.clone();
    if unproven {
        for artifact in &mut artifacts {
            let renamed = format!("{}.{UNPROVEN}", artifact.file);
            fs_err::rename(staging.path().join(&artifact.file), staging.path().join(&renamed))?;
            artifact.file = renamed;
        }
    }
    let manifest = Manifest {
        schema: manifest::SCHEMA,
        name: name.clone(),
        goldcast: env!("CARGO_PKG_VERSION").to_owned(),
        plan_sha256: digest_of_plan(plan)?,
        lock_sha256: lock.digest()?,
        source_date_epoch: lock.source_date_epoch,
        distribution: [
            ("name", &plan.distribution.name),
            ("release", &plan.distribution.release),
            ("architecture", &plan.distribution.architecture),
        ]
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .into(),
        packages: lock.packages.iter().map(manifest::Package::from).collect(),
        files: built.explained.clone(),
        partitions: image.partitions.clone(),
        artifacts: artifacts.clone(),
    };
    let text = serde_json::to_string_pretty(&manifest).doing("writing the manifest")?;
    fs_err::write(staging.path().join(format!("{name}.manifest.json")), text + "\n")?;
    let known: Vec<(String, String)> = artifacts.into_iter().map(|a| (a.file, a.sha256)).collect();
    write_checksums(staging.path(), known)?;
    staging.publish(name)?;
    Ok(())
}

/// The checksums of artifacts are known; those of the reports are taken here.
fn write_checksums(staging: &Path, mut known: Vec<(String, String)>) -> Result<()> {
    for entry in fs_err::read_dir(staging)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && !known.iter().any(|(name, _)| *name == file) {
            known.push((file, directory::sha256(&entry.path())?));
        }
    }
    directory::write_checksums(staging, &known)
}

/// sha256 of the plan without the paths of its sources, so that it is the same in any directory.
fn digest_of_plan(plan: &crate::recipe::Plan) -> Result<String> {
    let mut plan = plan.clone();
    plan.sources.clear();
    let text = serde_json::to_vec(&plan).doing("writing down the plan")?;
    Ok(hex::encode(Sha256::digest(text)))
}
