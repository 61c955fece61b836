//! Options of overlays: their declaration, and their values as JSON.

use super::form::Form;
use super::node::{Key, Node, Value};
use super::problem::Problems;
use super::shape::{Choice, Field, Kind};
use super::source::At;
use super::{check, quantity};
use serde_json::{Value as Json, json};
use std::net::IpAddr;

/// One option of an overlay.
#[derive(Debug, Clone)]
pub struct Opt {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub(super) at: At,
    /// Its type as declared: `port`.
    pub kind_name: String,
    /// What it takes.
    pub(super) kind: Kind,
    /// What it does.
    pub doc: String,
    /// The guideline that its default follows.
    pub guideline: Option<String>,
    /// Its value when the recipe sets none; null when there is none.
    pub default: Json,
    /// The default as it is written, for the documentation.
    pub written_default: Option<Json>,
    /// The recipe must set it.
    pub required: bool,
    /// The boolean option that lets a port be another service's well-known one.
    pub well_known_guard: Option<String>,
}

impl Opt {
    /// Reads one `[option.NAME]`, already held against its shape.
    pub fn read(key: &Key, node: &Node, problems: &mut Problems) -> Option<Self> {
        let kind_name = node.text("type")?.to_owned();
        let kind = kind_of(&kind_name, node, problems)?;
        let mut written_default = None;
        let mut default = Json::Null;
        if let Some(value) = node.get("default") {
            let mut value = value.clone();
            check::check(&mut value, &kind, "default", problems);
            written_default = Some(written(&value));
            default = json_of(&value, &kind);
        }
        let required = node.boolean("required").unwrap_or(false);
        if required && node.has("default") {
            let at = node.key_at("default").unwrap_or(key.at);
            problems.error(at, "a required option has no default", "remove it", None);
        }
        if kind_name == "boolean" && !required && !node.has("default") {
            problems.error(key.at, format!("`{}` has no default", key.name), "true or false", None);
        }
        let guard = node.text("well-known-guard").map(str::to_owned);
        if guard.is_some() && kind_name != "port" {
            let at = node.key_at("well-known-guard").unwrap_or(key.at);
            problems.error(at, "only an option of type port has a well-known-guard", "here", None);
        }
        Some(Self {
            name: key.name.clone(),
            at: key.at,
            kind_name,
            kind,
            doc: node.text("doc").unwrap_or("").to_owned(),
            guideline: node.text("guideline").map(str::to_owned),
            default,
            written_default,
            required,
            well_known_guard: guard,
        })
    }

    /// The option as a key of the recipe's `[overlay.NAME]`.
    pub fn field(&self) -> Field {
        let mut field = Field::new(self.name.clone(), self.kind.clone(), self.doc.clone());
        field.required = self.required;
        field.default.clone_from(&self.written_default);
        field
    }
}

/// Keys of an option's declaration that only some types take, and those types.
const ONLY: &[(&str, &[&str])] = &[
    ("of", &["list"]),
    ("values", &["enum", "list"]),
    ("min", &["integer", "port", "size", "duration"]),
    ("max", &["integer", "port", "size", "duration"]),
    ("starts-with", &["string"]),
];

fn kind_of(name: &str, node: &Node, problems: &mut Problems) -> Option<Kind> {
    for (key, types) in ONLY {
        if node.has(key) && !types.contains(&name) {
            let at = node.key_at(key).unwrap_or(node.at);
            let message = format!("an option of type {name} takes no `{key}`");
            problems.error(at, message, "here", Some(format!("it is for {}", types.join(", "))));
        }
    }
    if name != "list" {
        return scalar(name, node, problems);
    }
    let of = node.text("of").unwrap_or("string");
    if of == "list" {
        problems.error(node.at, "a list of lists is not taken", "here", None);
        return None;
    }
    if of != "enum" && node.has("values") {
        problems.error(node.at, "a list takes `values` with `of = \"enum\"`", "here", None);
    }
    Some(Kind::List(Box::new(scalar(of, node, problems)?)))
}

fn scalar(name: &str, node: &Node, problems: &mut Problems) -> Option<Kind> {
    let form = match name {
        "boolean" => return Some(Kind::Boolean),
        "integer" => return Some(integer(node, i64::MIN, i64::MAX, problems)),
        "port" => return Some(integer(node, 1, 65_535, problems)),
        "size" => return Some(bounded(Form::Size, node, problems)),
        "duration" => return Some(bounded(Form::Duration, node, problems)),
        "enum" => {
            let values: Vec<String> = node.texts("values").map(|(text, _)| text.to_owned()).collect();
            if values.is_empty() {
                problems.error(
                    node.at,
                    "an enum needs `values`",
                    "here",
                    Some("`values = [\"a\", \"b\"]`".into()),
                );
                return None;
            }
            return Some(Kind::Choice(Choice { noun: "value", values, refused: Vec::new() }));
        }
        "string" => {
            return Some(match node.text("starts-with") {
                Some(prefix) => Kind::Prefixed(prefix.to_owned()),
                None => Kind::Text(Form::Line),
            });
        }
        "text" => Form::Text,
        "time" => Form::Time,
        "address" => Form::Address,
        "cidr" => Form::Cidr,
        "host" => Form::Host,
        "hostname" => Form::Hostname,
        "socket" => Form::Socket,
        "email" => Form::Email,
        "user" => Form::User,
        "group" => Form::Group,
        "package" => Form::Package,
        "unit" => Form::Unit,
        "path" => Form::PlainPath,
        "ssh-key" => Form::SshKey,
        "password-hash" => Form::PasswordHash,
        "grub-password-hash" => Form::GrubPasswordHash,
        _ => return None,
    };
    Some(Kind::Text(form))
}

fn integer(node: &Node, least: i64, most: i64, problems: &mut Problems) -> Kind {
    let mut bound = |name: &str, otherwise: i64| match node.get(name) {
        None => otherwise,
        Some(Node { value: Value::Integer(number), .. }) => (*number).clamp(least, most),
        Some(other) => {
            problems.error(other.at, format!("`{name}` must be a whole number"), "here", None);
            otherwise
        }
    };
    Kind::Integer { min: bound("min", least), max: bound("max", most) }
}

fn bounded(form: Form, node: &Node, problems: &mut Problems) -> Kind {
    let mut bound = |name: &str, otherwise: u64| match node.get(name) {
        None => otherwise,
        Some(Node { value: Value::Text(text), .. }) if form.check(text).is_ok() => {
            check::read(form, text).unwrap_or(otherwise)
        }
        Some(other) => {
            let message = format!("`{name}` must be {}", form.noun());
            problems.error(other.at, message, "here", Some(format!("for example \"{}\"", form.example())));
            otherwise
        }
    };
    let max = bound("max", i64::MAX.unsigned_abs());
    Kind::Quantity { form, min: bound("min", 0), max }
}

/// The value that templates and the plan see: sizes in bytes, lengths of time in seconds.
pub fn json_of(node: &Node, kind: &Kind) -> Json {
    match (&node.value, kind) {
        (Value::Text(text), Kind::Quantity { form: Form::Duration, .. }) => {
            quantity::duration(text).map_or(Json::Null, Json::from)
        }
        (Value::Text(text), Kind::Quantity { .. }) => quantity::size(text).map_or(Json::Null, Json::from),
        // As programs write it that are asked who came (RFC 5952): two spellings of one address are one.
        (Value::Text(text), Kind::Text(Form::Address)) => {
            text.parse::<IpAddr>().map_or(Json::Null, |address| json!(address))
        }
        (Value::List(list), Kind::List(inner)) => {
            let mut values: Vec<Json> = Vec::new();
            for entry in list.iter().filter(|entry| !matches!(entry.value, Value::Invalid)) {
                let value = json_of(entry, inner);
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            Json::Array(values)
        }
        _ => written(node),
    }
}

/// The value as it stands in the text.
fn written(node: &Node) -> Json {
    match &node.value {
        Value::Text(text) => json!(text),
        Value::Integer(number) => json!(number),
        Value::Boolean(value) => json!(value),
        Value::List(list) => Json::Array(list.iter().map(written).collect()),
        Value::Table(_) | Value::Other(_) | Value::Invalid => Json::Null,
    }
}
