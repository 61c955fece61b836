//! Entering the user namespace: once, at the start, while the process has one thread.

use super::{idmap, stage};
use crate::error::{Context, Error, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, getegid, geteuid, setresgid, setresuid};

/// How the process got its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// Root outside: ids are what they were.
    Privileged,
    /// An ordinary user outside, with subordinate ids.
    Rootless,
}

/// Makes this process uid 0 of a new user namespace, with a mount namespace of its own.
///
/// Must run before any thread starts (unshare(2), CLONE_NEWUSER). Files made from here on by uid N inside
/// belong to the mapped id outside; with subordinate ids that is a true owner for every id of a Debian system.
///
/// Further groups of the user stay goldcast's own, as directories and devices may be open to one of them; what runs in the
/// sandbox gives them up ([`super::Command`]).
pub fn enter() -> Result<Entered> {
    let (uid, gid) = (geteuid(), getegid());
    // Asked for before anything changes, so that a missing range is told in the user's own ids.
    if !uid.is_root() {
        idmap::subordinate(uid, gid)?;
    }
    // The kernel takes a map of several ranges only from a process outside the namespace, and newuidmap must
    // run there too; so the helper starts first and waits for a byte.
    let (reader, writer) = std::io::pipe()?;
    let helper = stage::idmap_helper(std::process::id())
        .stdin(reader)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .doing("starting goldcast's own helper process")?;
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).map_err(idmap::explain_refusal)?;
    use std::io::Write;
    let mut writer = writer;
    writer.write_all(b"m")?;
    drop(writer);
    let output = helper.wait_with_output()?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(serde_json::from_str::<stage::HelperError>(&told).map_or_else(
            |_| Error::new("mapping ids into the sandbox failed").because(told),
            stage::HelperError::into_error,
        ));
    }
    let root = (Uid::from_raw(0), Gid::from_raw(0));
    // Ubuntu's AppArmor lets anybody make the namespace, and refuses what is done in it.
    setresgid(root.1, root.1, root.1)
        .and_then(|()| setresuid(root.0, root.0, root.0))
        .and_then(|()| {
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        })
        .map_err(idmap::explain_refusal)?;
    // The tree's modes are set one by one; nothing of the user's habits may shine through.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    Ok(if uid.is_root() { Entered::Privileged } else { Entered::Rootless })
}
