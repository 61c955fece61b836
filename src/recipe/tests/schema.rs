//! The JSON Schema and the checks say the same.

use super::World;
use crate::recipe::{Library, schema};
use serde_json::Value as Json;

const COMMITTED: &str = "docs/recipe.schema.json";

#[test]
fn the_committed_schema_is_that_of_the_built_in_overlays() {
    let made = serde_json::to_string_pretty(&schema(&Library::built_in().unwrap()).unwrap()).unwrap() + "\n";
    if std::env::var_os("GOLDCAST_WRITE_SCHEMA").is_some() {
        fs_err::create_dir_all("docs").unwrap();
        fs_err::write(COMMITTED, &made).unwrap();
    }
    let committed = fs_err::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == made,
        "{COMMITTED} is stale: `GOLDCAST_WRITE_SCHEMA=1 cargo test --lib recipe::tests::schema` writes it"
    );
}

/// Every key of the schema with its schema, as dotted paths; arrays of tables are named by their element.
fn keys(schema: &Json, path: &str, found: &mut Vec<(String, Json)>) {
    let table = match schema {
        schema if schema["properties"].is_object() => schema,
        schema if schema["items"]["properties"].is_object() => &schema["items"],
        schema if schema["anyOf"][0]["properties"].is_object() => &schema["anyOf"][0],
        _ => return,
    };
    assert_eq!(table["additionalProperties"], false, "{path} lets unknown keys pass");
    for (name, property) in table["properties"].as_object().unwrap() {
        let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        found.push((inner.clone(), property.clone()));
        keys(property, &inner, found);
    }
}

#[test]
fn every_key_of_the_schema_is_accepted_and_no_other() {
    let schema = schema(&Library::built_in().unwrap()).unwrap();
    let mut found = Vec::new();
    keys(&schema, "", &mut found);
    assert!(found.len() > 50, "{}", found.len());
    for (path, property) in &found {
        assert!(
            property["description"].as_str().is_some_and(|text| !text.is_empty()),
            "{path} has no description"
        );
        // A value that no key takes: the key must be known, its value refused; a key beside it is unknown.
        let array = |path: &str| {
            ["user", "file", "partition", "repository"]
                .iter()
                .any(|name| path.starts_with(&format!("{name}.")))
        };
        let write = |path: &str| match path.split_once('.') {
            Some((table, key)) if array(path) => format!("[[{table}]]\n{key} = 1979-05-27\n"),
            _ => format!("{path} = 1979-05-27\n"),
        };
        let errors = World::recipe(&write(path)).errors();
        assert!(!errors.contains("unknown"), "{path}: {errors}");
        assert!(errors.contains("not a date or time"), "{path}: {errors}");
        let errors = World::recipe(&write(&format!("{path}-zz"))).errors();
        assert!(errors.contains("unknown"), "{path}-zz: {errors}");
    }
}

#[test]
fn defaults_of_the_schema_are_accepted() {
    let schema = schema(&Library::built_in().unwrap()).unwrap();
    let mut found = Vec::new();
    keys(&schema, "", &mut found);
    for (path, property) in
        found.iter().filter(|(path, _)| !path.starts_with("user") && !path.starts_with("file"))
    {
        if let Some(default) = property.get("default") {
            let errors = World::recipe(&format!("{path} = {default}\n")).errors();
            assert!(!errors.contains(&format!("`{path}`")), "{path} = {default}: {errors}");
        }
    }
}
