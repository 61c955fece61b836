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
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// GUIDs of the types of partitions that hold a root filesystem: x86-64 root, and Linux data.
const ROOT_TYPES: [&str; 2] =
    ["4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "0fc63daf-8483-4772-8e79-3d69d8477de4"];

/// A disk that was read.
pub struct Disk {
    source: Source,
    table: Table,
    volumes: BTreeMap<u32, Volume>,
}

impl Disk {
    /// Reads the table and every filesystem. What is damaged is noted.
    pub fn read(source: &Source) -> Self {
        let table = Table::read(source);
        let volumes = volumes(source, &table);
        Self { source: Arc::clone(source), table, volumes }
    }

    /// Takes another disk's table when its own cannot be read at all, so that its content can be compared.
    fn borrow_table(&mut self, other: &Table) {
        if self.table.guid.is_empty() && !other.guid.is_empty() {
            let size = self.table.size;
            self.table = Table { size, problem: self.table.problem.take(), ..other.clone() };
            self.volumes = volumes(&self.source, &self.table);
        }
    }

    /// The number of the partition with the root filesystem: the last of its type, as for the static checks.
    fn root(&self) -> Option<u32> {
        let typed = self
            .volumes
            .values()
            .filter(|volume| ROOT_TYPES.contains(&volume.partition.kind.as_str()) && volume.tree().is_some());
        typed.max_by_key(|volume| volume.partition.start).map(|volume| volume.partition.number)
    }

    fn tree(&self, number: Option<u32>) -> Option<&Tree> {
        self.volumes.get(&number?)?.tree()
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

    /// The files of the root filesystem.
    pub fn into_root_tree(mut self) -> Result<Tree> {
        let root = self.root().and_then(|number| self.volumes.remove(&number));
        root.and_then(Volume::into_tree).ok_or_else(|| {
            Error::usage("the disk has no root filesystem that could be compared with an archive")
        })
    }
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
    let roots = (a.root(), b.root());
    let trees = (a.tree(roots.0).unwrap_or(&nothing), b.tree(roots.1).unwrap_or(&nothing));
    let (people, nobody) = (People::of(trees.0, trees.1), People::none());
    gathering.packages(trees.0, trees.1);
    if gathering.everything() {
        let changes = table::differences(&a.table, &b.table);
        let mut findings = Findings::default();
        outside::compare((&a.source, &a.table), (&b.source, &b.table), &changes, &mut findings)?;
        gathering.bytes(findings, None, (0, 0));
        gathering.report.partitions = changes;
    }
    for (number, one) in &a.volumes {
        let Some(other) = b.volumes.get(number) else { continue };
        let is_root = [roots.0, roots.1].contains(&Some(*number));
        let name = if is_root { ROOT.to_owned() } else { filesystem_name(&one.partition) };
        let people = if is_root { &people } else { &nobody };
        // With a filesystem on one side only, bytes are compared, not files.
        let trees = one.tree().zip(other.tree()).unwrap_or((&nothing, &nothing));
        let changed = gathering.trees(&name, trees, people)?;
        if gathering.everything() {
            partition(&mut gathering.report.partitions, one, one.changes(other));
            let findings = one.compare(other, &changed)?;
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
