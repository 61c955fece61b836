//! What administrators and package scripts told dpkg to put elsewhere or to own otherwise:
//! dpkg-divert(1) and dpkg-statoverride(1).

use crate::error::{Error, Result};
use crate::tree::inside::Tree;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// dpkg's diversions: a file of one package goes elsewhere because another one took its place.
#[derive(Debug, Default)]
pub struct Diversions(HashMap<PathBuf, (PathBuf, String)>);

impl Diversions {
    /// Reads `var/lib/dpkg/diversions` below `tree`: three lines each, from, to, by whom.
    pub fn of(tree: &Path) -> Result<Self> {
        let text = Tree::open(tree)?.text("var/lib/dpkg/diversions")?.unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let mut map = HashMap::new();
        for record in lines.chunks(3) {
            let [from, to, package] = record else {
                return Err(Error::new("dpkg's diversions file ends in the middle of a record"));
            };
            let below = |path: &str| PathBuf::from(path.trim_start_matches('/'));
            map.insert(below(from), (below(to), (*package).to_owned()));
        }
        Ok(Self(map))
    }

    /// Where a file of `package` really goes. The package that diverted keeps the name.
    pub fn of_file(&self, path: &Path, package: &str) -> PathBuf {
        match self.0.get(path) {
            Some((to, by)) if by != package => to.clone(),
            _ => path.to_path_buf(),
        }
    }
}

/// dpkg's overrides of owner and mode.
#[derive(Debug, Default)]
pub struct StatOverrides(HashMap<PathBuf, (String, String, u32)>);

impl StatOverrides {
    /// Reads `var/lib/dpkg/statoverride` below `tree`: user, group, octal mode, path.
    pub fn of(tree: &Path) -> Result<Self> {
        let text = Tree::open(tree)?.text("var/lib/dpkg/statoverride")?.unwrap_or_default();
        let mut map = HashMap::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let broken = || Error::new(format!("dpkg's statoverride file holds the line {line:?}"));
            let fields: Vec<&str> = line.splitn(4, ' ').collect();
            let [user, group, mode, path] = fields[..] else { return Err(broken()) };
            let mode = u32::from_str_radix(mode, 8).map_err(|_| broken())?;
            map.insert(
                PathBuf::from(path.trim_start_matches('/')),
                (user.to_owned(), group.to_owned(), mode),
            );
        }
        Ok(Self(map))
    }

    /// User, group and mode for a path, when overridden.
    pub fn get(&self, path: &Path) -> Option<(&str, &str, u32)> {
        self.0.get(path).map(|(user, group, mode)| (user.as_str(), group.as_str(), *mode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diversion_moves_the_others_files_and_not_the_diverters() {
        let tree = tempfile::tempdir().unwrap();
        let dpkg = tree.path().join("var/lib/dpkg");
        fs_err::create_dir_all(&dpkg).unwrap();
        fs_err::write(dpkg.join("diversions"), "/usr/bin/x\n/usr/bin/x.distrib\nnewx\n").unwrap();
        fs_err::write(dpkg.join("statoverride"), "root mail 2755 /usr/bin/y\n").unwrap();
        let diversions = Diversions::of(tree.path()).unwrap();
        assert_eq!(diversions.of_file(Path::new("usr/bin/x"), "oldx"), Path::new("usr/bin/x.distrib"));
        assert_eq!(diversions.of_file(Path::new("usr/bin/x"), "newx"), Path::new("usr/bin/x"));
        let overrides = StatOverrides::of(tree.path()).unwrap();
        assert_eq!(overrides.get(Path::new("usr/bin/y")), Some(("root", "mail", 0o2755)));
        fs_err::write(dpkg.join("diversions"), "/a\n").unwrap();
        assert!(Diversions::of(tree.path()).is_err());
    }
}
