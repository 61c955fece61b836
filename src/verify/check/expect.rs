//! What must come out of a step, as a check file says it, and the comparison with what came.

use super::Context;
use crate::error::{Error, Result};
use crate::verify::text::excerpt;
use regex::RegexBuilder;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Longest text that a complaint quotes.
const QUOTED: usize = 1500;

/// What must come out of a step.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// The exit status, or `any`; 0 when it is not named.
    #[serde(default)]
    pub exit: Option<Exit>,
    /// Standard output.
    #[serde(default)]
    pub stdout: Text,
    /// Standard error.
    #[serde(default)]
    pub stderr: Text,
}

/// An exit status that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "an exit status, a list of them, or \"any\" or \"failure\"")]
pub enum Exit {
    /// This one.
    Is(i32),
    /// One of these.
    OneOf(Vec<i32>),
    /// A word for many.
    Word(ExitWord),
}

/// The word form of [`Exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExitWord {
    /// Whatever it is.
    Any,
    /// Anything but 0, and but 126 and 127: a shell's word for a program that cannot be run or is not there.
    Failure,
}

/// What a text must be. White space at its ends does not count.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Text {
    /// Exactly this.
    #[serde(default)]
    pub equals: Option<String>,
    /// Nothing (`true`), or something (`false`).
    #[serde(default)]
    pub empty: Option<bool>,
    /// All of these occur in it.
    #[serde(default)]
    pub contains: Vec<String>,
    /// None of these occurs in it.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// A regular expression matches somewhere in it (`^` and `$` are the ends of lines).
    #[serde(default)]
    pub matches: Option<String>,
    /// Its lines, compared as a set with a fact of the plan.
    #[serde(default)]
    pub lines: Option<Lines>,
    /// It is JSON, and these places in it have these values.
    #[serde(default)]
    pub json: Vec<JsonPlace>,
}

/// Lines as a set, compared with a fact by name. Exactly one is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lines {
    /// The same lines as this fact.
    #[serde(default)]
    pub equal: Option<String>,
    /// No line that is not in this fact.
    #[serde(default)]
    pub within: Option<String>,
    /// Every line of this fact, and maybe more.
    #[serde(default)]
    pub include: Option<String>,
}

/// A place in a JSON document and its value.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct JsonPlace {
    /// A JSON pointer (RFC 6901): `/nftables/0/metainfo`.
    pub pointer: String,
    /// What must be there.
    pub equals: serde_json::Value,
}

/// What a command did, for comparison.
#[derive(Debug, Clone, Copy)]
pub struct Came<'a> {
    /// Its exit status.
    pub exit: i32,
    /// Its standard output.
    pub stdout: &'a str,
    /// Its standard error.
    pub stderr: &'a str,
}

impl Expect {
    /// What is not as it must be, in words; nothing when all is well.
    pub fn complaints(&self, came: Came, context: &Context) -> Result<Vec<String>> {
        let mut complaints = Vec::new();
        let wanted = match &self.exit {
            None => (came.exit == 0, "0".to_owned()),
            Some(Exit::Is(code)) => (came.exit == *code, code.to_string()),
            Some(Exit::OneOf(codes)) => (codes.contains(&came.exit), format!("one of {codes:?}")),
            Some(Exit::Word(ExitWord::Any)) => (true, String::new()),
            Some(Exit::Word(ExitWord::Failure)) => {
                let wanted = "a failure of the program itself, not 0, 126 or 127".to_owned();
                (!matches!(came.exit, 0 | 126 | 127), wanted)
            }
        };
        if !wanted.0 {
            complaints.push(format!("exit status is {}, wanted {}", came.exit, wanted.1));
        }
        self.stdout.complaints("output", came.stdout, context, &mut complaints)?;
        self.stderr.complaints("error output", came.stderr, context, &mut complaints)?;
        Ok(complaints)
    }
}

impl Text {
    fn complaints(&self, what: &str, text: &str, context: &Context, to: &mut Vec<String>) -> Result<()> {
        let text = text.trim();
        if let Some(wanted) = &self.equals {
            let wanted = context.fill(wanted)?;
            if text != wanted.trim() {
                to.push(format!("{what} is not '{}'", excerpt(wanted.trim(), QUOTED)));
            }
        }
        match self.empty {
            Some(true) if !text.is_empty() => to.push(format!("{what} is not empty")),
            Some(false) if text.is_empty() => to.push(format!("{what} is empty")),
            _ => {}
        }
        for wanted in &self.contains {
            let wanted = context.fill(wanted)?;
            if !text.contains(&wanted) {
                to.push(format!("{what} does not contain '{wanted}'"));
            }
        }
        for unwanted in &self.lacks {
            let unwanted = context.fill(unwanted)?;
            if text.contains(&unwanted) {
                to.push(format!("{what} contains '{unwanted}'"));
            }
        }
        if let Some(pattern) = &self.matches {
            let pattern = context.fill(pattern)?;
            if !regex(&pattern)?.is_match(text) {
                to.push(format!("{what} does not match /{pattern}/"));
            }
        }
        if let Some(lines) = &self.lines {
            lines.complaints(what, text, context, to)?;
        }
        if !self.json.is_empty() {
            self.json_complaints(what, text, to);
        }
        Ok(())
    }

    fn json_complaints(&self, what: &str, text: &str, to: &mut Vec<String>) {
        let document: serde_json::Value = match serde_json::from_str(text) {
            Ok(document) => document,
            Err(error) => return to.push(format!("{what} is not JSON: {error}")),
        };
        for place in &self.json {
            match document.pointer(&place.pointer) {
                Some(found) if *found == place.equals => {}
                Some(found) => to.push(format!("{} is {found}, wanted {}", place.pointer, place.equals)),
                None => to.push(format!("{} is missing, wanted {}", place.pointer, place.equals)),
            }
        }
    }
}

impl Lines {
    /// The fact that it names, and whether surplus and missing lines are faults.
    pub fn fact(&self) -> Option<(&str, bool, bool)> {
        match (&self.equal, &self.within, &self.include) {
            (Some(fact), None, None) => Some((fact, true, true)),
            (None, Some(fact), None) => Some((fact, true, false)),
            (None, None, Some(fact)) => Some((fact, false, true)),
            _ => None,
        }
    }

    fn complaints(&self, what: &str, text: &str, context: &Context, to: &mut Vec<String>) -> Result<()> {
        let unknown = || Error::usage("`lines` must name one fact");
        let (name, no_surplus, no_missing) = self.fact().ok_or_else(unknown)?;
        let fact = context.fact(name).ok_or_else(unknown)?;
        let wanted: BTreeSet<&str> = fact.iter().map(String::as_str).collect();
        let found: BTreeSet<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let mut tell = |lines: Vec<&str>, fault: &str| {
            if !lines.is_empty() {
                let list = excerpt(&lines.join("\n  "), QUOTED);
                to.push(format!("{} {fault} of {what}:\n  {list}", lines.len()));
            }
        };
        if no_surplus {
            tell(
                found.difference(&wanted).copied().collect(),
                &format!("not among the plan's {name}, in lines"),
            );
        }
        if no_missing {
            tell(
                wanted.difference(&found).copied().collect(),
                &format!("of the plan's {name} missing, in lines"),
            );
        }
        Ok(())
    }
}

/// A regular expression as checks use them: `^` and `$` are the ends of lines.
pub fn regex(pattern: &str) -> Result<regex::Regex> {
    RegexBuilder::new(pattern)
        .multi_line(true)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| Error::usage(format!("/{pattern}/ is not a regular expression")).because(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::testing::{lock, plan};

    fn complaints(expect: &str, exit: i32, stdout: &str) -> Vec<String> {
        let expect: Expect = toml::from_str(expect).unwrap();
        let context = Context::new(&plan(), &lock(), None);
        expect.complaints(Came { exit, stdout, stderr: "" }, &context).unwrap()
    }

    #[test]
    fn exit_status_is_zero_unless_said_otherwise() {
        assert_eq!(complaints("", 0, "x"), [""; 0]);
        assert_eq!(complaints("", 3, ""), ["exit status is 3, wanted 0"]);
        assert_eq!(complaints("exit = 'any'", 3, ""), [""; 0]);
        assert_eq!(complaints("exit = [1, 255]", 255, ""), [""; 0]);
        // A program that is not there has shown nothing.
        let fails = |exit| complaints("exit = 'failure'", exit, "").len();
        assert_eq!([0, 1, 125, 126, 127, 255].map(fails), [1, 0, 0, 1, 1, 0]);
    }

    #[test]
    fn texts_are_compared_after_filling_in() {
        assert_eq!(complaints("stdout.equals = 'port {{overlay.ssh.port}}'", 0, "port 2222\n"), [""; 0]);
        assert_eq!(complaints("stdout.matches = '^b$'", 0, "a\nb\nc"), [""; 0]);
        assert_eq!(complaints("stdout.empty = true", 0, " \n"), [""; 0]);
        let all = "stdout = { contains = ['a', 'z'], lacks = ['b'], empty = true, matches = '^$' }";
        assert_eq!(complaints(all, 0, "abc").len(), 4);
    }

    #[test]
    fn lines_are_sets_and_the_difference_is_told_both_ways() {
        let equal = "stdout.lines.equal = 'packages'";
        let right = "openssh-server 1:10.0p1-7 amd64\nlibc6 2.41-12 amd64\n";
        assert_eq!(complaints(equal, 0, right), [""; 0]);
        let told = complaints(equal, 0, "libc6 2.41-12 amd64\nnetcat 1 amd64").join("\n");
        assert!(told.contains("1 not among the plan's packages") && told.contains("netcat"), "{told}");
        assert!(told.contains("missing") && told.contains("openssh-server"), "{told}");
        assert_eq!(complaints("stdout.lines.within = 'opens'", 0, ""), [""; 0]);
        assert_eq!(complaints("stdout.lines.include = 'opens'", 0, "tcp 2222\nudp 5"), [""; 0]);
    }

    #[test]
    fn json_is_looked_into_and_anything_else_is_a_complaint() {
        let expect = "stdout.json = [{ pointer = '/a/0/b', equals = 3 }]";
        assert_eq!(complaints(expect, 0, r#"{"a":[{"b":3}]}"#), [""; 0]);
        assert_eq!(complaints(expect, 0, r#"{"a":[{"b":4}]}"#), ["/a/0/b is 4, wanted 3"]);
        assert!(complaints(expect, 0, "{").join("").contains("not JSON"));
    }
}
