//! The recipe that goldcast ships, proved as `make image` proves it, on one firmware, and a sample of the sabotages that
//! `make mutants` does. Mail, which asks for a relay, is in a recipe that extends it.
#![allow(clippy::unwrap_used)]

mod support;

use goldcast::verify::{Outcome, Proof, Verdict};
use std::path::Path;
use support::{goldcast, said, scratch};

const WITH_MAIL: &str = r#"
extends = ["debian-13-server.toml"]

[image]
name = "mailing"
formats = ["raw"]

[overlay.mail]
relay = "smtp.example.org"
admin = "ops@example.org"

[overlay.login-notice]
"#;

/// Without this device there is no lab, and what needs it is no pass.
fn lab() -> bool {
    fs_err::OpenOptions::new().read(true).write(true).open("/dev/net/tun").is_ok()
}

#[test]
fn the_shipped_recipe_is_proven_and_sabotage_is_noticed() {
    let scratch = scratch("proof");
    let here = scratch.path();
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    fs_err::copy(recipes.join("debian-13-server.toml"), here.join("debian-13-server.toml")).unwrap();
    fs_err::write(here.join("mailing.toml"), WITH_MAIL).unwrap();
    let run = |arguments: &[&str]| goldcast().current_dir(here).args(arguments).output().unwrap();

    // What restarts the machine again and again takes minutes; recovery-rescue stands for the others.
    let skipped = ["plain-boot", "edit", "emergency", "failed-boot", "failed-root"]
        .map(|name| format!("recovery-{name}"));
    let mut arguments = vec!["build", "mailing.toml", "--firmware", "bios"];
    arguments.extend(skipped.iter().flat_map(|name| ["--skip", name.as_str()]));
    let built = run(&arguments);
    let report = fs_err::read(here.join("out/mailing/mailing.proof.json")).unwrap_or_default();
    let proof: Proof = serde_json::from_slice(&report).unwrap_or_else(|_| panic!("{}", said(&built)));
    assert_eq!(proof.count(Outcome::Failed), 0, "{}", said(&built));
    assert!(here.join("out/mailing/mailing.proof.html").exists());
    if !lab() {
        assert_eq!(proof.verdict, Verdict::Incomplete, "without a lab it was not all checked");
        assert_eq!(built.status.code(), Some(3));
        eprintln!("could not check the rest: this machine has no /dev/net/tun");
        return;
    }
    assert_eq!(proof.verdict, Verdict::Proven, "{}", said(&built));
    assert_eq!(built.status.code(), Some(0), "{}", said(&built));

    let sample = ["firewall-opens-a-port", "ssh-root-allowed", "fail2ban-wrong-port", "login-notice-twice"];
    let mut arguments = vec!["verify", "mailing.toml", "--mutants", "--firmware", "bios"];
    arguments.extend(sample.iter().flat_map(|name| ["--only", name]));
    let sabotaged = run(&arguments);
    assert!(sabotaged.status.success(), "{}", said(&sabotaged));
    assert!(said(&sabotaged).contains("4 of 4 caught"), "{}", said(&sabotaged));
}
