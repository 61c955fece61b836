//! Holds a TOML value against its shape; everything wrong is noted with its place and marked as invalid.

use super::form::{Fault, Form};
use super::node::{Key, Node, Value};
use super::problem::{Problems, suggest};
use super::quantity;
use super::shape::{Choice, Field, Kind, Shape};
use super::source::At;
use super::template;
use crate::nearest;

/// Checks a table. What is wrong becomes [`Value::Invalid`], so that later stages see only what is right, and
/// can still tell "wrong" from "missing".
pub fn table(node: &mut Node, shape: &Shape, path: &str, problems: &mut Problems) {
    let Value::Table(entries) = &mut node.value else {
        wrong_type(node, &format!("`{path}`"), "a table", "", problems);
        return;
    };
    for (key, value) in entries.iter_mut() {
        let inner = join(path, &key.name);
        let Some(field) = shape.field(&key.name) else {
            unknown(key, value.at, shape, path, problems);
            value.value = Value::Invalid;
            continue;
        };
        check(value, &field.kind, &inner, problems);
    }
}

/// Notes the keys of a shape that must be set and are not, in this table and those below it.
pub fn required(node: &Node, shape: &Shape, path: &str, at: At, problems: &mut Problems) {
    for field in &shape.fields {
        let inner = join(path, &field.name);
        match &field.kind {
            // A table that nobody wrote is missing all its keys.
            Kind::Table(shape)
                if !matches!(node.get(&field.name), Some(Node { value: Value::Invalid, .. })) =>
            {
                let empty = Node::empty(at);
                let below = node.get(&field.name);
                let place = node.key_at(&field.name).unwrap_or(at);
                required(below.unwrap_or(&empty), shape, &inner, place, problems);
            }
            _ if field.required && !node.has(&field.name) => {
                let help = example(field);
                problems.error(
                    at,
                    format!("`{inner}` is missing"),
                    "not said here or in what it extends",
                    help,
                );
            }
            Kind::Tables { shape, .. } => {
                for entry in node.list(&field.name) {
                    required(entry, shape, &inner, entry.at, problems);
                }
            }
            Kind::Map { shape, .. } => {
                for (key, entry) in node.entries(&field.name) {
                    required(entry, shape, &join(&inner, &key.name), key.at, problems);
                }
            }
            _ => {}
        }
    }
}

fn example(field: &Field) -> Option<String> {
    let value = match &field.kind {
        Kind::Text(form) | Kind::Quantity { form, .. } => format!("\"{}\"", form.example()),
        Kind::Choice(choice) => format!("\"{}\"", choice.values.first()?),
        _ => return None,
    };
    Some(format!("for example `{} = {value}`", field.name))
}

/// Checks one value.
pub fn check(node: &mut Node, kind: &Kind, path: &str, problems: &mut Problems) {
    let name = format!("`{path}`");
    match (kind, &mut node.value) {
        (_, Value::Invalid) | (Kind::Anything, _) | (Kind::Boolean, Value::Boolean(_)) => {}
        (Kind::Switch(_), Value::Boolean(false)) => {}
        (Kind::Switch(_), Value::Boolean(true)) => {
            let help = Some("write an empty table to turn it on".to_owned());
            problems.error(node.at, format!("{name} takes a table or false"), "not true", help);
            node.value = Value::Invalid;
        }
        (Kind::Integer { min, max }, Value::Integer(number)) => {
            if *number < *min || *number > *max {
                let message = format!("{name} must be from {min} to {max}");
                problems.error(node.at, message, format!("{number} is out of range"), None);
                node.value = Value::Invalid;
            }
        }
        (Kind::Text(form), Value::Text(text)) => {
            if let Err(fault) = form.check(text) {
                faulty(node, &name, *form, fault, problems);
            }
        }
        (Kind::Quantity { form, min, max }, Value::Text(text)) => match read(*form, text) {
            Err(fault) => faulty(node, &name, *form, fault, problems),
            Ok(number) if number < *min || number > *max => {
                let show = |number: u64| match form {
                    Form::Size => quantity::show_size(number),
                    _ => format!("{number} s"),
                };
                let message = format!("{name} must be from {} to {}", show(*min), show(*max));
                problems.error(node.at, message, "out of range", None);
                node.value = Value::Invalid;
            }
            Ok(_) => {}
        },
        (Kind::Choice(choice), Value::Text(text)) => {
            if !choice.values.contains(text) {
                let (label, help) = not_chosen(choice, text);
                let message = format!("{name}: there is no {} `{}`", choice.noun, shorten(text));
                problems.error(node.at, message, label, help);
                node.value = Value::Invalid;
            }
        }
        (Kind::Prefixed(prefix), Value::Text(text)) => {
            let fault = match Form::Line.check(text) {
                Ok(()) if !text.starts_with(prefix.as_str()) => {
                    Err(Fault::new(format!("it does not begin with `{prefix}`")))
                }
                other => other,
            };
            if let Err(fault) = fault {
                faulty(node, &name, Form::Line, fault, problems);
            }
        }
        (Kind::Template { form, words }, Value::Text(text)) => {
            let fault = if template::is_plain(text) {
                if *words {
                    text.split_whitespace().try_for_each(|word| form.check(word))
                } else {
                    form.check(text)
                }
            } else {
                template::syntax(text)
            };
            if let Err(fault) = fault {
                faulty(node, &name, *form, fault, problems);
            }
        }
        (Kind::List(inner), Value::List(list)) => {
            for (index, entry) in list.iter_mut().enumerate() {
                check(entry, inner, &format!("{path}[{index}]"), problems);
            }
        }
        (Kind::Table(shape) | Kind::Switch(shape), Value::Table(_)) => table(node, shape, path, problems),
        (Kind::Tables { by, shape }, Value::List(list)) => tables(list, *by, shape, path, problems),
        (Kind::Map { form, shape }, Value::Table(entries)) => {
            for (key, value) in entries.iter_mut() {
                if let Err(fault) = form.check(&key.name) {
                    let message = format!("`{}` is not {}: {}", shorten(&key.name), form.noun(), fault.why);
                    problems.error(key.at, message, "here", fault.help);
                    value.value = Value::Invalid;
                    continue;
                }
                table(value, shape, &join(path, &key.name), problems);
            }
        }
        _ => {
            let help = write_instead(kind, &node.value);
            wrong_type(node, &name, &kind.noun(), &help, problems);
        }
    }
}

fn tables(list: &mut [Node], by: Option<&'static str>, shape: &Shape, path: &str, problems: &mut Problems) {
    let mut seen: Vec<String> = Vec::new();
    for entry in list.iter_mut() {
        table(entry, shape, path, problems);
        let Some(by) = by else { continue };
        let Some(name) = entry.text(by).map(str::to_owned) else { continue };
        if seen.contains(&name) {
            let at = entry.get(by).map_or(entry.at, |node| node.at);
            let message = format!("there are two `[[{path}]]` with {by} `{}`", shorten(&name));
            problems.error(at, message, "the second", Some("make one of them".into()));
            entry.value = Value::Invalid;
        } else {
            seen.push(name);
        }
    }
}

/// The number that a quantity stands for, in bytes or seconds.
pub fn read(form: Form, text: &str) -> Result<u64, Fault> {
    match form {
        Form::Duration => quantity::duration(text),
        _ => quantity::size(text),
    }
}

fn not_chosen(choice: &Choice, text: &str) -> (String, Option<String>) {
    if let Some((_, why)) = choice.refused.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
        return ("refused".into(), Some((*why).to_owned()));
    }
    let known = choice.values.join(", ");
    match nearest::one(text, choice.values.iter().map(String::as_str)) {
        Some(near) => ("unknown".into(), Some(format!("did you mean `{near}`? known: {known}"))),
        None => ("unknown".into(), Some(format!("known: {known}"))),
    }
}

fn write_instead(kind: &Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::List(_), Value::Text(text)) => format!("write `[\"{}\"]`", shorten(text)),
        (Kind::Integer { .. }, Value::Text(text)) if text.parse::<i64>().is_ok() => {
            format!("write {text} without quotes")
        }
        (Kind::Boolean, Value::Text(text)) if text == "true" || text == "false" => {
            format!("write {text} without quotes")
        }
        (Kind::Quantity { form, .. } | Kind::Text(form), _) => format!("for example \"{}\"", form.example()),
        (Kind::Tables { .. }, Value::Table(_)) => "write the name in double brackets, `[[…]]`".into(),
        (Kind::Table(_) | Kind::Switch(_), Value::List(_)) => {
            "write the name in single brackets, `[…]`".into()
        }
        _ => String::new(),
    }
}

fn wrong_type(node: &mut Node, name: &str, wanted: &str, help: &str, problems: &mut Problems) {
    let message = format!("{name} must be {wanted}, not {}", node.value.noun());
    let help = (!help.is_empty()).then(|| help.to_owned());
    problems.error(node.at, message, format!("this is {}", node.value.noun()), help);
    node.value = Value::Invalid;
}

fn faulty(node: &mut Node, name: &str, form: Form, fault: Fault, problems: &mut Problems) {
    problems.error(node.at, format!("{name} is not {}: {}", form.noun(), fault.why), "here", fault.help);
    node.value = Value::Invalid;
}

fn unknown(key: &Key, at: At, shape: &Shape, path: &str, problems: &mut Problems) {
    let shown = shorten(&key.name);
    if let Some((_, why)) = shape.refused.iter().find(|(name, _)| *name == key.name) {
        problems.error(
            key.at,
            format!("there is no `{}`", join(path, &shown)),
            "refused",
            Some((*why).to_owned()),
        );
        return;
    }
    let place = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
    let help = if shape.fields.is_empty() {
        Some(format!("it has no {}s", shape.noun))
    } else {
        suggest(&key.name, shape.names())
    };
    // An overlay's table header is the key's only mark; an empty key has no width of its own.
    let at = if key.at.start == key.at.end { at } else { key.at };
    problems.error(
        at,
        format!("unknown {} `{shown}`{place}", shape.noun),
        format!("unknown {}", shape.noun),
        help,
    );
}

/// `a.b`, or `b` at the top.
fn join(path: &str, name: &str) -> String {
    let name = shorten(name);
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// At most 60 characters, for messages.
pub fn shorten(text: &str) -> String {
    let mut short: String =
        text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().count() > 60 {
        short.push('…');
    }
    short
}
