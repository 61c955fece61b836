//! Relations between packages: `Depends`, `Provides` and their like (Debian policy, chapter 7).

use super::version::Version;
use std::cmp::Ordering;

/// `a | b`: one dependency with its alternatives, the preferred one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    /// As written in the index.
    pub text: &'a str,
    /// At least one.
    pub alternatives: Vec<Relation<'a>>,
}

/// One package named by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The name, of a real or a virtual package.
    pub name: &'a str,
    /// The architecture qualifier after the colon: `any`, `native` or an architecture.
    pub qualifier: Option<&'a str>,
    /// What the version has to be.
    pub version: Option<(Operator, &'a str)>,
}

/// How a version is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    /// Whether `version <operator> bound` is true.
    pub fn holds(self, version: &Version<'_>, bound: &Version<'_>) -> bool {
        let order = version.cmp(bound);
        match self {
            Self::Earlier => order == Ordering::Less,
            Self::EarlierOrEqual => order != Ordering::Greater,
            Self::Equal => order == Ordering::Equal,
            Self::LaterOrEqual => order != Ordering::Less,
            Self::Later => order == Ordering::Greater,
        }
    }
}

impl Relation<'_> {
    /// Whether this version satisfies the relation's bound. Versions that are none satisfy nothing.
    pub fn admits(&self, version: &str) -> bool {
        let Some((operator, bound)) = self.version else { return true };
        match (Version::parse(version), Version::parse(bound)) {
            (Ok(version), Ok(bound)) => operator.holds(&version, &bound),
            _ => false,
        }
    }
}

/// Parses a relation field. The error is the part that cannot be understood.
pub fn parse(field: &str) -> Result<Vec<Group<'_>>, &str> {
    let mut groups = Vec::new();
    for text in field.split(',') {
        let text = text.trim();
        // dpkg allows a trailing comma.
        if text.is_empty() {
            continue;
        }
        let alternatives: Result<Vec<_>, _> =
            text.split('|').map(|part| relation(part).ok_or(part)).collect();
        groups.push(Group { text, alternatives: alternatives? });
    }
    Ok(groups)
}

fn relation(text: &str) -> Option<Relation<'_>> {
    let text = text.trim();
    let end = text.find([' ', '\t', '\n', '(', '[', '<']).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let (name, qualifier) = match name.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (name, None),
    };
    if !is_package_name(name) || qualifier.is_some_and(|text| !is_word(text)) {
        return None;
    }
    rest = rest.trim_start();
    let mut version = None;
    if let Some(inner) = rest.strip_prefix('(') {
        let (bound, after) = inner.split_once(')')?;
        version = Some(constraint(bound.trim())?);
        rest = after.trim_start();
    }
    // Restrictions to architectures and build profiles belong to source packages; a binary index has
    // already been made for its architecture.
    for (open, close) in [('[', ']'), ('<', '>')] {
        while let Some(inner) = rest.strip_prefix(open) {
            rest = inner.split_once(close)?.1.trim_start();
        }
    }
    rest.is_empty().then_some(Relation { name, qualifier, version })
}

fn constraint(text: &str) -> Option<(Operator, &str)> {
    // A bare `<` or `>` is the obsolete spelling of `<=` and `>=`.
    const OPERATORS: [(&str, Operator); 7] = [
        ("<<", Operator::Earlier),
        ("<=", Operator::EarlierOrEqual),
        (">>", Operator::Later),
        (">=", Operator::LaterOrEqual),
        ("=", Operator::Equal),
        ("<", Operator::EarlierOrEqual),
        (">", Operator::LaterOrEqual),
    ];
    OPERATORS.iter().find_map(|(sign, operator)| {
        let bound = text.strip_prefix(sign)?.trim();
        Version::parse(bound).ok().map(|_| (*operator, bound))
    })
}

/// Whether the text can name a package: policy 5.6.1, and the capitals that dpkg lets pass.
pub fn is_package_name(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"+-._".contains(&c);
    text.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric()) && text.bytes().all(plain)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(name: &str) -> Relation<'_> {
        Relation { name, qualifier: None, version: None }
    }

    #[test]
    fn fields_of_real_packages_are_understood() {
        let groups =
            parse("libc6 (>= 2.38), python3:any (>= 3.13~), default-mta | mail-transport-agent, x(=1),")
                .unwrap();
        assert_eq!(groups.len(), 4);
        assert_eq!(groups[0].text, "libc6 (>= 2.38)");
        assert_eq!(groups[0].alternatives[0].version, Some((Operator::LaterOrEqual, "2.38")));
        assert_eq!(groups[1].alternatives[0].qualifier, Some("any"));
        assert_eq!(groups[2].alternatives, [plain("default-mta"), plain("mail-transport-agent")]);
        assert_eq!(groups[3].alternatives[0].version, Some((Operator::Equal, "1")));
    }

    #[test]
    fn restrictions_and_old_signs_are_understood() {
        let groups = parse("a [amd64 !i386] <!nocheck> <x>, b (< 2), c (> 2), d ( << 1:2-3 ) [any]").unwrap();
        assert_eq!(groups[0].alternatives, [plain("a")]);
        assert_eq!(groups[1].alternatives[0].version, Some((Operator::EarlierOrEqual, "2")));
        assert_eq!(groups[2].alternatives[0].version, Some((Operator::LaterOrEqual, "2")));
        assert_eq!(groups[3].alternatives[0].version, Some((Operator::Earlier, "1:2-3")));
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn nonsense_is_pointed_at() {
        for text in
            ["a b", "a (>= 1", "a (1)", "a ()", "a (>= )", "|", "a|", "$x", "a:", "a (= 1) x", "a [", "-a"]
        {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(parse("fine, not fine").unwrap_err().trim(), "not fine");
    }

    #[test]
    fn bounds_are_compared_as_versions() {
        let relation = |text| parse(text).unwrap()[0].alternatives[0];
        assert!(relation("a (>= 1.9)").admits("1.10"));
        assert!(!relation("a (<< 1.9)").admits("1.9"));
        assert!(relation("a (<= 1.9)").admits("1.9~rc1"));
        assert!(relation("a (= 1.0)").admits("1.00"));
        assert!(!relation("a (>= 1)").admits("nonsense"));
        assert!(relation("a").admits("nonsense"));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[a-z0-9 ,|()<>=:.~\\[\\]!+-]{0,60}") {
            if let Ok(groups) = parse(&text) {
                prop_assert!(groups.iter().all(|group| !group.alternatives.is_empty()));
            }
        }

        #[test]
        fn any_unicode_is_parsed_or_refused(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
