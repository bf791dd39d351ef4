//! Issuers: what they say, how they recover, and whose Secrets they read.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use serde_json::json;

use crate::harness::{Operator, Scene};

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

    let (good, key) = certificate(true, 2060);
    let (expired, expired_key) = certificate(true, 2020);
    let (leaf, leaf_key) = certificate(false, 2060);
    let (_, other_key) = certificate(true, 2060);
    let cases = [
        ("Expired", &expired, &expired_key),
        ("NotACA", &leaf, &leaf_key),
        ("KeyDoesNotFit", &good, &other_key),
        ("InvalidKey", &good, &"not a key".to_owned()),
        (
            "InvalidCertificate",
            &good[..good.len() / 2].to_owned(),
            &key,
        ),
    ]
    .map(|(reason, certificate, key)| (reason, certificate.clone(), key.clone()));
    let mut told = vec!["SecretNotFound"];
    for (reason, certificate, key) in &cases {
        put(&scene, certificate, key).await;
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
    put(&scene, &good, &key).await;
    scene.issuer_says("corp", "True", "KeyPairVerified").await;
    scene.ready("web").await;
    assert_eq!(scene.event_reasons("corp").await, told);
    assert_eq!(
        scene.event_reasons("web").await,
        ["IssuerNotReady", "Issued"]
    );
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
    let (certificate, key) = certificate(true, 2060);
    let system = Scene {
        namespace: scene.system.clone(),
        ..scene
    };
    let data = [
        ("tls.crt", certificate.as_bytes()),
        ("tls.key", key.as_bytes()),
    ];
    system.secret("root", "kubernetes.io/tls", &data).await;
    other.ready("web").await;
    let annotation = other.group.key("issuer-kind");
    let held = other.held("web-tls").await;
    assert_eq!(held.annotation(&annotation), Some("ClusterIssuer"));
    operator.stop().await;
}

async fn put(scene: &Scene<'_>, certificate: &str, key: &str) {
    let data = [
        ("tls.crt", certificate.as_bytes()),
        ("tls.key", key.as_bytes()),
    ];
    scene.secret("corp", "kubernetes.io/tls", &data).await;
}

/// A self-signed certificate valid until that year, and its key, made with other people's code.
fn certificate(is_ca: bool, until: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::default();
    parameters
        .distinguished_name
        .push(DnType::CommonName, "Corp CA");
    parameters.not_before = date_time_ymd(2019, 1, 1);
    parameters.not_after = date_time_ymd(until, 1, 1);
    if is_ca {
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let certificate = parameters.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}
