//! `goldcast run`: the image booted for its owner, with the serial line on the terminal.

use super::accelerator::{Accelerator, Clock};
use super::addresses::Addresses;
use super::card;
use super::firmware::Firmware;
use super::hardware::{hardware, resolver, smbios};
use super::overlay::{self, IMAGE};
use super::qemu::INSIDE;
use crate::error::{Context, Error, Result};
use crate::progress::Progress;
use crate::recipe::plan::Plan;
use crate::sandbox::{Network, Tools};
use crate::stderr;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

/// What to boot for the user.
#[derive(Debug, Clone)]
pub struct RunSpec<'a> {
    /// The raw image; it is never written to.
    pub raw: &'a Path,
    /// What the image is meant to be: its ports and users.
    pub plan: &'a Plan,
    /// What starts it.
    pub firmware: Firmware,
    /// Memory, in MiB.
    pub memory: u32,
    /// What the machine's clock follows while a script runs; on a terminal always the host's.
    pub clock: Clock,
    /// Keeps what the machine writes in this directory and starts from it the next time; nothing is kept without.
    pub persist: Option<PathBuf>,
    /// Where a throw-away overlay goes.
    pub work: &'a Path,
}

/// Boots the image on the terminal until it is switched off (or Ctrl-A x); returns QEMU's exit status.
///
/// Every TCP port that the plan opens is forwarded from a free port of the host's loopback address, printed first.
pub fn run(spec: &RunSpec, tools: &Tools, progress: &Progress) -> Result<i32> {
    let throw_away = tempfile::Builder::new().prefix("run").tempdir_in(spec.work)?;
    let accelerator = Accelerator::choose(tools, throw_away.path(), progress)?;
    let directory = spec.persist.as_deref().unwrap_or(throw_away.path());
    fs_err::create_dir_all(directory)?;
    claim(spec, directory)?;
    overlay::create(spec.raw, spec.firmware, true, tools, directory)?;
    let forwards = forwards(spec.plan)?;
    announce(spec, &forwards);
    let addresses = Addresses::of(spec.plan);
    let mut network = addresses.user_network();
    for forward in &forwards {
        let to = addresses.forwarded_to();
        network.push_str(&format!(",hostfwd=tcp:127.0.0.1:{}-{to}:{}", forward.host, forward.guest));
    }
    let mut command = tools
        .command("qemu-system-x86_64")
        .bind(directory, INSIDE)
        .bind_read_only(spec.raw, IMAGE)
        .network(Network::Inherit)
        .args(["-no-user-config", "-display", "none", "-serial", "mon:stdio", "-netdev", &network]);
    if accelerator == Accelerator::Kvm {
        command = command.device("/dev/kvm");
    }
    let card = card::name(spec.plan).as_deref().map(card::credentials);
    let command = smbios(resolver(command, tools), card.into_iter().flatten());
    hardware(command, accelerator, Clock::Host, spec.firmware, spec.memory).interactive()
}

/// A port of the host that leads to one of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Forward {
    host: u16,
    guest: u16,
    ssh: bool,
}

fn forwards(plan: &Plan) -> Result<Vec<Forward>> {
    let ssh = ssh_port(plan);
    let tcp = plan.opens.iter().filter(|port| port.protocol == "tcp").map(|port| port.number);
    let mut guests: Vec<u16> = tcp.chain(ssh).collect();
    guests.sort_unstable();
    guests.dedup();
    guests
        .into_iter()
        .map(|guest| Ok(Forward { host: free_port()?, guest, ssh: ssh == Some(guest) }))
        .collect()
}

/// The port of the `ssh` overlay, when it is on.
fn ssh_port(plan: &Plan) -> Option<u16> {
    u16::try_from(plan.overlays.get("ssh")?.get("port")?.as_u64()?).ok()
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing("looking for a free port")?;
    Ok(listener.local_addr()?.port())
}

fn announce(spec: &RunSpec, forwards: &[Forward]) {
    for forward in forwards {
        if forward.ssh {
            let user = spec.plan.users.first().map_or("root", |user| user.name.as_str());
            stderr::line(format_args!("ssh -p {} {user}@127.0.0.1", forward.host));
        } else {
            let Forward { guest, host, .. } = forward;
            stderr::line(format_args!("port {guest} of the machine is 127.0.0.1:{host}"));
        }
    }
    let kept = match &spec.persist {
        Some(directory) => format!("what it writes is kept in {}", directory.display()),
        None => "what it writes is thrown away".to_owned(),
    };
    stderr::line(format_args!("The image itself is not changed; {kept}. Ctrl-A x switches the machine off."));
}

/// Notes which image the directory's overlay belongs to, or refuses one of another image.
pub(super) fn claim(spec: &RunSpec, directory: &Path) -> Result<()> {
    let marker = directory.join("image");
    let now = stamp(spec.raw)?;
    match fs_err::read_to_string(&marker) {
        Ok(then) if then != now => {
            Err(Error::usage(format!("{} belongs to another image", directory.display()))
                .because(format!("{} was built anew since", spec.raw.display()))
                .hint("name another directory, or remove that one"))
        }
        Ok(_) => Ok(()),
        Err(_) => Ok(fs_err::write(&marker, &now)?),
    }
}

/// What tells one image file from the next without reading it: an overlay on another image is garbage.
fn stamp(raw: &Path) -> Result<String> {
    let metadata = fs_err::metadata(raw)?;
    let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} {}\n", metadata.len(), modified.as_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::testing::plan;

    #[test]
    fn every_open_tcp_port_is_forwarded_once_and_ssh_is_known() {
        let forwards = forwards(&plan()).unwrap();
        assert_eq!(forwards.len(), 1);
        assert!(forwards[0].guest == 2222 && forwards[0].ssh && forwards[0].host != 0);
    }
}
