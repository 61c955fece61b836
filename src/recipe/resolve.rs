//! The merged recipe and its overlays, made into a plan.

mod partition;
mod repository;

use super::address;
use super::contribute::{self, Access, Contributor, strings};
use super::extends::Family;
use super::form::{self, Form};
use super::library::Library;
use super::lint;
use super::node::Node;
use super::plan::{
    Content, Distribution, File, Format, Group, Image, Origin, Packages, Plan, Port, Reasoned, RootSize,
    Services, User,
};
use super::problem::Problems;
use super::quantity;
use super::shape::Shape;
use super::source::{At, Place, Sources};
use super::steps::{Asker, Steps};
use super::switch::{self, On};
use super::tree::Tree;
use crate::disk::filesystem;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A unit or word that was asked for, with its place.
type Placed<T> = BTreeMap<String, (T, At)>;

struct Resolver<'a> {
    recipe: &'a Node,
    shape: &'a Shape,
    sources: &'a mut Sources,
    problems: &'a mut Problems,
    /// Files of the recipe that shaped the plan beside its own texts.
    used: Vec<Place>,
    install: BTreeMap<String, (Vec<Origin>, At)>,
    steps: Steps,
    deny: BTreeMap<String, (Vec<Origin>, At)>,
    /// Patterns of `path-exclude` and `path-include`.
    paths: [BTreeMap<String, (Vec<Origin>, At)>; 2],
    units: [Placed<Origin>; 3],
    words: Vec<(Reasoned, At)>,
    ports: Vec<(Port, At)>,
}

/// What `[services]` is called, in the order of [`Resolver::units`].
const VERBS: [&str; 3] = ["enable", "disable", "mask"];

/// What `[packages]` calls patterns of paths, in the order of [`Resolver::paths`].
const PATHS: [&str; 2] = ["path-exclude", "path-include"];

/// Makes the plan. What is wrong is noted; the plan is only good when no error was.
pub fn plan(
    family: &Family,
    shape: &Shape,
    library: &Library,
    sources: &mut Sources,
    problems: &mut Problems,
) -> Option<Plan> {
    let mut resolver = Resolver {
        recipe: &family.node,
        shape,
        sources,
        problems,
        used: family.files.clone(),
        install: BTreeMap::new(),
        steps: Steps::of(&family.numbers),
        deny: BTreeMap::new(),
        paths: Default::default(),
        units: Default::default(),
        words: Vec::new(),
        ports: Vec::new(),
    };
    resolver.plan(library)
}

impl Resolver<'_> {
    fn plan(&mut self, library: &Library) -> Option<Plan> {
        let mut users = self.users();
        lint::users(self.recipe, self.problems);
        let image = self.image();
        let distribution = self.distribution();
        let repositories = self.repositories();
        let mut partitions = self.partitions();
        self.one_disk(image.as_ref(), &partitions);
        let (max_count, max_installed) = self.limits();
        self.own_requests();

        let mut context = json!({
            "image": { "name": self.text(&["image", "name"]), "hostname": image.as_ref().map(|image| &image.hostname) },
            "distribution": {
                "name": self.text(&["distribution", "name"]),
                "release": self.text(&["distribution", "release"]),
                "architecture": self.text(&["distribution", "architecture"]),
            },
            "repositories": self.extra_sources(&repositories),
            "partitions": partition::context(&partitions),
            "users": context_of(&users),
        });
        let on = switch::overlays(self.recipe, library, &context, self.problems);
        for entry in on.values() {
            lint::well_known_ports(entry, self.problems);
            lint::placeholder_options(entry, self.problems);
        }
        // From here on overlays are rendered; with something wrong before, what they say is about that.
        if self.problems.any_error() {
            self.lint_packages();
            return None;
        }
        context["overlay"] = library
            .overlays()
            .map(|known| (known.name.clone(), on.get(&known.name).map_or(Json::Null, On::json)))
            .collect();

        for entry in on.values() {
            self.later_keys(entry, &context, &mut users);
            self.mount_options(entry, &context, &mut partitions);
            self.space(entry, &context, &mut partitions);
        }
        let mut groups = BTreeMap::new();
        for entry in on.values() {
            self.groups(entry, &context, &mut users, &mut groups);
        }
        context["users"] = context_of(&users);

        let partitions = self.planned(&partitions);
        let mut ways = Vec::new();
        for entry in on.values() {
            ways.extend(self.simple(entry, &context));
        }
        self.same_port_twice();
        context["opens"] = contribute::opens(self.ports.iter().map(|(port, _)| port));

        let (mut tree, mut debconf, mut commands) = (Tree::default(), Vec::new(), Vec::new());
        let mut outputs = BTreeMap::new();
        for entry in on.values() {
            let mut contributor = self.contributor(entry, &context);
            contributor.lints();
            contributor.files(&mut tree);
            contributor.outputs(&mut outputs);
            debconf.extend(contributor.debconf());
            commands.extend(contributor.commands());
            self.used.extend(used(entry));
        }
        self.apt_files(&repositories, &mut tree);
        self.own_files(&mut tree);
        let files = tree.finish(self.problems);
        self.lint_packages();
        self.lint_units();
        if !self.problems.any_error() {
            lint::access(self.recipe, &users, &ways, self.problems);
        }
        let groups_known: BTreeSet<&str> = groups.keys().map(String::as_str).collect();
        lint::names(self.recipe, &groups_known, self.problems);
        lint::groups(self.recipe, &groups_known, self.problems);

        let (image, distribution) = (image?, distribution?);
        let [path_exclude, path_include] = std::mem::take(&mut self.paths).map(unplaced);
        let [enable, disable, mask] = std::mem::take(&mut self.units).map(unplaced);
        Some(Plan {
            name: self.text(&["image", "name"])?.to_owned(),
            image,
            partitions,
            distribution,
            repositories,
            packages: Packages {
                install: unplaced(std::mem::take(&mut self.install)),
                steps: std::mem::take(&mut self.steps).finish(),
                deny: unplaced(std::mem::take(&mut self.deny)),
                path_exclude,
                path_include,
                max_count,
                max_installed,
            },
            users,
            groups,
            files,
            debconf,
            services: Services { enable, disable, mask },
            commands,
            kernel_arguments: std::mem::take(&mut self.words).into_iter().map(|(word, _)| word).collect(),
            opens: std::mem::take(&mut self.ports).into_iter().map(|(port, _)| port).collect(),
            outputs,
            overlays: on.into_iter().map(|(name, entry)| (name, entry.options)).collect(),
            sources: self
                .used
                .iter()
                .filter_map(|place| Some((place.shown(), self.sources.digest(place)?.clone())))
                .collect(),
        })
    }

    /// The string at a path of the recipe, or its default.
    fn text(&self, path: &[&str]) -> Option<&str> {
        let (last, above) = path.split_last()?;
        let table = above.iter().try_fold(self.recipe, |node, name| node.get(name));
        table.and_then(|table| table.text(last)).or_else(|| self.shape.default_text(path))
    }

    fn origin(&self, at: At) -> Origin {
        // As seen from the recipe's directory: where that lies must not show in what is handed out.
        let shown = self.sources.shown(at.file);
        let recipe = self.sources.shown(self.recipe.at.file);
        let directory = recipe.parent().unwrap_or(Path::new(""));
        Origin::Recipe(shown.strip_prefix(directory).map_or(shown.clone(), Path::to_path_buf))
    }

    fn image(&mut self) -> Option<Image> {
        let name = self.text(&["image", "name"])?;
        let hostname = match self.recipe.get("image").and_then(|image| image.text("hostname")) {
            Some(hostname) => hostname.to_owned(),
            None => hostname_of(name),
        };
        let root_size = match self.text(&["image", "root-size"])? {
            "auto" => RootSize::Auto,
            size => RootSize::Bytes(quantity::size(size).ok()?),
        };
        let root_free = quantity::size(self.text(&["image", "root-free"])?).ok()?;
        let node = self.recipe.get("image");
        let max_memory =
            node.and_then(|node| node.text("max-memory")).and_then(|size| quantity::size(size).ok());
        if let RootSize::Bytes(bytes) = root_size {
            let at = node.and_then(|node| node.get("root-size")).map_or(self.recipe.at, |node| node.at);
            if !bytes.is_multiple_of(1 << 20) || !(256 << 20..filesystem::END).contains(&bytes) {
                let help = Some("for example \"4 GiB\", or \"auto\"".to_owned());
                let message = "`image.root-size` must be whole MiB, from 256 MiB to less than 16 TiB";
                self.problems.error(at, message, "here", help);
            }
            if let Some(at) = node.and_then(|node| node.key_at("root-free")) {
                let message = "`root-free` has no effect beside a fixed `root-size`";
                self.problems.warning(at, message, "not used", None);
            }
        }
        let mut formats: Vec<Format> = Vec::new();
        for name in node.map(|node| strings(node, "formats")).unwrap_or_default() {
            formats.extend(Format::ALL.into_iter().find(|format| format.extension() == name));
        }
        if formats.is_empty() {
            formats.push(Format::Raw);
        }
        for (word, at) in node.into_iter().flat_map(|node| node.texts("kernel-arguments")) {
            let reasoned = Reasoned { value: word.to_owned(), origin: self.origin(at) };
            if !self.words.iter().any(|(known, _)| known.value == reasoned.value) {
                self.words.push((reasoned, at));
            }
        }
        Some(Image { root_size, root_free, max_memory, formats, hostname })
    }

    fn distribution(&mut self) -> Option<Distribution> {
        let mut keyring = None;
        let node = self.recipe.get("distribution").and_then(|node| node.get("keyring"));
        if let Some((path, at)) = self
            .recipe
            .get("distribution")
            .and_then(|table| table.text("keyring"))
            .zip(node.map(|node| node.at))
        {
            keyring = Some(self.read(path, at)?);
        }
        Some(Distribution {
            name: self.text(&["distribution", "name"])?.to_owned(),
            release: self.text(&["distribution", "release"])?.to_owned(),
            architecture: self.text(&["distribution", "architecture"])?.to_owned(),
            mirror: self
                .text(&["distribution", "mirror"])
                .map(|mirror| mirror.trim_end_matches('/').to_owned()),
            keyring,
        })
    }

    /// A file that the recipe names, relative to the file that names it.
    fn read(&mut self, path: &str, at: At) -> Option<Vec<u8>> {
        let place = self.sources.get(at.file)?.place.sibling(Path::new(path));
        match self.sources.read_bytes(&place) {
            Ok(bytes) => {
                self.used.push(place);
                Some(bytes)
            }
            Err(error) => {
                let message = format!("cannot read {}", place.shown().display());
                self.problems.error(at, message, error.to_string(), None);
                None
            }
        }
    }

    fn users(&self) -> Vec<User> {
        self.recipe
            .list("user")
            .filter_map(|node| {
                Some(User {
                    name: node.text("name")?.to_owned(),
                    uid: node.integer("uid").and_then(|uid| u32::try_from(uid).ok()),
                    groups: strings(node, "groups").into_iter().collect(),
                    ssh_keys: strings(node, "ssh-keys").iter().map(|key| key.trim().to_owned()).collect(),
                    later_keys: false,
                    password_hash: node.text("password-hash").map(str::to_owned),
                    expire_password: node.boolean("expire-password").unwrap_or(false),
                    shell: node
                        .text("shell")
                        .or_else(|| self.shape.default_text(&["user", "shell"]))?
                        .to_owned(),
                    comment: node.text("comment").unwrap_or("").to_owned(),
                })
            })
            .collect()
    }

    fn limits(&self) -> (Option<u64>, Option<u64>) {
        let packages = self.recipe.get("packages");
        let count =
            packages.and_then(|node| node.integer("max-count")).and_then(|count| u64::try_from(count).ok());
        let bytes =
            packages.and_then(|node| node.text("max-installed")).and_then(|size| quantity::size(size).ok());
        (count, bytes)
    }

    /// Packages and units that the recipe itself asks for.
    fn own_requests(&mut self) {
        if let Some(packages) = self.recipe.get("packages") {
            for (name, at) in packages.texts("install") {
                let origin = self.origin(at);
                self.steps.ask(name, Asker::List, at);
                ask(&mut self.install, name.to_owned(), origin, at);
            }
            for (name, at) in packages.texts("deny") {
                let origin = self.origin(at);
                ask(&mut self.deny, name.to_owned(), origin, at);
            }
            for (index, key) in PATHS.into_iter().enumerate() {
                for (pattern, at) in packages.texts(key) {
                    let origin = self.origin(at);
                    ask(&mut self.paths[index], pattern.to_owned(), origin, at);
                }
            }
        }
        if let Some(services) = self.recipe.get("services") {
            for (index, verb) in VERBS.into_iter().enumerate() {
                for (unit, at) in services.texts(verb) {
                    let origin = self.origin(at);
                    self.units[index].entry(unit.to_owned()).or_insert((origin, at));
                }
            }
        }
    }

    fn contributor<'c, 'd>(&'c mut self, entry: &'c On<'d>, context: &Json) -> Contributor<'c, 'd> {
        let mut context = context.clone();
        context["option"] = entry.json();
        Contributor { on: entry, context, sources: self.sources, problems: self.problems }
    }

    fn later_keys(&mut self, entry: &On<'_>, context: &Json, users: &mut [User]) {
        for (name, at) in self.contributor(entry, context).later_keys() {
            match users.iter_mut().find(|user| user.name == name) {
                Some(user) => user.later_keys = true,
                None => {
                    let message = format!("the recipe has no user `{name}`");
                    let help = "ssh keys are to come to it: add a [[user]], or name another".to_owned();
                    self.problems.error(at, message, "wanted here", Some(help));
                }
            }
        }
    }

    fn groups(
        &mut self,
        entry: &On<'_>,
        context: &Json,
        users: &mut [User],
        groups: &mut BTreeMap<String, Group>,
    ) {
        let mut contributor = self.contributor(entry, context);
        let origin = contributor.origin();
        for wanted in contributor.groups() {
            for (name, _) in wanted.names {
                for user in users.iter_mut() {
                    let joins = match wanted.members.as_str() {
                        "all" => true,
                        "ssh-keys" => user.later_keys || !user.ssh_keys.is_empty(),
                        _ => false,
                    };
                    if joins {
                        user.groups.insert(name.clone());
                    }
                }
                groups.entry(name).or_insert(Group { system: wanted.system, origin: origin.clone() });
            }
        }
    }

    /// Packages, units, ports, words and ways in of one overlay.
    fn simple(&mut self, entry: &On<'_>, context: &Json) -> Vec<Access> {
        let mut contributor = self.contributor(entry, context);
        let origin = contributor.origin();
        let install = contributor.listed("packages", "install", Form::Package);
        let deny = contributor.listed("packages", "deny", Form::Package);
        let paths = PATHS.map(|key| contributor.listed("packages", key, Form::PathPattern));
        let units = VERBS.map(|verb| contributor.listed("services", verb, Form::Unit));
        let sockets =
            ["tcp", "udp"].map(|protocol| (protocol, contributor.listed("opens", protocol, Form::Port)));
        let may = contributor.listed("opens", "may", Form::Socket);
        let from: Vec<String> =
            contributor.listed("opens", "from", Form::Cidr).into_iter().map(|(network, _)| network).collect();
        let words = contributor.top("kernel-arguments", Form::KernelArgument);
        let ways = contributor.access();
        for (name, at) in install {
            self.steps.ask(&name, Asker::Overlay, entry.at);
            ask(&mut self.install, name, origin.clone(), at);
        }
        for (name, at) in deny {
            ask(&mut self.deny, name, origin.clone(), at);
        }
        for (index, list) in paths.into_iter().enumerate() {
            for (pattern, at) in list {
                ask(&mut self.paths[index], pattern, origin.clone(), at);
            }
        }
        for (index, list) in units.into_iter().enumerate() {
            for (unit, at) in list {
                self.units[index].entry(unit).or_insert((origin.clone(), at));
            }
        }
        for (protocol, ports) in sockets {
            for (number, at) in ports {
                let Ok(number) = address::port(&number) else { continue };
                self.opened(
                    Port {
                        protocol: protocol.to_owned(),
                        number,
                        listens: true,
                        from: from.clone(),
                        origin: origin.clone(),
                    },
                    at,
                );
            }
        }
        for (socket, at) in may {
            let Some((protocol, Ok(number))) =
                socket.split_once('/').map(|(protocol, port)| (protocol, address::port(port)))
            else {
                continue;
            };
            self.opened(
                Port {
                    protocol: protocol.to_owned(),
                    number,
                    listens: false,
                    from: from.clone(),
                    origin: origin.clone(),
                },
                at,
            );
        }
        for (value, at) in words {
            if !self.words.iter().any(|(known, _)| known.value == value) {
                self.words.push((Reasoned { value, origin: origin.clone() }, at));
            }
        }
        ways
    }

    fn opened(&mut self, port: Port, at: At) {
        if !self.ports.iter().any(|(known, _)| *known == port) {
            self.ports.push((port, at));
        }
    }

    fn own_files(&mut self, tree: &mut Tree) {
        let nodes: Vec<&Node> = self.recipe.list("file").collect();
        for node in nodes {
            let content = match (node.text("content"), node.get("source"), node.text("source")) {
                (Some(content), None, _) => content.as_bytes().to_vec(),
                (None, Some(source), Some(path)) => match self.read(path, source.at) {
                    Some(bytes) => bytes,
                    None => continue,
                },
                _ => {
                    let help = Some("say one of `content` and `source`".to_owned());
                    self.problems.error(node.at, "a file has exactly one origin", "this file", help);
                    continue;
                }
            };
            let Some((path, place)) = node.text("path").zip(node.get("path")) else { continue };
            let file = File {
                content: Content::Regular(content),
                mode: form::mode(node.text("mode").unwrap_or("0644")).unwrap_or(0o644),
                owner: node.text("owner").unwrap_or("root").to_owned(),
                group: node.text("group").unwrap_or("root").to_owned(),
                origin: self.origin(place.at),
            };
            let replace = node.boolean("replace").unwrap_or(false);
            tree.add_own(path.to_owned(), file, place.at, replace, self.sources, self.problems);
        }
    }

    fn same_port_twice(&mut self) {
        for (index, (port, at)) in self.ports.iter().enumerate() {
            let same = |other: &&(Port, At)| {
                other.0.protocol == port.protocol
                    && other.0.number == port.number
                    && other.0.listens
                    && port.listens
            };
            if let Some((other, _)) = self.ports.iter().take(index).find(same) {
                let message = format!(
                    "{} and {} both open {}/{}",
                    other.origin, port.origin, port.protocol, port.number
                );
                self.problems.error(*at, message, "the second", Some("give one of them another port".into()));
            }
        }
    }

    fn lint_packages(&mut self) {
        for (name, (denied_by, at)) in &self.deny {
            if let Some((wanted_by, other)) = self.install.get(name) {
                let message = format!(
                    "package {name} is both installed (by {}) and denied (by {})",
                    list(wanted_by),
                    list(denied_by)
                );
                let help = Some(format!("installed at {}", self.sources.position(*other)));
                self.problems.error(*at, message, "denied here", help);
            }
        }
    }

    fn lint_units(&mut self) {
        for (first, second) in [(0, 1), (0, 2)] {
            for (unit, (origin, at)) in &self.units[first] {
                if let Some((other, other_at)) = self.units[second].get(unit) {
                    let verbs = (VERBS[first], VERBS[second]);
                    let message = format!("{origin} wants to {} {unit}, {other} to {} it", verbs.0, verbs.1);
                    let help = Some(format!("the other is at {}", self.sources.position(*other_at)));
                    self.problems.error(*at, message, "here", help);
                }
            }
        }
    }
}

fn ask(into: &mut BTreeMap<String, (Vec<Origin>, At)>, name: String, origin: Origin, at: At) {
    let (origins, _) = into.entry(name).or_insert_with(|| (Vec::new(), at));
    if !origins.contains(&origin) {
        origins.push(origin);
    }
}

fn unplaced<T>(map: Placed<T>) -> BTreeMap<String, T> {
    map.into_iter().map(|(name, (value, _))| (name, value)).collect()
}

fn list(origins: &[Origin]) -> String {
    origins.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The files of an overlay that shaped the plan.
fn used(entry: &On<'_>) -> Vec<Place> {
    let mut places = vec![entry.overlay.place.clone()];
    for file in entry.overlay.node.list("file").chain(entry.overlay.node.list("output")) {
        for key in ["source", "template"] {
            places.extend(file.text(key).map(|path| entry.overlay.inner(path)));
        }
    }
    places
}

fn context_of(users: &[User]) -> Json {
    users
        .iter()
        .map(|user| {
            json!({
                "name": user.name,
                "uid": user.uid,
                "groups": user.groups,
                "ssh-keys": user.ssh_keys,
                "has-password": user.password_hash.is_some(),
                "shell": user.shell,
                "comment": user.comment,
            })
        })
        .collect()
}

/// A host name from an image's name: what is not allowed becomes `-`.
fn hostname_of(name: &str) -> String {
    let plain: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(63)
        .collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() { "localhost".into() } else { plain.to_owned() }
}
