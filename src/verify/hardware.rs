//! What QEMU is told: the machine's hardware, and the lines that lead to whoever watches it.

use super::accelerator::{Accelerator, Clock};
use super::agent;
use super::card;
use super::firmware::Firmware;
use super::lab;
use super::machine::MachineSpec;
use super::overlay::{DISK, IMAGE, variables_of};
use super::qemu::INSIDE;
use crate::sandbox::{Command, Tools};
use std::path::Path;

/// Where the logs are inside the sandbox.
pub const LOGS: &str = "/goldcast/logs";
/// Where the second drive is there.
const DRIVE: &str = "/goldcast/drive.raw";
/// The serial line's socket.
pub const CONSOLE: &str = "serial";

/// Shows QEMU the host's resolver, which a guest that reaches outside asks through it and the tools tree does not
/// know.
pub fn resolver(command: Command, tools: &Tools) -> Command {
    let resolver = Path::new("/etc/resolv.conf");
    match resolver.exists() && tools.path("/etc/resolv.conf").exists() {
        true => command.bind_read_only(resolver, "/etc/resolv.conf"),
        false => command,
    }
}

/// What QEMU is to be told for this machine.
pub fn arguments(
    command: Command,
    tools: &Tools,
    accelerator: Accelerator,
    spec: &MachineSpec,
    nonce: &str,
) -> Command {
    let command = if spec.outside { resolver(command, tools) } else { command };
    let mut command = command.bind_read_only(&spec.image, IMAGE).bind(&spec.logs, LOGS);
    if accelerator == Accelerator::Kvm {
        command = command.device("/dev/kvm");
    }
    command = hardware(command, accelerator, spec.clock, spec.firmware, spec.memory)
        .arg("-chardev")
        // Logged whether or not somebody is connected.
        .arg(format!(
            "socket,id=serial,path={INSIDE}/{CONSOLE},server=on,wait=off,logappend=on,\
             logfile={LOGS}/{}.serial.log",
            spec.name
        ))
        .args(["-serial", "chardev:serial"])
        .arg("-chardev")
        .arg(format!("socket,id=agent,path={INSIDE}/agent,server=on,wait=off"))
        .args(["-device", "virtio-serial-pci", "-device"])
        .arg(format!("virtserialport,chardev=agent,name={}", agent::PORT));
    command = if spec.wired {
        // The card's own address is QEMU's first, lab::MAC.
        let tap = format!("tap,id=net,ifname={},script=no,downscript=no", lab::TAP);
        command.device(lab::TUN).args(["-netdev", &tap])
    } else {
        // Never `restrict=on`: DHCP would then name no router.
        command.args(["-netdev", &spec.addresses.user_network()])
    };
    if let Some(drive) = &spec.drive {
        command = command
            .bind_read_only(drive, DRIVE)
            .arg("-drive")
            .arg(format!("if=none,id=drive,format=raw,readonly=on,file={DRIVE}"))
            .args(["-device", "virtio-blk-pci,drive=drive"]);
    }
    let alone = spec.idle.then(agent::nothing_else);
    let card = spec.card.as_deref().map(card::credentials);
    smbios(command, agent::credentials(nonce).into_iter().chain(alone).chain(card.into_iter().flatten()))
}

/// Gives the machine these SMBIOS type 11 strings.
pub fn smbios(command: Command, strings: impl IntoIterator<Item = String>) -> Command {
    let argument = |command: Command, text| command.arg("-smbios").arg(format!("type=11,value={text}"));
    strings.into_iter().fold(command, argument)
}

/// The part of the machine that does not depend on who watches it.
pub fn hardware(
    command: Command,
    accelerator: Accelerator,
    clock: Clock,
    firmware: Firmware,
    memory: u32,
) -> Command {
    let mut command = command
        .args(accelerator.arguments(clock))
        .args(["-machine", firmware.machine(), "-nodefaults", "-vga", "std"])
        .args(["-m", &memory.to_string(), "-smp", accelerator.processors()])
        .args(["-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng"])
        .arg("-drive")
        .arg(format!("if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap,file={INSIDE}/{DISK}"))
        .args(["-device", "virtio-blk-pci,drive=disk,bootindex=1"])
        // Without its option ROM: nothing may try to boot from the network.
        .args(["-device", "virtio-net-pci,netdev=net,romfile="]);
    if let Some((code, _)) = firmware.flash() {
        command = command
            .args(["-global", "driver=cfi.pflash01,property=secure,value=on"])
            .args(["-global", "ICH9-LPC.disable_s3=1", "-drive"])
            .arg(format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"))
            .arg("-drive")
            .arg(format!("if=pflash,unit=1,format=qcow2,file={INSIDE}/{}", variables_of(firmware)));
    }
    command
}
