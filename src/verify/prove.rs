//! The proof of one image: boots, checks, and the report.

use super::check::{
    Check, Checks, Chosen, Context, ImageTree, Kind, Own, Place, Prepare, Runner, Selection, load, rehearse,
    select,
};
use super::copies::{Outside, at_a_time, on_copy};
use super::firmware::Firmware;
use super::frozen::Frozen;
use super::lab::Lab;
use super::machine::{Machine, MachineSpec};
use super::own::{Ground, Site};
use super::page;
use super::report::{CheckResult, Evidence, MachineOutcome, MachineResult, Outcome, Proof, Subject};
use super::shifts::{Load, Shifts};
use super::text::plain;
use crate::archive::lock::Lock;
use crate::error::{Context as _, Error, Exit, Result};
use crate::interrupt;
use crate::output::names::logs;
use crate::progress::{Progress, Stage};
use crate::recipe::plan::Plan;
use crate::sandbox::{Tools, isolated_network};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What to prove, and how.
#[derive(Debug, Clone)]
pub struct ProofSpec<'a> {
    /// The raw image.
    pub raw: &'a Path,
    /// Its sha256 in hex, as the build wrote it.
    pub sha256: &'a str,
    /// What the image is meant to be.
    pub plan: &'a Plan,
    /// The packages that it is meant to hold.
    pub lock: &'a Lock,
    /// The firmwares to boot it with, the most important first.
    pub firmwares: &'a [Firmware],
    /// Which checks.
    pub selection: &'a Selection,
    /// Directories with the user's own check files.
    pub check_directories: &'a [PathBuf],
    /// Where `NAME.proof.json`, `NAME.proof.html`, `NAME.junit.xml` and `NAME.logs/` go.
    pub out: &'a Path,
    /// Where throw-away overlays go; some hundred MiB a machine.
    pub work: &'a Path,
    /// How many machines may boot at the same time. With more than there are processors, what an image does in a given
    /// time, a first boot above all, is another thing than on a machine of its own. As many more may wait for what is done
    /// to them, where the memory allows it.
    pub jobs: usize,
}

/// The checks that are made of an image with this plan when these firmwares boot it, for `--list`.
///
/// # Errors
/// When a check file makes no sense, or a check that is asked for does not exist.
pub fn list(
    plan: &Plan,
    lock: &Lock,
    firmwares: &[Firmware],
    selection: &Selection,
    directories: &[PathBuf],
) -> Result<Vec<Check>> {
    let checks = checks(plan, directories)?;
    let context = Context::new(plan, lock, None);
    let chosen = select(&checks, &context, booted(firmwares, selection), selection)?;
    Ok(chosen.into_iter().filter(|chosen| chosen.skipped.is_none()).map(|chosen| chosen.check).collect())
}

/// Those of the firmwares that are booted.
fn booted<'a>(firmwares: &'a [Firmware], selection: &Selection) -> &'a [Firmware] {
    if selection.quick { &firmwares[..firmwares.len().min(1)] } else { firmwares }
}

/// Looks ahead at the checks that will be made: what is wrong with them, or with what is asked of them, is better known
/// before an image is built.
///
/// # Errors
/// When a check that is asked for does not exist, or one names what is not there.
pub fn foresee(
    plan: &Plan,
    lock: &Lock,
    firmwares: &[Firmware],
    selection: &Selection,
    directories: &[PathBuf],
) -> Result<()> {
    let checks = checks(plan, directories)?;
    let context = Context::new(plan, lock, None);
    rehearse(&select(&checks, &context, booted(firmwares, selection), selection)?, &context)?;
    checks.prepare(&context).map(drop)
}

/// Every check there is for an image with this plan, whether it applies or not.
///
/// # Errors
/// When a check file makes no sense, with its place.
pub fn checks(plan: &Plan, directories: &[PathBuf]) -> Result<Checks> {
    load(plan.topics(), directories)
}

/// Proves an image and writes the report; a proof that fails is a result, not an error.
pub fn prove(spec: &ProofSpec, tools: &Tools, progress: &Progress) -> Result<Proof> {
    let context = Context::new(spec.plan, spec.lock, build_host(spec.plan).as_deref());
    let firmwares = booted(spec.firmwares, spec.selection);
    let checks = checks(spec.plan, spec.check_directories)?;
    let chosen = select(&checks, &context, firmwares, spec.selection)?;
    rehearse(&chosen, &context)?;
    let prepare = checks.prepare(&context)?;
    let before = digest(spec.raw)?;
    let size = fs_err::metadata(spec.raw)?.len();
    if before != spec.sha256 {
        return Err(Error::new(format!("{} is not the image to prove", spec.raw.display()))
            .because(format!("its sha256 is {before}, not {}", spec.sha256))
            .hint("build it again"));
    }
    let work = tempfile::Builder::new().prefix("proof").tempdir_in(spec.work)?;
    let runs = chosen.iter().map(|chosen| chosen.firmwares.len().max(1)).sum::<usize>();
    let stage = progress.stage("checks");
    stage.items(runs as u64);
    let task = Task {
        spec,
        tools,
        progress,
        stage: &stage,
        chosen: &chosen,
        prepare: &prepare,
        context: &context,
        work: work.path(),
    };
    let (boots, mut checks) = std::thread::scope(|scope| {
        let machines = scope.spawn(|| task.machines(firmwares));
        let files = task.files(&before, None);
        let machines = machines.join().unwrap_or_else(|_| Err(Error::new("the machines' thread panicked")));
        Ok::<_, Error>((machines?, files?))
    })?;
    let after = digest(spec.raw)?;
    let compares = |chosen: &Chosen| {
        chosen.skipped.is_none() && chosen.check.steps.iter().any(|step| step.digest.is_some())
    };
    if after != before && !chosen.iter().any(compares) {
        return Err(Error::new(format!("{} changed while it was proved", spec.raw.display()))
            .because(format!("its sha256 was {before} before the boots, and is {after}")));
    }
    checks.extend(task.files(&before, Some(&after))?);
    let mut machines = Vec::new();
    for mut boot in boots {
        machines.push(boot.machine);
        checks.extend(boot.plain);
        boot.rough.sort_by_key(|(place, _)| *place);
        checks.extend(boot.rough.into_iter().map(|(_, result)| result));
    }
    let subject = Subject { name: spec.plan.name.clone(), sha256: before, size };
    let proof = Proof::new(subject, machines, checks);
    proof.write(spec.out, &page::render(&proof, spec.plan, spec.lock, spec.out)?)?;
    let passed = proof.count(Outcome::Passed);
    stage.finish(format!("{}, {passed} of {} passed", proof.verdict.name(), proof.checks.len()));
    Ok(proof)
}

/// What came of one firmware: the machine, the checks on it, and those on its copies with their places in the list.
struct Boot {
    machine: MachineResult,
    plain: Vec<CheckResult>,
    rough: Vec<(usize, CheckResult)>,
}

struct Task<'a> {
    spec: &'a ProofSpec<'a>,
    tools: &'a Tools,
    progress: &'a Progress,
    stage: &'a Stage,
    chosen: &'a [Chosen],
    prepare: &'a [Prepare],
    context: &'a Context,
    work: &'a Path,
}

/// A machine whose plain checks are done, for copies; or why there can be none.
struct Rest {
    frozen: Result<Frozen, String>,
    lab: Result<(), String>,
    work: PathBuf,
}

impl Task<'_> {
    /// All machines and copies of them, as many at a time as allowed; the results in the order of the firmwares.
    fn machines(&self, firmwares: &[Firmware]) -> Result<Vec<Boot>> {
        let boots: Vec<Mutex<Option<Boot>>> = firmwares.iter().map(|_| Mutex::default()).collect();
        let trouble: Mutex<Option<Error>> = Mutex::default();
        let note = |error| {
            locked(&trouble).get_or_insert(error);
        };
        // After an error there is no report: what was not begun would be done in vain.
        let in_vain = || locked(&trouble).is_some();
        let shifts = Shifts::new(self.spec.jobs);
        for (firmware, slot) in firmwares.iter().zip(&boots) {
            let (note, in_vain) = (&note, &in_vain);
            shifts.add(Load::Boots, move |shifts| {
                if in_vain() {
                    return;
                }
                let (boot, rest) = match self.machine(*firmware) {
                    Ok(done) => done,
                    Err(error) => return note(error),
                };
                *locked(slot) = Some(boot);
                let Some(rest) = rest.map(Arc::new) else { return };
                for (place, chosen) in self.rough(*firmware) {
                    let rest = Arc::clone(&rest);
                    let load = if chosen.check.boots() > 0 { Load::Boots } else { Load::Waits };
                    shifts.add(load, move |_| {
                        if in_vain() {
                            return;
                        }
                        match self.apart(chosen, *firmware, &rest) {
                            Ok(result) => {
                                if let Some(boot) = &mut *locked(slot) {
                                    boot.rough.push((place, result));
                                }
                            }
                            Err(error) => note(error),
                        }
                    });
                }
            });
        }
        shifts.run(at_a_time(self.spec.jobs));
        if let Some(error) = locked(&trouble).take() {
            return Err(error);
        }
        Ok(boots.iter().filter_map(|slot| locked(slot).take()).collect())
    }

    /// Boots one machine in a network of its own, where the guest's ports keep their numbers, and makes the checks
    /// that leave it as it is.
    fn machine(&self, firmware: Firmware) -> Result<(Boot, Option<Rest>)> {
        isolated_network(self.tools, || self.booted(firmware))?
    }

    fn machine_spec(&self, firmware: Firmware) -> MachineSpec {
        let logs = self.spec.out.join(logs(&self.spec.plan.name));
        let prepare = self.prepare.to_vec();
        MachineSpec { prepare, ..MachineSpec::new(self.spec.raw, self.spec.plan, firmware, &logs) }
    }

    fn booted(&self, firmware: Firmware) -> Result<(Boot, Option<Rest>)> {
        let work = self.work.join(firmware.name());
        fs_err::create_dir_all(&work)?;
        let spec = self.machine_spec(firmware);
        let lab = match Lab::open(&spec.addresses, &spec.mail, self.tools, &work) {
            Ok(lab) => Ok(lab),
            Err(error) if error.exit() == Exit::Failed => {
                interrupt::check()?;
                self.progress.warn(format!("there is no lab for the {firmware} machine: {error}"));
                Err(error.to_string())
            }
            Err(error) => return Err(error),
        };
        let spec = MachineSpec { wired: lab.is_ok(), ..spec };
        let stage = self.progress.stage(format!("boot {firmware}"));
        let logs = logs(&self.spec.plan.name);
        let mut result = MachineResult {
            firmware,
            accelerator: None,
            boot_seconds: None,
            outcome: MachineOutcome::Failed,
            reason: None,
            prepared: self.prepare.iter().map(|prepare| prepare.how.clone()).collect(),
            unasked: spec.addresses.unasked(),
            serial_log: format!("{logs}/{firmware}.serial.log"),
            screenshot: None,
        };
        let pictured = || spec.screenshot().exists().then(|| format!("{logs}/{firmware}.png"));
        // A picture of an earlier run must not pass for one of this.
        if spec.screenshot().exists() {
            fs_err::remove_file(spec.screenshot())?;
        }
        let mut machine = match Machine::boot(&spec, self.tools, &work, self.progress) {
            Ok(machine) => machine,
            Err(error) if error.exit() == Exit::Failed => {
                interrupt::check()?;
                stage.finish(format!("failed: {}", error.what()));
                self.progress.warn(error.render().trim_end());
                result.reason = Some(plain(&error.to_string()));
                result.screenshot = pictured();
                let why = format!("the machine did not come up: {}", error.what());
                let plain = self.unreachable(firmware, &why);
                return Ok((Boot { machine: result, plain, rough: Vec::new() }, None));
            }
            Err(error) => return Err(error),
        };
        stage.finish(format!("up in {:.1} s ({})", machine.boot_seconds(), machine.accelerator().name()));
        result.accelerator = Some(machine.accelerator());
        result.boot_seconds = Some(machine.boot_seconds());
        let plain = self.plain(&mut machine, &work, lab.as_ref().map_err(String::as_str))?;
        match machine.check_alive() {
            Ok(()) => {
                result.outcome = MachineOutcome::Up;
                // When the boot was over there need not have been a prompt on the screen yet.
                machine.take_screenshot().ok();
            }
            Err(error) => {
                interrupt::check()?;
                result.reason = Some(format!("it died under the checks: {error}"));
            }
        }
        result.screenshot = pictured();
        let boot = Boot { machine: result, plain, rough: Vec::new() };
        if self.rough(firmware).next().is_none() {
            return Ok((boot, None));
        }
        let resumed = |chosen: &Chosen| chosen.check.machine.as_ref().is_none_or(Own::as_shipped);
        let frozen = match self.rough(firmware).any(|(_, chosen)| resumed(chosen)) {
            true => machine.freeze().map_err(|error| error.to_string()),
            false => Err("no check needs a copy of the machine".to_owned()),
        };
        interrupt::check()?;
        Ok((boot, Some(Rest { frozen, lab: lab.map(drop), work })))
    }

    /// The checks that leave the machine as it is, and those that are skipped. What only sends over the wire, a scan of
    /// all ports above all, mostly waits: each of those is made beside the others. The longer one may wait for what
    /// it looks at, the later it comes: that happens in the meantime.
    fn plain(&self, machine: &mut Machine, work: &Path, lab: Outside<'_>) -> Result<Vec<CheckResult>> {
        let firmware = machine.firmware();
        let plain = self.of(firmware).enumerate().filter(|(_, chosen)| !is_rough(chosen));
        let (wire, mut here): (Vec<_>, Vec<_>) =
            plain.partition(|(_, chosen)| lab.is_ok() && chosen.check.over_the_wire());
        here.sort_by_key(|(_, chosen)| chosen.check.patience());
        let context = self.context.on(firmware);
        let (wire, here) = std::thread::scope(|scope| {
            let over_the_wire = |chosen| {
                let mut runner = Runner::new(Place::Wire, self.tools, &context, work, lab)?;
                self.carry_out(chosen, &mut runner)
            };
            let wire: Vec<_> = wire
                .into_iter()
                .map(|(place, chosen)| (place, scope.spawn(move || over_the_wire(chosen))))
                .collect();
            let here = self.runner(machine, work, lab).and_then(|mut runner| {
                here.into_iter()
                    .map(|(place, chosen)| Ok((place, self.carry_out(chosen, &mut runner)?)))
                    .collect::<Result<Vec<_>>>()
            });
            let panicked = |_| Err(Error::new("the thread of a check over the wire panicked"));
            let wire = wire
                .into_iter()
                .map(|(place, thread)| Ok((place, thread.join().unwrap_or_else(panicked)?)))
                .collect::<Result<Vec<_>>>();
            (wire, here)
        });
        let mut results: Vec<_> = here?.into_iter().chain(wire?).collect();
        results.sort_by_key(|(place, _)| *place);
        Ok(results.into_iter().map(|(_, result)| result.on(Some(firmware))).collect())
    }

    /// The checks that are not made on the firmware's machine itself, with their places in the list.
    fn rough(&self, firmware: Firmware) -> impl Iterator<Item = (usize, &Chosen)> {
        self.of(firmware).enumerate().filter(|(_, chosen)| is_rough(chosen))
    }

    /// A check on a machine of its own, or a destructive one on a copy of the machine as it was after the others.
    fn apart(&self, chosen: &Chosen, firmware: Firmware, rest: &Rest) -> Result<CheckResult> {
        let done = match (&chosen.check.machine, &rest.frozen) {
            (Some(own), _) => self.on_own(chosen, own, firmware, rest),
            (None, Ok(frozen)) => on_copy(
                frozen,
                &chosen.check.name,
                &rest.lab,
                self.tools,
                &rest.work,
                self.progress,
                |machine, lab, work| self.make(chosen, &mut self.runner(machine, work, lab)?),
            ),
            (None, Err(why)) => Err(Error::new(why.clone())),
        };
        let result = match done {
            Err(error) if error.exit() == Exit::Failed => {
                interrupt::check()?;
                could_not(&chosen.check, &error.to_string())
            }
            done => done?,
        };
        self.done(&result);
        Ok(result.on(Some(firmware)))
    }

    fn on_own(&self, chosen: &Chosen, own: &Own, firmware: Firmware, rest: &Rest) -> Result<CheckResult> {
        let spec = self.machine_spec(firmware);
        let ground = Ground {
            spec: &spec,
            disk: None,
            first: rest.frozen.as_ref().ok(),
            lab: &rest.lab,
            tools: self.tools,
            context: &self.context.on(firmware),
            work: &rest.work,
            progress: self.progress,
        };
        let begun = Instant::now();
        let site = Site { name: &chosen.check.name, own, volume: &chosen.check.volume };
        match ground.with_machine(&site, |runner| self.make(chosen, runner))? {
            Ok(result) => Ok(result),
            Err(error) => {
                let why = Evidence::note("the machine").wanted(error.to_string());
                Ok(CheckResult::of(&chosen.check, Outcome::Failed, begun.elapsed(), vec![why]))
            }
        }
    }

    fn runner<'m>(
        &'m self,
        machine: &'m mut Machine,
        work: &'m Path,
        lab: Outside<'m>,
    ) -> Result<Runner<'m>> {
        let context = self.context.on(machine.firmware());
        Runner::new(Place::Machine(machine), self.tools, &context, work, lab)
    }

    fn of(&self, firmware: Firmware) -> impl Iterator<Item = &Chosen> {
        self.chosen.iter().filter(move |chosen| chosen.firmwares.contains(&firmware))
    }

    fn unreachable(&self, firmware: Firmware, why: &str) -> Vec<CheckResult> {
        self.of(firmware)
            .map(|chosen| {
                self.stage.add(1);
                let result = match chosen.skipped {
                    Some(_) => skipped(chosen),
                    None => could_not(&chosen.check, why),
                };
                result.on(Some(firmware))
            })
            .collect()
    }

    /// The static checks: without `after` those that read files, with it those that compare the digests.
    fn files(&self, before: &str, after: Option<&str>) -> Result<Vec<CheckResult>> {
        let wanted = |chosen: &&Chosen| {
            let digests = chosen.check.steps.iter().any(|step| step.digest.is_some());
            chosen.check.kind == Kind::Static && digests == after.is_some()
        };
        let tree = match after {
            None => ImageTree::open(self.spec.raw).map_err(|error| error.to_string()),
            Some(_) => Err("the image's files are read before the boots".to_owned()),
        };
        let place = Place::Image { tree: &tree, before, after };
        let lab = Err("an image that is not booted has no outside");
        let mut runner = Runner::new(place, self.tools, self.context, self.work, lab)?;
        self.chosen.iter().filter(wanted).map(|chosen| self.carry_out(chosen, &mut runner)).collect()
    }

    fn carry_out(&self, chosen: &Chosen, runner: &mut Runner) -> Result<CheckResult> {
        let result = self.make(chosen, runner)?;
        self.done(&result);
        Ok(result)
    }

    /// Makes a check without telling how it came out.
    fn make(&self, chosen: &Chosen, runner: &mut Runner) -> Result<CheckResult> {
        interrupt::check()?;
        self.stage.now(&chosen.check.name);
        match chosen.skipped {
            Some(_) => Ok(skipped(chosen)),
            None => runner.check(&chosen.check),
        }
    }

    /// Tells of a check that is over. One that failed is told at once: the whole takes minutes.
    fn done(&self, result: &CheckResult) {
        if result.outcome == Outcome::Failed {
            self.progress.say(format!("{} does not hold: {}", result.name, result.reason()));
        }
        self.stage.add(1);
    }
}

/// It changes the machine or wants another, and runs.
fn is_rough(chosen: &Chosen) -> bool {
    (chosen.check.destructive || chosen.check.machine.is_some()) && chosen.skipped.is_none()
}

fn skipped(chosen: &Chosen) -> CheckResult {
    let why = Evidence::note(chosen.skipped.unwrap_or_default());
    CheckResult::of(&chosen.check, Outcome::Skipped, Duration::ZERO, vec![why])
}

fn could_not(check: &Check, why: &str) -> CheckResult {
    CheckResult::of(check, Outcome::CouldNotCheck, Duration::ZERO, vec![Evidence::note(why)])
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// sha256 of a file, in hex.
fn digest(path: &Path) -> Result<String> {
    let mut file = fs_err::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        interrupt::check()?;
        let count = file.read(&mut buffer).doing("hashing the image")?;
        if count == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(&buffer[..count]);
    }
}

/// The build host's name, where finding it in an image would mean something.
fn build_host(plan: &Plan) -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?;
    let common = ["localhost", "debian", "ubuntu", "builder", "runner"];
    let telling = name.len() >= 6 && !common.contains(&name.as_str()) && name != plan.image.hostname;
    telling.then_some(name)
}
