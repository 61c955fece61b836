//! Which overlays are on, and the final value of each of their options.

use super::library::Library;
use super::node::{Node, Value};
use super::option;
use super::overlay::Overlay;
use super::problem::Problems;
use super::source::At;
use super::template;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// An overlay that is on.
#[derive(Debug)]
pub struct On<'a> {
    /// Its declaration.
    pub overlay: &'a Overlay,
    /// Every option's final value.
    pub options: BTreeMap<String, Json>,
    /// The recipe's table for it, when the recipe names it.
    pub node: Option<&'a Node>,
    /// Where it was turned on: in the recipe, or by another overlay's `needs`.
    pub at: At,
    /// Overlays whose `needs` turned it on; empty when the recipe did.
    pub needed_by: Vec<String>,
}

impl On<'_> {
    /// The options as templates see them.
    pub fn json(&self) -> Json {
        Json::Object(self.options.clone().into_iter().collect::<Map<_, _>>())
    }
}

/// Turns on what the recipe names and what that needs. `context` is what templates of `needs` see beside their
/// overlay's own options.
pub fn overlays<'a>(
    recipe: &'a Node,
    library: &'a Library,
    context: &Json,
    problems: &mut Problems,
) -> BTreeMap<String, On<'a>> {
    let mut on: BTreeMap<String, On<'a>> = BTreeMap::new();
    let mut queue: Vec<(String, At, Option<&'a Node>, Option<String>)> = Vec::new();
    for (key, node) in recipe.entries("overlay").iter().rev() {
        if !matches!(node.value, Value::Boolean(_)) && library.overlay(&key.name).is_some() {
            queue.push((key.name.clone(), key.at, Some(node), None));
        }
    }
    while let Some((name, at, node, needed_by)) = queue.pop() {
        if let Some(known) = on.get_mut(&name) {
            known.needed_by.extend(needed_by.filter(|_| known.node.is_none()));
            continue;
        }
        let Some(overlay) = library.overlay(&name) else { continue };
        if overlay.problems.any_error() {
            problems.extend(&overlay.problems);
            continue;
        }
        let options = options(overlay, node, at, needed_by.as_deref(), problems);
        let entry = On { overlay, options, node, at, needed_by: needed_by.into_iter().collect() };
        for (need, place) in needs(&entry, context, problems) {
            match recipe.get("overlay").and_then(|table| table.get(&need)) {
                Some(Node { value: Value::Boolean(_), at: off }) => {
                    let message = format!("overlay {name} needs overlay {need}, which is turned off");
                    let help = Some(format!("remove `{need} = false`, or turn {name} off too"));
                    problems.error(*off, message, "turned off here", help);
                }
                // The recipe's own mention is in the queue already, with its values.
                Some(_) => {}
                None if library.overlay(&need).is_none() => {
                    let help = super::problem::suggest(&need, library.names());
                    problems.error(place, format!("there is no overlay `{need}`"), "needed here", help);
                }
                None => queue.push((need, at, None, Some(name.clone()))),
            }
        }
        on.insert(name, entry);
    }
    conflicts(&on, problems);
    on
}

fn options(
    overlay: &Overlay,
    node: Option<&Node>,
    at: At,
    needed_by: Option<&str>,
    problems: &mut Problems,
) -> BTreeMap<String, Json> {
    let mut values = BTreeMap::new();
    for option in &overlay.options {
        let written = node.and_then(|node| node.get(&option.name));
        let value = match written {
            Some(written) => option::json_of(written, &option.kind),
            None => {
                if option.required && !node.is_some_and(|node| node.has(&option.name)) {
                    let by = needed_by.map_or(String::new(), |by| format!(", which overlay {by} needs,"));
                    let message = format!("overlay {}{by} must be told `{}`", overlay.name, option.name);
                    let help =
                        Some(format!("[overlay.{}]\n{} = …    # {}", overlay.name, option.name, option.doc));
                    problems.error(at, message, "turned on here", help);
                }
                option.default.clone()
            }
        };
        values.insert(option.name.clone(), value);
    }
    values
}

fn needs(on: &On<'_>, context: &Json, problems: &mut Problems) -> Vec<(String, At)> {
    let mut context = context.clone();
    context["option"] = on.json();
    let mut needs = Vec::new();
    for (text, at) in on.overlay.node.texts("needs") {
        match template::render(text, &context) {
            Ok(text) => needs.extend(text.split_whitespace().map(|need| (need.to_owned(), at))),
            Err(failure) => problems.error(at, failure.why, "in this template", None),
        }
    }
    needs
}

fn conflicts(on: &BTreeMap<String, On<'_>>, problems: &mut Problems) {
    for (name, entry) in on {
        for (other, _) in entry.overlay.node.texts("conflicts") {
            let Some(other) = on.get(other) else { continue };
            let other_name = &other.overlay.name;
            // When each names the other, one error is enough.
            let both = other.overlay.node.texts("conflicts").any(|(back, _)| back == name);
            if both && other_name < name {
                continue;
            }
            let (at, why) = if entry.node.is_some() {
                (entry.at, &other.needed_by)
            } else {
                (other.at, &entry.needed_by)
            };
            let help = match why.as_slice() {
                [] => "turn one of them off".to_owned(),
                by => format!("turned on because {} needs it", by.join(", ")),
            };
            problems.error(
                at,
                format!("overlays {name} and {other_name} cannot both be on"),
                "here",
                Some(help),
            );
        }
    }
}
