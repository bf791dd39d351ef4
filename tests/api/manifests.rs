//! Manifests as users of cert-manager have them: the served ones apply with only `apiVersion` and `issuerRef.group`
//! changed, the refused ones say what to do instead.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use certwright_core::api::{Group, schema};
use serde_json::Value;

use crate::cluster::{control_plane, kubectl, text};

/// Files of a folder of `tests/manifests`, by name.
fn manifests(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/manifests")
        .join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// All that a user changes to move a manifest over.
fn moved(manifest: &str) -> String {
    manifest
        .replace(
            "apiVersion: cert-manager.io/v1\n",
            "apiVersion: certwright.dev/v1alpha1\n",
        )
        .replace("group: cert-manager.io\n", "group: certwright.dev\n")
}

#[tokio::test]
async fn served_manifests_apply_once_moved() {
    let control_plane = control_plane().await;
    let namespace = &control_plane.namespace("served").await.unwrap();
    let manifests = manifests("served");
    assert!(manifests.len() >= 20, "{}", manifests.len());
    for (path, manifest) in manifests {
        assert!(
            manifest.contains("apiVersion: cert-manager.io/v1\n"),
            "{}",
            path.display()
        );
        let output = kubectl(
            control_plane,
            &["apply", "-n", namespace, "-f", "-"],
            &moved(&manifest),
        )
        .await;
        assert!(
            output.status.success(),
            "{}: {}",
            path.display(),
            text(&output.stderr)
        );
    }
}

#[tokio::test]
async fn refused_manifests_say_what_to_do_instead() {
    let control_plane = control_plane().await;
    let namespace = &control_plane.namespace("refused").await.unwrap();
    let manifests = manifests("refused");
    assert!(!manifests.is_empty());
    for (path, manifest) in manifests {
        let says = manifest
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# refused: "));
        let says = says.unwrap_or_else(|| {
            panic!(
                "{}: the first line says `# refused: <message>`",
                path.display()
            )
        });
        let output = kubectl(
            control_plane,
            &["apply", "-n", namespace, "-f", "-"],
            &moved(&manifest),
        )
        .await;
        let words = text(&output.stderr);
        assert!(
            !output.status.success() && words.contains(says),
            "{}: {words}",
            path.display()
        );
    }
}

/// Fields and kinds that cert-manager doesn't have.
const OUR_OWN: &[&str] = &[
    "Certificate.secretDeletionPolicy",
    "Certificate.rollout",
    "Certificate.fallbackIssuerRefs",
    "Certificate.fallbackAfter",
    "Issuer.allowedNamespaces",
    "Issuer.acme.solvers.http01.placement",
    "ServedCheck",
];
const UNSERVED: &[&str] = &[
    "Certificate.keystores",
    "Issuer.acme.solvers.dns01",
    "Issuer.vault",
    "Issuer.venafi",
];

#[test]
fn every_field_is_served_or_refused_by_a_manifest() {
    let served = used_fields("served");
    let refused = used_fields("refused");
    let expected = schema_fields();
    let is_one_of = |field: &String, fields: &[&str]| {
        fields
            .iter()
            .any(|known| field == known || field.starts_with(&format!("{known}.")))
    };
    let missing: Vec<_> = expected
        .iter()
        .filter(|field| {
            if is_one_of(field, UNSERVED) {
                !refused.contains(*field)
            } else {
                !is_one_of(field, OUR_OWN) && !served.contains(*field)
            }
        })
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let unknown: Vec<_> = served.difference(&expected).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// Paths of all fields of the specs that the schema names. Those of a ClusterIssuer are those of an Issuer.
fn schema_fields() -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for crd in schema::crds(&Group::default()) {
        let crd = serde_json::to_value(crd).unwrap();
        let kind = crd["spec"]["names"]["kind"]
            .as_str()
            .unwrap()
            .replace("Cluster", "");
        collect_schema(
            &kind,
            &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"],
            &mut fields,
        );
    }
    fields
}

fn collect_schema(path: &str, schema: &Value, fields: &mut BTreeSet<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let field = if field["type"] == "array" {
            &field["items"]
        } else {
            field
        };
        collect_schema(&path, field, fields);
        fields.insert(path);
    }
}

fn used_fields(folder: &str) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for (_, manifest) in manifests(folder) {
        for document in serde_yaml::Deserializer::from_str(&manifest) {
            let object: Value = serde::Deserialize::deserialize(document).unwrap();
            let kind = object["kind"].as_str().unwrap().replace("Cluster", "");
            collect_used(&kind, &object["spec"], &mut fields);
        }
    }
    fields
}

fn collect_used(path: &str, value: &Value, fields: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values
            .iter()
            .for_each(|value| collect_used(path, value, fields)),
        Value::Object(values) => {
            for (name, value) in values {
                let path = format!("{path}.{name}");
                // What is in these is the user's own, or not in the schema.
                if ![
                    "Certificate.secretTemplate.labels",
                    "Certificate.secretTemplate.annotations",
                    "Issuer.acme.solvers.selector.matchLabels",
                    "Issuer.acme.solvers.http01.ingress.podTemplate",
                    "Issuer.acme.solvers.http01.ingress.ingressTemplate.metadata.annotations",
                    "Issuer.acme.solvers.http01.ingress.ingressTemplate.metadata.labels",
                    "Issuer.acme.solvers.http01.gatewayHTTPRoute.labels",
                    "Issuer.acme.solvers.http01.gatewayHTTPRoute.podTemplate",
                ]
                .contains(&path.as_str())
                    && !UNSERVED.contains(&path.as_str())
                {
                    collect_used(&path, value, fields);
                }
                fields.insert(path);
            }
        }
        _ => {}
    }
}
