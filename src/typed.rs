//! Commands as a person types them, for messages that name one.

use std::path::Path;

/// A word as a POSIX shell needs it.
pub fn word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A path as a POSIX shell needs it.
pub fn path(path: &Path) -> String {
    word(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        assert_eq!(path(Path::new("recipes/web.toml")), "recipes/web.toml");
        assert_eq!(path(Path::new("my recipes/it's.toml")), r"'my recipes/it'\''s.toml'");
        assert_eq!(word(""), "''");
    }
}
