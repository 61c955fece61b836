//! A partition with its filesystem, and two of them compared by their bytes.

use super::findings::{Changed, Findings};
use super::raw;
use super::report::Change;
use super::source::{Source, Window};
use super::table::Partition;
use super::tree::Tree;
use super::{ext4, fat};
use crate::error::Result;
use std::sync::Arc;

/// GUID of the type of partitions that hold a boot loader outside of any filesystem.
const BIOS_BOOT: &str = "21686148-6449-6e6f-744e-656564454649";

/// What is in a partition.
pub enum Filesystem {
    /// ext4, or its elders.
    Ext4(Box<ext4::Filesystem>),
    /// FAT.
    Fat(Box<fat::Filesystem>),
    /// None that goldcast reads.
    None,
}

/// A partition and what was read of it.
pub struct Volume {
    /// Its entry in the table.
    pub partition: Partition,
    /// Its bytes.
    pub source: Source,
    /// Its filesystem.
    pub filesystem: Filesystem,
    /// What the reader of the report should know, in words.
    pub notes: Vec<String>,
}

impl Volume {
    /// Reads a partition of a disk. What cannot be read is told in `notes`, and compared as bytes.
    pub fn read(disk: &Source, partition: &Partition) -> Self {
        let source: Source = Arc::new(Window::new(disk, partition.range()));
        let mut notes = Vec::new();
        let mut filesystem = Filesystem::None;
        if ext4::Filesystem::is_there(&*source) {
            match ext4::Filesystem::read(Arc::clone(&source)) {
                Ok(read) => {
                    notes.extend(read.damage().map(|damage| format!("the filesystem is damaged: {damage}")));
                    if read.needs_recovery() {
                        notes.push("the journal holds changes that are not yet in the filesystem".into());
                    }
                    notes.extend(read.problems.iter().cloned());
                    filesystem = Filesystem::Ext4(Box::new(read));
                }
                Err(error) => notes.push(format!("the ext4 filesystem cannot be read: {error}")),
            }
        }
        if matches!(filesystem, Filesystem::None) && fat::Filesystem::is_there(&*source) {
            match fat::Filesystem::read(Arc::clone(&source)) {
                Ok(read) => {
                    notes.extend(read.problems.iter().cloned());
                    filesystem = Filesystem::Fat(Box::new(read));
                }
                Err(error) => notes.push(format!("the FAT filesystem cannot be read: {error}")),
            }
        }
        Self { partition: partition.clone(), source, filesystem, notes }
    }

    /// The files, where there is a filesystem.
    pub fn tree(&self) -> Option<&Tree> {
        match &self.filesystem {
            Filesystem::Ext4(filesystem) => Some(&filesystem.tree),
            Filesystem::Fat(filesystem) => Some(&filesystem.tree),
            Filesystem::None => None,
        }
    }

    /// The files, without the rest.
    pub fn into_tree(self) -> Option<Tree> {
        match self.filesystem {
            Filesystem::Ext4(filesystem) => Some(filesystem.tree),
            Filesystem::Fat(filesystem) => Some(filesystem.tree),
            Filesystem::None => None,
        }
    }

    /// Kind, label and UUID of the filesystem.
    fn names(&self) -> [(&'static str, Option<String>); 3] {
        let (kind, names) = match &self.filesystem {
            Filesystem::Ext4(filesystem) => (Some("ext4"), Some(filesystem.names())),
            Filesystem::Fat(filesystem) => (Some("vfat"), Some(filesystem.names())),
            Filesystem::None => (None, None),
        };
        let (label, uuid) = names.unzip();
        [("filesystem", kind.map(str::to_owned)), ("filesystem label", label), ("filesystem UUID", uuid)]
    }

    /// The UUID of an ext4 filesystem, by which fstab(5) names it.
    pub fn ext4_uuid(&self) -> Option<String> {
        match &self.filesystem {
            Filesystem::Ext4(filesystem) => Some(filesystem.names().1.to_ascii_lowercase()),
            _ => None,
        }
    }

    /// Differences of the filesystems as a whole.
    pub fn changes(&self, other: &Self) -> Vec<Change> {
        let pairs = self.names().into_iter().zip(other.names());
        let differing = pairs.filter(|(a, b)| a.1 != b.1);
        differing.map(|(a, b)| Change { what: a.0.into(), a: a.1, b: b.1 }).collect()
    }

    /// The bytes that differ, but for what `changed` explains.
    pub fn compare(&self, other: &Self, changed: &Changed) -> Result<Findings> {
        let mut findings = Findings::default();
        match (&self.filesystem, &other.filesystem) {
            (Filesystem::Ext4(a), Filesystem::Ext4(b)) => ext4::compare(a, b, changed, &mut findings)?,
            (Filesystem::Fat(a), Filesystem::Fat(b)) => fat::compare(a, b, changed, &mut findings)?,
            _ => self.plain(other, &mut findings)?,
        }
        Ok(findings)
    }

    fn plain(&self, other: &Self, findings: &mut Findings) -> Result<()> {
        let place = if self.partition.kind == BIOS_BOOT {
            "boot loader image for BIOS"
        } else {
            "no known filesystem"
        };
        let (a, b) = (&*self.source, &*other.source);
        for chunk in raw::chunks(a, b)? {
            let end = (chunk.offset + raw::CHUNK as u64).min(a.size()).min(b.size());
            let (bytes_a, bytes_b) =
                (a.bytes(chunk.offset..end, raw::CHUNK)?, b.bytes(chunk.offset..end, raw::CHUNK)?);
            findings.tell_all(chunk.offset, &bytes_a, &bytes_b, place);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_filesystem_is_not_read_is_told() {
        let partition = Partition {
            number: 3,
            name: "root".into(),
            kind: String::new(),
            guid: String::new(),
            start: 0,
            size: 1 << 16,
            attributes: 0,
        };
        let mut bytes = vec![0; 1 << 16];
        bytes[1024 + 0x38..][..2].copy_from_slice(&[0x53, 0xef]);
        let notes = |bytes: &[u8]| {
            let disk: Source = Arc::new(bytes.to_vec());
            Volume::read(&disk, &partition).notes
        };
        assert!(notes(&bytes)[0].contains("numbers that cannot be"), "{:?}", notes(&bytes));
        // A feature of ext4 that moves structures: bigalloc.
        bytes[1024 + 0x65] = 2;
        assert!(notes(&bytes)[0].contains("bigalloc"), "{:?}", notes(&bytes));
        assert_eq!(notes(&[0; 1 << 16]), [""; 0]);
    }
}
