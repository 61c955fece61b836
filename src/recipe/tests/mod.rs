//! Tests of the stage as a whole.

mod diagnostics;
mod overlays;
mod partitions;
mod plans;
mod repositories;
mod schema;

use super::plan::Plan;
use super::problem::{Colour, Warning};
use super::{Library, Loaded, load_in};
use crate::error::{Error, Exit};
use std::path::PathBuf;
use tempfile::TempDir;

/// What every recipe of these tests needs and none is about.
pub const HEAD: &str = "\
[image]
name = \"test\"
[distribution]
name = \"debian\"
release = \"trixie\"
";

/// Somebody who can log in.
pub const USER: &str = "\
[[user]]
name = \"admin\"
groups = [\"sudo\"]
password-hash = \"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7\"
[overlay.accounts]
";

/// A directory with files, as a user has them.
pub struct World {
    dir: TempDir,
}

impl World {
    /// These files, by path and text.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let world = Self { dir: TempDir::new().unwrap() };
        for (path, text) in files {
            world.write(path, text);
        }
        world
    }

    /// A recipe alone.
    pub fn recipe(text: &str) -> Self {
        Self::new(&[("recipe.toml", text)])
    }

    /// Writes one more file.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    /// A path in it.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Loads `recipe.toml`.
    pub fn load(&self) -> Result<Loaded, Error> {
        let recipe = self.path("recipe.toml");
        load_in(&recipe, &Library::beside(&recipe)?, Colour::No)
    }

    /// The plan of a recipe that is right.
    pub fn plan(&self) -> Plan {
        self.load().unwrap_or_else(|error| panic!("{}", error.render())).plan
    }

    /// The warnings of a recipe that is right.
    pub fn warnings(&self) -> Vec<Warning> {
        self.load().unwrap_or_else(|error| panic!("{}", error.render())).warnings
    }

    /// What is drawn for a recipe that is wrong, with the directory's name taken away.
    pub fn errors(&self) -> String {
        let error = self.load().expect_err("the recipe should be refused");
        assert_eq!(error.exit(), Exit::Usage);
        error.render().replace(&format!("{}/", self.dir.path().display()), "")
    }
}
