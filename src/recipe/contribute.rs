//! What an overlay that is on adds to the plan: its declaration, rendered.

use super::form::{self, Form};
use super::node::{Node, Value};
use super::plan::{Command, Content, Debconf, File, LOGS, OWN_ENDINGS, Origin, Output, Port};
use super::problem::Problems;
use super::quantity;
use super::source::{At, Sources};
use super::switch::On;
use super::template;
use super::tree::Tree;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// A group that an overlay asks for.
#[derive(Debug)]
pub struct Wanted {
    /// Its names.
    pub names: Vec<(String, At)>,
    /// Its number is below 1000.
    pub system: bool,
    /// Who joins it: `none`, `ssh-keys`, `all`.
    pub members: String,
}

/// A way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The overlay that gives it.
    pub overlay: String,
    /// To root, rather than to a login.
    pub root: bool,
    /// What the user must have: `ssh-key`, `password`, `nothing`.
    pub by: String,
    /// The user must be in one of these, when there are any.
    pub groups: Vec<String>,
    /// The user must be one of these, when there are any.
    pub users: Vec<String>,
    /// Users limited to a list that turned out empty: nobody.
    pub nobody: bool,
    /// Types of keys that are taken, when there are any.
    pub key_types: Vec<String>,
}

/// Renders one overlay.
pub struct Contributor<'a, 'b> {
    /// The overlay.
    pub on: &'a On<'b>,
    /// What its templates see.
    pub context: Json,
    /// Texts read so far.
    pub sources: &'a mut Sources,
    /// What is wrong.
    pub problems: &'a mut Problems,
}

impl<'b> Contributor<'_, 'b> {
    fn node(&self) -> &'b Node {
        &self.on.overlay.node
    }

    /// Who asks.
    pub fn origin(&self) -> Origin {
        Origin::Overlay(self.on.overlay.name.clone())
    }

    fn render(&mut self, text: &str, at: At) -> Option<String> {
        match template::render(text, &self.context) {
            Ok(text) => Some(text),
            Err(failure) => {
                let message = format!("overlay {}: {}", self.on.overlay.name, failure.why);
                self.problems.error(at, message, "in this template", None);
                None
            }
        }
    }

    fn fits(&mut self, text: String, form: Form, at: At) -> Option<String> {
        match form.check(&text) {
            Ok(()) => Some(text),
            Err(fault) => {
                let message = format!(
                    "overlay {}: `{}` is not {}: {}",
                    self.on.overlay.name,
                    super::check::shorten(&text),
                    form.noun(),
                    fault.why
                );
                self.problems.error(at, message, "became that", fault.help);
                None
            }
        }
    }

    fn words_of(&mut self, text: &str, form: Form, at: At) -> Vec<(String, At)> {
        let Some(text) = self.render(text, at) else { return Vec::new() };
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        words.into_iter().filter_map(|word| self.fits(word, form, at).map(|word| (word, at))).collect()
    }

    fn words(&mut self, node: &Node, name: &str, form: Form) -> Vec<(String, At)> {
        node.texts(name).flat_map(|(text, at)| self.words_of(text, form, at)).collect()
    }

    /// The words of a list in a table of the declaration: `packages`, `install`.
    pub fn listed(&mut self, table: &str, name: &str, form: Form) -> Vec<(String, At)> {
        let Some(node) = self.node().get(table) else { return Vec::new() };
        self.words(node, name, form)
    }

    /// The words of a list at the top of the declaration.
    pub fn top(&mut self, name: &str, form: Form) -> Vec<(String, At)> {
        self.words(self.node(), name, form)
    }

    fn one(&mut self, node: &Node, name: &str, form: Form, otherwise: &str) -> Option<String> {
        let Some(text) = node.text(name) else { return Some(otherwise.to_owned()) };
        let at = node.get(name).map_or(node.at, |node| node.at);
        let text = self.render(text, at)?;
        self.fits(text, form, at)
    }

    /// Whether the entry's `when` holds.
    fn holds(&mut self, node: &Node) -> bool {
        let Some(text) = node.text("when") else { return true };
        let at = node.get("when").map_or(node.at, |node| node.at);
        if !template::is_plain(text) {
            let Some(text) = self.render(text, at) else { return false };
            return !matches!(text.trim(), "" | "false" | "0");
        }
        let (name, wanted) = text.strip_prefix('!').map_or((text, true), |name| (name, false));
        let value = match name.strip_prefix("overlay.") {
            Some(overlay) => self.context.pointer(&format!("/overlay/{overlay}")),
            None => self.on.options.get(name),
        };
        value.is_some_and(template::truthy) == wanted
    }

    fn when_held(&mut self, name: &str) -> Vec<&'b Node> {
        let entries: Vec<&'b Node> = self.node().list(name).collect();
        entries.into_iter().filter(|entry| self.holds(entry)).collect()
    }

    /// Groups, with who joins them.
    pub fn groups(&mut self) -> Vec<Wanted> {
        let mut groups = Vec::new();
        for node in self.when_held("group") {
            let at = node.get("name").map_or(node.at, |node| node.at);
            groups.push(Wanted {
                names: self.words_of(node.text("name").unwrap_or(""), Form::Group, at),
                system: node.boolean("system").unwrap_or(true),
                members: node.text("members").unwrap_or("none").to_owned(),
            });
        }
        groups
    }

    /// Users whose ssh keys come later.
    pub fn later_keys(&mut self) -> Vec<(String, At)> {
        let entries = self.when_held("ssh-keys");
        entries.into_iter().flat_map(|node| self.words(node, "users", Form::User)).collect()
    }

    /// Mount options, by the mount point of the partition that is to have them.
    pub fn mount_options(&mut self) -> Vec<(String, Vec<(String, At)>)> {
        let entries = self.when_held("mount-options");
        let of = |node: &'b Node| {
            let mount = node.text("mount").unwrap_or_default().to_owned();
            (mount, self.words(node, "options", Form::MountOption))
        };
        entries.into_iter().map(of).collect()
    }

    /// Places with the bytes that are wanted there.
    pub fn space(&mut self) -> Vec<(String, u64)> {
        let mut wanted = Vec::new();
        for node in self.when_held("space") {
            let path = node.text("path").unwrap_or_default().to_owned();
            let size = self.one(node, "size", Form::Size, "0 B").and_then(|size| quantity::size(&size).ok());
            let times =
                self.one(node, "times", Form::Line, "1").and_then(|times| times.trim().parse::<u64>().ok());
            match size.zip(times).and_then(|(size, times)| size.checked_mul(times)) {
                Some(bytes) => wanted.push((path, bytes)),
                None => {
                    let message = format!("overlay {}: no number of bytes", self.on.overlay.name);
                    self.problems.error(node.at, message, "became that", None);
                }
            }
        }
        wanted
    }

    /// Ways in.
    pub fn access(&mut self) -> Vec<Access> {
        let mut ways = Vec::new();
        let overlay = self.on.overlay.name.clone();
        for node in self.when_held("access") {
            let mut names = |name: &str, form: Form| -> Vec<String> {
                self.words(node, name, form).into_iter().map(|(word, _)| word).collect()
            };
            let (groups, users) = (names("groups", Form::Group), names("users", Form::User));
            ways.push(Access {
                overlay: overlay.clone(),
                root: node.text("to") == Some("root"),
                by: node.text("by").unwrap_or("nothing").to_owned(),
                nobody: (node.has("groups") && groups.is_empty()) || (node.has("users") && users.is_empty()),
                groups,
                users,
                key_types: names("key-types", Form::Line),
            });
        }
        ways
    }

    /// Tells what the declaration says does not go together.
    pub fn lints(&mut self) {
        for node in self.when_held("lint") {
            let help = self.one(node, "help", Form::Line, "").filter(|help| !help.is_empty());
            let Some(message) = self.one(node, "message", Form::Line, "") else { continue };
            let label = format!("overlay {} is on", self.on.overlay.name);
            match node.text("severity") {
                Some("warning") => self.problems.warning(self.on.at, message, label, help),
                _ => self.problems.error(self.on.at, message, label, help),
            }
        }
    }

    /// Answers for debconf.
    pub fn debconf(&mut self) -> Vec<Debconf> {
        let mut answers = Vec::new();
        for node in self.when_held("debconf") {
            if let Some(value) = self.one(node, "value", Form::Line, "") {
                answers.push(Debconf {
                    package: node.text("package").unwrap_or("").to_owned(),
                    question: node.text("question").unwrap_or("").to_owned(),
                    kind: node.text("kind").unwrap_or("").to_owned(),
                    value,
                    origin: self.origin(),
                });
            }
        }
        answers
    }

    /// Commands.
    pub fn commands(&mut self) -> Vec<Command> {
        let mut commands = Vec::new();
        for node in self.when_held("command") {
            let argv: Option<Vec<String>> =
                node.texts("argv").map(|(text, at)| self.render(text, at)).collect();
            match argv {
                Some(argv) if argv.first().is_some_and(|program| !program.is_empty()) => {
                    commands.push(Command { argv, origin: self.origin() });
                }
                Some(_) => self.problems.error(node.at, "a command needs a program", "argv is empty", None),
                None => {}
            }
        }
        commands
    }

    /// Files, directories and links.
    pub fn files(&mut self, tree: &mut Tree) {
        for node in self.when_held("file") {
            if let Some(content) = self.content(node) {
                self.put(node, Content::Regular(content), "0644", tree);
            }
        }
        for node in self.when_held("directory") {
            self.put(node, Content::Directory, "0755", tree);
        }
        for node in self.when_held("link") {
            if let Some(target) = self.one(node, "target", Form::Line, "") {
                if target.is_empty() {
                    self.problems.error(node.at, "a link needs a target", "empty", None);
                    continue;
                }
                self.put(node, Content::Link(target), "0777", tree);
            }
        }
    }

    /// Files handed out beside the image.
    pub fn outputs(&mut self, outputs: &mut BTreeMap<String, Output>) {
        for node in self.when_held("output") {
            let name = node.text("name").unwrap_or("").to_owned();
            let at = node.get("name").map_or(node.at, |node| node.at);
            if OWN_ENDINGS.contains(&name.as_str()) || name == LOGS {
                self.problems.error(at, format!("goldcast itself writes a .{name}"), "here", None);
                continue;
            }
            let Some(content) = self.template(node, node.text("template").unwrap_or("")) else { continue };
            let output = Output { content, origin: self.origin() };
            if let Some(other) = outputs.insert(name.clone(), output) {
                let message = format!("both {} and {} hand out a .{name}", other.origin, self.origin());
                self.problems.error(at, message, "the second", None);
            }
        }
    }

    fn content(&mut self, node: &Node) -> Option<Vec<u8>> {
        if let Some(path) = node.text("source") {
            let place = self.on.overlay.inner(path);
            return match self.sources.read_bytes(&place) {
                Ok(bytes) => Some(bytes),
                Err(error) => {
                    let message = format!("cannot read {}", place.shown().display());
                    self.problems.error(node.at, message, error.to_string(), None);
                    None
                }
            };
        }
        let Some(path) = node.text("template") else {
            let at = node.get("content").map_or(node.at, |node| node.at);
            return self.render(node.text("content").unwrap_or(""), at).map(String::into_bytes);
        };
        self.template(node, path).map(String::into_bytes)
    }

    fn template(&mut self, node: &Node, path: &str) -> Option<String> {
        let place = self.on.overlay.inner(path);
        let (number, text) = match self.sources.read_text(&place) {
            Ok(number) => {
                (number, self.sources.get(number).map_or(String::new(), |source| source.text.clone()))
            }
            Err(error) => {
                let message = format!("cannot read {}", place.shown().display());
                self.problems.error(node.at, message, error.to_string(), None);
                return None;
            }
        };
        match template::render(&text, &self.context) {
            Ok(text) => Some(text),
            Err(failure) => {
                let at = self.sources.at_line(number, failure.line, failure.column);
                let message = format!("overlay {}: {}", self.on.overlay.name, failure.why);
                self.problems.error(at, message, "in this template", None);
                None
            }
        }
    }

    fn put(&mut self, node: &Node, content: Content, mode: &str, tree: &mut Tree) {
        let (Some(path), Some(owner), Some(group)) = (
            self.one(node, "path", Form::ImagePath, ""),
            self.one(node, "owner", Form::User, "root"),
            self.one(node, "group", Form::Group, "root"),
        ) else {
            return;
        };
        let mode = form::mode(node.text("mode").unwrap_or(mode)).unwrap_or(0o644);
        let file = File { content, mode, owner, group, origin: self.origin() };
        let at = node.get("path").map_or(node.at, |node| node.at);
        tree.add(path, file, at, self.sources, self.problems);
    }
}

/// What templates see of the ports that overlays open: numbers by protocol, and all with their overlay and the networks
/// that may reach them.
pub fn opens<'a>(ports: impl Iterator<Item = &'a Port> + Clone) -> Json {
    let numbers = |wanted: &str| -> Vec<u16> {
        let mut numbers: Vec<u16> =
            ports.clone().filter(|port| port.protocol == wanted).map(|port| port.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    };
    let all: Vec<Json> = ports
        .clone()
        .map(|Port { protocol, number, from, origin, .. }| {
            let overlay = origin.to_string().replace("overlay ", "");
            json!({ "protocol": protocol, "number": number, "overlay": overlay, "from": from })
        })
        .collect();
    json!({ "tcp": numbers("tcp"), "udp": numbers("udp"), "all": all })
}

/// The JSON of a node's own value, for contexts.
pub fn strings(node: &Node, name: &str) -> Vec<String> {
    let mut strings: Vec<String> = Vec::new();
    for entry in node.list(name) {
        if let Value::Text(text) = &entry.value
            && !strings.contains(text)
        {
            strings.push(text.clone());
        }
    }
    strings
}
