//! Tests of writing and reading together.

mod foreign;
mod hostile;
mod sound;
mod written;

use super::{CLUSTER, Earlier, Reader, Written, write};
use std::io::Read;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory with files of a test in it.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file with this content.
    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        fs_err::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// Writes the disk to a qcow2 file; returns the file and what is said of it.
    fn qcow2(&self, name: &str, disk: &Path, earlier: Option<Earlier<'_>>) -> (Vec<u8>, Written) {
        let written = write(disk, &self.path(name), earlier).unwrap();
        (fs_err::read(self.path(name)).unwrap(), written)
    }
}

/// All of the disk that a qcow2 file holds.
fn disk_of(path: &Path) -> crate::Result<Vec<u8>> {
    let mut reader = Reader::open(path)?;
    let mut disk = Vec::new();
    reader.read_to_end(&mut disk)?;
    assert_eq!(disk.len() as u64, reader.size());
    Ok(disk)
}

/// Numbers without a pattern, always the same (xorshift64).
fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// What a cluster of a test's disk is filled with.
#[derive(Debug, Clone, Copy)]
enum Content {
    Zeros,
    /// Compresses to a little.
    Text,
    /// Compresses to about half.
    Mixed,
    /// Does not compress.
    Random,
}

/// A disk of such clusters; each is different.
fn disk(clusters: &[Content]) -> Vec<u8> {
    let mut disk = Vec::new();
    for (number, content) in clusters.iter().enumerate() {
        let mut random = numbers(number as u64 * 7_919 + 3);
        let end = disk.len() + CLUSTER;
        match content {
            Content::Zeros => disk.resize(end, 0),
            Content::Text => {
                while disk.len() < end {
                    disk.extend(format!("line {} of cluster {number}\n", random() % 10).bytes());
                }
            }
            Content::Mixed => disk.extend((0..CLUSTER).map(|_| random() as u8 & 0x0f)),
            Content::Random => disk.extend((0..CLUSTER).map(|_| random() as u8)),
        }
        disk.truncate(end);
    }
    disk
}

/// A disk with every content, over more clusters than one L2 table of a small file has.
fn some_disk() -> Vec<u8> {
    use Content::{Mixed, Random, Text, Zeros};
    disk(&[Mixed, Text, Random, Zeros, Zeros, Mixed, Random, Text, Text, Mixed, Zeros, Random, Mixed])
}
