//! One stanza of Debian's control format: deb822(5).

use crate::error::{Error, Result};

/// Fields in file order; names compare without case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stanza {
    fields: Vec<(String, String)>,
}

impl Stanza {
    /// Reads the first stanza of `text`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut stanza = Self::default();
        for line in text.lines() {
            if line.trim().is_empty() {
                if stanza.fields.is_empty() {
                    continue;
                }
                break;
            }
            if line.starts_with([' ', '\t']) {
                let Some((_, value)) = stanza.fields.last_mut() else {
                    return Err(Error::new("a control file begins with a continuation line"));
                };
                value.push('\n');
                value.push_str(line);
                continue;
            }
            let Some((name, value)) = line.split_once(':') else {
                return Err(Error::new(format!(
                    "a control file holds a line without a field name: {line:?}"
                )));
            };
            stanza.fields.push((name.to_owned(), value.trim().to_owned()));
        }
        if stanza.get("Package").is_none_or(|name| !is_package_name(name)) {
            return Err(Error::new("a control file has no valid Package field"));
        }
        Ok(stanza)
    }

    /// A field's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The package's name.
    pub fn package(&self) -> &str {
        self.get("Package").unwrap_or_default()
    }

    /// The stanza with `extra` lines after the Package field, ending in an empty line: a record of dpkg's
    /// status file.
    pub fn with(&self, extra: &str) -> String {
        let mut text = String::new();
        for (position, (name, value)) in self.fields.iter().enumerate() {
            text.push_str(name);
            text.push(':');
            if !value.starts_with('\n') && !value.is_empty() {
                text.push(' ');
            }
            text.push_str(value);
            text.push('\n');
            if position == 0 {
                text.push_str(extra);
            }
        }
        text.push('\n');
        text
    }
}

/// Debian Policy 5.6.1: lower case letters, digits, `+`, `-`, `.`, at least two characters.
fn is_package_name(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stanza_keeps_its_text() {
        let text = "Package: ab\nDescription: one\n two\n .\n three\nTag:\n a,\n b\n\n";
        let stanza = Stanza::parse(text).unwrap();
        assert_eq!(stanza.get("description"), Some("one\n two\n .\n three"));
        assert_eq!(stanza.with(""), text);
        assert_eq!(stanza.with("X: y\n").lines().nth(1), Some("X: y"));
    }

    #[test]
    fn a_package_name_cannot_be_a_path() {
        assert!(Stanza::parse("Package: ../../etc\n").is_err());
        assert!(Stanza::parse(" lost\n").is_err());
        assert!(Stanza::parse("Version: 1\n").is_err());
    }
}
