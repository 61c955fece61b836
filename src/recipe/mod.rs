//! Stage 1: a recipe's text becomes a [`Plan`]. No network, no root, no clock.
//!
//! The shape of recipes (`keys`) and of overlays' declarations (`overlay_keys`) is data (`shape`); checking
//! (`check`), merging (`extends`) and the JSON Schema (`schema`) read it. Overlays are found by a [`Library`],
//! turned on by `switch`, rendered by `contribute` and put together by `resolve`.

pub(crate) mod address;
mod beside;
mod bytes;
mod check;
mod contribute;
mod extends;
pub(crate) mod fleeting;
mod form;
mod keys;
mod library;
mod lint;
mod mount;
mod node;
mod option;
mod overlay;
mod overlay_keys;
mod password;
mod path;
pub mod plan;
mod problem;
pub(crate) mod quantity;
mod resolve;
mod schema;
mod shape;
mod source;
mod ssh_key;
mod steps;
mod switch;
pub(crate) mod template;
mod tree;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

pub use beside::{Beside, beside};
pub use library::Library;
pub use option::Opt;
pub use overlay::Overlay;
pub use plan::Plan;
pub use problem::Warning;

use crate::error::{Error, Result};
use crate::nearest;
use problem::{Colour, Problems};
use source::Place;
use std::path::Path;

/// Bytes of a size as people write it, in recipes and on the command line: `650 MiB`. The error says what is wrong.
pub fn size(text: &str) -> Result<u64, String> {
    quantity::size(text).map_err(|fault| match fault.help {
        Some(help) => format!("{} ({help})", fault.why),
        None => fault.why,
    })
}

/// A plan, and what its author should know.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The recipe fully resolved.
    pub plan: Plan,
    /// What is allowed but looks wrong, in the order of files and lines.
    pub warnings: Vec<Warning>,
}

/// Reads a recipe and everything it extends, holds it against its shape and the overlays' options, and resolves
/// it.
///
/// # Errors
/// With every error of every file, drawn with its place ([`Error::diagnostic`]); exit status 2.
pub fn load(path: &Path, library: &Library) -> Result<Loaded> {
    load_in(path, library, Colour::detect())
}

fn load_in(path: &Path, library: &Library, colour: Colour) -> Result<Loaded> {
    let mut sources = library.sources.clone();
    let place = Place::Disk(path.to_owned());
    let file = sources.read_text(&place).map_err(|error| {
        let error = Error::usage(format!("cannot read recipe {}", path.display())).because(error);
        match nearest::one(&path.display().to_string(), siblings(path).iter().map(String::as_str)) {
            Some(near) if !path.exists() => error.hint(format!("did you mean {near}?")),
            _ if path.is_dir() => error.hint("name a recipe in it, a TOML file"),
            _ => error,
        }
    })?;
    let shape = library.shape();
    let mut problems = Problems::default();
    let family = extends::read(file, &place, &shape, &mut sources, &mut problems);
    let mut plan = None;
    if family.whole {
        check::required(&family.node, &shape, "", source::Sources::whole(file), &mut problems);
        plan = resolve::plan(&family, &shape, library, &mut sources, &mut problems);
    }
    match plan {
        Some(plan) if !problems.any_error() => {
            Ok(Loaded { plan, warnings: problems.into_warnings(&sources, colour) })
        }
        _ => Err(problems.into_error(&format!("recipe {}", path.display()), &sources, colour)),
    }
}

/// The recipes in the directory of this one.
fn siblings(path: &Path) -> Vec<String> {
    let names = Place::Disk(path.to_owned()).neighbours();
    names.into_iter().map(|name| path.with_file_name(name).display().to_string()).collect()
}

/// The JSON Schema of a recipe, with the options of every overlay of the library.
///
/// # Errors
/// When a declaration of the library is wrong.
pub fn schema(library: &Library) -> Result<serde_json::Value> {
    library.check()?;
    Ok(schema::document(&library.shape()))
}
