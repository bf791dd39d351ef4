//! What an object says before the operator has looked, and how the operator's words take its place.

use certwright_core::api::Group;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::cluster::control_plane;

fn pending() -> Value {
    json!({
        "observedGeneration": -1,
        "conditions": [{
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "Waiting for the operator",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }],
    })
}

async fn create(kind: &str, spec: Value) -> (Api<DynamicObject>, DynamicObject) {
    let control_plane = control_plane().await;
    let group = Group::default();
    let resource =
        ApiResource::from_gvk(&GroupVersionKind::gvk(group.name(), Group::VERSION, kind));
    let namespace = control_plane.namespace("status").await.unwrap();
    let api = Api::namespaced_with(control_plane.client().unwrap(), &namespace, &resource);
    let object = json!({ "apiVersion": group.api_version(), "kind": kind, "metadata": { "name": "fresh" }, "spec": spec });
    let object = api
        .create(
            &PostParams::default(),
            &serde_json::from_value(object).unwrap(),
        )
        .await
        .unwrap();
    (api, object)
}

fn certificate() -> Value {
    json!({ "secretName": "tls", "issuerRef": { "name": "ca" }, "dnsNames": ["example.com"] })
}

async fn apply(
    api: &Api<DynamicObject>,
    object: &DynamicObject,
    manager: &str,
    status: Value,
) -> Value {
    let patch = json!({ "apiVersion": object.types.as_ref().unwrap().api_version, "kind": object.types.as_ref().unwrap().kind, "status": status });
    let answer = api
        .patch_status(
            "fresh",
            &PatchParams::apply(manager).force(),
            &Patch::Apply(&patch),
        )
        .await
        .unwrap();
    answer.data["status"].clone()
}

#[tokio::test]
async fn a_fresh_object_says_that_nobody_has_looked() {
    for (kind, spec) in [
        ("Certificate", certificate()),
        ("Issuer", json!({ "selfSigned": {} })),
    ] {
        let (api, created) = create(kind, spec).await;
        assert_eq!(created.data["status"], pending(), "{kind}");
        assert_eq!(
            api.get("fresh").await.unwrap().data["status"],
            pending(),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn what_the_operator_applies_takes_the_place_of_the_default() {
    let status = json!({
        "observedGeneration": 1,
        "notAfter": "2027-02-21T18:49:00Z",
        "conditions": [
            { "type": "Issuing", "status": "False", "reason": "Issued", "message": "", "lastTransitionTime": "2026-11-23T19:00:00Z", "observedGeneration": 1 },
            { "type": "Ready", "status": "True", "reason": "Issued", "message": "fine", "lastTransitionTime": "2026-11-23T19:00:00Z", "observedGeneration": 1 },
        ],
    });
    let rollout = json!({ "rollout": { "dependents": 2, "upToDate": 1, "workloads": [{ "kind": "Deployment", "name": "web", "state": "Waiting", "reason": "Unhealthy", "since": "2026-11-02T12:00:00Z" }] } });

    // The operator first.
    let (api, object) = create("Certificate", certificate()).await;
    let held = sorted(apply(&api, &object, "certwright", status.clone()).await);
    assert_eq!(held, sorted(status.clone()));

    // The rollout first: it leaves the default alone, and the operator's words still replace it whole.
    let (api, object) = create("Certificate", certificate()).await;
    let mut expected = pending();
    expected["rollout"] = rollout["rollout"].clone();
    assert_eq!(
        apply(&api, &object, "certwright-rollout", rollout.clone()).await,
        expected
    );
    let mut expected = status.clone();
    expected["rollout"] = rollout["rollout"].clone();
    assert_eq!(
        sorted(apply(&api, &object, "certwright", status.clone()).await),
        sorted(expected)
    );

    // A condition that the operator no longer says goes; that of the other manager stays.
    let own = json!({ "rollout": rollout["rollout"], "conditions": [
        { "type": "RolledOut", "status": "False", "reason": "Waiting", "message": "", "lastTransitionTime": "2026-11-23T19:00:00Z" },
    ] });
    apply(&api, &object, "certwright-rollout", own).await;
    let mut fewer = status;
    fewer["conditions"].as_array_mut().unwrap().remove(0);
    let held = apply(&api, &object, "certwright", fewer).await;
    let mut types: Vec<_> = held["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|condition| condition["type"].as_str().unwrap())
        .collect();
    types.sort_unstable();
    assert_eq!(types, ["Ready", "RolledOut"]);
}

/// With conditions in the order of their types: the order of a merged list means nothing.
fn sorted(mut status: Value) -> Value {
    status["conditions"]
        .as_array_mut()
        .unwrap()
        .sort_by_key(|condition| condition["type"].to_string());
    status
}
