//! Secrets and ConfigMaps that are not Certwright's: their readers are rolled when what they hold changes, if they are labelled.

use certwright_core::rollout::{Foreign, Source, mark_key};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tower::layer::util::Identity;

use crate::harness::{Operator, Scene, eventually};
use crate::pace::{full, room};
use crate::rollout::{Workload, pod};

#[tokio::test]
async fn readers_are_rolled_once_for_each_change_of_what_is_labelled() {
    let scene = Scene::new("labelled").await;
    let operator = Operator::start(&scene).await;
    scene.web().await;
    scene.copy_secret("web-tls", "theirs-tls").await;
    scene.secret("password", "Opaque", &[("key", b"one")]).await;
    bundle(&scene, "trust", "one").await;
    bundle(&scene, "unlabelled", "one").await;
    let readers = Readers::start(&scene).await;

    // Labelling restarts nothing.
    for name in ["theirs-tls", "password"] {
        scene.meddle(name, labelled(&scene, "true")).await;
    }
    change(&scene, "trust", labelled(&scene, "true")).await;
    let trust = mark_of_bundle(&scene, "trust").await;
    let password = mark_of_secret(&scene, "password").await;
    readers.both.notes(&password).await;
    readers.of_password.notes(&password).await;
    let tls = mark_of_secret(&scene, "theirs-tls").await;
    readers.of_tls.notes(&tls).await;
    for workload in readers.of_trust() {
        workload.notes(&trust).await;
        workload.untouched().await;
    }

    // What is not data changes nothing.
    let annotated = json!({ "metadata": { "annotations": { "theirs": "x" } } });
    change(&scene, "trust", annotated).await;
    change(&scene, "unlabelled", data("two")).await;
    change(&scene, "trust", data("two")).await;
    let trust = mark_of_bundle(&scene, "trust").await;
    for workload in readers.of_trust() {
        workload.rolled_for(&trust, 2).await;
    }
    readers.of_password.untouched().await;
    readers.of_tls.untouched().await;

    // Nothing is missed while nobody looks, and two that changed meanwhile cost one.
    operator.kill().await;
    change(&scene, "trust", data("three")).await;
    scene.secret("password", "Opaque", &[("key", b"two")]).await;
    let operator = Operator::start(&scene).await;
    let trust = mark_of_bundle(&scene, "trust").await;
    for workload in readers.of_trust() {
        workload.rolled_for(&trust, 3).await;
    }
    let password = mark_of_secret(&scene, "password").await;
    readers.of_password.rolled_for(&password, 2).await;
    readers.of_tls.untouched().await;

    // Without the label it is left alone.
    change(&scene, "trust", labelled(&scene, "false")).await;
    change(&scene, "trust", data("four")).await;
    scene.web_again("theirs-tls").await;
    let tls = mark_of_secret(&scene, "theirs-tls").await;
    readers.of_tls.rolled_for(&tls, 2).await;
    for workload in readers.of_trust() {
        assert_eq!(workload.revisions().await, 3);
    }
    readers.unlabelled.untouched().await;
    readers.out.untouched().await;
    operator.stop().await;
}

/// Who reads what.
struct Readers<'s> {
    of_trust_alone: Vec<Workload<'s>>,
    of_password: Workload<'s>,
    of_tls: Workload<'s>,
    /// Of the bundle and the password.
    both: Workload<'s>,
    /// Of a ConfigMap that nobody labels.
    unlabelled: Workload<'s>,
    /// Of the bundle; it doesn't want to be restarted.
    out: Workload<'s>,
}

impl<'s> Readers<'s> {
    /// Starts them, and waits until they are up.
    async fn start(scene: &'s Scene<'s>) -> Self {
        let start = async |name: &str, pod: Value, annotations: Value| {
            let workload = Workload::new(scene, "Deployment", name);
            workload.apply(pod, annotations).await;
            workload.up().await;
            workload
        };
        let mut of_trust_alone = Vec::new();
        for way in ["volume", "projected", "env", "env-from"] {
            of_trust_alone.push(start(way, reading(way, "trust"), json!({})).await);
        }
        let mut reads_both = reading("volume", "trust");
        reads_both["containers"] = pod("env-from", "password")["containers"].take();
        let none = json!({ scene.group.key("rollout"): "None" });
        Self {
            of_trust_alone,
            of_password: start("password", pod("env-from", "password"), json!({})).await,
            of_tls: start("theirs", pod("volume", "theirs-tls"), json!({})).await,
            both: start("both", reads_both, json!({})).await,
            unlabelled: start("unlabelled", reading("volume", "unlabelled"), json!({})).await,
            out: start("out", reading("volume", "trust"), none).await,
        }
    }

    /// Those that are to be rolled for the bundle.
    fn of_trust(&self) -> impl Iterator<Item = &Workload<'s>> {
        self.of_trust_alone.iter().chain([&self.both])
    }
}

#[tokio::test]
async fn whoever_leads_next_goes_on_and_rolls_nothing_twice() {
    let scene = Scene::new("foreign-leads").await;
    let first = Operator::replica(&scene, "first", Identity::new()).await;
    let second = Operator::replica(&scene, "second", Identity::new()).await;
    bundle(&scene, "trust", "one").await;
    change(&scene, "trust", labelled(&scene, "true")).await;
    let reader = Workload::new(&scene, "Deployment", "reader");
    reader.apply(reading("volume", "trust"), json!({})).await;
    reader.notes(&mark_of_bundle(&scene, "trust").await).await;
    change(&scene, "trust", data("two")).await;
    reader
        .rolled_for(&mark_of_bundle(&scene, "trust").await, 2)
        .await;
    first.stop().await;
    change(&scene, "trust", data("three")).await;
    reader
        .rolled_for(&mark_of_bundle(&scene, "trust").await, 3)
        .await;
    second.stop().await;
}

#[tokio::test]
async fn what_its_annotations_ask_for_is_done_and_what_goes_wrong_is_told_on_it() {
    let scene = Scene::new("foreign-told").await;
    let operator = Operator::start(&scene).await;
    bundle(&scene, "wrong", "one").await;
    change(&scene, "wrong", labelled(&scene, "Restart")).await;
    scene.tells("wrong", &["Misconfigured"]).await;

    bundle(&scene, "trust", "one").await;
    let one = json!({ scene.group.key("rollout-max-concurrent"): "1" });
    change(
        &scene,
        "trust",
        json!({ "metadata": { "annotations": one } }),
    )
    .await;
    change(&scene, "trust", labelled(&scene, "true")).await;
    let readers = ["one", "two"].map(|name| Workload::new(&scene, "Deployment", name));
    let noted = mark_of_bundle(&scene, "trust").await;
    for reader in &readers {
        reader.apply(reading("volume", "trust"), json!({})).await;
    }
    for reader in &readers {
        reader.notes(&noted).await;
        reader.up().await;
    }
    // No Pod more than there are: what is restarted now never ends.
    full(&scene).await;
    change(&scene, "trust", data("two")).await;
    let mark = mark_of_bundle(&scene, "trust").await;
    let revisions = async || {
        let [one, two] = &readers;
        one.revisions().await + two.revisions().await
    };
    eventually("one is restarted", async || match revisions().await {
        3 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
    scene.clock.advance(SignedDuration::from_mins(11));
    change(
        &scene,
        "trust",
        json!({ "metadata": { "annotations": { "theirs": "x" } } }),
    )
    .await;
    scene.tells("trust", &["Halted"]).await;
    assert_eq!(revisions().await, 3);
    room(&scene).await;
    for reader in &readers {
        reader.rolled_for(&mark, 2).await;
    }
    scene.tells("trust", &["Halted"]).await;
    operator.stop().await;
}

impl Scene<'_> {
    /// Has `web` renewed, and what its Secret holds copied into one that Certwright does not know.
    async fn web_again(&self, to: &str) {
        let before = self.ready("web").await;
        self.clock.advance(SignedDuration::from_mins(6));
        self.renew("web", "again").await;
        self.renewed(&before).await;
        self.copy_secret("web-tls", to).await;
    }
}

/// The spec of a Pod that reads a ConfigMap this way.
fn reading(way: &str, name: &str) -> Value {
    let (mut container, mut volumes) = (json!({ "name": "main", "image": "example" }), json!([]));
    match way {
        "volume" => volumes = json!([{ "name": "trust", "configMap": { "name": name } }]),
        "projected" => {
            let sources = json!([{ "configMap": { "name": name } }]);
            volumes = json!([{ "name": "trust", "projected": { "sources": sources } }]);
        }
        "env" => {
            let from = json!({ "configMapKeyRef": { "name": name, "key": "ca.crt" } });
            container["env"] = json!([{ "name": "CA", "valueFrom": from }]);
        }
        "env-from" => container["envFrom"] = json!([{ "configMapRef": { "name": name } }]),
        other => panic!("{other}"),
    }
    json!({ "containers": [container], "volumes": volumes })
}

fn labelled(scene: &Scene<'_>, text: &str) -> Value {
    json!({ "metadata": { "labels": { scene.group.key("rollout"): text } } })
}

fn data(text: &str) -> Value {
    json!({ "data": { "ca.crt": text } })
}

/// Puts a ConfigMap there, as a user does.
async fn bundle(scene: &Scene<'_>, name: &str, text: &str) {
    scene
        .apply(&json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "ca.crt": text },
        }))
        .await;
}

async fn change(scene: &Scene<'_>, config_map: &str, patch: Value) {
    scene
        .api::<ConfigMap>()
        .patch(config_map, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

/// What says that a workload runs with what a ConfigMap holds now.
async fn mark_of_bundle(scene: &Scene<'_>, name: &str) -> (String, String) {
    let config_map = scene.api::<ConfigMap>().get(name).await.unwrap();
    let held = Foreign::of_config_map(&scene.group, &config_map);
    (
        mark_key(&scene.group, &Source::config_map(name)),
        held.fingerprint,
    )
}

async fn mark_of_secret(scene: &Scene<'_>, name: &str) -> (String, String) {
    let secret = scene.api::<Secret>().get(name).await.unwrap();
    let held = Foreign::of_secret(&scene.group, &secret);
    (
        mark_key(&scene.group, &Source::secret(name)),
        held.fingerprint,
    )
}
