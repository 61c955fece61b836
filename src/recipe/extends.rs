//! A recipe and what it extends, read and merged into one.

use super::check;
use super::node::{Node, Value};
use super::problem::Problems;
use super::shape::{Kind, Shape};
use super::source::{At, Place, Sources};
use crate::nearest;
use std::path::Path;

/// A recipe with its bases.
#[derive(Debug)]
pub struct Family {
    /// The merged recipe.
    pub node: Node,
    /// Every file it was made of, bases first, the recipe last.
    pub files: Vec<Place>,
    /// The numbers of those that could be read, in the same order.
    pub numbers: Vec<u32>,
    /// Each could be read as TOML; otherwise what is missing is not known.
    pub whole: bool,
}

struct Reader<'a> {
    shape: &'a Shape,
    sources: &'a mut Sources,
    problems: &'a mut Problems,
    /// Files being read now, the recipe first: the chain that a cycle would close.
    chain: Vec<Place>,
    done: Vec<Place>,
    nodes: Vec<Node>,
    files: Vec<Place>,
    whole: bool,
}

/// Reads the recipe with this number and everything it extends; each file is held against the shape. A base
/// that is reached twice counts once, at its first place.
pub fn read(
    file: u32,
    place: &Place,
    shape: &Shape,
    sources: &mut Sources,
    problems: &mut Problems,
) -> Family {
    let mut reader = Reader {
        shape,
        sources,
        problems,
        chain: Vec::new(),
        done: Vec::new(),
        nodes: Vec::new(),
        files: Vec::new(),
        whole: true,
    };
    reader.file(file, place);
    let Reader { nodes, files, whole, .. } = reader;
    let numbers = nodes.iter().map(|node| node.at.file).collect();
    let mut node = Node::empty(Sources::whole(file));
    for next in nodes {
        merge(&mut node, next, &Kind::Table(shape.clone()));
    }
    Family { node, files, numbers, whole }
}

impl Reader<'_> {
    fn file(&mut self, file: u32, place: &Place) {
        self.chain.push(place.clone());
        match Node::parse(file, self.sources, self.problems) {
            None => self.whole = false,
            Some(mut node) => {
                check::table(&mut node, self.shape, "", self.problems);
                let bases: Vec<(String, At)> =
                    node.texts("extends").map(|(base, at)| (base.to_owned(), at)).collect();
                for (base, at) in bases {
                    self.base(&base, at, place);
                }
                self.nodes.push(node);
            }
        }
        self.files.push(place.clone());
        self.chain.pop();
    }

    fn base(&mut self, base: &str, at: At, from: &Place) {
        let mut place = from.sibling(Path::new(base));
        if !place.is_file() {
            let built_in = Place::BuiltIn("recipes/recipe.toml".into()).sibling(Path::new(base));
            if !built_in.is_file() {
                self.whole = false;
                self.missing(base, at, &place, &built_in);
                return;
            }
            place = built_in;
        }
        let identity = place.identity();
        if let Some(first) = self.chain.iter().position(|above| above.identity() == identity) {
            let mut names: Vec<String> =
                self.chain[first..].iter().map(|place| place.shown().display().to_string()).collect();
            names.push(place.shown().display().to_string());
            self.whole = false;
            let message = "recipes extend each other in a circle";
            self.problems.error(at, message, "closes the circle", Some(names.join("\n→ ")));
            return;
        }
        if self.done.contains(&identity) {
            return;
        }
        self.done.push(identity);
        match self.sources.read_text(&place) {
            Ok(file) => self.file(file, &place),
            Err(error) => {
                self.whole = false;
                self.problems.error(at, format!("cannot read {base}: {error}"), "named here", None);
            }
        }
    }

    fn missing(&mut self, base: &str, at: At, place: &Place, built_in: &Place) {
        let directory = Path::new(base).parent().unwrap_or_else(|| Path::new(""));
        let mut known: Vec<String> =
            place.neighbours().iter().map(|name| directory.join(name).display().to_string()).collect();
        known.extend(built_in_bases(built_in));
        let help = match nearest::one(base, known.iter().map(String::as_str)) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if known.is_empty() => None,
            None => Some(format!("known: {}", known.join(", "))),
        };
        let message = format!("there is no recipe `{}`", check::shorten(base));
        let label = format!("neither {} nor built in", place.shown().display());
        self.problems.error(at, message, label, help);
    }
}

fn built_in_bases(place: &Place) -> Vec<String> {
    place
        .neighbours()
        .iter()
        .filter_map(|name| Path::new(name).file_name()?.to_str().map(|name| format!("base/{name}")))
        .collect()
}

/// Lays `over` onto `base`: tables merge, lists add up, everything else is replaced.
pub fn merge(base: &mut Node, over: Node, kind: &Kind) {
    match (&mut base.value, over.value, kind) {
        (Value::Table(base_entries), Value::Table(entries), Kind::Table(shape) | Kind::Switch(shape)) => {
            for (key, value) in entries {
                match base_entries.iter_mut().find(|(known, _)| known.name == key.name) {
                    Some((known, node)) => {
                        known.at = key.at;
                        let kind = shape.field(&key.name).map_or(&Kind::Anything, |field| &field.kind);
                        merge(node, value, kind);
                    }
                    None => base_entries.push((key, value)),
                }
            }
            base.at = over.at;
        }
        (Value::List(list), Value::List(entries), Kind::Tables { by: Some(by), shape }) => {
            for entry in entries {
                let known = entry
                    .text(by)
                    .and_then(|name| list.iter().position(|known| known.text(by) == Some(name)));
                match known {
                    Some(index) => {
                        displace(&mut list[index], &entry);
                        merge(&mut list[index], entry, &Kind::Table(shape.clone()));
                    }
                    None => list.push(entry),
                }
            }
        }
        (Value::List(list), Value::List(entries), _) => list.extend(entries),
        (value, other, _) => {
            *value = other;
            base.at = over.at;
        }
    }
}

/// Two ways to say what a file holds: with the one the other of a base is replaced.
const EITHER: [&str; 2] = ["content", "source"];

fn displace(base: &mut Node, over: &Node) {
    if let (true, Value::Table(entries)) = (EITHER.iter().any(|key| over.has(key)), &mut base.value) {
        entries.retain(|(key, _)| !EITHER.contains(&key.name.as_str()));
    }
}
