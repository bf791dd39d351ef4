//! What costs a new certificate.

use certwright_core::api::ConditionStatus;
use jiff::SignedDuration;
use k8s_openapi::ByteString;
use serde_json::json;

use crate::harness::{Operator, Recorder, Scene, reads};

#[tokio::test]
async fn ready_never_passes_with_the_old_names() {
    let scene = Scene::new("changed").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let recorder = Recorder::start(&scene, "web").await;

    scene
        .change("web", json!({ "dnsNames": ["new.example.com"] }))
        .await;
    let changed = scene.renewed(&web).await;

    let held = scene.held("web-tls").await;
    let names: Vec<_> = held.leaf().names.dns.iter().collect();
    assert_eq!(names, ["new.example.com"]);
    let new = changed.status.as_ref().unwrap().fingerprint.clone();
    for seen in recorder.stop() {
        let passes = reads(&seen, "Ready", ConditionStatus::True, "Ready");
        if passes && seen.spec.dns_names == ["new.example.com"] {
            assert_eq!(seen.status.unwrap().fingerprint, new);
        }
    }
    operator.stop().await;
}

#[tokio::test]
async fn a_change_that_can_not_be_issued_says_what_still_works() {
    let scene = Scene::new("stuck").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    scene.copy_secret("root", "corp").await;
    scene
        .issuer("corp", json!({ "ca": { "secretName": "corp" } }))
        .await;
    let spec = json!({ "dnsNames": ["web.example.com"], "issuerRef": { "name": "corp" } });
    scene.certificate("web", spec).await;
    let web = scene.ready("web").await;
    let before = scene.held("web-tls").await.secret;
    scene.delete_secret("corp").await;
    scene.issuer_says("corp", "False", "SecretNotFound").await;

    scene
        .change("web", json!({ "dnsNames": ["new.example.com"] }))
        .await;
    let message = scene.refused("web", "IssuerNotReady").await;
    let until = web
        .status
        .as_ref()
        .unwrap()
        .not_after
        .clone()
        .unwrap()
        .0
        .to_string();
    assert!(message.contains(&until), "{message}");
    assert_eq!(scene.held("web-tls").await.secret, before);

    scene.copy_secret("root", "corp").await;
    scene.renewed(&web).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_damaged_secret_gets_a_new_certificate() {
    let scene = Scene::new("damaged").await;
    let operator = Operator::start(&scene).await;
    let mut web = scene.web().await;
    let other = scene.held("root").await;
    let whole = scene.held("web-tls").await;
    let half = whole.data("tls.crt").unwrap();
    let half = ByteString(half[..half.len() / 2].to_vec());
    let other = ByteString(other.data("tls.key").unwrap().to_vec());

    for damage in [
        json!({ "tls.crt": half }),
        json!({ "tls.crt": "" }),
        json!({ "tls.key": other }),
        json!({ "tls.key": "" }),
    ] {
        // Long enough after the last for nobody to be at odds.
        scene.clock.advance(SignedDuration::from_mins(11));
        scene.meddle("web-tls", json!({ "data": damage })).await;
        web = scene.renewed(&web).await;
        scene.held("web-tls").await;
    }
    scene.clock.advance(SignedDuration::from_mins(11));
    scene.delete_secret("web-tls").await;
    web = scene.renewed(&web).await;
    let held = scene.held("web-tls").await;
    assert_eq!(web.status.as_ref().unwrap().revision, Some(6));
    assert_eq!(
        held.annotation(&scene.group.key("revision")),
        Some("6"),
        "the count outlives the Secret"
    );
    scene.tells("web", &["Issued"; 6]).await;
    operator.stop().await;
}
