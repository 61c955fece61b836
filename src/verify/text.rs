//! Text as a person reads it: without a terminal's escape sequences, and of bearable length.

/// The text without escape sequences (ECMA-48 CSI and OSC), other control characters but line ends and tabs, and what no
/// XML may hold (XML 1.0, section 2.2).
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                // CSI: parameters, then one final character from @ to ~.
                Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                // OSC: until BEL or the string terminator.
                Some(']') => {
                    while let Some(c) = chars.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                _ => {}
            },
            '\n' | '\t' => out.push(c),
            '\r' => {}
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

/// At most `limit` characters of it, the beginning and the end, saying how much is left out.
pub fn excerpt(text: &str, limit: usize) -> String {
    let count = text.chars().count();
    if count <= limit {
        return text.to_owned();
    }
    let head: String = text.chars().take(limit * 2 / 3).collect();
    let tail: String = text.chars().skip(count - limit / 3).collect();
    let left_out = count - head.chars().count() - tail.chars().count();
    format!("{head}\n[… {left_out} characters left out …]\n{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_of_a_boot_loader_are_taken_out() {
        assert_eq!(plain("\u{1b}[2J\u{1b}[01;01HGRUB\u{1b}[0m\r\nok\u{1b}]0;title\u{7}!\u{1b}"), "GRUB\nok!");
    }

    #[test]
    fn what_no_document_may_hold_is_taken_out() {
        assert_eq!(plain("a\u{0}\u{b}\u{9b}b\u{fffe}\u{ffff}\u{fffd}c"), "ab\u{fffd}c");
    }

    #[test]
    fn an_excerpt_keeps_both_ends_and_counts_characters_not_bytes() {
        let text = "ä".repeat(50) + &"z".repeat(50);
        let short = excerpt(&text, 30);
        assert!(short.starts_with(&"ä".repeat(20)) && short.ends_with(&"z".repeat(10)), "{short}");
        assert!(short.contains("70 characters left out"));
        assert_eq!(excerpt("abc", 3), "abc");
    }
}
