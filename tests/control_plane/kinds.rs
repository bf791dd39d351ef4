//! Workloads of other kinds: the Rollouts of Argo with their own controller, and a kind that nobody carries out.

mod argo;

use certwright_core::api::{Certificate, ConditionStatus, Group};
use certwright_test_cluster::ControlPlane;
use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams,
};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use self::argo::{Argo, a_borrower_is_told_and_not_touched, is_healthy, rollout};
use crate::harness::{CLUSTER, Operator, Scene};
use crate::rollout::{Workload, pod};

#[tokio::test]
async fn a_rollout_of_argo_is_restarted_once_for_each_certificate_once_its_kind_is_there() {
    // Its plural is asked of the API server.
    let scene = scene(
        "argo-rollouts",
        "argoproj.io/v1alpha1/Rollout",
        &json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "plural": "rollouts" }),
    )
    .await;
    scene.clock.advance(SignedDuration::from_hours(-1));
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    let rules = json!([{ "kind": "Rollout.argoproj.io", "wave": 1 }]);
    let spec = json!({ "dnsNames": ["web.example.com"], "rollout": { "rules": rules } });
    scene.certificate("web", spec).await;
    let web = scene.ready("web").await;
    let plain = Workload::new(&scene, "Deployment", "plain");
    plain.apply(pod("volume", "web-tls"), json!({})).await;
    plain.noted(&web).await;
    rolled_out(&scene, 1).await;

    let argo = Argo::install(&scene).await;
    let name = "paced";
    scene.apply(&rollout(name)).await;
    let key = scene.group.key("secret-web-tls");
    let fingerprint = |certificate: &Certificate| {
        let status = certificate.status.as_ref().unwrap();
        status.fingerprint.clone().unwrap()
    };
    let first = fingerprint(&web);
    let before = scene
        .wait(&argo.rollouts, name, "noted", |rollout| {
            rollout.annotations().get(&key) == Some(&first) && is_healthy(rollout)
        })
        .await;
    rolled_out(&scene, 2).await;
    assert_eq!(revisions(&scene, name).await, 1);

    scene.clock.advance(SignedDuration::from_hours(1));
    scene.renew("web", "one").await;
    let renewed = scene.renewed(&web).await;
    let second = fingerprint(&renewed);
    let after = scene
        .wait(&argo.rollouts, name, "rolled", |rollout| {
            on_template(rollout).get(&key) == Some(&json!(second)) && is_healthy(rollout)
        })
        .await;
    assert_eq!(revisions(&scene, name).await, 2, "once");
    plain.rolled(&renewed, 2).await;
    rolled_out(&scene, 2).await;
    assert_eq!(
        without_marks(&scene, &after),
        without_marks(&scene, &before)
    );
    scene.tells(name, &["RolledOut"]).await;

    let about = scene.events(name).await.remove(0).regarding.unwrap();
    assert_eq!(about.api_version.as_deref(), Some("argoproj.io/v1alpha1"));
    assert_eq!(about.kind.as_deref(), Some("Rollout"));
    a_borrower_is_told_and_not_touched(&scene, &argo.rollouts).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_mark_takes_nothing_away_wherever_the_template_is_and_its_token_allows_no_more() {
    let scene = scene(
        "farms",
        "farms.example.org/v1/Farm:farms:.spec.job.template",
        &json!({
            "apiVersion": "farms.example.org/v1", "kind": "Farm", "plural": "farms", "podTemplate": ".spec.job.template",
        }),
    )
    .await;
    scene.clock.advance(SignedDuration::from_hours(-1));
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let plain = Workload::new(&scene, "Deployment", "plain");
    plain.apply(pod("volume", "web-tls"), json!({})).await;
    rolled_out(&scene, 1).await;
    install(&scene, &[farm_definition()]).await;
    let farms = api(&scene, "farms.example.org", "v1", "Farm");
    let mut template =
        json!({ "metadata": { "annotations": { "team": "shop" }, "labels": { "app": "farm" } } });
    template["spec"] = pod("env-from", "web-tls");
    template["odd"] = json!({ "list": [1, { "two": 2 }], "nothing": {} });
    let farm = json!({
        "apiVersion": "farms.example.org/v1",
        "kind": "Farm",
        "metadata": { "name": "farm" },
        "spec": { "job": { "template": template, "acres": [1, 2] }, "replicas": 1, "sort": "wheat" },
    });
    scene.apply(&farm).await;
    let key = scene.group.key("secret-web-tls");
    let noted = |farm: &DynamicObject| farm.annotations().contains_key(&key);
    let before = scene.wait(&farms, "farm", "noted", noted).await;
    scene.clock.advance(SignedDuration::from_hours(1));
    scene.renew("web", "one").await;
    scene.renewed(&web).await;
    let template = |farm: &DynamicObject| farm.data["spec"]["job"]["template"].clone();
    let after = scene
        .wait(&farms, "farm", "marked", |farm| {
            !template(farm)["metadata"]["annotations"][&key].is_null()
        })
        .await;
    let mut unmarked = after.data["spec"].clone();
    let annotations = unmarked["job"]["template"]["metadata"]["annotations"].as_object_mut();
    annotations.unwrap().remove(&key);
    assert_eq!(unmarked, before.data["spec"]);
    rolled_out(&scene, 2).await;
    appliers_leave_marks_alone(&scene, &key, farm).await;
    its_token_only_marks(&scene, &key).await;

    // What goes with its kind is no dependent any more.
    let definitions = Api::<CustomResourceDefinition>::all(scene.client.clone());
    let name = farm_definition().name_any();
    definitions
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    rolled_out(&scene, 1).await;
    operator.stop().await;
}

/// Those who put a workload back to what Git says: by patches they make out themselves, as Argo CD and Helm do, or on the server
/// and by force, as Argo CD does if told so, and Flux. Who replaces takes marks away.
async fn appliers_leave_marks_alone(scene: &Scene<'_>, key: &str, mut farm: Value) {
    let plain = Workload::new(scene, "Deployment", "plain").live().await;
    let spec = &plain.data["spec"];
    let mut deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "plain" },
        "spec": { "selector": spec["selector"], "template": { "metadata": { "labels": spec["template"]["metadata"]["labels"] } } },
    });
    deployment["spec"]["template"]["spec"] = pod("volume", "web-tls");
    let farms = api(scene, "farms.example.org", "v1", "Farm");
    for (turn, way) in [
        &["apply"][..],
        &[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=argocd-controller",
        ],
        &[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=kustomize-controller",
        ],
        &["replace"],
    ]
    .into_iter()
    .enumerate()
    {
        farm["spec"]["sort"] = json!(format!("wheat-{turn}"));
        deployment["spec"]["minReadySeconds"] = json!(turn);
        for object in [&farm, &deployment] {
            let file = scene.cluster.folder().join("from-git.json");
            std::fs::write(&file, object.to_string()).unwrap();
            let mut kubectl = scene.cluster.kubectl().unwrap();
            kubectl
                .args(way)
                .arg(format!("--namespace={}", scene.namespace));
            let output = kubectl.arg("--filename").arg(&file).output().await.unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{way:?}: {said}");
        }
        if way == ["replace"] {
            break;
        }
        let live = farms.get("farm").await.unwrap();
        assert_eq!(live.data["spec"]["sort"], farm["spec"]["sort"], "{way:?}");
        let template = &live.data["spec"]["job"]["template"];
        let plain = Workload::new(scene, "Deployment", "plain").live().await;
        assert_eq!(
            plain.data["spec"]["minReadySeconds"]
                .as_u64()
                .unwrap_or_default(),
            turn as u64
        );
        for (of, template) in [
            ("Farm", template),
            ("Deployment", &plain.data["spec"]["template"]),
        ] {
            assert!(
                template["metadata"]["annotations"][key].is_string(),
                "{of} {way:?}"
            );
        }
        assert!(live.annotations().contains_key(key) && plain.annotations().contains_key(key));
    }
}

async fn its_token_only_marks(scene: &Scene<'_>, key: &str) {
    let client = scene
        .cluster
        .service_account_client(&scene.system, &scene.account)
        .await
        .unwrap();
    let resource = resource("farms.example.org", "v1", "Farm");
    let by_token: Api<DynamicObject> = Api::namespaced_with(client, &scene.namespace, &resource);
    let allowed = json!({ "job": { "template": { "metadata": { "annotations": { key: "x" } } } } });
    let change = async |spec: &Value| {
        let patch = Patch::Merge(json!({ "spec": spec }));
        by_token
            .patch("farm", &PatchParams::default(), &patch)
            .await
    };
    change(&allowed).await.unwrap();
    for (spec, refused) in [
        (json!({ "sort": "rye" }), "spec"),
        (json!({ "job": { "acres": [] } }), "spec"),
        (json!({ "job": { "template": { "odd": null } } }), "spec"),
        (
            json!({ "job": { "template": { "spec": { "hostNetwork": true } } } }),
            "spec",
        ),
        (
            json!({ "job": { "template": { "metadata": { "labels": { "app": "x" } } } } }),
            "spec",
        ),
        (
            json!({ "job": { "template": { "metadata": { "annotations": { "team": "x" } } } } }),
            "annotations of a Pod template",
        ),
    ] {
        let refusal = change(&spec).await.unwrap_err().to_string();
        assert!(refusal.contains(refused), "{spec}: {refusal}");
    }
}

/// A scene whose operator is told of a kind, with the rights that the chart gives for it.
async fn scene(name: &str, kind: &str, value: &Value) -> Scene<'static> {
    let cluster = CLUSTER.start().await.unwrap();
    let group = Group::new(format!("{name}.example.org"), name);
    let mut scene = Scene::bare(cluster, group, name).await;
    scene.install_definitions().await;
    scene.permit(&rendered(cluster, value).await).await;
    scene.rollout.defaults.kinds = kind.parse().unwrap();
    scene
}

async fn rendered(cluster: &ControlPlane, kind: &Value) -> String {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/certwright");
    let mut helm = cluster.helm().unwrap();
    helm.args(["template", "certwright", chart, "--namespace", "certwright"]);
    helm.args(["--set-json", &format!("rollout.kinds=[{kind}]")]);
    let output = helm.output().await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A kind that keeps whatever it is given.
fn farm_definition() -> CustomResourceDefinition {
    let spec = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let definition = json!({
        "metadata": { "name": "farms.farms.example.org" },
        "spec": {
            "group": "farms.example.org",
            "names": { "kind": "Farm", "plural": "farms", "singular": "farm", "listKind": "FarmList" },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": spec } } },
            }],
        },
    });
    serde_json::from_value(definition).unwrap()
}

async fn install(scene: &Scene<'_>, definitions: &[CustomResourceDefinition]) {
    let api = Api::<CustomResourceDefinition>::all(scene.client.clone());
    for definition in definitions {
        api.create(&PostParams::default(), definition)
            .await
            .unwrap();
        let name = definition.name_any();
        scene
            .wait(&api, &name, "established", |definition| {
                let conditions = definition
                    .status
                    .iter()
                    .flat_map(|status| &status.conditions);
                conditions
                    .flatten()
                    .any(|one| one.type_ == "Established" && one.status == "True")
            })
            .await;
    }
}

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

fn api(scene: &Scene<'_>, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let client = scene.client.clone();
    Api::namespaced_with(client, &scene.namespace, &resource(group, version, kind))
}

/// Waits until the Certificate says that all of so many workloads run with what it holds.
async fn rolled_out(scene: &Scene<'_>, workloads: i32) {
    scene
        .wait(&scene.certificates(), "web", "rolled out", |certificate| {
            let status = certificate.status.as_ref().unwrap();
            status.rollout.as_ref().is_some_and(|rollout| {
                (rollout.dependents, rollout.up_to_date) == (workloads, workloads)
                    && rollout.fingerprint == status.fingerprint
            })
        })
        .await;
    scene
        .says("web", "RolledOut", ConditionStatus::True, "RolledOut")
        .await;
}

fn on_template(rollout: &DynamicObject) -> serde_json::Map<String, Value> {
    let annotations = &rollout.data["spec"]["template"]["metadata"]["annotations"];
    annotations.as_object().cloned().unwrap_or_default()
}

/// What others say in it.
fn without_marks(scene: &Scene<'_>, rollout: &DynamicObject) -> Value {
    let mut rollout = rollout.clone();
    let is_ours = |key: &str| key.starts_with(&scene.group.prefix());
    rollout
        .annotations_mut()
        .retain(|key, _| !is_ours(key) && !key.starts_with("rollout.argoproj.io/"));
    let mut spec = rollout.data["spec"].clone();
    let annotations = spec["template"]["metadata"]["annotations"].as_object_mut();
    annotations.unwrap().retain(|key, _| !is_ours(key));
    json!([rollout.annotations(), rollout.labels(), spec])
}

async fn revisions(scene: &Scene<'_>, name: &str) -> usize {
    let of = ListParams::default().labels(&format!("app={name}"));
    let sets = scene.api::<ReplicaSet>().list(&of).await.unwrap();
    sets.items.len()
}
