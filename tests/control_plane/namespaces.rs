//! An operator that looks after some namespaces, with Roles in them as all its rights.

use std::collections::BTreeSet;

use certwright::cluster::scope::Scope;
use certwright_core::api::{ConditionStatus, Group};
use certwright_test_cluster::ControlPlane;
use jiff::civil::date;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

use crate::harness::{CLUSTER, Made, Operator, Scene, condition, eventually};
use crate::served_checks::{says, serve, watch};
use crate::tls::authority::{root, signed, valid};

#[tokio::test]
async fn roles_in_its_namespaces_are_all_the_rights_it_needs() {
    let (scene, second) = limited("narrow", &[]).await;
    let outside = scene.elsewhere("narrow-outside").await;
    let operator = Operator::start(&scene).await;
    for scene in [&outside, &scene, &second] {
        scene.apply_ca().await;
        scene
            .certificate("web", json!({ "dnsNames": ["web.example.com"] }))
            .await;
    }
    let web = scene.ready("web").await;
    second.ready("web").await;
    // What is renewed in one of them is rolled there.
    let template = json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": {
            "containers": [{ "name": "main", "image": "example" }],
            "volumes": [{ "name": "tls", "secret": { "secretName": "web-tls" } }],
        },
    });
    scene
        .apply(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
            "spec": { "selector": { "matchLabels": { "app": "web" } }, "template": template },
        }))
        .await;
    scene
        .says("web", "RolledOut", ConditionStatus::True, "RolledOut")
        .await;
    scene.renew("web", "one").await;
    scene.renewed(&web).await;

    let spec = json!({ "dnsNames": ["x.example.com"], "issuerRef": { "name": "ca", "kind": "ClusterIssuer" } });
    scene.certificate("cluster-wide", spec).await;
    let message = scene.refused("cluster-wide", "IssuerNotReady").await;
    assert!(message.contains("--cluster-issuers"), "{message}");

    let untouched = outside.certificates().get("web").await.unwrap();
    assert!(
        condition(&untouched, "Issuing").is_none(),
        "{:?}",
        untouched.status
    );
    operator.stop().await;
    nothing_was_forbidden(&scene);
}

#[tokio::test]
async fn servers_are_watched_for_its_namespaces_only() {
    let values = [
        "servedChecks.targets={127.0.0.1:*}",
        "acme.ownPods.enabled=false",
    ];
    let (mut scene, second) = limited("watching", &values).await;
    scene.watched = vec!["127.0.0.1:*".parse().unwrap()];
    let outside = scene.elsewhere("watching-outside").await;
    let operator = Operator::start(&scene).await;
    let root = root("Root");
    let server = serve(&signed(valid(), &root), &[]).await;
    for scene in [&outside, &scene, &second] {
        let spec = json!({ "caBundleSecretRef": { "name": "corp" } });
        let pem = root.pem();
        let data = [("ca.crt", pem.as_bytes())];
        scene.secret("corp", "Opaque", &data).await;
        watch(scene, "shop", &server.address, spec).await;
    }
    for scene in [&scene, &second] {
        says(scene, "shop", "Ready", ConditionStatus::True, "Valid").await;
    }
    let unwatched = outside.served_checks().get("shop").await.unwrap();
    assert_eq!(unwatched.status.unwrap().observed_generation, Some(-1));
    operator.stop().await;
    nothing_was_forbidden(&scene);
}

#[tokio::test]
async fn cluster_issuers_can_be_served_besides() {
    let (scene, second) = limited("besides", &["clusterIssuers=Enabled"]).await;
    let scene = Scene {
        serves_cluster_issuers: true,
        ..scene
    };
    let operator = Operator::start(&scene).await;
    // Their CA is in the operator's own namespace, where nothing else is looked after.
    let made = scene.elsewhere("besides-made").await;
    let from = Scene {
        namespace: scene.system.clone(),
        ..made
    };
    let ca = Made::ca(date(2060, 1, 1));
    let issuer = json!({
        "kind": "ClusterIssuer", "metadata": { "name": "corp" },
        "spec": { "ca": { "secretName": "corp" } },
    });
    scene.apply(&issuer).await;
    let spec = json!({ "dnsNames": ["x.example.com"], "issuerRef": { "name": "corp", "kind": "ClusterIssuer" } });
    second.certificate("web", spec).await;
    second.refused("web", "IssuerNotReady").await;
    ca.put(&from, "corp").await;
    second.ready("web").await;
    // Events about it are in `default`.
    eventually("it was told of", async || {
        let events = Api::<Event>::namespaced(scene.client.clone(), "default");
        let all = events.list(&ListParams::default()).await.unwrap();
        let told = all.iter().any(|event| {
            event.regarding.as_ref().is_some_and(|about| {
                about.api_version.as_deref() == Some(&scene.group.api_version())
            })
        });
        if told { Ok(()) } else { Err(String::new()) }
    })
    .await;
    operator.stop().await;
    nothing_was_forbidden(&scene);
}

#[tokio::test]
async fn it_is_ready_once_each_of_its_namespaces_was_read() {
    let (scene, second) = limited("late", &[]).await;
    // Whoever can't read everything must not decide anything.
    let bindings = second.api::<RoleBinding>();
    let mut binding = bindings.get(&scene.account).await.unwrap();
    bindings
        .delete(&scene.account, &DeleteParams::default())
        .await
        .unwrap();
    scene.apply_ca().await;
    let operator = Operator::begin(&scene, tower::layer::util::Identity::new()).await;
    eventually("it was refused", async || {
        let refused = scene.calls().into_iter().any(|call| call.code() == 403);
        if refused { Ok(()) } else { Err(String::new()) }
    })
    .await;
    let (code, text) = operator.get("/readyz").await;
    assert_eq!(code, 503, "{text}");
    assert!(scene.writes().is_empty(), "{:?}", scene.writes());
    binding.metadata.resource_version = None;
    bindings
        .create(&PostParams::default(), &binding)
        .await
        .unwrap();
    operator.ready().await;
    scene.issuer_says("ca", "True", "KeyPairVerified").await;
    operator.stop().await;
}

/// Two namespaces of one operator, with the rights that the chart gives for them with these values.
pub(crate) async fn limited(name: &str, values: &[&str]) -> (Scene<'static>, Scene<'static>) {
    let cluster: &ControlPlane = CLUSTER.start().await.unwrap();
    let group = Group::new(format!("{name}.example.org"), name);
    let mut scene = Scene::bare(cluster, group, name).await;
    scene.install_definitions().await;
    let mut second = scene.elsewhere(&format!("{name}-two")).await;
    let names = [scene.namespace.clone(), second.namespace.clone()];
    let manifests = rendered(cluster, &names.join(","), values).await;
    assert_eq!(
        manifests.contains("kind: ClusterRoleBinding"),
        values.contains(&"clusterIssuers=Enabled"),
        "only ClusterIssuers need rights in the whole cluster"
    );
    scene.permit(&manifests).await;
    for scene in [&mut scene, &mut second] {
        scene.scope = Scope::Namespaces(BTreeSet::from(names.clone()));
        scene.serves_cluster_issuers = false;
    }
    (scene, second)
}

/// The chart with these values, as Helm renders it.
async fn rendered(cluster: &ControlPlane, namespaces: &str, values: &[&str]) -> String {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/certwright");
    let mut helm = cluster.helm().unwrap();
    helm.args(["template", "certwright", chart, "--namespace", "certwright"]);
    helm.arg(format!("--set=watchNamespaces={{{namespaces}}}"));
    for value in values {
        helm.args(["--set", value]);
    }
    let output = helm.output().await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn nothing_was_forbidden(scene: &Scene<'_>) {
    let calls = scene.calls();
    assert!(!calls.is_empty());
    let forbidden = calls.iter().filter(|call| call.code() == 403);
    let forbidden: Vec<&str> = forbidden.map(|call| call.request_uri.as_str()).collect();
    assert_eq!(forbidden, [""; 0]);
}
