//! Two disks: their tables, and their partitions by number.

use super::engine::{Gathering, ROOT};
use super::findings::Findings;
use super::outside;
use super::people::People;
use super::report::{Change, PartitionChange, What};
use super::source::Source;
use super::table::{self, Partition, Table};
use super::tree::Tree;
use super::volume::Volume;
use crate::disk::filesystem;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// GUIDs of the types of partitions that hold a root filesystem: x86-64 root, and Linux data.
const ROOT_TYPES: [&str; 2] =
    ["4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "0fc63daf-8483-4772-8e79-3d69d8477de4"];

/// ext4's own directory in the root of each filesystem, which no archive has.
const LOST_FOUND: &str = "lost+found";

/// A disk that was read.
pub struct Disk {
    source: Source,
    table: Table,
    volumes: BTreeMap<u32, Volume>,
    /// The number of the partition with the root filesystem.
    root: Option<u32>,
    /// Where other partitions are mounted, by the root's fstab(5), outer ones first.
    mounts: Vec<(u32, String)>,
    /// The root filesystem with what is mounted in it, where something is.
    whole: Option<Tree>,
}

impl Disk {
    /// Reads the table and every filesystem. What is damaged is noted.
    pub fn read(source: &Source) -> Self {
        Self::with(Arc::clone(source), Table::read(source))
    }

    fn with(source: Source, table: Table) -> Self {
        let volumes = volumes(&source, &table);
        let root = root(&volumes);
        let tree = root.and_then(|number| volumes.get(&number)?.tree());
        let mounts = tree.map(|tree| mounts(tree, root, &volumes)).unwrap_or_default();
        let whole = tree.filter(|_| !mounts.is_empty()).map(|tree| {
            let mut whole = tree.clone();
            for (number, at) in &mounts {
                if let Some(mounted) = volumes.get(number).and_then(Volume::tree) {
                    whole.mount(at.as_bytes(), mounted, *number);
                }
            }
            whole
        });
        Self { source, table, volumes, root, mounts, whole }
    }

    /// Takes another disk's table when its own cannot be read at all, so that its content can be compared.
    fn borrow_table(&mut self, other: &Table) {
        if self.table.guid.is_empty() && !other.guid.is_empty() {
            let size = self.table.size;
            let table = Table { size, problem: self.table.problem.take(), ..other.clone() };
            *self = Self::with(Arc::clone(&self.source), table);
        }
    }

    /// The root filesystem with what is mounted in it.
    fn tree(&self) -> Option<&Tree> {
        self.whole.as_ref().or_else(|| self.volumes.get(&self.root?)?.tree())
    }

    /// Whether a partition's files are among those of [`Disk::tree`].
    fn is_mounted(&self, number: u32) -> bool {
        self.root == Some(number) || self.mounts.iter().any(|(mounted, _)| *mounted == number)
    }

    /// What the reader of the report should know.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.table.problem.iter().cloned().collect();
        for volume in self.volumes.values() {
            let title = volume.partition.title();
            notes.extend(volume.notes.iter().map(|note| format!("{title}: {note}")));
        }
        notes
    }

    /// The files of the root filesystem and of what is mounted in it, and the directories that are the filesystems' own.
    pub fn into_tree(mut self) -> Result<(Tree, Vec<Vec<u8>>)> {
        let own = |mount: &str| format!("{mount}/{LOST_FOUND}").into_bytes();
        let own = [""].into_iter().chain(self.mounts.iter().map(|(_, at)| at.as_str())).map(own).collect();
        let root = self.root.and_then(|number| self.volumes.remove(&number));
        let tree = self.whole.or_else(|| root.and_then(Volume::into_tree)).ok_or_else(|| {
            Error::usage("the disk has no root filesystem that could be compared with an archive")
        })?;
        Ok((tree, own))
    }
}

/// The number of the partition with the root filesystem: the last of its type, as for the static checks.
fn root(volumes: &BTreeMap<u32, Volume>) -> Option<u32> {
    let typed = volumes
        .values()
        .filter(|volume| ROOT_TYPES.contains(&volume.partition.kind.as_str()) && volume.tree().is_some());
    typed.max_by_key(|volume| volume.partition.start).map(|volume| volume.partition.number)
}

/// Where the partitions beside the root are mounted by its fstab(5), as far as they have permissions and owners.
fn mounts(tree: &Tree, root: Option<u32>, volumes: &BTreeMap<u32, Volume>) -> Vec<(u32, String)> {
    let named = filesystem::mounts(&tree.text("/etc/fstab").unwrap_or_default());
    let number = |uuid: &str| {
        let mut others = volumes.iter().filter(|(number, _)| Some(**number) != root);
        others.find(|(_, volume)| volume.ext4_uuid().as_deref() == Some(uuid)).map(|(number, _)| *number)
    };
    let mut mounts: Vec<(u32, String)> = Vec::new();
    for (uuid, mount) in named {
        if let Some(number) = number(&uuid).filter(|number| mounts.iter().all(|(known, _)| known != number)) {
            mounts.push((number, mount));
        }
    }
    mounts
}

fn volumes(source: &Source, table: &Table) -> BTreeMap<u32, Volume> {
    let read = |partition: &Partition| (partition.number, Volume::read(source, partition));
    table.partitions.values().map(read).collect()
}

/// Compares two disks.
pub fn compare(mut a: Disk, mut b: Disk, gathering: &mut Gathering) -> Result<()> {
    a.borrow_table(&b.table);
    b.borrow_table(&a.table);
    for (side, disk) in [("A", &a), ("B", &b)] {
        let notes = disk.notes();
        gathering.report.notes.extend(notes.into_iter().map(|note| format!("{side}: {note}")));
    }
    let nothing = Tree::default();
    let trees = (a.tree().unwrap_or(&nothing), b.tree().unwrap_or(&nothing));
    let (people, nobody) = (People::of(trees.0, trees.1), People::none());
    gathering.packages(trees.0, trees.1);
    if gathering.everything() {
        let changes = table::differences(&a.table, &b.table);
        let mut findings = Findings::default();
        outside::compare((&a.source, &a.table), (&b.source, &b.table), &changes, &mut findings)?;
        gathering.bytes(findings, None, (0, 0));
        gathering.report.partitions = changes;
    }
    // All that is mounted is one tree, whichever partitions it is spread over. With a filesystem on one side only, bytes
    // are compared, not files.
    let trees = a.tree().zip(b.tree()).unwrap_or((&nothing, &nothing));
    let changed = gathering.trees(ROOT, trees, &people)?;
    let spread = a.whole.is_some() || b.whole.is_some() || a.root != b.root;
    for (number, one) in &a.volumes {
        let Some(other) = b.volumes.get(number) else { continue };
        let trees = one.tree().zip(other.tree()).unwrap_or((&nothing, &nothing));
        let own;
        let changed = if !(a.is_mounted(*number) || b.is_mounted(*number)) {
            own = gathering.trees(&filesystem_name(&one.partition), trees, &nobody)?;
            &own
        } else if spread {
            own = gathering.untold(trees)?;
            &own
        } else {
            &changed
        };
        if gathering.everything() {
            partition(&mut gathering.report.partitions, one, one.changes(other));
            let findings = one.compare(other, changed)?;
            gathering.bytes(findings, Some(*number), (one.partition.start, other.partition.start));
        }
    }
    gathering.report.partitions.sort_by_key(|change| change.number);
    gathering.report.bytes.sort_by_key(|range| (range.start, range.end));
    Ok(())
}

/// Adds differences of a filesystem as a whole to those of its partition.
fn partition(partitions: &mut Vec<PartitionChange>, volume: &Volume, changes: Vec<Change>) {
    let (number, name) = (volume.partition.number, &volume.partition.name);
    match partitions.iter_mut().find(|partition| partition.number == number) {
        Some(partition) => partition.changes.extend(changes),
        None if changes.is_empty() => {}
        None => {
            let change = What::Changed;
            partitions.push(PartitionChange { number, name: name.clone(), change, changes });
        }
    }
}

/// How a filesystem other than the root is called in paths.
fn filesystem_name(partition: &Partition) -> String {
    match partition.name.as_str() {
        "" | ROOT => format!("partition-{}", partition.number),
        name => name.replace(['/', ':'], "_"),
    }
}
