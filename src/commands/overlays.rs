//! `goldcast overlays`: what can be turned on. A page is made from the overlay's declaration and its checks, so that it
//! says what there is.

use super::costs::{self, Boots};
use super::session::check_directories;
use crate::cli::overlays::Overlays;
use crate::error::{Error, Result};
use crate::nearest;
use crate::output::table::human;
use crate::recipe::{Library, Opt, Overlay};
use crate::stdout;
use crate::verify::{Check, Mutant, check, mutants, requirement};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Runs the command.
pub fn overlays(arguments: &Overlays) -> Result<()> {
    if let (Some(file), Some(recipe)) = (&arguments.costs, &arguments.on) {
        return costs::measure(recipe, file);
    }
    let library = known(arguments.beside.as_deref())?;
    let directories = arguments.beside.as_deref().map(check_directories).unwrap_or_default();
    if let Some(directory) = &arguments.pages {
        fs_err::create_dir_all(directory)?;
        for overlay in library.overlays() {
            fs_err::write(directory.join(format!("{}.md", overlay.name)), page(overlay, &directories)?)?;
        }
        return Ok(());
    }
    let Some(name) = &arguments.name else {
        for overlay in library.overlays() {
            stdout::line(format_args!("{:<14} {}", overlay.name, overlay.summary()))?;
        }
        return Ok(());
    };
    let overlay = library.overlay(name).ok_or_else(|| {
        let names: Vec<&str> = library.overlays().map(|overlay| overlay.name.as_str()).collect();
        Error::usage(format!("there is no overlay `{name}`")).hint(
            match nearest::one(name, names.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are: {}", names.join(", ")),
            },
        )
    })?;
    stdout::write(page(overlay, &directories)?)
}

/// goldcast's own overlays, or what a recipe can turn on.
pub fn known(beside: Option<&Path>) -> Result<Library> {
    beside.map_or_else(Library::built_in, Library::beside)
}

/// An overlay's page in Markdown; checks of one's own are in these directories.
fn page(overlay: &Overlay, directories: &[PathBuf]) -> Result<String> {
    let mut text = format!("# {}\n\n{}.\n\n", overlay.name, overlay.summary());
    let mut add = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    if !overlay.description().is_empty() {
        add(&format!("{}\n", overlay.description()));
    }
    let rows = overlay.requirements().map(|row| match requirement(row) {
        Some(title) => format!("{row} ({title})"),
        None => row.to_owned(),
    });
    let guidelines = overlay.guidelines().map(str::to_owned);
    for (name, words) in [
        ("Requirements", rows.collect::<Vec<String>>()),
        ("Follows", guidelines.collect()),
        ("Turns on", overlay.needs()),
    ] {
        if !words.is_empty() {
            add(&format!("- {name}: {}", words.join(", ")));
        }
    }
    let packages = overlay.packages();
    if !packages.is_empty() {
        add(&format!("- Installs, with what they depend on: {}", packages.join(", ")));
    }
    let starts = overlay.starts();
    if !starts.is_empty() {
        add(&format!("- Starts at boot: {}", starts.join(", ")));
    }
    // What was measured is goldcast's own, not another overlay that has taken its name.
    if let Some(cost) = costs::measured()?.get(&overlay.name).filter(|_| overlay.is_built_in()) {
        add(&match cost.packages {
            0 => "- Costs: no package".to_owned(),
            1 => format!("- Costs: one package, {} installed", human(cost.kib * 1024)),
            number => format!("- Costs: {number} packages, {} installed", human(cost.kib * 1024)),
        });
    }
    if let Some(percent) = Boots::counted()?.percent(&overlay.name).filter(|_| overlay.is_built_in()) {
        // Boots of one image differ by nearly as much.
        add(&match percent < 0.5 {
            true => {
                "- Adds to a boot: less than 0.5 % of what the base alone takes, in instructions".to_owned()
            }
            false => {
                format!("- Adds to a boot: {percent:.1} % of what the base alone takes, in instructions")
            }
        });
    }
    let files = overlay.paths();
    if !files.is_empty() {
        add(&format!(
            "- Writes: {}",
            files.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ")
        ));
    }
    let outputs = overlay.outputs();
    if !outputs.is_empty() {
        let names: Vec<String> = outputs.iter().map(|name| format!("`NAME.{name}`")).collect();
        add(&format!("- Hands out beside the image: {}", names.join(", ")));
    }
    add("\n## Options\n");
    if overlay.options.is_empty() {
        add("None.");
    } else {
        add("| option | takes | default | |\n|---|---|---|---|");
        for option in &overlay.options {
            add(&row(option));
        }
    }
    add("\n## How it is proved\n");
    let checks: Vec<Check> = check::load(std::iter::once(overlay.name.as_str()), directories)?
        .all
        .into_iter()
        .filter(|check| check.source.ends_with(&format!("/{}.toml", overlay.name)))
        .collect();
    if checks.is_empty() {
        add("By the checks that every image gets: `goldcast verify --list`.");
    } else {
        add("| check | what holds when it passes | looks from |\n|---|---|---|");
        for check in &checks {
            let from = match check.needs.iter().any(|need| need == "lab") {
                true => format!("{}, in the lab", check.kind.name()),
                false => check.kind.name().to_owned(),
            };
            add(&format!("| `{}` | {} | {from} |", check.name, cell(&check.proves)));
        }
    }
    let mut sabotages = mutants(std::iter::once(overlay.name.as_str()), directories)?;
    // Other files of one's own have theirs for other overlays.
    if !directories.is_empty() {
        sabotages.retain(|mutant| checks.iter().any(|check| mutant.breaks.contains(&check.name)));
    }
    if !sabotages.is_empty() {
        add("\nThat these checks can fail is shown by sabotage (`make mutants`):\n");
        add("| sabotage | is noticed by |\n|---|---|");
        for Mutant { does, breaks, .. } in &sabotages {
            add(&format!("| {} | {} |", cell(does), breaks.join(", ")));
        }
    }
    Ok(text)
}

fn row(option: &Opt) -> String {
    let mut doc = cell(&option.doc);
    if let Some(guideline) = &option.guideline {
        // Writing to a String cannot fail.
        let _ = write!(doc, " ({guideline})");
    }
    let default = match &option.written_default {
        Some(value) => format!("`{value}`"),
        None if option.required => "must be set".to_owned(),
        None => "none".to_owned(),
    };
    format!("| `{}` | {} | {default} | {doc} |", option.name, option.kind_name)
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|").replace('\n', " ")
}
