//! `goldcast verify`: an image to its proof, once more.

use super::session::{Locking, Session};
use crate::archive::lock::Lock;
use crate::cli::verify::{Selection, Verify};
use crate::error::{Error, Exit, Result};
use crate::output::directory;
use crate::output::table::Table;
use crate::rootfs::keys;
use crate::sandbox::Tools;
use crate::store::{Key, Trail};
use crate::verify::{self, Firmware, Proof, ProofSpec, Verdict};
use std::path::{Path, PathBuf};

/// Runs the command.
pub fn verify(arguments: &Verify) -> Result<()> {
    if arguments.list {
        return list(arguments);
    }
    let session = Session::enter(&arguments.recipe.recipe, &arguments.network, &arguments.talk)?;
    let lock = session.lock(&Locking::Refused)?;
    let tools = session.tools(&lock)?;
    let out = session.out(arguments.out.as_deref());
    let raw = image(&out, &session.plan.name)?;
    let sha256 = directory::sha256(&raw)?;
    if arguments.mutants {
        return mutants(&session, &lock, &tools, &raw, &sha256, &out, &arguments.selection);
    }
    let proof = prove(&session, &lock, &tools, &raw, &sha256, &out, &arguments.selection)?;
    directory::refresh_checksums(&out, &session.plan.name)?;
    let mut table = Table::default();
    table.text(proof.table());
    table.stages(session.progress.ended());
    table.fact("image", raw.display().to_string());
    table.fact("sha256", sha256);
    table.fact("proof", proof.verdict.name());
    table.print(&session.progress);
    match proof.verdict {
        Verdict::Proven => Ok(()),
        verdict => Err(Error::new(format!("the proof of {} is {}", session.plan.name, verdict.name()))
            .hint(format!("see {}", out.join(format!("{}.proof.json", session.plan.name)).display()))
            .exit_with(Exit::Unproven)),
    }
}

/// The raw image in an output directory, proven before or not.
pub fn image(out: &Path, name: &str) -> Result<PathBuf> {
    let raw = out.join(format!("{name}.raw"));
    let unproven = out.join(format!("{name}.raw.{}", directory::UNPROVEN));
    [raw.clone(), unproven].into_iter().find(|path| path.exists()).ok_or_else(|| {
        Error::usage(format!("there is no image {}", raw.display()))
            .hint("build it first with `goldcast build`, and have \"raw\" among the recipe's formats")
    })
}

/// Boots the image and writes the report to `out`.
pub fn prove(
    session: &Session,
    lock: &Lock,
    tools: &Tools,
    raw: &Path,
    sha256: &str,
    out: &Path,
    asked: &Selection,
) -> Result<Proof> {
    let remembered = Trail::new(&session.store, &session.recipe).remembered("proof");
    let proof = with_spec(session, lock, raw, sha256, out, asked, |spec| {
        verify::prove(spec, tools, &session.progress)
    })?;
    if proof.verdict == Verdict::Proven {
        session.store.put_result(&remembered, &proved(session, lock, sha256, asked)?)?;
    }
    Ok(proof)
}

/// Sabotages copies of the machine; a sabotage that is not caught is a failure of the proof.
fn mutants(
    session: &Session,
    lock: &Lock,
    tools: &Tools,
    raw: &Path,
    sha256: &str,
    out: &Path,
    asked: &Selection,
) -> Result<()> {
    let fates = with_spec(session, lock, raw, sha256, out, asked, |spec| {
        verify::mutate(spec, &asked.only, tools, &session.progress)
    })?;
    let mut table = Table::default();
    table.text(
        fates.iter().map(|(mutant, fate)| format!("  {}\n", verify::told(mutant, fate))).collect::<String>(),
    );
    table.stages(session.progress.ended());
    table.print(&session.progress);
    match fates.iter().filter(|(_, fate)| *fate != verify::Fate::Caught).count() {
        0 => Ok(()),
        count => Err(Error::new(format!("{count} of {} sabotages were not caught", fates.len()))
            .exit_with(Exit::Unproven)),
    }
}

/// Puts together what is to be proved, and does something with it.
fn with_spec<T>(
    session: &Session,
    lock: &Lock,
    raw: &Path,
    sha256: &str,
    out: &Path,
    asked: &Selection,
    work_on: impl FnOnce(&ProofSpec) -> Result<T>,
) -> Result<T> {
    let firmwares: Vec<Firmware> = if asked.firmware.is_empty() {
        Firmware::ALL.to_vec()
    } else {
        asked.firmware.iter().filter_map(|name| Firmware::from_name(name)).collect()
    };
    let selection = selection(asked);
    let work = session.work();
    fs_err::create_dir_all(&work)?;
    fs_err::create_dir_all(out.join("logs"))?;
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let spec = ProofSpec {
        raw,
        sha256,
        plan: &session.plan,
        lock,
        firmwares: &firmwares,
        selection: &selection,
        check_directories: &check_directories(&session.recipe),
        out,
        work: &work,
        jobs,
    };
    work_on(&spec)
}

/// Whether the image with this digest was proven by the same checks, and its report is still in `out`.
pub fn proven_before(
    session: &Session,
    lock: &Lock,
    out: &Path,
    sha256: &str,
    asked: &Selection,
) -> Result<bool> {
    let remembered = Trail::new(&session.store, &session.recipe).remembered("proof");
    let last: Option<Key> = session.store.get_result(&remembered)?;
    if last != Some(proved(session, lock, sha256, asked)?) {
        return Ok(false);
    }
    let Ok(text) = fs_err::read(out.join(format!("{}.proof.json", session.plan.name))) else {
        return Ok(false);
    };
    let report: Option<Proof> = serde_json::from_slice(&text).ok();
    Ok(report.is_some_and(|proof| proof.verdict == Verdict::Proven && proof.image.sha256 == sha256))
}

/// What a proof was made from.
fn proved(session: &Session, lock: &Lock, sha256: &str, asked: &Selection) -> Result<Key> {
    let mut key = Key::new("proof")
        .with("goldcast", keys::program()?)
        .with("image", sha256)
        .with("lock", lock.digest()?)
        .with("selection", format!("{asked:?}"));
    for directory in check_directories(&session.recipe) {
        for entry in fs_err::read_dir(directory)? {
            let path = entry?.path();
            if path.is_file() {
                key = key.with(format!("check {}", path.display()), directory::sha256(&path)?);
            }
        }
    }
    Ok(key)
}

fn selection(asked: &Selection) -> verify::Selection {
    verify::Selection { only: asked.only.clone(), skip: asked.skip.clone(), quick: asked.quick }
}

/// `qemu-tests/` beside the recipe or in the directories above it, the nearest first.
fn check_directories(recipe: &Path) -> Vec<PathBuf> {
    let recipe = std::path::absolute(recipe).unwrap_or_else(|_| recipe.to_path_buf());
    recipe.ancestors().skip(1).map(|parent| parent.join("qemu-tests")).filter(|path| path.is_dir()).collect()
}

fn list(arguments: &Verify) -> Result<()> {
    let recipe = &arguments.recipe.recipe;
    let progress = crate::progress::Progress::new(crate::progress::Mode::detect(false));
    let plan = super::session::load(recipe, &progress)?;
    let lock = Lock::read(&recipe.with_extension("lock"))?;
    for check in verify::list(&plan, &lock, &check_directories(recipe))? {
        println!("{:<28} {:<8} {}", check.name, check.kind.name(), check.proves);
    }
    Ok(())
}
