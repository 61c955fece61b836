//! Runs that are cut short: by signals, by a full disk, by a machine that refuses namespaces. None leaves half an
//! output, a working file or a process, and the next build gives what an undisturbed one gives.
//!
//! The builds are real ones, from the real archive; what they download stays in `target/test-cache`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::archive::Archive;
use common::bad_server::{Habit, Server};
use common::{Bench, HEAD, Ran, USER, children, could_not_check};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sha2::{Digest, Sha256};
use signal_hook::consts::SIGINT;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A run in the background, told apart by what it says on standard error.
struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    told: String,
}

impl Running {
    /// Starts a command in a process group of its own, as a shell does.
    ///
    /// What goldcast is told to ignore it ignores, and a script gives that to all it starts with `&`, these tests too.
    /// With a handler here, one that does as if there were none, it starts with the default (execve(2), signal(7)).
    fn start(mut command: Command) -> Self {
        let always = Arc::new(AtomicBool::new(true));
        signal_hook::flag::register_conditional_default(SIGINT, always).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, told: String::new() }
    }

    /// Waits until the stage begins.
    #[track_caller]
    fn until(&mut self, stage: &str) {
        let wanted = format!("] {stage} …");
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "it ended before {stage}:\n{}", self.told);
            self.told.push_str(&line);
            if line.contains(&wanted) {
                return;
            }
        }
    }

    /// Sends what a terminal sends at Ctrl-C: the interrupt, to the whole process group. Other signals go to the
    /// process alone, as kill(1) sends them.
    fn signal(&self, signal: Signal) {
        let pid = self.child.id() as i32;
        kill(Pid::from_raw(if signal == Signal::SIGINT { -pid } else { pid }), signal).unwrap();
    }

    /// Waits for its end, and fails when that takes long.
    #[track_caller]
    fn end(mut self) -> Ran {
        let asked = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(asked.elapsed() < Duration::from_secs(10), "it does not stop:\n{}", self.told);
            std::thread::sleep(Duration::from_millis(10));
        }
        self.stderr.read_to_string(&mut self.told).unwrap();
        let mut ran = Ran::from_output("goldcast".into(), self.child.wait_with_output().unwrap());
        ran.stderr = self.told;
        ran
    }
}

/// Stops a run in a stage, some time after it began, and looks at what is left.
#[track_caller]
fn stop(bench: &Bench, arguments: &[&str], stage: &str, after: Duration, signal: Signal) {
    let what = format!("{signal} in {stage}");
    let before = bench.written();
    let mut running = Running::start(bench.command(arguments));
    running.until(stage);
    std::thread::sleep(after);
    running.signal(signal);
    let ran = running.end();
    assert_eq!(ran.code, 128 + signal as i32, "{what}:\n{}", ran.stderr);
    let processes = || bench.processes();
    for _ in 0..100 {
        if processes().is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(processes(), Vec::<String>::new(), "{what} left processes");
    if signal == Signal::SIGKILL {
        // Nobody could clean up: it is for the next run.
        let working = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(".goldcast-");
        let outputs = children(&bench.path("out/stopped"));
        assert!(outputs.iter().all(working), "{what} left half an output: {outputs:?}");
        return;
    }
    ran.says("stopped by a signal before it was done").never_says("panicked");
    assert_eq!(bench.leftovers(), Vec::<PathBuf>::new(), "{what} left working files");
    let after: Vec<_> = bench.written().difference(&before).cloned().collect();
    let harmless = |path: &&PathBuf| **path == Path::new("out") || **path == Path::new("stopped.lock");
    assert_eq!(after.iter().filter(|path| !harmless(path)).count(), 0, "{what} wrote {after:?}");
}

/// The cache of all tests that build real images; it outlives the test run.
fn shared_cache() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let cache = target.join("test-cache");
    fs_err::create_dir_all(&cache).unwrap();
    cache
}

/// A bench with the minimal recipe of the repository, in two formats, and the cache and the lock that tests share.
fn minimal() -> Bench {
    let mut bench = Bench::with_cache(shared_cache());
    furnish(&mut bench);
    static LOCK: OnceLock<String> = OnceLock::new();
    let lock = LOCK.get_or_init(|| {
        let kept = shared_cache().join("stopped.lock");
        if kept.exists() {
            fs_err::copy(&kept, bench.path("stopped.lock")).unwrap();
        }
        bench.run(["lock", "stopped.toml"]).works();
        fs_err::copy(bench.path("stopped.lock"), kept).unwrap();
        bench.read("stopped.lock")
    });
    bench.write("stopped.lock", lock);
    bench
}

/// Writes the recipe, and lets the program reach the real archive.
fn furnish(bench: &mut Bench) {
    bench.proxy("");
    if let Ok(mirror) = std::env::var("GOLDCAST_MIRROR") {
        bench.mirror(mirror);
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let recipe = fs_err::read_to_string(repository.join("recipes/minimal.toml")).unwrap();
    let named = "name = \"stopped\"\nformats = [\"raw\", \"qcow2\"]";
    let recipe = recipe.replace("name = \"minimal\"", named);
    assert!(recipe.contains(named), "recipes/minimal.toml is not what this test makes its recipe from");
    bench.write("stopped.toml", recipe);
    let base = fs_err::read(repository.join("recipes/base/debian-13.toml")).unwrap();
    bench.write("base/debian-13.toml", base);
}

const BUILD: [&str; 3] = ["build", "--no-verify", "stopped.toml"];

/// What an undisturbed build gives: the checksums of its artifacts and manifest.
fn reference() -> &'static str {
    static SUMS: OnceLock<String> = OnceLock::new();
    SUMS.get_or_init(|| {
        let bench = minimal();
        bench.run(BUILD).works();
        bench.assert_no_leftovers();
        assert_eq!(bench.processes(), Vec::<String>::new());
        bench.read("out/stopped/SHA256SUMS")
    })
}

/// The pause between the beginning of a stage and the signal: the stage should be in the midst of its work.
const MIDST: Duration = Duration::from_millis(250);

#[test]
fn a_build_that_is_stopped_in_any_stage() {
    use Signal::{SIGINT, SIGKILL, SIGTERM};
    let bench = unbuilt(&["cas", "trees"]);
    for (stage, signal) in [
        ("base", SIGINT),
        ("base", SIGKILL),
        ("overlay packages", SIGINT),
        ("overlay packages", SIGKILL),
        ("initramfs", SIGINT),
        ("overlays", SIGTERM),
        ("boot", SIGINT),
        ("disk", SIGTERM),
        ("disk", SIGKILL),
        ("formats", SIGINT),
    ] {
        // The overlays are applied in a blink.
        let after = if stage == "overlays" { Duration::ZERO } else { MIDST };
        stop(&bench, &BUILD, stage, after, signal);
    }
    let prove = ["build", "stopped.toml", "--quick", "--firmware", "bios"];
    stop(&bench, &prove, "boot bios", Duration::from_secs(2), SIGINT);
    stop(&bench, &prove, "boot bios", MIDST, SIGTERM);
    bench.run(BUILD).works();
    bench.assert_no_leftovers();
    assert_eq!(bench.read("out/stopped/SHA256SUMS"), reference());
}

/// As [`minimal`], with a cache of its own that has these kinds of the shared one and nothing else: no stage of a build
/// is in it.
fn unbuilt(kinds: &[&str]) -> Bench {
    let shared = minimal();
    shared.run(["tool", "stopped.toml", "--", "true"]).works();
    let mut bench = Bench::new();
    furnish(&mut bench);
    bench.write("stopped.lock", shared.read("stopped.lock"));
    fs_err::create_dir(bench.cache()).unwrap();
    for kind in kinds {
        let to = bench.cache().join(kind);
        fs_err::create_dir(&to).unwrap();
        // Not what another test's run has under way there: it would look like something this one left.
        let whole = |path: &PathBuf| !path.file_name().unwrap().to_string_lossy().starts_with("making-");
        let kept: Vec<PathBuf> = children(&shared_cache().join(kind)).into_iter().filter(whole).collect();
        let linked = Command::new("cp").arg("-al").args(kept).arg(to).status();
        assert!(linked.unwrap().success());
    }
    bench
}

#[test]
fn a_tools_tree_that_is_stopped() {
    // A cache that has the packages and not the tree.
    let bench = unbuilt(&["cas"]);
    let tool = ["tool", "stopped.toml", "--", "mke2fs", "-V"];
    for signal in [Signal::SIGINT, Signal::SIGKILL, Signal::SIGTERM] {
        stop(&bench, &tool, "tools", MIDST, signal);
        let trees = children(&bench.cache().join("trees"));
        assert!(trees.iter().all(|tree| tree.to_string_lossy().contains("making-")), "{trees:?}");
    }
    bench.run(tool).works().says("mke2fs");
    // What it ends with is what scripts go by.
    bench.run(["tool", "stopped.toml", "--", "sh", "-c", "exit 7"]).code(7);
    bench.assert_no_leftovers();
}

/// A bench whose mirror is a made-up archive.
struct MadeUp {
    bench: Bench,
    server: Server,
    _archive: tempfile::TempDir,
}

/// A bench with a made-up archive behind a server on loopback, and a recipe for it. The list of packages and one of
/// the packages take this many bytes.
fn made_up(pad: usize) -> MadeUp {
    let dir = tempfile::tempdir().unwrap();
    let mut archive = Archive::new(dir.path());
    let padding: String = (0..pad / 64).map(|n| hex::encode(Sha256::digest(n.to_le_bytes()))).collect();
    archive.package("telnet-ssl").fields = format!("Padding: {padding}\n");
    archive.package("dosfstools").files.push(("usr/share/padding".into(), padding.into_bytes()));
    archive.publish();
    let server = Server::start(archive.dir());
    let mut bench = Bench::new();
    bench.mirror(server.url("/debian")).proxy(server.url(""));
    bench.write("archive.asc", archive.signer.armoured());
    let recipe = format!("{HEAD}keyring = \"archive.asc\"\n[packages]\ninstall = [\"greeter\"]\n{USER}");
    bench.write("stopped.toml", recipe);
    MadeUp { bench, server, _archive: dir }
}

#[test]
fn a_lock_and_a_download_that_are_stopped() {
    let MadeUp { bench, server, _archive } = made_up(0);
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL];
    for (part, stage) in [("trixie/InRelease", "lock"), ("by-hash", "download")] {
        for signal in signals {
            server.spoil(part, Habit::Stuck);
            stop(&bench, &["lock", "stopped.toml"], stage, MIDST, signal);
            assert!(!bench.path("stopped.lock").exists());
            server.mend();
        }
    }
    bench.run(["lock", "stopped.toml"]).works();
    for signal in signals {
        server.spoil("dosfstools_1.0_amd64.deb", Habit::Stuck);
        stop(&bench, &["tool", "stopped.toml", "--", "true"], "download", MIDST, signal);
        server.mend();
    }
    bench.run(["tool", "stopped.toml", "--", "true"]).works();
    bench.assert_no_leftovers();
}

/// What a run did on a filesystem that was too small for it, what it left there, and what it did once there was room.
struct Small {
    first: Ran,
    left: String,
    second: Ran,
}

/// Runs the program twice with a small filesystem on `place`, which grows in between. Nothing when this machine
/// allows nobody to mount.
fn on_a_small_disk(bench: &Bench, place: &Path, sizes: [&str; 2], arguments: &[&str]) -> Option<Small> {
    let goldcast = assert_cmd::cargo::cargo_bin("goldcast");
    let command: Vec<&str> = [goldcast.to_str().unwrap()].iter().chain(arguments).copied().collect();
    on_a_small_disk_of(bench, place, sizes, &command)
}

/// As [`on_a_small_disk`], for any command.
fn on_a_small_disk_of(bench: &Bench, place: &Path, sizes: [&str; 2], argv: &[&str]) -> Option<Small> {
    const SCRIPT: &str = r#"
        place=$1 small=$2 large=$3 notes=$4; shift 4
        mount -t tmpfs -o "size=$small" small "$place" || exit 99
        "$@" >"$notes/1.out" 2>"$notes/1.err"; echo $? >"$notes/1.code"
        find "$place" -mindepth 1 >"$notes/left"
        mount -o "remount,size=$large" "$place" || exit 98
        "$@" >"$notes/2.out" 2>"$notes/2.err"; echo $? >"$notes/2.code"
        cp "$place"/*/SHA256SUMS "$notes" 2>/dev/null
        exit 0
    "#;
    fs_err::create_dir_all(place).unwrap();
    let notes = bench.root().join("notes");
    fs_err::create_dir_all(&notes).unwrap();
    // Root needs a mount namespace only; others get one inside a user namespace, with their subordinate ids so
    // that goldcast finds the ids of a Debian system there.
    let how: &[&str] = if nix::unistd::geteuid().is_root() { &["-m"] } else { &["-Urm", "--map-auto"] };
    let mut command = bench.dressed("unshare", how);
    command.args(["sh", "-c", SCRIPT, "small-disk"]).arg(place).args(sizes).arg(&notes);
    command.args(argv);
    let script = Ran::of(&mut command);
    if script.code == 99 || script.stderr.contains("unshare:") {
        could_not_check("a full disk", &script.stderr);
        return None;
    }
    assert_eq!(script.code, 0, "{}", script.stderr);
    let read = |name: &str| fs_err::read_to_string(notes.join(name)).unwrap();
    let ran = |number: u8| Ran {
        command: format!("{argv:?} on {}", sizes[usize::from(number) - 1]),
        code: read(&format!("{number}.code")).trim().parse().unwrap(),
        stdout: read(&format!("{number}.out")),
        stderr: read(&format!("{number}.err")),
    };
    Some(Small { first: ran(1), left: read("left"), second: ran(2) })
}

#[test]
fn a_cache_on_a_full_disk() {
    let MadeUp { bench, _archive, .. } = made_up(1 << 20);
    let Some(small) = on_a_small_disk(&bench, bench.cache(), ["300k", "8m"], &["lock", "stopped.toml"])
    else {
        return;
    };
    small.first.code(1).says("No space left on device").says("point --out, TMPDIR or GOLDCAST_CACHE");
    assert!(!small.left.contains("cache/tmp/"), "{}", small.left);
    small.second.works();
    bench.assert_no_leftovers();

    let MadeUp { bench, _archive, .. } = made_up(1 << 20);
    bench.run(["lock", "stopped.toml"]).works();
    let arguments = ["tool", "stopped.toml", "--", "true"];
    let small = on_a_small_disk(&bench, bench.cache(), ["300k", "8m"], &arguments).unwrap();
    let first = small.first.code(1).says("No space left on device");
    first.says("point --out, TMPDIR or GOLDCAST_CACHE");
    assert!(!small.left.contains("making-"), "{}", small.left);
    small.second.works();
}

#[test]
fn a_lock_on_a_full_disk() {
    let MadeUp { mut bench, _archive, .. } = made_up(0);
    for name in ["archive.asc", "stopped.toml"] {
        let text = bench.read(name);
        bench.write(&format!("to-be/{name}"), text);
    }
    // The recipe has to be on the small disk, because the lock is written beside it.
    let place = bench.path("small");
    let script = "cp to-be/* small/ && exec \"$0\" lock small/stopped.toml";
    let goldcast = assert_cmd::cargo::cargo_bin("goldcast");
    let Some(small) =
        on_a_small_disk_of(&bench, &place, ["8k", "1m"], &["sh", "-c", script, goldcast.to_str().unwrap()])
    else {
        return;
    };
    small.first.code(1).says("cannot write the lock").says("No space left on device");
    assert!(!small.left.contains("lock"), "{}", small.left);
    small.second.works();
}

#[test]
fn an_output_on_a_full_disk() {
    let bench = minimal();
    let Some(small) = on_a_small_disk(&bench, &bench.path("out"), ["100m", "4g"], &BUILD) else { return };
    small.first.code(1).says("No space left on device").says("point --out, TMPDIR or GOLDCAST_CACHE");
    assert_eq!(small.left, "", "half an output");
    small.second.works();
    let sums = fs_err::read_to_string(bench.root().join("notes/SHA256SUMS")).unwrap();
    assert_eq!(sums, reference());
    bench.assert_no_leftovers();
}

#[test]
fn a_machine_without_user_namespaces() {
    let MadeUp { bench, _archive, .. } = made_up(0);
    // A user namespace of its own, whose limit the person in it may lower.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces || exit 99; exec \"$0\" \"$@\"";
    let mut command = bench.dressed("unshare", ["-Ur", "sh", "-c", script]);
    command.arg(assert_cmd::cargo::cargo_bin("goldcast")).args(BUILD);
    let ran = Ran::of(&mut command);
    if ran.code == 99 || ran.stderr.contains("unshare:") {
        could_not_check("a machine without user namespaces", &ran.stderr);
        return;
    }
    let ran = ran.code(1).says("refuses to make a user namespace");
    let ran = ran.says("/proc/sys/user/max_user_namespaces is 0");
    ran.says("sysctl -w user.max_user_namespaces=").never_says("] unpack");
    bench.assert_nothing_written();
    // What needs no namespace works nevertheless.
    let mut command = bench.dressed("unshare", ["-Ur", "sh", "-c", script]);
    command.arg(assert_cmd::cargo::cargo_bin("goldcast")).args(["check", "stopped.toml"]);
    Ran::of(&mut command).works();
}
