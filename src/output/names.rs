//! The names that an image's files have in a directory, which may hold a recipe, another image or anything else beside
//! them.

use super::directory::{CHECKSUMS, UNPROVEN};
use super::published::MANIFEST;
use crate::error::Result;
use crate::recipe::Plan;
use crate::recipe::plan::{LOGS, OWN_ENDINGS};
use std::path::{Path, PathBuf};

/// The directory beside an image's files with its serial logs, screen pictures and the package scripts' output. It bears
/// the image's name: another image, or another program, may have its own there.
pub fn logs(name: &str) -> String {
    format!("{name}.{LOGS}")
}

/// The names of one image's files.
#[derive(Debug, Clone)]
pub struct Names {
    name: String,
    endings: Vec<String>,
}

impl Names {
    /// Those of this plan's image.
    pub fn of(plan: &Plan) -> Self {
        let endings = OWN_ENDINGS.iter().map(|ending| (*ending).to_owned());
        Self { name: plan.name.clone(), endings: endings.chain(plan.outputs.keys().cloned()).collect() }
    }

    /// The directory of logs beside the files.
    pub fn logs(&self) -> String {
        logs(&self.name)
    }

    /// Whether a file of this name is one of them, proven or not.
    pub(super) fn has(&self, file: &str) -> bool {
        let Some(ending) = file.strip_prefix(&self.name).and_then(|rest| rest.strip_prefix('.')) else {
            return false;
        };
        let ending = ending.strip_suffix(UNPROVEN).and_then(|rest| rest.strip_suffix('.')).unwrap_or(ending);
        self.endings.iter().any(|own| own == ending)
    }

    /// The files of this directory that are an image's of an earlier recipe: what an overlay handed out that is off now
    /// is in the checksums only.
    pub(super) fn earlier(&self, directory: &Path) -> Result<Vec<PathBuf>> {
        let listed = match fs_err::read_to_string(directory.join(CHECKSUMS)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error.into()),
        };
        let listed: Vec<&str> = listed.lines().filter_map(|line| Some(line.split_once("  ")?.1)).collect();
        let ours = listed.contains(&format!("{}{MANIFEST}", self.name).as_str());
        let mut found = Vec::new();
        for entry in fs_err::read_dir(directory)? {
            let entry = entry?;
            let file = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_file() && (self.has(&file) || ours && listed.contains(&file.as_str())) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}
