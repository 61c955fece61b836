//! The state of a machine on disk, and the copies that go on from it.

use super::accelerator::Accelerator;
use super::addresses::Addresses;
use super::agent::{Agent, Lost};
use super::hardware::arguments;
use super::lab::MailPorts;
use super::machine::{Machine, MachineSpec};
use super::overlay::{self, FROZEN};
use super::qemu::{INSIDE, Qemu};
use super::state;
use crate::error::{Context, Exit, Result};
use crate::interrupt;
use crate::progress::Progress;
use crate::sandbox::Tools;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file of the kept state in a frozen machine's directory.
const STATE: &str = "state";

impl Machine {
    /// Keeps the state of the whole machine, disk and memory, and ends it; copies are resumed from that.
    pub fn freeze(mut self) -> Result<Frozen> {
        let session = self.agent.session().unwrap_or_default().to_owned();
        state::save(&mut self.qemu.qmp, &format!("{INSIDE}/{STATE}"))?;
        let directory = self.qemu.end()?;
        let (spec, accelerator, boot_seconds) = (self.spec, self.accelerator, self.boot_seconds);
        Ok(Frozen { spec, accelerator, boot_seconds, directory, nonce: self.nonce, session })
    }
}

/// A machine's state on disk, from which any number of copies go on.
///
/// Each copy is a QEMU of its own: going back within one leaves the emulated time stamp counter where it was
/// (it never goes backwards in a process), and the guest's timers then wait for the difference.
#[derive(Debug)]
pub struct Frozen {
    spec: MachineSpec,
    accelerator: Accelerator,
    boot_seconds: f64,
    directory: PathBuf,
    nonce: String,
    session: String,
}

impl Frozen {
    /// Where a copy is found in the lab, as the machine was.
    pub fn addresses(&self) -> &Addresses {
        &self.spec.addresses
    }

    /// Where it may look for its relay, as the machine did.
    pub fn mail(&self) -> &MailPorts {
        &self.spec.mail
    }

    /// What the copy with this name is.
    fn copy(&self, name: &str) -> MachineSpec {
        MachineSpec { name: format!("{}.{name}", self.spec.firmware), ..self.spec.clone() }
    }

    /// A machine that goes on where the frozen one stopped; what it writes goes to an overlay in `work`, and `name` says
    /// what it is for.
    ///
    /// Emulated, one in some hundred was seen to start anew, without a word, in the place of going on. Nothing was asked
    /// of it until its first answer, so one that gives none is resumed once more.
    pub fn thaw(&self, name: &str, tools: &Tools, work: &Path, progress: &Progress) -> Result<Machine> {
        match self.resumed(name, tools, work) {
            Err(error) if error.exit() == Exit::Failed => {
                interrupt::check()?;
                progress.warn(format!("{name} is tried once more: {error}"));
                self.resumed(name, tools, work)
            }
            machine => machine,
        }
    }

    fn resumed(&self, name: &str, tools: &Tools, work: &Path) -> Result<Machine> {
        let spec = self.copy(name);
        fs_err::create_dir_all(work)?;
        fs_err::write(spec.serial_log(), "")?;
        overlay::create_over(&spec.image, &self.directory, spec.firmware, tools, work)?;
        let mut qemu = Qemu::start(tools, work, |command| {
            arguments(command, tools, self.accelerator, &spec, &self.nonce)
                .bind_read_only(&self.directory, FROZEN)
                .args(["-incoming", "defer"])
        })
        .doing("resuming a copy of the machine")?;
        if let Err(error) = state::resume(&mut qemu.qmp, &format!("{FROZEN}/{STATE}")) {
            // One that ended over it says why in its log.
            qemu.watch().doing("resuming a copy of the machine")?;
            return Err(error).doing("resuming a copy of the machine");
        }
        let mut agent = Agent::resume(qemu.connect("agent")?, &self.nonce, &self.session)?;
        // The agent saw the line drop; a first word back shows that the copy runs.
        let ran = agent.run("true", Duration::from_secs(60), &mut || qemu.watch()).map_err(Lost::into_error);
        ran.doing("resuming a copy of the machine")?;
        let mut machine = Machine::running(spec, qemu, agent, self.accelerator, self.nonce.clone());
        machine.boot_seconds = self.boot_seconds;
        Ok(machine)
    }

    /// Makes the disk of a copy that has ended, in `work`, one that needs nothing but the image below it.
    pub fn detach(&self, tools: &Tools, work: &Path) -> Result<()> {
        overlay::detach(&self.spec.image, &self.directory, tools, work)
    }

    /// Removes the serial log of the copy with this name when nothing is in it, as few of them say anything there.
    pub fn tidy(&self, name: &str) -> Result<()> {
        let log = self.copy(name).serial_log();
        match fs_err::metadata(&log).is_ok_and(|log| log.len() == 0) {
            true => Ok(fs_err::remove_file(&log)?),
            false => Ok(()),
        }
    }
}
