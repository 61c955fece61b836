//! Two disks: their tables, and their partitions by number.

use super::engine::{Gathering, ROOT};
use super::findings::Findings;
use super::outside;
use super::people::People;
use super::report::{Change, PartitionChange, What};
use super::source::Source;
use super::table::{self, Partition, Table};
use super::tree::{Tree, is_below};
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

    /// Where a partition's files are among those of [`Disk::tree`], without a `/` at the end; and what is mounted after
    /// it.
    fn mounted(&self, number: u32) -> Option<(&str, &[(u32, String)])> {
        if self.root == Some(number) {
            return Some(("", &self.mounts[..]));
        }
        let place = self.mounts.iter().position(|(mounted, _)| *mounted == number)?;
        Some((self.mounts[place].1.as_str(), &self.mounts[place + 1..]))
    }

    /// Whether a partition's files are among those of [`Disk::tree`].
    fn is_mounted(&self, number: u32) -> bool {
        self.mounted(number).is_some()
    }

    /// The places in a partition, by its own paths, that others are mounted over.
    fn covered(&self, number: u32) -> Vec<Vec<u8>> {
        let Some((own, after)) = self.mounted(number) else { return Vec::new() };
        let over = after.iter().filter(|(_, at)| is_below(at.as_bytes(), own.as_bytes()));
        let below = |at: &str| at[own.len()..].to_owned();
        over.map(|(_, at)| if at == own { b"/".to_vec() } else { below(at).into_bytes() }).collect()
    }

    /// The files of a partition that are not among those of [`Disk::tree`]: all when it is mounted nowhere, else those
    /// that others are mounted over. A mount point itself only when it is one on the other disk, too.
    fn hidden(&self, number: u32, other: &Self) -> Tree {
        let mut tree = self.volumes.get(&number).and_then(Volume::tree).cloned().unwrap_or_default();
        if self.is_mounted(number) {
            let (mine, theirs) = (self.covered(number), other.covered(number));
            tree.entries.retain(|path, _| {
                mine.iter().any(|at| is_below(path, at) && (path != at || theirs.contains(at)))
            });
        }
        tree
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
            if one.tree().is_some() && other.tree().is_some() {
                let hidden = (a.hidden(*number, &b), b.hidden(*number, &a));
                let (name, before) = (filesystem_name(&one.partition), gathering.report.files.len());
                gathering.trees(&name, (&hidden.0, &hidden.1), &nobody)?;
                if gathering.report.files.len() > before {
                    gathering.report.notes.push(format!(
                        "the files of `{name}:` are not seen in the running system: others are mounted over them, or \
                         nothing mounts them"
                    ));
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
    use std::io::Cursor;

    /// A disk with twice the same filesystem. FAT stands in for ext4: only the trees matter.
    fn disk(mounts: &[(u32, &str)]) -> Disk {
        let mut bytes = vec![0; 2 << 20];
        fatfs::format_volume(Cursor::new(&mut bytes[..]), FormatVolumeOptions::new()).unwrap();
        {
            let volume = FileSystem::new(Cursor::new(&mut bytes[..]), FsOptions::new()).unwrap();
            for path in ["etc", "var", "var/log"] {
                volume.root_dir().create_dir(path).unwrap();
            }
            volume.root_dir().create_file("var/log/x").unwrap();
        }
        let source: Source = Arc::new(bytes);
        let volume = |number| {
            let partition = Partition {
                number,
                name: String::new(),
                kind: String::new(),
                guid: String::new(),
                start: 0,
                size: 2 << 20,
                attributes: 0,
            };
            (number, Volume::read(&source, &partition))
        };
        Disk {
            volumes: [volume(3), volume(4), volume(5)].into(),
            source: Arc::clone(&source),
            table: Table::default(),
            root: Some(3),
            mounts: mounts.iter().map(|(number, at)| (*number, (*at).to_owned())).collect(),
            whole: None,
        }
    }

    #[test]
    fn files_that_no_path_leads_to_are_hidden() {
        let hidden = |a: &Disk, number: u32, b: &Disk| -> Vec<String> {
            let tree = a.hidden(number, b);
            tree.entries.into_keys().map(|path| String::from_utf8(path).unwrap()).collect()
        };
        let (none, one) = (disk(&[]), disk(&[(4, "/var")]));
        assert_eq!(hidden(&one, 3, &one), ["/var", "/var/log", "/var/log/x"]);
        assert_eq!(hidden(&one, 3, &none), ["/var/log", "/var/log/x"]);
        assert_eq!(hidden(&none, 3, &one), [""; 0]);
        assert_eq!(hidden(&one, 4, &one), [""; 0]);
        assert_eq!(hidden(&none, 4, &one), ["/", "/etc", "/var", "/var/log", "/var/log/x"]);
        let nested = disk(&[(4, "/var"), (5, "/var/var")]);
        assert_eq!(hidden(&nested, 4, &nested), ["/var", "/var/log", "/var/log/x"]);
        assert_eq!(hidden(&nested, 5, &nested), [""; 0]);
    }
}
