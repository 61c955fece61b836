//! `goldcast run`: the image, booted for its owner.

use super::session::{Locking, Session};
use super::verify::image;
use crate::cli::run::Run;
use crate::error::{Error, Result};
use crate::verify::{self, Firmware, RunSpec};

/// Runs the command.
pub fn run(arguments: &Run) -> Result<()> {
    let session = Session::enter(&arguments.recipe.recipe, &arguments.network, &arguments.talk)?;
    let lock = session.lock(&Locking::Refused)?;
    let tools = session.tools(&lock)?;
    let raw = image(&session.out(arguments.out.as_deref()), &session.plan.name)?;
    let work = session.work();
    fs_err::create_dir_all(&work)?;
    let firmware = Firmware::from_name(&arguments.firmware)
        .ok_or_else(|| Error::usage(format!("there is no firmware {}", arguments.firmware)))?;
    let spec = RunSpec {
        raw: &raw,
        plan: &session.plan,
        firmware,
        memory: arguments.memory,
        processors: 2,
        persist: arguments.persist.clone(),
        work: &work,
    };
    match verify::run(&spec, &tools, &session.progress)? {
        0 => Ok(()),
        status => Err(Error::new(format!("QEMU ended with status {status}"))),
    }
}
