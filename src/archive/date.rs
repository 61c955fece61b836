//! Dates of index files.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Parses the form that Release files use, `Sat, 12 Sep 2026 07:55:41 UTC`, as seconds since 1970.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let text = match text.split_once(',') {
        Some((day, rest)) => DAYS.contains(&day).then_some(rest.trim())?,
        None => text,
    };
    let zones = ["UTC", "GMT", "Z", "+0000", "+00:00"];
    let civil = zones.iter().find_map(|zone| text.strip_suffix(zone))?.trim_end();
    let time = DateTime::strptime("%d %b %Y %H:%M:%S", civil).ok()?;
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_second())
}

/// RFC 3339 in UTC, as the lock has it.
pub fn show(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds} s"), |time| time.to_string())
}

/// What [`show`] wrote, as seconds since 1970.
pub fn read(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// The form in the snapshot service's addresses: `20260912T075541Z`.
pub fn compact(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|time| time.strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// A length of time in words, in its largest unit.
pub fn span(seconds: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(86400, "day"), (3600, "hour"), (60, "minute")];
    for (length, name) in UNITS {
        let count = seconds / length;
        if count > 0 {
            return format!("{count} {name}{}", if count == 1 { "" } else { "s" });
        }
    }
    format!("{seconds} seconds")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn release_dates_are_read() {
        let seconds = parse("Sat, 12 Sep 2026 07:55:41 UTC").unwrap();
        assert_eq!(seconds, 1_789_199_741);
        assert_eq!(show(seconds), "2026-09-12T07:55:41Z");
        assert_eq!(read(&show(seconds)), Some(seconds));
        assert_eq!(compact(seconds).as_deref(), Some("20260912T075541Z"));
        assert_eq!(parse("Sat, 5 Sep 2026 7:05:41 +0000"), parse("Sat, 05 Sep 2026 07:05:41 GMT"));
        assert!(parse("Sat, 5 Sep 2026 7:05:41 +0000").is_some());
    }

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        assert_eq!(span(59), "59 seconds");
        assert_eq!(span(3600), "1 hour");
        assert_eq!(span(200_000), "2 days");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}", seconds: i64) {
            let _ = (parse(&text), read(&text), show(seconds), compact(seconds), span(seconds));
        }
    }
}
