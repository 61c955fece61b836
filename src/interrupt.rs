//! Ctrl-C and kill: the first signal asks every stage to stop; what was begun is cleaned away on the way out.

use crate::error::{Error, Exit, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

static CAUGHT: std::sync::OnceLock<Arc<AtomicUsize>> = std::sync::OnceLock::new();

/// Starts to listen for the signals that end a run. A second one of the same kind ends the process at once; two of
/// different kinds are sent together by who means to end it in good order (systemd.kill(5), `SendSIGHUP=`).
pub fn listen() -> Result<()> {
    let caught = CAUGHT.get_or_init(Arc::default);
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // nohup(1) and shells that start something in the background have it ignored on purpose.
        if ignored(&status, signal) {
            continue;
        }
        let already = Arc::new(std::sync::atomic::AtomicBool::new(false));
        // The order matters: the conditional shutdown must see the first signal as "not yet".
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&already))?;
        signal_hook::flag::register(signal, already)?;
        signal_hook::flag::register_usize(signal, Arc::clone(caught), signal as usize)?;
    }
    Ok(())
}

/// Whether a process with this status ignores a signal (proc_pid_status(5), `SigIgn`).
fn ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// The signal that asked the run to stop, when one did.
pub fn caught() -> Option<i32> {
    match CAUGHT.get()?.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(signal as i32),
    }
}

/// An error once a signal asked the run to stop. Long loops call it at every step.
pub fn check() -> Result<()> {
    match caught() {
        None => Ok(()),
        Some(signal) => {
            Err(Error::new("stopped by a signal before it was done").exit_with(Exit::Interrupted(signal)))
        }
    }
}

/// The error to tell at the end of a run. After a signal that is the signal: at Ctrl-C the terminal interrupts the
/// children too, and their failures are only its echo.
pub fn outranks(error: Error) -> Error {
    match (error.exit(), check()) {
        (Exit::Interrupted(_), _) | (_, Ok(())) => error,
        (_, Err(stopped)) => stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_nohup_has_ignored_stays_so() {
        let status = "Name:\tgoldcast\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n";
        assert!(ignored(status, SIGHUP));
        assert!(!ignored(status, SIGINT) && !ignored(status, SIGTERM) && !ignored("", SIGHUP));
    }
}
