//! The files, directories and links that no package owns: one writer for each path.

use super::fleeting;
use super::plan::{Content, File};
use super::problem::Problems;
use super::source::{At, Sources};
use std::collections::BTreeMap;

/// Paths with what is there and where it was asked for.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, (File, At)>,
}

impl Tree {
    /// Adds an overlay's contribution.
    pub fn add(&mut self, path: String, file: File, at: At, sources: &Sources, problems: &mut Problems) {
        if !kept(&path, &file, at, problems) {
            return;
        }
        if let Some((known, known_at)) = self.files.get(&path) {
            let same_directory = known.content == Content::Directory
                && (&known.content, known.mode, &known.owner, &known.group)
                    == (&file.content, file.mode, &file.owner, &file.group);
            if same_directory {
                return;
            }
            let message = format!("both {} and {} write {path}", known.origin, file.origin);
            let help = Some(format!("the other is at {}", sources.position(*known_at)));
            problems.error(at, message, "the second", help);
            return;
        }
        self.files.insert(path, (file, at));
    }

    /// Adds the recipe's own file, in place of an overlay's when it says so.
    pub fn add_own(
        &mut self,
        path: String,
        file: File,
        at: At,
        replace: bool,
        sources: &Sources,
        problems: &mut Problems,
    ) {
        if !kept(&path, &file, at, problems) {
            return;
        }
        match self.files.get(&path) {
            Some((known, known_at)) if !replace => {
                let message = format!("both the recipe and {} write {path}", known.origin);
                let help = format!(
                    "say `replace = true` to write it in place of the other, at {}",
                    sources.position(*known_at)
                );
                problems.error(at, message, "the recipe's", Some(help));
            }
            None if replace => {
                let message = format!("no overlay writes {path}: there is nothing to replace");
                problems.warning(at, message, "this file", None);
                self.files.insert(path, (file, at));
            }
            _ => {
                self.files.insert(path, (file, at));
            }
        }
    }

    /// The files by path, once it is sure that none lies below another file or link.
    pub fn finish(self, problems: &mut Problems) -> BTreeMap<String, File> {
        for (path, (file, at)) in &self.files {
            let mut above = path.as_str();
            while let Some((parent, _)) = above.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()) {
                if let Some((other, _)) = self.files.get(parent)
                    && other.content != Content::Directory
                {
                    let message =
                        format!("{path} ({}) lies below {parent}, which is no directory", file.origin);
                    problems.error(
                        *at,
                        message,
                        "here",
                        Some(format!("{parent} is written by {}", other.origin)),
                    );
                }
                above = parent;
            }
        }
        self.files.into_iter().map(|(path, (file, _))| (path, file)).collect()
    }
}

/// Whether the image keeps the file; tells why when it does not.
fn kept(path: &str, file: &File, at: At, problems: &mut Problems) -> bool {
    let Err(fault) = fleeting::refuse(path, &file.content) else { return true };
    problems.error(at, format!("{path} would not be in the image: {}", fault.why), "not kept", fault.help);
    false
}
