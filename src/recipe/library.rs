//! Where overlays and bases are found: beside the recipe, above it, and in the binary.

use super::beside::beside;
use super::keys;
use super::overlay::Overlay;
use super::shape::Shape;
use super::source::{self, Place, Sources};
use crate::error::{Context, Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The overlays that a recipe may turn on, with their texts.
#[derive(Debug, Clone)]
pub struct Library {
    overlays: BTreeMap<String, Overlay>,
    pub(super) sources: Sources,
}

impl Library {
    /// The overlays in the binary alone.
    ///
    /// # Errors
    /// When a text in the binary is not UTF-8.
    pub fn built_in() -> Result<Self> {
        Self::of(&[])
    }

    /// The overlays in `overlays/` directories beside the recipe and above it, the nearest first, then those in
    /// the binary; of two with the same name the nearer is taken.
    ///
    /// # Errors
    /// When a directory or declaration cannot be read. What is wrong in a declaration is told by
    /// [`load`](super::load), when a recipe turns that overlay on.
    pub fn beside(recipe: &Path) -> Result<Self> {
        Self::of(&beside(recipe, "overlays").found)
    }

    fn of(directories: &[PathBuf]) -> Result<Self> {
        let mut library = Self { overlays: BTreeMap::new(), sources: Sources::default() };
        for directory in directories {
            let entries = fs_err::read_dir(directory)
                .doing_with(|| format!("reading overlays in {}", directory.display()))?;
            for entry in entries {
                let entry = entry.doing_with(|| format!("reading overlays in {}", directory.display()))?;
                let declaration = entry.path().join("overlay.toml");
                if declaration.is_file() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    library.add(&name, Place::Disk(declaration))?;
                }
            }
        }
        for name in source::built_in_overlays() {
            let place = Place::BuiltIn(Path::new("overlays").join(&name).join("overlay.toml"));
            library.add(&name, place)?;
        }
        library.check_references();
        Ok(library)
    }

    fn add(&mut self, name: &str, place: Place) -> Result<()> {
        if super::form::Form::Overlay.check(name).is_err() || self.overlays.contains_key(name) {
            return Ok(());
        }
        let file = self
            .sources
            .read_text(&place)
            .map_err(|error| Error::usage(format!("cannot read overlay {name}")).because(error))?;
        let overlay = Overlay::read(name, &place, file, &mut self.sources);
        self.overlays.insert(name.to_owned(), overlay);
        Ok(())
    }

    fn check_references(&mut self) {
        let names: BTreeMap<String, Vec<String>> = self
            .overlays
            .iter()
            .map(|(name, overlay)| {
                (name.clone(), overlay.options.iter().map(|option| option.name.clone()).collect())
            })
            .collect();
        for overlay in self.overlays.values_mut() {
            let problems = overlay.check_references(&names, &self.sources);
            overlay.problems.extend(&problems);
        }
    }

    /// Every overlay, by name.
    pub fn overlays(&self) -> impl Iterator<Item = &Overlay> {
        self.overlays.values()
    }

    /// The overlays' names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.overlays.keys().map(String::as_str)
    }

    /// The overlay with this name.
    pub fn overlay(&self, name: &str) -> Option<&Overlay> {
        self.overlays.get(name)
    }

    /// Checks every declaration, used or not.
    ///
    /// # Errors
    /// With all that is wrong, drawn.
    pub fn check(&self) -> Result<()> {
        let mut problems = super::problem::Problems::default();
        self.overlays.values().for_each(|overlay| problems.extend(&overlay.problems));
        if problems.any_error() {
            return Err(problems.into_error(
                "the set of overlays",
                &self.sources,
                super::problem::Colour::detect(),
            ));
        }
        Ok(())
    }

    /// The shape of a recipe with these overlays.
    pub(super) fn shape(&self) -> Shape {
        keys::recipe(self.overlays.values().map(Overlay::field).collect())
    }
}
