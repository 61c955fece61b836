//! Copies of a booted machine, each with a network and a lab of its own, so that several run side by side.

use super::lab::Lab;
use super::machine::{Frozen, Machine};
use crate::error::{Context, Error, Result};
use crate::progress::Progress;
use crate::sandbox::{Tools, isolated_network};
use std::path::Path;

/// What is around a machine, or why nothing is.
pub type Outside<'a> = Result<&'a Lab, &'a str>;

/// Threads for this many machines at a time.
pub fn pool(jobs: usize) -> Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs.max(1)).build();
    pool.map_err(|error| Error::new(error.to_string())).doing("starting threads for machines")
}

/// Resumes a copy of the machine and does something with it. `name` says what it is for; `lab` is the outside of the
/// machine that was frozen: where it had none, the copy has none either.
///
/// # Errors
/// When the copy cannot be resumed, and what `work_on` returns.
pub fn on_copy<T: Send>(
    frozen: &Frozen,
    name: &str,
    lab: &Result<(), String>,
    tools: &Tools,
    work: &Path,
    progress: &Progress,
    work_on: impl FnOnce(&mut Machine, Outside<'_>, &Path) -> Result<T> + Send,
) -> Result<T> {
    let copy = tempfile::Builder::new().prefix("copy").tempdir_in(work)?;
    let done = isolated_network(tools, || {
        let opened = match lab {
            Ok(()) => Ok(Lab::open(tools, copy.path())?),
            Err(why) => Err(why.as_str()),
        };
        let mut machine = frozen.thaw(name, tools, copy.path(), progress)?;
        work_on(&mut machine, opened.as_ref().map_err(|why| *why), copy.path())
    });
    frozen.tidy(name)?;
    done?
}
