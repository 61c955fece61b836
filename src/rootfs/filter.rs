//! Files that packages ship and the image does not take, as dpkg(1) has it: `path-exclude` and `path-include`.

use super::unpack::merged;
use crate::error::{Error, Result};
use crate::recipe::plan::Packages;
use regex::{Regex, RegexBuilder};
use std::path::Path;
use tar::EntryType;

/// Where the image's own dpkg reads the same patterns, so that an update leaves out what the build left out.
pub const SETTINGS: &str = "/etc/dpkg/dpkg.cfg.d/50-paths";

/// Decides what of a package is unpacked. Patterns are glob(7) ones without brackets, over the whole path; `*` matches
/// `/` too.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    exclude: Vec<Regex>,
    include: Vec<Regex>,
    /// What comes before the first wildcard of each pattern that brings something back.
    beginnings: Vec<String>,
}

impl Filter {
    /// The filter that the plan asks for.
    pub fn of(packages: &Packages) -> Result<Self> {
        Ok(Self {
            exclude: packages.path_exclude.keys().map(|text| compiled(text)).collect::<Result<_>>()?,
            include: packages.path_include.keys().map(|text| compiled(text)).collect::<Result<_>>()?,
            beginnings: packages
                .path_include
                .keys()
                .map(|text| {
                    text.split(['*', '?']).next().unwrap_or_default().trim_end_matches('/').to_owned()
                })
                .collect(),
        })
    }

    /// Whether an entry of a package stays out. Directories, and links that may stand for them, stay in when something
    /// below may (filter_should_skip in dpkg's src/main/filters.c).
    pub fn leaves_out(&self, path: &Path, kind: EntryType) -> bool {
        if self.exclude.is_empty() {
            return false;
        }
        let path = format!("/{}", merged(path).display());
        let any = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(&path));
        if !any(&self.exclude) || any(&self.include) {
            return false;
        }
        let may_hold = matches!(kind, EntryType::Directory | EntryType::Symlink);
        !(may_hold && self.beginnings.iter().any(|beginning| path.starts_with(beginning)))
    }
}

fn compiled(pattern: &str) -> Result<Regex> {
    let text: String = pattern
        .chars()
        .map(|c| match c {
            '*' => ".*".to_owned(),
            '?' => ".".to_owned(),
            c => regex::escape(c.encode_utf8(&mut [0; 4])),
        })
        .collect();
    RegexBuilder::new(&format!("^{text}$"))
        .dot_matches_new_line(true)
        .build()
        .map_err(|error| Error::new(format!("'{pattern}' is not a pattern of paths")).because(error))
}

/// dpkg.cfg(5) with these patterns; nothing when there are none. dpkg takes the last pattern that matches.
pub fn settings(packages: &Packages) -> Option<String> {
    if packages.path_exclude.is_empty() {
        return None;
    }
    let lines = |word: &'static str, patterns: Vec<&String>| {
        patterns.into_iter().map(move |pattern| format!("{word}={pattern}\n")).collect::<String>()
    };
    let exclude = lines("path-exclude", packages.path_exclude.keys().collect());
    let include = lines("path-include", packages.path_include.keys().collect());
    Some(format!("# What the recipe leaves out of packages; see dpkg(1).\n{exclude}{include}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::plan::Origin;

    fn filter(exclude: &[&str], include: &[&str]) -> Filter {
        let patterns = |texts: &[&str]| {
            texts.iter().map(|text| ((*text).to_owned(), vec![Origin::Overlay("x".into())])).collect()
        };
        let packages = Packages {
            path_exclude: patterns(exclude),
            path_include: patterns(include),
            ..Packages::default()
        };
        Filter::of(&packages).unwrap()
    }

    #[test]
    fn a_star_goes_over_directories_and_what_is_included_wins() {
        let filter = filter(&["/usr/share/doc/*", "/usr/lib/a.?"], &["/usr/share/doc/*/copyright"]);
        let out = |path: &str| filter.leaves_out(Path::new(path), EntryType::Regular);
        assert!(out("usr/share/doc/x/README") && out("usr/share/doc/x/y/z") && out("usr/lib/a.b"));
        assert!(!out("usr/share/doc/x/copyright") && !out("usr/share/doc") && !out("usr/lib/a.bc"));
        assert!(!out("usr/libxa.b") && !out("usr/lib/aXb"));
        assert!(out("lib/a.b"), "as it is named before merged /usr");
    }

    #[test]
    fn directories_stay_where_something_may_come_back() {
        let filter = filter(&["/usr/share/doc/*", "/usr/share/man/*"], &["/usr/share/doc/*/copyright"]);
        let out = |path: &str, kind| filter.leaves_out(Path::new(path), kind);
        assert!(!out("usr/share/doc/x", EntryType::Directory) && !out("usr/share/doc/x", EntryType::Symlink));
        assert!(
            out("usr/share/man/man1", EntryType::Directory) && out("usr/share/man/de", EntryType::Symlink)
        );
        assert!(out("usr/share/doc/x", EntryType::Regular));
    }

    #[test]
    fn without_patterns_everything_is_taken_and_dpkg_is_told_nothing() {
        assert!(!filter(&[], &[]).leaves_out(Path::new("usr/share/doc/x"), EntryType::Regular));
        assert_eq!(settings(&Packages::default()), None);
    }
}
