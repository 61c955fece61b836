//! The recipe that goldcast ships, proved as `make image` proves it, on one firmware, and a sample of the sabotages that
//! `make mutants` does. Of the checks that work on a copy of the machine or on one of their own, which take most of the
//! time, each day of a week has its seventh; of the other recipes each day has one.
#![allow(clippy::unwrap_used)]

mod support;

use goldcast::verify::{Accelerator, Outcome, Proof, Verdict};
use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::Path;
use std::process::Output;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::SystemTime;
use support::{browser, goldcast, said, scratch};

/// Without this device there is no lab, and what needs it is no pass.
fn lab() -> bool {
    fs_err::OpenOptions::new().read(true).write(true).open("/dev/net/tun").is_ok()
}

/// What an image does in a given time is a part of its proof: the two of them share the processors, and where there is
/// but one the second waits.
static ALONE: Mutex<()> = Mutex::new(());

/// The number of processors that a proof may have, for as long as the other is kept.
fn share() -> (String, Option<MutexGuard<'static, ()>>) {
    let processors = available_parallelism().map_or(1, NonZero::get);
    let alone = (processors < 2).then(|| ALONE.lock().unwrap_or_else(PoisonError::into_inner));
    ((processors / 2).max(1).to_string(), alone)
}

/// In how many days each costly check has its turn.
const DAYS: usize = 7;

/// Days since 1970.
fn today() -> usize {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    (since.as_secs() / 86_400) as usize
}

/// Of the checks in this list those that change the machine, or want one of their own, and whose turn is another day.
fn not_today(list: &Output) -> Vec<String> {
    assert!(list.status.success(), "{}", said(list));
    let mut costly = BTreeSet::new();
    for entry in fs_err::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("qemu-tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let file: toml::Table = toml::from_str(&fs_err::read_to_string(path).unwrap()).unwrap();
            for check in file["check"].as_array().unwrap() {
                if check.get("destructive").is_some() || check.get("machine").is_some() {
                    costly.insert(check["name"].as_str().unwrap().to_owned());
                }
            }
        }
    }
    let listed = String::from_utf8(list.stdout.clone()).unwrap();
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    let applicable: Vec<&str> = names.filter(|name| costly.contains(*name)).collect();
    assert!(applicable.len() > 20, "{listed}");
    let others = applicable.iter().enumerate().filter(|(place, _)| place % DAYS != today() % DAYS);
    others.map(|(_, name)| (*name).to_owned()).collect()
}

#[test]
fn the_shipped_recipe_is_proven_and_sabotage_is_noticed() {
    let (jobs, _alone) = share();
    let scratch = scratch("proof");
    let here = scratch.path();
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    fs_err::copy(recipes.join("debian-13-server.toml"), here.join("debian-13-server.toml")).unwrap();
    let run = |arguments: &[&str]| goldcast().current_dir(here).args(arguments).output().unwrap();
    // Checks of one's own beside it, those that the README shows.
    let readme = include_str!("../README.md");
    let own = readme
        .split("```")
        .find_map(|block| block.strip_prefix("toml\n#:schema ../docs/checks.schema.json\n"));
    fs_err::create_dir(here.join("qemu-tests")).unwrap();
    fs_err::write(here.join("qemu-tests/mine.toml"), own.unwrap()).unwrap();

    let mut arguments = vec!["build", "debian-13-server.toml", "--firmware", "bios", "--jobs", &jobs];
    let locked = run(&["lock", "debian-13-server.toml"]);
    assert!(locked.status.success(), "{}", said(&locked));
    let skipped = not_today(&run(&["verify", "debian-13-server.toml", "--list"]));
    arguments.extend(skipped.iter().flat_map(|name| ["--skip", name.as_str()]));
    let built = run(&arguments);
    let report =
        fs_err::read(here.join("out/debian-13-server/debian-13-server.proof.json")).unwrap_or_default();
    let proof: Proof = serde_json::from_slice(&report).unwrap_or_else(|_| panic!("{}", said(&built)));
    assert_eq!(proof.count(Outcome::Failed), 0, "{}", said(&built));
    let page = fs_err::read_to_string(here.join("out/debian-13-server/debian-13-server.proof.html")).unwrap();
    browser::accepts(&page, here);
    if !lab() {
        assert_eq!(proof.verdict, Verdict::Incomplete, "without a lab it was not all checked");
        assert_eq!(built.status.code(), Some(3));
        eprintln!("could not check the rest: this machine has no /dev/net/tun");
        return;
    }
    assert_eq!(proof.verdict, Verdict::Proven, "{}", said(&built));
    assert_eq!(built.status.code(), Some(0), "{}", said(&built));
    for name in ["mine-utc", "mine-no-web"] {
        let made = proof.checks.iter().find(|check| check.name == name);
        assert_eq!(made.map(|check| check.outcome), Some(Outcome::Passed), "{name}: {}", said(&built));
    }

    // The last is done to the disk before its first boot, the others to copies of the booted machine.
    let sample = [
        "firewall-opens-a-port",
        "ssh-root-allowed",
        "fail2ban-wrong-port",
        "login-notice-twice",
        "base-baked-host-key",
    ];
    let mut arguments =
        vec!["verify", "debian-13-server.toml", "--mutants", "--firmware", "bios", "--jobs", &jobs];
    arguments.extend(sample.iter().flat_map(|name| ["--only", name]));
    let sabotaged = run(&arguments);
    assert!(sabotaged.status.success(), "{}", said(&sabotaged));
    assert!(said(&sabotaged).contains("5 of 5 caught"), "{}", said(&sabotaged));
}

/// A check whose machine is reset through its keyboard controller.
const RESET: &str = r#"
[[check]]
name = "mine-reset"
kind = "inside"
proves = "a reset past the kernel is noticed"
requirement = "G1"
destructive = true
[[check.steps]]
run = 'printf "\376" | dd of=/dev/port bs=1 seek=100 conv=notrunc; sleep 10'
"#;

#[test]
fn another_recipe_is_proven_as_far_as_one_boot_goes() {
    let (jobs, _alone) = share();
    let scratch = scratch("recipes");
    let here = scratch.path();
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    for entry in fs_err::read_dir(&recipes).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            fs_err::copy(&path, here.join(path.file_name().unwrap())).unwrap();
        }
    }
    let all = ["minimal", "debian-13-web", "debian-13-database", "debian-13-bastion"];
    let name = all[today() % all.len()];
    let recipe = format!("{name}.toml");
    let built =
        goldcast().current_dir(here).args(["build", &recipe, "--quick", "--jobs", &jobs]).output().unwrap();
    let report = fs_err::read(here.join(format!("out/{name}/{name}.proof.json"))).unwrap_or_default();
    let proof: Proof = serde_json::from_slice(&report).unwrap_or_else(|_| panic!("{}", said(&built)));
    assert_eq!(proof.count(Outcome::Failed), 0, "{}", said(&built));
    let (verdict, status) = if lab() { (Verdict::Proven, 0) } else { (Verdict::Incomplete, 3) };
    assert_eq!((proof.verdict, built.status.code()), (verdict, Some(status)), "{}", said(&built));

    // A question in between takes no report's place. One of its checks resets the machine in the middle of a command, past
    // the kernel: that tells nothing of the image when it is emulated, and is a finding when it comes again.
    fs_err::create_dir(here.join("qemu-tests")).unwrap();
    fs_err::write(here.join("qemu-tests/mine.toml"), RESET).unwrap();
    let only = ["--only", "system-running", "--only", "mine-reset"];
    let asked = [&["verify", &recipe, "--firmware", "bios", "--jobs", &jobs], &only[..]].concat();
    let asked = goldcast().current_dir(here).args(asked).output().unwrap();
    assert_eq!(asked.status.code(), Some(3), "{}", said(&asked));
    let whole = fs_err::read(here.join(format!("out/{name}/{name}.proof.json"))).unwrap();
    assert!(whole == report, "the report of the whole proof was written over");
    let part = fs_err::read(here.join(format!("out/{name}/partial/{name}.proof.json"))).unwrap();
    let part: Proof = serde_json::from_slice(&part).unwrap();
    assert_eq!((part.count(Outcome::Passed), part.count(Outcome::Failed)), (1, 1), "{}", said(&asked));
    let emulated = part.machines.iter().any(|machine| machine.accelerator == Some(Accelerator::Tcg));
    let again = said(&asked).contains("mine-reset is done once more: the emulated machine started anew");
    assert_eq!(again, emulated, "{}", said(&asked));
}
