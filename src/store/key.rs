//! What a cached result depends on: inputs with names, so that a miss can say which of them changed.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// The inputs of one stage. The same inputs give the same result, and the same digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    stage: String,
    inputs: BTreeMap<String, String>,
}

/// An input that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The input's name: `package nginx`, `file /etc/motd`.
    pub name: String,
    /// What it was; nothing when it is new.
    pub from: Option<String>,
    /// What it is; nothing when it is gone.
    pub to: Option<String>,
}

impl Key {
    /// A key without inputs.
    pub fn new(stage: &str) -> Self {
        Self { stage: stage.to_owned(), inputs: BTreeMap::new() }
    }

    /// Adds an input; the value is one for people where it can be, with a digest where it cannot.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.inputs.insert(name.into(), value.into());
        self
    }

    /// The stage's name.
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// sha256 (hex) over stage, names and values.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut field = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        field(&self.stage);
        for (name, value) in &self.inputs {
            field(name);
            field(value);
        }
        hex::encode(hash.finalize())
    }

    /// The inputs in which this differs from an earlier key, by name.
    pub fn changes_from(&self, earlier: &Self) -> Vec<Change> {
        let names: std::collections::BTreeSet<&String> =
            self.inputs.keys().chain(earlier.inputs.keys()).collect();
        names
            .into_iter()
            .filter(|name| self.inputs.get(*name) != earlier.inputs.get(*name))
            .map(|name| Change {
                name: name.clone(),
                from: earlier.inputs.get(name).cloned(),
                to: self.inputs.get(name).cloned(),
            })
            .collect()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.from, &self.to) {
            (None, Some(to)) => write!(f, "{} is new: {}", self.name, short(to)),
            (Some(_), None) => write!(f, "{} is gone", self.name),
            (from, to) => {
                let (from, to) = (from.as_deref().unwrap_or_default(), to.as_deref().unwrap_or_default());
                write!(f, "{}: {} → {}", self.name, short(from), short(to))
            }
        }
    }
}

/// A value as people read it: digests cut to their beginning.
fn short(value: &str) -> String {
    let words = value.split(' ').map(|word| {
        let digest = word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digest { format!("{}…", &word[..12]) } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_covers_names_values_and_their_borders() {
        let all = [
            Key::new("set"),
            Key::new("tree"),
            Key::new("set").with("a", "bc"),
            Key::new("set").with("ab", "c"),
            Key::new("set").with("a", "b").with("c", ""),
            Key::new("set").with("a", "").with("b", "c"),
        ];
        let digests: std::collections::BTreeSet<String> = all.iter().map(Key::digest).collect();
        assert_eq!(digests.len(), all.len());
        assert_eq!(Key::new("x").with("a", "1").with("b", "2"), Key::new("x").with("b", "2").with("a", "1"));
    }

    #[test]
    fn changes_are_told_from_what_to_what() {
        let old = Key::new("set").with("package a", "1.0").with("package b", "1").with("epoch", "5");
        let sum = "0123456789abcdef".repeat(4);
        let new =
            Key::new("set").with("package a", "1.1").with("package c", format!("2 {sum}")).with("epoch", "5");
        let told: Vec<String> = new.changes_from(&old).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["package a: 1.0 → 1.1", "package b is gone", "package c is new: 2 0123456789ab…"]);
    }
}
