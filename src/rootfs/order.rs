//! In which order packages are unpacked and configured, as far as order matters.
//!
//! Policy 6.5, 7.2: before a package's preinst runs, what it pre-depends on must be configured. Everything
//! else is unpacked together and configured by dpkg in one go. Essential packages come first, with what
//! they need: no script can run before.

use super::unpack::Package;
use crate::archive::relation::{self, Group};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// The ranks of packages that must be there before any script can run, with what they need.
fn essential(packages: &[Package]) -> impl Iterator<Item = usize> {
    let is = |package: &Package| package.control.stanza.get("Essential") == Some("yes");
    packages.iter().enumerate().filter(move |(_, package)| is(package)).map(|(rank, _)| rank)
}

/// The ranks of the packages with these names, of the essential ones, and of all that they need.
pub fn closure(packages: &[Package], names: &BTreeSet<String>) -> Result<BTreeSet<usize>> {
    let asked = (0..packages.len()).filter(|&rank| names.contains(packages[rank].control.stanza.package()));
    Ok(Graph::of(packages)?.closure(essential(packages).chain(asked)))
}

/// Batches of ranks: each is unpacked at once; all but the last are configured before the next one. `configured` are
/// there already.
pub fn batches(packages: &[Package], configured: &BTreeSet<usize>) -> Result<Vec<Vec<usize>>> {
    let graph = Graph::of(packages)?;
    let mut done = configured.clone();
    let mut batches = Vec::new();
    if done.is_empty() {
        done = graph.closure(essential(packages));
        batches.push(graph.sorted(&done));
    }
    while done.len() < packages.len() {
        // A package waits when it has a preinst and pre-depends on something that is not configured.
        let ready = |rank: usize| {
            !packages[rank].control.files.contains_key("preinst")
                || graph.pre_depends[rank].iter().all(|target| done.contains(target))
        };
        let rest: BTreeSet<usize> = (0..packages.len()).filter(|rank| !done.contains(rank)).collect();
        let waiting: Vec<usize> = rest.iter().copied().filter(|&rank| !ready(rank)).collect();
        if waiting.is_empty() {
            batches.push(graph.sorted(&rest));
            break;
        }
        // Only what somebody waits for is configured early; the rest stays for dpkg's one run at the end.
        let wanted = graph.closure(waiting.iter().flat_map(|&rank| graph.pre_depends[rank].iter().copied()));
        let batch: BTreeSet<usize> = wanted.difference(&done).copied().filter(|&rank| ready(rank)).collect();
        if batch.is_empty() {
            let names: Vec<&str> =
                waiting.iter().map(|&rank| packages[rank].control.stanza.package()).collect();
            return Err(Error::new(format!(
                "these packages pre-depend on each other in a circle: {}",
                names.join(", ")
            )));
        }
        done.extend(&batch);
        batches.push(graph.sorted(&batch));
    }
    Ok(batches)
}

fn relations<'p>(package: &'p Package, field: &str) -> Result<Vec<Group<'p>>> {
    let stanza = &package.control.stanza;
    relation::parse(stanza.get(field).unwrap_or_default()).map_err(|part| {
        Error::new(format!("the {field} field of {} cannot be understood: {part:?}", stanza.package()))
    })
}

struct Graph {
    depends: Vec<BTreeSet<usize>>,
    pre_depends: Vec<BTreeSet<usize>>,
}

impl Graph {
    fn of(packages: &[Package]) -> Result<Self> {
        // Real packages before those that only provide the name; each with the version that it has under that name.
        let mut providers: BTreeMap<&str, Vec<(usize, Option<&str>)>> = BTreeMap::new();
        for (rank, package) in packages.iter().enumerate() {
            let stanza = &package.control.stanza;
            providers.entry(stanza.package()).or_default().insert(0, (rank, stanza.get("Version")));
            for relation in relations(package, "Provides")?.iter().flat_map(|group| &group.alternatives) {
                let version = relation.version.map(|(_, version)| version);
                providers.entry(relation.name).or_default().push((rank, version));
            }
        }
        let edges = |field: &str| -> Result<Vec<BTreeSet<usize>>> {
            packages
                .iter()
                .map(|package| {
                    // The first alternative that is installed counts: the lock has settled which one that is.
                    let installed = |group: &Group<'_>| {
                        group.alternatives.iter().find_map(|one| {
                            let admitted = |&(rank, version): &(usize, Option<&str>)| {
                                let admitted = version.map_or(one.version.is_none(), |v| one.admits(v));
                                admitted.then_some(rank)
                            };
                            providers.get(one.name)?.iter().find_map(admitted)
                        })
                    };
                    Ok(relations(package, field)?.iter().filter_map(installed).collect())
                })
                .collect()
        };
        Ok(Self { depends: edges("Depends")?, pre_depends: edges("Pre-Depends")? })
    }

    fn needs(&self, rank: usize) -> impl Iterator<Item = usize> + '_ {
        self.pre_depends[rank].iter().chain(&self.depends[rank]).copied()
    }

    /// The ranks and all they depend on.
    fn closure(&self, ranks: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open: Vec<usize> = ranks.into_iter().collect();
        while let Some(rank) = open.pop() {
            if found.insert(rank) {
                open.extend(self.needs(rank));
            }
        }
        found
    }

    /// What is depended on first; circles are cut at the lowest rank.
    fn sorted(&self, ranks: &BTreeSet<usize>) -> Vec<usize> {
        let mut order = Vec::with_capacity(ranks.len());
        let mut seen = BTreeSet::new();
        for &rank in ranks {
            self.visit(rank, ranks, &mut seen, &mut order);
        }
        order
    }

    fn visit(
        &self,
        rank: usize,
        within: &BTreeSet<usize>,
        seen: &mut BTreeSet<usize>,
        order: &mut Vec<usize>,
    ) {
        if !within.contains(&rank) || !seen.insert(rank) {
            return;
        }
        let needs: Vec<usize> = self.needs(rank).collect();
        for need in needs {
            self.visit(need, within, seen, order);
        }
        order.push(rank);
    }
}
