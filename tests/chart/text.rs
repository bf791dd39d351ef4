//! What can be said of the chart without Helm.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_yaml::Value;

#[test]
fn the_chart_has_the_version_of_the_operator() {
    let chart = yaml("charts/certwright/Chart.yaml");
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn each_rule_says_what_it_is_for() {
    for file in ["_rules.tpl", "rbac.yaml", "userroles.yaml"] {
        let text = read(&format!("charts/certwright/templates/{file}"));
        let lines: Vec<&str> = text.lines().collect();
        let rules: Vec<usize> = (0..lines.len())
            .filter(|&line| lines[line].starts_with("  - apiGroups:"))
            .collect();
        assert!(!rules.is_empty(), "{file}");
        for rule in rules {
            assert!(
                lines[rule - 1].starts_with("  # "),
                "{file}:{}: {}",
                rule + 1,
                lines[rule]
            );
        }
    }
}

/// No value without a type, no object that takes any name, no text or list without bounds.
#[test]
fn the_schema_says_all_there_is_to_say_of_each_value() {
    let schema: Value =
        serde_yaml::from_str(&read("charts/certwright/values.schema.json")).unwrap();
    let mut told = BTreeSet::new();
    judge(&schema, &schema, "", &mut told);
    let mut given = BTreeSet::new();
    leaves(&yaml("charts/certwright/values.yaml"), "", &mut given);
    for value in &given {
        // Values with names of the user's choice have their type from the object around them.
        let mut around = value.match_indices('/').map(|(end, _)| &value[..end]);
        assert!(
            told.contains(value) || around.any(|around| told.contains(&format!("{around}/*"))),
            "{value}"
        );
    }
    assert!(given.len() > 40, "{given:?}");
}

/// Follows a schema down, and notes for what there is a type.
fn judge(root: &Value, schema: &Value, path: &str, told: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix("#/definitions/").unwrap();
        return judge(root, &root["definitions"][name], path, told);
    }
    let has = |key: &str| !schema[key].is_null();
    told.insert(path.to_owned());
    // What Kubernetes itself judges is not repeated here.
    let foreign = [
        "affinity/",
        "/podSelector",
        "/namespaceSelector",
        "/ipBlock",
        "/valueFrom",
        "/topologySpreadConstraints/",
    ];
    if path == "/global" || foreign.iter().any(|part| path.contains(part)) {
        return;
    }
    match schema["type"].as_str() {
        Some("object") => {
            assert!(has("additionalProperties"), "{path} takes any name");
            if schema["additionalProperties"].is_mapping() {
                assert!(has("maxProperties"), "{path} has no bound");
                judge(
                    root,
                    &schema["additionalProperties"],
                    &format!("{path}/*"),
                    told,
                );
            }
            for (name, property) in schema["properties"].as_mapping().into_iter().flatten() {
                let name = name.as_str().unwrap();
                judge(root, property, &format!("{path}/{name}"), told);
            }
        }
        Some("array") => {
            assert!(has("maxItems"), "{path} has no bound");
            judge(root, &schema["items"], &format!("{path}/"), told);
        }
        Some("string") => assert!(has("maxLength") || has("pattern"), "{path} has no bound"),
        Some("integer") => assert!(
            has("minimum") && has("maximum") || path.ends_with("tolerationSeconds"),
            "{path} has no bounds"
        ),
        Some("boolean") => {}
        _ => assert!(
            has("enum") || schema["type"].is_sequence(),
            "{path} has no type"
        ),
    }
}

fn leaves(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value.as_mapping().filter(|mapping| !mapping.is_empty()) {
        Some(mapping) => {
            for (name, value) in mapping {
                leaves(value, &format!("{path}/{}", name.as_str().unwrap()), found);
            }
        }
        None => {
            found.insert(path.to_owned());
        }
    }
}

/// Helm reads each definition and writes it again; nothing may get lost on that way, large numbers least of all.
#[test]
fn the_rendered_definitions_say_what_the_generated_ones_say() {
    let rendered = read("deploy/install.yaml");
    let mut kinds = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&rendered) {
        let document = Value::deserialize(document).unwrap();
        if document["kind"] != "CustomResourceDefinition" {
            continue;
        }
        let plural = document["spec"]["names"]["plural"].as_str().unwrap();
        let generated = format!("crds/{plural}.yaml");
        // Whole definitions side by side would bury the one line that matters.
        assert!(
            document["spec"] == yaml(&generated)["spec"],
            "{plural} differs: run deploy/generate"
        );
        assert_eq!(
            document["metadata"]["name"],
            yaml(&generated)["metadata"]["name"]
        );
        assert_eq!(
            read(&format!("charts/certwright/files/{generated}")),
            read(&generated),
            "run deploy/generate"
        );
        kinds.push(plural.to_owned());
    }
    kinds.sort();
    assert_eq!(
        kinds,
        ["certificates", "clusterissuers", "issuers", "servedchecks"]
    );
}

/// What users have in their clusters is kept, to be upgraded from.
#[test]
fn the_definitions_of_each_release_are_kept() {
    for plural in ["certificates", "issuers", "clusterissuers"] {
        let kept = yaml(&format!("tests/releases/v0.1.0/crds/{plural}.yaml"));
        assert_eq!(kept["spec"]["names"]["plural"], plural);
    }
}

/// The file is for kubectl: no Helm has to be asked before it goes.
#[test]
fn nothing_in_the_rendered_file_waits_for_helm() {
    assert!(!read("deploy/install.yaml").contains("helm.sh/"));
}

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&read(path)).unwrap()
}

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
