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
