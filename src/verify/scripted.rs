//! `goldcast run --script`: the image booted for one script, without a console.

use super::agent::{Lost, Ran};
use super::interactive::{RunSpec, claim};
use super::machine::{Machine, MachineSpec};
use super::overlay::DISK;
use crate::error::Result;
use crate::progress::Progress;
use crate::sandbox::Tools;
use std::path::Path;
use std::time::Duration;

/// How long a script may take: an upgrade of a whole emulated system fits in many times over.
const LIMIT: Duration = Duration::from_secs(3 * 3600);

/// Boots the image, runs a bash script as root inside once the system is up, and switches the machine off in good
/// order: what came of the one, and of the other. The guest reaches what this process reaches, the host itself as
/// 10.0.2.2 (QEMU, "Using the user mode network stack").
pub fn run_script(
    spec: &RunSpec,
    script: &str,
    tools: &Tools,
    progress: &Progress,
) -> Result<(Ran, Result<()>)> {
    if let Some(directory) = &spec.persist {
        fs_err::create_dir_all(directory)?;
        claim(spec, directory)?;
        return boot(spec, script, tools, directory, progress);
    }
    let throw_away = tempfile::Builder::new().prefix("run").tempdir_in(spec.work)?;
    boot(spec, script, tools, throw_away.path(), progress).inspect_err(|_| {
        // The error names the serial log: that stays, what the machine wrote does not.
        fs_err::remove_file(throw_away.path().join(DISK)).ok();
        drop(throw_away.keep());
    })
}

fn boot(
    spec: &RunSpec,
    script: &str,
    tools: &Tools,
    directory: &Path,
    progress: &Progress,
) -> Result<(Ran, Result<()>)> {
    let machine = MachineSpec {
        memory: spec.memory,
        clock: spec.clock,
        outside: true,
        keep: true,
        ..MachineSpec::new(spec.raw, spec.plan, spec.firmware, &directory.join("logs"))
    };
    let stage = progress.stage(format!("boot {}", spec.firmware));
    let mut machine = Machine::boot(&machine, tools, directory, progress)?;
    stage.finish(format!("up in {:.1} s ({})", machine.boot_seconds(), machine.accelerator().name()));
    let stage = progress.stage("script");
    let ran = machine.run(script, LIMIT).map_err(Lost::into_error)?;
    stage.finish(format!("exit status {}", ran.exit));
    let off = machine.power_off();
    Ok((ran, off))
}
