//! Bytes to tree: packages are unpacked by goldcast and configured by dpkg in the sandbox, then overlays,
//! accounts and boot files go on top, then everything that would tell of the build goes.

pub mod accounts;
pub mod apply;
pub mod boot;
pub mod database;
pub mod deb;
pub mod explain;
pub mod finalize;
mod inside;
mod order;
mod overrides;
pub mod packages;
pub mod scripts;
mod stanza;
mod triggers;
pub mod tools;
pub mod unpack;
pub mod workspace;
