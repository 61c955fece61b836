//! Servers of a check's own at the lab's outside host: scripts that go on beside the steps that follow.

use super::Step;
use super::run::{Runner, Try};
use crate::error::{Error, Result};
use crate::sandbox::{Child, Command};
use crate::verify::report::Evidence;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where outside scripts of one check find what the others of it left.
pub const SHARED: &str = "/lab";
/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(30);
/// How long a port may stay taken by one that was stopped.
const FREED: Duration = Duration::from_secs(5);
/// When a server ends that nobody stopped.
const LIFE: Duration = Duration::from_secs(3 * 3600);
/// Pause between two looks at a server that is starting.
const PAUSE: Duration = Duration::from_millis(100);
/// Most of a server's output that is shown.
const SHOWN: usize = 1000;

/// The servers of one check and the directory that they share with its scripts. They end when this is dropped.
#[derive(Default)]
pub struct Servers {
    running: Vec<(String, Child)>,
    shared: Option<tempfile::TempDir>,
}

impl Servers {
    /// None yet, and an empty directory in `work`.
    pub fn fresh(work: &Path) -> Result<Self> {
        let shared = tempfile::Builder::new().prefix("shared").tempdir_in(work)?;
        Ok(Self { running: Vec::new(), shared: Some(shared) })
    }

    /// Shows a command the directory.
    pub fn share(&self, command: Command) -> Command {
        match &self.shared {
            Some(shared) => command.bind(shared.path(), SHARED),
            None => command,
        }
    }

    fn log(&self, name: &str) -> Option<PathBuf> {
        Some(self.shared.as_ref()?.path().join(format!("{name}.log")))
    }

    /// Stops those that were started by this script; whether there were any.
    fn stop(&mut self, name: &str) -> bool {
        let before = self.running.len();
        self.running.retain(|(known, _)| known != name);
        before != self.running.len()
    }
}

impl Runner<'_> {
    /// Starts a script as a server, and waits until it answers.
    pub(super) fn serve(&mut self, step: &Step, text: String, name: &str, port: u16) -> Result<Try> {
        self.outside_host()?;
        let host = self.context.lab_address("host").and_then(|host| host.parse::<IpAddr>().ok());
        let host = host.ok_or_else(|| Error::new("the lab has no host"))?;
        let log = self.servers.log(name).ok_or_else(|| Error::new("no check is being carried out"))?;
        self.servers.stop(name);
        let address = SocketAddr::new(host, port);
        let answers = || TcpStream::connect_timeout(&address, PAUSE).is_ok();
        // One that was stopped a moment ago may still be on its way out. What stays would be taken for the server.
        let deadline = Instant::now() + FREED;
        while answers() {
            crate::interrupt::check()?;
            if Instant::now() > deadline {
                let seen = Evidence::new(name, format!("answers at {address} before it was started"));
                return Ok(Try::Unable(seen.wanted("something else of the lab has that port")));
            }
            std::thread::sleep(PAUSE);
        }
        let command = self.outside(step, &["bash".into(), "-s".into()], LIFE)?;
        let child = command.stdin(text.into_bytes()).log(&log).spawn()?;
        let deadline = Instant::now() + START;
        while !answers() {
            crate::interrupt::check()?;
            let ended = child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let told = fs_err::read_to_string(&log).unwrap_or_default();
                let told = crate::verify::text::excerpt(&crate::verify::text::plain(told.trim()), SHOWN);
                let why = ended.unwrap_or_else(|| "it did not listen in time".to_owned());
                return Ok(Try::Unable(Evidence::new(name, told).wanted(why)));
            }
            std::thread::sleep(PAUSE);
        }
        self.servers.running.push((name.to_owned(), child));
        Ok(Try::Held(Evidence::new(name, format!("answers at {address}"))))
    }

    /// Stops the servers of this script.
    pub(super) fn stop(&mut self, name: &str) -> Try {
        let did = Evidence::new(format!("stop {name}"), "");
        if self.servers.stop(name) { Try::Held(did) } else { Try::Unable(did.wanted("it was not running")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_has_an_empty_directory_that_goes_with_it() {
        let work = tempfile::tempdir().unwrap();
        let mut servers = Servers::fresh(work.path()).unwrap();
        let first = servers.log("a").unwrap();
        fs_err::write(&first, "x").unwrap();
        assert!(!servers.stop("a"));
        servers = Servers::fresh(work.path()).unwrap();
        assert!(!first.exists() && servers.log("a").unwrap() != first);
        drop(servers);
        assert_eq!(fs_err::read_dir(work.path()).unwrap().count(), 0);
    }
}
