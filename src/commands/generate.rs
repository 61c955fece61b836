//! What is generated from the code: schemas, completions, manual pages.

use super::overlays;
use crate::cli::{Cli, completions::Completions, man::Man, schema::Schema, schema::Which};
use crate::error::{Context, Result};
use crate::event::Event;
use crate::output::manifest;
use crate::recipe;
use crate::stdout;
use clap::CommandFactory;

/// `goldcast schema`.
pub fn schema(arguments: &Schema) -> Result<()> {
    let text = match arguments.which {
        Which::Recipe => pretty(&recipe::schema(&overlays::known(arguments.beside.as_deref())?)?)?,
        Which::Checks => pretty(&crate::verify::checks_schema().to_value())?,
        Which::Proof => crate::verify::proof_schema()?,
        Which::Manifest => pretty(&manifest::schema().to_value())?,
        Which::Events => pretty(&Event::schema().to_value())?,
        Which::Diff => pretty(&crate::diff::Report::schema().to_value())?,
    };
    stdout::write(text)
}

/// `goldcast completions`.
pub fn completions(arguments: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "goldcast", &mut script);
    stdout::write(String::from_utf8_lossy(&script))
}

/// `goldcast man`.
pub fn man(arguments: &Man) -> Result<()> {
    fs_err::create_dir_all(&arguments.directory)?;
    clap_mangen::generate_to(Cli::command(), &arguments.directory).doing("writing the manual pages")?;
    Ok(())
}

fn pretty(value: &serde_json::Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value).doing("writing the schema")? + "\n")
}
