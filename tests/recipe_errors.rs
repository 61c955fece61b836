//! Mistakes in a recipe, as the person who made them sees them: exit status 2, the place, the nearest name, and
//! nothing written by any command.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Bench, HEAD, USER};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK1BM3wfc0I7G2E4IyDpc28oDDqwnVeiGcAB3MWz4NyI admin@example";

/// The recipe `r.toml` with this text is refused by every command that reads one, at this place and with these words.
#[track_caller]
fn refused(files: &[(&str, &str)], place: &str, wanted: &[&str]) {
    let mut bench = Bench::new();
    for (path, text) in files {
        bench.write(path, text);
    }
    for command in [&["check", "r.toml"][..], &["lock", "r.toml"], &["build", "r.toml"]] {
        let ran = bench.run(command).code(2).says(place);
        assert_eq!(ran.stdout, "");
        wanted.iter().fold(ran, |ran, wanted| ran.says(wanted)).never_says("panicked");
        bench.assert_nothing_written();
        assert!(!bench.cache().exists(), "{command:?} made a cache before it knew that the recipe is right");
    }
}

/// As [`refused`], for a recipe alone.
#[track_caller]
fn recipe(text: &str, place: &str, wanted: &[&str]) {
    refused(&[("r.toml", text)], place, wanted);
}

#[test]
fn a_recipe_that_is_right_is_accepted_and_check_writes_nothing() {
    let mut bench = Bench::new();
    bench.write("r.toml", format!("{HEAD}{USER}"));
    let ran = bench.run(["check", "r.toml"]).works();
    assert!(ran.stdout.starts_with("tiny: debian trixie amd64"), "{}", ran.stdout);
    let plan = bench.run(["check", "--plan", "r.toml"]).works();
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["name"], "tiny");
    bench.assert_nothing_written();
    assert!(!bench.cache().exists());
}

#[test]
fn a_reader_who_has_gone_is_no_failure() {
    for arguments in [&["schema", "recipe"][..], &["overlays"], &["overlays", "ssh"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("goldcast"));
        let ran = command.args(arguments).stdout(writer).output().unwrap();
        assert!(ran.status.success() && ran.stderr.is_empty(), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn unknown_keys() {
    recipe(
        &format!("{HEAD}{USER}[packages]\nintsall = [\"less\"]\n"),
        "r.toml:10:1",
        &["unknown key `intsall`", "did you mean `install`"],
    );
    recipe(&format!("{HEAD}{USER}[overlay.shh]\n"), "r.toml:9:10", &["unknown overlay `shh`", "`ssh`"]);
    recipe(&format!("{HEAD}{USER}[overlay.ssh]\nprot = 22\n"), "r.toml:10:1", &["`prot`", "`port`"]);
}

#[test]
fn wrong_types_and_values() {
    recipe(
        &format!("{HEAD}{USER}[packages]\nmax-count = \"260\"\n"),
        "r.toml:10:13",
        &["must be a whole number"],
    );
    recipe(&format!("{HEAD}{USER}[packages]\ninstall = \"less\"\n"), "r.toml:10:11", &["must be a list"]);
    recipe(&format!("{HEAD}{USER}[overlay.ssh]\nport = 70000\n"), "r.toml:10:8", &["65535"]);
    recipe(&HEAD.replace("\"tiny\"", "\"tiny"), "r.toml:2:", &["string"]);
}

#[test]
fn all_errors_at_once() {
    recipe(
        &format!("{HEAD}{USER}[packages]\nintsall = []\nmax-count = true\n"),
        "r.toml:10:1",
        &["unknown key `intsall`", "r.toml:11:13", "must be a whole number"],
    );
}

#[test]
fn missing_bases_and_circles() {
    refused(
        &[("r.toml", &format!("extends = [\"base/debain.toml\"]\n{HEAD}{USER}")), ("base/debian.toml", "")],
        "r.toml:1:12",
        &["base/debain.toml", "did you mean", "debian.toml"],
    );
    refused(
        &[
            ("r.toml", &format!("extends = [\"a.toml\"]\n{HEAD}{USER}")),
            ("a.toml", "extends = [\"b.toml\"]\n"),
            ("b.toml", "extends = [\"a.toml\"]\n"),
        ],
        "b.toml:1:12",
        &["a.toml → b.toml → a.toml"],
    );
    refused(&[("r.toml", &format!("extends = [\"r.toml\"]\n{HEAD}{USER}"))], "r.toml:1:12", &["→ r.toml"]);
}

#[test]
fn a_mistake_in_a_base_is_told_with_the_bases_place() {
    refused(
        &[("r.toml", &format!("extends = [\"a.toml\"]\n{HEAD}{USER}")), ("a.toml", "\n[imagee]\n")],
        "a.toml:2:2",
        &["unknown key `imagee`", "`image`"],
    );
}

#[test]
fn windows() {
    recipe(
        &format!("{}{USER}", HEAD.replace("debian", "windows")),
        "r.toml:4:8",
        &["Linux images; Windows is not one of them"],
    );
}

#[test]
fn nobody_could_log_in() {
    recipe(HEAD, "r.toml", &["nobody could log in", "add a [[user]]"]);
    // A key without an ssh server, and a server that lets other groups in.
    let keyed = format!("{HEAD}[[user]]\nname = \"a\"\nssh-keys = [\"{KEY}\"]\n");
    recipe(&keyed, "r.toml:", &["nobody could log in"]);
    recipe(&format!("{keyed}[overlay.ssh]\nallow-groups = [\"ops\"]\n"), "r.toml:", &["ops"]);
}

#[test]
fn installed_and_denied() {
    recipe(
        &format!("{HEAD}{USER}[packages]\ninstall = [\"less\", \"nis\"]\ndeny = [\"nis\"]\n"),
        "r.toml:10:",
        &["nis", "both installed"],
    );
    recipe(
        &format!("{HEAD}{USER}[overlay.accounts]\n[packages]\ndeny = [\"sudo\"]\n"),
        "r.toml:11:",
        &["installed (by overlay accounts) and denied (by recipe"],
    );
}

#[test]
fn checks_of_ones_own() {
    let recipe = ("r.toml", format!("{HEAD}{USER}"));
    let with = |text: &str, place: &str, wanted: &[&str]| {
        refused(&[(recipe.0, &recipe.1), ("qemu-tests/mine.toml", text)], place, wanted);
    };
    let head = "[[check]]\nname = \"mine\"\nproves = \"it runs\"\n";
    with(
        &format!("{head}knid = \"inside\"\n[[check.steps]]\nrun = \"true\"\n"),
        "qemu-tests/mine.toml:4:1",
        &["knid = \"inside\"", "did you mean `kind`?"],
    );
    with(
        &format!("{head}kind = \"inside\"\nsteps = []\n"),
        "check mine in",
        &["qemu-tests/mine.toml", "it has no steps, so it would always pass"],
    );
}

#[test]
fn partitions() {
    let partition =
        |mount: &str, size: &str| format!("[[partition]]\nmount = \"{mount}\"\nsize = \"{size}\"\n");
    let with = |text: &str| format!("{HEAD}{text}{USER}");
    recipe(&with(&partition("/usr/local", "1 GiB")), "r.toml:7:9", &["/usr is part of the root filesystem"]);
    recipe(&with(&partition("/var/log", "1 G")), "r.toml:8:8", &["did you mean `1 GiB`"]);
    recipe(&with(&partition("/var/log", "1 GiB").repeat(2)), "r.toml:10:9", &["the first is at r.toml:7:9"]);
    let noexec = format!("{}options = [\"noexec\"]\n", partition("/var", "1 GiB"));
    recipe(&with(&noexec), "r.toml:9:12", &["dpkg runs packages' scripts"]);
    let own = format!("extends = [\"base.toml\"]\n{}", with(&partition("/srv", "1 GiB")));
    let base = partition("/srv", "2 GiB");
    refused(&[("r.toml", &own), ("base.toml", &base)], "r.toml:8:9", &["the first is at base.toml:2:9"]);
}

#[test]
fn passwords() {
    let user = |line: &str| format!("{HEAD}[[user]]\nname = \"a\"\n{line}\n");
    recipe(&user("password = \"hunter2\""), "r.toml:8:1", &["never holds a clear password"]);
    recipe(&user("password-hash = \"hunter2\""), "r.toml:8:17", &["clear-text password"]);
    recipe(&user("password-hash = \"$1$abc$0123456789012345678901\""), "r.toml:8:17", &["MD5"]);
}

#[test]
fn ssh_keys() {
    let user = |key: &str| {
        format!("{HEAD}[[user]]\nname = \"a\"\nssh-keys = [\"{key}\"]\n[overlay.ssh]\n[overlay.accounts]\n")
    };
    recipe(&user("ssh-dss AAAAB3NzaC1kc3MAAACBAO old@example"), "r.toml:8:13", &["DSA"]);
    recipe(&user(&KEY.replace("AAAAC3Nz", "AAAAC3")), "r.toml:8:13", &["ssh"]);
    recipe(&user("-----BEGIN OPENSSH PRIVATE KEY-----"), "r.toml:8:13", &["private"]);
    let mut bench = Bench::new();
    bench.write("r.toml", user(KEY));
    bench.run(["check", "r.toml"]).works();
}

#[test]
fn a_recipe_that_is_not_there() {
    let mut bench = Bench::new();
    bench.write("web.toml", format!("{HEAD}{USER}"));
    for command in ["check", "lock", "build", "verify", "run"] {
        let ran = bench.run([command, "wbe.toml"]).code(2).says("cannot read recipe wbe.toml");
        ran.says("there is no such file").says("did you mean web.toml?");
        bench.run([command, "."]).code(2).says("it is a directory").says("name a recipe in it");
        bench.assert_nothing_written();
    }
}

#[test]
fn what_is_missing_later_is_told_by_every_command() {
    let mut bench = Bench::new();
    bench.write("r.toml", format!("{HEAD}{USER}"));
    for command in ["verify", "run"] {
        bench.run([command, "r.toml"]).code(2).says("there is no lock yet").says("goldcast lock r.toml");
    }
    for arguments in [["why", "less", "r.toml"], ["verify", "--list", "r.toml"]] {
        bench.run(arguments).code(2).says("there is no lock r.lock yet").says("goldcast lock r.toml");
    }
    bench.run(["why", "r.toml", "less"]).code(2).says("`goldcast why less r.toml`");
    bench.run(["tool", "r.toml", "--", "true"]).code(2).says("there is no lock yet");
    bench.write("my r.toml", format!("{HEAD}{USER}"));
    bench.run(["tool", "my r.toml", "--", "true"]).code(2).says("`goldcast lock 'my r.toml'`");
    bench.run(["shell", "tiny"]).code(2).says("--keep-failed");
    bench.assert_nothing_written();
}
