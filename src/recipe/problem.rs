//! What is wrong in a text that somebody wrote, shown where it is.

use super::source::{At, Sources};
use crate::error::Error;
use crate::{nearest, terminal};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use std::fmt;

/// Whether a problem stops the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The plan cannot be made, or must not be.
    Error,
    /// The plan is made; somebody should know.
    Warning,
}

/// One thing wrong at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// Where.
    pub at: At,
    /// What, one line.
    pub message: String,
    /// A few words under the excerpt.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Problems found so far, in the order found.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    /// Notes an error; `label` goes under the excerpt.
    pub fn error(
        &mut self,
        at: At,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.push(Problem {
            severity: Severity::Error,
            at,
            message: message.into(),
            label: label.into(),
            help,
        });
    }

    /// Notes a warning.
    pub fn warning(
        &mut self,
        at: At,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.push(Problem {
            severity: Severity::Warning,
            at,
            message: message.into(),
            label: label.into(),
            help,
        });
    }

    /// Notes a problem, once.
    pub fn push(&mut self, problem: Problem) {
        if !self.list.contains(&problem) {
            self.list.push(problem);
        }
    }

    /// Takes over another list.
    pub fn extend(&mut self, others: &Self) {
        for problem in &others.list {
            self.push(problem.clone());
        }
    }

    /// Whether any of them is an error.
    pub fn any_error(&self) -> bool {
        self.list.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// The errors as one [`Error`] with exit status 2, drawn in the order of files and lines.
    pub fn into_error(mut self, what: &str, sources: &Sources, colour: Colour) -> Error {
        self.list.retain(|problem| problem.severity == Severity::Error);
        self.list.sort_by_key(|problem| problem.at);
        let count = self.list.len();
        let drawn: Vec<String> = self.list.iter().map(|problem| draw(problem, sources, colour)).collect();
        let noun = if count == 1 { "error" } else { "errors" };
        Error::diagnostic(format!("{what} has {count} {noun}"), drawn.join("\n"))
    }

    /// The warnings, in the order of files and lines.
    pub fn into_warnings(mut self, sources: &Sources, colour: Colour) -> Vec<Warning> {
        self.list.retain(|problem| problem.severity == Severity::Warning);
        self.list.sort_by_key(|problem| problem.at);
        self.list
            .into_iter()
            .map(|problem| Warning {
                position: sources.position(problem.at),
                drawn: draw(&problem, sources, colour),
                message: problem.message,
                help: problem.help,
            })
            .collect()
    }
}

/// Something that the recipe's author should know, though the plan is fine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// `path:line:column`.
    pub position: String,
    /// What, one line.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The whole, with the source's excerpt, ready to print; coloured when standard error is a terminal.
    pub drawn: String,
}

/// `position: warning: message`, one line.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: warning: {}", self.position, self.message)
    }
}

/// Whether escape sequences are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// They are.
    Yes,
    /// Plain text.
    No,
}

impl Colour {
    /// On a terminal that can show them, unless `NO_COLOR` is set.
    pub fn detect() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if wanted && terminal::moves() { Self::Yes } else { Self::No }
    }
}

/// The problem with file, line, column and excerpt.
pub fn draw(problem: &Problem, sources: &Sources, colour: Colour) -> String {
    let theme = match colour {
        Colour::Yes => GraphicalTheme::unicode(),
        Colour::No => GraphicalTheme::unicode_nocolor(),
    };
    let source = sources.get(problem.at.file);
    let text = source.map_or("", |source| source.text.as_str());
    let name = source.map(|source| source.place.shown().display().to_string()).unwrap_or_default();
    let start = (problem.at.start as usize).min(text.len());
    let end = (problem.at.end as usize).clamp(start, text.len());
    // A label over several lines draws a bracket around all of them; the first line says enough.
    let end = text.get(start..end).and_then(|inside| inside.find('\n')).map_or(end, |first| start + first);
    if longest_line_near(text, start) > LONGEST_LINE {
        return draw_plainly(problem, sources);
    }
    let drawn = Drawn {
        problem,
        source: NamedSource::new(printable(&name), masked(text)),
        span: (start, end - start).into(),
    };
    let mut out = String::new();
    let handler = GraphicalReportHandler::new_themed(theme).with_width(110).with_context_lines(1);
    match handler.render_report(&mut out, &drawn) {
        Ok(()) => out,
        Err(_) => draw_plainly(problem, sources),
    }
}

/// Lines of more bytes are not shown: no terminal holds them, and miette cannot draw columns past 65535.
const LONGEST_LINE: usize = 2000;

/// The longest of the line at this byte and its neighbours, which an excerpt would show.
fn longest_line_near(text: &str, start: usize) -> usize {
    let line = text.get(..start).map_or(0, |before| before.matches('\n').count());
    text.split('\n').skip(line.saturating_sub(1)).take(3).map(str::len).max().unwrap_or(0)
}

/// The problem without an excerpt.
fn draw_plainly(problem: &Problem, sources: &Sources) -> String {
    let mut out = format!(
        "\n  × {}\n   ╭─[{}]\n   ╰── {}\n",
        printable(&problem.message),
        printable(&sources.position(problem.at)),
        printable(&problem.label)
    );
    if let Some(help) = &problem.help {
        out.push_str(&format!("  help: {}\n", help.replace('\n', "\n        ")));
    }
    out
}

/// The text with the values of keys that begin with `passw` starred out, byte for byte: what is printed ends up in
/// logs, and a password that somebody wrote into a recipe by mistake must not. Control characters, which a terminal
/// would obey, become `?`.
fn masked(text: &str) -> String {
    let plain: String = text
        .chars()
        .flat_map(|c| {
            let obeyed = c.is_control() && !matches!(c, '\n' | '\t');
            std::iter::repeat_n(if obeyed { '?' } else { c }, if obeyed { c.len_utf8() } else { 1 })
        })
        .collect();
    let text = plain.as_str();
    let mut masked = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while let Some(key) = rest.to_ascii_lowercase().find("passw") {
            let value = rest
                .get(key..)
                .and_then(|after| after.find('='))
                .map_or(rest.len(), |equals| key + equals + 1);
            let (before, after) = rest.split_at(value);
            masked.push_str(before);
            let value = after.trim_start();
            let quoted = value.chars().next().filter(|first| matches!(first, '"' | '\''));
            let end = match quoted.and_then(|quote| after.rfind(quote)) {
                Some(last) => last + 1,
                None => after.find([',', '}', '\n']).unwrap_or(after.len()),
            };
            let (secret, after) = after.split_at(end);
            // `expire-password = true` tells nothing.
            let truth = matches!(secret.trim(), "true" | "false");
            masked.extend(secret.chars().flat_map(|c| {
                let keep = truth || c.is_whitespace() || matches!(c, '"' | '\'');
                std::iter::repeat_n(if keep { c } else { '*' }, if keep { 1 } else { c.len_utf8() })
            }));
            rest = after;
        }
        masked.push_str(rest);
    }
    masked
}

/// File names may hold anything; a terminal should not obey it.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[derive(Debug)]
struct Drawn<'a> {
    problem: &'a Problem,
    source: NamedSource<String>,
    span: miette::SourceSpan,
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.problem.message))
    }
}

impl std::error::Error for Drawn<'_> {}

impl miette::Diagnostic for Drawn<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.problem.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(Some(printable(&self.problem.label)), self.span);
        Some(Box::new(std::iter::once(label)))
    }
}

/// Help for a name that is not known: the nearest one, or all of them.
pub fn suggest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest::one(wanted, candidates.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let all: Vec<&str> = candidates.into_iter().collect();
    (!all.is_empty()).then(|| format!("known: {}", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::source::{Place, at};

    #[test]
    fn passwords_are_not_printed() {
        for (text, shown) in [
            ("password = \"hünter\"\nx = 1\n", "password = \"*******\"\nx = 1\n"),
            ("a = { password-hash = 'secret', b = 1 }", "a = { password-hash = '******', b = 1 }"),
            ("password = 'a,b}c'\n", "password = '*****'\n"),
            ("Passwd=x", "Passwd=*"),
            (
                "{ expire-password = true, password = 'true' }",
                "{ expire-password = true, password = '****' }",
            ),
            ("a\u{1b}[31m\u{9b}b", "a?[31m??b"),
            ("password", "password"),
            ("name = \"a\"\t\n", "name = \"a\"\t\n"),
        ] {
            assert_eq!(masked(text), shown);
            assert_eq!(masked(text).len(), text.len());
        }
    }

    #[test]
    fn very_long_lines_are_told_without_excerpt() {
        let mut sources = Sources::default();
        let file = sources.add(Place::Disk("a.toml".into()), &format!("x = 1\n{}", "[".repeat(100_000)));
        let problem = Problem {
            severity: Severity::Error,
            at: at(file, 90_000, 90_001),
            message: "m".into(),
            label: "l".into(),
            help: Some("one\ntwo".into()),
        };
        assert_eq!(
            draw(&problem, &sources, Colour::No),
            "\n  × m\n   ╭─[a.toml:2:89995]\n   ╰── l\n  help: one\n        two\n"
        );
    }

    #[test]
    fn spans_outside_the_text_and_control_characters_do_not_panic() {
        let mut sources = Sources::default();
        let file = sources.add(Place::Disk("a\u{1b}.toml".into()), "x = 1");
        for span in [at(file, 0, 0), at(file, 900, 1000), at(file, 4, 2), at(7, 0, 3)] {
            let problem = Problem {
                severity: Severity::Error,
                at: span,
                message: "m\u{1b}[31m".into(),
                label: "l".into(),
                help: None,
            };
            assert!(!draw(&problem, &sources, Colour::No).contains('\u{1b}'));
        }
    }
}
