//! KVM when it really works, emulation otherwise.
//!
//! `/dev/kvm` may exist and open and yet stop the guest with an internal error (nested virtualisation that
//! lacks something), or run a firmware and leave a kernel hanging (a KVM without virtualisation in hardware), so
//! the processor is asked and a bare machine is run for a moment before the first boot, and every boot goes on watching.

use super::qemu::Qemu;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::progress::Progress;
use crate::sandbox::Tools;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    /// The processor itself, through the kernel's KVM.
    Kvm,
    /// QEMU's emulation: about ten times slower.
    Tcg,
}

/// What the guest's clock follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The host's.
    Host,
    /// The guest's own instructions, a nanosecond for each, one after the other: what the guest measures is work then,
    /// whatever else the host does. Only emulation can (QEMU, "TCG Instruction Counting").
    Instructions,
}

/// A guest under KVM whose serial line stands still this long before the system inside has greeted hangs: the kernel and
/// its ramdisk take a few seconds.
const SILENCE: Duration = Duration::from_secs(45);

/// A firmware that idles this long without a complaint is taken as a working KVM.
const PROBE: Duration = Duration::from_millis(1500);

/// The processor that emulation shows, a plain one that emulates fast: AMD's vendor id, so that the kernel leaves out page
/// table isolation, no AVX, and no virtualisation of its own that would load KVM in the guest. Not `xsave`: with it
/// Debian 13's kernel hangs early in the boot on an emulated `qemu64`.
const MODEL: &str = "qemu64,-svm,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq,+rdrand,+rdseed";

/// What is known so far; one probe and one warning for the whole process.
static KNOWN: Mutex<Option<Accelerator>> = Mutex::new(None);

impl Accelerator {
    /// The best one that works here; probed once, and warned of once when it is not KVM.
    pub fn choose(tools: &Tools, work: &Path, progress: &Progress) -> Result<Self> {
        // Held during the probe, so that machines that start together share it.
        let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(accelerator) = *known {
            return Ok(accelerator);
        }
        let chosen = match probe(tools, work)? {
            None => Self::Kvm,
            Some(why) => {
                warn(progress, &why);
                Self::Tcg
            }
        };
        *known = Some(chosen);
        Ok(chosen)
    }

    /// Remembers that KVM failed under a guest after all; machines from now on are emulated.
    pub(crate) fn kvm_failed(progress: &Progress, why: &str) {
        let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *known != Some(Self::Tcg) {
            warn(progress, why);
        }
        *known = Some(Self::Tcg);
    }

    /// `kvm` or `tcg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    /// QEMU's arguments for it; KVM knows no clock but the host's.
    pub(crate) fn arguments(self, clock: Clock) -> Vec<&'static str> {
        match (self, clock) {
            (Self::Kvm, _) => vec!["-accel", "kvm", "-cpu", "host"],
            (Self::Tcg, Clock::Host) => vec!["-accel", "tcg", "-cpu", MODEL],
            (Self::Tcg, Clock::Instructions) => {
                vec!["-accel", "tcg,thread=single", "-icount", "shift=0", "-cpu", MODEL]
            }
        }
    }

    /// How many processors a machine has.
    ///
    /// Emulated, one: with two, of some hundred machines one lost the timer of the second processor and never came up. A
    /// proof takes as long.
    pub(crate) fn processors(self) -> &'static str {
        match self {
            Self::Kvm => "2",
            Self::Tcg => "1",
        }
    }

    /// How long a boot may take before it is given up.
    pub fn boot_limit(self, clock: Clock) -> Duration {
        match (self, clock) {
            (Self::Kvm, _) => Duration::from_secs(180),
            (Self::Tcg, Clock::Host) => Duration::from_secs(600),
            (Self::Tcg, Clock::Instructions) => Duration::from_secs(1800),
        }
    }
}

fn warn(progress: &Progress, why: &str) {
    progress.warn(format!(
        "KVM does not work here ({why}); machines are emulated, which is about ten times slower"
    ));
}

/// Why KVM does not work, or nothing when it does.
fn probe(tools: &Tools, work: &Path) -> Result<Option<String>> {
    if let Err(error) = fs_err::OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        return Ok(Some(error.to_string()));
    }
    let processors = fs_err::read_to_string("/proc/cpuinfo")?;
    if !virtualises(&processors) {
        return Ok(Some("the processor shows no virtualisation, neither vmx nor svm".into()));
    }
    let directory = tempfile::Builder::new().prefix("probe").tempdir_in(work)?;
    let started = Qemu::start(tools, directory.path(), |command| {
        command.device("/dev/kvm").args(Accelerator::Kvm.arguments(Clock::Host)).args([
            "-machine",
            "q35",
            "-m",
            "64",
            "-nodefaults",
            "-vga",
            "std",
        ])
    });
    let mut qemu = match started {
        Ok(qemu) => qemu,
        Err(error) => {
            interrupt::check()?;
            // A QEMU that cannot start at all fails again, and is reported, with the first machine.
            return Ok(Some(error.causes().last().cloned().unwrap_or_else(|| error.to_string())));
        }
    };
    let deadline = Instant::now() + PROBE;
    while Instant::now() < deadline {
        if let Err(error) = qemu.watch() {
            interrupt::check()?;
            return Ok(Some(error.to_string()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(match qemu.qmp.status() {
        Ok(status) if status == "running" => None,
        Ok(status) => Some(format!("the guest is in state {status}")),
        Err(error) => Some(error.to_string()),
    })
}

/// Whether a processor in `/proc/cpuinfo` has Intel's or AMD's virtualisation. A KVM that does without it runs kernels that
/// were made for it, and no other.
fn virtualises(processors: &str) -> bool {
    processors
        .lines()
        .filter(|line| line.starts_with("flags"))
        .any(|line| line.split_whitespace().any(|flag| flag == "vmx" || flag == "svm"))
}

/// Notices that a guest under KVM hangs, by the size of its serial log.
#[derive(Debug)]
pub(crate) struct Pulse {
    size: u64,
    moved: Instant,
}

impl Pulse {
    /// A guest that starts now.
    pub(crate) fn new(now: Instant) -> Self {
        Self { size: 0, moved: now }
    }

    /// What is wrong, once the log has had the same size for too long.
    pub(crate) fn look(&mut self, size: u64, now: Instant) -> Result<()> {
        if size != self.size {
            *self = Self { size, moved: now };
        }
        match now.duration_since(self.moved) > SILENCE {
            true => Err(Error::new(format!("the guest has said nothing for {} s", SILENCE.as_secs()))),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_that_virtualises_says_so_in_its_flags() {
        assert!(virtualises("model name\t: x\nflags\t\t: fpu vme vmx ssse3\n"));
        assert!(virtualises("flags\t\t: fpu svm\n"));
        assert!(!virtualises("model name\t: vmx\nflags\t\t: fpu hypervisor vmxnet\nvmx flags\t: vnmi\n"));
        assert!(!virtualises(""));
    }

    #[test]
    fn a_guest_hangs_when_its_serial_line_stands_still_and_not_when_it_is_slow() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut pulse = Pulse::new(begun);
        pulse.look(0, after(40)).unwrap();
        pulse.look(10, after(44)).unwrap();
        pulse.look(10, after(88)).unwrap();
        assert!(pulse.look(10, after(90)).unwrap_err().to_string().contains("nothing for 45 s"));
    }
}
