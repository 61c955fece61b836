//! The names that an image's files have in a directory, which may hold a recipe, another image or anything else beside
//! them.

use super::published::PLAN;
use crate::error::Result;
use crate::recipe::Plan;
use crate::recipe::plan::{Format, LOGS, OWN_ENDINGS};
use std::collections::BTreeSet;
use std::path::Path;

/// What is put behind the name of an image whose proof failed.
pub const UNPROVEN: &str = "unproven";

/// An image's file name without [`UNPROVEN`].
pub fn bare(file: &str) -> &str {
    file.strip_suffix(UNPROVEN).and_then(|rest| rest.strip_suffix('.')).unwrap_or(file)
}

/// The directory beside an image's files with its serial logs, screen pictures and the package scripts' output. It
/// bears the image's name: another image, or another program, may have its own there.
pub fn logs(name: &str) -> String {
    format!("{name}.{LOGS}")
}

/// The names of one image's files.
#[derive(Debug, Clone)]
pub struct Names {
    name: String,
    endings: BTreeSet<String>,
}

impl Names {
    /// Those of this plan's image.
    pub fn of(plan: &Plan) -> Self {
        let endings = OWN_ENDINGS.iter().map(|ending| (*ending).to_owned());
        Self { name: plan.name.clone(), endings: endings.chain(plan.outputs.keys().cloned()).collect() }
    }

    /// With what overlays handed out when the image was last built into `directory`, as the plan says that lies there:
    /// some of them may be off now.
    pub fn and_earlier(mut self, directory: &Path) -> Self {
        let plan = fs_err::read(directory.join(format!("{}{PLAN}", self.name))).ok();
        // One of another goldcast may be another plan, and is not refused for that.
        let plan: Option<serde_json::Value> = plan.and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(outputs) = plan.as_ref().and_then(|plan| plan.get("outputs")?.as_object()) {
            self.endings.extend(outputs.keys().cloned());
        }
        self
    }

    /// The directory of logs beside the files.
    pub fn logs(&self) -> String {
        logs(&self.name)
    }

    /// Whether a file of this name tells of the image, or was handed out with it, and is not the image itself.
    pub fn is_beside(&self, file: &str) -> bool {
        self.ending(file).is_some_and(|ending| !is_format(ending))
    }

    /// The regular files of `directory` that are the image's, proven or not.
    pub fn files(&self, directory: &Path) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for entry in fs_err::read_dir(directory)? {
            let entry = entry?;
            let file = entry.file_name().to_string_lossy().into_owned();
            if self.ending(&file).is_some() && entry.file_type()?.is_file() {
                found.insert(file);
            }
        }
        Ok(found)
    }

    /// What follows the image's name in that of a file of its own. Only the image itself can be unproven.
    fn ending<'f>(&self, file: &'f str) -> Option<&'f str> {
        let whole = file.strip_prefix(&self.name)?.strip_prefix('.')?;
        let ending = bare(whole);
        let own = self.endings.contains(ending) && (ending == whole || is_format(ending));
        own.then_some(ending)
    }
}

fn is_format(ending: &str) -> bool {
    Format::ALL.iter().any(|format| format.extension() == ending)
}

#[cfg(test)]
pub(super) mod testing {
    use super::Names;
    use crate::recipe::plan::{Origin, Output};
    use crate::recipe::testing::empty_plan;

    /// Those of an image with this name, one of whose overlays hands out a `nagios.cfg`.
    pub fn names(name: &str) -> Names {
        let mut plan = empty_plan(name);
        let output = Output { content: String::new(), origin: Origin::Goldcast(String::new()) };
        plan.outputs.insert("nagios.cfg".into(), output);
        Names::of(&plan)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::names;
    use super::*;

    #[test]
    fn only_what_a_build_hands_out_is_the_images() {
        let own = ["x.raw", "x.qcow2.unproven", "x.manifest.json", "x.nagios.cfg"];
        let others =
            ["x.toml", "x.notes.txt", "x.y.raw", "xy.raw", "x", "x.lock.unproven", "x.unproven", "x.raw.old"];
        let target = tempfile::tempdir().unwrap();
        for file in own.iter().chain(&others) {
            fs_err::write(target.path().join(file), "").unwrap();
        }
        fs_err::create_dir(target.path().join("x.raw.gz")).unwrap();
        assert_eq!(names("x").files(target.path()).unwrap(), BTreeSet::from(own.map(str::to_owned)));
        assert_eq!(names("x.y").files(target.path()).unwrap(), BTreeSet::from(["x.y.raw".to_owned()]));
        assert_eq!(own.map(|file| names("x").is_beside(file)), [false, false, true, true]);
    }

    #[test]
    fn what_an_earlier_plan_handed_out_is_the_images() {
        let target = tempfile::tempdir().unwrap();
        let files = || names("x").and_earlier(target.path()).files(target.path()).unwrap();
        fs_err::write(target.path().join("x.part"), "").unwrap();
        assert!(files().is_empty());
        for (plan, known) in [("{}", false), ("no plan", false), (r#"{"outputs": {"part": {}}}"#, true)] {
            fs_err::write(target.path().join("x.plan.json"), plan).unwrap();
            assert_eq!(files().contains("x.part"), known, "{plan}");
        }
    }
}
