//! In which steps packages are installed: file by file, as recipes extend each other, and for each file what its
//! overlays bring first, then what it lists. In the first file the list comes first: it is the system that all else
//! stands on, and the first step is the only one that needs no view over another tree.
//!
//! What a step holds depends on no later file, so recipes that extend the same share its steps, a recipe shares them
//! with what extends it, and a package more or less in a list touches only that list's step and what comes after.

use super::plan::Step;
use super::source::At;
use std::collections::BTreeMap;

/// Who asked in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asker {
    /// An overlay that the file turns on.
    Overlay,
    /// The file's own list.
    List,
}

/// When a step's turn is: its file's, whether it is the second of the file, and who asks.
type Turn = (usize, bool, Asker);

/// Collects what is asked for.
#[derive(Debug, Default)]
pub struct Steps {
    /// The recipe's files by number, bases first.
    files: Vec<u32>,
    /// The earliest step that asks for a package.
    first: BTreeMap<String, Turn>,
}

impl Steps {
    /// Nothing yet, for a recipe of these files.
    pub fn of(files: &[u32]) -> Self {
        Self { files: files.to_vec(), first: BTreeMap::new() }
    }

    /// Notes that the file of `at` asks for a package.
    pub fn ask(&mut self, package: &str, asker: Asker, at: At) {
        // A file that is not the recipe's: as late as can be.
        let level = self.files.iter().position(|&file| file == at.file).unwrap_or(self.files.len());
        let step = (level, (asker == Asker::List) != (level == 0), asker);
        let first = self.first.entry(package.to_owned()).or_insert(step);
        *first = step.min(*first);
    }

    /// The steps in their order, none of them empty.
    pub fn finish(self) -> Vec<Step> {
        let mut steps: BTreeMap<Turn, Step> = BTreeMap::new();
        for (package, step) in self.first {
            let known = steps.entry(step).or_insert_with(|| Step { name: name(step), packages: [].into() });
            known.packages.insert(package);
        }
        steps.into_values().collect()
    }
}

/// It may not depend on whether the file is the recipe or extended by it: they are to share the step.
fn name((level, _, asker): Turn) -> String {
    match (level, asker) {
        (0, Asker::List) => "base".to_owned(),
        (0, Asker::Overlay) => "base overlays".to_owned(),
        (1, Asker::List) => "packages".to_owned(),
        (1, Asker::Overlay) => "overlay packages".to_owned(),
        (level, Asker::List) => format!("packages {level}"),
        (level, Asker::Overlay) => format!("overlay packages {level}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::source::Sources;

    #[test]
    fn the_earliest_who_asks_decides_and_overlays_come_before_lists() {
        let at = Sources::whole;
        let mut steps = Steps::of(&[7, 3, 5]);
        steps.ask("less", Asker::List, at(3));
        steps.ask("tree", Asker::List, at(5));
        steps.ask("less", Asker::Overlay, at(5));
        steps.ask("openssh-server", Asker::Overlay, at(3));
        steps.ask("linux", Asker::List, at(7));
        steps.ask("systemd-repart", Asker::Overlay, at(7));
        let finished = steps.finish();
        let shown: Vec<(&str, Vec<&str>)> = finished
            .iter()
            .map(|step| (step.name.as_str(), step.packages.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(
            shown,
            [
                ("base", vec!["linux"]),
                ("base overlays", vec!["systemd-repart"]),
                ("overlay packages", vec!["openssh-server"]),
                ("packages", vec!["less"]),
                ("packages 2", vec!["tree"]),
            ]
        );
    }
}
