//! A bench for tests that drive the program as a user does: a home, a cache and a working directory of its own.

// Every test file compiles this one for itself and uses a part of it.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod archive;
pub mod bad_server;
pub mod world;

use assert_cmd::cargo::cargo_bin;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Somebody who can log in, on the console, without any overlay.
pub const USER: &str = "\
[[user]]
name = \"admin\"
password-hash = \"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7\"
";

/// The head of a recipe that is right.
pub const HEAD: &str = "\
[image]
name = \"tiny\"
[distribution]
name = \"debian\"
release = \"trixie\"
";

/// Where things are.
pub struct Bench {
    dir: TempDir,
    cache: PathBuf,
    inputs: BTreeSet<PathBuf>,
    mirror: Option<String>,
    proxy: String,
}

impl Bench {
    /// Everything new and empty.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("goldcast-test-").tempdir().unwrap();
        for name in ["home", "tmp", "work"] {
            fs_err::create_dir(dir.path().join(name)).unwrap();
        }
        let cache = dir.path().join("cache");
        // A closed port: what a test does not serve itself is not fetched from anywhere.
        let proxy = "http://127.0.0.1:9".to_owned();
        Self { dir, cache, inputs: BTreeSet::new(), mirror: None, proxy }
    }

    /// With a cache that other tests use, too.
    pub fn with_cache(cache: PathBuf) -> Self {
        Self { cache, ..Self::new() }
    }

    /// The mirror that every run is given.
    pub fn mirror(&mut self, address: impl Into<String>) -> &mut Self {
        self.mirror = Some(address.into());
        self
    }

    /// The proxy of every run, for what is not on this machine; empty for none.
    pub fn proxy(&mut self, address: impl Into<String>) -> &mut Self {
        self.proxy = address.into();
        self
    }

    /// The directory with all of it: processes that have its path in them were started from here.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// The cache.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// A path in the working directory.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join("work").join(path)
    }

    /// Writes a file of the user's into the working directory.
    pub fn write(&mut self, path: &str, content: impl AsRef<[u8]>) {
        let full = self.path(path);
        fs_err::create_dir_all(full.parent().unwrap()).unwrap();
        fs_err::write(&full, content).unwrap();
        for part in Path::new(path).ancestors().filter(|part| !part.as_os_str().is_empty()) {
            self.inputs.insert(part.to_path_buf());
        }
    }

    /// A file's text.
    pub fn read(&self, path: &str) -> String {
        fs_err::read_to_string(self.path(path)).unwrap()
    }

    /// The program with its arguments and nothing of the caller's environment that it would obey.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        self.dressed(cargo_bin("goldcast"), arguments)
    }

    /// As [`Bench::command`], for another program that will start goldcast.
    pub fn dressed<S: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path(""));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().to_lowercase();
            let obeyed = ["goldcast_", "xdg_"].iter().any(|prefix| text.starts_with(prefix));
            // A mirror of the real archive may only be reachable through the machine's own proxy.
            if obeyed || (text.ends_with("_proxy") && !self.proxy.is_empty()) {
                command.env_remove(name);
            }
        }
        command.env("HOME", self.dir.path().join("home"));
        command.env("TMPDIR", self.dir.path().join("tmp"));
        command.env("GOLDCAST_CACHE", &self.cache);
        command.env("LC_ALL", "C");
        if !self.proxy.is_empty() {
            command.env("http_proxy", &self.proxy).env("https_proxy", &self.proxy);
            command.env("no_proxy", "127.0.0.1");
        }
        if let Some(mirror) = &self.mirror {
            command.env("GOLDCAST_MIRROR", mirror);
        }
        command
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// Fails when the working directory holds anything but what the test wrote, or goldcast left working files.
    #[track_caller]
    pub fn assert_nothing_written(&self) {
        assert_eq!(self.written(), BTreeSet::new(), "written beside the inputs");
        self.assert_no_leftovers();
    }

    /// What is in the working directory beside the test's own inputs.
    pub fn written(&self) -> BTreeSet<PathBuf> {
        let root = self.path("");
        tree(&root)
            .into_iter()
            .map(|path| path.strip_prefix(&root).unwrap().to_path_buf())
            .filter(|path| !self.inputs.contains(path))
            .collect()
    }

    /// Fails when there are working files of goldcast anywhere: staging, builds, trees under way, temporary files.
    #[track_caller]
    pub fn assert_no_leftovers(&self) {
        assert_eq!(self.leftovers(), Vec::<PathBuf>::new(), "working files were left");
    }

    /// Working files of goldcast that are still there.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let working = |name: &str| {
            [".goldcast-", ".lock-", "making-", "build-", "blob-", "run-", "proof"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
                || name.contains(".partial-")
        };
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let mut found: Vec<PathBuf> =
            tree(&self.path("")).into_iter().filter(|path| working(&name(path))).collect();
        // Below the cache and TMPDIR only where goldcast works: packages may hold any names.
        for place in ["work", "trees", "tmp", "expanded", "layers", "active"] {
            let place = self.cache.join(place);
            found.extend(children(&place).into_iter().filter(|path| working(&name(path))));
        }
        for place in [self.dir.path().join("tmp"), self.dir.path().join("tmp/goldcast")] {
            found.extend(children(&place).into_iter().filter(|path| !path.ends_with("goldcast")));
        }
        found
    }

    /// Processes that were started from here: those that name this bench's directory in their arguments, their
    /// environment or their mounts. The last finds those inside a sandbox, who know nothing of it.
    pub fn processes(&self) -> Vec<String> {
        let needle = self.dir.path().to_str().unwrap().as_bytes();
        let own = std::process::id().to_string();
        let mut found = Vec::new();
        for entry in children(Path::new("/proc")) {
            let pid = entry.file_name().unwrap().to_string_lossy().into_owned();
            if pid == own || !pid.bytes().all(|c| c.is_ascii_digit()) {
                continue;
            }
            let mentions = ["cmdline", "environ", "mountinfo"].iter().any(|file| {
                let bytes = fs_err::read(entry.join(file)).unwrap_or_default();
                bytes.windows(needle.len()).any(|window| window == needle)
            });
            if mentions {
                let line = fs_err::read(entry.join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                found.push(format!("{pid} {line}"));
            }
        }
        found
    }
}

/// A run that has ended.
pub struct Ran {
    /// The command as it was given.
    pub command: String,
    /// Its exit status as a shell shows it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self::from_output(format!("{command:?}"), output)
    }

    /// From what a command gave.
    pub fn from_output(command: String, output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        Self { command, code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Fails unless it ended with this status.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit status of {}\n{}\n{}", self.command, self.stdout, self.stderr);
        self
    }

    /// Fails unless it ended well.
    #[track_caller]
    pub fn works(self) -> Self {
        self.code(0)
    }

    /// Fails unless standard error says this. Line breaks and the drawing of diagnostics do not count.
    #[track_caller]
    pub fn says(self, wanted: &str) -> Self {
        let flat = flat(&self.stderr);
        assert!(flat.contains(wanted), "should say {wanted:?}:\n{}", self.stderr);
        self
    }

    /// Fails when standard error says this.
    #[track_caller]
    pub fn never_says(self, unwanted: &str) -> Self {
        assert!(!flat(&self.stderr).contains(unwanted), "should not say {unwanted:?}:\n{}", self.stderr);
        self
    }
}

/// Text on one line, without the characters that diagnostics are drawn with.
pub fn flat(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim_matches([' ', '│', '×', '╰', '─', '├', '▶']));
    lines.collect::<Vec<_>>().join(" ")
}

/// A line for what a machine does not allow to test. The test then passes, and says here what it did not see.
pub fn could_not_check(what: &str, why: &str) {
    eprintln!("could not check: {what}: {why}");
}

/// What is directly in a directory; nothing when it is not there.
pub fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(dir) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).collect()
}

/// Everything below a directory.
pub fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut found = children(dir);
    for path in found.clone() {
        if path.is_dir() && !path.is_symlink() {
            found.extend(tree(&path));
        }
    }
    found
}
