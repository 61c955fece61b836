//! The overlays that a machine writes to, so that the image stays as it is (qemu-img(1)).

use super::firmware::Firmware;
use super::qemu::INSIDE;
use crate::error::{Context, Result};
use crate::sandbox::{Command, Tools};
use std::path::{Path, PathBuf};

/// The image's place inside the sandbox.
pub const IMAGE: &str = "/goldcast/image.raw";
/// The overlay of the disk, in a machine's directory.
pub const DISK: &str = "disk.qcow2";

/// The overlay of a firmware's variables: each firmware has its own template below it.
pub fn variables_of(firmware: Firmware) -> String {
    format!("{firmware}.variables.qcow2")
}

/// Makes the overlays in a machine's directory: the disk's, and the firmware's variables'. With `keep`, those that are
/// there stay.
pub fn create(image: &Path, firmware: Firmware, keep: bool, tools: &Tools, directory: &Path) -> Result<()> {
    let create = |backing: &str, name: &str| {
        if keep && directory.join(name).exists() {
            return Ok(());
        }
        qemu_img(image, tools, directory)
            .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b", backing])
            .arg(format!("{INSIDE}/{name}"))
            .run()
            .map(drop)
            .doing_with(|| format!("making the overlay {name}"))
    };
    create(IMAGE, DISK)?;
    match firmware.flash() {
        // Also copy-on-write, so that a snapshot of the whole machine is possible.
        Some((_, variables)) => create(variables, &variables_of(firmware)),
        None => Ok(()),
    }
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
