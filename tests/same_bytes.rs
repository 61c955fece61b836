//! The same lock gives the same bytes, whoever builds, where, when and how; and a difference does not go unseen.
#![allow(clippy::unwrap_used)]

mod support;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Golden, TOOLS, binary, cache, copy_tree, golden, said, sha256};
use tempfile::TempDir;

/// The ordinary user that root builds as.
fn user() -> String {
    std::env::var("GOLDCAST_TEST_USER").unwrap_or_else(|_| "goldcast-test".into())
}

/// What is in the cache when a build begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cached {
    /// Downloads and the tools tree.
    Downloads,
    /// These, and the layers that an earlier build left.
    Layers,
    /// All that an earlier build left.
    All,
}

/// Another place to build in, with a cache of its own.
struct Elsewhere {
    directory: TempDir,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

impl Elsewhere {
    /// A place whose name begins with `name`.
    fn new(golden: &Golden, name: &str, cached: Cached) -> Self {
        let directory = tempfile::Builder::new().prefix(name).tempdir_in(open_to_all()).unwrap();
        fs_err::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        fs_err::write(directory.path().join("golden.toml"), support::raw_only(golden)).unwrap();
        fs_err::copy(golden.recipe.with_extension("lock"), directory.path().join("golden.lock")).unwrap();
        fs_err::copy(binary(), directory.path().join("goldcast")).unwrap();
        let kinds: &[&str] = match cached {
            Cached::Downloads => &["cas", "trees"],
            Cached::Layers => &["cas", "trees", "layers"],
            Cached::All => &["cas", "trees", "ac", "expanded", "layers"],
        };
        for kind in kinds {
            copy_tree(&cache().join(kind), &directory.path().join("cache").join(kind));
        }
        let arguments = ["build", "golden.toml", "--locked", "--offline", "--no-verify", "--out", "out"];
        let environment = [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", directory.path().display().to_string()),
            ("GOLDCAST_CACHE", directory.path().join("cache").display().to_string()),
            ("GOLDCAST_TOOLS", TOOLS.to_owned()),
        ];
        Self {
            arguments: arguments.map(str::to_owned).to_vec(),
            environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
            directory,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Everything but the packages' own bytes goes to a user.
    fn give_to(&self, uid: u32, gid: u32) {
        fn give(path: &Path, uid: u32, gid: u32) {
            chown(path, Some(uid), Some(gid)).unwrap();
            for entry in fs_err::read_dir(path).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    give(&entry.path(), uid, gid);
                }
            }
        }
        give(self.directory.path(), uid, gid);
    }

    /// The build's command line, run by a shell after `before`.
    fn command(&self, before: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &format!("{before}exec ./goldcast \"$@\""), "sh"])
            .args(&self.arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .envs(&self.environment);
        command
    }

    /// Runs a build and returns the digest of each output.
    fn outputs(&self, mut command: Command) -> BTreeMap<String, String> {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let files = fs_err::read_dir(self.path("out")).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        files.filter(|path| path.is_file()).map(|path| (name(&path), sha256(&path))).collect()
    }

    fn build(&self) -> BTreeMap<String, String> {
        self.outputs(self.command(""))
    }
}

/// A directory that any user can enter: below target/ when its parents let others through.
fn open_to_all() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let open = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.mode() & 0o001 != 0);
    if here.ancestors().all(open) { here } else { PathBuf::from("/var/tmp") }
}

fn run(program: &str, arguments: &[&str]) -> std::process::Output {
    Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be run: {error}; this test as root needs it"))
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).any(|directory| directory.join(program).exists())
}

/// The ids of the ordinary user, who is made when missing; with subordinate ids.
fn ordinary_user() -> (u32, u32) {
    assert!(
        is_there("newuidmap") && is_there("newgidmap"),
        "a build as an ordinary user needs newuidmap and newgidmap: install the package uidmap (apt-get install uidmap)"
    );
    let name = user();
    if !run("id", &[&name]).status.success() {
        let made = run("useradd", &["--create-home", &name]);
        assert!(made.status.success(), "useradd {name}: {}", said(&made));
    }
    for (file, option) in [("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")] {
        let text = fs_err::read_to_string(file).unwrap_or_default();
        if !text.lines().any(|line| line.starts_with(&format!("{name}:"))) {
            let made = run("usermod", &[option, "300000-365535", &name]);
            assert!(made.status.success(), "usermod {option}: {}", said(&made));
        }
    }
    let number = |option: &str| -> u32 {
        String::from_utf8_lossy(&run("id", &[option, &name]).stdout).trim().parse().unwrap()
    };
    (number("-u"), number("-g"))
}

/// What is not as in the shared image, a line each; nothing when all that was made is the same.
fn differences(golden: &Golden, found: &BTreeMap<String, String>) -> Vec<String> {
    let expected: BTreeMap<&str, &str> = golden
        .manifest
        .artifacts
        .iter()
        .map(|artifact| (artifact.file.as_str(), artifact.sha256.as_str()))
        .collect();
    let made: Vec<(&String, &String)> =
        found.iter().filter(|(file, _)| !NOT_HANDED_OUT.iter().any(|end| file.ends_with(end))).collect();
    assert!(made.iter().any(|(file, _)| *file == "golden.raw"), "{found:?}");
    let differs = |(file, digest): &(&String, &String)| expected.get(file.as_str()) != Some(&digest.as_str());
    made.into_iter().filter(differs).map(|(file, _)| format!("{file} differs")).collect()
}

/// Outputs beside the artifacts.
const NOT_HANDED_OUT: [&str; 4] = [".manifest.json", ".plan.json", ".lock", "SHA256SUMS"];

#[track_caller]
fn same(golden: &Golden, what: &str, found: &BTreeMap<String, String>) {
    assert_eq!(differences(golden, found), Vec::<String>::new(), "{what}");
}

#[test]
fn as_an_ordinary_user_from_a_cold_cache_with_another_umask_zone_and_language() {
    let golden = golden();
    let mut elsewhere = Elsewhere::new(&golden, "else where", Cached::Downloads)
        .env("TZ", "Pacific/Auckland")
        .env("LANG", "de_DE.UTF-8")
        .env("LC_ALL", "de_DE.UTF-8");
    // Here every format is made, and the manifest is compared as well.
    fs_err::copy(&golden.recipe, elsewhere.path("golden.toml")).unwrap();
    let mut ids = None;
    if nix::unistd::geteuid().is_root() {
        let (uid, gid) = ordinary_user();
        elsewhere.give_to(uid, gid);
        ids = Some((uid, gid));
    }
    let build = |elsewhere: &Elsewhere| {
        let mut command = elsewhere.command("umask 077; ");
        if let Some((uid, gid)) = ids {
            command.uid(uid).gid(gid);
        }
        elsewhere.outputs(command)
    };
    let cold = build(&elsewhere);
    same(&golden, "an ordinary user, cold", &cold);
    assert_eq!(cold["golden.manifest.json"], sha256(&golden.file("manifest.json")));
    assert_eq!(cold.len(), golden.manifest.artifacts.len() + NOT_HANDED_OUT.len());
    if let Some((uid, _)) = ids {
        assert_eq!(fs_err::metadata(elsewhere.path("out/golden.raw")).unwrap().uid(), uid);
    }
    fs_err::remove_dir_all(elsewhere.path("out")).unwrap();
    same(&golden, "an ordinary user, warm", &build(&elsewhere));

    // What root's builds left in a cache serves an ordinary user too: owners are in it, not on it.
    elsewhere = Elsewhere::new(&golden, "handed on", Cached::Layers);
    if let Some((uid, gid)) = ids {
        elsewhere.give_to(uid, gid);
        same(&golden, "an ordinary user, from root's cache", &build(&elsewhere));
    }
}

#[test]
fn a_users_groups_open_files_to_goldcast_and_to_no_program_that_it_runs() {
    const GROUP: u32 = 54321;
    let golden = golden();
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("could not check: only root puts somebody into a group");
    }
    let (uid, gid) = ordinary_user();
    let elsewhere = Elsewhere::new(&golden, "groups", Cached::Downloads);
    elsewhere.give_to(uid, gid);
    let recipe = elsewhere.path("golden.toml");
    chown(&recipe, Some(0), Some(GROUP)).unwrap();
    fs_err::set_permissions(&recipe, std::fs::Permissions::from_mode(0o640)).unwrap();
    let run = |groups: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), groups, "./goldcast"]);
        command.args(["tool", "golden.toml", "--", "grep", "^Groups:", "/proc/self/status"]);
        command.current_dir(elsewhere.directory.path()).env_clear().envs(&elsewhere.environment);
        command.output().unwrap()
    };
    let member = run(&format!("--groups={GROUP}"));
    assert!(member.status.success(), "{}", said(&member));
    assert_eq!(String::from_utf8_lossy(&member.stdout).trim_end(), "Groups:");
    let other = run("--clear-groups");
    assert_eq!(other.status.code(), Some(2), "{}", said(&other));
    assert!(said(&other).contains("Permission denied"), "{}", said(&other));
}

#[test]
fn on_disk_where_no_overlay_can_be_mounted_in_another_temporary_directory() {
    let golden = golden();
    let elsewhere = Elsewhere::new(&golden, "disk", Cached::Downloads);
    // A colon in the path: overlay filesystems cannot be mounted there, and trees are copied.
    let temporary = elsewhere.path("tmp:dir");
    fs_err::create_dir(&temporary).unwrap();
    let elsewhere = elsewhere.env("TMPDIR", temporary.display().to_string()).with(&["--storage", "disk"]);
    same(&golden, "on disk, without overlays", &elsewhere.build());
    assert_eq!(fs_err::read_dir(temporary.join("goldcast")).unwrap().count(), 0);
}

#[test]
fn on_disk_from_a_cold_cache() {
    let golden = golden();
    let elsewhere = Elsewhere::new(&golden, "disk", Cached::Downloads).with(&["--storage", "disk"]);
    same(&golden, "on disk, cold", &elsewhere.build());
    fs_err::remove_dir_all(elsewhere.path("out")).unwrap();
    same(&golden, "on disk, warm", &elsewhere.build());
}

#[test]
fn on_one_processor() {
    let golden = golden();
    let elsewhere = Elsewhere::new(&golden, "one", Cached::Downloads).with(&["--jobs", "1"]);
    // Inherited by all that the build starts.
    let found = std::thread::spawn(move || {
        let mut one = CpuSet::new();
        let first = (0..CpuSet::count()).find(|&cpu| {
            let mut only = CpuSet::new();
            only.set(cpu).unwrap();
            sched_setaffinity(Pid::from_raw(0), &only).is_ok()
        });
        one.set(first.unwrap()).unwrap();
        sched_setaffinity(Pid::from_raw(0), &one).unwrap();
        elsewhere.build()
    });
    same(&golden, "on one processor", &found.join().unwrap());
}

/// What the bare host has beside what goldcast itself asks for.
const BARE: &str = "hostname libfaketime";

#[test]
fn on_a_host_of_another_name_with_hardly_any_program_and_two_years_later() {
    let golden = golden();
    let elsewhere = Elsewhere::new(&golden, "bare", Cached::Downloads);
    // The host is a tools tree in goldcast's own sandbox without most of its programs: coreutils and a shell, no dpkg,
    // perl or python. What goldcast itself sees of the clock is moved; the kernel's own cannot be moved for one process.
    fs_err::copy(&golden.recipe, elsewhere.path("bare.toml")).unwrap();
    let script = format!(
        "set -e\n\
         hostname another-host\n\
         for program in {}; do ! command -v $program || exit 9; done\n\
         export LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 FAKETIME=+2y FAKETIME_DONT_RESET=1 NO_FAKE_STAT=1\n\
         [ $(date +%Y) -ge $(($1 + 2)) ] || exit 8\n\
         shift\n\
         export GOLDCAST_CACHE=/here/cache GOLDCAST_TOOLS='{TOOLS}'\n\
         exec ./goldcast \"$@\"\n",
        MISSING.join(" ")
    );
    fs_err::write(elsewhere.path("script"), script).unwrap();
    let own = elsewhere.path("host");
    copy_tree(&cache().join("cas"), &own.join("cas"));
    let host = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(elsewhere.directory.path());
        command.env("GOLDCAST_CACHE", &own).env("GOLDCAST_TOOLS", BARE);
        command
    };
    let locked = host(&["lock", "bare.toml"]).output().unwrap();
    assert!(locked.status.success(), "{}", said(&locked));
    let made = host(&["tool", "bare.toml", "--", "true"]).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    for tree in fs_err::read_dir(own.join("trees")).unwrap().map(|entry| entry.unwrap().path()) {
        strip(&tree);
    }
    let year = String::from_utf8(run("date", &["+%Y"]).stdout).unwrap();
    let mut command = host(&["tool", "bare.toml", "--", "sh", "script", year.trim()]);
    command.args(&elsewhere.arguments);
    same(&golden, "on a bare host", &elsewhere.outputs(command));
}

/// What the bare host lacks, with everything whose name begins so: `python3.13`, `dpkg-deb`.
const MISSING: [&str; 7] = ["dpkg", "perl", "python3", "apt-get", "tar", "xz", "mount"];

/// Takes these programs out of a tools tree.
fn strip(tree: &Path) {
    for directory in ["usr/bin", "usr/sbin"] {
        for entry in fs_err::read_dir(tree.join(directory)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if MISSING.iter().any(|missing| name.starts_with(missing)) {
                fs_err::remove_file(entry.path()).unwrap();
            }
        }
    }
}

/// An overlay that writes something else into each image.
const PLANTED: &str = r#"
summary = "Writes a random number into the image"

[[command]]
argv = ["/bin/sh", "-c", "od -An -N8 -tx8 /dev/urandom >/etc/planted"]
"#;

#[test]
fn a_planted_difference_is_found_and_named() {
    let golden = golden();
    let build = |name: &str| {
        let elsewhere = Elsewhere::new(&golden, name, Cached::All);
        fs_err::create_dir_all(elsewhere.path("overlays/planted")).unwrap();
        fs_err::write(elsewhere.path("overlays/planted/overlay.toml"), PLANTED).unwrap();
        let recipe = elsewhere.path("golden.toml");
        let text = fs_err::read_to_string(&recipe).unwrap() + "\n[overlay.planted]\n";
        fs_err::write(recipe, text).unwrap();
        let outputs = elsewhere.build();
        (elsewhere, outputs)
    };
    let ((one, first), (other, second)) = (build("planted"), build("planted"));
    assert!(!differences(&golden, &first).is_empty());
    assert_ne!(first["golden.raw"], second["golden.raw"]);
    let mut diff = Command::new(binary());
    let diff =
        diff.arg("diff").arg(one.path("out/golden.raw")).arg(other.path("out/golden.raw")).output().unwrap();
    assert_eq!(diff.status.code(), Some(1), "{}", said(&diff));
    assert!(said(&diff).contains("/etc/planted"), "{}", said(&diff));
}
