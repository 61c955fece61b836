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

/// One of the distribution's own sources in the image.
struct Own {
    url: String,
    suite: &'static str,
    components: &'static [&'static str],
    /// Its `Signed-By`.
    keyring: &'static str,
}

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
            let Some(pins) = self.pins(repository, repositories, node) else { continue };
            let Repository { name, keyring, .. } = repository;
            let architecture = self.text(&["distribution", "architecture"]).unwrap_or("amd64");
            // Of one address and suite apt reads one index, and it refuses to run when sources differ on who signs that.
            let shared = self.extended(repository);
            let signed_by = shared.as_ref().map_or_else(|| keyring_path(name), |own| own.keyring.to_owned());
            let mut files = vec![
                (sources_path(name), sources(repository, architecture, &signed_by).into_bytes()),
                (preferences_path(name), preferences(repository, &pins).into_bytes()),
            ];
            if shared.is_none() {
                files.push((keyring_path(name), keyring.clone()));
            }
            for (path, content) in files {
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

    /// What tells this repository's packages from all others, as apt_preferences(5) has it; each of these does of some.
    /// Its host does, whatever the repository says of itself; where others are on the same host, its suite has to, and in
    /// a suite of the distribution's its components.
    fn pins(&mut self, repository: &Repository, all: &[Repository], node: &Node) -> Option<Vec<String>> {
        let host = repository.host()?;
        let own = self.distributions_sources();
        let beside: Vec<&Repository> = all.iter().filter(|other| other.name != repository.name).collect();
        let others: Vec<(&str, &str)> = own
            .iter()
            .map(|own| (own.url.as_str(), own.suite))
            .chain(beside.iter().map(|other| (other.url.as_str(), other.suite.as_str())))
            .filter_map(|(url, suite)| Some((address::host(url)?, suite)))
            .collect();
        if !others.iter().any(|(other, _)| other.eq_ignore_ascii_case(host)) {
            return Some(vec![format!("origin \"{host}\"")]);
        }
        let suite = &repository.suite;
        // `Pin: release` takes a word that begins with a digit for a version.
        let alias = ALIASES.iter().any(|alias| suite.split(['-', '/']).next() == Some(alias));
        let clear = !alias && !suite.starts_with(|c: char| c.is_ascii_digit());
        if clear && !others.iter().any(|(_, other)| *other == suite.as_str()) {
            return Some(vec![format!("release {suite}")]);
        }
        if let Some(own) = self.extended(repository) {
            let taken = |component: &String| {
                own.components.contains(&component.as_str())
                    || beside
                        .iter()
                        .any(|other| other.suite == *suite && other.components.contains(component))
            };
            if !repository.components.iter().any(taken) {
                let pin = |component: &String| format!("release n={suite},c={component}");
                return Some(repository.components.iter().map(pin).collect());
            }
        }
        let message = format!("apt cannot tell {suite} of {host} from the other sources there");
        let help = match own.iter().find(|own| own.suite == suite.as_str()) {
            Some(own) => format!(
                "for more of the distribution's {suite} write `url = \"{}\"`, and as `components` those that no other \
                 source has; else serve it under a host name of its own",
                own.url
            ),
            None => {
                "the image is to take only the packages named from it: serve it under a host name of its own"
                    .into()
            }
        };
        let at = node.get("url").map_or(node.at, |url| url.at);
        self.problems.error(at, message, "another source has this host", Some(help));
        None
    }

    /// The distribution's own source that has the repository's address and suite: more components of the same archive.
    fn extended(&self, repository: &Repository) -> Option<Own> {
        let mut own = self.distributions_sources().into_iter();
        own.find(|own| own.url == repository.url && own.suite == repository.suite)
    }

    /// The image's extra sources, as templates of overlays see them; with components where these alone tell what is theirs.
    pub(super) fn extra_sources(&self, repositories: &[Repository]) -> Json {
        let of = |repository: &Repository| {
            let components = self.extended(repository).map(|_| repository.components.clone());
            Some(json!({
                "name": repository.name,
                "host": repository.host()?,
                "suite": repository.suite,
                "components": components.unwrap_or_default(),
                "packages": repository.packages,
            }))
        };
        repositories.iter().filter_map(of).collect()
    }

    /// The distribution's own sources in the image.
    fn distributions_sources(&self) -> Vec<Own> {
        let text = |key| self.text(&["distribution", key]);
        let known = || {
            let distribution = Distribution::named(text("name")?).ok()?;
            let release = distribution.release(text("release")?).ok()?;
            let nowhere = Path::new("/nonexistent");
            let mirrors = Mirrors::decide(distribution, None, text("mirror"), None, nowhere).ok()?;
            let own = release.suites.iter().filter_map(|suite| {
                Some(Own {
                    url: mirrors.base(suite.archive).ok()?.to_owned(),
                    suite: suite.name,
                    components: release.components,
                    keyring: release.keyring,
                })
            });
            Some(own.collect())
        };
        known().unwrap_or_default()
    }
}

/// sources.list(5), deb822 style.
fn sources(repository: &Repository, architecture: &str, signed_by: &str) -> String {
    let Repository { url, suite, .. } = repository;
    format!(
        "Types: deb\nURIs: {url}\nSuites: {suite}\nComponents: {}\nArchitectures: {architecture}\n\
         Signed-By: {signed_by}\n",
        words(&repository.components)
    )
}

/// apt_preferences(5): nothing of the repository but what is named, and of that the higher version wins, as of any
/// other source.
fn preferences(repository: &Repository, pins: &[String]) -> String {
    let packages = words(&repository.packages);
    let of = |pin: &String| {
        format!(
            "Package: *\nPin: {pin}\nPin-Priority: -1\n\nPackage: {packages}\nPin: {pin}\nPin-Priority: 500\n"
        )
    };
    pins.iter().map(of).collect::<Vec<_>>().join("\n")
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
