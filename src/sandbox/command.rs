//! Running one program inside a root.

use super::spec::{Bind, Network, Root, Spec};
use super::stage;
use crate::error::{ChildFailure, Context, Error, Result};
use crate::{interrupt, typed};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// How often a waiting goldcast looks whether the user wants it to stop.
const POLL: Duration = Duration::from_millis(100);
/// How many lines of a failed child's output are shown.
const SHOWN_LINES: usize = 40;

/// Where programs are looked up inside, unless the environment is told otherwise.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to run in a sandbox; a builder.
#[derive(Debug, Clone)]
pub struct Command {
    spec: Spec,
    stdin: Option<Vec<u8>>,
    log: Option<PathBuf>,
}

/// How a run ended and what it said.
#[derive(Debug)]
pub struct Output {
    /// The program's own exit status; a signal shows as 128 + its number.
    pub status: i32,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text, without the newline at its end.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }
}

impl Command {
    /// Runs `program` (a path inside, or a name looked up in the usual directories) with `root` as `/`.
    pub fn new(root: Root, program: &str) -> Self {
        let env = [
            ("PATH", PATH),
            ("HOME", "/root"),
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("TERM", "dumb"),
        ];
        Self {
            spec: Spec {
                root,
                binds: Vec::new(),
                network: Network::None,
                argv: vec![program.to_owned()],
                env: env.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(),
                cwd: PathBuf::from("/"),
                hostname: "localhost".to_owned(),
                groups: false,
                terminal: false,
            },
            stdin: None,
            log: None,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.spec.argv.push(argument.as_ref().to_string_lossy().into_owned());
        self
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(self, arguments: I) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Sets an environment variable; the host's environment is never seen.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.spec.env.retain(|(known, _)| *known != name);
        self.spec.env.push((name, value.into()));
        self
    }

    /// Sets the working directory inside.
    pub fn cwd(mut self, directory: impl Into<PathBuf>) -> Self {
        self.spec.cwd = directory.into();
        self
    }

    /// Shows a file or directory of the host inside, writable.
    pub fn bind(self, host: &Path, inside: &str) -> Self {
        self.bound(host, inside, true)
    }

    /// Shows a file or directory of the host inside, read-only.
    pub fn bind_read_only(self, host: &Path, inside: &str) -> Self {
        self.bound(host, inside, false)
    }

    /// Shows a device node of the host at the same path inside. The run keeps the user's groups: /dev/kvm is open to one.
    pub fn device(mut self, path: &str) -> Self {
        self.spec.groups = true;
        self.bound(Path::new(path), path, true)
    }

    fn bound(mut self, host: &Path, inside: &str, writable: bool) -> Self {
        self.spec.binds.push(Bind { host: host.to_path_buf(), inside: inside.into(), writable });
        self
    }

    /// Chooses the network; none by default.
    pub fn network(mut self, network: Network) -> Self {
        self.spec.network = network;
        self
    }

    /// Gives these bytes as standard input; it is empty by default.
    pub fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = Some(bytes);
        self
    }

    /// Writes standard output and error of a [`Command::spawn`] to this file.
    pub fn log(mut self, path: &Path) -> Self {
        self.log = Some(path.to_path_buf());
        self
    }

    /// The command as a person would type it.
    pub fn shown(&self) -> String {
        self.spec.argv.iter().map(|word| typed::word(word)).collect::<Vec<_>>().join(" ")
    }

    /// Runs it to its end; any other exit status than 0 is an error with what it wrote.
    pub fn run(self) -> Result<Output> {
        let shown = self.clone();
        let output = self.output()?;
        if output.status == 0 { Ok(output) } else { Err(shown.failed(&output)) }
    }

    /// Runs it to its end, whatever its exit status.
    pub fn output(self) -> Result<Output> {
        let expression = self.expression()?.stdout_capture().stderr_capture();
        let handle = expression.start().doing("starting the sandbox")?;
        let output = loop {
            if let Some(output) = handle.wait_timeout(POLL)? {
                break output;
            }
            stop_if_asked(&handle)?;
        };
        let stderr = output.stderr.clone();
        let output = Output { status: status_of(output.status), stdout: output.stdout.clone(), stderr };
        self.sandbox_worked(&output)?;
        Ok(output)
    }

    /// Runs it to its end and hands over each line of standard output and error, mixed, as it comes.
    /// The text is also kept in the error when the exit status is not 0.
    pub fn run_lines(self, mut line: impl FnMut(&str) + Send) -> Result<String> {
        let (reader, writer) = std::io::pipe()?;
        let handle = self.expression()?.stderr_to_stdout().stdout_file(writer).start();
        let handle = handle.doing("starting the sandbox")?;
        let (status, text) = std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let mut text = String::new();
                let mut reader = BufReader::new(reader);
                let mut bytes = Vec::new();
                while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
                    let latest = String::from_utf8_lossy(&bytes);
                    line(latest.trim_end());
                    text.push_str(&latest);
                    bytes.clear();
                }
                text
            });
            let status = loop {
                match handle.wait_timeout(POLL) {
                    Ok(Some(output)) => break Ok(output.status),
                    Ok(None) => {
                        if let Err(stop) = stop_if_asked(&handle) {
                            break Err(stop);
                        }
                    }
                    Err(error) => break Err(Error::from(error)),
                }
            };
            (status, reading.join().unwrap_or_default())
        });
        let output =
            Output { status: status_of(status?), stdout: Vec::new(), stderr: text.clone().into_bytes() };
        self.sandbox_worked(&output)?;
        if output.status == 0 { Ok(text) } else { Err(self.failed(&output)) }
    }

    /// Starts it and returns at once. The run ends when the [`Child`] is dropped, or when the thread that
    /// called this ends (PR_SET_PDEATHSIG goes by thread).
    pub fn spawn(self) -> Result<Child> {
        let mut expression = self.expression()?;
        expression = match &self.log {
            Some(path) => expression.stderr_to_stdout().stdout_file(fs_err::File::create(path)?.into_file()),
            None => expression.stdout_null().stderr_null(),
        };
        Ok(Child { handle: expression.start().doing("starting the sandbox")?, shown: self.shown() })
    }

    /// Runs it with the terminal of the user attached and returns its exit status. Why a sandbox could not be made is on
    /// the terminal then.
    pub fn interactive(mut self) -> Result<i32> {
        self.spec.terminal = true;
        let term = std::env::var("TERM").unwrap_or_else(|_| "dumb".into());
        self = self.env("TERM", term);
        let handle = stage::outer(&self.spec)?.unchecked().start().doing("starting the sandbox")?;
        loop {
            if let Some(output) = handle.wait_timeout(POLL)? {
                return Ok(status_of(output.status));
            }
            // Who ends goldcast with kill(1) ends the program as well.
            stop_if_asked(&handle)?;
        }
    }

    fn expression(&self) -> Result<duct::Expression> {
        let expression = stage::outer(&self.spec)?.unchecked();
        Ok(match &self.stdin {
            Some(bytes) => expression.stdin_bytes(bytes.clone()),
            None => expression.stdin_null(),
        })
    }

    /// Tells apart a sandbox that could not be made from a program that failed in it.
    fn sandbox_worked(&self, output: &Output) -> Result<()> {
        if output.status != stage::SANDBOX_FAILED {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&output.stderr);
        let found = told.lines().rev().find_map(|line| line.strip_prefix(stage::ERROR_PREFIX));
        match found.map(serde_json::from_str::<stage::HelperError>) {
            Some(Ok(error)) => Err(error.into_error().doing(format!("running `{}`", self.shown()))),
            _ => Ok(()),
        }
    }

    /// The error for a run that ended with another status than 0.
    pub fn failed(&self, output: &Output) -> Error {
        let program = self.spec.argv.first().map_or("", String::as_str);
        let written =
            if output.stderr.iter().all(u8::is_ascii_whitespace) { &output.stdout } else { &output.stderr };
        let text = String::from_utf8_lossy(written);
        let lines: Vec<&str> = text.lines().collect();
        let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        let status = match output.status {
            code if code > 128 => format!("killed by signal {}", code - 128),
            code => format!("exit status {code}"),
        };
        Error::new(format!("`{program}` failed inside the sandbox")).child(ChildFailure {
            command: self.shown(),
            status,
            output: shown,
            replay: None,
        })
    }
}

fn stop_if_asked(handle: &duct::Handle) -> Result<()> {
    interrupt::check().inspect_err(|_| {
        handle.kill().ok();
    })
}

fn status_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// A run that goes on beside goldcast; it is killed when this is dropped.
#[derive(Debug)]
pub struct Child {
    handle: duct::Handle,
    shown: String,
}

impl Child {
    /// The process id outside.
    pub fn id(&self) -> u32 {
        self.handle.pids().first().copied().unwrap_or_default()
    }

    /// How it ended, in words, once it has.
    pub fn try_wait(&self) -> Result<Option<String>> {
        let ended = self.handle.try_wait().doing_with(|| format!("waiting for `{}`", self.shown))?;
        Ok(ended.map(|output| output.status.to_string()))
    }

    /// Waits for its end, at most `limit`; says whether it ended.
    pub fn wait_timeout(&self, limit: Duration) -> Result<bool> {
        Ok(self.handle.wait_timeout(limit)?.is_some())
    }

    /// Ends it now, with everything it started.
    pub fn kill(&self) -> Result<()> {
        Ok(self.handle.kill()?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Nothing is left to do with an error here: the process is gone or goes with goldcast.
        self.handle.kill().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_a_shell_takes_them() {
        let command =
            Command::new(Root::Tree("/x".into()), "echo").arg("it's").arg("a b").arg("").arg("-o=1");
        assert_eq!(command.shown(), r"echo 'it'\''s' 'a b' '' -o=1");
    }
}
