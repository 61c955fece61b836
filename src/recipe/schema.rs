//! The JSON Schema of a recipe, for editors.

use super::form::Form;
use super::shape::{Field, Kind, Shape};
use serde_json::{Map, Value as Json, json};

/// The schema of a file of this shape, draft 7, which editors' TOML plug-ins know.
pub fn document(shape: &Shape) -> Json {
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "goldcast recipe",
    });
    merge(&mut schema, table(shape));
    schema
}

fn table(shape: &Shape) -> Json {
    let properties: Map<String, Json> =
        shape.fields.iter().map(|field| (field.name.clone(), property(field))).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn property(field: &Field) -> Json {
    let mut schema = json!({ "description": field.doc });
    if let Some(default) = &field.default {
        schema["default"] = default.clone();
    }
    merge(&mut schema, kind(&field.kind));
    schema
}

fn kind(kind: &Kind) -> Json {
    match kind {
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Integer { min, max } => {
            let mut schema = json!({ "type": "integer" });
            if *min != i64::MIN {
                schema["minimum"] = json!(min);
            }
            if *max != i64::MAX {
                schema["maximum"] = json!(max);
            }
            schema
        }
        Kind::Text(form) | Kind::Quantity { form, .. } => text(*form),
        Kind::Template { .. } | Kind::Prefixed(_) => json!({ "type": "string" }),
        Kind::Choice(choice) => json!({ "type": "string", "enum": choice.values }),
        Kind::List(inner) => json!({ "type": "array", "items": self::kind(inner) }),
        Kind::Table(shape) => table(shape),
        Kind::Tables { by, shape } => {
            let mut items = table(shape);
            if let Some(by) = by {
                items["required"] = json!([by]);
            }
            json!({ "type": "array", "items": items })
        }
        Kind::Map { shape, .. } => json!({ "type": "object", "additionalProperties": table(shape) }),
        Kind::Switch(shape) => json!({ "anyOf": [table(shape), { "const": false }] }),
        Kind::Anything => json!({}),
    }
}

fn text(form: Form) -> Json {
    match form {
        Form::Text | Form::Line | Form::Comment | Form::Template => json!({ "type": "string" }),
        form => json!({ "type": "string", "minLength": 1, "examples": [form.example()] }),
    }
}

fn merge(into: &mut Json, from: Json) {
    if let (Json::Object(into), Json::Object(from)) = (into, from) {
        into.extend(from);
    }
}
