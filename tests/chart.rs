//! What can be said of the chart without Helm.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is tests, also what is outside their functions"
)]

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
    for file in ["rbac.yaml", "userroles.yaml"] {
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

#[test]
fn each_value_has_its_place_in_the_schema() {
    let schema: Value =
        serde_yaml::from_str(&read("charts/certwright/values.schema.json")).unwrap();
    let values = yaml("charts/certwright/values.yaml");
    let known = schema["properties"].as_mapping().unwrap();
    for (name, _) in values.as_mapping().unwrap() {
        assert!(known.contains_key(name), "{name:?}");
    }
    assert_eq!(
        known.len(),
        values.as_mapping().unwrap().len() + 1,
        "only `global` has no default"
    );
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
    assert_eq!(kinds, ["certificates", "clusterissuers", "issuers"]);
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
