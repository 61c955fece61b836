//! What a program that comes from a package is not trusted with.

use crate::error::{Context, Result};
use nix::errno::Errno;
use nix::unistd::setgroups;
use rustix::thread::{CapabilitySet, capabilities, remove_capability_from_bounding_set, set_capabilities};

/// Gives up, for this process and all that it starts, what undoes the sandbox's mounts: with CAP_SYS_ADMIN
/// (capabilities(7)) a script could make them writable again or take them off. A user namespace that it makes for itself
/// gives it that power over copies of them only, in which the kernel has locked each (mount_namespaces(7)).
///
/// Package scripts get along without: container engines withhold it where Debian's packages are installed every day.
pub fn give_up_mounting() -> Result<()> {
    let mut sets =
        capabilities(None).map_err(std::io::Error::from).doing("asking for the sandbox's capabilities")?;
    for set in [&mut sets.effective, &mut sets.permitted, &mut sets.inheritable] {
        set.remove(CapabilitySet::SYS_ADMIN);
    }
    remove_capability_from_bounding_set(CapabilitySet::SYS_ADMIN)
        .and_then(|()| set_capabilities(None, sets))
        .map_err(std::io::Error::from)
        .doing("giving up the power to mount inside the sandbox")
}

/// Gives up, for this process and all that it starts, the groups of the user who runs goldcast (setgroups(2)): a container
/// engine's socket or a disk may be open to one of them.
pub fn give_up_groups() -> Result<()> {
    match setgroups(&[]) {
        // A container may be made so that nobody in it changes them (user_namespaces(7), /proc/PID/setgroups).
        Err(Errno::EPERM) if fs_err::read_to_string("/proc/self/setgroups")?.trim() == "deny" => Ok(()),
        done => done.doing("giving up the user's groups inside the sandbox"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::thread::{CapabilitySets, capability_is_in_bounding_set};

    #[test]
    fn nothing_else_is_given_up() {
        // Capabilities are a thread's own.
        std::thread::spawn(|| {
            let CapabilitySets { permitted, .. } = capabilities(None).unwrap();
            if !permitted.contains(CapabilitySet::SYS_ADMIN | CapabilitySet::SETPCAP) {
                return println!("could not check: whoever runs this has no such powers");
            }
            give_up_mounting().unwrap();
            let now = capabilities(None).unwrap();
            assert_eq!(now.permitted, permitted - CapabilitySet::SYS_ADMIN);
            assert_eq!(now.effective & CapabilitySet::SYS_ADMIN, CapabilitySet::empty());
            assert!(!capability_is_in_bounding_set(CapabilitySet::SYS_ADMIN).unwrap());
            assert!(capability_is_in_bounding_set(CapabilitySet::SYS_CHROOT).unwrap());
            let child = std::process::Command::new("/bin/cat").arg("/proc/self/status").output().unwrap();
            let status = String::from_utf8(child.stdout).unwrap();
            let held = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
            let held = u64::from_str_radix(held, 16).unwrap();
            assert_eq!(
                CapabilitySet::from_bits_retain(held) & CapabilitySet::SYS_ADMIN,
                CapabilitySet::empty()
            );
        })
        .join()
        .unwrap();
    }
}
