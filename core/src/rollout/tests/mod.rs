mod choice;
mod foreign;
mod index;
mod ingress;
mod kind;
mod model;
mod pace;
mod plan;
mod refusal;
mod served;
mod status;
mod workload;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::api::Group;

/// The template's mark and the baseline of the Secret `web-tls`.
const WEB: &str = "certwright.dev/secret-web-tls";
const API: &str = "certwright.dev/secret-api-tls";

fn group() -> Group {
    Group::default()
}

fn at(text: &str) -> Timestamp {
    format!("2026-11-02T{text}Z").parse().unwrap()
}

/// A healthy Deployment of two Pods that mounts `web-tls` and takes `api-tls` into its environment.
fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "u-web", "resourceVersion": "41", "generation": 3,
            "labels": { "app": "web" },
            "annotations": { "deployment.kubernetes.io/revision": "3" },
            "managedFields": [{ "manager": "kubectl" }],
        },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" }, "annotations": { "prometheus.io/scrape": "true" } },
                "spec": {
                    "containers": [{
                        "name": "web",
                        "envFrom": [{ "secretRef": { "name": "api-tls" } }],
                    }],
                    "volumes": [{ "name": "tls", "secret": { "secretName": "web-tls" } }],
                },
            },
        },
        "status": {
            "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2,
        },
    })
}

fn read(object: &Value) -> Workload {
    Workload::from_object(WorkloadKind::Deployment, object)
}

fn on_template(object: &mut Value, key: &str, value: &str) {
    object["spec"]["template"]["metadata"]["annotations"][key] = json!(value);
}

fn on_workload(object: &mut Value, key: &str, value: &str) {
    object["metadata"]["annotations"][key] = json!(value);
}

fn web() -> Source {
    Source::secret("web-tls")
}

/// A certificate issued at noon.
fn held(fingerprint: &str) -> Held {
    Held {
        certificate: Some("web".to_owned()),
        fingerprint: fingerprint.to_owned(),
        issued_at: Some(at("12:00:00")),
        first_seen: false,
        not_after: Some("2027-01-31T12:00:00Z".parse().unwrap()),
        replaces_refused: None,
        replaces_revoked: false,
        policy: policy(json!({})),
        issuing: false,
        names: BTreeSet::from(["web.example.com".to_owned()]),
        above: Vec::new(),
    }
}

/// What a Certificate's `rollout` comes to in a namespace that says nothing.
fn policy(rollout: Value) -> Result<Policy, Misconfigured> {
    let rollout = serde_json::from_value(rollout).unwrap();
    Policy::of(
        &group(),
        Some(&rollout),
        &BTreeMap::new(),
        &Defaults::default(),
    )
}

fn marks(marks: &[(&str, &str)]) -> BTreeMap<String, String> {
    marks
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}
