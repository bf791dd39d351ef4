//! Pods are containers, Services answer, names are found.

use std::{collections::BTreeSet, fmt::Debug, time::Duration};

use certwright_test_cluster::{Binaries, Cluster, Image, Options, Program, SharedCluster};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{Node, Pod, Secret, Service},
    },
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{STARTS, eventually};

async fn cluster() -> &'static Cluster {
    static CLUSTER: SharedCluster = SharedCluster::new(Options::new);
    let _alone = STARTS.lock().await;
    CLUSTER.start().await.unwrap()
}

#[tokio::test]
async fn the_node_is_ready_and_runs_containers() {
    let cluster = cluster().await;
    let client = cluster.control_plane().client().unwrap();
    let namespace = cluster.control_plane().namespace("node").await.unwrap();

    let node = Api::<Node>::all(client).get(cluster.node()).await.unwrap();
    let info = node.status.unwrap().node_info.unwrap();
    let runtime = info.container_runtime_version;
    assert!(runtime.starts_with("containerd://2."), "{runtime}");
    let logs = run(cluster, &namespace, "echo seen from inside; id -u").await;
    assert_eq!(logs, "seen from inside\n1000\n");
}

#[tokio::test]
async fn pods_find_names_inside_and_outside() {
    let cluster = cluster().await;
    let namespace = cluster.control_plane().namespace("names").await.unwrap();
    cluster
        .add_name("outside.example", cluster.host_address())
        .unwrap();

    let script = "
        nslookup kubernetes.default.svc.cluster.local | grep -A1 ^Name
        until nslookup outside.example >/tmp/answer; do sleep 0.2; done; grep -A1 ^Name /tmp/answer
        nslookup nowhere.example | grep -o NXDOMAIN | uniq";
    let logs = run(cluster, &namespace, script).await;
    let number = cluster.host_address().octets()[1];
    let host = cluster.host_address();
    assert_eq!(
        logs,
        format!(
            "Name:\tkubernetes.default.svc.cluster.local\nAddress: 10.{number}.2.1\n\
             Name:\toutside.example\nAddress: {host}\nNXDOMAIN\n"
        )
    );
}

#[tokio::test]
async fn pods_reach_the_api_server_under_their_own_account() {
    let cluster = cluster().await;
    let namespace = cluster.control_plane().namespace("account").await.unwrap();
    let program = Binaries::locate().unwrap().path(Program::Kubectl).unwrap();
    let image = Image::new("certwright.test/kubectl:1", ["/kubectl"]).file("/kubectl", program);
    cluster.import(&image).await.unwrap();

    let mut pod = pod("");
    pod["spec"]["automountServiceAccountToken"] = json!(true);
    pod["spec"]["containers"][0]["image"] = json!(image.name());
    pod["spec"]["containers"][0]["command"] = Value::Null;
    pod["spec"]["containers"][0]["args"] = json!(["auth", "whoami", "-o", "yaml"]);
    let logs = run_pod(cluster, &namespace, pod).await;
    assert!(
        logs.contains(&format!("system:serviceaccount:{namespace}:default")),
        "{logs}"
    );
}

#[tokio::test]
async fn a_pod_sees_its_mounted_secret_change() {
    let cluster = cluster().await;
    let client = cluster.control_plane().client().unwrap();
    let namespace = cluster.control_plane().namespace("secret").await.unwrap();
    let secrets = Api::<Secret>::namespaced(client.clone(), &namespace);
    create(&secrets, secret("first")).await;
    let pods = Api::<Pod>::namespaced(client, &namespace);
    let mut pod = pod("until grep -q second /secret/text; do sleep 0.2; done; cat /secret/text");
    pod["spec"]["containers"][0]["volumeMounts"] =
        json!([{ "name": "secret", "mountPath": "/secret" }]);
    pod["spec"]["volumes"] = json!([{ "name": "secret", "secret": { "secretName": "text" } }]);
    create(&pods, pod).await;
    eventually("the Pod runs", async || phase(&pods).await == "Running").await;

    let change = Patch::Merge(json!({ "stringData": { "text": "second" } }));
    secrets
        .patch("text", &PatchParams::default(), &change)
        .await
        .unwrap();
    eventually("the Pod has seen the change", async || {
        phase(&pods).await == "Succeeded"
    })
    .await;
    assert_eq!(
        pods.logs("pod", &Default::default()).await.unwrap(),
        "second"
    );
}

#[tokio::test]
async fn a_deployment_rolls_behind_its_service() {
    let cluster = cluster().await;
    let client = cluster.control_plane().client().unwrap();
    let namespace = cluster.control_plane().namespace("rolling").await.unwrap();
    let deployments = Api::<Deployment>::namespaced(client.clone(), &namespace);
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    create(&deployments, deployment()).await;
    let service = json!({
        "metadata": { "name": "web" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    });
    let service = create(&Api::<Service>::namespaced(client, &namespace), service).await;
    let address = service.spec.unwrap().cluster_ip.unwrap();

    kubectl(
        cluster,
        &namespace,
        &["rollout", "status", "deployment/web", "--timeout=120s"],
    )
    .await;
    let first = names(&pods).await;
    assert_eq!(first.len(), 2);
    eventually("the Service answers this machine", async || {
        get(&address)
            .await
            .is_some_and(|answer| first.contains(&answer))
    })
    .await;
    let seen = run(cluster, &namespace, "wget -q -O - http://web").await;
    assert!(first.contains(&seen), "{seen} is one of {first:?}");

    kubectl(
        cluster,
        &namespace,
        &["rollout", "restart", "deployment/web"],
    )
    .await;
    kubectl(
        cluster,
        &namespace,
        &["rollout", "status", "deployment/web", "--timeout=120s"],
    )
    .await;
    eventually("the old Pods are gone, and the Service knows", async || {
        let now = names(&pods).await;
        now.len() == 2
            && now.is_disjoint(&first)
            && get(&address)
                .await
                .is_some_and(|answer| now.contains(&answer))
    })
    .await;
}

/// Each Pod serves its own name.
fn deployment() -> Value {
    let script = "mkdir /tmp/page; hostname | tr -d '\\n' >/tmp/page/index.html; exec httpd -f -p 8080 -h /tmp/page";
    let mut template = pod(script);
    template["metadata"] = json!({ "labels": { "app": "web" } });
    template["spec"]["restartPolicy"] = json!("Always");
    template["spec"]["terminationGracePeriodSeconds"] = json!(1);
    template["spec"]["containers"][0]["readinessProbe"] =
        json!({ "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 });
    json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "web" } },
            "template": template,
        },
    })
}

fn pod(script: &str) -> Value {
    json!({
        "metadata": { "name": "pod" },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": { "runAsUser": 1000, "runAsNonRoot": true },
            "containers": [{
                "name": "main",
                "image": "certwright.test/busybox:1",
                "command": ["/bin/sh", "-c", script],
                "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
            }],
            "volumes": [{ "name": "tmp", "emptyDir": {} }],
        },
    })
}

fn secret(text: &str) -> Value {
    json!({ "metadata": { "name": "text" }, "stringData": { "text": text } })
}

/// Runs a Pod to its end and returns what it said.
async fn run(cluster: &Cluster, namespace: &str, script: &str) -> String {
    run_pod(cluster, namespace, pod(script)).await
}

async fn run_pod(cluster: &Cluster, namespace: &str, pod: Value) -> String {
    let client = cluster.control_plane().client().unwrap();
    let pods = Api::<Pod>::namespaced(client, namespace);
    create(&pods, pod).await;
    eventually("the Pod ends", async || {
        ["Succeeded", "Failed"].contains(&phase(&pods).await.as_str())
    })
    .await;
    let logs = pods.logs("pod", &Default::default()).await.unwrap();
    assert_eq!(phase(&pods).await, "Succeeded", "{logs}");
    logs
}

async fn phase(pods: &Api<Pod>) -> String {
    let pod = pods.get("pod").await.unwrap();
    pod.status
        .and_then(|status| status.phase)
        .unwrap_or_default()
}

/// The Pods of the Deployment that aren't being deleted.
async fn names(pods: &Api<Pod>) -> BTreeSet<String> {
    let found = pods
        .list(&ListParams::default().labels("app=web"))
        .await
        .unwrap();
    found
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .map(ResourceExt::name_any)
        .collect()
}

/// The body of `http://<address>/`, if there is one.
async fn get(address: &str) -> Option<String> {
    // A connection begun before the Service is known may never come about.
    let patience = Duration::from_secs(5);
    timeout(patience, body(address)).await.ok().flatten()
}

async fn body(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect((address, 80)).await.ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}

async fn kubectl(cluster: &Cluster, namespace: &str, arguments: &[&str]) {
    let output = cluster
        .control_plane()
        .kubectl()
        .unwrap()
        .args(["--namespace", namespace])
        .args(arguments)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "kubectl {arguments:?}: {output:?}");
}

async fn create<K>(api: &Api<K>, object: Value) -> K
where
    K: kube::Resource<Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let object = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap()
}
