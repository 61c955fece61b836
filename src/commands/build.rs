//! `goldcast build`: recipe to image to proof.

use super::image::{self, How, Image};
use super::session::{self, Locking, Session};
use super::verify::{self, Candidate};
use crate::archive::lock::Lock;
use crate::cli::build::Build;
use crate::cli::verify::Selection;
use crate::error::{Context, Error, Exit, Result};
use crate::output::checksums::Checksums;
use crate::output::directory::Staging;
use crate::output::manifest::{self, Manifest};
use crate::output::marking;
use crate::output::names::{Names, UNPROVEN};
use crate::output::published::{self, digest_of_plan};
use crate::output::receipt::Receipt;
use crate::output::table::{Table, human};
use crate::recipe::plan::Format;
use crate::rootfs::keys;
use crate::store::{Key, Trail};
use crate::verify::Verdict;
use std::path::Path;

/// The name under which the receipt of a recipe's outputs is remembered.
const RECEIPT: &str = "receipt";

/// Runs the command.
pub fn build(arguments: &Build) -> Result<()> {
    let session = Session::enter(&arguments.recipe.recipe, &arguments.network, &arguments.talk)?;
    session::hold_to(&arguments.share)?;
    let locking = if arguments.locked { Locking::Refused } else { Locking::Allowed };
    let lock = session.lock(&locking)?;
    if !arguments.no_verify {
        verify::foresee(&session, &lock, &arguments.selection)?;
    }
    let out = session.out(arguments.out.as_deref());
    let trail = Trail::new(&session.store, &session.recipe);
    let mut table = Table::default();

    let key = outputs(&session, &lock, &out)?;
    let name = trail.remembered(RECEIPT);
    let receipt: Option<Receipt> = session.store.get_result(&name)?;
    let intact = match receipt.filter(|receipt| receipt.key == key) {
        Some(receipt) => intact(receipt, &session, &out)?,
        None => None,
    };
    let verdict = match intact {
        Some(receipt) => {
            trail.reused(&key)?;
            again(arguments, &session, &lock, &out, &receipt, &mut table)?
        }
        None => anew(arguments, &session, &lock, &out, &trail, key, &mut table)?,
    };
    if arguments.explain {
        table.text(explained(&trail));
    }
    let collected = session.store.collect(arguments.bound.cache_size)?;
    if collected.removed > 0 {
        session
            .progress
            .say(format!("the cache was larger than its bound: {} removed", human(collected.freed)));
    }
    table.print(&session.progress)?;
    match verdict {
        None | Some(Verdict::Proven) => Ok(()),
        Some(verdict) => {
            let name = &session.plan.name;
            Err(Error::new(format!("the image {name} was built, and its proof is {}", verdict.name()))
                .hint(format!(
                    "see {}; the image is kept as *.{UNPROVEN}",
                    out.join(format!("{name}.proof.json")).display()
                ))
                .exit_with(Exit::Unproven))
        }
    }
}

/// All that decides the outputs' bytes, and where they are.
fn outputs(session: &Session, lock: &Lock, out: &Path) -> Result<Key> {
    let out = std::path::absolute(out).doing("finding the output directory")?;
    Ok(Key::new("outputs")
        .with("goldcast", keys::program()?)
        .with("plan", digest_of_plan(&session.plan)?)
        .with("lock", lock.digest()?)
        .with("output directory", out.display().to_string()))
}

/// The receipt, when every file of it is in place as it was written.
fn intact(receipt: Receipt, session: &Session, out: &Path) -> Result<Option<Receipt>> {
    let differing = receipt.differs(out)?;
    if let Some(file) = differing.as_ref().filter(|file| out.join(file).exists()) {
        session.progress.say(format!("{} is not as it was written", out.join(file).display()));
    }
    Ok(differing.is_none().then_some(receipt))
}

/// Nothing has changed and the outputs are in place. Only the proof may be missing.
fn again(
    arguments: &Build,
    session: &Session,
    lock: &Lock,
    out: &Path,
    receipt: &Receipt,
    table: &mut Table,
) -> Result<Option<Verdict>> {
    session.progress.say("nothing has changed: the image is up to date");
    let name = &session.plan.name;
    let raw = out.join(format!("{name}.raw"));
    let path = out.join(format!("{name}{}", published::MANIFEST));
    let mut manifest = Manifest::read(&path)?;
    let mut verdict = None;
    if !arguments.no_verify {
        let sha256 = &receipt.raw_sha256;
        let candidate = Candidate { session, lock, sha256, out, selection: &arguments.selection };
        if candidate.is_proven()? {
            verdict = Some(Verdict::Proven);
        } else if raw.exists() {
            let tools = session.tools(lock)?;
            let proof = candidate.prove(&raw, &tools)?;
            if proof.verdict != Verdict::Proven {
                marking::mark_unproven(out, &mut manifest.artifacts)?;
                manifest.write(&path)?;
            }
            table.text(proof.table());
            verdict = Some(proof.verdict);
        } else {
            return Err(Error::new(
                "the image is up to date, but its proof is not, and there is no raw disk to prove",
            )
            .hint(
                "remove the output directory and build again, or have \"raw\" among the recipe's formats",
            ));
        }
    }
    // Also when nothing was proved: they may have been lost, or a run stopped before it wrote them.
    Checksums::refresh(out, &Names::of(&session.plan), &manifest.artifacts)?;
    table.stages(session.progress.ended());
    table.fact("image", format!("{} (up to date)", out.display()));
    table.fact("sha256", format!("{} (raw)", receipt.raw_sha256));
    table.fact("proof", told(verdict, &arguments.selection));
    Ok(verdict)
}

fn anew(
    arguments: &Build,
    session: &Session,
    lock: &Lock,
    out: &Path,
    trail: &Trail<'_>,
    key: Key,
    table: &mut Table,
) -> Result<Option<Verdict>> {
    // First: that nothing can be written there is better known before the work.
    let staging = Staging::new(out, Names::of(&session.plan))?;
    let tools = session.tools(lock)?;
    let how = How { storage: arguments.storage, keep_failed: arguments.keep_failed, anew: false };
    let image = image::make(session, lock, &tools, &staging, trail, how)?;
    let name = session.plan.name.clone();
    let raw = staging.path().join(format!("{name}.raw"));
    let verdict = if arguments.no_verify {
        None
    } else {
        let (sha256, selection) = (&image.raw_sha256, &arguments.selection);
        let candidate = Candidate { session, lock, sha256, out: staging.path(), selection };
        let proof = candidate.prove(&raw, &tools)?;
        table.text(proof.table());
        Some(proof.verdict)
    };
    if !session.plan.image.formats.contains(&Format::Raw) {
        fs_err::remove_file(&raw)?;
    }
    finish(session, lock, &image, verdict, staging)?;
    if verdict.is_none_or(|verdict| verdict == Verdict::Proven) {
        let mut files: Vec<String> = image.artifacts.iter().map(|artifact| artifact.file.clone()).collect();
        files.extend(
            [published::MANIFEST, published::PLAN, published::LOCK].map(|end| format!("{name}{end}")),
        );
        let remembered = trail.remembered(RECEIPT);
        files.extend(session.plan.outputs.keys().map(|ending| format!("{name}.{ending}")));
        let receipt = Receipt::take(key, image.raw_sha256.clone(), out, &files)?;
        session.store.put_result(&remembered, &receipt)?;
    }

    table.stages(session.progress.ended());
    table.fact("image", out.display().to_string());
    table.fact("packages", lock.packages.len().to_string());
    table.fact("root", format!("{} in {} files", human(image.bytes), image.files));
    for artifact in &image.artifacts {
        table.fact(artifact.file.clone(), human(artifact.size));
    }
    table.fact("sha256", format!("{} (raw)", image.raw_sha256));
    table.fact("proof", told(verdict, &arguments.selection));
    Ok(verdict)
}

fn told(verdict: Option<Verdict>, asked: &Selection) -> String {
    let Some(verdict) = verdict else { return "not run (--no-verify)".to_owned() };
    let part = verdict == Verdict::Proven && !verify::is_whole(asked);
    format!("{}{}", verdict.name(), if part { ", as far as was asked" } else { "" })
}

/// What became of each stage, a line each.
fn explained(trail: &Trail<'_>) -> String {
    let mut text = String::new();
    for step in trail.steps() {
        let fate = if step.reused {
            "reused".to_owned()
        } else {
            format!("made: {}", step.why.join("\n                          "))
        };
        text.push_str(&format!("  {:<16}  {fate}\n", step.stage));
    }
    text
}

/// Manifest and checksums, and everything into place.
fn finish(
    session: &Session,
    lock: &Lock,
    image: &Image,
    verdict: Option<Verdict>,
    staging: Staging,
) -> Result<()> {
    let plan = &session.plan;
    let name = &plan.name;
    let unproven = verdict.is_some_and(|verdict| verdict != Verdict::Proven);
    let mut artifacts = image.artifacts.clone();
    if unproven {
        marking::mark_unproven(staging.path(), &mut artifacts)?;
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
        files: image.explained.clone(),
        partitions: image.partitions.clone(),
        artifacts: artifacts.clone(),
    };
    manifest.write(&staging.path().join(format!("{name}{}", published::MANIFEST)))?;
    // With these two anybody can build the image again.
    let text = serde_json::to_string_pretty(&published::without_sources(plan)).doing("writing the plan")?;
    fs_err::write(staging.path().join(format!("{name}{}", published::PLAN)), text + "\n")?;
    lock.write(&staging.path().join(format!("{name}{}", published::LOCK)))?;
    for (ending, output) in &plan.outputs {
        fs_err::write(staging.path().join(format!("{name}.{ending}")), &output.content)?;
    }
    staging.publish(&artifacts)
}
