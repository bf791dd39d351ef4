//! The test cluster itself: does it do what the other tests rely on?

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests; clippy doesn't see that their helpers are tests too"
)]

use std::{fmt::Debug, time::Duration};

use certwright_test_cluster::{AuditLevel, ControlPlane, Options, SharedControlPlane};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        core::v1::{ConfigMap, Pod, ServiceAccount},
    },
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

static CLUSTER: SharedControlPlane = SharedControlPlane::new(|| {
    Options::new()
        .nodes(2)
        .audit(AuditLevel::RequestResponse)
        .user("alice", ["tenants"])
});

#[tokio::test]
async fn kubectl_and_clients_see_the_same_cluster() {
    let cluster = CLUSTER.start().await.unwrap();
    let version = cluster.client().unwrap().apiserver_version().await.unwrap();

    let output = cluster
        .kubectl()
        .unwrap()
        .args(["version", "-o", "json"])
        .output()
        .await
        .unwrap();
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!(seen["serverVersion"]["gitVersion"], version.git_version);
    assert_ne!(version.major, "0");
}

#[tokio::test]
async fn rolls_a_deployment() {
    rolls::<Deployment>("Deployment", json!({ "replicas": 3 }), 3).await;
}

#[tokio::test]
async fn rolls_a_stateful_set() {
    rolls::<StatefulSet>(
        "StatefulSet",
        json!({ "replicas": 2, "serviceName": "web" }),
        2,
    )
    .await;
}

#[tokio::test]
async fn rolls_a_daemon_set() {
    rolls::<DaemonSet>("DaemonSet", json!({}), 2).await;
}

/// Makes a workload ready, changes its Pod template, and sees every Pod replaced.
async fn rolls<K>(kind: &str, spec: Value, pods: usize)
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let cluster = CLUSTER.start().await.unwrap();
    let client = cluster.client().unwrap();
    let namespace = cluster.namespace("roll").await.unwrap();
    let workloads = Api::<K>::namespaced(client.clone(), &namespace);

    let created = workloads
        .create(&PostParams::default(), &workload(kind, spec, json!({})))
        .await
        .unwrap();
    rolled_out(&workloads, created.meta().generation).await;
    let before = running_pods(&client, &namespace).await;
    assert_eq!(before.len(), pods);

    let change =
        json!({ "spec": { "template": { "metadata": { "annotations": { "rolled": "1" } } } } });
    let changed = workloads
        .patch("web", &PatchParams::default(), &Patch::Merge(change))
        .await
        .unwrap();
    rolled_out(&workloads, changed.meta().generation).await;
    eventually("the old Pods are gone", async || {
        let now = running_pods(&client, &namespace).await;
        now.len() == pods
            && now
                .iter()
                .all(|pod| pod.annotations().contains_key("rolled"))
    })
    .await;
}

#[tokio::test]
async fn a_pod_can_be_kept_from_becoming_ready() {
    let cluster = CLUSTER.start().await.unwrap();
    let client = cluster.client().unwrap();
    let namespace = cluster.namespace("never").await.unwrap();
    let annotations = json!({ "cluster.certwright.dev/ready": "never" });
    let deployment: Deployment = workload("Deployment", json!({}), annotations);
    let deployments = Api::<Deployment>::namespaced(client.clone(), &namespace);
    deployments
        .create(&PostParams::default(), &deployment)
        .await
        .unwrap();

    let pods = Api::<Pod>::namespaced(client, &namespace);
    eventually("the Pod is on a node", async || {
        let pods = pods.list(&ListParams::default()).await.unwrap();
        pods.iter().any(|pod| {
            pod.spec
                .as_ref()
                .is_some_and(|spec| spec.node_name.is_some())
        })
    })
    .await;
    // There is no event for "it stays so"; the others become ready well within this.
    sleep(Duration::from_secs(1)).await;
    for pod in pods.list(&ListParams::default()).await.unwrap() {
        assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Pending"));
    }
}

#[tokio::test]
async fn users_and_service_accounts_stand_under_rbac() {
    let cluster = CLUSTER.start().await.unwrap();
    let namespace = cluster.namespace("rbac").await.unwrap();
    let alice = cluster.client_for("alice").unwrap();
    let account = cluster
        .service_account_client(&namespace, "default")
        .await
        .unwrap();

    for client in [alice, account] {
        let error = Api::<ConfigMap>::namespaced(client, &namespace)
            .list(&ListParams::default())
            .await
            .unwrap_err();
        assert!(
            matches!(&error, kube::Error::Api(status) if status.code == 403),
            "{error}"
        );
    }
    assert!(
        cluster
            .config_for("bob")
            .unwrap_err()
            .to_string()
            .contains("no user bob")
    );
}

#[tokio::test]
async fn audit_log_says_who_wrote_what() {
    let cluster = CLUSTER.start().await.unwrap();
    let namespace = cluster.namespace("audit").await.unwrap();
    let name = config_map(&cluster.client().unwrap(), &namespace).await;

    eventually("the audit log has the event", async || {
        cluster.audit_events().unwrap().iter().any(|event| {
            event.is_write()
                && event.is_about("configmaps")
                && event.user.username == "admin"
                && event.code() == 201
                && event
                    .object_ref
                    .as_ref()
                    .is_some_and(|object| object.namespace == namespace)
                && event
                    .request_object
                    .as_ref()
                    .is_some_and(|object| object["metadata"]["name"] == *name)
        })
    })
    .await;
}

#[tokio::test]
async fn api_server_restarts_over_the_same_data() {
    let cluster = ControlPlane::start(Options::new().without_workloads())
        .await
        .unwrap();
    let client = cluster.client().unwrap();
    let namespace = cluster.namespace("restart").await.unwrap();
    let name = config_map(&client, &namespace).await;
    let config_maps = Api::<ConfigMap>::namespaced(client, &namespace);

    cluster.stop_api_server();
    let away = timeout(Duration::from_secs(10), config_maps.get(&name))
        .await
        .unwrap();
    assert!(
        matches!(
            away,
            Err(kube::Error::HyperError(_) | kube::Error::Service(_))
        ),
        "{away:?}"
    );

    cluster.start_api_server().await.unwrap();
    assert_eq!(config_maps.get(&name).await.unwrap().name_any(), name);
    assert_eq!(cluster.failures(), Vec::<String>::new());

    let folder = cluster.folder().to_owned();
    drop(cluster);
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_failed_start_shows_the_log() {
    let options = Options::new()
        .without_workloads()
        .api_server_flag("--no-such-flag");
    let error = ControlPlane::start(options).await.unwrap_err().to_string();
    assert!(error.contains("kube-apiserver ended"), "{error}");
    assert!(error.contains("no-such-flag"), "{error}");
}

async fn config_map(client: &Client, namespace: &str) -> String {
    let config_map: ConfigMap =
        serde_json::from_value(json!({ "metadata": { "name": "noted" } })).unwrap();
    let config_maps = Api::namespaced(client.clone(), namespace);
    config_maps
        .create(&PostParams::default(), &config_map)
        .await
        .unwrap()
        .name_any()
}

fn workload<K: DeserializeOwned>(kind: &str, mut spec: Value, annotations: Value) -> K {
    spec["selector"] = json!({ "matchLabels": { "app": "web" } });
    spec["template"] = json!({
        "metadata": { "labels": { "app": "web" }, "annotations": annotations },
        "spec": {
            "initContainers": [{ "name": "prepare", "image": "example.com/prepare" }],
            "containers": [{ "name": "web", "image": "example.com/web" }],
        },
    });
    let object = json!({ "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": "web" }, "spec": spec });
    serde_json::from_value(object).unwrap()
}

/// The rule of `kubectl rollout status`, for all three kinds.
async fn rolled_out<K>(workloads: &Api<K>, generation: Option<i64>)
where
    K: Clone + Debug + Serialize + DeserializeOwned,
{
    eventually("the rollout completes", async || {
        let workload = serde_json::to_value(workloads.get("web").await.unwrap()).unwrap();
        let (spec, status) = (&workload["spec"], &workload["status"]);
        let count = |name: &str| status[name].as_i64().unwrap_or(0);
        let (wanted, updated, available) = match status.get("desiredNumberScheduled") {
            Some(wanted) => (
                wanted.as_i64().unwrap(),
                count("updatedNumberScheduled"),
                count("numberAvailable"),
            ),
            None => (
                spec["replicas"].as_i64().unwrap_or(1),
                count("updatedReplicas"),
                count("availableReplicas"),
            ),
        };
        status["observedGeneration"].as_i64() >= generation
            && wanted > 0
            && (updated, available) == (wanted, wanted)
            && count("replicas") <= wanted
    })
    .await;
}

/// The Pods that aren't being deleted; each container of each must say since when it runs.
async fn running_pods(client: &Client, namespace: &str) -> Vec<Pod> {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace)
        .list(&ListParams::default())
        .await
        .unwrap()
        .items;
    let pods: Vec<_> = pods
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .collect();
    for status in pods.iter().filter_map(|pod| pod.status.as_ref()) {
        for container in status.container_statuses.iter().flatten() {
            let running = container
                .state
                .as_ref()
                .and_then(|state| state.running.as_ref());
            assert!(
                running.is_some_and(|running| running.started_at.is_some()),
                "{container:?}"
            );
        }
    }
    pods
}

#[tokio::test]
async fn deleted_namespaces_go_with_all_in_them() {
    let cluster = CLUSTER.start().await.unwrap();
    let client = cluster.client().unwrap();
    let namespace = cluster.namespace("gone").await.unwrap();
    let deployment: Deployment = workload("Deployment", json!({}), json!({}));
    let deployments = Api::<Deployment>::namespaced(client.clone(), &namespace);
    deployments
        .create(&PostParams::default(), &deployment)
        .await
        .unwrap();
    rolled_out(&deployments, None).await;

    let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(client.clone());
    namespaces
        .delete(&namespace, &DeleteParams::default())
        .await
        .unwrap();
    eventually("the namespace is gone", async || {
        namespaces.get_opt(&namespace).await.unwrap().is_none()
    })
    .await;
    let left = Api::<ServiceAccount>::namespaced(client, &namespace)
        .list(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(left.items, []);
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let patience = timeout(Duration::from_secs(60), async {
        while !holds().await {
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(patience.await.is_ok(), "within a minute, {what}");
}
