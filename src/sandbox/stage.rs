//! The processes that goldcast re-executes itself as, to enter namespaces without forking by hand.
//!
//! `idmap` writes another process's id maps. `outer` unshares the namespaces of a run and starts `inner`,
//! which is thereby process 1 of the run: it mounts, changes the root, starts the program and reaps.

use super::idmap;
use super::mounts;
use super::privileges;
use super::spec::{Network, Root, Spec};
use crate::error::{Context, Error, Result};
use crate::stderr;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{Gid, Pid, Uid};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;

/// The first argument that marks a re-execution.
pub const MARK: &str = "__goldcast-stage";
/// The exit status that says: the sandbox itself failed, not the program in it.
pub const SANDBOX_FAILED: i32 = 125;
/// What precedes the JSON of a [`HelperError`] on standard error.
pub const ERROR_PREFIX: &str = "goldcast-sandbox-error: ";

/// An error on its way from a re-executed process to the one that the user started.
#[derive(Debug, Serialize, Deserialize)]
pub struct HelperError {
    what: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl HelperError {
    fn of(error: &Error) -> Self {
        Self {
            what: error.what().to_owned(),
            causes: error.causes().to_vec(),
            hint: error.advice().map(str::to_owned),
        }
    }

    /// The error again.
    pub fn into_error(self) -> Error {
        let mut error = self.causes.into_iter().fold(Error::new(self.what), Error::because);
        if let Some(hint) = self.hint {
            error = error.hint(hint);
        }
        error
    }
}

fn myself(arguments: Vec<String>) -> duct::Expression {
    let mut argv = vec![MARK.to_owned()];
    argv.extend(arguments);
    duct::cmd("/proc/self/exe", argv)
}

/// The helper that maps ids for process `pid` once a byte arrives on its standard input.
/// A plain [`std::process::Command`]: duct would start a thread, and a process with threads gets no user namespace.
pub fn idmap_helper(pid: u32) -> std::process::Command {
    let mut command = std::process::Command::new("/proc/self/exe");
    command.args([MARK, "idmap", &pid.to_string()]);
    command
}

/// The process that runs `spec`.
pub fn outer(spec: &Spec) -> Result<duct::Expression> {
    Ok(myself(vec!["outer".into(), serde_json::to_string(spec).map_err(|e| Error::new(e.to_string()))?]))
}

/// Runs the stage named on the command line, when one is; returns its exit status.
/// Called first thing in `main`, before threads, signals or argument parsing.
pub fn dispatch() -> Option<i32> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != MARK {
        return None;
    }
    let stage = arguments.next().unwrap_or_default();
    let argument = arguments.next().unwrap_or_default();
    let (result, prefix) = match stage.as_str() {
        "idmap" => (run_idmap(&argument), ""),
        "outer" => (run_outer(&argument), ERROR_PREFIX),
        "inner" => (run_inner(&argument), ERROR_PREFIX),
        _ => (Err(Error::usage(format!("no such stage: {stage}"))), ""),
    };
    Some(result.unwrap_or_else(|error| {
        if is_seen(&argument) {
            stderr::write(error.render());
            return SANDBOX_FAILED;
        }
        let told = serde_json::to_string(&HelperError::of(&error)).unwrap_or_else(|_| error.to_string());
        stderr::line(format_args!("{prefix}{told}"));
        SANDBOX_FAILED
    }))
}

/// Whether standard error of the run with this description is the user's terminal, where nobody else reads it.
fn is_seen(spec: &str) -> bool {
    serde_json::from_str::<Spec>(spec).is_ok_and(|spec| spec.terminal)
}

fn run_idmap(pid: &str) -> Result<i32> {
    let pid: u32 = pid.parse().doing("reading the process id")?;
    let mut byte = [0];
    if std::io::stdin().read(&mut byte)? == 0 {
        // The parent failed before it had a namespace, and tells its own error.
        return Ok(SANDBOX_FAILED);
    }
    let (users, groups) = if Uid::effective().is_root() {
        (idmap::identity("uid")?, idmap::identity("gid")?)
    } else {
        idmap::subordinate(Uid::current(), Gid::current())?
    };
    idmap::write(pid, &users, &groups)?;
    Ok(0)
}

/// Dies with the parent. The parent may have died before the call: then its pid is not what it was.
fn die_with_parent() -> Result<()> {
    let parent = nix::unistd::getppid();
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if nix::unistd::getppid() != parent {
        return Err(Error::new("the parent process is gone"));
    }
    Ok(())
}

fn run_outer(spec: &str) -> Result<i32> {
    die_with_parent()?;
    let parsed: Spec = serde_json::from_str(spec).doing("reading the sandbox's description")?;
    let mut flags = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    if parsed.network == Network::None {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    unshare(flags).map_err(idmap::explain_refusal)?;
    let output = myself(vec!["inner".into(), spec.to_owned()]).unchecked().run()?;
    Ok(code_of(output.status))
}

fn code_of(status: std::process::ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn run_inner(spec: &str) -> Result<i32> {
    die_with_parent()?;
    let spec: Spec = serde_json::from_str(spec).doing("reading the sandbox's description")?;
    if !spec.terminal {
        // No controlling terminal: what runs here can neither read the user's keys nor push input back.
        nix::unistd::setsid().ok();
    }
    nix::unistd::sethostname(&spec.hostname).doing("naming the sandbox's host")?;
    mounts::enter(&spec)?;
    if !spec.groups {
        privileges::give_up_groups()?;
    }
    if matches!(spec.root, Root::Tree(_)) {
        privileges::give_up_mounting()?;
    }
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0)?;
    std::env::set_current_dir(&spec.cwd)
        .doing_with(|| format!("entering {} inside the sandbox", spec.cwd.display()))?;
    let (program, arguments) = spec.argv.split_first().ok_or_else(|| Error::new("nothing to run"))?;
    let child = std::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(spec.env.iter().map(|(k, v)| (k, v)))
        .spawn()
        .doing_with(|| format!("starting {program} inside the sandbox"))?;
    reap(Pid::from_raw(child.id() as i32))
}

/// What process 1 is for: waits for everything, and ends with the program's own status.
fn reap(program: Pid) -> Result<i32> {
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid == program => return Ok(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => return Ok(128 + signal as i32),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(Error::from(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_drawn_where_a_person_reads_it() {
        let spec = |terminal| Spec {
            root: Root::Tree("/x".into()),
            binds: Vec::new(),
            network: Network::None,
            argv: Vec::new(),
            env: Vec::new(),
            cwd: "/".into(),
            hostname: String::new(),
            groups: false,
            terminal,
        };
        let seen = |terminal| is_seen(&serde_json::to_string(&spec(terminal)).unwrap());
        assert!(seen(true) && !seen(false));
        assert!(!is_seen("4711"));
    }
}
