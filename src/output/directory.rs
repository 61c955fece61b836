//! The output directory. Files are made in a hidden directory in it, and get their names when all of them are complete.

use super::manifest::Artifact;
use super::names::Names;
use crate::error::{Context, Result};
use crate::scratch::Scratch;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Checksums of everything else in the directory, as sha256sum(1) writes and checks them.
pub const CHECKSUMS: &str = "SHA256SUMS";
/// What is put behind the name of an image whose proof failed.
pub const UNPROVEN: &str = "unproven";

/// Directories that were made for the outputs. Those that hold nothing in the end go again.
#[derive(Debug)]
struct Made(Vec<PathBuf>);

impl Made {
    /// Makes a directory, with those that it lies in.
    fn directory(path: &Path) -> Result<Self> {
        let missing = path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        let made = Self(missing.map(Path::to_path_buf).collect());
        fs_err::create_dir_all(path)?;
        Ok(made)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for directory in &self.0 {
            // It is empty, or it stays (rmdir(2)).
            fs_err::remove_dir(directory).ok();
        }
    }
}

/// Files on their way into the output directory. Dropped before [`Staging::publish`], nothing remains.
#[derive(Debug)]
pub struct Staging {
    target: PathBuf,
    names: Names,
    // The order matters: what is in a directory goes before the directory.
    scratch: Scratch,
    _made: Made,
}

impl Staging {
    /// A place for the files of an image that will be published in `target`, which is made. It lies in there: a rename
    /// from beside it fails where `target` is a mount point or a link to another disk, and that is known only when all
    /// work is done.
    ///
    /// # Errors
    /// When `target` cannot be made, or nothing can be written in it.
    pub fn new(target: &Path, names: Names) -> Result<Self> {
        let made = Made::directory(target).doing("making the output directory")?;
        let scratch = Scratch::new(target, ".goldcast-").doing("making the output directory")?;
        fs_err::create_dir(scratch.path().join(names.logs()))?;
        Ok(Self { target: target.to_path_buf(), names, scratch, _made: made })
    }

    /// The directory that the files will be published in: what an earlier build left is there.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The directory to write files into, by their final names.
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// The directory for logs in it.
    pub fn logs(&self) -> PathBuf {
        self.scratch.path().join(self.names.logs())
    }

    /// Puts everything in place. What an earlier build of the same image left there is replaced; files that
    /// goldcast did not make stay. The checksums come last: with them the set is complete.
    pub fn publish(self) -> Result<()> {
        let from = self.scratch.path();
        let checksums = self.target.join(CHECKSUMS);
        let earlier = self.names.earlier(&self.target)?;
        if checksums.exists() {
            fs_err::remove_file(&checksums)?;
        }
        for old in earlier {
            fs_err::remove_file(&old)?;
        }
        let logs = self.target.join(self.names.logs());
        if logs.exists() {
            fs_err::remove_dir_all(&logs)?;
        }
        let mut files: Vec<PathBuf> =
            fs_err::read_dir(from)?.map(|entry| entry.map(|e| e.path())).collect::<std::io::Result<_>>()?;
        files.sort();
        for file in files.iter().filter(|file| !file.ends_with(CHECKSUMS)) {
            fs_err::rename(file, self.target.join(file.file_name().unwrap_or_default()))?;
        }
        if from.join(CHECKSUMS).exists() {
            fs_err::rename(from.join(CHECKSUMS), &checksums)?;
        }
        Ok(())
    }
}

/// Writes SHA256SUMS over these files of `directory`, given with their digests.
pub fn write_checksums(directory: &Path, digests: &[(String, String)]) -> Result<()> {
    let mut lines: Vec<String> = digests.iter().map(|(file, digest)| format!("{digest}  {file}\n")).collect();
    lines.sort_by(|a, b| a[64..].cmp(&b[64..]));
    let complete = directory.join(CHECKSUMS);
    let temporary = directory.join(format!(".{CHECKSUMS}.new"));
    fs_err::write(&temporary, lines.concat())?;
    fs_err::rename(temporary, complete)?;
    Ok(())
}

/// Puts [`UNPROVEN`] behind the names of an image's files, there and in what tells of them, after a proof of it failed.
pub fn mark_unproven(directory: &Path, artifacts: &mut [Artifact]) -> Result<()> {
    for artifact in artifacts {
        let renamed = format!("{}.{UNPROVEN}", artifact.file);
        fs_err::rename(directory.join(&artifact.file), directory.join(&renamed))?;
        artifact.file = renamed;
    }
    Ok(())
}

/// Takes the checksums of an image's files in a published directory anew, after its report changed.
pub fn refresh_checksums(directory: &Path, names: &Names) -> Result<()> {
    let mut digests = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        if names.has(&file) && entry.file_type()?.is_file() {
            digests.push((file, sha256(&entry.path())?));
        }
    }
    write_checksums(directory, &digests)
}

/// sha256 of a file, hex.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = fs_err::File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        crate::interrupt::check()?;
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(digest.finalize())),
            count => digest.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::plan::{Origin, Output};
    use crate::recipe::testing::empty_plan;

    fn names(name: &str) -> Names {
        let mut plan = empty_plan(name);
        let output = Output { content: String::new(), origin: Origin::Goldcast(String::new()) };
        plan.outputs.insert("nagios.cfg".into(), output);
        Names::of(&plan)
    }

    #[test]
    fn nothing_appears_before_publishing_and_strangers_stay() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("x");
        fs_err::create_dir(&target).unwrap();
        let old = ["x.raw", "x.qcow2.unproven", "x.nagios.cfg", "x.of-an-overlay"];
        let strangers = ["notes.txt", "x.toml", "x.y.raw", "x.y.lock", "xy.raw"];
        for name in old.iter().chain(&strangers) {
            fs_err::write(target.join(name), "old").unwrap();
        }
        let listed = ["x.manifest.json", "x.of-an-overlay"].map(|name| (name.to_owned(), "0".repeat(64)));
        write_checksums(&target, &listed).unwrap();
        let logs = ["x.logs/bios.serial.log", "x.y.logs/bios.serial.log", "logs/of-something-else"];
        for log in logs {
            fs_err::create_dir_all(target.join(log).parent().unwrap()).unwrap();
            fs_err::write(target.join(log), "old").unwrap();
        }
        let staging = Staging::new(&target, names("x")).unwrap();
        fs_err::write(staging.logs().join("packages.log"), "new").unwrap();
        fs_err::write(staging.path().join("x.raw"), "new").unwrap();
        write_checksums(staging.path(), &[("x.raw".into(), "0".repeat(64))]).unwrap();
        assert_eq!(fs_err::read_to_string(target.join("x.raw")).unwrap(), "old");
        staging.publish().unwrap();
        let mut there: Vec<_> =
            fs_err::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        there.sort();
        let expected = [
            CHECKSUMS,
            "logs",
            "notes.txt",
            "x.logs",
            "x.raw",
            "x.toml",
            "x.y.lock",
            "x.y.logs",
            "x.y.raw",
            "xy.raw",
        ];
        assert_eq!(there, expected);
        // Its own old logs are gone, and nobody else's.
        assert_eq!(logs.map(|log| target.join(log).exists()), [false, true, true]);
        assert!(target.join("x.logs/packages.log").exists());
        assert_eq!(fs_err::read_to_string(target.join("x.raw")).unwrap(), "new");
        assert!(fs_err::read_to_string(target.join(CHECKSUMS)).unwrap().ends_with("  x.raw\n"));
    }

    #[test]
    fn what_is_under_way_lies_in_the_output_directory_and_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("out/x");
        let first = Staging::new(&target, names("x")).unwrap();
        let second = Staging::new(&target, names("x")).unwrap();
        fs_err::write(first.path().join("x.raw"), "half").unwrap();
        for staging in [&first, &second] {
            assert_eq!(staging.path().parent(), Some(target.as_path()));
            assert!(staging.logs().is_dir());
        }
        drop(first);
        assert!(second.path().is_dir());
        drop(second);
        assert_eq!(fs_err::read_dir(parent.path()).unwrap().count(), 0);

        // A directory that was there stays, and what a killed run left in it goes.
        fs_err::create_dir_all(target.join(".goldcast-killed/logs")).unwrap();
        drop(Staging::new(&target, names("x")).unwrap());
        assert_eq!(fs_err::read_dir(&target).unwrap().count(), 0);
    }

    #[test]
    fn a_place_that_can_be_no_output_directory_is_told_at_once() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs_err::write(&file, "").unwrap();
        for target in [file.clone(), file.join("x")] {
            let error = Staging::new(&target, names("x")).unwrap_err();
            assert_eq!(error.what(), "making the output directory");
            assert!(error.to_string().contains(&file.display().to_string()), "{error}");
        }
        assert_eq!(fs_err::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn another_images_files_are_not_an_earlier_builds() {
        let target = tempfile::tempdir().unwrap();
        let listed = ["x.y.raw", "x.y.manifest.json", "x.y.part"];
        for name in listed {
            fs_err::write(target.path().join(name), "of x.y").unwrap();
        }
        write_checksums(target.path(), &listed.map(|name| (name.to_owned(), "0".repeat(64)))).unwrap();
        assert_eq!(names("x").earlier(target.path()).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(names("x.y").earlier(target.path()).unwrap().len(), 3);
        refresh_checksums(target.path(), &names("x")).unwrap();
        assert_eq!(fs_err::read_to_string(target.path().join(CHECKSUMS)).unwrap(), "");
    }
}
