//! Issuers: what they say, how they recover, and whose Secrets they read.

use jiff::civil::date;
use serde_json::json;

use crate::harness::{Made, Operator, Scene};

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
