//! Workloads that read a Secret are rolled once for each new certificate.

use certwright_core::api::Certificate;
use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::harness::{Operator, Scene, eventually};

#[tokio::test]
async fn every_way_of_reading_a_secret_is_rolled_once_for_each_certificate() {
    let scene = Scene::new("ways").await;
    // Issued long before the Pods start.
    scene.clock.advance(SignedDuration::from_hours(-1));
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let mut followers = Vec::new();
    for way in ["volume", "projected", "env", "env-from", "init"] {
        let workload = Workload::new(&scene, "Deployment", way);
        workload.apply(pod(way, "web-tls"), json!({})).await;
        followers.push(workload);
    }
    for kind in ["StatefulSet", "DaemonSet"] {
        let workload = Workload::new(&scene, kind, &kind.to_lowercase());
        workload.apply(pod("volume", "web-tls"), json!({})).await;
        followers.push(workload);
    }
    let out = Workload::new(&scene, "Deployment", "out");
    let choice = json!({ scene.group.key("rollout"): "None" });
    out.apply(pod("volume", "web-tls"), choice).await;
    let unrelated = Workload::new(&scene, "Deployment", "unrelated");
    unrelated.apply(pod("volume", "other"), json!({})).await;
    // None is rolled at installation: that they run with it already is only noted.
    for workload in &followers {
        workload.noted(&web).await;
    }

    scene.clock.advance(SignedDuration::from_hours(1));
    scene.renew("web", "one").await;
    let second = scene.renewed(&web).await;
    for workload in &followers {
        workload.rolled(&second, 2).await;
    }
    scene
        .sees("web", "all dependents but one are up to date", |web| {
            let status = serde_json::to_value(&web.status).unwrap();
            status["rollout"]["dependents"] == 8 && status["rollout"]["upToDate"] == 7
        })
        .await;

    // A repaired label rolls nothing: the next certificate is the next roll, although the operator is killed before it.
    let label = scene.group.key("managed");
    let stripped = json!({ "metadata": { "labels": { &label: null } } });
    scene.meddle("web-tls", stripped).await;
    scene
        .holds("web-tls", "repaired", |held| held.label(&label).is_some())
        .await;
    scene.clock.advance(SignedDuration::from_mins(6));
    scene.renew("web", "two").await;
    let third = scene.renewed(&second).await;
    operator.kill().await;
    let operator = Operator::start(&scene).await;
    for workload in &followers {
        workload.rolled(&third, 3).await;
    }
    out.untouched().await;
    unrelated.untouched().await;
    operator.stop().await;
}

#[tokio::test]
async fn two_secrets_renewed_together_cost_one_roll_and_strategies_are_kept_to() {
    let scene = Scene::new("together").await;
    scene.clock.advance(SignedDuration::from_hours(-1));
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let spec = json!({ "dnsNames": ["api.example.com"] });
    scene.certificate("api", spec).await;
    let api = scene.ready("api").await;
    let spec = json!({ "dnsNames": ["q.example.com"], "rollout": { "strategy": "None" } });
    scene.certificate("quiet", spec).await;
    let calm = scene.ready("quiet").await;

    let both = Workload::new(&scene, "Deployment", "both");
    let mut reads_both = pod("volume", "web-tls");
    reads_both["containers"] = pod("env-from", "api-tls")["containers"].take();
    both.apply(reads_both, json!({})).await;
    let quiet = Workload::new(&scene, "Deployment", "quiet");
    quiet.apply(pod("volume", "quiet-tls"), json!({})).await;
    let loud = Workload::new(&scene, "Deployment", "loud");
    let choice = json!({ scene.group.key("rollout"): "Restart" });
    loud.apply(pod("volume", "quiet-tls"), choice).await;
    both.noted(&web).await;
    both.noted(&api).await;
    loud.noted(&calm).await;

    scene.clock.advance(SignedDuration::from_hours(1));
    for name in ["web", "api", "quiet"] {
        scene.renew(name, "one").await;
    }
    let (web, api) = (scene.renewed(&web).await, scene.renewed(&api).await);
    both.rolled(&web, 2).await;
    both.rolled(&api, 2).await;
    loud.rolled(&scene.renewed(&calm).await, 2).await;
    quiet.untouched().await;
    operator.stop().await;
}

/// The spec of a Pod that reads a Secret this way.
pub(crate) fn pod(way: &str, secret: &str) -> Value {
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

/// A workload of a scene. Its Pods have the label `app` with its name.
pub(crate) struct Workload<'s> {
    scene: &'s Scene<'s>,
    kind: &'static str,
    name: String,
}

impl<'s> Workload<'s> {
    pub(crate) fn new(scene: &'s Scene<'s>, kind: &'static str, name: &str) -> Self {
        Self {
            scene,
            kind,
            name: name.to_owned(),
        }
    }

    pub(crate) async fn apply(&self, pod: Value, annotations: Value) {
        self.apply_with(pod, annotations, Value::Null).await;
    }

    /// The same, with these annotations on its Pods.
    pub(crate) async fn apply_with(&self, pod: Value, annotations: Value, of_pods: Value) {
        let labels = json!({ "app": self.name });
        let mut spec = json!({
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod },
        });
        if !of_pods.is_null() {
            spec["template"]["metadata"]["annotations"] = of_pods;
        }
        match self.kind {
            "Deployment" => spec["replicas"] = json!(2),
            "StatefulSet" => spec["serviceName"] = json!(self.name),
            _ => {}
        }
        self.scene
            .apply(&json!({
                "apiVersion": "apps/v1",
                "kind": self.kind,
                "metadata": { "name": self.name, "annotations": annotations },
                "spec": spec,
            }))
            .await;
    }

    /// Waits until all its Pods are available.
    pub(crate) async fn up(&self) {
        self.scene
            .wait(&self.api(), &self.name, "available", |workload| {
                let status = &workload.data["status"];
                is_at_rest(workload) && status["availableReplicas"] == status["replicas"]
            })
            .await;
    }

    /// It as it is now.
    pub(crate) async fn live(&self) -> DynamicObject {
        self.api().get(&self.name).await.unwrap()
    }

    fn api(&self) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", self.kind));
        let client = self.scene.client.clone();
        Api::namespaced_with(client, &self.scene.namespace, &resource)
    }

    /// Waits until it is noted on the workload itself that it runs with this certificate. It was not rolled for it.
    pub(crate) async fn noted(&self, certificate: &Certificate) {
        self.notes(&self.mark(certificate)).await;
        self.untouched().await;
    }

    /// Waits until this mark is on the workload itself.
    pub(crate) async fn notes(&self, (key, fingerprint): &(String, String)) {
        self.scene
            .wait(&self.api(), &self.name, "noted", |workload| {
                workload.annotations().get(key) == Some(fingerprint)
            })
            .await;
    }

    /// Whether it is noted on the workload itself that it runs with this certificate.
    pub(crate) async fn is_noted_for(&self, certificate: &Certificate) -> bool {
        let (key, fingerprint) = self.mark(certificate);
        self.live().await.annotations().get(&key) == Some(&fingerprint)
    }

    /// Whether its Pod template is marked with this certificate.
    pub(crate) async fn is_marked_for(&self, certificate: &Certificate) -> bool {
        let marks = template_marks(self.scene, &self.live().await);
        marks.contains(&self.mark(certificate))
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        self.name.clone()
    }

    /// Waits until its Pods were replaced for this certificate. It has had so many different Pod templates then.
    pub(crate) async fn rolled(&self, certificate: &Certificate, revisions: usize) {
        self.rolled_for(&self.mark(certificate), revisions).await;
    }

    /// The same for what this mark says.
    pub(crate) async fn rolled_for(&self, mark: &(String, String), revisions: usize) {
        let what = format!("rolled for {mark:?}");
        self.scene
            .wait(&self.api(), &self.name, &what, |workload| {
                template_marks(self.scene, workload).contains(mark) && is_at_rest(workload)
            })
            .await;
        assert_eq!(self.revisions().await, revisions, "{}", self.name);
    }

    /// Its Pods are those it was created with.
    pub(crate) async fn untouched(&self) {
        eventually("the first revision is there", async || {
            match self.revisions().await {
                0 => Err(self.name.clone()),
                _ => Ok(()),
            }
        })
        .await;
        assert_eq!(self.revisions().await, 1, "{}", self.name);
        let workload = self.live().await;
        assert!(template_marks(self.scene, &workload).is_empty());
    }

    /// What says that it runs with this certificate.
    fn mark(&self, certificate: &Certificate) -> (String, String) {
        let secret = &certificate.spec.secret_name;
        let status = certificate.status.as_ref().unwrap();
        let key = self.scene.group.key(&format!("secret-{secret}"));
        (key, status.fingerprint.clone().unwrap())
    }

    /// How many different Pod templates it has had; the generation of a Deployment also counts its annotations.
    pub(crate) async fn revisions(&self) -> usize {
        let of = ListParams::default().labels(&format!("app={}", self.name));
        let sets = self.scene.api::<ReplicaSet>().list(&of).await.unwrap();
        let revisions = self.scene.api::<ControllerRevision>();
        let revisions = revisions.list(&of).await.unwrap();
        sets.items.len() + revisions.items.len()
    }
}

/// Whether all its Pods are of the newest template.
fn is_at_rest(workload: &DynamicObject) -> bool {
    let status = &workload.data["status"];
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    let (updated, all) = if status["desiredNumberScheduled"].is_null() {
        ("updatedReplicas", "replicas")
    } else {
        ("updatedNumberScheduled", "desiredNumberScheduled")
    };
    Some(count("observedGeneration")) == workload.metadata.generation
        && count(updated) == count(all)
        && count(all) > 0
}

/// The operator's marks on a workload's Pod template.
fn template_marks(scene: &Scene<'_>, workload: &DynamicObject) -> Vec<(String, String)> {
    let annotations = &workload.data["spec"]["template"]["metadata"]["annotations"];
    let annotations = annotations.as_object().cloned().unwrap_or_default();
    annotations
        .into_iter()
        .filter(|(key, _)| key.starts_with(&scene.group.prefix()))
        .map(|(key, value)| (key, value.as_str().unwrap_or_default().to_owned()))
        .collect()
}
