//! What lies beside a recipe and above it: directories of overlays, and of checks.

use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The directories of one name beside a recipe and above it, the nearest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// Those that count, written as the recipe's path was where that is possible, so that messages show short paths.
    pub found: Vec<PathBuf>,
    /// Those that are passed over, since they belong to somebody else than the recipe's owner or root: in a shared
    /// directory like /tmp anybody could put one.
    pub strangers: Vec<PathBuf>,
}

/// Looks for directories with this name.
pub fn beside(recipe: &Path, name: &str) -> Beside {
    let parent = match recipe.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Ok(whole) = fs_err::canonicalize(parent) else { return Beside::default() };
    let owner = fs_err::metadata(recipe).map(|found| found.uid()).ok();
    let mut beside = Beside::default();
    for (above, directory) in whole.ancestors().enumerate() {
        let path = directory.join(name);
        let Ok(metadata) = fs_err::metadata(&path) else { continue };
        if !metadata.is_dir() {
            continue;
        }
        let shown = as_given(parent, above).map_or(path, |given| given.join(name));
        if metadata.uid() == 0 || Some(metadata.uid()) == owner {
            beside.found.push(shown);
        } else {
            beside.strangers.push(shown);
        }
    }
    beside
}

/// The directory so many levels up, written as the user wrote the recipe's path where that is possible.
fn as_given(parent: &Path, above: usize) -> Option<PathBuf> {
    let plain = parent.components().all(|part| !matches!(part, Component::ParentDir));
    if !plain || parent.ancestors().any(Path::is_symlink) {
        return None;
    }
    // A `.` is no level of its own.
    let given: PathBuf = parent.components().filter(|part| !matches!(part, Component::CurDir)).collect();
    given.ancestors().nth(above).map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{Uid, chown, geteuid};

    #[test]
    fn a_directory_above_is_written_as_the_recipe_was_as_far_as_that_goes() {
        let given = |parent: &str, above| as_given(Path::new(parent), above);
        assert_eq!(given("recipes/mine", 1), Some("recipes".into()));
        assert_eq!(given("./recipes", 0), Some("recipes".into()));
        assert_eq!(given("recipes", 1), Some("".into()));
        assert_eq!(given(".", 0), Some("".into()));
        for (parent, above) in [(".", 1), ("./recipes", 2), ("../recipes", 0)] {
            assert_eq!(given(parent, above), None, "{parent} {above}");
        }
    }

    #[test]
    fn the_nearest_comes_first_and_a_strangers_not_at_all() {
        let top = tempfile::tempdir().unwrap();
        let at = |path: &str| top.path().join(path);
        for path in ["checks", "shared/checks", "shared/mine/checks"] {
            fs_err::create_dir_all(at(path)).unwrap();
        }
        let recipe = at("shared/mine/recipe.toml");
        fs_err::write(&recipe, "").unwrap();
        let ours = Beside {
            found: [at("shared/mine/checks"), at("shared/checks"), at("checks")].into(),
            strangers: Vec::new(),
        };
        assert_eq!(beside(&recipe, "checks"), ours);
        if !geteuid().is_root() {
            return println!("could not check the rest: only root gives directories away");
        }
        chown(&at("shared/checks"), Some(Uid::from_raw(12345)), None).unwrap();
        let passed_over = Beside {
            found: [at("shared/mine/checks"), at("checks")].into(),
            strangers: [at("shared/checks")].into(),
        };
        assert_eq!(beside(&recipe, "checks"), passed_over);
        // It is its owner's own recipe then.
        chown(&recipe, Some(Uid::from_raw(12345)), None).unwrap();
        assert_eq!(beside(&recipe, "checks"), ours);
    }
}
