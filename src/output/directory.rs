//! The output directory. Files are made in a hidden directory in it, and get their names when all of them are complete.

use super::checksums::{CHECKSUMS, Checksums};
use super::manifest::Artifact;
use super::names::Names;
use crate::error::{Context, Result};
use crate::interrupt;
use crate::scratch::{self, Scratch};
use sha2::{Digest, Sha256};
use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

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

    /// Puts everything in place, with the checksums: the artifacts' are known. What an earlier build of the same image
    /// left there is replaced. What is not the image's stays, and keeps its line in SHA256SUMS.
    ///
    /// Each name changes from the old file to the new one: whenever this is stopped, whole files are there. The checksums
    /// come last; until then they fit no mixture of old and new. It does not wait for the disk: what a loss of power takes
    /// is seen by the checksums, and can be made again.
    pub fn publish(self, artifacts: &[Artifact]) -> Result<()> {
        let (from, to) = (self.scratch.path(), self.target.as_path());
        let files = self.names.files(from)?;
        let sums = Checksums::take(from, &self.names, artifacts)?;
        // Two builds may publish into one directory.
        let _turn = scratch::turn(to)?;
        let earlier = self.names.clone().and_earlier(to).files(to)?;
        let others = Checksums::read(to)?.of(|file| !earlier.contains(file) && to.join(file).exists());
        others.and(sums).write(from)?;
        // Nothing is asked and nothing is written from here on but names.
        for file in &files {
            fs_err::rename(from.join(file), to.join(file))?;
        }
        let logs = self.names.logs();
        if to.join(&logs).symlink_metadata().is_ok() {
            // They go with the working directory.
            fs_err::rename(to.join(&logs), from.join(format!("{logs}.earlier")))?;
        }
        fs_err::rename(from.join(&logs), to.join(&logs))?;
        for file in earlier.difference(&files) {
            fs_err::remove_file(to.join(file))?;
        }
        fs_err::rename(from.join(CHECKSUMS), to.join(CHECKSUMS))?;
        Ok(())
    }
}

/// Writes a file, or another in its place; whole or not at all.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut temporary = tempfile::Builder::new()
            .prefix(".goldcast-")
            // As any other output: what the user's umask leaves of it.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(path.parent().unwrap_or(Path::new("")))?;
        temporary.write_all(content.as_ref())?;
        temporary.persist(path)?;
        Ok(())
    };
    write().doing_with(|| format!("writing {}", path.display()))
}

/// sha256 of a file, hex.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = fs_err::File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        interrupt::check()?;
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(digest.finalize())),
            count => digest.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::testing::names;
    use super::*;

    fn artifacts(files: &[&str]) -> Vec<Artifact> {
        let artifact = |file: &&str| Artifact { file: (*file).into(), size: 3, sha256: "a".repeat(64) };
        files.iter().map(artifact).collect()
    }

    fn here(directory: &Path) -> Vec<String> {
        let entries = fs_err::read_dir(directory).unwrap();
        let mut found: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        found.sort();
        found
    }

    #[test]
    fn a_fresh_directory_lists_all_that_is_published() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("out/x");
        let staging = Staging::new(&target, names("x")).unwrap();
        for file in ["x.raw", "x.raw.gz", "x.lock"] {
            fs_err::write(staging.path().join(file), "new").unwrap();
        }
        assert_eq!(here(&target).len(), 1);
        staging.publish(&artifacts(&["x.raw", "x.raw.gz"])).unwrap();
        assert_eq!(here(&target), [CHECKSUMS, "x.lock", "x.logs", "x.raw", "x.raw.gz"]);
        let (known, taken) = ("a".repeat(64), hex::encode(Sha256::digest("new")));
        let expected = format!("{taken}  x.lock\n{known}  x.raw\n{known}  x.raw.gz\n");
        assert_eq!(fs_err::read_to_string(target.join(CHECKSUMS)).unwrap(), expected);
    }

    #[test]
    fn nothing_appears_before_publishing_and_strangers_stay() {
        let target = tempfile::tempdir().unwrap();
        let target = target.path();
        let old = ["x.raw", "x.qcow2.unproven", "x.nagios.cfg", "x.of-an-overlay"];
        let strangers = ["notes.txt", "x.notes.txt", "x.toml", "x.y.manifest.json", "x.y.raw", "xy.raw"];
        for file in old.iter().chain(&strangers) {
            fs_err::write(target.join(file), "old").unwrap();
        }
        fs_err::write(target.join("x.plan.json"), r#"{"outputs": {"of-an-overlay": {}}}"#).unwrap();
        // Everything is listed, as `sha256sum * > SHA256SUMS` does it, and one file is not there any more.
        let listed = old.iter().chain(&strangers).chain(&["x.manifest.json", "gone.txt"]);
        let sums: String = listed.map(|file| format!("{}  {file}\n", "0".repeat(64))).collect();
        fs_err::write(target.join(CHECKSUMS), sums).unwrap();
        let logs = ["x.logs/bios.serial.log", "x.y.logs/bios.serial.log", "logs/of-something-else"];
        for log in logs {
            fs_err::create_dir_all(target.join(log).parent().unwrap()).unwrap();
            fs_err::write(target.join(log), "old").unwrap();
        }
        let staging = Staging::new(target, names("x")).unwrap();
        fs_err::write(staging.logs().join("packages.log"), "new").unwrap();
        fs_err::write(staging.path().join("x.raw"), "new").unwrap();
        assert_eq!(fs_err::read_to_string(target.join("x.raw")).unwrap(), "old");
        staging.publish(&artifacts(&["x.raw"])).unwrap();

        let mut expected = [CHECKSUMS, "logs", "x.logs", "x.raw", "x.y.logs"].to_vec();
        expected.extend(strangers);
        expected.sort();
        assert_eq!(here(target), expected);
        assert_eq!(fs_err::read_to_string(target.join("x.raw")).unwrap(), "new");
        // Its own old logs are gone, and nobody else's.
        assert_eq!(logs.map(|log| target.join(log).exists()), [false, true, true]);
        assert!(target.join("x.logs/packages.log").exists());
        let mut sums: Vec<(&str, &str)> = strangers.map(|file| (file, "0")).to_vec();
        sums.push(("x.raw", "a"));
        sums.sort();
        let sums: String =
            sums.iter().map(|(file, digit)| format!("{}  {file}\n", digit.repeat(64))).collect();
        assert_eq!(fs_err::read_to_string(target.join(CHECKSUMS)).unwrap(), sums);
    }

    #[test]
    fn a_file_is_replaced_whole_and_as_readable_as_any_other() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs_err::write(at("plain"), "").unwrap();
        for content in ["first", "second"] {
            replace(&at("file"), content).unwrap();
            assert_eq!(fs_err::read_to_string(at("file")).unwrap(), content);
        }
        let mode = |name: &str| fs_err::metadata(at(name)).unwrap().permissions().mode();
        assert_eq!(mode("file"), mode("plain"));
        // No file can take this one's place.
        fs_err::create_dir(at("directory")).unwrap();
        let error = replace(&at("directory"), "third").unwrap_err();
        assert!(error.what().starts_with("writing "), "{error}");
        assert_eq!(here(directory.path()), ["directory", "file", "plain"]);
    }

    #[test]
    fn what_is_not_replaced_goes_only_when_all_the_new_is_there() {
        let target = tempfile::tempdir().unwrap();
        let target = target.path();
        for file in ["x.qcow2", "x.rootfs.tar.gz"] {
            fs_err::write(target.join(file), "old").unwrap();
        }
        fs_err::write(target.join(CHECKSUMS), format!("{}  x.qcow2\n", "0".repeat(64))).unwrap();
        // No file can take this one's place.
        fs_err::create_dir(target.join("x.raw")).unwrap();
        let staging = Staging::new(target, names("x")).unwrap();
        for file in ["x.qcow2", "x.raw"] {
            fs_err::write(staging.path().join(file), "new").unwrap();
        }
        staging.publish(&artifacts(&["x.qcow2", "x.raw"])).unwrap_err();
        assert_eq!(fs_err::read_to_string(target.join("x.rootfs.tar.gz")).unwrap(), "old");
        assert!(fs_err::read_to_string(target.join(CHECKSUMS)).unwrap().starts_with("000"));
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
        drop(second);
        assert!(first.path().is_dir());
        drop(first);
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
}
