//! From Rust types to the structural schemas that the API server takes.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// The structural schema of `T`, with the doc comments as descriptions.
///
/// Fields that may be absent are not nullable: the API server would keep a written `null`, and server-side apply would
/// own it.
pub(super) fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    simplify(&mut schema);
    write_whole_numbers_as_integers(&mut schema);
    schema
}

/// The object at `path`: names of fields separated by dots, `[]` after a name for the items of a list, `{}` for the
/// values of a map; the empty path is `schema` itself.
pub(super) fn at<'a>(schema: &'a mut Value, path: &str) -> &'a mut Map<String, Value> {
    let mut here = schema;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (name, inside) = match (part.strip_suffix("[]"), part.strip_suffix("{}")) {
            (Some(name), _) => (name, Some("items")),
            (None, Some(name)) => (name, Some("additionalProperties")),
            (None, None) => (part, None),
        };
        here = &mut here["properties"][name];
        if let Some(inside) = inside {
            here = &mut here[inside];
        }
    }
    here.as_object_mut()
        .expect("each path in the tables names a field of the types, which the tests walk")
}

/// Writes `1.0` as `1`, recursively.
pub(super) fn write_whole_numbers_as_integers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            // Bounds are far below 2^53, where every whole float is exact.
            #[allow(clippy::cast_possible_truncation)]
            if let Some(whole) = number
                .as_f64()
                .filter(|float| number.is_f64() && float.fract() == 0.0)
            {
                *value = json!(whole as i64);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(write_whole_numbers_as_integers),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(write_whole_numbers_as_integers),
        _ => {}
    }
}

fn simplify(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    for unwanted in ["nullable", "default", "title", "$schema", "components"] {
        fields.remove(unwanted);
    }
    if fields
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|format| format.starts_with("uint"))
    {
        fields.remove("format");
    }
    merge_choice(fields);
    if let Some(Value::Array(names)) = fields.get_mut("enum") {
        names.retain(|name| !name.is_null());
    }
    if let Some(Value::String(description)) = fields.get_mut("description") {
        *description = unwrap_lines(description);
    }
    if fields.get("type") == Some(&json!("array")) {
        fields.insert("x-kubernetes-list-type".into(), json!("atomic"));
    }
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(simplify);
    }
    for inside in ["items", "additionalProperties"] {
        if let Some(inside) = fields.get_mut(inside) {
            simplify(inside);
        }
    }
}

/// Enums with documented variants, and optional enums, come as a choice of schemas; the API server wants one `enum`.
fn merge_choice(fields: &mut Map<String, Value>) {
    for choice in ["anyOf", "oneOf"] {
        let Some(Value::Array(branches)) = fields.remove(choice) else {
            continue;
        };
        let mut names = Vec::new();
        for mut branch in branches {
            let Some(branch) = branch.as_object_mut() else {
                continue;
            };
            merge_choice(branch);
            if let Some(Value::Array(values)) = branch.remove("enum") {
                names.extend(values.into_iter().filter(|value| !value.is_null()));
            }
            names.extend(branch.remove("const"));
            for (key, value) in std::mem::take(branch) {
                // What is said of one variant is not said of the field.
                if key != "description" {
                    fields.entry(key).or_insert(value);
                }
            }
        }
        fields.remove("nullable");
        if !names.is_empty() {
            fields.insert("enum".into(), Value::Array(names));
        }
    }
}

/// Lines of one paragraph are one line: `kubectl explain` wraps by itself.
fn unwrap_lines(text: &str) -> String {
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .map(|lines| lines.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    paragraphs.join("\n\n")
}
