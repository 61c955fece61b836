//! The namespaces in which anything that comes from a package runs.
//!
//! Two layers. [`enter`] puts the whole goldcast process, at its start, into a user and a mount namespace
//! in which it is uid 0 and owns a range of ids: from then on plain file calls give files their true owners,
//! rootless or not. [`Command`] runs one program in further namespaces (pid, ipc, uts, net, mount) with
//! another root directory, where it sees /proc but changes nothing of the machine there, and where programs of packages
//! and recipes cannot mount. All of it is done by re-executing goldcast itself (`stage`), never by fork in a
//! threaded process, so that no unsafe code is needed.

mod command;
mod idmap;
mod mounts;
mod network;
mod privileges;
mod spec;
pub mod stage;
mod tools;
mod userns;

pub use command::{Child, Command, Output, PATH};
pub use network::isolated_network;
pub use spec::{Network, Root};
pub use tools::Tools;
pub use userns::{Entered, enter};
