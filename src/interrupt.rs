//! Ctrl-C and kill: the first signal asks every stage to stop; what was begun is cleaned away on the way out.

use crate::error::{Error, Exit, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

static CAUGHT: std::sync::OnceLock<Arc<AtomicUsize>> = std::sync::OnceLock::new();

/// Starts to listen for the signals that end a run. A second signal ends the process at once.
pub fn listen() -> Result<()> {
    let caught = CAUGHT.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let already = Arc::new(std::sync::atomic::AtomicBool::new(false));
        // The order matters: the conditional shutdown must see the first signal as "not yet".
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&already))?;
        signal_hook::flag::register(signal, already)?;
        signal_hook::flag::register_usize(signal, Arc::clone(caught), signal as usize)?;
    }
    Ok(())
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
