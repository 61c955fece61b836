//! dpkg's own record of what is installed: /var/lib/dpkg, as dpkg itself would have written it.

use super::triggers;
use super::unpack::{Package, Unpacked};
use crate::error::{Context, Error, Result};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where the database is below the root.
pub const DIRECTORY: &str = "var/lib/dpkg";

/// Control files that dpkg keeps elsewhere than in `info/`.
const NOT_KEPT: [&str; 1] = ["control"];

/// The name of a package's files in `info/`: with the architecture when it is `Multi-Arch: same`.
pub fn info_name(package: &Package) -> String {
    let stanza = &package.control.stanza;
    match stanza.get("Multi-Arch") {
        Some("same") => format!("{}:{}", stanza.package(), stanza.get("Architecture").unwrap_or_default()),
        _ => stanza.package().to_owned(),
    }
}

/// Makes the empty database of a new tree.
pub fn create(tree: &Path, architecture: &str) -> Result<()> {
    let database = tree.join(DIRECTORY);
    for directory in ["info", "updates", "triggers", "parts", "alternatives"] {
        fs_err::create_dir_all(database.join(directory))?;
    }
    // The format of file names in info/: 1 since Multi-Arch.
    fs_err::write(database.join("info/format"), "1\n")?;
    fs_err::write(database.join("arch"), format!("{architecture}\n"))?;
    // Without a list of triggers to be taken up, however empty, dpkg takes the database for one from before it knew
    // triggers, and activates every trigger of every package.
    for empty in ["status", "diversions", "statoverride", "triggers/Unincorp"] {
        fs_err::write(database.join(empty), "")?;
    }
    Ok(())
}

/// Records freshly unpacked packages: their files in `info/`, their triggers, and status `unpacked`.
pub fn record(tree: &Path, packages: &[Package], unpacked: &BTreeMap<usize, Unpacked>) -> Result<()> {
    let database = tree.join(DIRECTORY);
    let mut status = fs_err::read_to_string(database.join("status"))?;
    for (&rank, result) in unpacked {
        let package = &packages[rank];
        let name = info_name(package);
        info_files(&database.join("info"), &name, package, result)
            .doing_with(|| format!("recording {} in dpkg's database", package.control.stanza.package()))?;
        status.push_str(
            &package
                .control
                .stanza
                .with(&format!("Status: install ok unpacked\n{}", conffiles_field(package, result))),
        );
        triggers::record_interests(&database.join("triggers"), package)?;
    }
    replace(&database.join("status"), status.as_bytes())
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("goldcast-new");
    fs_err::write(&temporary, bytes)?;
    fs_err::rename(&temporary, path)?;
    Ok(())
}

fn info_files(info: &Path, name: &str, package: &Package, unpacked: &Unpacked) -> Result<()> {
    let write = |extension: &str, mode: u32, bytes: &[u8]| -> Result<()> {
        let path = info.join(format!("{name}.{extension}"));
        fs_err::write(&path, bytes)?;
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
        Ok(())
    };
    let mut list = unpacked.paths.join("\n");
    list.push('\n');
    write("list", 0o644, list.as_bytes())?;
    for (file, (mode, bytes)) in &package.control.files {
        if !NOT_KEPT.contains(&file.as_str()) {
            write(file, *mode, bytes)?;
        }
    }
    if !package.control.files.contains_key("md5sums") {
        // dpkg makes the sums of a package that ships none, conffiles left out.
        let conffiles = conffiles(package);
        let sums: String = unpacked
            .digests
            .iter()
            .filter(|(path, _)| !conffiles.contains(path))
            .map(|(path, digest)| format!("{digest}  {}\n", path.display()))
            .collect();
        write("md5sums", 0o644, sums.as_bytes())?;
    }
    Ok(())
}

/// A package's conffiles that are to be installed, below the root (deb-conffiles(5)).
fn conffiles(package: &Package) -> Vec<PathBuf> {
    package
        .control
        .text("conffiles")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.trim().strip_prefix('/').map(PathBuf::from))
        .collect()
}

/// The `Conffiles:` field: each with the digest it was shipped with. dpkg compares it on upgrade.
/// A line may begin with the flag `remove-on-upgrade`; such a file is not shipped (deb-conffiles(5)).
fn conffiles_field(package: &Package, unpacked: &Unpacked) -> String {
    let mut lines = String::new();
    for line in package.control.text("conffiles").unwrap_or_default().lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("remove-on-upgrade"), Some(path)) => {
                lines.push_str(&format!(" {path} newconffile remove-on-upgrade\n"));
            }
            (Some(path), None) => {
                if let Some(digest) = unpacked.digests.get(Path::new(path.trim_start_matches('/'))) {
                    lines.push_str(&format!(" {path} {digest}\n"));
                }
            }
            _ => {}
        }
    }
    if lines.is_empty() { lines } else { format!("Conffiles:\n{lines}") }
}

/// Changes the state of installed packages in the status file by `edit`, which gets a package's name and
/// its record without the empty line at its end.
pub fn edit_status(tree: &Path, mut edit: impl FnMut(&str, &str) -> Option<String>) -> Result<()> {
    let path = tree.join(DIRECTORY).join("status");
    let text = fs_err::read_to_string(&path)?;
    let mut edited = String::with_capacity(text.len());
    for record in text.split_inclusive("\n\n") {
        let body = record.trim_end_matches('\n');
        if body.is_empty() {
            continue;
        }
        let name = body
            .lines()
            .find_map(|line| line.strip_prefix("Package: "))
            .ok_or_else(|| Error::new("dpkg's status file holds a record without a package"))?;
        match edit(name, body) {
            Some(changed) => edited.push_str(&changed),
            None => edited.push_str(body),
        }
        edited.push_str("\n\n");
    }
    replace(&path, edited.as_bytes())
}

/// The paths below the root that a package's list in `info/` names.
pub fn list(tree: &Path, package: &Package) -> Result<Vec<PathBuf>> {
    let path = tree.join(DIRECTORY).join("info").join(format!("{}.list", info_name(package)));
    let text = fs_err::read_to_string(path)?;
    Ok(text.lines().map(|line| PathBuf::from(line.trim_start_matches('/'))).collect())
}
