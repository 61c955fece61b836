//! `[[partition]]`: filesystems beside the root's, and what overlays say of their options.

use super::{Placed, Resolver};
use crate::disk::filesystem::{END, ROOT, below, label, name};
use crate::recipe::mount::{contrary, options};
use crate::recipe::node::Node;
use crate::recipe::plan::{Image, Partition, RootSize};
use crate::recipe::quantity;
use crate::recipe::source::At;
use crate::recipe::switch::On;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// More than anybody has a use for, and fewer than a partition table holds.
const MOST: usize = 64;
/// What the boot partitions and tables take of a disk, and some more.
const BESIDE: u64 = 128 << 20;
/// Labels of volumes that a seed is read from (overlay identity).
const SEEDS: [&str; 2] = ["cidata", "config-2"];
/// Where dpkg runs packages' scripts.
const SCRIPTS: &str = "/var/lib/dpkg/info";

/// A partition that is asked for.
pub(super) struct Asked {
    mount: String,
    size: u64,
    /// Options that were said, with their places.
    said: Vec<(String, At)>,
    /// The value of `mount`.
    at: At,
    /// The value of `size`.
    size_at: At,
    /// What overlays want of it: bytes by overlay.
    wanted: BTreeMap<String, u64>,
}

impl Resolver<'_> {
    /// The partitions that the recipe names, by mount point.
    pub(super) fn partitions(&mut self) -> Vec<Asked> {
        let recipe = self.recipe;
        let mut known: BTreeMap<String, At> = BTreeMap::new();
        let mut labels = BTreeMap::from([(label(ROOT), (ROOT, recipe.at))]);
        let mut partitions = Vec::new();
        for node in recipe.list("partition") {
            let Some((mount, place)) = node.text("mount").zip(node.get("mount")) else { continue };
            if let Some(first) = known.get(&name(mount)) {
                let help = Some(format!("the first is at {}", self.sources.position(*first)));
                let message = format!("there are two partitions for {mount}");
                self.problems.error(place.at, message, "the second", help);
                continue;
            }
            known.insert(name(mount), place.at);
            let called = label(mount);
            if SEEDS.iter().any(|seed| called.eq_ignore_ascii_case(seed)) {
                let message = format!("the filesystem of {mount} would have the label `{called}`");
                let help = "a machine takes a volume of that name for its seed: choose another directory";
                self.problems.error(place.at, message, "a seed's label", Some(help.into()));
            }
            if let Some((other, first)) = labels.get(&called) {
                let message =
                    format!("the filesystems of {other} and {mount} would both have the label `{called}`");
                let help = format!(
                    "a label is 16 characters of the directory's name: choose another; the first is at {}",
                    self.sources.position(*first)
                );
                self.problems.error(place.at, message, "the second", Some(help));
            }
            labels.insert(called, (mount, place.at));
            if known.len() == MOST + 1 {
                let message = format!("there are more than {MOST} partitions");
                self.problems.error(place.at, message, "one too many", None);
            }
            partitions.extend(self.partition(node, mount, place.at));
        }
        partitions.sort_by(|a, b| a.mount.cmp(&b.mount));
        partitions
    }

    fn partition(&mut self, node: &Node, mount: &str, at: At) -> Option<Asked> {
        let size = quantity::size(node.text("size")?).ok()?;
        let size_at = node.get("size").map_or(node.at, |node| node.at);
        if !size.is_multiple_of(1 << 20) {
            let help = Some("for example \"1 GiB\"".to_owned());
            self.problems.error(size_at, "`partition.size` must be whole MiB", "it is not", help);
        }
        let mut said: Vec<(String, At)> = Vec::new();
        for (word, at) in node.texts("options") {
            if let Some((other, first)) = said.iter().find(|(known, _)| contrary(known) == Some(word)) {
                let message = format!("`{other}` and `{word}` are said of {mount}");
                let help = Some(format!("the other is at {}", self.sources.position(*first)));
                self.problems.error(at, message, "the contrary", help);
            } else {
                said.push((word.to_owned(), at));
            }
        }
        Some(Asked { mount: mount.to_owned(), size, said, at, size_at, wanted: BTreeMap::new() })
    }

    /// Tells of filesystems that no disk image can hold together: it is a file on the building host.
    pub(super) fn one_disk(&mut self, image: Option<&Image>, partitions: &[Asked]) {
        let root = match image.map(|image| image.root_size) {
            // Of the root alone that is told already.
            Some(RootSize::Bytes(bytes)) if bytes >= END => return,
            Some(RootSize::Bytes(bytes)) => bytes,
            _ => 0,
        };
        let sum = partitions.iter().fold(root, |sum, partition| sum.saturating_add(partition.size));
        if sum <= END - BESIDE {
            return;
        }
        let largest = partitions.iter().max_by_key(|partition| partition.size);
        let of_root = self.recipe.get("image").and_then(|image| image.get("root-size"));
        let at = match largest.filter(|partition| partition.size > root) {
            Some(partition) => partition.size_at,
            None => of_root.map_or(self.recipe.at, |node| node.at),
        };
        let message = format!(
            "the root and all partitions take {}, and a disk image holds less than {}",
            quantity::show_size(sum),
            quantity::show_size(END)
        );
        let help = "the root grows with the machine's disk, so that `root-size` can be small; lower `size` of partitions";
        self.problems.error(at, message, "the largest", Some(help.into()));
    }

    /// Adds what an overlay says of the options of partitions that there are.
    pub(super) fn mount_options(&mut self, entry: &On<'_>, context: &Json, partitions: &mut [Asked]) {
        for (mount, words) in self.contributor(entry, context).mount_options() {
            let Some(partition) = partitions.iter_mut().find(|partition| partition.mount == mount) else {
                continue;
            };
            for (word, at) in words {
                match partition.said.iter().find(|(known, _)| contrary(known) == Some(word.as_str())) {
                    Some((said, place)) => {
                        let overlay = &entry.overlay.name;
                        let message = format!("overlay {overlay} wants {mount} with `{word}`, not `{said}`");
                        let help = Some(format!("leave it out, or see the options of {overlay} for {mount}"));
                        self.problems.error(*place, message, "the contrary", help);
                    }
                    None => partition.said.push((word, at)),
                }
            }
        }
    }

    /// Adds what an overlay wants of the partitions' space, each place to the innermost partition that holds it.
    pub(super) fn space(&mut self, entry: &On<'_>, context: &Json, partitions: &mut [Asked]) {
        for (path, bytes) in self.contributor(entry, context).space() {
            if let Some(partition) =
                partitions.iter_mut().rfind(|partition| below(&path, &partition.mount).is_some())
            {
                let wanted = partition.wanted.entry(entry.overlay.name.clone()).or_default();
                *wanted = wanted.saturating_add(bytes);
            }
        }
    }

    /// Tells of partitions that are too small for what overlays keep there.
    fn enough_space(&mut self, partitions: &[Asked]) {
        for partition in partitions {
            let wanted = partition.wanted.values().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
            if wanted > partition.size {
                let mebibytes = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
                let message =
                    format!("the partition for {} is too small for what is kept there", partition.mount);
                let by: Vec<String> = partition
                    .wanted
                    .iter()
                    .map(|(overlay, bytes)| format!("overlay {overlay} {}", mebibytes(*bytes)))
                    .collect();
                let label = format!("{} are wanted", mebibytes(wanted));
                let help = Some(format!("{}: raise `size`, or lower their options", by.join(", ")));
                self.problems.error(partition.size_at, message, label, help);
            }
        }
    }

    /// The partitions as the plan has them.
    pub(super) fn planned(&mut self, partitions: &[Asked]) -> Vec<Partition> {
        self.enough_space(partitions);
        let planned: Placed<Partition> = partitions
            .iter()
            .map(|Asked { mount, size, said, at, .. }| {
                let partition = Partition {
                    mount: mount.clone(),
                    size: *size,
                    options: options(mount, said.iter().map(|(word, _)| word.as_str())),
                    origin: self.origin(*at),
                };
                let noexec = said.iter().find(|(word, _)| word == "noexec").map_or(*at, |(_, at)| *at);
                (mount.clone(), (partition, noexec))
            })
            .collect();
        // The one that is mounted last is the one that holds it.
        let holding = planned.values().rfind(|(partition, _)| below(SCRIPTS, &partition.mount).is_some());
        if let Some((partition, at)) =
            holding.filter(|(partition, _)| partition.options.iter().any(|o| o == "noexec"))
        {
            let message = format!("no package could be installed with `noexec` on {}", partition.mount);
            let help = Some(format!("dpkg runs packages' scripts from {SCRIPTS}; leave `noexec` out"));
            self.problems.error(*at, message, "here", help);
        }
        planned.into_values().map(|(partition, _)| partition).collect()
    }
}

/// The mount points, as templates of overlays see them.
pub(super) fn context(partitions: &[Asked]) -> Json {
    partitions.iter().map(|partition| partition.mount.as_str()).collect()
}
