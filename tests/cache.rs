//! The cache under load: several builds at once with a collection between them, and builds killed at any moment. None
//! of it may change a byte.
//!
//! `GOLDCAST_ROUNDS` and `GOLDCAST_KILLS` say how often; `make stress` asks for many.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Golden, TOOLS, binary, cache, copy_tree, golden, scratch, sha256};
use tempfile::TempDir;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().unwrap())
}

/// A cache that has the downloads of the golden image and nothing made of them, and two recipes.
fn bench(golden: &Golden) -> TempDir {
    let bench = scratch("cache");
    for kind in ["cas", "trees"] {
        copy_tree(&cache().join(kind), &bench.path().join("cache").join(kind));
    }
    for name in ["one", "two"] {
        fs_err::write(bench.path().join(format!("{name}.toml")), support::raw_only(golden)).unwrap();
        fs_err::copy(golden.recipe.with_extension("lock"), bench.path().join(format!("{name}.lock")))
            .unwrap();
    }
    bench
}

fn goldcast(bench: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .current_dir(bench)
        .env("GOLDCAST_CACHE", bench.join("cache"))
        .env("GOLDCAST_TOOLS", TOOLS)
        .stdin(Stdio::null());
    command
}

fn build(bench: &Path, name: &str) -> Command {
    let recipe = format!("{name}.toml");
    goldcast(bench, &["build", &recipe, "--locked", "--offline", "--no-verify", "--out", name])
}

#[test]
fn two_builds_at_once_and_a_third_process_that_collects() {
    let golden = golden();
    let bench = bench(&golden);
    let bench = bench.path();
    for round in 0..number("GOLDCAST_ROUNDS", 1) {
        // Collecting begins when both hold what they use: before that, without a network, nothing could replace it.
        let start = |name| {
            let mut child = build(bench, name).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let mut told = BufReader::new(child.stderr.take().unwrap());
            let mut line = String::new();
            told.read_line(&mut line).unwrap();
            assert!(line.contains("base …") || line.contains("restore …"), "{line}");
            (child, told)
        };
        let (one, two) = (start("one"), start("two"));
        // Collects all that nobody uses, again and again, as long as they run.
        let mut builds = [Some(("one", one)), Some(("two", two))];
        while builds.iter().any(Option::is_some) {
            let gc = goldcast(bench, &["cache", "gc", "--cache-size", "1 MiB"]).output().unwrap();
            assert!(gc.status.success(), "{}", String::from_utf8_lossy(&gc.stderr));
            for build in &mut builds {
                if let Some((name, (child, told))) = build
                    && let Some(status) = child.try_wait().unwrap()
                {
                    let mut text = String::new();
                    told.read_to_string(&mut text).unwrap();
                    assert!(status.success(), "build {name} of round {round}: {text}");
                    *build = None;
                }
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        for name in ["one", "two"] {
            let raw = bench.join(name).join("golden.raw");
            assert_eq!(sha256(&raw), golden.digest("raw"), "build {name} of round {round}");
            fs_err::remove_dir_all(bench.join(name)).unwrap();
        }
        // The next round begins with downloads again: what the builds did not hold any more is gone.
        for kind in ["cas", "trees"] {
            copy_tree(&cache().join(kind), &bench.join("cache").join(kind));
        }
    }
}

#[test]
fn builds_killed_at_any_moment_leave_nothing_that_is_trusted() {
    let golden = golden();
    let bench = bench(&golden);
    let bench = bench.path();
    let empty = |kind: &str| {
        let directory = bench.join("cache").join(kind);
        fs_err::remove_dir_all(&directory).ok();
        fs_err::create_dir_all(&directory).unwrap();
    };
    let cold = || ["expanded", "layers", "ac", "work"].iter().for_each(|kind| empty(kind));
    let begun = Instant::now();
    assert!(build(bench, "one").output().unwrap().status.success());
    let whole = begun.elapsed();
    // The same moments each time the test runs, spread over the whole build.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for kill in 0..number("GOLDCAST_KILLS", 3) {
        fs_err::remove_dir_all(bench.join("one")).ok();
        // Half of them from nothing, half on what the killed builds before left.
        if kill % 2 == 0 {
            cold();
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = whole.mul_f64((seed >> 11) as f64 / (1_u64 << 53) as f64);
        let mut child = build(bench, "one").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        let next = build(bench, "one").output().unwrap();
        let said = String::from_utf8_lossy(&next.stderr);
        assert!(next.status.success(), "kill {kill}, after {moment:?} of {whole:?}: {said}");
        let raw = bench.join("one/golden.raw");
        assert_eq!(sha256(&raw), golden.digest("raw"), "killed after {moment:?}");
    }
}

#[test]
fn a_damaged_layer_is_named_and_made_anew() {
    let golden = golden();
    let bench = bench(&golden);
    let bench = bench.path();
    assert!(build(bench, "one").output().unwrap().status.success());
    fs_err::remove_dir_all(bench.join("one")).unwrap();
    for layer in fs_err::read_dir(bench.join("cache/layers")).unwrap().map(|entry| entry.unwrap().path()) {
        let part = layer.join("0.tar.zst");
        let middle = part.metadata().unwrap().len() / 2;
        support::flip(&part, middle);
    }
    let output = build(bench, "one").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("it was damaged and is made anew"), "{told}");
    assert_eq!(sha256(&bench.join("one/golden.raw")), golden.digest("raw"));
}

#[test]
fn outputs_that_were_touched_are_written_again_and_others_are_not() {
    let golden = golden();
    let bench = bench(&golden);
    let bench = bench.path();
    let run = |arguments: &[&str]| {
        let output = build(bench, "one").args(arguments).output().unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{text}");
        text
    };
    run(&[]);
    let raw = bench.join("one/golden.raw");
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
    let before = inode(&raw);
    assert!(run(&["--explain"]).contains("outputs           reused"));
    assert_eq!(inode(&raw), before);
    // Sums that are lost are written anew, from what is known of the files; lines of somebody's own stay in them.
    let sums = bench.join("one/SHA256SUMS");
    let listed = fs_err::read_to_string(&sums).unwrap();
    fs_err::remove_file(&sums).unwrap();
    run(&[]);
    assert_eq!(fs_err::read_to_string(&sums).unwrap(), listed);
    let notes = format!("{}  a-note.txt\n", "0".repeat(64));
    fs_err::write(bench.join("one/a-note.txt"), "").unwrap();
    fs_err::write(&sums, &notes).unwrap();
    run(&[]);
    assert_eq!(fs_err::read_to_string(&sums).unwrap(), format!("{notes}{listed}"));
    assert_eq!(inode(&raw), before);
    // One bit, and the time as it was: what counts are the bytes.
    let time = raw.metadata().unwrap().modified().unwrap();
    support::flip(&raw, 5 << 20);
    fs_err::File::options().write(true).open(&raw).unwrap().file().set_modified(time).unwrap();
    assert!(run(&[]).contains("golden.raw is not as it was written"));
    assert_eq!(sha256(&raw), golden.digest("raw"));
    assert_eq!(fs_err::read_to_string(&sums).unwrap(), format!("{notes}{listed}"));
    assert!(bench.join("one/a-note.txt").exists());
    // One option: everything below it is reused, and the reason is told.
    let recipe = bench.join("one.toml");
    let text =
        fs_err::read_to_string(&recipe).unwrap().replace("[overlay.ssh]", "[overlay.ssh]\nport = 2022");
    fs_err::write(&recipe, text).unwrap();
    let told = run(&["--explain"]);
    for line in [
        "base              reused",
        "packages          reused",
        "initramfs         reused",
        "file /etc/ssh/sshd_config: ",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_ne!(sha256(&raw), golden.digest("raw"));
}
