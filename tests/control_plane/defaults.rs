//! What namespaces say of the rollouts in them.

use certwright_core::api::{Certificate, Group};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{CLUSTER, Operator, Scene, condition};
use crate::namespaces::{limited, nothing_was_forbidden};
use crate::rollout::{Workload, pod};

#[tokio::test]
async fn a_namespace_says_what_its_certificates_and_workloads_do_not() {
    let scene = Scene::new("defaults").await;
    say(&scene, json!({ "rollout": "None" })).await;
    let operator = Operator::start(&scene).await;
    let (quiet, second) = only_the_loud_one_is_rolled(&scene).await;

    // Another word is heard at once, and one that can't be read is told.
    say(&scene, json!({ "rollout": "Reboot" })).await;
    scene.tells("quiet", &["Misconfigured"]).await;
    let told = scene.events("quiet").await;
    let note = told[0].note.as_deref().unwrap();
    let key = scene.group.key("rollout");
    assert!(
        note.contains(&format!("annotation {key} of the namespace: ")),
        "{note}"
    );
    say(
        &scene,
        json!({ "rollout": null, "rollout-max-concurrent": "1" }),
    )
    .await;
    // It was never noted what it runs with: its Pods are older than the certificate.
    quiet.rolled(&second, 2).await;
    operator.stop().await;
}

#[tokio::test]
async fn where_roles_are_all_its_rights_a_namespace_is_read_when_a_certificate_is_issued() {
    let (scene, _) = limited("defaults-narrow", &[]).await;
    say(&scene, json!({ "rollout": "None" })).await;
    let operator = Operator::start(&scene).await;
    let (quiet, second) = only_the_loud_one_is_rolled(&scene).await;

    say(&scene, json!({ "rollout": "Restart" })).await;
    scene.clock.advance(SignedDuration::from_mins(6));
    scene.renew("web", "two").await;
    let third = scene.renewed(&second).await;
    quiet.rolled(&third, 2).await;
    operator.stop().await;
    nothing_was_forbidden(&scene);
}

#[tokio::test]
async fn without_the_right_to_read_namespaces_all_else_goes_on() {
    let cluster = CLUSTER.start().await.unwrap();
    let group = Group::new("blind.example.org", "blind");
    let scene = Scene::bare(cluster, group, "blind").await;
    scene.install_definitions().await;
    let shipped = include_str!("../../deploy/install.yaml");
    let blind = shipped.replace("resources: [namespaces]", "resources: [nothing]");
    assert_ne!(blind, shipped);
    scene.permit(&blind).await;
    say(&scene, json!({ "rollout": "None" })).await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let [quiet, _] = readers(&scene).await;
    quiet.noted(&web).await;
    operator.stop().await;
}

/// Where the namespace wants nothing done, a renewal rolls the workload that says otherwise, and no other. That other one, and
/// the renewed Certificate.
async fn only_the_loud_one_is_rolled<'s>(scene: &'s Scene<'_>) -> (Workload<'s>, Certificate) {
    let web = scene.web().await;
    let [quiet, loud] = readers(scene).await;
    loud.noted(&web).await;
    // Long after their Pods have started.
    scene.clock.advance(SignedDuration::from_mins(10));
    scene.renew("web", "one").await;
    let second = scene.renewed(&web).await;
    loud.rolled(&second, 2).await;
    one_opted_out(scene).await;
    quiet.untouched().await;
    (quiet, second)
}

/// Two that read the Secret of `web`. The second says for itself that it is to be restarted.
async fn readers<'s>(scene: &'s Scene<'s>) -> [Workload<'s>; 2] {
    let [quiet, loud] = ["quiet", "loud"].map(|name| Workload::new(scene, "Deployment", name));
    quiet.apply(pod("volume", "web-tls"), json!({})).await;
    let choice = json!({ scene.group.key("rollout"): "Restart" });
    loud.apply(pod("volume", "web-tls"), choice).await;
    quiet.up().await;
    [quiet, loud]
}

/// Waits until one workload is told to have opted out.
async fn one_opted_out(scene: &Scene<'_>) {
    let holds = |web: &Certificate| {
        condition(web, "RolledOut").is_some_and(|told| told.message.contains("1 opted out"))
    };
    scene.sees("web", "one has opted out", holds).await;
}

/// Annotates the user's namespace.
async fn say(scene: &Scene<'_>, words: Value) {
    let annotations: serde_json::Map<String, Value> = words
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, text)| (scene.group.key(key), text.clone()))
        .collect();
    let patch = json!({ "metadata": { "annotations": annotations } });
    Api::<Namespace>::all(scene.client.clone())
        .patch(
            &scene.namespace,
            &PatchParams::default(),
            &Patch::Merge(&patch),
        )
        .await
        .unwrap();
}
