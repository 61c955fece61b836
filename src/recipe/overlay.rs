//! An overlay: one capability of a server, declared in `overlays/NAME/overlay.toml`.

use super::form::Form;
use super::node::{Node, Value};
use super::option::Opt;
use super::problem::{Problems, suggest};
use super::shape::{Field, Kind, Shape};
use super::source::{At, Place, Sources, at};
use super::{check, overlay_keys, template};
use std::collections::BTreeMap;
use std::path::Path;

/// A declared overlay.
#[derive(Debug, Clone)]
pub struct Overlay {
    /// Its name, which is its folder's.
    pub name: String,
    /// Its `overlay.toml`.
    pub(super) place: Place,
    /// What recipes may set, in the order of the declaration.
    pub options: Vec<Opt>,
    /// The declaration, held against its shape.
    pub(super) node: Node,
    /// What is wrong with the declaration or its templates.
    pub(super) problems: Problems,
}

impl Overlay {
    /// Whether it is one of goldcast's own, in the binary.
    pub fn is_built_in(&self) -> bool {
        matches!(self.place, Place::BuiltIn(_))
    }

    /// Reads a declaration that is already in `sources`.
    pub(super) fn read(name: &str, place: &Place, file: u32, sources: &mut Sources) -> Self {
        let mut problems = Problems::default();
        let mut overlay = Self {
            name: name.to_owned(),
            place: place.clone(),
            options: Vec::new(),
            node: Node::empty(at(file, 0, 0)),
            problems: Problems::default(),
        };
        if let Some(mut node) = Node::parse(file, sources, &mut problems) {
            let shape = overlay_keys::overlay();
            check::table(&mut node, &shape, "", &mut problems);
            check::required(&node, &shape, "", Sources::whole(file), &mut problems);
            for (key, option) in node.entries("option") {
                overlay.options.extend(Opt::read(key, option, &mut problems));
            }
            overlay.node = node;
            overlay.check_guards(&mut problems);
            overlay.check_contents(sources, &mut problems);
        }
        overlay.problems = problems;
        overlay
    }

    /// What it does, in one line.
    pub fn summary(&self) -> &str {
        self.node.text("summary").unwrap_or("")
    }

    /// What it does, why, and what it does not do.
    pub fn description(&self) -> &str {
        self.node.text("description").unwrap_or("").trim()
    }

    /// Rows of the requirements that it meets.
    pub fn requirements(&self) -> impl Iterator<Item = &str> {
        self.node.texts("requirements").map(|(text, _)| text)
    }

    /// Guidelines that it follows.
    pub fn guidelines(&self) -> impl Iterator<Item = &str> {
        self.node.texts("guidelines").map(|(text, _)| text)
    }

    /// The packages that it asks for when its options have their defaults.
    pub fn packages(&self) -> Vec<String> {
        let packages = self.node.get("packages");
        packages.map_or_else(Vec::new, |node| self.by_default(node, "install"))
    }

    /// The overlays that it turns on when its options have their defaults.
    pub fn needs(&self) -> Vec<String> {
        self.by_default(&self.node, "needs")
    }

    /// The words of a list of the declaration, filled in with the options' defaults. What hangs on other overlays, or on
    /// an option without a default, is left out.
    fn by_default(&self, node: &Node, name: &str) -> Vec<String> {
        let options = self.options.iter().map(|option| (option.name.clone(), option.default.clone()));
        let context = serde_json::json!({ "option": options.collect::<serde_json::Map<_, _>>() });
        let words = node.texts(name).filter_map(|(text, _)| template::render(text, &context).ok());
        words.filter(|word| !word.is_empty()).collect()
    }

    /// The units that it enables when its options have their defaults.
    pub fn starts(&self) -> Vec<String> {
        let services = self.node.get("services");
        services.map_or_else(Vec::new, |node| self.by_default(node, "enable"))
    }

    /// The files and links that it writes, templates as they are.
    pub fn paths(&self) -> Vec<&str> {
        ["file", "link"]
            .iter()
            .flat_map(|kind| self.node.list(kind))
            .filter_map(|node| node.text("path"))
            .collect()
    }

    /// What it has handed out beside the image, without the image's name.
    pub fn outputs(&self) -> Vec<&str> {
        self.node.list("output").filter_map(|node| node.text("name")).collect()
    }

    /// The option with this name.
    pub fn option(&self, name: &str) -> Option<&Opt> {
        self.options.iter().find(|option| option.name == name)
    }

    /// The overlay as a key of the recipe's `[overlay]`.
    pub(super) fn field(&self) -> Field {
        // Of a broken declaration nothing is known; its own errors are told when it is turned on.
        let kind = if self.problems.any_error() {
            Kind::Anything
        } else {
            Kind::Switch(Shape::new("option", self.options.iter().map(Opt::field).collect()))
        };
        Field::new(self.name.clone(), kind, self.summary())
    }

    /// A file of its folder.
    pub(super) fn inner(&self, path: &str) -> Place {
        self.place.sibling(Path::new(path))
    }

    fn check_guards(&self, problems: &mut Problems) {
        for option in &self.options {
            let Some(guard) = &option.well_known_guard else { continue };
            if self.option(guard).is_none_or(|guard| guard.kind_name != "boolean") {
                let help = suggest(guard, self.options.iter().map(|option| option.name.as_str()));
                problems.error(
                    option.at,
                    format!("`{guard}` is not a boolean option of it"),
                    "its guard",
                    help,
                );
            }
        }
    }

    /// Each file has one origin, and what it names is there.
    fn check_contents(&self, sources: &mut Sources, problems: &mut Problems) {
        for file in self.node.list("file") {
            let given: Vec<&str> =
                ["source", "template", "content"].into_iter().filter(|key| file.has(key)).collect();
            if given.len() != 1 {
                let help = Some("say one of `source`, `template` and `content`".to_owned());
                problems.error(file.at, "a file has exactly one origin", "this file", help);
            }
            if let Some(path) = file.text("source") {
                let place = self.inner(path);
                let at = file.get("source").map_or(file.at, |node| node.at);
                if !place.is_file() {
                    problems.error(at, format!("there is no file {}", place.shown().display()), "here", None);
                }
            }
        }
        for file in self.templated() {
            let Some(path) = file.text("template") else { continue };
            let place = self.inner(path);
            let at = file.get("template").map_or(file.at, |node| node.at);
            match sources.read_text(&place) {
                Ok(number) => template_syntax(number, sources, problems),
                Err(error) => {
                    let message = format!("cannot read {}", place.shown().display());
                    problems.error(at, message, error.to_string(), None);
                }
            }
        }
    }

    /// What may be made from a template of the folder.
    fn templated(&self) -> impl Iterator<Item = &Node> {
        self.node.list("file").chain(self.node.list("output"))
    }

    /// Looks up the names that templates and conditions use: options of its own, other overlays and theirs.
    pub(super) fn check_references(
        &self,
        all: &BTreeMap<String, Vec<String>>,
        sources: &Sources,
    ) -> Problems {
        let mut problems = Problems::default();
        let shape = overlay_keys::overlay();
        self.walk(&self.node, &Kind::Table(shape), all, &mut problems);
        for name in self.templated().filter_map(|file| file.text("template")) {
            let place = self.inner(name);
            let Some((number, text)) = sources.find(&place) else { continue };
            for (offset, parts) in template::references(text) {
                let length = parts.iter().map(|part| part.len() + 1).sum::<usize>() - 1;
                self.look_up(&parts, at(number, offset, offset + length), all, &mut problems);
            }
        }
        problems
    }

    fn walk(&self, node: &Node, kind: &Kind, all: &BTreeMap<String, Vec<String>>, problems: &mut Problems) {
        match (kind, &node.value) {
            (Kind::Template { form, .. }, Value::Text(text)) => {
                for (_, parts) in template::references(text) {
                    self.look_up(&parts, node.at, all, problems);
                }
                if *form == Form::Overlay && template::is_plain(text) {
                    text.split_whitespace()
                        .for_each(|name| self.look_up(&["overlay", name], node.at, all, problems));
                }
            }
            (Kind::Text(Form::Overlay), Value::Text(name)) => {
                self.look_up(&["overlay", name], node.at, all, problems);
            }
            (Kind::List(inner), Value::List(list)) => {
                list.iter().for_each(|entry| self.walk(entry, inner, all, problems));
            }
            (Kind::Tables { shape, .. }, Value::List(list)) => {
                list.iter().for_each(|entry| self.walk(entry, &Kind::Table(shape.clone()), all, problems));
            }
            (Kind::Table(shape), Value::Table(entries)) => {
                for (key, value) in entries {
                    match (shape.field(&key.name), &value.value) {
                        (Some(_), Value::Text(condition)) if key.name == "when" => {
                            self.check_condition(condition, value.at, all, problems);
                        }
                        (Some(field), _) => self.walk(value, &field.kind, all, problems),
                        (None, _) => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn check_condition(
        &self,
        text: &str,
        at: At,
        all: &BTreeMap<String, Vec<String>>,
        problems: &mut Problems,
    ) {
        if template::is_plain(text) {
            let name = text.strip_prefix('!').unwrap_or(text);
            let parts: Vec<&str> = match name.strip_prefix("overlay.") {
                Some(overlay) => vec!["overlay", overlay],
                None => vec!["option", name],
            };
            self.look_up(&parts, at, all, problems);
            return;
        }
        if let Err(fault) = template::syntax(text) {
            problems.error(at, format!("the condition is not a template: {}", fault.why), "here", fault.help);
        }
        for (_, parts) in template::references(text) {
            self.look_up(&parts, at, all, problems);
        }
    }

    fn look_up(&self, parts: &[&str], at: At, all: &BTreeMap<String, Vec<String>>, problems: &mut Problems) {
        let own: Vec<String> = self.options.iter().map(|option| option.name.clone()).collect();
        let (owner, option, options) = match parts {
            ["option", option, ..] => (self.name.as_str(), Some(*option), &own),
            ["overlay", overlay, rest @ ..] => match all.get(*overlay) {
                Some(options) => (*overlay, rest.first().copied(), options),
                None => {
                    let help = suggest(overlay, all.keys().map(String::as_str));
                    problems.error(
                        at,
                        format!("there is no overlay `{}`", check::shorten(overlay)),
                        "here",
                        help,
                    );
                    return;
                }
            },
            _ => return,
        };
        let Some(option) = option else { return };
        if !options.iter().any(|known| known == option) {
            let message = format!("overlay {owner} has no option `{}`", check::shorten(option));
            problems.error(at, message, "here", suggest(option, options.iter().map(String::as_str)));
        }
    }
}

fn template_syntax(number: u32, sources: &Sources, problems: &mut Problems) {
    let text = sources.get(number).map_or("", |source| source.text.as_str());
    if let Err(fault) = template::syntax(text) {
        problems.error(
            Sources::whole(number),
            format!("not a template: {}", fault.why),
            "in this file",
            None,
        );
    }
}
