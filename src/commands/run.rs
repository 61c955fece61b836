//! `goldcast run`: the image, booted for its owner.

use super::session::{Locking, Session};
use super::verify::image;
use crate::cli::run::Run;
use crate::error::{Error, Result};
use crate::output::manifest::Manifest;
use crate::output::published::{MANIFEST, is_of};
use crate::verify::{self, Clock, Firmware, Ran, RunSpec};
use crate::{stderr, stdout};
use std::path::Path;

/// Runs the command.
pub fn run(arguments: &Run) -> Result<()> {
    super::end_as(boot(arguments)?)
}

/// Boots the image, and returns the script's status when there was one.
fn boot(arguments: &Run) -> Result<i32> {
    let session = Session::enter(&arguments.recipe.recipe, &arguments.network, &arguments.talk)?;
    let lock = session.lock(&Locking::Refused)?;
    let out = session.out(arguments.out.as_deref());
    // What is missing is better known before the tools are fetched.
    let raw = image(&out, &session.plan.name)?;
    let script = arguments.script.as_deref().map(script).transpose()?;
    // A manifest that cannot be read keeps no image from booting.
    if let Ok(Some(manifest)) = Manifest::read_if_there(&out.join(format!("{}{MANIFEST}", session.plan.name)))
        && !is_of(&manifest, &session.plan, &lock)?
    {
        session.progress.warn(format!(
            "{} was built from another recipe or lock: its ports and users may be others",
            raw.display()
        ));
    }
    let tools = session.tools(&lock)?;
    let work = session.work();
    fs_err::create_dir_all(&work)?;
    let firmware = Firmware::from_name(&arguments.firmware)
        .ok_or_else(|| Error::usage(format!("there is no firmware {}", arguments.firmware)))?;
    let spec = RunSpec {
        raw: &raw,
        plan: &session.plan,
        firmware,
        memory: arguments.memory,
        clock: if arguments.counted { Clock::Instructions } else { Clock::Host },
        persist: arguments.persist.clone(),
        work: &work,
    };
    if let Some(script) = script {
        let (ran, off) = verify::run_script(&spec, &script, &tools, &session.progress)?;
        // What it wrote is told also when the machine does not go off.
        let status = told(&ran)?;
        off?;
        return Ok(status);
    }
    match verify::run(&spec, &tools, &session.progress)? {
        0 => Ok(0),
        status => Err(Error::new(format!("QEMU ended with status {status}"))),
    }
}

fn script(file: &Path) -> Result<String> {
    fs_err::read_to_string(file).map_err(|error| Error::usage("the script cannot be read").because(error))
}

/// Hands on what a script inside the machine wrote, and returns with what status it ended.
fn told(ran: &Ran) -> Result<i32> {
    stdout::bytes(&ran.stdout)?;
    stderr::bytes(&ran.stderr);
    if ran.timed_out {
        return Err(Error::new("the script did not end and was stopped"));
    }
    Ok(ran.exit)
}
