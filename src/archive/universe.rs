//! Every package there is to choose from, by name and by what it provides.

use super::index::Stanza;
use super::relation::{self, Relation};
use super::version::Version;
use crate::error::{Error, Result};
use crate::nearest;
use std::collections::{BTreeSet, HashMap};

/// A package's place in its [`Universe`].
pub type PackageId = u32;

/// A package and the archive that has it.
#[derive(Debug, Clone, Copy)]
pub struct Package<'a> {
    /// Its entry in the index.
    pub stanza: Stanza<'a>,
    /// The archive's name, as in the lock.
    pub archive: &'a str,
}

/// One package that provides a name.
#[derive(Debug, Clone, Copy)]
struct Provider<'a> {
    package: PackageId,
    version: Option<&'a str>,
    any: bool,
}

/// All packages for one architecture, from all suites together.
pub struct Universe<'a> {
    architecture: &'a str,
    packages: Vec<Package<'a>>,
    /// Every package of a name, the highest version first.
    real: HashMap<&'a str, Vec<PackageId>>,
    /// Providers of a name, the most important first.
    provided: HashMap<&'a str, Vec<Provider<'a>>>,
}

impl<'a> Universe<'a> {
    /// Puts the suites together. Of two equal versions the one from the earlier suite counts.
    pub fn new(
        architecture: &'a str,
        suites: impl IntoIterator<Item = (&'a str, Vec<Stanza<'a>>)>,
    ) -> Result<Self> {
        let mut this =
            Self { architecture, packages: Vec::new(), real: HashMap::new(), provided: HashMap::new() };
        for (archive, stanzas) in suites {
            for stanza in stanzas {
                if stanza.architecture != architecture && stanza.architecture != "all" {
                    continue;
                }
                let id = this.packages.len() as PackageId;
                let of_name = this.real.entry(stanza.name).or_default();
                let known = of_name.iter().any(|&other| {
                    let other = &this.packages[other as usize].stanza;
                    other.version == stanza.version && other.architecture == stanza.architecture
                });
                if !known {
                    of_name.push(id);
                    this.packages.push(Package { stanza, archive });
                }
            }
        }
        let packages = &this.packages;
        for ids in this.real.values_mut() {
            ids.sort_by(|&a, &b| {
                let version = |id: PackageId| Version::parse(packages[id as usize].stanza.version).ok();
                version(b).cmp(&version(a)).then(a.cmp(&b))
            });
        }
        this.add_providers()?;
        Ok(this)
    }

    fn add_providers(&mut self) -> Result<()> {
        for (id, package) in self.packages.iter().enumerate() {
            let stanza = &package.stanza;
            for group in groups(stanza.name, "Provides", stanza.provides)? {
                for relation in group.alternatives {
                    let version = relation.version.map(|(_, version)| version);
                    let any = relation.qualifier == Some("any");
                    let provider = Provider { package: id as PackageId, version, any };
                    self.provided.entry(relation.name).or_default().push(provider);
                }
            }
        }
        let packages = &self.packages;
        for providers in self.provided.values_mut() {
            let key = |provider: &Provider<'_>| {
                let stanza = packages[provider.package as usize].stanza;
                (priority(stanza.priority), stanza.name, provider.package)
            };
            providers.sort_by(|a, b| key(a).cmp(&key(b)));
        }
        Ok(())
    }

    /// A package.
    pub fn package(&self, id: PackageId) -> &Package<'a> {
        &self.packages[id as usize]
    }

    /// Every package of this name, the highest version first.
    pub fn named(&self, name: &str) -> &[PackageId] {
        self.real.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether a package of this name exists or is provided.
    pub fn knows(&self, name: &str) -> bool {
        self.real.contains_key(name) || self.provided.contains_key(name)
    }

    /// Number of packages.
    pub fn len(&self) -> usize {
        self.packages.len()
    }

    /// Whether there is no package at all.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// Names of the packages that every installation has (`Essential: yes`).
    pub fn essential(&self) -> BTreeSet<&'a str> {
        self.packages
            .iter()
            .filter(|package| package.stanza.essential)
            .map(|package| package.stanza.name)
            .collect()
    }

    /// Every package that satisfies the relation, as (name, its packages): the real package of that name
    /// first, then providers, the more important first.
    pub fn satisfying(&self, relation: &Relation<'_>) -> Vec<(&'a str, Vec<PackageId>)> {
        let mut found: Vec<(&'a str, Vec<PackageId>)> = Vec::new();
        let mut add = |id: PackageId| {
            let name = self.packages[id as usize].stanza.name;
            match found.iter_mut().find(|(known, _)| *known == name) {
                Some((_, ids)) if !ids.contains(&id) => ids.push(id),
                Some(_) => {}
                None => found.push((name, vec![id])),
            }
        };
        for &id in self.named(relation.name) {
            let stanza = &self.packages[id as usize].stanza;
            if self.qualifies(relation, stanza, false) && relation.admits(stanza.version) {
                add(id);
            }
        }
        for provider in self.provided.get(relation.name).map_or(&[][..], Vec::as_slice) {
            let stanza = &self.packages[provider.package as usize].stanza;
            // An unversioned Provides satisfies no versioned relation (policy 7.5).
            let version = match (relation.version, provider.version) {
                (None, _) => true,
                (Some(_), Some(version)) => relation.admits(version),
                (Some(_), None) => false,
            };
            if version && self.qualifies(relation, stanza, provider.any) {
                add(provider.package);
            }
        }
        found
    }

    /// The architecture qualifier of a dependency, as dpkg's deparchsatisfied() judges it when there is one
    /// architecture.
    fn qualifies(&self, relation: &Relation<'_>, stanza: &Stanza<'_>, provided_any: bool) -> bool {
        match relation.qualifier {
            None | Some("native") => true,
            Some("any") => provided_any || stanza.multi_arch == "allowed",
            Some(architecture) => architecture == self.architecture,
        }
    }

    /// The names nearest to one that does not exist, for a hint.
    pub fn nearest(&self, name: &str) -> Vec<&'a str> {
        nearest::several(name, self.real.keys().copied())
    }
}

/// A relation field of a package, parsed; the error names the package.
pub fn groups<'a>(package: &str, field: &str, text: &'a str) -> Result<Vec<relation::Group<'a>>> {
    relation::parse(text).map_err(|part| {
        Error::new(format!("the {field} field of {package} in the index cannot be read: {part:?}"))
    })
}

fn priority(text: &str) -> u8 {
    ["required", "important", "standard", "optional"].iter().position(|name| *name == text).unwrap_or(4) as u8
}
