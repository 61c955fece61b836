//! dpkg's own record of what is installed: /var/lib/dpkg, as dpkg itself would have written it.

use super::triggers;
use super::unpack::{Package, Unpacked};
use crate::error::{Context, Error, Result};
use crate::tree::directory::Directory;
use crate::tree::inside::Tree;
use std::collections::BTreeMap;
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
    let database = opened(tree)?;
    let info = database.enter("info")?;
    let triggers = database.enter("triggers")?;
    let mut status = status(&database)?;
    for (&rank, result) in unpacked {
        let package = &packages[rank];
        let name = info_name(package);
        info_files(&info, &name, package, result)
            .doing_with(|| format!("recording {} in dpkg's database", package.control.stanza.package()))?;
        status.push_str(
            &package
                .control
                .stanza
                .with(&format!("Status: install ok unpacked\n{}", conffiles_field(package, result))),
        );
        triggers::record_interests(&triggers, package)?;
    }
    replace(&database, status.as_bytes())
}

/// The database of a tree in which package scripts may have been.
pub fn opened(tree: &Path) -> Result<Directory> {
    Tree::open(tree)?.find(DIRECTORY)?.ok_or_else(|| Error::new("there is no database of dpkg in the tree"))
}

/// The status file's text.
fn status(database: &Directory) -> Result<String> {
    String::from_utf8(database.read("status")?)
        .map_err(|error| error.utf8_error())
        .doing("reading dpkg's status file")
}

/// Puts another status file in the place of the one that is there.
fn replace(database: &Directory, bytes: &[u8]) -> Result<()> {
    let temporary = "status.goldcast-new";
    database.create(temporary, 0o644, bytes)?;
    database.rename(temporary, "status")
}

fn info_files(info: &Directory, name: &str, package: &Package, unpacked: &Unpacked) -> Result<()> {
    let write =
        |extension: &str, mode: u32, bytes: &[u8]| info.create(format!("{name}.{extension}"), mode, bytes);
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
    let database = opened(tree)?;
    let text = status(&database)?;
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
    replace(&database, edited.as_bytes())
}

/// The paths below the root that a package's list in `info/` names.
pub fn list(tree: &Path, package: &Package) -> Result<Vec<PathBuf>> {
    let bytes = opened(tree)?.enter("info")?.read(format!("{}.list", info_name(package)))?;
    let text = std::str::from_utf8(&bytes)
        .doing_with(|| format!("reading the list of {}", package.control.stanza.package()))?;
    Ok(text.lines().map(|line| PathBuf::from(line.trim_start_matches('/'))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::deb::Control;
    use crate::rootfs::stanza::Stanza;
    use std::os::unix::fs::symlink;

    fn package(fields: &str) -> Package {
        let stanza = Stanza::parse(fields).unwrap();
        let files = BTreeMap::from([("postinst".to_owned(), (0o755, b"#!/bin/sh\n".to_vec()))]);
        Package { deb: "xx.deb".into(), expanded: None, control: Control { stanza, files } }
    }

    #[test]
    fn links_that_a_script_planted_are_not_written_through() {
        let machine = tempfile::tempdir().unwrap();
        let theirs = machine.path().join("theirs");
        fs_err::write(&theirs, "theirs").unwrap();
        let tree = tempfile::tempdir().unwrap();
        create(tree.path(), "amd64").unwrap();
        let database = tree.path().join(DIRECTORY);
        for name in ["status.goldcast-new", "info/xx.list", "info/xx.postinst", "info/xx.md5sums"] {
            symlink(&theirs, database.join(name)).unwrap();
        }
        let packages = [package("Package: xx\nArchitecture: all\n")];
        record(tree.path(), &packages, &BTreeMap::from([(0, Unpacked::default())])).unwrap();
        symlink(&theirs, database.join("status.goldcast-new")).unwrap();
        edit_status(tree.path(), |name, record| Some(format!("{record}\nSection: {name}"))).unwrap();
        let status = fs_err::read_to_string(database.join("status")).unwrap();
        assert_eq!(status, "Package: xx\nStatus: install ok unpacked\nArchitecture: all\nSection: xx\n\n");
        assert!(database.join("info/xx.list").symlink_metadata().unwrap().is_file());
        assert!(!database.join("status.goldcast-new").exists());
        assert_eq!(list(tree.path(), &packages[0]).unwrap(), [PathBuf::new()]);
        assert_eq!(fs_err::read_to_string(&theirs).unwrap(), "theirs");
    }

    #[test]
    fn a_package_names_no_file_elsewhere() {
        let tree = tempfile::tempdir().unwrap();
        create(tree.path(), "amd64").unwrap();
        fs_err::create_dir(tree.path().join(DIRECTORY).join("info/xx:a")).unwrap();
        let packages = [package("Package: xx\nArchitecture: a/../../../../../out\nMulti-Arch: same\n")];
        record(tree.path(), &packages, &BTreeMap::from([(0, Unpacked::default())])).unwrap_err();
        assert_eq!(fs_err::read_dir(tree.path()).unwrap().count(), 1);
    }
}
