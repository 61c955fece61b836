//! KVM when it really works, emulation otherwise.
//!
//! `/dev/kvm` may exist and open and yet stop the guest with an internal error (nested virtualisation that
//! lacks something), so a bare machine is run for a moment before the first boot, and every boot goes on
//! watching.

use super::qemu::Qemu;
use crate::error::Result;
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

/// A firmware that idles this long without a complaint is taken as a working KVM.
const PROBE: Duration = Duration::from_millis(1500);

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

    /// QEMU's arguments for it.
    pub(crate) fn arguments(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            // A plain model that emulates fast: AMD's vendor id, so that the kernel leaves out page table isolation,
            // no AVX, and no virtualisation of its own that would load KVM in the guest. Not `xsave`: with it Debian 13's kernel hangs early in the boot on an emulated `qemu64`.
            Self::Tcg => [
                "-accel",
                "tcg,thread=multi",
                "-cpu",
                "qemu64,-svm,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq,+rdrand,+rdseed",
            ],
        }
    }

    /// How long a boot may take before it is given up.
    pub fn boot_limit(self) -> Duration {
        match self {
            Self::Kvm => Duration::from_secs(180),
            Self::Tcg => Duration::from_secs(600),
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
    let directory = tempfile::Builder::new().prefix("probe").tempdir_in(work)?;
    let started = Qemu::start(tools, directory.path(), |command| {
        command.device("/dev/kvm").args(Accelerator::Kvm.arguments()).args([
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
