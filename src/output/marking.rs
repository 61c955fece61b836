//! An image that lies there proved once more: the names of its files, and its manifest, tell what came of it.

use super::manifest::{Artifact, Manifest};
use super::names::{UNPROVEN, bare};
use super::published::MANIFEST;
use crate::error::Result;
use std::path::Path;

/// What came of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It holds.
    Proven,
    /// It holds, and is no proof that takes [`UNPROVEN`] away: because of this.
    Partly(&'static str),
    /// It does not hold.
    Unproven,
}

/// Puts [`UNPROVEN`] behind the names of an image's files, there and in what tells of them, after a proof of it failed.
/// A file that is not there has its name changed in what tells of it.
pub fn mark_unproven(directory: &Path, artifacts: &mut [Artifact]) -> Result<()> {
    mark(directory, artifacts, false)
}

/// Has the names of an image's files, and its manifest beside them, follow a proof of the raw image that is called
/// `raw` and has this sha256. Where they cannot, all stays as it is, and what it returns says why.
///
/// # Errors
/// When a file cannot be renamed or the manifest cannot be written.
pub fn follow(
    directory: &Path,
    manifest: &mut Manifest,
    (raw, sha256): (&str, &str),
    came: Came,
) -> Result<Option<&'static str>> {
    let proven = came != Came::Unproven;
    let right = |file: &str| is_marked(file) != proven;
    if right(raw) && manifest.artifacts.iter().all(|artifact| right(&artifact.file)) {
        return Ok(None);
    }
    // The name that the manifest gives it may be that of before, when a run was stopped between the two.
    let meant = |artifact: &Artifact| {
        artifact.sha256 == sha256
            && (artifact.file == raw
                || bare(&artifact.file) == bare(raw) && !directory.join(&artifact.file).exists())
    };
    if !manifest.artifacts.iter().any(meant) {
        return Ok(Some("the manifest beside it names another"));
    }
    if let Came::Partly(why) = came {
        return Ok(Some(why));
    }
    mark(directory, &mut manifest.artifacts, proven)?;
    manifest.write(&directory.join(format!("{}{MANIFEST}", manifest.name)))?;
    Ok(None)
}

fn mark(directory: &Path, artifacts: &mut [Artifact], proven: bool) -> Result<()> {
    for artifact in artifacts {
        let plain = bare(&artifact.file).to_owned();
        let marked = format!("{plain}.{UNPROVEN}");
        let (former, wanted) = if proven { (marked, plain) } else { (plain, marked) };
        // One by the former name is a stranger when the manifest knows the file by the wanted one, and it is there.
        let done = artifact.file == wanted && directory.join(&wanted).exists();
        if !done && directory.join(&former).exists() {
            fs_err::rename(directory.join(&former), directory.join(&wanted))?;
        }
        artifact.file = wanted;
    }
    Ok(())
}

fn is_marked(file: &str) -> bool {
    bare(file) != file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::manifest::SCHEMA;
    use std::collections::BTreeMap;

    const PLAIN: [&str; 2] = ["x.raw", "x.qcow2"];
    const MARKED: [&str; 2] = ["x.raw.unproven", "x.qcow2.unproven"];

    /// A directory with these files, and the manifest of an image whose files are called so.
    fn placed(there: &[&str], named: [&str; 2]) -> (tempfile::TempDir, Manifest) {
        let directory = tempfile::tempdir().unwrap();
        for file in there {
            fs_err::write(directory.path().join(file), file).unwrap();
        }
        let artifact = |file: &str| Artifact { file: file.into(), size: 1, sha256: digest(file).into() };
        let manifest = Manifest {
            schema: SCHEMA,
            name: "x".into(),
            goldcast: "0.1.0".into(),
            plan_sha256: String::new(),
            lock_sha256: String::new(),
            source_date_epoch: 0,
            distribution: BTreeMap::new(),
            packages: Vec::new(),
            files: BTreeMap::new(),
            partitions: Vec::new(),
            artifacts: named.map(artifact).into(),
        };
        manifest.write(&directory.path().join("x.manifest.json")).unwrap();
        (directory, manifest)
    }

    fn digest(file: &str) -> &'static str {
        if file.starts_with("x.raw") { "of the disk" } else { "of another" }
    }

    /// What is there beside the manifest, and what the manifest says is there.
    fn found(directory: &Path) -> (Vec<String>, Vec<String>) {
        let manifest = Manifest::read(&directory.join("x.manifest.json")).unwrap();
        let entries = fs_err::read_dir(directory).unwrap();
        let mut there: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        there.retain(|file| file != "x.manifest.json");
        there.sort_by_key(|file| !file.starts_with("x.raw"));
        (there, manifest.artifacts.into_iter().map(|artifact| artifact.file).collect())
    }

    #[track_caller]
    fn becomes(
        (directory, mut manifest): (tempfile::TempDir, Manifest),
        raw: &str,
        came: Came,
        names: [&str; 2],
        why: Option<&str>,
    ) {
        let before = fs_err::read(directory.path().join("x.manifest.json")).unwrap();
        assert_eq!(follow(directory.path(), &mut manifest, (raw, "of the disk"), came).unwrap(), why);
        let (there, told) = found(directory.path());
        assert_eq!(there, names);
        assert_eq!(told, names);
        let told: Vec<&str> = manifest.artifacts.iter().map(|artifact| artifact.file.as_str()).collect();
        assert_eq!(told, names);
        let after = fs_err::read(directory.path().join("x.manifest.json")).unwrap();
        if why.is_some() {
            assert!(after == before, "the manifest was written");
        }
    }

    #[test]
    fn names_follow_the_proof() {
        becomes(placed(&PLAIN, PLAIN), "x.raw", Came::Unproven, MARKED, None);
        becomes(placed(&MARKED, MARKED), "x.raw.unproven", Came::Proven, PLAIN, None);
        // As they are already.
        becomes(placed(&PLAIN, PLAIN), "x.raw", Came::Proven, PLAIN, None);
        becomes(placed(&PLAIN, PLAIN), "x.raw", Came::Partly("quick"), PLAIN, None);
        becomes(placed(&MARKED, MARKED), "x.raw.unproven", Came::Unproven, MARKED, None);
        // A part of a proof takes nothing away.
        becomes(placed(&MARKED, MARKED), "x.raw.unproven", Came::Partly("quick"), MARKED, Some("quick"));
    }

    #[test]
    fn back_and_forth_is_as_before() {
        let (directory, mut manifest) = placed(&PLAIN, PLAIN);
        let path = directory.path();
        let before = fs_err::read(path.join("x.manifest.json")).unwrap();
        follow(path, &mut manifest, ("x.raw", "of the disk"), Came::Unproven).unwrap();
        follow(path, &mut manifest, ("x.raw.unproven", "of the disk"), Came::Proven).unwrap();
        assert!(fs_err::read(path.join("x.manifest.json")).unwrap() == before);
        assert_eq!(fs_err::read_to_string(path.join("x.qcow2")).unwrap(), "x.qcow2");
    }

    #[test]
    fn a_run_that_was_stopped_in_between_is_made_good() {
        let there = ["x.raw.unproven", "x.qcow2"];
        becomes(placed(&there, PLAIN), "x.raw.unproven", Came::Unproven, MARKED, None);
        becomes(placed(&there, PLAIN), "x.raw.unproven", Came::Proven, PLAIN, None);
    }

    #[test]
    fn a_stranger_by_the_other_name_takes_no_files_place() {
        let named = ["x.raw.unproven", "x.qcow2"];
        let (directory, mut manifest) = placed(&["x.raw", "x.raw.unproven", "x.qcow2"], named);
        let path = directory.path();
        fs_err::write(path.join("x.raw"), "somebody's").unwrap();
        follow(path, &mut manifest, ("x.raw.unproven", "of the disk"), Came::Unproven).unwrap();
        assert_eq!(fs_err::read_to_string(path.join("x.raw")).unwrap(), "somebody's");
        assert_eq!(fs_err::read_to_string(path.join("x.raw.unproven")).unwrap(), "x.raw.unproven");
        assert!(path.join("x.qcow2.unproven").exists());
    }

    #[test]
    fn another_file_than_the_manifests_changes_no_name() {
        let (directory, mut manifest) = placed(&PLAIN, PLAIN);
        let told = follow(directory.path(), &mut manifest, ("x.raw", "of a changed disk"), Came::Unproven);
        assert_eq!(told.unwrap(), Some("the manifest beside it names another"));
        assert_eq!(found(directory.path()).0, PLAIN);
        // A proven disk that lies beside the unproven one is not what the other files were made from.
        let (directory, mut manifest) = placed(&["x.raw", "x.raw.unproven", "x.qcow2.unproven"], MARKED);
        let told = follow(directory.path(), &mut manifest, ("x.raw", "of the disk"), Came::Proven);
        assert_eq!(told.unwrap(), Some("the manifest beside it names another"));
        assert_eq!(fs_err::read_to_string(directory.path().join("x.raw")).unwrap(), "x.raw");
    }
}
