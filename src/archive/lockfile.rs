//! The lock as a file, and whether it still answers what the recipe asks.

use super::distribution::Distribution;
use super::lock::{Lock, LockedPackage, VERSION};
use super::{date, index, relation, version};
use crate::error::{Context, Error, Result};
use crate::recipe::plan::{Origin, Packages, Plan, Repository};
use crate::store::is_sha256;
use fs_err as fs;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const HEADER: &str = "# Made by `goldcast lock`: the exact packages of the image and of the tools that build it.\n\
                      # Keep it beside the recipe, under version control; `goldcast lock RECIPE --update` renews it.\n\n";

/// Whether a lock answers a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Fresh,
    /// It was made for something else.
    Stale {
        /// What changed, in words: `it now asks for nginx; it no longer asks for less`.
        why: String,
    },
}

impl Lock {
    /// Reads a lock. The error says what is wrong with it, a missing file included.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).doing("cannot read the lock")?;
        Self::parse(&text).map_err(|error| {
            error.doing(format!("the lock {} cannot be used", path.display())).hint(
                "restore it from version control, or delete it and run `goldcast lock RECIPE` to choose all versions anew",
            )
        })
    }

    /// As [`Lock::read`], with nothing for a file that does not exist.
    pub fn read_if_there(path: &Path) -> Result<Option<Self>> {
        if path.exists() { Self::read(path).map(Some) } else { Ok(None) }
    }

    /// Parses a lock and refuses one whose values could not have come from an index.
    pub fn parse(text: &str) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = toml::from_str(text).doing("it is no lock")?;
        if head.version != VERSION {
            return Err(Error::new(format!(
                "it has format {}, and this goldcast reads format {VERSION}",
                head.version
            )));
        }
        let lock: Self = toml::from_str(text).doing("it is damaged")?;
        lock.check()?;
        Ok(lock)
    }

    /// Writes the lock, in whole or not at all. Equal locks give equal bytes.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = format!("{HEADER}{}", self.text()?);
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let write = || -> Result<()> {
            let mut file = tempfile::Builder::new().prefix(".lock-").tempfile_in(dir)?;
            file.write_all(text.as_bytes())?;
            fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644))?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)?;
            Ok(())
        };
        write().doing_with(|| format!("cannot write the lock {}", path.display()))
    }

    /// sha256 (hex) of the lock's content, whatever its comments and layout.
    pub fn digest(&self) -> Result<String> {
        Ok(hex::encode(Sha256::digest(self.text()?)))
    }

    /// Whether the lock answers this plan and these tools: same requests, within the same budgets.
    pub fn status(&self, plan: &Plan, tools: &[&str]) -> Status {
        let asks = asks(plan, tools);
        let changes = if self.request == digest_of(&asks) { Vec::new() } else { changes(&self.asks, &asks) };
        if !changes.is_empty() {
            return Status::Stale { why: changes.join("; ") };
        }
        match budget_error(&plan.packages, &self.packages) {
            Some(error) => Status::Stale { why: error.what().to_string() },
            None => Status::Fresh,
        }
    }

    /// Whether it was made with this repository, at the same address.
    pub(super) fn knows(&self, repository: &Repository) -> bool {
        let start = place(repository);
        self.asks.iter().any(|line| line.starts_with(&start))
    }

    fn text(&self) -> Result<String> {
        let mut sorted = self.clone();
        sorted.packages.sort();
        sorted.tools.sort();
        toml::to_string_pretty(&sorted).doing("cannot write the lock")
    }

    fn check(&self) -> Result<()> {
        for index in &self.indexes {
            if !is_sha256(&index.sha256) || date::read(&index.date).is_none() {
                return Err(Error::new(format!("its entry for the suite {} is damaged", index.suite)));
            }
        }
        for (kind, packages) in [("package", &self.packages), ("tool", &self.tools)] {
            let mut names = BTreeSet::new();
            for package in packages {
                let good = relation::is_package_name(&package.name)
                    && version::Version::parse(&package.version).is_ok()
                    && package.architecture.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
                    && index::is_pool_path(&package.path)
                    && is_sha256(&package.sha256);
                if !good || !names.insert(&package.name) {
                    return Err(Error::new(format!(
                        "its entry for the {kind} {:?} is damaged",
                        package.name
                    )));
                }
            }
        }
        Ok(())
    }
}

/// sha256 (hex) of everything that decides which packages are chosen: distribution, architecture, keyring,
/// repositories, packages asked for and denied, tools. Who asks, and from where it is downloaded, is no part of it.
pub fn request_digest(plan: &Plan, tools: &[&str]) -> String {
    digest_of(&asks(plan, tools))
}

pub(super) fn asks(plan: &Plan, tools: &[&str]) -> Vec<String> {
    let distribution = &plan.distribution;
    let mut asks = vec![format!(
        "distribution {} {} {}",
        distribution.name, distribution.release, distribution.architecture
    )];
    if let Some(keyring) = &distribution.keyring {
        asks.push(format!("keyring {}", hex::encode(Sha256::digest(keyring))));
    }
    asks.extend(plan.repositories.iter().map(repository));
    asks.extend(plan.packages.install.keys().map(|name| format!("install {name}")));
    asks.extend(plan.packages.deny.keys().map(|name| format!("deny {name}")));
    let tools: BTreeSet<&str> = tools.iter().copied().collect();
    asks.extend(tools.into_iter().map(|name| format!("tool {name}")));
    asks
}

/// What decides what is chosen from a repository. Its address is part of it: with the name it is all that tells
/// where the locked packages come from.
fn repository(of: &Repository) -> String {
    let list = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Vec<_>>().join(",");
    let Repository { components, fingerprints, packages, .. } = of;
    let (components, keys, packages) = (list(components), list(fingerprints), list(packages));
    format!("{}{components}, signed by {keys}, for {packages})", place(of))
}

/// How the line of a repository begins.
fn place(of: &Repository) -> String {
    let Repository { name, url, suite, .. } = of;
    format!("repository {name} ({url} {suite} ")
}

pub(super) fn digest_of(asks: &[String]) -> String {
    hex::encode(Sha256::digest(asks.join("\n")))
}

fn changes(before: &[String], after: &[String]) -> Vec<String> {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), after.iter().collect());
    let mut changes = Vec::new();
    for (set, other, gained) in [(&new, &old, true), (&old, &new, false)] {
        for (kind, gain, loss) in [
            ("distribution ", "it is now for", "it was made for"),
            ("keyring ", "the keyring is now", "the keyring was"),
            ("repository ", "it now takes packages from", "it no longer takes packages from"),
            ("install ", "it now asks for", "it no longer asks for"),
            ("deny ", "it now denies", "it no longer denies"),
            ("tool ", "goldcast now needs the tools", "goldcast no longer needs the tools"),
        ] {
            let names: Vec<&str> = set.difference(other).filter_map(|line| line.strip_prefix(kind)).collect();
            if !names.is_empty() {
                changes.push(format!("{} {}", if gained { gain } else { loss }, names.join(", ")));
            }
        }
    }
    if changes.is_empty() {
        changes.push("it was made for another request".into());
    }
    changes
}

/// An error when the packages exceed the recipe's budgets.
pub(super) fn budget_error(budget: &Packages, packages: &[LockedPackage]) -> Option<Error> {
    let mut biggest: Vec<&LockedPackage> = packages.iter().collect();
    biggest.sort_by(|a, b| b.installed_size.cmp(&a.installed_size).then_with(|| a.name.cmp(&b.name)));
    let mib = |kib: u64| kib as f64 / 1024.0;
    let total: u64 = packages.iter().map(|package| package.installed_size).sum();
    if let Some(most) = budget.max_count.filter(|&most| packages.len() as u64 > most) {
        let what =
            format!("there are {} packages, more than the {most} of packages.max-count", packages.len());
        return Some(Error::new(what).hint("`goldcast why PACKAGE RECIPE` tells what pulls a package in"));
    }
    if let Some(most) = budget.max_installed.filter(|&most| total.saturating_mul(1024) > most) {
        let what = format!(
            "the packages take {:.1} MiB installed, more than the {:.1} MiB of packages.max-installed",
            mib(total),
            most as f64 / 1048576.0
        );
        let list: Vec<String> = biggest
            .iter()
            .take(10)
            .map(|package| format!("{:8.1} MiB  {}", mib(package.installed_size), package.name))
            .collect();
        return Some(
            Error::new(what)
                .because(format!("the biggest are\n{}", list.join("\n")))
                .hint("`goldcast why PACKAGE RECIPE` tells what pulls a package in"),
        );
    }
    None
}

/// Who asks, as the lock says it: a recipe by its file's name, so that the lock does not depend on the
/// directory it was made from.
pub(super) fn who(origins: &[Origin]) -> Vec<String> {
    let name = |origin: &Origin| match origin {
        Origin::Recipe(path) => {
            let file = path.file_name().unwrap_or(path.as_os_str());
            format!("recipe {}", file.to_string_lossy())
        }
        other => other.to_string(),
    };
    let names: BTreeSet<String> = origins.iter().map(name).collect();
    if names.is_empty() { vec!["recipe".into()] } else { names.into_iter().collect() }
}

/// The distribution that a plan names.
pub(super) fn distribution_of(plan: &Plan) -> Result<&'static Distribution> {
    Distribution::named(&plan.distribution.name)
}

#[cfg(test)]
#[path = "lockfile_tests.rs"]
mod tests;
