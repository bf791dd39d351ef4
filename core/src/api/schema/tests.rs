use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::*;

fn values(group: &Group) -> Vec<Value> {
    crds(group)
        .into_iter()
        .map(|crd| serde_json::to_value(crd).unwrap())
        .collect()
}

fn root(crd: &Value) -> &Value {
    &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// Calls `visit` with the path of each field, list item and map value, and its schema.
fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), field, visit);
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inside) = schema.get(key) {
            walk(&format!("{path}{mark}"), inside, visit);
        }
    }
}

/// `spec` and `status` of all kinds; the rest of an object the API server bounds by itself.
fn every_field(mut visit: impl FnMut(&str, &Value)) {
    for crd in values(&Group::default()) {
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap().to_owned();
        for part in ["spec", "status"] {
            walk(
                &format!("{kind}.{part}"),
                &root(&crd)["properties"][part],
                &mut visit,
            );
        }
    }
}

#[test]
fn committed_files_are_what_the_types_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
    let written = yaml(&Group::default());
    for (name, text) in &written {
        let committed = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(
            committed == *text,
            "crds/{name} is stale: cargo run -p certwright -- crds --output crds"
        );
    }
    let expected: BTreeSet<_> = written.into_iter().map(|(name, _)| name).collect();
    let present: BTreeSet<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(present, expected);
}

#[test]
fn every_list_map_and_text_is_bounded() {
    let mut seen = 0;
    every_field(|path, schema| {
        seen += 1;
        match schema["type"].as_str() {
            Some("array") => assert!(schema["maxItems"].is_u64(), "{path}: {schema}"),
            Some("object") if schema.get("additionalProperties").is_some() => {
                assert!(schema["maxProperties"].is_u64(), "{path}: {schema}");
            }
            Some("string") => {
                let closed = schema["enum"].is_array() || schema["format"] == "date-time";
                assert!(closed || schema["maxLength"].is_u64(), "{path}: {schema}");
            }
            Some("object" | "integer" | "boolean") => {}
            None if schema["x-kubernetes-int-or-string"] == true => {
                assert!(schema["maxLength"].is_u64(), "{path}: {schema}");
            }
            other => panic!("{path}: type {other:?}"),
        }
    });
    assert!(seen > 100, "{seen}");
}

#[test]
fn schemas_hold_only_what_the_api_server_knows() {
    every_field(|path, schema| {
        for keyword in schema.as_object().unwrap().keys() {
            let known = [
                "type",
                "description",
                "properties",
                "required",
                "items",
                "additionalProperties",
                "enum",
                "format",
                "default",
                "minLength",
                "maxLength",
                "maxItems",
                "maxProperties",
                "minimum",
                "maximum",
                "x-kubernetes-validations",
                "x-kubernetes-list-type",
                "x-kubernetes-list-map-keys",
                "x-kubernetes-int-or-string",
                "x-kubernetes-preserve-unknown-fields",
            ];
            assert!(known.contains(&keyword.as_str()), "{path}: {keyword}");
        }
        let format = schema.get("format").map(|format| format.as_str().unwrap());
        assert!(
            matches!(format, None | Some("int32" | "int64" | "date-time")),
            "{path}: {format:?}"
        );
        let nulls = schema["enum"]
            .as_array()
            .is_some_and(|values| values.contains(&Value::Null));
        assert!(!nulls, "{path}");
    });
}

#[test]
fn lists_are_replaced_whole_but_conditions_merge_by_type() {
    every_field(|path, schema| {
        if schema["type"] == "array" {
            let (kind, keys) = match path.ends_with(".status.conditions") {
                true => ("map", json!(["type"])),
                false => ("atomic", Value::Null),
            };
            assert_eq!(
                (
                    &schema["x-kubernetes-list-type"],
                    &schema["x-kubernetes-list-map-keys"]
                ),
                (&json!(kind), &keys),
                "{path}"
            );
        }
    });
}

#[test]
fn every_field_is_explained_in_one_line_a_paragraph() {
    every_field(|path, schema| {
        // Items and values are explained with their list or map.
        if path.ends_with("[]") || path.ends_with("{}") {
            return;
        }
        let text = schema["description"].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{path}");
        assert!(!text.replace("\n\n", "").contains('\n'), "{path}: {text}");
    });
}

#[test]
fn files_are_small_and_hold_no_floats() {
    let files = yaml(&Group::default());
    let size: usize = files.iter().map(|(_, text)| text.len()).sum();
    assert!(size < 180_000, "{size}");
    for (name, text) in files {
        assert!(
            text.starts_with("# Generated by `certwright crds`"),
            "{name}"
        );
        let float = text
            .lines()
            .find(|line| line.trim_start().starts_with(['m', 'd']) && line.ends_with(".0"));
        assert_eq!(float, None, "{name}");
    }
}

#[test]
fn nothing_but_the_group_is_written_in_another_group() {
    let (ours, theirs) = (
        Group::default(),
        Group::new("certs.example.org", "examplecerts"),
    );
    for ((_, our_text), (_, their_text)) in yaml(&ours).into_iter().zip(yaml(&theirs)) {
        assert!(!their_text.contains("certwright.dev"));
        let renamed = our_text
            .replace("certwright.dev", "certs.example.org")
            .replace("- certwright\n", "- examplecerts\n");
        assert_eq!(their_text, renamed);
    }
}

#[test]
fn rules_are_named_by_one_message_each() {
    let group = Group::default();
    for rules in [
        certificate_rules(&group),
        issuer_rules(),
        cluster_issuer_rules(),
        served_check_rules(),
    ] {
        let distinct: BTreeSet<_> = rules
            .iter()
            .map(|rule| (rule.at, rule.field, &rule.message))
            .collect();
        assert_eq!(distinct.len(), rules.len());
    }
}

#[test]
fn whatever_a_status_can_say_fits_the_types() {
    for crd in values(&Group::default()) {
        let default = root(&crd)["properties"]["status"]["default"].clone();
        let status: IssuerStatus = serde_json::from_value(default).unwrap();
        assert_eq!(status.observed_generation, Some(-1));
        assert_eq!(status.conditions[0].reason, "Pending");
    }
}

#[test]
fn the_documentation_lists_each_rule_with_its_words() {
    let page = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/validation.md"),
    )
    .unwrap();
    let rules = certificate_rules(&Group::default())
        .into_iter()
        .chain(issuer_rules())
        .chain(cluster_issuer_rules())
        .chain(served_check_rules());
    let missing: Vec<_> = rules
        .map(|rule| {
            let dot = if rule.at.is_empty() { "" } else { "." };
            format!(
                "| `spec{dot}{}{}` | {} |",
                rule.at,
                rule.field.unwrap_or_default(),
                rule.message
            )
        })
        .filter(|row| !page.contains(row))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
