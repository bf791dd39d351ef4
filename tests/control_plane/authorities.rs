//! A CA's own life: chains, its last days, and its replacement.

use certwright::clock::Clock as _;
use certwright_core::api::ConditionStatus;
use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan as _};
use serde_json::json;

use crate::harness::{Held, Made, Operator, Scene, condition, eventually};

#[tokio::test]
async fn an_intermediate_goes_with_the_leaf_and_the_root_into_ca_crt() {
    let scene = Scene::new("chain").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    let spec = json!({ "secretName": "middle", "isCA": true, "commonName": "Middle" });
    scene.certificate("middle", spec).await;
    scene
        .issuer("middle", json!({ "ca": { "secretName": "middle" } }))
        .await;
    let spec = json!({ "dnsNames": ["web.example.com"], "issuerRef": { "name": "middle" } });
    scene.certificate("web", spec).await;
    scene.ready("web").await;

    let (root, middle) = (scene.held("root").await, scene.held("middle").await);
    let held = scene.held("web-tls").await;
    assert!(held.leaf().is_signed_by(middle.leaf()));
    assert_eq!(held.chain[1..], middle.chain);
    assert_eq!(held.ca, root.chain);
    assert!(held.leaf().not_after <= middle.leaf().not_after);
    operator.stop().await;
}

#[tokio::test]
async fn a_replaced_ca_is_trusted_first_and_followed_later() {
    let scene = Scene::new("replaced").await;
    let operator = Operator::start(&scene).await;
    let far = date(2060, 1, 1);
    Made::ca(far).put(&scene, "corp").await;
    scene
        .issuer("corp", json!({ "ca": { "secretName": "corp" } }))
        .await;
    let spec = json!({ "dnsNames": ["web.example.com"], "issuerRef": { "name": "corp" } });
    scene.certificate("web", spec).await;
    let web = scene.ready("web").await;
    let before = scene.held("web-tls").await;

    Made::ca(far).put(&scene, "corp").await;
    let both = scene
        .holds("web-tls", "both roots", |held| held.ca.len() == 2)
        .await;
    assert_eq!(both.serial(), before.serial());
    assert!(both.ca.contains(&before.ca[0]));
    scene.ready("web").await;

    scene.clock.advance(SignedDuration::from_mins(61));
    scene.touch("web").await;
    let renewed = scene.renewed(&web).await;
    let issued = condition(&renewed, "Ready").unwrap();
    assert_eq!(issued.status, ConditionStatus::True);
    let new = |held: &Held| held.ca.iter().find(|ca| **ca != before.ca[0]).cloned();
    let held = scene.held("web-tls").await;
    assert!(held.leaf().is_signed_by(&new(&held).unwrap()));

    // The label shows that the operator has looked, and so seen that no old certificate is held.
    let labels = json!({ "looked": "1" });
    let change = json!({ "secretTemplate": { "labels": labels } });
    scene.change("web", change).await;
    scene
        .holds("web-tls", "looked at", |held| {
            held.label("looked") == Some("1")
        })
        .await;
    scene.clock.advance(SignedDuration::from_mins(61));
    scene.touch("web").await;
    let held = scene
        .holds("web-tls", "the new root only", |held| held.ca.len() == 1)
        .await;
    assert_eq!(Some(held.ca[0].clone()), new(&held));
    assert_eq!(renewed.status.unwrap().serial_number, Some(held.serial()));
    operator.stop().await;
}

#[tokio::test]
async fn in_the_last_days_of_a_ca_few_certificates_are_issued_and_it_is_said() {
    let scene = Scene::new("last-days").await;
    let operator = Operator::start(&scene).await;
    let end = scene.clock.now().to_zoned(TimeZone::UTC).date() + 30.days();
    Made::ca(end).put(&scene, "corp").await;
    scene
        .issuer("corp", json!({ "ca": { "secretName": "corp" } }))
        .await;
    let spec = json!({ "dnsNames": ["web.example.com"], "issuerRef": { "name": "corp" } });
    scene.certificate("web", spec).await;
    scene.ready("web").await;

    // One day before its end at last; each time the label shows that the operator has looked.
    for day in (2..=28).step_by(2) {
        scene.clock.advance(SignedDuration::from_hours(48));
        let day = day.to_string();
        let template = json!({ "secretTemplate": { "labels": { "day": &day } } });
        scene.change("web", template).await;
        scene
            .holds("web-tls", &day, |held| held.label("day") == Some(&day))
            .await;
    }
    let web = scene
        .says("web", "LimitedByCA", ConditionStatus::True, "CANearItsEnd")
        .await;
    let ready = condition(&web, "Ready").unwrap();
    assert_eq!(ready.status, ConditionStatus::True, "{ready:?}");
    assert!(web.status.as_ref().unwrap().revision.unwrap() <= 3);
    eventually("it is told", async || {
        let told = scene.event_reasons("web").await;
        let is_told = told.iter().any(|reason| reason == "CANearItsEnd");
        if is_told {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        }
    })
    .await;

    // A CA that lives on lifts it.
    let corp = scene.held("web-tls").await.ca[0].clone();
    Made::ca(date(2060, 1, 1)).put(&scene, "corp").await;
    scene
        .holds("web-tls", "both roots", |held| {
            held.ca.len() == 2 && held.ca.contains(&corp)
        })
        .await;
    scene.clock.advance(SignedDuration::from_hours(2));
    scene.touch("web").await;
    let renewed = scene.renewed(&web).await;
    assert!(condition(&renewed, "LimitedByCA").is_none());
    operator.stop().await;
}
