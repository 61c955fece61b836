//! One QEMU process: started in the sandbox, spoken to over QMP, watched.

use super::qmp::{Event, Qmp};
use crate::error::{Context, Error, Result};
use crate::interrupt;
use crate::sandbox::{Child, Command, Network, Tools};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the machine's own directory is inside the sandbox.
pub const INSIDE: &str = "/goldcast/machine";
/// QEMU's log of resets in that directory, with the processors' state at each (`-d cpu_reset`).
const RESETS: &str = "resets.log";
/// How long QEMU may take until it opens its control socket: its program is large and the disk may be slow.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running QEMU.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    /// Its control connection.
    pub qmp: Qmp,
    directory: PathBuf,
    /// How often the guest was reset, as far as QEMU's events have been read.
    resets: u32,
    /// Whether the guest switched itself off, as far as they have been.
    off: bool,
}

impl Qemu {
    /// Starts QEMU with what `more` adds; its sockets and log live in `directory`.
    ///
    /// The process ends with the thread that called this.
    pub fn start(tools: &Tools, directory: &Path, more: impl FnOnce(Command) -> Command) -> Result<Self> {
        let log = directory.join("qemu.log");
        // The socket of one that was killed a moment ago may still be answered by it.
        match fs_err::remove_file(directory.join("qmp")) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let command = tools
            .command("qemu-system-x86_64")
            .bind(directory, INSIDE)
            .network(Network::Inherit)
            .log(&log)
            .args(["-no-user-config", "-display", "none", "-monitor", "none"])
            .args(["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"])
            .arg("-chardev")
            .arg(format!("socket,id=qmp,path={INSIDE}/qmp,server=on,wait=off"))
            .args(["-mon", "chardev=qmp,mode=control"])
            .args(["-d", "cpu_reset", "-D", &format!("{INSIDE}/{RESETS}")]);
        let child = more(command).spawn()?;
        let deadline = Instant::now() + START_LIMIT;
        let stream = loop {
            interrupt::check()?;
            if let Some(status) = child.try_wait()? {
                return Err(ended(&log, &status));
            }
            match connect(directory, "qmp") {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => {
                    return Err(error).doing("QEMU did not open its control socket");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        match Qmp::start(stream, START_LIMIT) {
            Ok(qmp) => Ok(Self { child, qmp, directory: directory.to_path_buf(), resets: 0, off: false }),
            // A QEMU that aborts right after it opened the socket tells more in its log.
            Err(error) => Err(match child.wait_timeout(Duration::from_secs(1))? {
                true => ended(&log, "early"),
                false => error,
            }),
        }
    }

    /// Connects to another of its sockets.
    pub fn connect(&self, socket: &str) -> Result<UnixStream> {
        connect(&self.directory, socket).doing_with(|| format!("connecting to the machine's {socket} socket"))
    }

    /// An error when the guest can no longer run: QEMU ended, or stopped it with an internal error.
    pub fn watch(&mut self) -> Result<()> {
        interrupt::check()?;
        if let Some(status) = self.child.try_wait()? {
            return Err(self.ended(&status));
        }
        let events = match self.qmp.events(Duration::ZERO) {
            Ok(events) => events,
            Err(error) => {
                return Err(match self.child.wait_timeout(Duration::from_secs(1))? {
                    true => self.ended("while the machine ran"),
                    false => error,
                });
            }
        };
        for event in events {
            match event.name.as_str() {
                "STOP" => {
                    let status = self.qmp.status()?;
                    if status != "running" {
                        return Err(Error::new(format!("QEMU stopped the guest: {status}")));
                    }
                }
                "GUEST_PANICKED" => return Err(Error::new("the guest's kernel panicked")),
                _ => self.note(&event),
            }
        }
        Ok(())
    }

    /// Keeps in mind what is asked for later.
    fn note(&mut self, event: &Event) {
        match event.name.as_str() {
            "RESET" => self.resets += 1,
            "SHUTDOWN" => self.off |= event.data["guest"] == true,
            _ => {}
        }
    }

    fn catch_up(&mut self) {
        for event in self.qmp.last_events() {
            self.note(&event);
        }
    }

    /// How often the guest was reset until now, by whatever; of a QEMU that has ended, as far as is known.
    pub fn resets(&mut self) -> u32 {
        self.catch_up();
        self.resets
    }

    /// Whether the guest has switched itself off.
    pub fn switched_off(&mut self) -> bool {
        self.catch_up();
        self.off
    }

    /// Whether a processor of an emulated guest gave up on a fault within a fault within a fault, and reset the guest.
    pub fn triple_fault(&self) -> bool {
        fs_err::read_to_string(self.directory.join(RESETS)).is_ok_and(|log| log.contains("Triple fault"))
    }

    /// Waits until the guest has switched itself off and QEMU is gone.
    pub fn wait_end(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            interrupt::check()?;
            if let Some(status) = self.child.try_wait()? {
                let well = status.ends_with(" 0");
                return if well { Ok(()) } else { Err(self.ended(&status)) };
            }
            if Instant::now() > deadline {
                return Err(Error::new(format!("it is still running after {} s", limit.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends it in good order and returns its directory, whose files are then at rest.
    pub fn end(mut self) -> Result<PathBuf> {
        // It may hang up before it answers.
        self.qmp.execute("quit", serde_json::Value::Null, Duration::from_secs(10)).ok();
        if !self.child.wait_timeout(Duration::from_secs(60))? {
            return Err(Error::new("QEMU did not end when asked to"));
        }
        Ok(self.directory)
    }

    /// Why there is no QEMU any more: with the end of its own log, where the guest is not the reason.
    fn ended(&mut self, status: &str) -> Error {
        if self.switched_off() {
            return Error::new("the machine switched itself off");
        }
        ended(&self.directory.join("qemu.log"), status)
    }
}

/// Connects through a descriptor of the directory: a socket's path may have 107 bytes only (unix(7)).
fn connect(directory: &Path, socket: &str) -> Result<UnixStream> {
    let directory = fs_err::File::open(directory)?;
    let path = format!("/proc/self/fd/{}/{socket}", directory.as_raw_fd());
    UnixStream::connect(path).map_err(Error::from)
}

fn ended(log: &Path, status: &str) -> Error {
    let text = fs_err::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let error = Error::new("QEMU ended").because(status);
    lines[lines.len().saturating_sub(3)..].iter().fold(error, Error::because)
}
