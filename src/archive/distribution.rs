//! Distributions as data: where their archives are, which suites make a release, whose keys sign them.

use crate::error::{Error, Result};

/// A distribution. Hosts are derived from its domain and a service's label; no host is written whole.
#[derive(Debug)]
pub struct Distribution {
    /// As in a recipe: `debian`.
    pub name: &'static str,
    /// The domain that its services' hosts lie in.
    pub domain: &'static str,
    /// Its archives, by what they hold.
    pub archives: &'static [Archive],
    /// Label of the service that keeps every version ever published, under `archive/NAME/TIMESTAMP/`.
    pub snapshot: &'static str,
    /// Its releases that goldcast builds.
    pub releases: &'static [Release],
    /// Beginnings of suite names by which an apt source is known to carry this distribution.
    pub suite_names: &'static [&'static str],
}

/// One archive: a tree with `dists/` and `pool/`.
#[derive(Debug)]
pub struct Archive {
    /// Its name in the lock: `debian`, `debian-security`. Also the last part of its address.
    pub name: &'static str,
    /// Label of the service that serves it.
    pub label: &'static str,
}

/// One release.
#[derive(Debug)]
pub struct Release {
    /// Its codename: `trixie`.
    pub codename: &'static str,
    /// Its suites, the release itself first.
    pub suites: &'static [Suite],
    /// Components that packages are taken from.
    pub components: &'static [&'static str],
    /// Armoured OpenPGP certificates of the keys that sign its suites.
    pub keys: &'static [&'static str],
    /// Where its own package of these keys has them in the image, for apt's `Signed-By`.
    pub keyring: &'static str,
}

/// One suite.
#[derive(Debug, Clone, Copy)]
pub struct Suite {
    /// The [`Archive::name`] it is in.
    pub archive: &'static str,
    /// Its directory below `dists/`, which is also the codename in its Release file.
    pub name: &'static str,
}

macro_rules! keys {
    ($($name:literal),* $(,)?) => { &[$(include_str!(concat!("../../keys/debian-archive-", $name, ".asc"))),*] };
}

const BOOKWORM: Release = Release {
    codename: "bookworm",
    suites: &[
        Suite { archive: "debian", name: "bookworm" },
        Suite { archive: "debian", name: "bookworm-updates" },
        Suite { archive: "debian-security", name: "bookworm-security" },
    ],
    components: &["main"],
    keys: keys!["bookworm-automatic", "bookworm-security-automatic", "bookworm-stable"],
    keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
};

const TRIXIE: Release = Release {
    codename: "trixie",
    suites: &[
        Suite { archive: "debian", name: "trixie" },
        Suite { archive: "debian", name: "trixie-updates" },
        Suite { archive: "debian-security", name: "trixie-security" },
    ],
    components: &["main"],
    // The suites of a new release are signed with the former release's keys as well.
    keys: keys![
        "trixie-automatic",
        "trixie-security-automatic",
        "trixie-stable",
        "bookworm-automatic",
        "bookworm-security-automatic",
    ],
    keyring: "/usr/share/keyrings/debian-archive-keyring.pgp",
};

/// Debian.
pub const DEBIAN: Distribution = Distribution {
    name: "debian",
    domain: "debian.org",
    archives: &[
        Archive { name: "debian", label: "deb" },
        Archive { name: "debian-security", label: "security" },
    ],
    snapshot: "snapshot",
    releases: &[TRIXIE, BOOKWORM],
    suite_names: &[
        "trixie",
        "bookworm",
        "bullseye",
        "buster",
        "forky",
        "duke",
        "sid",
        "stable",
        "oldstable",
        "testing",
        "unstable",
    ],
};

/// Every distribution there is.
pub const ALL: &[&Distribution] = &[&DEBIAN];

impl Distribution {
    /// The distribution of this name; the error lists those there are.
    pub fn named(name: &str) -> Result<&'static Self> {
        ALL.iter().copied().find(|distribution| distribution.name == name).ok_or_else(|| {
            let names: Vec<&str> = ALL.iter().map(|distribution| distribution.name).collect();
            Error::usage(format!("goldcast builds no distribution named {name:?}"))
                .hint(format!("distribution.name can be: {}", names.join(", ")))
        })
    }

    /// The release of this codename; the error lists those there are.
    pub fn release(&self, codename: &str) -> Result<&'static Release> {
        self.releases.iter().find(|release| release.codename == codename).ok_or_else(|| {
            let names: Vec<&str> = self.releases.iter().map(|release| release.codename).collect();
            Error::usage(format!("goldcast knows no release {codename:?} of {}", self.name))
                .hint(format!("distribution.release can be: {}", names.join(", ")))
        })
    }

    /// Whether an archive of this name is one of its own.
    pub fn has(&self, archive: &str) -> bool {
        self.archives.iter().any(|own| own.name == archive)
    }

    /// The default address of an archive.
    pub fn default_mirror(&self, archive: &Archive) -> String {
        format!("http://{}.{}/{}", archive.label, self.domain, archive.name)
    }

    /// The address under which the snapshot service keeps an archive as it was at a time, which is given as
    /// `20260912T075541Z`.
    pub fn snapshot_of(&self, archive: &str, timestamp: &str) -> String {
        format!("http://{}.{}/archive/{archive}/{timestamp}", self.snapshot, self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_is_in_an_archive_that_there_is() {
        for distribution in ALL {
            for release in distribution.releases {
                assert!(!release.keys.is_empty());
                assert!(distribution.suite_names.contains(&release.codename));
                for suite in release.suites {
                    assert!(distribution.archives.iter().any(|archive| archive.name == suite.archive));
                }
            }
        }
    }

    #[test]
    fn unknown_names_are_errors_that_list_the_known() {
        let error = Distribution::named("windows").unwrap_err();
        assert!(error.advice().unwrap().contains("debian"));
        assert_eq!(error.exit().code(), 2);
        let error = DEBIAN.release("potato").unwrap_err();
        assert!(error.advice().unwrap().contains("trixie, bookworm"));
    }

    #[test]
    fn addresses_are_derived() {
        let host = ["deb", DEBIAN.domain].join(".");
        assert_eq!(DEBIAN.default_mirror(&DEBIAN.archives[0]), format!("http://{host}/debian"));
        let snapshot = DEBIAN.snapshot_of("debian", "20260912T075541Z");
        assert!(snapshot.ends_with("/archive/debian/20260912T075541Z"));
    }
}
