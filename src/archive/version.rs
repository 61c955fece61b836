//! Debian versions, parsed and ordered as deb-version(7) and dpkg do.

use std::cmp::Ordering;
use std::fmt;

/// A version borrowed from the text it stands in: `[epoch:]upstream[-revision]`.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    epoch: u32,
    upstream: &'a str,
    revision: &'a str,
}

/// Why a text is no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadVersion {
    /// There is nothing before or after the epoch.
    #[error("it is empty")]
    Empty,
    /// The part before the colon is no number below 2³¹.
    #[error("its epoch is not a number")]
    Epoch,
    /// The part after the last hyphen is empty.
    #[error("its revision is empty")]
    Revision,
    /// A character that is not allowed.
    #[error("it has a character that versions do not have")]
    Character,
    /// The upstream version does not begin with a digit.
    #[error("it does not begin with a digit")]
    NoDigit,
}

impl<'a> Version<'a> {
    /// Parses a version; the same texts are refused that dpkg's parseversion() refuses or warns about.
    pub fn parse(text: &'a str) -> Result<Self, BadVersion> {
        let text = text.trim_matches([' ', '\t', '\n']);
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (parse_epoch(epoch)?, rest),
            None => (0, text),
        };
        if rest.is_empty() {
            return Err(BadVersion::Empty);
        }
        let (upstream, revision) = match rest.rsplit_once('-') {
            Some((_, "")) => return Err(BadVersion::Revision),
            Some((upstream, revision)) => (upstream, revision),
            None => (rest, ""),
        };
        let plain = |c: u8| c.is_ascii_alphanumeric() || b".+~".contains(&c);
        match upstream.as_bytes().first() {
            None => return Err(BadVersion::Empty),
            Some(first) if !first.is_ascii_digit() => return Err(BadVersion::NoDigit),
            Some(_) => {}
        }
        let good =
            upstream.bytes().all(|c| plain(c) || c == b'-' || c == b':') && revision.bytes().all(plain);
        if good { Ok(Self { epoch, upstream, revision }) } else { Err(BadVersion::Character) }
    }
}

fn parse_epoch(text: &str) -> Result<u32, BadVersion> {
    if text.is_empty() || !text.bytes().all(|c| c.is_ascii_digit()) {
        return Err(BadVersion::Epoch);
    }
    text.parse().ok().filter(|&epoch| epoch <= i32::MAX as u32).ok_or(BadVersion::Epoch)
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let epochs = self.epoch.cmp(&other.epoch);
        epochs
            .then_with(|| compare(self.upstream, other.upstream))
            .then_with(|| compare(self.revision, other.revision))
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Equal in order, which is not equal in letters: `1.0` and `1.00` are the same version.
impl PartialEq for Version<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version<'_> {}

impl fmt::Display for Version<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch != 0 {
            write!(f, "{}:", self.epoch)?;
        }
        f.write_str(self.upstream)?;
        if !self.revision.is_empty() {
            write!(f, "-{}", self.revision)?;
        }
        Ok(())
    }
}

/// dpkg's verrevcmp(): runs of non-digits by letter order, runs of digits by value, in turn.
fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        while a.first().is_some_and(|c| !c.is_ascii_digit()) || b.first().is_some_and(|c| !c.is_ascii_digit())
        {
            let letters = weight(a.first()).cmp(&weight(b.first()));
            if letters != Ordering::Equal {
                return letters;
            }
            a = a.get(1..).unwrap_or_default();
            b = b.get(1..).unwrap_or_default();
        }
        let (digits_a, rest_a) = number(a);
        let (digits_b, rest_b) = number(b);
        let numbers = digits_a.len().cmp(&digits_b.len()).then_with(|| digits_a.cmp(digits_b));
        if numbers != Ordering::Equal {
            return numbers;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

/// A leading number without its zeros, and what follows it. Any length: no integer holds every version.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().position(|&c| c != b'0').unwrap_or(digits.len());
    (&digits[zeros..], rest)
}

/// `~` before the end, the end (and a digit) before letters, letters before everything else.
fn weight(c: Option<&u8>) -> i32 {
    match c {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_digit() => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `dpkg --compare-versions` of dpkg 1.22 answers.
    const TABLE: [(&str, &str, Ordering); 34] = {
        use Ordering::{Equal, Greater, Less};
        [
            ("1.0", "1.0", Equal),
            ("1.0", "1.00", Equal),
            ("0:1.0", "1.0", Equal),
            ("1.0-0", "1.0", Equal),
            ("1.0-00", "1.0-0", Equal),
            ("1.0", "1.1", Less),
            ("1.9", "1.10", Less),
            ("1:0.1", "2.0", Greater),
            ("2:1", "10:1", Less),
            ("1.0~rc1", "1.0", Less),
            ("1.0~rc1-1", "1.0-1", Less),
            ("1.0~~", "1.0~", Less),
            ("1.0~~a", "1.0~", Less),
            ("1.0~", "1.0", Less),
            ("1.0a", "1.0", Greater),
            ("1.0a", "1.0+", Less),
            ("1.0+", "1.0-1", Greater),
            ("1.0a1", "1.0a01", Equal),
            ("1.0-1", "1.0-2", Less),
            ("1.0-1~deb13u1", "1.0-1", Less),
            ("1.0-1+deb13u1", "1.0-1", Greater),
            ("1.0-1+b1", "1.0-1+deb13u1", Less),
            ("1.0-1-1", "1.0-1", Greater),
            ("6.12.43-1", "6.12.9-1", Greater),
            ("1:10.0p1-7", "1:10.0p1-7+deb13u1", Less),
            ("99999999999999999999999", "99999999999999999999998", Greater),
            ("00000000000000000000001", "1", Equal),
            ("1.0Z", "1.0a", Less),
            ("1.0.", "1.0", Greater),
            ("1.0.", "1.0a", Greater),
            ("1:1:2", "1:1", Greater),
            ("0~", "0", Less),
            ("1-1~", "1-1", Less),
            ("1.2.3", "1.2-3", Greater),
        ]
    };

    fn order(a: &str, b: &str) -> Ordering {
        Version::parse(a).unwrap().cmp(&Version::parse(b).unwrap())
    }

    /// dpkg's own answer, where there is a dpkg.
    fn dpkg(a: &str, b: &str) -> Option<Ordering> {
        let says = |relation| {
            let status =
                std::process::Command::new("dpkg").args(["--compare-versions", a, relation, b]).status();
            status.ok().map(|status| status.success())
        };
        Some(match (says("lt")?, says("gt")?) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => Ordering::Equal,
            (true, true) => unreachable!("dpkg contradicts itself on {a} {b}"),
        })
    }

    #[test]
    fn the_table_holds_both_ways() {
        for (a, b, expected) in TABLE {
            assert_eq!(order(a, b), expected, "{a} {b}");
            assert_eq!(order(b, a), expected.reverse(), "{b} {a}");
        }
    }

    #[test]
    fn the_table_is_what_dpkg_says() {
        for (a, b, expected) in TABLE {
            match dpkg(a, b) {
                Some(answer) => assert_eq!(answer, expected, "{a} {b}"),
                None => return println!("could not check against dpkg: this host has none"),
            }
        }
    }

    #[test]
    fn texts_that_are_no_versions() {
        for (text, why) in [
            ("", BadVersion::Empty),
            ("1:", BadVersion::Empty),
            ("-1", BadVersion::Empty),
            (":1", BadVersion::Epoch),
            ("a:1", BadVersion::Epoch),
            ("-1:1", BadVersion::Epoch),
            ("2147483648:1", BadVersion::Epoch),
            ("1-", BadVersion::Revision),
            ("a1", BadVersion::NoDigit),
            ("1_2", BadVersion::Character),
            ("1 2", BadVersion::Character),
            ("0:1-a:b", BadVersion::Character),
        ] {
            assert_eq!(Version::parse(text).unwrap_err(), why, "{text:?}");
        }
        assert_eq!(Version::parse("2147483647:1-2-3").unwrap().to_string(), "2147483647:1-2-3");
    }

    fn version() -> impl Strategy<Value = String> {
        "([0-2]:)?[0-2][0-9a-bA+~.]{0,6}(-[0-9ab+~.]{1,4}){0,2}"
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,20}") {
            let _ = Version::parse(&text);
        }

        #[test]
        fn the_order_is_total(a in version(), b in version(), c in version()) {
            prop_assert_eq!(order(&a, &a), Ordering::Equal);
            prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
            if order(&a, &b) != Ordering::Greater && order(&b, &c) != Ordering::Greater {
                prop_assert_ne!(order(&a, &c), Ordering::Greater);
            }
        }
    }

    proptest! {
        // Each case runs dpkg twice.
        #![proptest_config(ProptestConfig::with_cases(120))]
        #[test]
        fn the_order_is_dpkgs(a in version(), b in version()) {
            // Without dpkg the table above stands in for it.
            if let Some(answer) = dpkg(&a, &b) {
                prop_assert_eq!(order(&a, &b), answer, "{} {}", a, b);
            }
        }
    }
}
