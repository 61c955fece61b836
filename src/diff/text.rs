//! Foreign bytes as text for a terminal: nothing in them moves the cursor or looks like something else.

use std::fmt::Write;

/// A name or path: control characters and what is no UTF-8 as `\xNN`.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push(&mut text, character);
        }
        for byte in chunk.invalid() {
            escape(&mut text, *byte);
        }
    }
    text
}

/// Lines of text: as [`printable`], but tabs and line ends stay.
pub fn lines(content: &str) -> String {
    let mut text = String::with_capacity(content.len());
    for character in content.chars() {
        match character {
            '\n' | '\t' => text.push(character),
            _ => push(&mut text, character),
        }
    }
    text
}

fn push(text: &mut String, character: char) {
    if character.is_control() || is_bidirectional(character) {
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            escape(text, byte);
        }
    } else {
        text.push(character);
    }
}

/// Characters that change the order in which a terminal shows the others (Unicode Standard Annex 9).
fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(text: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(text, "\\x{byte:02x}");
}

/// A moment as seconds and nanoseconds since 1970, in UTC.
pub fn time((seconds, nanoseconds): (i64, u32)) -> String {
    match jiff::Timestamp::new(seconds, i32::try_from(nanoseconds).unwrap_or(0)) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{seconds} s since 1970"),
    }
}

/// `1 file`, `2 files`, with commas between thousands.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number as u64), if number == 1 { one } else { many })
}

/// A number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_unseen() {
        assert_eq!(printable("/etc/größe".as_bytes()), "/etc/größe");
        assert_eq!(printable(b"/a\x1b[31m\n\xff"), "/a\\x1b[31m\\x0a\\xff");
        assert_eq!(printable("\u{202e}x".as_bytes()), "\\xe2\\x80\\xaex");
        assert_eq!(lines("a\tb\r\n\x1bc\n"), "a\tb\\x0d\n\\x1bc\n");
    }

    #[test]
    fn numbers_and_times_are_for_people() {
        assert_eq!(count(1, "file", "files"), "1 file");
        assert_eq!(count(1_234_567, "file", "files"), "1,234,567 files");
        assert_eq!(grouped(999), "999");
        assert_eq!(time((1_700_000_000, 0)), "2023-11-14T22:13:20Z");
        assert_eq!(time((i64::MAX, 0)), "9223372036854775807 s since 1970");
    }
}
