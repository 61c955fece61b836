//! TOML values that know where they stand.

use super::problem::Problems;
use super::source::{At, Sources, at};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it stands.
    pub at: At,
    /// What it is.
    pub value: Value,
}

/// A table: keys in the order of the text.
pub type Table = Vec<(Key, Node)>;

/// A key and its place.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub at: At,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// true or false.
    Boolean(bool),
    /// Values in order.
    List(Vec<Node>),
    /// Named values.
    Table(Table),
    /// A float or a date: no key of ours takes one.
    Other(&'static str),
    /// It was given but is wrong; the error is noted.
    Invalid,
}

impl Value {
    /// The kind in the user's words.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(noun) => noun,
            Self::Invalid => "wrong",
        }
    }
}

impl Node {
    /// An empty table.
    pub fn empty(at: At) -> Self {
        Self { at, value: Value::Table(Vec::new()) }
    }

    /// The value of a key, when this is a table that has it, and it is not wrong.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Value::Table(table) = &self.value else { return None };
        let (_, node) = table.iter().find(|(key, _)| key.name == name)?;
        (!matches!(node.value, Value::Invalid)).then_some(node)
    }

    /// Whether the key was written, be its value right or wrong.
    pub fn has(&self, name: &str) -> bool {
        matches!(&self.value, Value::Table(table) if table.iter().any(|(key, _)| key.name == name))
    }

    /// The key's own place.
    pub fn key_at(&self, name: &str) -> Option<At> {
        let Value::Table(table) = &self.value else { return None };
        table.iter().find(|(key, _)| key.name == name).map(|(key, _)| key.at)
    }

    /// The string below a key.
    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean below a key.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        match self.get(name)?.value {
            Value::Boolean(value) => Some(value),
            _ => None,
        }
    }

    /// The integer below a key.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name)?.value {
            Value::Integer(value) => Some(value),
            _ => None,
        }
    }

    /// The list below a key, without entries that are wrong; empty when there is none.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &Self> {
        let list = match self.get(name).map(|node| &node.value) {
            Some(Value::List(list)) => list.as_slice(),
            _ => &[],
        };
        list.iter().filter(|node| !matches!(node.value, Value::Invalid))
    }

    /// The strings of a list below a key with their places.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = (&str, At)> {
        self.list(name).filter_map(|node| match &node.value {
            Value::Text(text) => Some((text.as_str(), node.at)),
            _ => None,
        })
    }

    /// The entries of a table below a key.
    pub fn entries(&self, name: &str) -> &[(Key, Self)] {
        match self.get(name).map(|node| &node.value) {
            Some(Value::Table(table)) => table,
            _ => &[],
        }
    }

    /// Reads the text with this number; syntax errors are noted, all of them.
    pub fn parse(file: u32, sources: &Sources, problems: &mut Problems) -> Option<Self> {
        let text = sources.get(file).map_or("", |source| source.text.as_str());
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Some(Self {
                at: at(file, 0, 0),
                value: Value::Table(table_of(file, table.into_inner(), problems)),
            });
        }
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let message = error.message().lines().collect::<Vec<_>>().join("; ");
            problems.error(at(file, span.start, span.end), message, "here", None);
        }
        None
    }
}

fn table_of(file: u32, table: DeTable<'_>, problems: &mut Problems) -> Table {
    table
        .into_iter()
        .map(|(key, value)| {
            let span = key.span();
            let key = Key { name: key.into_inner().into_owned(), at: at(file, span.start, span.end) };
            let node = node_of(file, value, problems);
            (key, node)
        })
        .collect()
}

fn node_of(file: u32, value: Spanned<DeValue<'_>>, problems: &mut Problems) -> Node {
    let span = value.span();
    let at = at(file, span.start, span.end);
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            if let Ok(number) = i64::from_str_radix(number.as_str(), number.radix()) {
                Value::Integer(number)
            } else {
                problems.error(at, format!("the number {number} is too large"), "does not fit", None);
                Value::Invalid
            }
        }
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(_) => Value::Other("a date or time (strings need quotes)"),
        DeValue::Array(list) => {
            Value::List(list.into_iter().map(|node| node_of(file, node, problems)).collect())
        }
        DeValue::Table(table) => Value::Table(table_of(file, table, problems)),
    };
    Node { at, value }
}
