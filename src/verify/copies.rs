//! Copies of a booted machine, each with a network and a lab of its own, so that several run side by side.

use super::frozen::Frozen;
use super::lab::Lab;
use super::machine::{MEMORY, Machine};
use crate::error::{Error, Result};
use crate::interrupt;
use crate::memory;
use crate::progress::Progress;
use crate::sandbox::{Tools, isolated_network};
use std::path::Path;

/// What is around a machine, or why nothing is.
pub type Outside<'a> = Result<&'a Lab, &'a str>;

/// What a machine takes of the host's memory at most, in bytes: the guest's own and half as much for QEMU
/// and what attacks the machine.
const FOOTPRINT: u64 = MEMORY as u64 * 3 / 2 * MIB;
const MIB: u64 = 1 << 20;

/// How many machines are to run at a time on these processors: two to each, since one can use what another leaves while
/// it waits, or as many as the host has the memory for.
pub fn at_a_time(processors: usize) -> usize {
    machines(processors.saturating_mul(2), memory::available())
}

/// How many machines `available` bytes are enough for, one at least and `most` at most.
fn machines(most: usize, available: u64) -> usize {
    let enough = usize::try_from(available / FOOTPRINT).unwrap_or(usize::MAX);
    most.min(enough).max(1)
}

/// Resumes a copy of the machine and does something with it. `name` says what it is for; `lab` is the outside of the
/// machine that was frozen: where it had none, the copy has none either.
///
/// When it breaks down under the work, that is done on another copy, as [`steady`] says.
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
    work_on: impl Fn(&mut Machine, Outside<'_>, &Path) -> Result<T> + Sync,
) -> Result<T> {
    let attempt = || {
        let copy = tempfile::Builder::new().prefix("copy").tempdir_in(work)?;
        let done = isolated_network(tools, || {
            let opened = match lab {
                Ok(()) => Ok(Lab::open(frozen.addresses(), frozen.mail(), tools, copy.path())?),
                Err(why) => Err(why.as_str()),
            };
            let mut machine = frozen.thaw(name, tools, copy.path(), progress)?;
            let done = work_on(&mut machine, opened.as_ref().map_err(|why| *why), copy.path());
            Ok::<_, Error>((done, machine.broke_down()))
        });
        frozen.tidy(name)?;
        done?
    };
    steady(name, progress, attempt)
}

/// What comes of `attempt`, which says as well why nothing of it counts, when nothing does ([`Machine::broke_down`]).
///
/// Emulated, one machine in some hundred was seen to start anew while it was worked on. That says nothing of the image,
/// so the work is done once more then, on another machine; what comes of that counts.
///
/// # Errors
/// Those of the attempt that counts.
pub fn steady<T>(
    name: &str,
    progress: &Progress,
    attempt: impl Fn() -> Result<(Result<T>, Option<String>)>,
) -> Result<T> {
    let (done, broke) = attempt()?;
    let Some(why) = broke else { return done };
    interrupt::check()?;
    progress.warn(format!("{name} is done once more: {why}"));
    attempt()?.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Mode;
    use std::cell::RefCell;

    /// What comes of attempts that go like this, and how many of them were not made.
    fn came_of(attempts: &[(Result<u8, &str>, Option<&str>)]) -> (Result<u8, String>, usize) {
        let left = RefCell::new(attempts.iter());
        let done = steady("a check", &Progress::new(Mode::Silent), || {
            let (done, broke) = left.borrow_mut().next().unwrap();
            Ok((done.map_err(Error::new), broke.map(str::to_owned)))
        });
        (done.map_err(|error| error.to_string()), left.into_inner().len())
    }

    #[test]
    fn what_a_machine_that_breaks_down_has_shown_does_not_count() {
        assert_eq!(came_of(&[(Ok(1), None), (Ok(2), None)]), (Ok(1), 1));
        assert_eq!(came_of(&[(Ok(1), Some("it broke")), (Ok(2), None)]), (Ok(2), 0));
        assert_eq!(came_of(&[(Err("it is gone"), Some("it broke")), (Ok(2), None)]), (Ok(2), 0));
        // When it breaks down twice, what was seen last counts, also as a finding: there is nothing else.
        assert_eq!(
            came_of(&[(Ok(1), Some("it broke")), (Ok(2), Some("it broke")), (Ok(3), None)]),
            (Ok(2), 1)
        );
        assert_eq!(came_of(&[(Err("it is gone"), None), (Ok(2), None)]), (Err("it is gone".into()), 1));
    }

    #[test]
    fn memory_bounds_the_machines() {
        assert_eq!(machines(4, 64 << 30), 4);
        assert_eq!(machines(4, 5 << 30), 3);
        assert_eq!(machines(4, 0), 1);
        assert_eq!(machines(0, 64 << 30), 1);
    }
}
