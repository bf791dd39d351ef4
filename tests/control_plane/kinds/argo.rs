//! Argo Rollouts: its controller, and objects for it.

use std::ffi::OsString;

use certwright_core::api::ConditionStatus;
use certwright_test_cluster::{Binaries, Process, Program, free_ports};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{api, install};
use crate::harness::Scene;
use crate::rollout::pod;

/// The controller of Argo Rollouts, for the namespace of a scene.
pub(super) struct Argo {
    pub(super) rollouts: Api<DynamicObject>,
    _controller: Process,
}

impl Argo {
    /// Installs the definitions that its module has, and starts it.
    pub(super) async fn install(scene: &Scene<'_>) -> Self {
        let program = Binaries::locate()
            .and_then(|binaries| binaries.path(Program::ArgoRollouts))
            .unwrap();
        let files = std::fs::read_dir(program.parent().unwrap()).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let yaml = files.filter(|file| file.extension().is_some_and(|ending| ending == "yaml"));
        let definitions: Vec<CustomResourceDefinition> = yaml
            .map(|file| serde_yaml::from_slice(&std::fs::read(file).unwrap()).unwrap())
            .collect();
        install(scene, &definitions).await;
        let [metrics, health] = free_ports().unwrap();
        let kubeconfig = scene.cluster.kubeconfig("admin").unwrap();
        let arguments = [
            format!("--kubeconfig={}", kubeconfig.display()),
            "--namespaced".to_owned(),
            format!("--namespace={}", scene.namespace),
            "--leader-elect=false".to_owned(),
            format!("--metricsport={metrics}"),
            format!("--healthzPort={health}"),
        ];
        let log = scene.cluster.folder().join("argo-rollouts.log");
        let arguments = arguments.map(OsString::from);
        Self {
            rollouts: api(scene, "argoproj.io", "v1alpha1", "Rollout"),
            _controller: Process::start("argo-rollouts", &program, &arguments, log).unwrap(),
        }
    }
}

/// A Rollout that reads the Secret.
pub(super) fn rollout(name: &str) -> Value {
    let labels = json!({ "app": name });
    let mut pod = pod("volume", "web-tls");
    pod["containers"][0]["ports"] = json!([{ "containerPort": 8443, "name": "https" }]);
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": { "name": name, "annotations": { "owner": "shop" } },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": labels },
            "strategy": { "canary": { "maxSurge": 1 } },
            "template": {
                "metadata": { "labels": labels, "annotations": { "team": "shop" } },
                "spec": pod,
            },
        },
    })
}

/// It has its Pod template from the Deployment `plain`.
pub(super) async fn a_borrower_is_told_and_not_touched(
    scene: &Scene<'_>,
    rollouts: &Api<DynamicObject>,
) {
    let reference = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "plain" });
    scene
        .apply(&json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": { "name": "borrower" },
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": { "app": "plain" } },
                "strategy": { "canary": {} },
                "workloadRef": reference,
            },
        }))
        .await;
    scene
        .says("web", "RolledOut", ConditionStatus::False, "Waiting")
        .await;
    scene.tells("borrower", &["Misconfigured"]).await;
    let borrower = rollouts.get("borrower").await.unwrap();
    let managers = borrower.metadata.managed_fields.unwrap_or_default();
    let ours = scene.group.rollout_manager();
    assert!(
        managers
            .iter()
            .all(|one| one.manager.as_ref() != Some(&ours))
    );
}

/// Whether its controller has carried out what it says now.
pub(super) fn is_healthy(rollout: &DynamicObject) -> bool {
    let status = &rollout.data["status"];
    let generation = rollout.metadata.generation.unwrap().to_string();
    status["phase"] == "Healthy" && status["observedGeneration"] == generation.as_str()
}
