//! QEMU's own format, compressed, by qemu-img(1).

use super::Source;
use crate::error::{Context, Error, Result};
use std::path::Path;

/// Converts the raw disk.
///
/// zlib, because every reader of qcow2 knows it; one cluster after the other in the disk's order, without
/// `-W`, because otherwise the order in the file would be that in which threads happen to end.
pub fn write(source: &Source, path: &Path) -> Result<()> {
    let no_name = || Error::new(format!("{} is no path to a file", path.display()));
    let (directory, name) = path.parent().zip(path.file_name()).ok_or_else(no_name)?;
    source
        .tools
        .command("qemu-img")
        .bind_read_only(source.raw, "/in/disk.raw")
        .bind(directory, "/out/formats")
        .args(["convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compat=1.1", "/in/disk.raw"])
        .arg(Path::new("/out/formats").join(name))
        .run()
        .doing("converting the disk to qcow2")?;
    Ok(())
}
