//! Mutation: the booted image is sabotaged, and the checks must say so. A check that a sabotage does not break is a
//! defect of the proof.
//!
//! A file `qemu-tests/mutants/OVERLAY.toml` holds `[[mutant]]` tables. Each is done to a copy of the booted machine; the
//! checks that it names must fail there, and the overlay's other checks that leave a machine as it is must hold. Where it
//! breaks checks on machines of their own, it is done to the disk as it is before the first boot, and those machines
//! boot from that. Where it breaks static checks, they are made on that disk, and nothing needs to boot from it.

use super::agent::Lost;
use super::check::{
    BASE, Check, Chosen, Context, ImageTree, Kind, Own, Place, Prepare, Runner, Selection, declarations,
    is_name, load, select,
};
use super::copies::{Outside, at_a_time, on_copy};
use super::firmware::Firmware;
use super::frozen::Frozen;
use super::lab::Lab;
use super::machine::{Machine, MachineSpec};
use super::overlay::{self, DISK};
use super::own::{Ground, Site};
use super::prove::ProofSpec;
use super::report::Outcome;
use super::text::plain;
use crate::archive::lock::Lock;
use crate::error::{Error, Exit, Result};
use crate::interrupt;
use crate::nearest;
use crate::output::names::logs;
use crate::progress::Progress;
use crate::recipe::plan::Plan;
use crate::sandbox::{Tools, isolated_network};
use include_dir::{Dir, include_dir};
use rayon::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

static BUILT_IN: Dir = include_dir!("$CARGO_MANIFEST_DIR/qemu-tests/mutants");
/// How long a sabotage may take.
const LIMIT: Duration = Duration::from_secs(300);

/// One sabotage.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mutant {
    /// Its name, unique among all.
    pub name: String,
    /// What it does, as a sentence.
    pub does: String,
    /// A bash script, run as root in the machine; it must succeed.
    pub run: String,
    /// The checks that must fail then.
    pub breaks: Vec<String>,
    /// Restarts the machine after the script; a machine of a check's own boots after it anyway.
    #[serde(default)]
    pub reboot: bool,
    /// It is done to the disk before the first boot, as it is anyway where it breaks a static check or one on a machine of
    /// its own.
    #[serde(default)]
    pub first_boot: bool,
    /// The overlay that it belongs to.
    #[serde(skip)]
    pub overlay: String,
}

/// What became of a sabotage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The right checks failed, and no other.
    Caught,
    /// Why the proof is not worth its name: a check that held, or another that failed.
    Missed(Vec<String>),
    /// It could not be tried.
    Unable(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MutantFile {
    #[serde(default)]
    mutant: Vec<Mutant>,
}

/// The sabotages of these overlays (and [`BASE`]), in their order, then those for checks of the user's own. As with checks,
/// `mutants/` in the nearest of `directories` counts before what is built in.
pub fn mutants<'a>(overlays: impl Iterator<Item = &'a str>, directories: &[PathBuf]) -> Result<Vec<Mutant>> {
    let mut all: Vec<Mutant> = Vec::new();
    let mut topics: Vec<String> = overlays.map(str::to_owned).collect();
    for stem in stems(directories)? {
        if BUILT_IN.get_file(format!("{stem}.toml")).is_none() && !topics.contains(&stem) {
            topics.push(stem);
        }
    }
    for overlay in topics {
        let name = format!("{overlay}.toml");
        let own = directories.iter().map(|directory| directory.join("mutants").join(&name));
        let (shown, text) = match (own.into_iter().find(|path| path.is_file()), BUILT_IN.get_file(&name)) {
            (Some(path), _) => (path.display().to_string(), fs_err::read_to_string(&path)?),
            (None, Some(file)) => {
                (format!("qemu-tests/mutants/{name}"), file.contents_utf8().unwrap_or_default().to_owned())
            }
            (None, None) => continue,
        };
        let parsed: MutantFile = toml::from_str(&text)
            .map_err(|error| Error::usage(format!("cannot read {shown}")).because(error))?;
        for mutant in parsed.mutant {
            let wrong = |error: Error| error.doing(format!("sabotage {} in {shown}", mutant.name));
            sound(&mutant).map_err(wrong)?;
            if all.iter().any(|known| known.name == mutant.name) {
                return Err(wrong(Error::usage("another one has that name")));
            }
            all.push(Mutant { overlay: overlay.clone(), ..mutant });
        }
    }
    Ok(all)
}

/// The names of the files of sabotages in these directories, without their ending, the nearest first.
fn stems(directories: &[PathBuf]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    let own = directories.iter().map(|directory| directory.join("mutants"));
    for directory in own.filter(|path| path.is_dir()) {
        let files = declarations(&directory)?.into_iter();
        all.extend(files.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())));
    }
    Ok(all)
}

/// Whether a sabotage can be done, and missed.
fn sound(mutant: &Mutant) -> Result<()> {
    if !is_name(&mutant.name) {
        return Err(Error::usage("its name is to be lower-case words joined by `-`"));
    }
    if mutant.breaks.is_empty() {
        return Err(Error::usage("it breaks no check, so nothing could miss it"));
    }
    Ok(())
}

/// The sabotages of a recipe, by whether all checks that they break apply to it; and the checks that do.
struct Sorted {
    chosen: Vec<Chosen>,
    prepare: Vec<Prepare>,
    applicable: Vec<Mutant>,
    aside: Vec<Mutant>,
}

fn sorted(plan: &Plan, directories: &[PathBuf], context: &Context, firmware: Firmware) -> Result<Sorted> {
    let all = mutants(std::iter::once(BASE).chain(plan.topics()), directories)?;
    let checks = load(plan.topics(), directories)?;
    let chosen = select(&checks, context, &[firmware], &Selection::default())?;
    let idle = |name: &str| {
        checks.all.iter().any(|check| check.name == name)
            && !chosen.iter().any(|chosen| chosen.check.name == name)
    };
    let (aside, applicable) = all.into_iter().partition(|mutant| mutant.breaks.iter().any(|name| idle(name)));
    Ok(Sorted { chosen, prepare: checks.prepare(context)?, applicable, aside })
}

/// The sabotages that apply to an image with this plan when this firmware boots it, for `--mutants --list`.
///
/// # Errors
/// When a file of checks or sabotages makes no sense, with its place.
pub fn applicable(
    plan: &Plan,
    lock: &Lock,
    directories: &[PathBuf],
    firmware: Firmware,
) -> Result<Vec<Mutant>> {
    let context = Context::new(plan, lock, None).on(firmware);
    Ok(sorted(plan, directories, &context, firmware)?.applicable)
}

/// Boots the image once and does every sabotage to a copy; `only` names those wanted, all when it is empty. What breaks
/// a check that does not apply to the recipe does not apply either.
pub fn mutate(
    spec: &ProofSpec,
    only: &[String],
    tools: &Tools,
    progress: &Progress,
) -> Result<Vec<(Mutant, Fate)>> {
    let context = Context::new(spec.plan, spec.lock, None).on(first(spec));
    let Sorted { chosen, prepare, applicable, aside } =
        sorted(spec.plan, spec.check_directories, &context, first(spec))?;
    let known = || applicable.iter().chain(&aside).map(|mutant| mutant.name.as_str());
    if let Some(unknown) = only.iter().find(|name| !known().any(|known| known == **name)) {
        let error = Error::usage(format!("there is no mutant {unknown} for this recipe"));
        return Err(match nearest::one(unknown, known()) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error.hint("`goldcast verify --mutants --list` names them all"),
        });
    }
    if let Some(mutant) = aside.iter().find(|mutant| only.contains(&mutant.name)) {
        return Err(Error::usage(format!("mutant {} does not apply to this recipe", mutant.name))
            .because(format!("nor does a check that it breaks: {}", mutant.breaks.join(", "))));
    }
    let work = tempfile::Builder::new().prefix("mutants").tempdir_in(spec.work)?;
    let wanted: Vec<Mutant> =
        applicable.into_iter().filter(|mutant| only.is_empty() || only.contains(&mutant.name)).collect();
    let trial = Trial {
        spec,
        frozen: None,
        idle: None,
        chosen: &chosen,
        prepare: &prepare,
        context: &context,
        tools,
        work: work.path(),
        progress,
    };
    // Boots are not counted: what a sabotage has a check say does not hang on how fast the machine is.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(at_a_time(spec.jobs)).build();
    let pool = pool.map_err(|error| Error::new("cannot start threads for machines").because(error))?;
    let booted = || {
        let machine = MachineSpec { wired: true, ..trial.usual() };
        let _lab = Lab::open(&machine.addresses, &machine.mail, tools, work.path())?;
        trial.booted(&machine, work.path())
    };
    let idle = || {
        let name = format!("{}.idle", first(spec));
        trial.booted(&MachineSpec { idle: true, name, ..trial.usual() }, &work.path().join("idle"))
    };
    let wants = |on_disk: bool| wanted.iter().any(|mutant| trial.on_disk(mutant) == on_disk);
    let (frozen, idle) = pool.join(|| kept(wants(false), tools, booted), || kept(wants(true), tools, idle));
    let (frozen, idle) = (frozen?, idle?);
    let trial = Trial { frozen: frozen.as_ref(), idle: idle.as_ref(), ..trial };
    let stage = progress.stage("mutants");
    stage.items(wanted.len() as u64);
    let fates = pool.install(|| {
        // One at a time to a thread: their order then is nearly that of the list.
        wanted
            .par_iter()
            .with_max_len(1)
            .map(|mutant| {
                interrupt::check()?;
                stage.now(&mutant.name);
                let fate = match trial.of(mutant) {
                    Err(error) if error.exit() == Exit::Failed => {
                        interrupt::check()?;
                        Fate::Unable(error.to_string())
                    }
                    fate => fate?,
                };
                progress.say(told(mutant, &fate));
                stage.add(1);
                Ok((mutant.clone(), fate))
            })
            .collect::<Result<Vec<_>>>()
    })?;
    let caught = fates.iter().filter(|(_, fate)| *fate == Fate::Caught).count();
    stage.finish(format!("{caught} of {} caught", fates.len()));
    Ok(fates)
}

/// The firmware that the machine boots with.
fn first(spec: &ProofSpec) -> Firmware {
    spec.firmwares.first().copied().unwrap_or(Firmware::Bios)
}

/// What `boot` keeps, in a network of its own, when it is wanted.
fn kept(wanted: bool, tools: &Tools, boot: impl FnOnce() -> Result<Frozen> + Send) -> Result<Option<Frozen>> {
    wanted.then(|| isolated_network(tools, boot)?).transpose()
}

/// One line on a sabotage.
pub fn told(mutant: &Mutant, fate: &Fate) -> String {
    let Mutant { name, does, breaks, .. } = mutant;
    match fate {
        Fate::Caught => format!("caught   {name}: {does} ({} failed)", breaks.join(", ")),
        Fate::Missed(why) => format!("MISSED   {name}: {does}: {}", why.join("; ")),
        Fate::Unable(why) => format!("unable   {name}: {does}: {why}"),
    }
}

struct Trial<'a> {
    spec: &'a ProofSpec<'a>,
    /// The booted machine, for what is done to a copy of it.
    frozen: Option<&'a Frozen>,
    /// One in which nothing of the system runs, for what is done to the disk before its first boot.
    idle: Option<&'a Frozen>,
    chosen: &'a [Chosen],
    prepare: &'a [Prepare],
    context: &'a Context,
    tools: &'a Tools,
    work: &'a Path,
    progress: &'a Progress,
}

impl Trial<'_> {
    /// The image's machine.
    fn usual(&self) -> MachineSpec {
        let (spec, logs) = (self.spec, self.spec.out.join(logs(&self.spec.plan.name)));
        let prepare = self.prepare.to_vec();
        MachineSpec { prepare, ..MachineSpec::new(spec.raw, spec.plan, first(spec), &logs) }
    }

    /// Boots the machine and keeps its state.
    fn booted(&self, machine: &MachineSpec, work: &Path) -> Result<Frozen> {
        fs_err::create_dir_all(work)?;
        let stage = self.progress.stage(format!("boot {}", machine.name));
        let machine = Machine::boot(machine, self.tools, work, self.progress)?;
        stage.finish(format!("up in {:.1} s ({})", machine.boot_seconds(), machine.accelerator().name()));
        machine.freeze()
    }

    fn of(&self, mutant: &Mutant) -> Result<Fate> {
        if self.on_disk(mutant) {
            return self.before_first_boot(mutant);
        }
        let frozen = self.frozen.ok_or_else(|| Error::new("there is no machine to copy"))?;
        on_copy(frozen, &mutant.name, &Ok(()), self.tools, self.work, self.progress, |machine, lab, work| {
            self.on(mutant, machine, lab, work)
        })
    }

    /// Whether it is done to the disk before the first boot.
    fn on_disk(&self, mutant: &Mutant) -> bool {
        mutant.first_boot || !self.own(mutant).is_empty() || !self.files(mutant).is_empty()
    }

    /// The static checks that the sabotage is to break and, when there are any, the overlay's others.
    fn files(&self, mutant: &Mutant) -> Vec<&Check> {
        let file = format!("/{}.toml", mutant.overlay);
        let named = |check: &Check| mutant.breaks.contains(&check.name);
        let checks: Vec<&Check> = self
            .chosen
            .iter()
            .map(|chosen| &chosen.check)
            .filter(|check| reads_files(check))
            .filter(|check| named(check) || check.source.ends_with(&file))
            .collect();
        if checks.iter().any(|check| named(check)) { checks } else { Vec::new() }
    }

    /// The checks on machines of their own that the sabotage is to break.
    fn own(&self, mutant: &Mutant) -> Vec<(&Check, &Own)> {
        let checks = self.chosen.iter().map(|chosen| &chosen.check);
        let named = checks.filter(|check| mutant.breaks.contains(&check.name));
        named.filter_map(|check| Some((check, check.machine.as_ref()?))).collect()
    }

    /// Does the sabotage to the image's disk while nothing of the system runs, reads what is on it then, and boots the
    /// checks' machines from it.
    fn before_first_boot(&self, mutant: &Mutant) -> Result<Fate> {
        let work = tempfile::Builder::new().prefix("sabotage").tempdir_in(self.work)?;
        let like = self.usual();
        if let Some(fate) = isolated_network(self.tools, || self.sabotage(mutant, work.path()))?? {
            return Ok(fate);
        }
        let disk = work.path().join(DISK);
        let ground = Ground {
            spec: &like,
            disk: Some(&disk),
            first: None,
            lab: &Ok(()),
            tools: self.tools,
            context: self.context,
            work: self.work,
            progress: self.progress,
        };
        let usual = Own::default();
        let nothing = BTreeMap::new();
        let (own, files) = (self.own(mutant), self.files(mutant));
        let read = |name: &String| files.iter().any(|check| check.name == *name);
        let machines: Vec<_> = if !own.is_empty() {
            own.iter()
                .map(|&(check, own)| (Some(check), Site { name: &check.name, own, volume: &check.volume }))
                .collect()
        } else if mutant.breaks.iter().all(read) {
            Vec::new()
        } else {
            vec![(None, Site { name: &mutant.name, own: &usual, volume: &nothing })]
        };
        let mut wrong = self.unknown(mutant);
        if !files.is_empty() {
            wrong.extend(self.amiss_on_disk(mutant, &files, work.path())?);
        }
        for (check, site) in machines {
            let done = ground.with_machine(&site, |runner| {
                // What holds on any other machine need not hold on one with a volume.
                let named = |check: &&Check| mutant.breaks.contains(&check.name);
                let looks = self.relevant(mutant).into_iter();
                let looks = looks.filter(|check| site.own.volume.is_none() || named(check));
                let mut amiss_here = Vec::new();
                for check in looks.chain(check) {
                    amiss_here.extend(amiss(mutant, check, runner)?);
                }
                Ok(amiss_here)
            })?;
            match done {
                Ok(amiss_here) => wrong.extend(amiss_here),
                Err(error) => {
                    return Ok(Fate::Unable(format!(
                        "the machine of {} did not come up: {error}",
                        site.name
                    )));
                }
            }
        }
        Ok(if wrong.is_empty() { Fate::Caught } else { Fate::Missed(wrong) })
    }

    /// Makes static checks on the sabotaged disk in `work`; what is wrong with how they came out.
    fn amiss_on_disk(&self, mutant: &Mutant, checks: &[&Check], work: &Path) -> Result<Vec<String>> {
        let raw = overlay::flatten(self.spec.raw, self.tools, work)?;
        let tree = ImageTree::open(&raw).map_err(|error| error.to_string());
        let place = Place::Image { tree: &tree, before: self.spec.sha256, after: None };
        let lab = Err("an image that is not booted has no outside");
        let mut runner = Runner::new(place, self.tools, self.context, work, lab)?;
        let mut wrong = Vec::new();
        for check in checks {
            wrong.extend(amiss(mutant, check, &mut runner)?);
        }
        Ok(wrong)
    }

    /// Leaves the sabotaged disk in `work`, an overlay of the image; says why when that failed.
    fn sabotage(&self, mutant: &Mutant, work: &Path) -> Result<Option<Fate>> {
        let idle = self.idle.ok_or_else(|| Error::new("there is no idle machine to copy"))?;
        let mut machine = idle.thaw(&mutant.name, self.tools, work, self.progress)?;
        let script = format!("mount -o remount,rw / || exit\n{}", self.context.fill(&mutant.run)?);
        let unable = sabotaged(&mut machine, &script)?;
        if unable.is_none() {
            machine.end()?;
            idle.detach(self.tools, work)?;
        }
        idle.tidy(&mutant.name)?;
        Ok(unable)
    }

    /// The checks that the sabotage is to break and the overlay's that leave a machine as it is, without those on
    /// machines of their own. What only looks goes first: a check that changes the machine would be seen by those after.
    fn relevant(&self, mutant: &Mutant) -> Vec<&Check> {
        let file = format!("/{}.toml", mutant.overlay);
        let looks = |check: &Check| check.source.ends_with(&file) && looks(check);
        let checks = self.chosen.iter().map(|chosen| &chosen.check);
        let mut relevant: Vec<&Check> = checks
            .filter(|check| check.machine.is_none() && !reads_files(check))
            .filter(|check| mutant.breaks.contains(&check.name) || looks(check))
            .collect();
        relevant.sort_by_key(|check| check.destructive);
        relevant
    }

    /// A complaint for every check that it names and that there is not.
    fn unknown(&self, mutant: &Mutant) -> Vec<String> {
        let known = |name: &str| self.chosen.iter().any(|chosen| chosen.check.name == name);
        let unknown = mutant.breaks.iter().filter(|name| !known(name));
        unknown.map(|name| format!("there is no check {name}")).collect()
    }

    fn on(&self, mutant: &Mutant, machine: &mut Machine, lab: Outside<'_>, work: &Path) -> Result<Fate> {
        let mut runner = Runner::new(Place::Machine(machine), self.tools, self.context, work, lab)?;
        let script = runner.fill(&mutant.run)?;
        let machine = runner.machine()?;
        if let Some(unable) = sabotaged(machine, &script)? {
            return Ok(unable);
        }
        if mutant.reboot {
            machine.reboot()?;
        }
        let mut wrong = self.unknown(mutant);
        for check in self.relevant(mutant) {
            wrong.extend(amiss(mutant, check, &mut runner)?);
        }
        Ok(if wrong.is_empty() { Fate::Caught } else { Fate::Missed(wrong) })
    }
}

/// Runs a sabotage; why it failed, when it did.
fn sabotaged(machine: &mut Machine, script: &str) -> Result<Option<Fate>> {
    let ran = machine.run(script, LIMIT).map_err(Lost::into_error)?;
    if ran.exit == 0 && !ran.timed_out {
        return Ok(None);
    }
    let said = plain(&String::from_utf8_lossy(&ran.stderr));
    let why = format!("the sabotage failed with exit status {}: {}", ran.exit, said.trim());
    Ok(Some(Fate::Unable(why)))
}

/// Makes a check on a sabotaged machine; what is wrong with how it came out.
fn amiss(mutant: &Mutant, check: &Check, runner: &mut Runner) -> Result<Option<String>> {
    let result = runner.check(check)?;
    let wanted = if mutant.breaks.contains(&check.name) { Outcome::Failed } else { Outcome::Passed };
    let told = || format!("{} {}: {}", check.name, result.outcome.name(), result.reason());
    Ok((result.outcome != wanted).then(told))
}

/// A static check that can be made on a sabotaged disk: nothing of the disk as it was is left to compare a digest with.
fn reads_files(check: &Check) -> bool {
    check.kind == Kind::Static && check.steps.iter().all(|step| step.digest.is_none())
}

/// It only looks at the machine, and not for long; the image's files are what they were.
fn looks(check: &Check) -> bool {
    check.kind != Kind::Static && !check.destructive && !long(check)
}

/// A scan of all ports after every sabotage would take hours, and tell little.
fn long(check: &Check) -> bool {
    check.steps.iter().any(|step| step.timeout.is_some_and(|seconds| seconds >= 300))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::check::shipped;
    use crate::verify::testing;
    use std::collections::BTreeSet;

    #[test]
    fn every_mutant_breaks_checks_that_there_are() {
        let overlays: Vec<String> =
            BUILT_IN.files().filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned())).collect();
        let checks = shipped();
        let known: BTreeSet<&str> = checks.all.iter().map(|check| check.name.as_str()).collect();
        let mut names = BTreeSet::new();
        for mutant in mutants(overlays.iter().map(String::as_str), &[]).unwrap() {
            assert!(names.insert(mutant.name.clone()), "two mutants are named {}", mutant.name);
            assert!(!mutant.breaks.is_empty(), "{} breaks nothing", mutant.name);
            for check in &mutant.breaks {
                assert!(known.contains(check.as_str()), "{} breaks {check}, which is no check", mutant.name);
            }
        }
        assert!(names.len() >= 3);
    }

    #[test]
    fn every_check_can_be_made_to_fail_in_two_ways() {
        let overlays = BUILT_IN.files().filter_map(|file| file.path().file_stem()?.to_str());
        let checks = shipped();
        let mutants = mutants(overlays, &[]).unwrap();
        // What the firmware is, and what is left of the image's file, nobody inside can change.
        let beyond = ["boot-mode", "image-unchanged"];
        for check in checks.all.iter().filter(|check| !beyond.contains(&check.name.as_str())) {
            let breaking = mutants.iter().filter(|mutant| mutant.breaks.contains(&check.name)).count();
            assert!(breaking >= 2, "{breaking} sabotages break {}, wanted two", check.name);
        }
    }

    #[test]
    fn what_breaks_a_check_that_does_not_apply_is_not_listed() {
        let (plan, lock) = (testing::plan(), testing::lock());
        let listed = applicable(&plan, &lock, &[], Firmware::Bios).unwrap();
        let checks = load(plan.topics(), &[]).unwrap();
        let context = Context::new(&plan, &lock, None).on(Firmware::Bios);
        let chosen = select(&checks, &context, &[Firmware::Bios], &Selection::default()).unwrap();
        let applies = |name: &String| chosen.iter().any(|chosen| chosen.check.name == *name);
        assert!(listed.iter().all(|mutant| mutant.breaks.iter().all(applies)));
        let every = mutants(std::iter::once(BASE).chain(plan.topics()), &[]).unwrap();
        let aside = every.iter().filter(|mutant| !listed.iter().any(|listed| listed.name == mutant.name));
        assert!(aside.clone().count() > 0 && !listed.is_empty());
        assert!(aside.into_iter().all(|mutant| !mutant.breaks.iter().all(applies)));
    }

    #[test]
    fn sabotages_of_ones_own_count_before_the_built_in_ones() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("mutants/ssh.toml");
        fs_err::create_dir(directory.path().join("mutants")).unwrap();
        let entry = "name = 'own'\ndoes = 'x'\nrun = 'true'\nbreaks = ['ssh-answers']\n";
        fs_err::write(&own, format!("[[mutant]]\n{entry}")).unwrap();
        let read = || mutants(["ssh", "nothing-of-the-kind"].into_iter(), &[directory.path().into()]);
        assert_eq!(read().unwrap().iter().map(|mutant| &*mutant.name).collect::<Vec<_>>(), ["own"]);
        fs_err::write(&own, format!("[[mutant]]\n{entry}brakes = []\n")).unwrap();
        assert_eq!(read().unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn checks_of_ones_own_have_sabotages_and_one_that_cannot_be_missed_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir(directory.path().join("mutants")).unwrap();
        let write = |name: &str, breaks: &str, more: &str| {
            let one = format!("[[mutant]]\nname = '{name}'\ndoes = 'x'\nrun = 'true'\nbreaks = [{breaks}]\n");
            fs_err::write(directory.path().join("mutants/mine.toml"), one + more).unwrap();
        };
        let read = || mutants(std::iter::empty(), &[directory.path().into()]);
        write("mine-one", "'mine'", "");
        let found = read().unwrap();
        assert_eq!((found.len(), &*found[0].name, &*found[0].overlay), (1, "mine-one", "mine"));
        let again = "[[mutant]]\nname = 'mine-one'\ndoes = 'x'\nrun = 'true'\nbreaks = ['mine']\n";
        for (name, breaks, more, why) in [
            ("mine-one", "", "", "nothing could miss it"),
            ("../one", "'mine'", "", "lower-case"),
            ("mine-one", "'mine'", again, "another one"),
        ] {
            write(name, breaks, more);
            let refused = read().unwrap_err();
            assert!(refused.exit() == Exit::Usage && refused.to_string().contains(why), "{refused}");
        }
    }
}
