//! Which mirror an archive is read from: the argument, the recipe, the environment, the host's own apt
//! sources, the distribution's default. The first that says something wins.

use super::distribution::Distribution;
use crate::error::{Error, Result};
use fs_err as fs;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The base address of each of a distribution's archives, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrors {
    bases: BTreeMap<String, String>,
    /// Archives whose address follows from the main one's.
    derived: BTreeSet<String>,
    /// Where the main archive's address comes from, for messages: `--mirror`, `the recipe` …
    pub source: String,
}

impl Mirrors {
    /// Decides. `argument` is `--mirror`, `recipe` the recipe's own, and `host` the host's root directory.
    ///
    /// A mirror that ends in the main archive's name serves the other archives beside it
    /// (`…/debian` → `…/debian-security`); any other address serves the main archive only.
    pub fn decide(
        distribution: &Distribution,
        argument: Option<&str>,
        recipe: Option<&str>,
        environment: Option<&str>,
        host: &Path,
    ) -> Result<Self> {
        let named = [
            (argument, "--mirror"),
            (recipe, "the recipe's distribution.mirror"),
            (environment, "GOLDCAST_MIRROR"),
        ];
        let named = named.into_iter().find_map(|(mirror, source)| Some((mirror?, source)));
        if let Some((mirror, source)) = named.filter(|(mirror, _)| !mirror.is_empty()) {
            return Self::from_address(distribution, mirror, source);
        }
        let mut bases = host_sources(distribution, host);
        let from_host = bases.contains_key(distribution.archives[0].name);
        let source = if from_host { "this host's apt sources" } else { "the distribution's default" };
        fill_defaults(distribution, &mut bases);
        Ok(Self { bases, derived: BTreeSet::new(), source: source.into() })
    }

    /// As [`Mirrors::decide`], from `GOLDCAST_MIRROR` and this host's /etc/apt.
    pub fn resolve(
        distribution: &Distribution,
        argument: Option<&str>,
        recipe: Option<&str>,
    ) -> Result<Self> {
        let environment = std::env::var("GOLDCAST_MIRROR").ok();
        Self::decide(distribution, argument, recipe, environment.as_deref(), Path::new("/"))
    }

    /// Exactly these addresses, by archive.
    pub fn exactly(bases: impl IntoIterator<Item = (String, String)>, source: &str) -> Self {
        Self { bases: bases.into_iter().collect(), derived: BTreeSet::new(), source: source.into() }
    }

    /// With these addresses of further archives.
    pub fn beside(mut self, bases: impl IntoIterator<Item = (String, String)>) -> Self {
        self.bases.extend(bases);
        self
    }

    /// The base address of an archive, without a slash at its end.
    pub fn base(&self, archive: &str) -> Result<&str> {
        self.bases.get(archive).map(String::as_str).ok_or_else(|| {
            Error::new(format!("no address is known for the archive {archive:?}")).hint(
                "the lock comes from another recipe or goldcast version: make it anew with `goldcast lock RECIPE --update`",
            )
        })
    }

    /// Who said where an archive is, for messages; of an address that follows from the main archive's, that too.
    pub fn source_of(&self, archive: &str) -> String {
        match self.bases.get(archive) {
            Some(base) if self.derived.contains(archive) => format!("{base} (beside {})", self.source),
            _ => self.source.clone(),
        }
    }

    fn from_address(distribution: &Distribution, mirror: &str, source: &str) -> Result<Self> {
        let mirror = mirror.trim_end_matches('/');
        if !["http://", "https://", "file://", "/"].iter().any(|scheme| mirror.starts_with(scheme)) {
            return Err(Error::usage(format!("{mirror:?} (from {source}) is not a mirror's address"))
                .hint("it looks like http://host/debian, https://host/debian or file:///srv/mirror/debian"));
        }
        let main = distribution.archives[0].name;
        let parent = mirror.strip_suffix(main).filter(|parent| parent.ends_with('/'));
        let mut bases = BTreeMap::from([(main.to_string(), mirror.to_string())]);
        let mut derived = BTreeSet::new();
        if let Some(parent) = parent {
            for archive in &distribution.archives[1..] {
                bases.insert(archive.name.to_string(), format!("{parent}{}", archive.name));
                derived.insert(archive.name.to_string());
            }
        }
        fill_defaults(distribution, &mut bases);
        Ok(Self { bases, derived, source: source.into() })
    }
}

fn fill_defaults(distribution: &Distribution, bases: &mut BTreeMap<String, String>) {
    for archive in distribution.archives {
        bases.entry(archive.name.into()).or_insert_with(|| distribution.default_mirror(archive));
    }
}

/// The addresses that the host's apt uses for this distribution. What cannot be read is passed over: the
/// host's apt configuration is not goldcast's to judge.
fn host_sources(distribution: &Distribution, host: &Path) -> BTreeMap<String, String> {
    let apt = host.join("etc/apt");
    let mut files = vec![apt.join("sources.list")];
    if let Ok(entries) = fs::read_dir(apt.join("sources.list.d")) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files[1..].sort();
    let mut bases = BTreeMap::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let entries = match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => one_line(&text),
            Some("sources") => deb822(&text),
            _ => continue,
        };
        for (uri, suite) in entries {
            let uri = uri.trim_end_matches('/');
            let usable =
                uri.starts_with("http://") || uri.starts_with("https://") || uri.starts_with("file://");
            let known =
                distribution.suite_names.iter().any(|name| suite.split(['-', '/']).next() == Some(name));
            let archive =
                distribution.archives.iter().find(|archive| uri.ends_with(&format!("/{}", archive.name)));
            if let (true, true, Some(archive)) = (usable, known, archive) {
                bases.entry(archive.name.to_string()).or_insert_with(|| uri.to_string());
            }
        }
    }
    bases
}

/// `deb [options] URI suite components…` (sources.list(5), one-line style), as address and suite.
fn one_line(text: &str) -> Vec<(String, String)> {
    let entry = |line: &str| {
        let line = line.split('#').next()?.trim();
        let mut rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
        if let Some(options) = rest.strip_prefix('[') {
            rest = options.split_once(']')?.1;
        }
        let mut words = rest.split_whitespace();
        Some((words.next()?.to_string(), words.next()?.to_string()))
    };
    text.lines().filter_map(entry).collect()
}

/// Stanzas with `Types`, `URIs` and `Suites` (sources.list(5), deb822 style), as address and suite.
fn deb822(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let without_comments: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for stanza in without_comments.split(|line| line.trim().is_empty()) {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut last = String::new();
        for line in stanza {
            if line.starts_with([' ', '\t']) {
                let value = fields.entry(last.clone()).or_default();
                value.push(' ');
                value.push_str(line.trim());
            } else if let Some((name, value)) = line.split_once(':') {
                last = name.trim().to_ascii_lowercase();
                fields.insert(last.clone(), value.trim().to_string());
            }
        }
        let words = |name: &str| fields.get(name).map_or("", String::as_str).split_whitespace();
        let off =
            words("enabled").any(|word| matches!(word, "no" | "false" | "off" | "0" | "without" | "disable"));
        if off || !words("types").any(|word| word == "deb") {
            continue;
        }
        for uri in words("uris") {
            found.extend(words("suites").map(|suite| (uri.to_string(), suite.to_string())));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::distribution::DEBIAN;
    use super::*;
    use proptest::prelude::*;

    fn decide(
        argument: Option<&str>,
        recipe: Option<&str>,
        environment: Option<&str>,
        host: &Path,
    ) -> Mirrors {
        Mirrors::decide(&DEBIAN, argument, recipe, environment, host).unwrap()
    }

    fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join("etc/apt").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn the_order_is_argument_recipe_environment_host_default() {
        let host = host(&[("sources.list", "deb http://mirror.test/debian trixie main\n")]);
        let (a, r, e) =
            (Some("http://a.test/debian/"), Some("http://r.test/debian"), Some("http://e.test/debian"));
        let base = |mirrors: Mirrors| mirrors.base("debian").unwrap().to_string();
        assert_eq!(base(decide(a, r, e, host.path())), "http://a.test/debian");
        assert_eq!(base(decide(None, r, e, host.path())), "http://r.test/debian");
        assert_eq!(base(decide(None, None, e, host.path())), "http://e.test/debian");
        assert_eq!(base(decide(None, None, None, host.path())), "http://mirror.test/debian");
        let default = decide(None, None, None, Path::new("/nonexistent"));
        assert!(base(default.clone()).contains(DEBIAN.domain));
        assert_eq!(default.source, "the distribution's default");
    }

    #[test]
    fn security_lies_beside_a_mirror_that_ends_in_the_archives_name() {
        let none = Path::new("/nonexistent");
        let mirrors = decide(Some("file:///srv/debian"), None, None, none);
        assert_eq!(mirrors.base("debian-security").unwrap(), "file:///srv/debian-security");
        assert_eq!(mirrors.source_of("debian"), "--mirror");
        assert_eq!(mirrors.source_of("debian-security"), "file:///srv/debian-security (beside --mirror)");
        let mirrors = decide(Some("http://m.test/trixie-copy"), None, None, none);
        assert!(mirrors.base("debian-security").unwrap().contains(DEBIAN.domain));
        assert_eq!(mirrors.source_of("debian-security"), "--mirror");
        assert!(mirrors.base("elsewhere").is_err());
    }

    #[test]
    fn the_hosts_sources_are_read_in_both_styles() {
        let host = host(&[
            (
                "sources.list",
                "# deb http://no.test/debian trixie main\ndeb-src http://no.test/debian trixie main\n",
            ),
            (
                "sources.list.d/a.list",
                "deb http://no.test/apt cloud main\ndeb [arch=amd64 x=y] https://one.test/pub/debian/ bookworm main # x\n",
            ),
            (
                "sources.list.d/b.sources",
                "Types: deb\nURIs: http://no.test/debian-security\nSuites: bookworm-security\nEnabled: no\n\n\
                 Types: deb-src deb\n# a comment\nURIs:\n http://two.test/debian-security\nSuites: bookworm-security\n",
            ),
            ("sources.list.d/c.sources.bak", "Types: deb\nURIs: http://no.test/debian\nSuites: trixie\n"),
        ]);
        let mirrors = decide(None, None, None, host.path());
        assert_eq!(mirrors.base("debian").unwrap(), "https://one.test/pub/debian");
        assert_eq!(mirrors.base("debian-security").unwrap(), "http://two.test/debian-security");
        assert_eq!(mirrors.source, "this host's apt sources");
    }

    #[test]
    fn another_distribution_on_the_host_is_not_taken() {
        let text = "deb http://no.test/ubuntu noble main\ndeb http://no.test/debian noble main\n";
        let host = host(&[("sources.list", text)]);
        assert!(decide(None, None, None, host.path()).base("debian").unwrap().contains(DEBIAN.domain));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let error =
            Mirrors::decide(&DEBIAN, Some("mirror.test/debian"), None, None, Path::new("/")).unwrap_err();
        assert!(error.what().contains("--mirror"), "{error}");
    }

    proptest! {
        #[test]
        fn any_file_is_read_leniently(text in "[a-zA-Z:/# \\[\\]\n\t.-]{0,120}") {
            let _ = one_line(&text);
            let _ = deb822(&text);
        }
    }
}
