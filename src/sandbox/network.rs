//! A network of one's own: nothing in it reaches the machine's.

use super::{Network, Tools};
use crate::error::{Context, Error, Result};
use nix::sched::{CloneFlags, unshare};

/// Runs `work` on a thread that has its own network namespace with loopback up.
///
/// Sockets that `work` opens, and sandbox runs with [`Network::Inherit`] that it starts, live there.
pub fn isolated_network<T: Send>(tools: &Tools, work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| -> Result<T> {
            unshare(CloneFlags::CLONE_NEWNET).doing("making a network namespace")?;
            tools
                .command("ip")
                .args(["link", "set", "lo", "up"])
                .network(Network::Inherit)
                .run()
                .doing("bringing up loopback in the private network")?;
            Ok(work())
        });
        thread.join().unwrap_or_else(|_| Err(Error::new("the thread of the private network panicked")))
    })
}
