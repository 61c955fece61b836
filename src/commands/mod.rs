//! What each command does: the stages, put one after another.

pub mod build;
pub mod cache;
pub mod check;
mod costs;
pub mod diff;
pub mod generate;
mod image;
pub mod lock;
pub mod overlays;
pub mod rebuild;
pub mod run;
pub mod session;
pub mod shell;
pub mod tool;
pub mod verify;
pub mod why;

use crate::error::Result;
use crate::interrupt;

/// Ends as the program did that was run for the user: its status is goldcast's, so that scripts can tell by it what they
/// would without goldcast between. Nothing that is alive here is dropped: working directories have to be gone by now.
fn end_as(status: i32) -> Result<()> {
    interrupt::check()?;
    if status != 0 {
        std::process::exit(status);
    }
    Ok(())
}
