//! Extended attributes (xattr(7)) that are part of an image.

use crate::error::{Context, Result};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The file's extended attributes that belong in an image, sorted by name.
pub fn of(path: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let doing = || format!("reading the extended attributes of {}", path.display());
    let mut kept = Vec::new();
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EOPNOTSUPP as i32) => return Ok(kept),
        Err(error) => return Err(error).doing_with(doing),
    };
    for name in names.filter(|name| belongs(name)) {
        if let Some(value) = xattr::get(path, &name).doing_with(doing)? {
            kept.push((name.to_string_lossy().into_owned(), value));
        }
    }
    kept.sort();
    Ok(kept)
}

/// Whether an attribute is the package's or the recipe's, not the host's (SELinux labels, integrity hashes,
/// the marks of overlay filesystems).
fn belongs(name: &OsStr) -> bool {
    let name = name.as_bytes();
    matches!(name, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default")
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_attributes_of_the_image_are_kept() {
        for name in ["security.capability", "system.posix_acl_access", "user.mime_type"] {
            assert!(belongs(OsStr::new(name)), "{name}");
        }
        for name in
            ["security.selinux", "security.ima", "trusted.overlay.opaque", "user.overlay.opaque", "users"]
        {
            assert!(!belongs(OsStr::new(name)), "{name}");
        }
    }
}
