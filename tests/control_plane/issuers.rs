//! Issuers: what they say, how they recover, and whose Secrets they read.

use jiff::civil::date;
use serde_json::{Value, json};

use crate::harness::{Made, Operator, Scene};

/// Applies a self-signed ClusterIssuer that serves these namespaces, and waits until the operator has seen it.
async fn serving(scene: &Scene<'_>, name: &str, namespaces: &[&str]) {
    let mut spec = json!({ "selfSigned": {} });
    if !namespaces.is_empty() {
        spec["allowedNamespaces"] = namespaces.into();
    }
    let issuer = json!({ "kind": "ClusterIssuer", "metadata": { "name": name }, "spec": spec });
    let applied = scene.apply(&issuer).await;
    let generation = applied.metadata.generation;
    let issuers = scene.cluster_issuers();
    scene
        .wait(&issuers, name, "seen", |issuer| {
            let status = issuer.status.as_ref();
            status.is_some_and(|status| status.observed_generation == generation)
        })
        .await;
}

fn by(issuer: &str, dns_name: &str) -> Value {
    json!({ "dnsNames": [dns_name], "issuerRef": { "name": issuer, "kind": "ClusterIssuer" } })
}

#[tokio::test]
async fn an_unusable_ca_says_why_once_and_recovers_by_itself() {
    let scene = Scene::new("unusable").await;
    let operator = Operator::start(&scene).await;
    scene
        .issuer("corp", json!({ "ca": { "secretName": "corp" } }))
        .await;
    let spec = json!({ "dnsNames": ["web.example.com"], "issuerRef": { "name": "corp" } });
    scene.certificate("web", spec).await;
    let message = scene.issuer_says("corp", "False", "SecretNotFound").await;
    assert!(
        message.contains(&format!("{}/corp", scene.namespace)),
        "{message}"
    );
    scene.refused("web", "IssuerNotReady").await;

    let far = date(2060, 1, 1);
    let good = Made::ca(far);
    let half = good.certificate[..good.certificate.len() / 2].to_owned();
    let cases = [
        ("Expired", Made::ca(date(2020, 1, 1))),
        ("NotACA", Made::leaf(far)),
        (
            "KeyDoesNotFit",
            Made {
                key: Made::ca(far).key,
                ..good.clone()
            },
        ),
        (
            "InvalidKey",
            Made {
                key: "not a key".to_owned(),
                ..good.clone()
            },
        ),
        (
            "InvalidCertificate",
            Made {
                certificate: half,
                ..good.clone()
            },
        ),
    ];
    let mut told = vec!["SecretNotFound"];
    for (reason, made) in cases {
        made.put(&scene, "corp").await;
        let message = scene.issuer_says("corp", "False", reason).await;
        assert!(
            message.contains(&format!("{}/corp", scene.namespace)),
            "{message}"
        );
        told.push(reason);
        // The Certificate repeats what the issuer says of itself.
        scene
            .sees("web", reason, |web| {
                crate::harness::condition(web, "Ready")
                    .is_some_and(|ready| ready.message.contains(message.trim_end_matches('.')))
            })
            .await;
    }
    good.put(&scene, "corp").await;
    scene.issuer_says("corp", "True", "KeyPairVerified").await;
    scene.ready("web").await;
    scene.tells("corp", &told).await;
    scene.tells("web", &["IssuerNotReady", "Issued"]).await;
    operator.stop().await;
}

#[tokio::test]
async fn issuers_read_secrets_of_their_own_namespace_only() {
    let scene = Scene::new("tenants").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    // Somebody in another namespace names the same Secret.
    let other = scene.elsewhere("tenants-other").await;
    other
        .issuer("ca", json!({ "ca": { "secretName": "root" } }))
        .await;
    let message = other.issuer_says("ca", "False", "SecretNotFound").await;
    assert!(
        message.contains(&format!("{}/root", other.namespace)),
        "{message}"
    );

    // A ClusterIssuer reads in the operator's namespace, whoever uses it.
    scene
        .apply(&json!({
            "kind": "ClusterIssuer",
            "metadata": { "name": "corp" },
            "spec": { "ca": { "secretName": "root" } },
        }))
        .await;
    let spec = json!({
        "dnsNames": ["web.example.com"],
        "issuerRef": { "name": "corp", "kind": "ClusterIssuer" },
    });
    other.certificate("web", spec).await;
    let message = other.refused("web", "IssuerNotReady").await;
    assert!(
        message.contains(&format!("{}/root", scene.system)),
        "{message}"
    );
    let system = Scene {
        namespace: scene.system.clone(),
        ..scene
    };
    Made::ca(date(2060, 1, 1)).put(&system, "root").await;
    other.ready("web").await;
    let annotation = other.group.key("issuer-kind");
    let held = other.held("web-tls").await;
    assert_eq!(held.annotation(&annotation), Some("ClusterIssuer"));
    operator.stop().await;
}

#[tokio::test]
async fn a_cluster_issuer_serves_the_namespaces_that_it_lists_and_no_other() {
    let scene = Scene::new("served").await;
    let operator = Operator::start(&scene).await;
    let other = scene.elsewhere("served-other").await;
    let (here, there) = (scene.namespace.as_str(), other.namespace.as_str());
    serving(&scene, "corp", &[here]).await;
    scene
        .certificate("web", by("corp", "web.example.com"))
        .await;
    other
        .certificate("web", by("corp", "web.example.com"))
        .await;
    scene.ready("web").await;
    let message = other.refused("web", "IssuerNotAllowed").await;
    let says = format!("ClusterIssuer corp does not serve namespace {there}");
    assert!(message.starts_with(&says), "{message}");

    serving(&scene, "corp", &[here, there]).await;
    other.ready("web").await;
    other.tells("web", &["IssuerNotAllowed", "Issued"]).await;
    let held = other.held("web-tls").await;

    // What is held stays and is kept in order, and nothing else is issued.
    serving(&scene, "corp", &[here]).await;
    let labels = json!({ "secretTemplate": { "labels": { "looked": "1" } } });
    other.change("web", labels).await;
    let looked = other
        .holds("web-tls", "labelled", |held| {
            held.label("looked") == Some("1")
        })
        .await;
    assert_eq!(looked.serial(), held.serial());
    other.ready("web").await;
    other.change("web", by("corp", "www.example.com")).await;
    other.refused("web", "IssuerNotAllowed").await;
    assert_eq!(other.held("web-tls").await.serial(), held.serial());

    // Without a list it serves all.
    serving(&scene, "corp", &[]).await;
    other.ready("web").await;
    assert_ne!(other.held("web-tls").await.serial(), held.serial());
    operator.stop().await;
}
