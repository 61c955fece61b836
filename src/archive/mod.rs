//! A Debian archive: signed indexes, versions, dependency resolution, and the lock made from them.
//!
//! [`locking::lock`] goes from a plan to a lock, [`packages::fetch`] from a lock to files in the store.

mod date;
pub mod distribution;
mod explain;
pub mod index;
pub mod lock;
pub mod lockfile;
pub mod locking;
pub mod mirrors;
pub mod packages;
pub mod relation;
pub mod release;
mod repository;
pub mod resolve;
pub mod universe;
mod update;
pub mod version;

pub use lockfile::{Status, request_digest};
pub use locking::{Sources, lock};
pub use mirrors::Mirrors;
pub use update::Update;

#[cfg(test)]
mod live_tests;
#[cfg(test)]
mod testing;
