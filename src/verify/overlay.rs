//! The overlays that a machine writes to, so that the image stays as it is (qemu-img(1)).

use super::firmware::Firmware;
use super::qemu::INSIDE;
use crate::error::{Context, Result};
use crate::sandbox::{Command, Tools};
use std::path::{Path, PathBuf};

/// The image's place inside the sandbox.
pub const IMAGE: &str = "/goldcast/image.raw";
/// Where the directory of a machine at rest is inside the sandbox of those that go on from it.
pub const FROZEN: &str = "/goldcast/frozen";
/// The overlay of the disk, in a machine's directory.
pub const DISK: &str = "disk.qcow2";

/// The overlay of a firmware's variables: each firmware has its own template below it.
pub fn variables_of(firmware: Firmware) -> String {
    format!("{firmware}.variables.qcow2")
}

/// Makes the overlays in a machine's directory: the disk's, and the firmware's variables'. With `keep`, those that are
/// there stay.
pub fn create(image: &Path, firmware: Firmware, keep: bool, tools: &Tools, directory: &Path) -> Result<()> {
    let create = |backing: &str, name: &str| match keep && directory.join(name).exists() {
        true => Ok(()),
        false => over(qemu_img(image, tools, directory), backing, "raw", name),
    };
    create(IMAGE, DISK)?;
    firmware.flash().map_or(Ok(()), |(_, variables)| create(variables, &variables_of(firmware)))
}

/// Makes the overlays of a machine that goes on from the one in `frozen`, which stays as it is: any number may.
pub fn create_over(
    image: &Path,
    frozen: &Path,
    firmware: Firmware,
    tools: &Tools,
    directory: &Path,
) -> Result<()> {
    let create = |name: &str| {
        let command = qemu_img(image, tools, directory).bind_read_only(frozen, FROZEN);
        over(command, &format!("{FROZEN}/{name}"), "qcow2", name)
    };
    create(DISK)?;
    firmware.flash().map_or(Ok(()), |_| create(&variables_of(firmware)))
}

fn over(qemu_img: Command, backing: &str, format: &str, name: &str) -> Result<()> {
    qemu_img
        .args(["create", "-q", "-f", "qcow2", "-F", format, "-b", backing])
        .arg(format!("{INSIDE}/{name}"))
        .run()
        .map(drop)
        .doing_with(|| format!("making the overlay {name}"))
}

/// Writes what the machine in `frozen` had changed into the disk of a copy of it, whose base is the image itself from
/// then on.
pub fn detach(image: &Path, frozen: &Path, tools: &Tools, directory: &Path) -> Result<()> {
    qemu_img(image, tools, directory)
        .bind_read_only(frozen, FROZEN)
        .args(["rebase", "-q", "-f", "qcow2", "-F", "raw", "-b", IMAGE])
        .arg(format!("{INSIDE}/{DISK}"))
        .run()
        .map(drop)
        .doing("putting the overlays of a machine and of its copy together")
}

/// Makes the disk this large, in bytes.
pub fn enlarge(image: &Path, size: u64, tools: &Tools, directory: &Path) -> Result<()> {
    qemu_img(image, tools, directory)
        .args(["resize", "-q", "-f", "qcow2", &format!("{INSIDE}/{DISK}"), &size.to_string()])
        .run()
        .map(drop)
        .doing("making the machine's disk larger")
}

/// Writes what the overlay makes of the image as a raw disk beside it, and returns its path.
pub fn flatten(image: &Path, tools: &Tools, directory: &Path) -> Result<PathBuf> {
    qemu_img(image, tools, directory)
        .args(["convert", "-q", "-f", "qcow2", "-O", "raw"])
        .args([format!("{INSIDE}/{DISK}"), format!("{INSIDE}/disk.raw")])
        .run()
        .doing("putting the machine's overlay and its image together")?;
    Ok(directory.join("disk.raw"))
}

fn qemu_img(image: &Path, tools: &Tools, directory: &Path) -> Command {
    tools.command("qemu-img").bind(directory, INSIDE).bind_read_only(image, IMAGE)
}
