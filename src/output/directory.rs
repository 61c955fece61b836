//! The output directory. Files are made beside it and renamed into it when all of them are complete.

use crate::error::{Context, Result};
use crate::scratch::Scratch;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Checksums of everything else in the directory, as sha256sum(1) writes and checks them.
pub const CHECKSUMS: &str = "SHA256SUMS";
/// What is put behind the name of an image whose proof failed.
pub const UNPROVEN: &str = "unproven";
/// Where serial logs, screen pictures and the package scripts' output go.
const LOGS: &str = "logs";

/// Files on their way into the output directory. Dropped before [`Staging::publish`], nothing remains.
#[derive(Debug)]
pub struct Staging {
    target: PathBuf,
    scratch: Scratch,
}

impl Staging {
    /// A place for files that will be published in `target`; it is on the same filesystem.
    pub fn new(target: &Path) -> Result<Self> {
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let scratch = Scratch::new(&parent, ".goldcast-").doing("making the output directory")?;
        fs_err::create_dir(scratch.path().join(LOGS))?;
        Ok(Self { target: target.to_path_buf(), scratch })
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
        self.scratch.path().join(LOGS)
    }

    /// Puts everything in place. What an earlier build of the same image left there is replaced; files that
    /// goldcast did not make stay. The checksums come last: with them the set is complete.
    pub fn publish(self, name: &str) -> Result<PathBuf> {
        let from = self.scratch.path();
        fs_err::create_dir_all(&self.target)?;
        let checksums = self.target.join(CHECKSUMS);
        if checksums.exists() {
            fs_err::remove_file(&checksums)?;
        }
        for old in fs_err::read_dir(&self.target)? {
            let old = old?.path();
            let file = old.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if file.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')) && old.is_file() {
                fs_err::remove_file(&old)?;
            }
        }
        let logs = self.target.join(LOGS);
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
        Ok(self.target.clone())
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

/// Puts [`UNPROVEN`] behind the names of an image's files in a published directory, after a proof of it failed.
pub fn mark_unproven<'a>(
    directory: &Path,
    name: &str,
    files: impl IntoIterator<Item = &'a String>,
) -> Result<()> {
    for file in files.into_iter().filter(|file| !file.ends_with(".json")) {
        fs_err::rename(directory.join(file), directory.join(format!("{file}.{UNPROVEN}")))?;
    }
    refresh_checksums(directory, name)
}

/// Takes the checksums of `name`'s files in a published directory anew, after its report changed.
pub fn refresh_checksums(directory: &Path, name: &str) -> Result<()> {
    let mut digests = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        if file.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')) && entry.file_type()?.is_file() {
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

    #[test]
    fn nothing_appears_before_publishing_and_strangers_stay() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("x");
        fs_err::create_dir(&target).unwrap();
        for (name, text) in [("x.raw", "old"), ("x.qcow2", "old"), ("notes.txt", "mine"), (CHECKSUMS, "old")]
        {
            fs_err::write(target.join(name), text).unwrap();
        }
        let staging = Staging::new(&target).unwrap();
        fs_err::write(staging.path().join("x.raw"), "new").unwrap();
        write_checksums(staging.path(), &[("x.raw".into(), "0".repeat(64))]).unwrap();
        assert_eq!(fs_err::read_to_string(target.join("x.raw")).unwrap(), "old");
        staging.publish("x").unwrap();
        assert_eq!(fs_err::read_to_string(target.join("x.raw")).unwrap(), "new");
        assert!(!target.join("x.qcow2").exists());
        assert_eq!(fs_err::read_to_string(target.join("notes.txt")).unwrap(), "mine");
        assert!(fs_err::read_to_string(target.join(CHECKSUMS)).unwrap().ends_with("  x.raw\n"));
        drop(Staging::new(&target).unwrap());
        assert_eq!(fs_err::read_dir(parent.path()).unwrap().count(), 1);
    }
}
