//! Renewals: in time, by hand, failing, and switched off.

use certwright::clock::Clock as _;
use certwright_core::api::ConditionStatus;
use jiff::SignedDuration;
use serde_json::json;

use crate::harness::{Operator, Recorder, Scene, condition};

#[tokio::test]
async fn a_due_certificate_is_renewed_and_stays_ready() {
    let scene = Scene::new("due").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let before = scene.held("web-tls").await;
    let recorder = Recorder::start(&scene, "web").await;

    let renewal = web.status.as_ref().unwrap().renewal_time.clone().unwrap().0;
    scene.clock.set(renewal + SignedDuration::from_secs(1));
    scene.touch("web").await;
    let renewed = scene.renewed(&web).await;

    let after = scene.held("web-tls").await;
    let status = renewed.status.unwrap();
    assert_eq!(status.serial_number, Some(after.serial()));
    assert_eq!(status.revision, Some(2));
    assert!(after.leaf().not_after > before.leaf().not_after);
    assert_ne!(after.key.public(), before.key.public(), "the key is new");
    scene.tells("web", &["Issued", "Issued"]).await;
    for seen in recorder.stop() {
        let ready = condition(&seen, "Ready").unwrap();
        assert_eq!(ready.status, ConditionStatus::True, "{ready:?}");
    }
    operator.stop().await;
}

#[tokio::test]
async fn each_request_by_hand_acts_once_and_not_too_soon() {
    let scene = Scene::new("by-hand").await;
    let operator = Operator::start(&scene).await;
    let first = scene.web().await;

    scene.renew("web", "one").await;
    let second = scene.renewed(&first).await;
    let status = second.status.clone().unwrap();
    assert_eq!(status.last_renew_request.as_deref(), Some("one"));
    assert_eq!(status.revision, Some(2));

    // The label shows that the operator has looked since.
    scene.renew("web", "two").await;
    scene
        .change(
            "web",
            json!({ "secretTemplate": { "labels": { "looked": "1" } } }),
        )
        .await;
    let held = scene
        .holds("web-tls", "labelled", |held| {
            held.label("looked") == Some("1")
        })
        .await;
    assert_eq!(Some(held.serial()), status.serial_number, "it is too soon");

    scene.clock.advance(SignedDuration::from_mins(6));
    scene.touch("web").await;
    let third = scene.renewed(&second).await.status.unwrap();
    assert_eq!(third.last_renew_request.as_deref(), Some("two"));

    // Long after: the same text does not act again.
    scene.clock.advance(SignedDuration::from_hours(1));
    scene
        .change(
            "web",
            json!({ "secretTemplate": { "labels": { "looked": "2" } } }),
        )
        .await;
    let held = scene
        .holds("web-tls", "labelled", |held| {
            held.label("looked") == Some("2")
        })
        .await;
    assert_eq!(Some(held.serial()), third.serial_number);
    operator.stop().await;
}

#[tokio::test]
async fn a_failing_renewal_leaves_the_secret_alone_until_the_cause_is_gone() {
    let scene = Scene::new("failing").await;
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
    let renewal = web.status.as_ref().unwrap().renewal_time.clone().unwrap().0;
    scene.clock.set(renewal + SignedDuration::from_secs(1));
    scene.touch("web").await;
    let stuck = scene
        .says("web", "Issuing", ConditionStatus::False, "IssuerNotReady")
        .await;
    let ready = condition(&stuck, "Ready").unwrap();
    assert_eq!(ready.status, ConditionStatus::True, "{ready:?}");
    assert_eq!(scene.held("web-tls").await.secret, before);

    scene.copy_secret("root", "corp").await;
    scene.renewed(&web).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_certificate_that_does_not_renew_expires_and_is_renewed_by_hand_only() {
    let scene = Scene::new("disabled").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    let spec = json!({ "dnsNames": ["web.example.com"], "renewal": { "policy": "Disabled" } });
    scene.certificate("web", spec).await;
    let web = scene.ready("web").await;
    let status = web.status.clone().unwrap();
    assert_eq!(status.renewal_time, None);

    let end = status.not_after.unwrap().0;
    scene.clock.set(end + SignedDuration::from_secs(2));
    scene.touch("web").await;
    let message = scene.refused("web", "Expired").await;
    assert!(message.contains(&end.to_string()), "{message}");
    assert_eq!(
        Some(scene.held("web-tls").await.serial()),
        status.serial_number
    );

    scene.renew("web", "now").await;
    let renewed = scene.renewed(&web).await;
    let end = renewed.status.unwrap().not_after.unwrap().0;
    assert!(end > scene.clock.now());
    operator.stop().await;
}
