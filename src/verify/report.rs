//! The proof as data, as JSON, as JUnit XML and as a short table.

use super::accelerator::Accelerator;
use super::check::{Check, Kind, Severity};
use super::firmware::Firmware;
use super::text::{excerpt, plain};
use crate::error::{Context, Error, Result};
use crate::event::milliseconds;
use crate::output::directory::replace;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The most that is kept of what one step did, saw or has against it, whoever tells it.
const KEPT: usize = 12_000;
/// So many checks that were left out are told by name.
const NAMED: usize = 8;
/// The only format of `proof.json` there is.
pub const SCHEMA: u32 = 1;

/// The proof of an image: every check on every firmware, tied to the image's digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Format of this document: 1.
    pub schema: u32,
    /// The image that was proved.
    pub image: Subject,
    /// The outcome of all that was asked.
    pub verdict: Verdict,
    /// Nothing was left out: no check, and no firmware. A verdict is one on the whole image only then.
    #[serde(default)]
    pub whole: bool,
    /// One entry a boot.
    pub machines: Vec<MachineResult>,
    /// One entry a check and firmware.
    pub checks: Vec<CheckResult>,
}

/// The image that was proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// sha256 (hex) of the raw image.
    pub sha256: String,
    /// The size of the raw image in bytes.
    #[serde(default)]
    pub size: u64,
}

/// The outcome of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every machine came up and nothing failed.
    Proven,
    /// A machine did not come up, or a check failed.
    Failed,
    /// Nothing failed, something could not be checked.
    Incomplete,
}

impl Verdict {
    /// The word in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Failed => "failed",
            Self::Incomplete => "incomplete",
        }
    }
}

/// One boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineResult {
    /// What started it.
    pub firmware: Firmware,
    /// What executed it, once that was known.
    pub accelerator: Option<Accelerator>,
    /// Seconds until the system said that it was up.
    pub boot_seconds: Option<f64>,
    /// How it went.
    pub outcome: MachineOutcome,
    /// Why it failed, when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was done to it and to all others before the checks, so that the lab reaches them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepared: Vec<String>,
    /// What no check asked it since the image has nothing there that would answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unasked: Vec<String>,
    /// The serial log, relative to the report.
    pub serial_log: String,
    /// The picture of its screen, relative to the report, when one could be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screenshot: Option<String>,
}

/// How a boot went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MachineOutcome {
    /// It came up and stayed up.
    Up,
    /// It did not come up, or died under the checks.
    Failed,
}

/// One check on one firmware.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckResult {
    /// The check's name.
    pub name: String,
    /// Where it looked from.
    pub kind: Kind,
    /// The firmware of the machine; none for a static check.
    pub firmware: Option<Firmware>,
    /// The row of the requirements that it belongs to.
    pub requirement: Option<String>,
    /// What holds when it passes.
    pub proves: String,
    /// Whether its failure fails the proof.
    pub severity: Severity,
    /// How it came out.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// The heading under which the page shows what the first step printed, among what is in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists: Option<String>,
    /// What was done and seen, step by step.
    pub evidence: Vec<Evidence>,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// What it proves holds.
    Passed,
    /// What it proves does not hold.
    Failed,
    /// It could not be carried out, which says nothing about the image.
    CouldNotCheck,
    /// The user left it out.
    Skipped,
}

impl Outcome {
    /// The word in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::CouldNotCheck => "could not check",
            Self::Skipped => "skipped",
        }
    }
}

/// One thing that was done, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The command, or what was done in words.
    pub did: String,
    /// What was seen.
    pub saw: String,
    /// The exit status, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// What is not as it must be, where something is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Evidence {
    /// Something was done and this was seen.
    pub fn new(did: impl Into<String>, saw: impl Into<String>) -> Self {
        Self { did: did.into(), saw: saw.into(), exit: None, fault: None }
    }

    /// A remark without a deed.
    pub fn note(text: impl Into<String>) -> Self {
        Self::new("", text)
    }

    /// What is wrong with it.
    pub fn wanted(mut self, fault: impl Into<String>) -> Self {
        self.fault = Some(fault.into());
        self
    }

    /// The same as a report may hold it: what a guest says goes to a terminal, an HTML page and XML.
    fn kept(self) -> Self {
        let kept = |text: String| excerpt(&plain(&text), KEPT);
        Self { did: kept(self.did), saw: kept(self.saw), exit: self.exit, fault: self.fault.map(kept) }
    }

    /// As text, for those who cannot fold it away.
    fn told(&self) -> String {
        let did = if self.did.is_empty() { String::new() } else { format!("$ {}\n", self.did) };
        let fault = self.fault.as_ref().map(|fault| format!("\n! {fault}")).unwrap_or_default();
        format!("{did}{}{fault}", self.saw)
    }
}

impl CheckResult {
    /// The result of a check; [`CheckResult::on`] adds the firmware.
    pub fn of(check: &Check, outcome: Outcome, took: Duration, evidence: Vec<Evidence>) -> Self {
        Self {
            name: check.name.clone(),
            kind: check.kind,
            firmware: None,
            requirement: check.requirement.clone(),
            proves: check.proves.clone(),
            severity: check.severity,
            outcome,
            seconds: milliseconds(took),
            lists: check.lists.clone(),
            evidence: evidence.into_iter().map(Evidence::kept).collect(),
        }
    }

    /// The same for a machine.
    pub fn on(mut self, firmware: Option<Firmware>) -> Self {
        self.firmware = firmware;
        self
    }

    /// Why it did not pass, in one line.
    pub fn reason(&self) -> String {
        let last = self.evidence.last();
        let told = last.map(|seen| seen.fault.as_deref().unwrap_or(&seen.saw)).unwrap_or_default();
        told.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect::<Vec<_>>().join(" · ")
    }
}

impl Proof {
    /// Puts the results together and judges them.
    pub fn new(image: Subject, machines: Vec<MachineResult>, checks: Vec<CheckResult>) -> Self {
        let verdict = judge(&machines, &checks);
        let mut proof = Self { schema: SCHEMA, image, verdict, whole: false, machines, checks };
        proof.whole = proof.count(Outcome::Skipped) == 0 && proof.not_booted().is_empty();
        proof
    }

    /// The firmwares that it was not booted with.
    pub fn not_booted(&self) -> Vec<&'static str> {
        let booted = |firmware: &Firmware| self.machines.iter().any(|machine| machine.firmware == *firmware);
        Firmware::ALL.into_iter().filter(|firmware| !booted(firmware)).map(Firmware::name).collect()
    }

    /// How many checks came out so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.checks.iter().filter(|check| check.outcome == outcome).count()
    }

    /// `NAME.proof.json`.
    pub fn json(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self).doing("writing the proof")?;
        text.push('\n');
        Ok(text)
    }

    /// `NAME.junit.xml`: one suite a firmware, and one for the static checks.
    pub fn junit(&self) -> Result<String> {
        let mut report = Report::new(format!("goldcast {}", self.image.name));
        let mut boots = TestSuite::new("boot");
        for machine in &self.machines {
            let mut status = TestCaseStatus::success();
            if machine.outcome == MachineOutcome::Failed {
                status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(machine.reason.as_deref().unwrap_or("it did not come up"));
            }
            let mut case = TestCase::new(machine.firmware.name(), status);
            case.set_classname("boot");
            case.set_time(duration(machine.boot_seconds.unwrap_or_default()));
            boots.add_test_case(case);
        }
        report.add_test_suite(boots);
        let mut suites: Vec<(Option<Firmware>, TestSuite)> = Vec::new();
        for check in &self.checks {
            let name = check.firmware.map_or("static", Firmware::name);
            let at =
                suites.iter().position(|(firmware, _)| *firmware == check.firmware).unwrap_or_else(|| {
                    suites.push((check.firmware, TestSuite::new(name)));
                    suites.len() - 1
                });
            suites[at].1.add_test_case(case(check, name));
        }
        report.add_test_suites(suites.into_iter().map(|(_, suite)| suite));
        report.to_string().map_err(|error| Error::new("writing the JUnit report").because(error))
    }

    /// The verdict and what explains it, for a terminal.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for machine in &self.machines {
            let told = match (machine.outcome, machine.boot_seconds) {
                (MachineOutcome::Up, Some(seconds)) => {
                    format!("up in {seconds:.0} s ({})", machine.accelerator.map_or("?", Accelerator::name))
                }
                _ => format!("FAILED: {}", machine.reason.as_deref().unwrap_or("it did not come up")),
            };
            let of = |outcome| {
                let here = |check: &&CheckResult| {
                    check.firmware == Some(machine.firmware) && check.outcome == outcome
                };
                self.checks.iter().filter(here).count()
            };
            let passed = of(Outcome::Passed);
            text.push_str(&format!("  {:<12} {told}, {passed} checks passed\n", machine.firmware.name()));
        }
        for firmware in self.not_booted() {
            text.push_str(&format!("  {firmware:<12} not booted\n"));
        }
        let mut left_out: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for check in &self.checks {
            let place = check.firmware.map_or("static", Firmware::name);
            let word = match check.outcome {
                Outcome::Passed => continue,
                Outcome::Skipped => {
                    left_out.entry(check.reason()).or_default().push(&check.name);
                    continue;
                }
                Outcome::Failed if check.severity == Severity::Warning => "warning",
                outcome => outcome.name(),
            };
            text.push_str(&format!("  {word:<15} {} ({place}): {}\n", check.name, check.reason()));
        }
        for (why, names) in left_out {
            let told = match names.len() {
                0..=NAMED => names.join(", "),
                count => format!("{count} checks"),
            };
            text.push_str(&format!("  {:<15} {told}: {why}\n", Outcome::Skipped.name()));
        }
        let counts: Vec<String> = self
            .tally()
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        let scope = if self.verdict == Verdict::Proven && !self.whole { ", as far as was asked" } else { "" };
        let verdict = self.verdict.name().to_uppercase();
        text.push_str(&format!("  {verdict}{scope}: {}\n", counts.join(", ")));
        text
    }

    /// How many checks came out how, in words; what failed with severity warning is not among the failed.
    pub fn tally(&self) -> [(usize, &'static str); 5] {
        let warning =
            |check: &&CheckResult| check.outcome == Outcome::Failed && check.severity == Severity::Warning;
        let warnings = self.checks.iter().filter(warning).count();
        [
            (self.count(Outcome::Passed), "passed"),
            (self.count(Outcome::Failed) - warnings, "failed"),
            (warnings, if warnings == 1 { "warning" } else { "warnings" }),
            (self.count(Outcome::CouldNotCheck), Outcome::CouldNotCheck.name()),
            (self.count(Outcome::Skipped), Outcome::Skipped.name()),
        ]
    }

    /// Writes the three forms of the report, each complete or not at all, `NAME.proof.json` last.
    /// `page` is `NAME.proof.html`.
    pub fn write(&self, directory: &Path, page: &str) -> Result<()> {
        let name = &self.image.name;
        replace(&directory.join(format!("{name}.proof.html")), page)?;
        replace(&directory.join(format!("{name}.junit.xml")), self.junit()?)?;
        replace(&directory.join(format!("{name}.proof.json")), self.json()?)
    }
}

fn case(check: &CheckResult, class: &str) -> TestCase {
    let mut status = match check.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Skipped => TestCaseStatus::skipped(),
        // Neither changes the verdict.
        Outcome::Failed | Outcome::CouldNotCheck if check.severity == Severity::Warning => {
            TestCaseStatus::skipped()
        }
        Outcome::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::CouldNotCheck => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    if check.outcome != Outcome::Passed {
        status.set_message(check.reason());
    }
    let mut case = TestCase::new(check.name.clone(), status);
    case.set_classname(class);
    case.set_time(duration(check.seconds));
    let told: Vec<String> = check.evidence.iter().map(Evidence::told).collect();
    case.set_system_out(told.join("\n"));
    case
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn judge(machines: &[MachineResult], checks: &[CheckResult]) -> Verdict {
    let counts =
        |outcome| checks.iter().any(|check| check.severity == Severity::Error && check.outcome == outcome);
    if machines.iter().any(|machine| machine.outcome == MachineOutcome::Failed) || counts(Outcome::Failed) {
        Verdict::Failed
    } else if machines.is_empty() || !counts(Outcome::Passed) || counts(Outcome::CouldNotCheck) {
        Verdict::Incomplete
    } else {
        Verdict::Proven
    }
}

/// The JSON Schema of `proof.json`, as committed in docs/.
pub fn proof_schema() -> Result<String> {
    let schema = schemars::schema_for!(Proof);
    let mut text = serde_json::to_string_pretty(&schema).doing("writing the schema")?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(outcome: MachineOutcome) -> MachineResult {
        MachineResult {
            firmware: Firmware::Bios,
            accelerator: Some(Accelerator::Tcg),
            boot_seconds: Some(41.2),
            outcome,
            reason: (outcome == MachineOutcome::Failed).then(|| "no sign of life".to_owned()),
            prepared: Vec::new(),
            unasked: Vec::new(),
            serial_log: "sample.logs/bios.serial.log".into(),
            screenshot: None,
        }
    }

    fn check(name: &str, outcome: Outcome, severity: Severity) -> CheckResult {
        CheckResult {
            name: name.into(),
            kind: Kind::Inside,
            firmware: Some(Firmware::Bios),
            requirement: Some("S1".into()),
            proves: "something".into(),
            severity,
            outcome,
            seconds: 0.5,
            lists: None,
            evidence: vec![
                Evidence::new("systemctl", "a <b> & \u{1b}[0m c").wanted("exit status is 1, wanted 0"),
            ],
        }
    }

    fn verdict(outcome: MachineOutcome, checks: &[(Outcome, Severity)]) -> Verdict {
        let checks: Vec<CheckResult> =
            checks.iter().map(|(outcome, severity)| check("x", *outcome, *severity)).collect();
        judge(&[machine(outcome)], &checks)
    }

    #[test]
    fn the_verdict_is_proven_only_when_everything_was_seen_to_hold() {
        use {MachineOutcome::*, Outcome as O, Severity::*};
        assert_eq!(verdict(Up, &[(O::Passed, Error)]), Verdict::Proven);
        assert_eq!(verdict(Up, &[(O::Passed, Error), (O::Failed, Warning)]), Verdict::Proven);
        assert_eq!(verdict(Up, &[(O::Passed, Error), (O::Skipped, Error)]), Verdict::Proven);
        assert_eq!(verdict(Up, &[(O::Passed, Error), (O::CouldNotCheck, Error)]), Verdict::Incomplete);
        assert_eq!(verdict(Up, &[(O::CouldNotCheck, Error), (O::Failed, Error)]), Verdict::Failed);
        assert_eq!(verdict(MachineOutcome::Failed, &[(O::Passed, Error)]), Verdict::Failed);
        assert_eq!(verdict(Up, &[]), Verdict::Incomplete, "nothing checked is nothing proven");
        assert_eq!(verdict(Up, &[(O::Skipped, Error)]), Verdict::Incomplete);
        assert_eq!(judge(&[], &[check("x", O::Passed, Error)]), Verdict::Incomplete);
    }

    fn sample() -> Proof {
        let image = Subject { name: "sample".into(), sha256: "ab".repeat(32), size: 1 << 30 };
        let checks = vec![
            check("good", Outcome::Passed, Severity::Error),
            check("bad", Outcome::Failed, Severity::Error),
            check("odd", Outcome::Failed, Severity::Warning),
            check("blind", Outcome::CouldNotCheck, Severity::Error),
        ];
        Proof::new(image, vec![machine(MachineOutcome::Up)], checks)
    }

    #[test]
    fn json_has_the_documented_shape_and_reads_back() {
        let proof = sample();
        let json: serde_json::Value = serde_json::from_str(&proof.json().unwrap()).unwrap();
        assert_eq!(json["schema"], 1);
        assert_eq!(json["verdict"], "failed");
        assert_eq!(json["machines"][0]["boot_seconds"], 41.2);
        assert_eq!(json["checks"][3]["outcome"], "could-not-check");
        assert_eq!(serde_json::from_value::<Proof>(json).unwrap(), proof);
    }

    #[test]
    fn junit_counts_failures_and_errors_apart_and_is_well_formed() {
        let xml = sample().junit().unwrap();
        assert!(xml.contains(r#"tests="5" skipped="1" failures="1" errors="1""#), "{xml}");
        assert!(Report::deserialize_from_str(&xml).is_ok());
    }

    #[test]
    fn junit_has_all_that_is_wrong_and_nothing_that_the_verdict_does_not_mind() {
        let mut bad = check("bad", Outcome::Failed, Severity::Error);
        bad.evidence = vec![Evidence::new("ask", "saw").wanted("one\ntwo\nthree\nfour\nfive")];
        let blind = check("blind", Outcome::CouldNotCheck, Severity::Warning);
        let image = Subject { name: "sample".into(), sha256: "ab".repeat(32), size: 1 };
        let proof = Proof::new(image, vec![machine(MachineOutcome::Up)], vec![bad, blind]);
        let xml = proof.junit().unwrap();
        assert!(xml.contains(r#"skipped="1" failures="1" errors="0""#), "{xml}");
        // The message has but the first lines.
        assert!(xml.contains("! one") && xml.contains("five"), "{xml}");
    }

    #[test]
    fn what_a_guest_says_is_kept_without_what_a_terminal_or_a_document_obeys() {
        let said = format!("\u{1b}[2J\u{1b}]0;title\u{7}{}\u{0}\u{ffff}", "x".repeat(2 * KEPT));
        let seen = Evidence::new(said.clone(), said.clone()).wanted(said).kept();
        for text in [&seen.did, &seen.saw, &seen.fault.unwrap()] {
            assert!(text.starts_with('x') && text.ends_with('x') && text.contains("characters left out"));
        }
    }

    #[test]
    fn a_firmware_that_was_left_out_is_told() {
        let image = || Subject { name: "sample".into(), sha256: "ab".repeat(32), size: 1 };
        let passed = || vec![check("good", Outcome::Passed, Severity::Error)];
        let part = Proof::new(image(), vec![machine(MachineOutcome::Up)], passed());
        assert_eq!((part.verdict, part.not_booted()), (Verdict::Proven, vec!["uefi", "secure-boot"]));
        assert!(!part.whole);
        let table = part.table();
        assert!(table.contains("  secure-boot  not booted\n"), "{table}");
        assert!(table.ends_with("  PROVEN, as far as was asked: 1 passed\n"), "{table}");
        let machines =
            Firmware::ALL.map(|firmware| MachineResult { firmware, ..machine(MachineOutcome::Up) });
        let table = Proof::new(image(), machines.into(), passed()).table();
        assert!(table.ends_with("  PROVEN: 1 passed\n") && !table.contains("not booted"), "{table}");
    }

    #[test]
    fn the_table_says_what_did_not_pass_and_why() {
        let table = sample().table();
        assert!(table.contains("up in 41 s (tcg), 1 checks passed"), "{table}");
        assert!(table.contains("bad (bios): exit status is 1, wanted 0"), "{table}");
        assert!(table.contains("warning         odd"), "{table}");
        assert!(table.ends_with("FAILED: 1 passed, 1 failed, 1 warning, 1 could not check\n"), "{table}");
        assert!(!table.contains("good"));
    }

    #[test]
    fn its_files_appear_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        sample().write(directory.path(), "<p>page</p>").unwrap();
        let names: Vec<String> = fs_err::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names.len(), 3, "{names:?}");
    }

    /// `GOLDCAST_BLESS=1 cargo test` writes it anew.
    #[test]
    fn the_committed_schema_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/proof.schema.json");
        let now = proof_schema().unwrap();
        if std::env::var_os("GOLDCAST_BLESS").is_some() {
            fs_err::write(&path, &now).unwrap();
        }
        assert!(fs_err::read_to_string(path).unwrap() == now, "run GOLDCAST_BLESS=1 cargo test schema");
    }
}
