//! SHA256SUMS: the checksums of a directory's files, as sha256sum(1) writes and checks them. One file may list several
//! images, and what somebody put beside them.

use super::directory::replace;
use super::manifest::Artifact;
use super::names::Names;
use crate::error::Result;
use crate::scratch;
use crate::store::is_sha256;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

/// The file's name.
pub const CHECKSUMS: &str = "SHA256SUMS";

/// sha256 (hex) by the file's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checksums(BTreeMap<String, String>);

impl Checksums {
    /// Those that lie in a directory; none when there are none. Lines that give no file's sha256 are left out.
    pub fn read(directory: &Path) -> Result<Self> {
        let text = match fs_err::read(directory.join(CHECKSUMS)) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self(String::from_utf8_lossy(&text).lines().filter_map(entry).collect()))
    }

    /// Those of an image's files in a directory. Those of its artifacts are known; the rest is small, and nothing stops
    /// its reading: between a change of the files and the writing of their sums nothing shall.
    pub fn take(directory: &Path, names: &Names, artifacts: &[Artifact]) -> Result<Self> {
        let mut digests = BTreeMap::new();
        for file in names.files(directory)? {
            if let Some(artifact) = artifacts.iter().find(|artifact| artifact.file == file) {
                digests.insert(file, artifact.sha256.clone());
            } else if names.is_beside(&file) {
                let content = fs_err::read(directory.join(&file))?;
                digests.insert(file, hex::encode(Sha256::digest(content)));
            }
        }
        Ok(Self(digests))
    }

    /// Only those of files for which this is so.
    pub fn of(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|file, _| wanted(file));
        self
    }

    /// With others; what they say of a file that both have counts.
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The content of the file.
    pub fn text(&self) -> String {
        self.0.iter().map(|(file, digest)| format!("{digest}  {file}\n")).collect()
    }

    /// Writes them into a directory.
    pub fn write(&self, directory: &Path) -> Result<()> {
        replace(&directory.join(CHECKSUMS), self.text())
    }

    /// Brings what a published directory says of one image's files up to date. What it says of others stays, as long as
    /// they are there.
    pub fn refresh(directory: &Path, names: &Names, artifacts: &[Artifact]) -> Result<()> {
        let _turn = scratch::turn(directory)?;
        let found = Self::read(directory)?;
        let there = found.clone().of(|file| directory.join(file).exists());
        let now = there.and(Self::take(directory, names, artifacts)?);
        if now == found { Ok(()) } else { now.write(directory) }
    }
}

/// File and digest of a line: `DIGEST  FILE`, `DIGEST *FILE`, or `SHA256 (FILE) = DIGEST`.
fn entry(line: &str) -> Option<(String, String)> {
    let (digest, file) = match line.strip_prefix("SHA256 (") {
        Some(tagged) => {
            let (file, digest) = tagged.rsplit_once(") = ")?;
            (digest, file)
        }
        None => {
            let (digest, rest) = line.split_once(' ')?;
            (digest, rest.strip_prefix([' ', '*'])?)
        }
    };
    let digest = digest.to_ascii_lowercase();
    // `sha256sum ./*` says so, and means the same file.
    let file = file.trim_start_matches("./");
    is_sha256(&digest).then(|| (file.to_owned(), digest))
}

#[cfg(test)]
mod tests {
    use super::super::names::testing::names;
    use super::*;

    fn digest(letter: &str) -> String {
        letter.repeat(64)
    }

    fn artifact(file: &str, letter: &str) -> Artifact {
        Artifact { file: file.into(), size: 0, sha256: digest(letter) }
    }

    #[test]
    fn every_way_to_write_a_line_is_read_and_one_is_written() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Checksums::read(directory.path()).unwrap(), Checksums::default());
        let lines = [
            "# of a release".to_owned(),
            format!("{}  x.raw.gz", digest("c")),
            format!("{} *a file.txt", digest("A")),
            format!("SHA256 (x (1).raw) = {}", digest("b")),
            format!("{}  ./x.raw", digest("d")),
            format!("{}  short", "a".repeat(63)),
            String::new(),
        ];
        let text = lines.join("\n").into_bytes();
        fs_err::write(directory.path().join(CHECKSUMS), [&text[..], b"\n\xff  x\n"].concat()).unwrap();
        let read = Checksums::read(directory.path()).unwrap();
        let sorted = [("a file.txt", "a"), ("x (1).raw", "b"), ("x.raw", "d"), ("x.raw.gz", "c")];
        let expected: String =
            sorted.iter().map(|(file, letter)| format!("{}  {file}\n", digest(letter))).collect();
        assert_eq!(read.text(), expected);
        read.write(directory.path()).unwrap();
        assert_eq!(fs_err::read_to_string(directory.path().join(CHECKSUMS)).unwrap(), expected);
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_images_sums_are_renewed_and_those_of_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for file in
            ["x.raw.unproven", "x.lock", "x.nagios.cfg", "x.y.raw", "notes.txt", "unlisted.txt", "x.raw.gz"]
        {
            fs_err::write(path.join(file), file).unwrap();
        }
        // Those of x are old: one of its files has another name now, and one is another.
        let old = ["x.raw", "x.lock", "x.y.raw", "notes.txt", "gone.txt"]
            .map(|file| (file.to_owned(), digest("0")));
        Checksums(old.into()).write(path).unwrap();
        // The digest of an artifact is known, its bytes are not looked at.
        let artifacts = [artifact("x.raw.unproven", "1"), artifact("x.qcow2.unproven", "2")];
        Checksums::refresh(path, &names("x"), &artifacts).unwrap();
        let taken = |file: &str| hex::encode(Sha256::digest(file));
        let expected: BTreeMap<String, String> = [
            ("notes.txt", digest("0")),
            ("x.lock", taken("x.lock")),
            ("x.nagios.cfg", taken("x.nagios.cfg")),
            ("x.raw.unproven", digest("1")),
            ("x.y.raw", digest("0")),
        ]
        .map(|(file, digest)| (file.to_owned(), digest))
        .into();
        assert_eq!(Checksums::read(path).unwrap(), Checksums(expected));
    }

    #[test]
    fn sums_that_are_right_are_left_as_somebody_wrote_them() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("x.lock"), "lock").unwrap();
        let text = format!("# signed by me\n{} *x.lock\n", hex::encode(Sha256::digest("lock")));
        fs_err::write(directory.path().join(CHECKSUMS), &text).unwrap();
        Checksums::refresh(directory.path(), &names("x"), &[]).unwrap();
        assert_eq!(fs_err::read_to_string(directory.path().join(CHECKSUMS)).unwrap(), text);
    }
}
