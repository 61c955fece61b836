//! The proof as one page to hand to somebody: `NAME.proof.html`. It holds everything it shows, pictures too, and needs
//! neither a network nor JavaScript.

use super::accelerator::Accelerator;
use super::check::Severity;
use super::firmware::Firmware;
use super::report::{CheckResult, MachineOutcome, MachineResult, Outcome, Proof, Verdict};
use super::text::{excerpt, plain};
use crate::archive::lock::Lock;
use crate::error::{Error, Result};
use crate::recipe::plan::Plan;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use handlebars::Handlebars;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const TEMPLATE: &str = include_str!("page.hbs");
/// How much of a serial log is on the page; the whole is beside it.
const LOG_SHOWN: usize = 40_000;

/// The rows of the requirements, in the order of the page.
const ROWS: [(&str, &str); 24] = [
    ("S1", "Minimal installation: only what the server needs"),
    ("S2", "Passwords: none for root, strong ones for people"),
    ("S3", "Recovery works, and is guarded"),
    ("S4", "SSH on the port of the recipe"),
    ("S5", "No root over SSH; people get in"),
    ("S6", "Only listed groups may log in"),
    ("S7", "Keys instead of passwords, modern algorithms only"),
    ("S8", "Mail at every login"),
    ("S9", "Unused ports are shut"),
    ("S10", "Updates install themselves"),
    ("S11", "Brute force is stopped"),
    ("S12", "Second factor"),
    ("S13", "Processes and resources are watched"),
    ("S14", "Full monitoring"),
    ("S15", "Backups elsewhere, and they restore"),
    ("S16", "Verified software only"),
    ("G1", "Kernel and process hardening"),
    ("G2", "Mounts"),
    ("G3", "Audit trail"),
    ("G4", "Mandatory access control"),
    ("G5", "Time"),
    ("G6", "sudo, umask, banners"),
    ("G7", "Identity comes at first boot, never before"),
    ("G8", "File integrity"),
];

/// What a row of the requirements asks for, in words.
pub fn requirement(row: &str) -> Option<&'static str> {
    ROWS.iter().find(|(name, _)| *name == row).map(|(_, title)| *title)
}

/// The page's text. Logs and pictures are read from `directory`, where the report goes.
pub fn render(proof: &Proof, plan: &Plan, lock: &Lock, directory: &Path) -> Result<String> {
    let mut engine = Handlebars::new();
    engine.set_strict_mode(true);
    let text = engine.render_template(TEMPLATE, &values(proof, plan, lock, directory));
    text.map_err(|error| Error::new("writing the page of the proof").because(error))
}

fn values(proof: &Proof, plan: &Plan, lock: &Lock, directory: &Path) -> Value {
    let known = |row: &str| requirement(row).is_some();
    let mut groups: Vec<Value> = ROWS
        .iter()
        .map(|(row, title)| group(row, title, proof, &|check| check.requirement.as_deref() == Some(row)))
        .collect();
    groups
        .push(group("", "Further checks", proof, &|check| !check.requirement.as_deref().is_some_and(known)));
    groups.retain(|group| group["checks"].as_array().is_some_and(|checks| !checks.is_empty()));
    let packages: Vec<Value> = lock
        .packages
        .iter()
        .map(|package| {
            json!({ "name": package.name, "version": package.version, "because": package.because.join(", ") })
        })
        .collect();
    let opens: Vec<Value> = plan
        .opens
        .iter()
        .map(|port| {
            let socket = format!("{}/{}", port.protocol, port.number);
            json!({ "socket": socket, "listens": port.listens, "origin": port.origin.to_string() })
        })
        .collect();
    let users: Vec<Value> = plan
        .users
        .iter()
        .map(|user| {
            let groups: Vec<&str> = user.groups.iter().map(String::as_str).collect();
            json!({
                "name": user.name,
                "groups": groups.join(", "),
                "keys": user.ssh_keys.len(),
                "password": user.password_hash.is_some(),
            })
        })
        .collect();
    let installed: u64 = lock.packages.iter().map(|package| package.installed_size).sum();
    json!({
        "name": proof.image.name,
        "sha256": proof.image.sha256,
        "verdict": proof.verdict.name(),
        "sentence": sentence(proof),
        "goldcast": env!("CARGO_PKG_VERSION"),
        "distribution": format!("{} {} {}", plan.distribution.name, plan.distribution.release, plan.distribution.architecture),
        "counts": proof
            .tally()
            .iter()
            .zip(["passed", "failed", "open", "open", "skipped"])
            .map(|((number, word), class)| json!({ "word": word, "class": class, "number": number }))
            .collect::<Vec<_>>(),
        "machines": proof.machines.iter().map(|machine| of_machine(machine, directory)).collect::<Vec<_>>(),
        "groups": groups,
        "opens": opens,
        "users": users,
        "enabled": plan.services.enable.keys().collect::<Vec<_>>(),
        "off": plan.services.disable.keys().chain(plan.services.mask.keys()).collect::<Vec<_>>(),
        "overlays": plan.overlays.keys().collect::<Vec<_>>(),
        "packages": packages,
        "lists": lists(proof),
        "package-count": lock.packages.len(),
        "disk": crate::output::table::human(proof.image.size),
        "installed": crate::output::table::human(installed * 1024),
    })
}

/// What checks found in the image that is worth a list of its own; a check that ran on several firmwares once.
fn lists(proof: &Proof) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    // Of one that was not made there is but the reason.
    let made = |check: &&CheckResult| matches!(check.outcome, Outcome::Passed | Outcome::Failed);
    let found = proof.checks.iter().filter(made).filter_map(|check| {
        let (title, first) = (check.lists.as_ref()?, check.evidence.first()?);
        seen.insert(title).then(|| json!({ "title": title, "lines": first.saw.trim_end() }))
    });
    found.collect()
}

fn sentence(proof: &Proof) -> String {
    let told = match proof.verdict {
        Verdict::Proven => "Every machine came up, and every check that an image must pass holds.",
        Verdict::Failed => "A machine did not come up, or a check does not hold. Do not ship this image.",
        Verdict::Incomplete => "Nothing failed, but something could not be checked: see below what and why.",
    };
    let mut told = match proof.count(Outcome::Skipped) {
        0 => told.to_owned(),
        left => format!("{told} Left out: {left}; this is a part of the proof."),
    };
    let not_booted = proof.not_booted();
    if !not_booted.is_empty() {
        told.push_str(&format!(" It was not booted with {}.", not_booted.join(" and ")));
    }
    told
}

fn group(row: &str, title: &str, proof: &Proof, belongs: &dyn Fn(&CheckResult) -> bool) -> Value {
    let checks: Vec<Value> = proof.checks.iter().filter(|check| belongs(check)).map(of_check).collect();
    json!({ "row": row, "title": title, "checks": checks })
}

fn of_check(check: &CheckResult) -> Value {
    let (word, class) = match (check.outcome, check.severity) {
        (Outcome::Passed, _) => ("passed", "passed"),
        (Outcome::Failed, Severity::Warning) => ("warning", "open"),
        (Outcome::Failed, Severity::Error) => ("failed", "failed"),
        (Outcome::CouldNotCheck, _) => ("could not check", "open"),
        (Outcome::Skipped, _) => ("skipped", "skipped"),
    };
    let evidence: Vec<Value> = check
        .evidence
        .iter()
        .map(|seen| {
            json!({
                "did": seen.did,
                "saw": seen.saw,
                "fault": seen.fault.clone().unwrap_or_default(),
                "exit": seen.exit.map(|exit| exit.to_string()).unwrap_or_default(),
            })
        })
        .collect();
    json!({
        "name": check.name,
        "proves": check.proves,
        "kind": check.kind.name(),
        "firmware": check.firmware.map_or("the disk", Firmware::name),
        "seconds": format!("{:.1}", check.seconds),
        "word": word,
        "class": class,
        // What did not hold is not to be searched for.
        "open": class == "failed" || class == "open",
        "evidence": evidence,
    })
}

fn of_machine(machine: &MachineResult, directory: &Path) -> Value {
    let up = machine.outcome == MachineOutcome::Up;
    let picture = machine.screenshot.as_ref().and_then(|file| fs_err::read(directory.join(file)).ok());
    let picture = picture.map(|bytes| format!("data:image/png;base64,{}", BASE64.encode(bytes)));
    let log = fs_err::read(directory.join(&machine.serial_log)).unwrap_or_default();
    let seconds = machine.boot_seconds.map_or_else(String::new, |seconds| format!("{seconds:.0} s"));
    json!({
        "firmware": machine.firmware.name(),
        "word": if up { "up" } else { "failed" },
        "class": if up { "passed" } else { "failed" },
        "seconds": seconds,
        "accelerator": machine.accelerator.map_or("", Accelerator::name),
        "reason": machine.reason.clone().unwrap_or_default(),
        "prepared": machine.prepared,
        "unasked": machine.unasked,
        "picture": picture.unwrap_or_default(),
        "log": excerpt(&plain(&String::from_utf8_lossy(&log)), LOG_SHOWN),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::check::Kind;
    use crate::verify::report::{Evidence, Subject};
    use crate::verify::testing::{lock, plan};

    fn page(outcome: Outcome, saw: &str) -> String {
        let check = CheckResult {
            name: "ssh-answers".into(),
            kind: Kind::Outside,
            firmware: Some(Firmware::Bios),
            requirement: Some("S4".into()),
            proves: "it answers".into(),
            severity: Severity::Error,
            outcome,
            seconds: 1.25,
            lists: Some("Said by it".into()),
            evidence: vec![Evidence::new("ask", saw)],
        };
        let subject = Subject { name: "x".into(), sha256: "ab".repeat(32), size: 3 << 30 };
        let machine = MachineResult {
            firmware: Firmware::Bios,
            accelerator: None,
            boot_seconds: None,
            outcome: MachineOutcome::Up,
            reason: None,
            prepared: vec!["a door was opened".into()],
            unasked: vec!["nothing was asked there".into()],
            serial_log: "none".into(),
            screenshot: None,
        };
        let proof = Proof::new(subject, vec![machine], vec![check]);
        render(&proof, &plan(), &lock(), Path::new("/nowhere")).unwrap()
    }

    #[test]
    fn it_says_verdict_digest_and_evidence_and_loads_nothing() {
        let page = page(Outcome::Passed, "SSH-2.0");
        for wanted in ["proven", &"ab".repeat(32), "SSH on the port of the recipe", "SSH-2.0", "tcp/2222"] {
            assert!(page.contains(wanted), "{wanted}");
        }
        assert!(page.contains("a door was opened") && page.contains("nothing was asked there"), "{page}");
        assert!(page.contains("disk of 3.0 GiB"), "{page}");
        // Once as evidence, once among what is in the image.
        assert!(page.contains("<h3>Said by it</h3>") && page.matches("SSH-2.0").count() == 2, "{page}");
        for outside in ["http:", "https:", "<script", "<link", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn a_proof_with_gaps_says_so() {
        let skipped = page(Outcome::Skipped, "not among --only");
        assert!(skipped.contains("Left out: 1;") && !skipped.contains("<h3>Said by it</h3>"), "{skipped}");
        let passed = page(Outcome::Passed, "");
        assert!(!passed.contains("Left out") && passed.contains("not booted with uefi and secure-boot."));
    }

    #[test]
    fn what_a_guest_says_is_text_and_what_failed_is_open() {
        let page = page(Outcome::Failed, "<script>alert(1)</script>");
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        assert!(page.contains("<details open"));
    }
}
