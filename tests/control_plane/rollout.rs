//! Workloads that read a Secret are rolled once for each new certificate.

use std::fmt::Debug;

use jiff::SignedDuration;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{
    ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet,
};
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::harness::{Operator, Scene, eventually};

#[tokio::test]
async fn every_way_of_reading_a_secret_is_rolled_once_for_each_certificate() {
    let scene = Scene::new("ways").await;
    // Issued long before the Pods start.
    scene.clock.advance(SignedDuration::from_hours(-1));
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let deployments: Api<Deployment> = scene.api();
    let (sets, daemons): (Api<StatefulSet>, Api<DaemonSet>) = (scene.api(), scene.api());
    let ways = ["volume", "projected", "env", "env-from", "init"];
    for way in ways {
        deploy(&scene, "Deployment", way, pod(way, "web-tls"), json!({})).await;
    }
    deploy(
        &scene,
        "StatefulSet",
        "set",
        pod("volume", "web-tls"),
        json!({}),
    )
    .await;
    deploy(
        &scene,
        "DaemonSet",
        "daemon",
        pod("volume", "web-tls"),
        json!({}),
    )
    .await;
    let out = json!({ scene.group.key("rollout"): "None" });
    deploy(&scene, "Deployment", "out", pod("volume", "web-tls"), out).await;
    deploy(
        &scene,
        "Deployment",
        "unrelated",
        pod("volume", "root-copy"),
        json!({}),
    )
    .await;
    // None is rolled at installation: that they run with it already is only noted.
    let first = web.status.as_ref().unwrap().fingerprint.clone().unwrap();
    for way in ways {
        noted(&scene, &deployments, way, "web-tls", &first, 1).await;
    }
    noted(&scene, &sets, "set", "web-tls", &first, 1).await;
    noted(&scene, &daemons, "daemon", "web-tls", &first, 1).await;

    scene.clock.advance(SignedDuration::from_hours(1));
    scene.renew("web", "one").await;
    let renewed = scene.renewed(&web).await;
    let second = renewed
        .status
        .as_ref()
        .unwrap()
        .fingerprint
        .clone()
        .unwrap();
    for way in ways {
        rolled(&scene, &deployments, way, "web-tls", &second, 2).await;
    }
    rolled(&scene, &sets, "set", "web-tls", &second, 2).await;
    rolled(&scene, &daemons, "daemon", "web-tls", &second, 2).await;
    scene
        .sees("web", "all dependents are up to date", |web| {
            let rollout = web
                .status
                .as_ref()
                .and_then(|status| status.rollout.as_ref());
            rollout.is_some_and(|rollout| {
                let rollout = serde_json::to_value(rollout).unwrap();
                rollout["dependents"] == 8 && rollout["upToDate"] == 7
            })
        })
        .await;

    // A repaired label rolls nothing: the next certificate is the next roll, although the operator is killed before it.
    let label = scene.group.key("managed");
    scene
        .meddle(
            "web-tls",
            json!({ "metadata": { "labels": { &label: null } } }),
        )
        .await;
    scene
        .holds("web-tls", "repaired", |held| held.label(&label).is_some())
        .await;
    scene.clock.advance(SignedDuration::from_mins(6));
    scene.renew("web", "two").await;
    let third = scene
        .renewed(&renewed)
        .await
        .status
        .unwrap()
        .fingerprint
        .unwrap();
    operator.kill().await;
    let operator = Operator::start(&scene).await;
    for way in ways {
        rolled(&scene, &deployments, way, "web-tls", &third, 3).await;
    }
    rolled(&scene, &sets, "set", "web-tls", &third, 3).await;
    rolled(&scene, &daemons, "daemon", "web-tls", &third, 3).await;
    for name in ["out", "unrelated"] {
        let left = deployments.get(name).await.unwrap();
        assert_eq!(count_revisions(&scene, name).await, 1, "{name}");
        assert!(template_marks(&scene, &left).is_empty(), "{name}");
    }
    operator.stop().await;
}

#[tokio::test]
async fn two_secrets_renewed_together_cost_one_roll_and_strategies_are_kept_to() {
    let scene = Scene::new("together").await;
    scene.clock.advance(SignedDuration::from_hours(-1));
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    scene
        .certificate("api", json!({ "dnsNames": ["api.example.com"] }))
        .await;
    let api = scene.ready("api").await;
    let quiet = json!({ "dnsNames": ["q.example.com"], "rollout": { "strategy": "None" } });
    scene.certificate("quiet", quiet).await;
    let quiet = scene.ready("quiet").await;

    let both = json!({
        "containers": [{ "name": "main", "image": "example", "envFrom": [{ "secretRef": { "name": "api-tls" } }] }],
        "volumes": [{ "name": "tls", "secret": { "secretName": "web-tls" } }],
    });
    deploy(&scene, "Deployment", "both", both, json!({})).await;
    deploy(
        &scene,
        "Deployment",
        "quiet",
        pod("volume", "quiet-tls"),
        json!({}),
    )
    .await;
    let loud = json!({ scene.group.key("rollout"): "Restart" });
    deploy(
        &scene,
        "Deployment",
        "loud",
        pod("volume", "quiet-tls"),
        loud,
    )
    .await;
    let deployments: Api<Deployment> = scene.api();
    let fingerprint = |certificate: &certwright_core::api::Certificate| {
        certificate
            .status
            .as_ref()
            .unwrap()
            .fingerprint
            .clone()
            .unwrap()
    };
    noted(
        &scene,
        &deployments,
        "both",
        "web-tls",
        &fingerprint(&web),
        1,
    )
    .await;
    noted(
        &scene,
        &deployments,
        "both",
        "api-tls",
        &fingerprint(&api),
        1,
    )
    .await;
    noted(
        &scene,
        &deployments,
        "loud",
        "quiet-tls",
        &fingerprint(&quiet),
        1,
    )
    .await;

    scene.clock.advance(SignedDuration::from_hours(1));
    for name in ["web", "api", "quiet"] {
        scene.renew(name, "one").await;
    }
    let (web, api) = (scene.renewed(&web).await, scene.renewed(&api).await);
    let quiet = scene.renewed(&quiet).await;
    rolled(
        &scene,
        &deployments,
        "both",
        "web-tls",
        &fingerprint(&web),
        2,
    )
    .await;
    rolled(
        &scene,
        &deployments,
        "both",
        "api-tls",
        &fingerprint(&api),
        2,
    )
    .await;
    rolled(
        &scene,
        &deployments,
        "loud",
        "quiet-tls",
        &fingerprint(&quiet),
        2,
    )
    .await;
    let left = deployments.get("quiet").await.unwrap();
    assert_eq!(count_revisions(&scene, "quiet").await, 1);
    assert!(template_marks(&scene, &left).is_empty());
    operator.stop().await;
}

/// The spec of a Pod that reads a Secret this way.
fn pod(way: &str, secret: &str) -> Value {
    let (mut container, mut volumes) = (json!({ "name": "main", "image": "example" }), json!([]));
    let mut init = json!([]);
    let from_key = json!({ "secretKeyRef": { "name": secret, "key": "tls.crt" } });
    match way {
        "volume" => volumes = json!([{ "name": "tls", "secret": { "secretName": secret } }]),
        "projected" => {
            let sources = json!([{ "secret": { "name": secret } }]);
            volumes = json!([{ "name": "tls", "projected": { "sources": sources } }]);
        }
        "env" => container["env"] = json!([{ "name": "TLS", "valueFrom": from_key }]),
        "env-from" => container["envFrom"] = json!([{ "secretRef": { "name": secret } }]),
        "init" => {
            let env = json!([{ "name": "TLS", "valueFrom": from_key }]);
            init = json!([{ "name": "first", "image": "example", "env": env }]);
        }
        other => panic!("{other}"),
    }
    json!({ "containers": [container], "initContainers": init, "volumes": volumes })
}

/// Applies a workload.
async fn deploy(scene: &Scene<'_>, kind: &str, name: &str, pod: Value, annotations: Value) {
    let labels = json!({ "app": name });
    let mut spec = json!({
        "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": pod },
    });
    match kind {
        "Deployment" => spec["replicas"] = json!(2),
        "StatefulSet" => spec["serviceName"] = name.into(),
        _ => {}
    }
    scene
        .apply(&json!({
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": { "name": name, "annotations": annotations },
            "spec": spec,
        }))
        .await;
}

trait Workload:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
{
}

impl Workload for Deployment {}
impl Workload for StatefulSet {}
impl Workload for DaemonSet {}

/// Waits until it is noted on the workload itself that it runs with this certificate, and it was not rolled for it.
async fn noted<K: Workload>(
    scene: &Scene<'_>,
    api: &Api<K>,
    name: &str,
    secret: &str,
    fingerprint: &str,
    revisions: usize,
) {
    let key = scene.group.key(&format!("secret-{secret}"));
    let workload = scene
        .wait(api, name, "noted", |workload| {
            workload
                .annotations()
                .get(&key)
                .is_some_and(|mark| mark == fingerprint)
        })
        .await;
    assert_eq!(count_revisions(scene, name).await, revisions, "{name}");
    assert!(template_marks(scene, &workload).is_empty(), "{name}");
}

/// Waits until the Pods were replaced for this certificate, the template having been changed once for it.
async fn rolled<K: Workload>(
    scene: &Scene<'_>,
    api: &Api<K>,
    name: &str,
    secret: &str,
    fingerprint: &str,
    revisions: usize,
) {
    let key = scene.group.key(&format!("secret-{secret}"));
    let what = format!("rolled for {fingerprint}");
    scene
        .wait(api, name, &what, |workload| {
            template_marks(scene, workload).contains(&(key.clone(), fingerprint.to_owned()))
        })
        .await;
    eventually(&format!("{name} is at rest"), async || {
        let workload = api.get(name).await.map_err(|problem| problem.to_string())?;
        let status = serde_json::to_value(&workload).unwrap()["status"].clone();
        let count = |field: &str| status[field].as_i64().unwrap_or_default();
        let (updated, all) = if status["desiredNumberScheduled"].is_null() {
            (count("updatedReplicas"), count("replicas"))
        } else {
            (
                count("updatedNumberScheduled"),
                count("desiredNumberScheduled"),
            )
        };
        if Some(count("observedGeneration")) == workload.meta().generation
            && updated == all
            && all > 0
        {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
    assert_eq!(count_revisions(scene, name).await, revisions, "{name}");
}

/// The group's marks on a workload's Pod template.
fn template_marks<K: Serialize>(scene: &Scene<'_>, workload: &K) -> Vec<(String, String)> {
    let workload = serde_json::to_value(workload).unwrap();
    let annotations = workload["spec"]["template"]["metadata"]["annotations"]
        .as_object()
        .cloned();
    annotations
        .unwrap_or_default()
        .into_iter()
        .filter(|(key, _)| key.starts_with(&scene.group.prefix()))
        .map(|(key, value)| (key, value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// How many different Pod templates a workload has had: its generation counts more than those.
async fn count_revisions(scene: &Scene<'_>, name: &str) -> usize {
    let of = ListParams::default().labels(&format!("app={name}"));
    let sets = scene.api::<ReplicaSet>().list(&of).await.unwrap();
    let revisions = scene.api::<ControllerRevision>().list(&of).await.unwrap();
    sets.items.len() + revisions.items.len()
}
