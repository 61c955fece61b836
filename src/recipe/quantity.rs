//! Sizes and lengths of time as people write them.

use super::form::Fault;

const SIZE_UNITS: &[(&str, u128)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

const DURATION_UNITS: &[(&str, u64)] =
    &[("s", 1), ("min", 60), ("h", 3600), ("d", 86_400), ("w", 7 * 86_400)];

/// Bytes of a size: a number, a space or none, and a unit. Fractions must give whole bytes.
pub fn size(text: &str) -> Result<u64, Fault> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') || fraction.contains('.') || fraction.len() > 9 {
        return Err(Fault::new("it does not begin with a number").help("for example `650 MiB`"));
    }
    let factor = match SIZE_UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => {
            return Err(Fault::new("it has no unit").help(format!("did you mean `{number} MiB`?")));
        }
        None => {
            let meant = match unit.to_lowercase().as_str() {
                "k" | "kib" => Some("KiB"),
                "m" | "mib" | "mb" => Some("MiB"),
                "g" | "gib" | "gb" => Some("GiB"),
                "t" | "tib" | "tb" => Some("TiB"),
                _ => None,
            };
            let help = meant.map_or_else(
                || "units: B, KiB, MiB, GiB, TiB, or kB, MB, GB, TB for powers of ten".to_owned(),
                |unit| format!("did you mean `{number} {unit}`?"),
            );
            return Err(Fault::new(format!("`{unit}` is not a unit")).help(help));
        }
    };
    let large = || Fault::new("it is too large");
    let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| large())?);
    let digits: u128 = format!("{whole}{fraction}").parse().map_err(|_| large())?;
    let scaled = digits.checked_mul(factor).ok_or_else(large)?;
    if scaled % scale != 0 {
        return Err(Fault::new("it is not a whole number of bytes"));
    }
    u64::try_from(scaled / scale).ok().filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or_else(large)
}

/// Seconds of a length of time: numbers with units, as systemd.time(7) writes them.
pub fn duration(text: &str) -> Result<u64, Fault> {
    let wrong = |why: String| Fault::new(why).help("for example `90 s`, `10 min`, `2 h 30 min`, `1 w`");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong("it is empty".into()));
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let split = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(split);
        let number: u64 = match number.parse() {
            Ok(number) => number,
            Err(_) if number.is_empty() => {
                return Err(wrong(format!("`{rest}` does not begin with a number")));
            }
            Err(_) => return Err(wrong("it is too long".into())),
        };
        let after = after.trim_start();
        let split = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(split);
        let Some((_, seconds)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else {
            let why =
                if unit.is_empty() { "it has no unit".to_owned() } else { format!("`{unit}` is not a unit") };
            return Err(wrong(why));
        };
        total = number
            .checked_mul(*seconds)
            .and_then(|part| total.checked_add(part))
            .filter(|total| i64::try_from(*total).is_ok())
            .ok_or_else(|| wrong("it is too long".into()))?;
        rest = after.trim_start();
    }
    Ok(total)
}

/// A number of bytes as people read it: `650 MiB`.
pub fn show_size(bytes: u64) -> String {
    let (unit, factor) = [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        .into_iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .unwrap_or(("B", 1));
    format!("{} {unit}", bytes / factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("650 MiB", 650 << 20),
            ("650MiB", 650 << 20),
            ("1.5 GiB", 3 << 29),
            ("0 B", 0),
            ("2 GB", 2_000_000_000),
            ("4kB", 4000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "650",
            "650 M",
            "MiB",
            "-1 MiB",
            "1.5 B",
            "1..5 MiB",
            "1. MiB",
            ".5 MiB",
            "99999999999 TiB",
            "1 MiB x",
            "1e3 MiB",
            "٣ MiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(size("650 M").unwrap_err().help.unwrap(), "did you mean `650 MiB`?");
    }

    #[test]
    fn durations() {
        for (text, seconds) in
            [("90 s", 90), ("2 h 30 min", 9000), ("2h30min", 9000), ("1 w", 604_800), ("0 s", 0)]
        {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for text in ["", "90", "s", "1 m", "1 h x", "99999999999999999999 s", "9999999999999999 w", "-1 s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_size_reads_back(bytes in 0_u64..(1 << 60)) {
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9. a-zA-Z]{0,30}") {
            let _ = size(&text);
            let _ = duration(&text);
        }
    }
}
