//! `goldcast verify`: an image to its proof, once more.

use super::session::{self, Locking, Session, check_directories};
use crate::archive::lock::Lock;
use crate::cli::verify::{Selection, Verify};
use crate::error::{Error, Exit, Result};
use crate::output::checksums::Checksums;
use crate::output::directory;
use crate::output::manifest::Manifest;
use crate::output::marking::{self, Came};
use crate::output::names::{Names, UNPROVEN, logs};
use crate::output::published::{MANIFEST, is_of};
use crate::output::table::Table;
use crate::rootfs::keys;
use crate::sandbox::Tools;
use crate::stdout;
use crate::store::{Key, Trail};
use crate::verify::{self, Firmware, Proof, ProofSpec, Verdict};
use std::path::{Path, PathBuf};

/// Below the outputs: the report of some checks that were asked for by name. It takes no report's place that is handed out.
const PARTIAL: &str = "partial";

/// Runs the command.
pub fn verify(arguments: &Verify) -> Result<()> {
    if arguments.list {
        return list(arguments);
    }
    let session = Session::enter(&arguments.recipe.recipe, &arguments.network, &arguments.talk)?;
    session::hold_to(&arguments.share)?;
    let lock = session.lock(&Locking::Refused)?;
    if !arguments.mutants {
        foresee(&session, &lock, &arguments.selection)?;
    }
    let out = session.out(arguments.out.as_deref());
    // That it is missing is better known before the tools are fetched.
    let raw = image(&out, &session.plan.name)?;
    let tools = session.tools(&lock)?;
    let sha256 = directory::sha256(&raw)?;
    let selection = &arguments.selection;
    let in_place = selection.only.is_empty();
    let reports = if in_place { out.clone() } else { out.join(PARTIAL) };
    let candidate = Candidate { session: &session, lock: &lock, sha256: &sha256, out: &reports, selection };
    if arguments.mutants {
        return candidate.sabotage(&raw, &tools);
    }
    let (proof, raw) = if in_place {
        let manifest = Manifest::read_if_there(&out.join(format!("{}{MANIFEST}", session.plan.name)))?;
        let proof = candidate.prove(&raw, &tools)?;
        let raw = candidate.settle(&raw, manifest, proof.verdict)?;
        (proof, raw)
    } else {
        (candidate.ask(&raw, &tools)?, raw)
    };
    let mut table = Table::default();
    table.text(proof.table());
    table.stages(session.progress.ended());
    table.fact("image", raw.display().to_string());
    table.fact("sha256", sha256);
    table.fact("proof", proof.verdict.name());
    table.print(&session.progress)?;
    match proof.verdict {
        Verdict::Proven => Ok(()),
        verdict => {
            let name = &session.plan.name;
            let report = reports.join(format!("{name}.proof.json"));
            let marked = raw.extension().is_some_and(|ending| ending == UNPROVEN);
            let kept = if marked { format!("; the image is kept as *.{UNPROVEN}") } else { String::new() };
            Err(Error::new(format!("the proof of {name} is {}", verdict.name()))
                .hint(format!("see {}{kept}", report.display()))
                .exit_with(Exit::Unproven))
        }
    }
}

/// Looks ahead at a proof, before the image is there.
pub fn foresee(session: &Session, lock: &Lock, asked: &Selection) -> Result<()> {
    let directories = check_directories(&session.recipe);
    verify::foresee(&session.plan, lock, &firmwares(asked), &selection(asked), &directories)
}

/// The raw image in an output directory, proven before or not.
pub fn image(out: &Path, name: &str) -> Result<PathBuf> {
    let raw = out.join(format!("{name}.raw"));
    let unproven = out.join(format!("{name}.raw.{UNPROVEN}"));
    [raw.clone(), unproven].into_iter().find(|path| path.exists()).ok_or_else(|| {
        Error::usage(format!("there is no image {}", raw.display()))
            .hint("build it first with `goldcast build`, and have \"raw\" among the recipe's formats")
    })
}

/// An image, what it was built from, and what is asked of its proof.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// The recipe's plan, store and progress.
    pub session: &'a Session,
    /// The packages of image and tools.
    pub lock: &'a Lock,
    /// The raw image's sha256, in hex.
    pub sha256: &'a str,
    /// Where the report and the logs are.
    pub out: &'a Path,
    /// Which checks, on which firmware.
    pub selection: &'a Selection,
}

impl Candidate<'_> {
    /// Boots the image, writes the report, and remembers a proof that holds: it need not be made again.
    pub fn prove(&self, raw: &Path, tools: &Tools) -> Result<Proof> {
        // Beforehand: what is done after the report is written must not be interrupted.
        let key = self.key()?;
        let proof = self.ask(raw, tools)?;
        if proof.verdict == Verdict::Proven {
            self.session.store.put_result(&self.remembered(), &key)?;
        }
        Ok(proof)
    }

    /// Has the names of the image's files, its manifest and the checksums follow a proof whose report lies beside them.
    /// Returns where the raw image is then.
    fn settle(&self, raw: &Path, manifest: Option<Manifest>, verdict: Verdict) -> Result<PathBuf> {
        let plan = &self.session.plan;
        let mut artifacts = Vec::new();
        if let Some(mut manifest) = manifest {
            let file = raw.file_name().unwrap_or_default().to_string_lossy();
            let came = self.came(&manifest, verdict)?;
            if let Some(why) = marking::follow(self.out, &mut manifest, (&*file, self.sha256), came)? {
                self.session.progress.say(format!("{} keeps its name: {why}", raw.display()));
            }
            artifacts = manifest.artifacts;
        }
        Checksums::refresh(self.out, &Names::of(plan), &artifacts)?;
        image(self.out, &plan.name)
    }

    /// What a proof with this verdict says of the image with this manifest.
    fn came(&self, manifest: &Manifest, verdict: Verdict) -> Result<Came> {
        if verdict != Verdict::Proven {
            return Ok(Came::Unproven);
        }
        let meant = is_of(manifest, &self.session.plan, self.lock)?;
        Ok(match (is_whole(self.selection), meant) {
            (true, true) => Came::Proven,
            (false, _) => Came::Partly("only a proof with every check on every firmware changes that"),
            (true, false) => Came::Partly("it was built from another recipe or lock than it was proved by"),
        })
    }

    /// Boots the image and writes the report.
    fn ask(&self, raw: &Path, tools: &Tools) -> Result<Proof> {
        let progress = &self.session.progress;
        self.with_spec(raw, |spec| verify::prove(spec, tools, progress))
    }

    /// Sabotages copies of the machine; a sabotage that is not caught is a failure of the proof.
    fn sabotage(&self, raw: &Path, tools: &Tools) -> Result<()> {
        let progress = &self.session.progress;
        let fates =
            self.with_spec(raw, |spec| verify::mutate(spec, &self.selection.only, tools, progress))?;
        let told = fates.iter().map(|(mutant, fate)| format!("  {}\n", verify::told(mutant, fate)));
        let mut table = Table::default();
        table.text(told.collect::<String>());
        table.stages(progress.ended());
        table.print(progress)?;
        match fates.iter().filter(|(_, fate)| *fate != verify::Fate::Caught).count() {
            0 => Ok(()),
            count => Err(Error::new(format!("{count} of {} sabotages were not caught", fates.len()))
                .exit_with(Exit::Unproven)),
        }
    }

    /// Whether the image was proven by the same checks, and its report is still there.
    pub fn is_proven(&self) -> Result<bool> {
        let last: Option<Key> = self.session.store.get_result(&self.remembered())?;
        if last != Some(self.key()?) {
            return Ok(false);
        }
        let report = self.out.join(format!("{}.proof.json", self.session.plan.name));
        let Ok(text) = fs_err::read(report) else { return Ok(false) };
        let report: Option<Proof> = serde_json::from_slice(&text).ok();
        Ok(report.is_some_and(|proof| proof.verdict == Verdict::Proven && proof.image.sha256 == self.sha256))
    }

    /// Puts together what is to be proved, and does something with it.
    fn with_spec<T>(&self, raw: &Path, work_on: impl FnOnce(&ProofSpec) -> Result<T>) -> Result<T> {
        let asked = self.selection;
        let firmwares = firmwares(asked);
        let work = self.session.work();
        fs_err::create_dir_all(&work)?;
        fs_err::create_dir_all(self.out.join(logs(&self.session.plan.name)))?;
        work_on(&ProofSpec {
            raw,
            sha256: self.sha256,
            plan: &self.session.plan,
            lock: self.lock,
            firmwares: &firmwares,
            selection: &selection(asked),
            check_directories: &check_directories(&self.session.recipe),
            out: self.out,
            work: &work,
            // The processors, or what --jobs said of them.
            jobs: rayon::current_num_threads(),
        })
    }

    /// Where the last proof's key is kept.
    fn remembered(&self) -> String {
        Trail::new(&self.session.store, &self.session.recipe).remembered("proof")
    }

    /// What a proof is made from.
    fn key(&self) -> Result<Key> {
        let mut key = Key::new("proof")
            .with("goldcast", keys::program()?)
            .with("image", self.sha256)
            .with("lock", self.lock.digest()?)
            .with("selection", format!("{:?}", self.selection));
        for directory in check_directories(&self.session.recipe) {
            for path in files_of_checks(&directory)? {
                key = key.with(format!("check {}", path.display()), directory::sha256(&path)?);
            }
        }
        Ok(key)
    }
}

/// What checks in a directory are made from: their files, scripts, and what their machines' volumes hold. Sabotages are no
/// part of a proof.
fn files_of_checks(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = verify::files_below(directory)?;
    files.retain(|path| path.is_file() && !path.starts_with(directory.join("mutants")));
    Ok(files)
}

fn selection(asked: &Selection) -> verify::Selection {
    verify::Selection { only: asked.only.clone(), skip: asked.skip.clone(), quick: asked.quick }
}

/// Whether nothing is left out.
pub fn is_whole(asked: &Selection) -> bool {
    let firmwares = firmwares(asked);
    let all_checks = asked.only.is_empty() && asked.skip.is_empty() && !asked.quick;
    all_checks && Firmware::ALL.iter().all(|firmware| firmwares.contains(firmware))
}

/// What to boot with, the first first, each once: two machines of one firmware would write to the same files.
fn firmwares(asked: &Selection) -> Vec<Firmware> {
    let mut named: Vec<Firmware> = Vec::new();
    for firmware in asked.firmware.iter().filter_map(|name| Firmware::from_name(name)) {
        if !named.contains(&firmware) {
            named.push(firmware);
        }
    }
    if named.is_empty() { Firmware::ALL.to_vec() } else { named }
}

fn list(arguments: &Verify) -> Result<()> {
    let recipe = &arguments.recipe.recipe;
    let progress = crate::progress::Progress::new(crate::progress::Mode::detect(false));
    let plan = session::load(recipe, &progress)?;
    let lock = session::lock_beside(recipe, &plan, &progress)?;
    let firmwares = firmwares(&arguments.selection);
    if arguments.mutants {
        let firmware = firmwares.first().copied().unwrap_or(Firmware::Bios);
        for mutant in verify::applicable(&plan, &lock, &check_directories(recipe), firmware)? {
            stdout::line(format_args!("{:<36} {}", mutant.name, mutant.does))?;
        }
        return Ok(());
    }
    let selection = selection(&arguments.selection);
    for check in verify::list(&plan, &lock, &firmwares, &selection, &check_directories(recipe))? {
        stdout::line(format_args!("{:<28} {:<8} {}", check.name, check.kind.name(), check.proves))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firmware_that_is_named_twice_boots_once() {
        let asked = |names: &[&str]| {
            let firmware = names.iter().map(|name| (*name).to_owned()).collect();
            firmwares(&Selection { firmware, ..Selection::default() })
        };
        assert_eq!(asked(&["uefi", "bios", "uefi"]), [Firmware::Uefi, Firmware::Bios]);
        assert_eq!(asked(&[]), Firmware::ALL);
    }

    #[test]
    fn what_a_volume_holds_is_a_part_of_the_checks_and_sabotages_are_none() {
        let directory = tempfile::tempdir().unwrap();
        for file in ["mine.toml", "mine.sh", "volume/a/b", "mutants/ssh.toml"] {
            let path = directory.path().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "").unwrap();
        }
        let found = files_of_checks(directory.path()).unwrap();
        let mut found: Vec<_> =
            found.iter().map(|path| path.strip_prefix(directory.path()).unwrap()).collect();
        found.sort();
        assert_eq!(found, ["mine.sh", "mine.toml", "volume/a/b"].map(Path::new));
    }

    #[test]
    fn whole_is_a_proof_that_leaves_nothing_out() {
        let some = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let all = Selection::default;
        assert!(is_whole(&all()));
        assert!(is_whole(&Selection { firmware: some(&["uefi", "secure-boot", "bios"]), ..all() }));
        for part in [
            Selection { only: some(&["ssh"]), ..all() },
            Selection { skip: some(&["ssh"]), ..all() },
            Selection { quick: true, ..all() },
            Selection { firmware: some(&["bios", "uefi"]), ..all() },
        ] {
            assert!(!is_whole(&part), "{part:?}");
        }
    }
}
