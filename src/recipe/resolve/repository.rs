//! `[[repository]]`: package repositories beside the distribution's, and what the image's own apt is told of them.

use super::Resolver;
use crate::archive::distribution::Distribution;
use crate::archive::mirrors::Mirrors;
use crate::archive::release::Keyring;
use crate::recipe::address;
use crate::recipe::contribute::strings;
use crate::recipe::node::{Node, Value};
use crate::recipe::plan::{Content, File, Repository};
use crate::recipe::tree::Tree;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Beginnings of the names that a release of Debian has beside its codename: its Release files carry both.
const ALIASES: [&str; 3] = ["stable", "oldstable", "oldoldstable"];

impl Resolver<'_> {
    /// The repositories that the recipe names and that are right, by name.
    pub(super) fn repositories(&mut self) -> Vec<Repository> {
        let recipe = self.recipe;
        let mut repositories: Vec<Repository> =
            recipe.list("repository").filter_map(|node| self.repository(node)).collect();
        repositories.sort_by(|a, b| a.name.cmp(&b.name));
        repositories
    }

    fn repository(&mut self, node: &Node) -> Option<Repository> {
        for key in ["keys", "packages"] {
            if let Some(Node { value: Value::List(list), at }) = node.get(key)
                && list.is_empty()
            {
                let help = match key {
                    "keys" => "name the file of the key that signs it",
                    _ => "name the packages that are to come from it",
                };
                let message = format!("`repository.{key}` is empty");
                self.problems.error(*at, message, "nothing in it", Some(help.into()));
            }
        }
        let name = node.text("name")?.to_owned();
        if let Some((place, known)) = node.get("name").zip(self.reserved(&name)) {
            let help = Some(format!("choose another name: it would be mistaken for {known}'s own archive"));
            self.problems.error(place.at, format!("a repository may not be called `{name}`"), "here", help);
        }
        let mut certificates = Vec::new();
        for (path, at) in node.texts("keys") {
            let Some(bytes) = self.read(path, at) else { continue };
            match Keyring::read([bytes.as_slice()]).and_then(|keys| Ok((keys.fingerprints(), keys.public()?)))
            {
                Ok(read) => certificates.push((path.to_owned(), read)),
                Err(error) => {
                    let message = format!("{path} holds no OpenPGP key");
                    let label = error.causes().first().map_or_else(|| error.what().to_owned(), Clone::clone);
                    self.problems.error(at, message, label, error.advice().map(str::to_owned));
                }
            }
        }
        let components: BTreeSet<String> = strings(node, "components").into_iter().collect();
        let trimmed = |key: &str| node.text(key).map(|url| url.trim_end_matches('/').to_owned());
        let repository = Repository {
            name,
            url: trimmed("url")?,
            mirror: trimmed("mirror"),
            suite: node.text("suite")?.to_owned(),
            components: if components.is_empty() { BTreeSet::from(["main".into()]) } else { components },
            fingerprints: certificates.iter().flat_map(|(_, (prints, _))| prints.clone()).collect(),
            key_files: certificates.iter().map(|(path, _)| path.clone()).collect(),
            keyring: certificates.into_iter().flat_map(|(_, (_, bytes))| bytes).collect(),
            packages: strings(node, "packages").into_iter().collect(),
            origin: self.origin(node.at),
        };
        if let Some(place) = node.get("url").filter(|_| repository.host().is_none()) {
            let message = format!("the image does not get the repository {} as a source", repository.name);
            let help = "its packages are not updated there; name the address that machines reach as `url`, and this \
                        one as `mirror`";
            self.problems.warning(place.at, message, "a directory of this machine", Some(help.into()));
        }
        Some(repository)
    }

    /// The distribution whose archive has this name in the lock, or whose file in /etc/apt.
    fn reserved(&self, name: &str) -> Option<&'static str> {
        let distribution = Distribution::named(self.text(&["distribution", "name"])?).ok()?;
        let archives = distribution.archives.iter().map(|archive| archive.name);
        archives.chain([distribution.name]).any(|known| known == name).then_some(distribution.name)
    }

    /// What the image's own apt goes by: the source, its keys, and a pin that lets nothing else through.
    pub(super) fn apt_files(&mut self, repositories: &[Repository], tree: &mut Tree) {
        let recipe = self.recipe;
        for repository in repositories {
            let node = recipe.list("repository").find(|node| node.text("name") == Some(&repository.name));
            let (Some(node), Some(_)) = (node, repository.host()) else { continue };
            let Some(pin) = self.pin(repository, repositories, node) else { continue };
            let Repository { name, keyring, .. } = repository;
            let architecture = self.text(&["distribution", "architecture"]).unwrap_or("amd64");
            for (path, content) in [
                (sources_path(name), sources(repository, architecture).into_bytes()),
                (keyring_path(name), keyring.clone()),
                (preferences_path(name), preferences(repository, &pin).into_bytes()),
            ] {
                let file = File {
                    content: Content::Regular(content),
                    mode: 0o644,
                    owner: "root".into(),
                    group: "root".into(),
                    origin: repository.origin.clone(),
                };
                tree.add(path, file, node.at, self.sources, self.problems);
            }
        }
    }

    /// What tells this repository's packages from all others, as apt_preferences(5) has it. Its host does, whatever the
    /// repository says of itself; where others are on the same host, its suite has to.
    fn pin(&mut self, repository: &Repository, all: &[Repository], node: &Node) -> Option<String> {
        let host = repository.host()?;
        let mut others = self.distributions_sources();
        let beside = all.iter().filter(|other| other.name != repository.name);
        others.extend(beside.filter_map(|other| Some((other.host()?.to_owned(), other.suite.clone()))));
        if !others.iter().any(|(other, _)| other.eq_ignore_ascii_case(host)) {
            return Some(format!("origin \"{host}\""));
        }
        let suite = &repository.suite;
        // `Pin: release` takes a word that begins with a digit for a version.
        let alias = ALIASES.iter().any(|alias| suite.split(['-', '/']).next() == Some(alias));
        let clear = !alias && !suite.starts_with(|c: char| c.is_ascii_digit());
        if clear && !others.iter().any(|(_, other)| other == suite) {
            return Some(format!("release {suite}"));
        }
        let message = format!("apt cannot tell {suite} of {host} from the other sources there");
        let help =
            "the image is to take only the packages named from it: serve it under a host name of its own";
        let at = node.get("url").map_or(node.at, |url| url.at);
        self.problems.error(at, message, "another source has this host", Some(help.into()));
        None
    }

    /// Host and suite of the distribution's own sources in the image.
    fn distributions_sources(&self) -> Vec<(String, String)> {
        let text = |key| self.text(&["distribution", key]);
        let known = || {
            let distribution = Distribution::named(text("name")?).ok()?;
            let release = distribution.release(text("release")?).ok()?;
            let nowhere = Path::new("/nonexistent");
            let mirrors = Mirrors::decide(distribution, None, text("mirror"), None, nowhere).ok()?;
            let of = |archive| Some(address::host(mirrors.base(archive).ok()?)?.to_owned());
            let suites = release.suites.iter();
            Some(suites.filter_map(|suite| Some((of(suite.archive)?, suite.name.to_owned()))).collect())
        };
        known().unwrap_or_default()
    }
}

/// sources.list(5), deb822 style.
fn sources(repository: &Repository, architecture: &str) -> String {
    let Repository { name, url, suite, .. } = repository;
    format!(
        "Types: deb\nURIs: {url}\nSuites: {suite}\nComponents: {}\nArchitectures: {architecture}\nSigned-By: {}\n",
        words(&repository.components),
        keyring_path(name)
    )
}

/// apt_preferences(5): nothing of the repository but what is named, and of that the higher version wins, as of any
/// other source.
fn preferences(repository: &Repository, pin: &str) -> String {
    format!(
        "Package: *\nPin: {pin}\nPin-Priority: -1\n\nPackage: {}\nPin: {pin}\nPin-Priority: 500\n",
        words(&repository.packages)
    )
}

fn words(set: &BTreeSet<String>) -> String {
    set.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn sources_path(name: &str) -> String {
    format!("/etc/apt/sources.list.d/{name}.sources")
}

fn keyring_path(name: &str) -> String {
    format!("/etc/apt/keyrings/{name}.pgp")
}

fn preferences_path(name: &str) -> String {
    format!("/etc/apt/preferences.d/{name}.pref")
}

/// The image's extra sources, as templates of overlays see them.
pub(super) fn context(repositories: &[Repository]) -> Json {
    let of = |repository: &Repository| {
        Some(json!({
            "name": repository.name,
            "host": repository.host()?,
            "suite": repository.suite,
            "packages": repository.packages,
        }))
    };
    repositories.iter().filter_map(of).collect()
}
