//! The shape of a TOML file as data: which keys, of which kind, with which default and meaning.
//! Validation, suggestions, merging and the JSON Schema all read this one description.

use super::form::Form;
use serde_json::Value as Json;

/// A table's keys.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// What a key is called in messages: `key`, `overlay`, `option`.
    pub noun: &'static str,
    /// The keys, in the order of the documentation.
    pub fields: Vec<Field>,
    /// Keys that people try, and why there are none.
    pub refused: Vec<(&'static str, &'static str)>,
}

/// One key.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub kind: Kind,
    /// What it means.
    pub doc: String,
    /// What it is when nobody sets it, for the documentation and for the reader.
    pub default: Option<Json>,
    /// It must be set, by the recipe or what it extends.
    pub required: bool,
}

/// What a key takes.
#[derive(Debug, Clone)]
pub enum Kind {
    /// true or false.
    Boolean,
    /// A whole number within bounds, both included.
    Integer {
        /// Least.
        min: i64,
        /// Most.
        max: i64,
    },
    /// A string of a form.
    Text(Form),
    /// A size or length of time within bounds, in bytes or seconds.
    Quantity {
        /// [`Form::Size`] or [`Form::Duration`].
        form: Form,
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
    /// One of some words.
    Choice(Choice),
    /// A string that begins in a certain way.
    Prefixed(String),
    /// A string that is rendered first; the result has the form. With `words`, the result is split at white
    /// space into none, one or many.
    Template {
        /// What the result is.
        form: Form,
        /// Whether the result is split.
        words: bool,
    },
    /// Any number of these.
    List(Box<Kind>),
    /// A table with known keys.
    Table(Shape),
    /// An array of tables; those with the same value of `by` are one. Without `by` each is its own.
    Tables {
        /// The key that names an entry.
        by: Option<&'static str>,
        /// What each holds.
        shape: Shape,
    },
    /// A table whose keys are names, each with a table of this shape.
    Map {
        /// The form of the names.
        form: Form,
        /// What each holds.
        shape: Shape,
    },
    /// A table of this shape, or `false`.
    Switch(Shape),
    /// Anything; checked later against what is known then.
    Anything,
}

/// The words that a key takes.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// What one is called in messages: `format`.
    pub noun: &'static str,
    /// The words.
    pub values: Vec<String>,
    /// Words that people try, and why they are refused.
    pub refused: Vec<(&'static str, &'static str)>,
}

impl Choice {
    /// A choice of these words.
    pub fn of(noun: &'static str, values: &[&str]) -> Self {
        Self { noun, values: values.iter().map(|value| (*value).to_owned()).collect(), refused: Vec::new() }
    }
}

impl Kind {
    /// A list of strings of a form.
    pub fn list(form: Form) -> Self {
        Self::List(Box::new(Self::Text(form)))
    }

    /// A list of templates whose results are split into words of a form.
    pub fn words(form: Form) -> Self {
        Self::List(Box::new(Self::Template { form, words: true }))
    }

    /// What it takes, in the user's words.
    pub fn noun(&self) -> String {
        match self {
            Self::Boolean => "true or false".into(),
            Self::Integer { .. } => "a whole number".into(),
            Self::Text(form) | Self::Quantity { form, .. } | Self::Template { form, .. } => {
                format!("a string ({})", form.noun())
            }
            Self::Choice(choice) => format!("a string ({})", choice.noun),
            Self::Prefixed(_) => "a string".into(),
            Self::List(_) => "a list".into(),
            Self::Tables { .. } => "an array of tables".into(),
            Self::Table(_) | Self::Map { .. } => "a table".into(),
            Self::Switch(_) => "a table or false".into(),
            Self::Anything => "a value".into(),
        }
    }
}

impl Field {
    /// A key that may be left out.
    pub fn new(name: impl Into<String>, kind: Kind, doc: impl Into<String>) -> Self {
        Self { name: name.into(), kind, doc: doc.into(), default: None, required: false }
    }

    /// It must be set.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// What it is when nobody sets it.
    pub fn default(mut self, value: impl Into<Json>) -> Self {
        self.default = Some(value.into());
        self
    }
}

impl Shape {
    /// Keys called `noun` in messages.
    pub fn new(noun: &'static str, fields: Vec<Field>) -> Self {
        Self { noun, fields, refused: Vec::new() }
    }

    /// Keys that people try, and why there are none.
    pub fn refusing(mut self, refused: &[(&'static str, &'static str)]) -> Self {
        self.refused = refused.to_vec();
        self
    }

    /// The key with this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The names of the keys.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// The kind of the key at a dotted path.
    pub fn at(&self, path: &[&str]) -> Option<&Field> {
        let (first, rest) = path.split_first()?;
        let field = self.field(first)?;
        match &field.kind {
            _ if rest.is_empty() => Some(field),
            Kind::Table(shape) | Kind::Switch(shape) | Kind::Tables { shape, .. } => shape.at(rest),
            _ => None,
        }
    }

    /// The default of the key at a dotted path, when it is a string.
    pub fn default_text(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.default.as_ref()?.as_str()
    }
}
