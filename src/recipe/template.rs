//! Handlebars, as overlays and checks use it: strict, without escaping, with a few helpers of ours.

use super::form::Fault;
use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderError,
    RenderErrorReason, Template,
};
use serde_json::Value as Json;

/// Whether the text has nothing to render.
pub fn is_plain(text: &str) -> bool {
    !text.contains("{{")
}

/// Checks the syntax alone.
pub fn syntax(text: &str) -> Result<(), Fault> {
    Template::compile(text).map(drop).map_err(|error| Fault::new(error.reason().to_string()))
}

/// Why a text could not be rendered, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Line from 1, 0 when not known.
    pub line: usize,
    /// Column from 1, 0 when not known.
    pub column: usize,
    /// What is wrong.
    pub why: String,
}

/// Renders a text. A variable that is not there is an error, never an empty string.
pub fn render(text: &str, context: &Json) -> Result<String, Failure> {
    if is_plain(text) {
        return Ok(text.to_owned());
    }
    let mut engine = Handlebars::new();
    engine.set_strict_mode(true);
    engine.register_escape_fn(handlebars::no_escape);
    engine.unregister_helper("log");
    for function in &FUNCTIONS {
        engine.register_helper(function.name, Box::new(function));
    }
    let template = Template::compile(text).map_err(|error| Failure {
        line: error.pos().map_or(0, |(line, _)| line),
        column: error.pos().map_or(0, |(_, column)| column),
        why: error.reason().to_string(),
    })?;
    engine.register_template("text", template);
    engine.render("text", context).map_err(|error| Failure {
        line: error.line_no.unwrap_or(0),
        column: error.column_no.unwrap_or(0),
        why: explain(&error),
    })
}

fn explain(error: &RenderError) -> String {
    match error.reason() {
        RenderErrorReason::MissingVariable(Some(name)) => {
            format!("there is no `{name}`, or its overlay is off")
        }
        RenderErrorReason::MissingVariable(None) => "a variable is missing".into(),
        RenderErrorReason::HelperNotFound(name) => format!("there is no helper `{name}`"),
        other => other.to_string(),
    }
}

/// A helper: text of one or two values, or why there is none.
struct Function {
    name: &'static str,
    takes: usize,
    of: fn(&Json, &Json) -> Result<String, &'static str>,
}

/// What overlays and checks may call.
const FUNCTIONS: [Function; 6] = [
    Function { name: "join", takes: 2, of: join },
    Function { name: "contains", takes: 2, of: contains },
    Function { name: "divide", takes: 2, of: divide },
    Function { name: "before", takes: 2, of: before },
    Function { name: "after", takes: 2, of: after },
    Function { name: "literal", takes: 1, of: literal },
];

impl HelperDef for &'static Function {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let mut values = [&Json::Null; 2];
        for (index, value) in values.iter_mut().enumerate().take(self.takes) {
            let given =
                helper.param(index).ok_or(RenderErrorReason::ParamNotFoundForIndex(self.name, index))?;
            if given.is_value_missing() {
                return Err(RenderErrorReason::MissingVariable(given.relative_path().cloned()).into());
            }
            *value = given.value();
        }
        let [first, second] = values;
        let text = (self.of)(first, second)
            .map_err(|why| RenderErrorReason::Other(format!("{} takes {why}", self.name)))?;
        Ok(out.write(&text)?)
    }
}

/// `{{join list ","}}`: the list's values with the word between them.
fn join(list: &Json, between: &Json) -> Result<String, &'static str> {
    let words: Vec<String> = list.as_array().ok_or("a list")?.iter().map(plain).collect();
    Ok(words.join(&plain(between)))
}

/// `{{contains list value}}`: `true`, or nothing, so that it serves as a condition of `when` too; as a block
/// `{{#if (contains list value)}}`.
fn contains(list: &Json, wanted: &Json) -> Result<String, &'static str> {
    let found = match list {
        Json::Array(list) => list.contains(wanted),
        Json::String(text) => wanted.as_str().is_some_and(|wanted| text.contains(wanted)),
        _ => return Err("a list or a string"),
    };
    Ok(if found { "true" } else { "" }.to_owned())
}

/// `{{divide seconds 60}}`: a whole number divided by another, rounded down.
fn divide(number: &Json, by: &Json) -> Result<String, &'static str> {
    let result = number.as_u64().zip(by.as_u64()).and_then(|(number, by)| number.checked_div(by));
    result.map(|result| result.to_string()).ok_or("two whole numbers, the second not 0")
}

/// `{{before "tcp/80" "/"}}`: what stands in front of the first such mark; all of it without one.
fn before(text: &Json, mark: &Json) -> Result<String, &'static str> {
    let text = plain(text);
    Ok(text.split_once(&plain(mark)).map_or(&*text, |(before, _)| before).to_owned())
}

/// `{{after "tcp/80" "/"}}`: what stands behind the first such mark; nothing without one.
fn after(text: &Json, mark: &Json) -> Result<String, &'static str> {
    Ok(plain(text).split_once(&plain(mark)).map_or("", |(_, after)| after).to_owned())
}

/// `{{literal "libstdc++6"}}`: a regular expression for this text and no other.
fn literal(text: &Json, _: &Json) -> Result<String, &'static str> {
    Ok(regex::escape(&plain(text)))
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Names below `option.` and `overlay.` that a text uses, with the byte where each begins.
///
/// Strict mode misses what stands in `{{#if …}}` and in branches not taken, so names are also looked up here,
/// by the text alone.
pub fn references(text: &str) -> Vec<(usize, Vec<&str>)> {
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(open) = text.get(rest..).and_then(|after| after.find("{{")) {
        let start = rest + open;
        let end =
            text.get(start..).and_then(|after| after.find("}}")).map_or(text.len(), |close| start + close);
        let inside = text.get(start..end).unwrap_or("");
        if !inside.starts_with("{{!") {
            for (offset, word) in paths(inside) {
                let parts: Vec<&str> = word.split('.').collect();
                if matches!(parts.first(), Some(&"option" | &"overlay")) && parts.len() > 1 {
                    found.push((start + offset, parts));
                }
            }
        }
        rest = end.max(start + 2);
    }
    found
}

/// Dotted paths in a tag, quoted strings left out; `../` and `@root.` in front are dropped.
fn paths(inside: &str) -> Vec<(usize, &str)> {
    let mut paths = Vec::new();
    let mut quote = None;
    let mut begin = None;
    for (index, c) in inside.char_indices().chain([(inside.len(), ' ')]) {
        if let Some(open) = quote {
            if c == open {
                quote = None;
            }
            continue;
        }
        let part = c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '/');
        match (part, begin) {
            (true, None) => begin = Some(index),
            (false, Some(start)) => {
                let mut word = inside.get(start..index).unwrap_or("");
                let mut offset = start;
                while let Some(after) = word.strip_prefix("../").or_else(|| word.strip_prefix("@root.")) {
                    offset += word.len() - after.len();
                    word = after;
                }
                paths.push((offset, word));
                begin = None;
            }
            _ => {}
        }
        if c == '"' || c == '\'' {
            quote = Some(c);
        }
    }
    paths
}

/// Whether Handlebars takes the value for true.
pub fn truthy(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(value) => *value,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => !text.is_empty(),
        Json::Array(list) => !list.is_empty(),
        Json::Object(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn context() -> Json {
        json!({
            "option": { "port": 22, "allow-groups": ["a", "b"], "none": null, "html": "<&\"'>" },
            "overlay": { "firewall": { "ping": true }, "off": null },
        })
    }

    #[test]
    fn what_overlays_write() {
        for (text, result) in [
            ("plain", "plain"),
            ("Port {{option.port}}\n", "Port 22\n"),
            ("{{option.html}}", "<&\"'>"),
            ("{{join option.allow-groups ' '}}", "a b"),
            ("{{#each option.allow-groups}}[{{this}}]{{/each}}", "[a][b]"),
            ("{{#if overlay.firewall}}on{{/if}}{{#if overlay.off}}never{{/if}}", "on"),
            ("{{#if (contains option.allow-groups 'a')}}y{{else}}n{{/if}}", "y"),
            ("{{#if (contains option.allow-groups 'z')}}y{{else}}n{{/if}}", "n"),
            ("{{contains option.allow-groups 'a'}}", "true"),
            ("{{#if (eq option.port 22)}}y{{/if}}", "y"),
            ("{{#if option.none}}y{{/if}}", ""),
            ("{{divide 90 60}}", "1"),
            ("{{before 'tcp/80' '/'}} {{after 'tcp/80' '/'}}{{after 'tcp' '/'}}", "tcp 80"),
            ("{{literal 'libstdc++6'}}", "libstdc\\+\\+6"),
            ("{{#if option.port}}\nx\n{{/if}}\ny\n", "x\ny\n"),
        ] {
            assert_eq!(render(text, &context()), Ok(result.into()), "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (text, why) in [
            ("a\n{{option.prot}}", "option.prot"),
            ("{{overlay.off.ping}}", "overlay.off.ping"),
            ("{{nothing}}", "nothing"),
            ("{{shout option.port}}", "shout"),
            ("{{join option.port ','}}", "takes a list"),
            ("{{join option.missing ','}}", "option.missing"),
            ("{{contains option.port 'a'}}", "takes a list"),
            ("{{divide 90 0}}", "not 0"),
            ("{{#if option.port}}", "syntax"),
            ("{{", "syntax"),
        ] {
            let failure = render(text, &context()).expect_err(text);
            assert!(failure.why.contains(why), "{text}: {}", failure.why);
        }
        assert_eq!(render("a\n{{option.prot}}", &context()).unwrap_err().line, 2);
    }

    #[test]
    fn references_are_found_wherever_they_stand() {
        let text = "x option.no {{#if option.a}}{{! option.no }}{{join @root.option.b-c \"option.no\"}}{{../overlay.x.y}}{{/if}}";
        let found: Vec<Vec<&str>> = references(text).into_iter().map(|(_, parts)| parts).collect();
        assert_eq!(found, [vec!["option", "a"], vec!["option", "b-c"], vec!["overlay", "x", "y"]]);
        let (offset, _) = references(text)[0];
        assert!(text[offset..].starts_with("option.a"));
    }

    proptest! {
        #[test]
        fn no_template_panics(text in "(\\{\\{|\\}\\}|#if |/if|option|\\.|port|each|\\\\|'|\"|é| |>|~|\\(|\\)){0,30}") {
            let _ = references(&text);
            let _ = syntax(&text);
            let _ = render(&text, &context());
        }
    }
}
