//! Certificates that name several issuers.

use certwright::clock::Clock as _;
use certwright_core::api::certificate::SignedBy;
use jiff::SignedDuration;
use serde_json::json;

use crate::harness::{Operator, Scene, condition};

fn hour() -> SignedDuration {
    SignedDuration::from_secs(3601)
}

#[tokio::test]
async fn a_fallback_signs_for_an_issuer_that_fails_and_the_next_renewal_asks_the_first() {
    let scene = Scene::new("fallback").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    let spec = json!({
        "dnsNames": ["web.example.com"],
        "issuerRef": { "name": "first" },
        "fallbackIssuerRefs": [{ "name": "ca" }],
    });
    scene.certificate("web", spec).await;
    scene.refused("web", "IssuerNotFound").await;
    // What is known of the failure outlives the operator that saw it.
    operator.stop().await;
    scene.clock.advance(hour());
    let operator = Operator::start(&scene).await;
    let web = scene.ready("web").await;
    let status = web.status.as_ref().unwrap();
    let why = Some("Issuer first does not exist".to_owned());
    let signed_by = |name: &str, why| SignedBy {
        kind: "Issuer".to_owned(),
        name: name.to_owned(),
        why,
    };
    assert_eq!(status.signed_by, Some(signed_by("ca", why)));
    assert_eq!(status.fallback, None);
    let name = scene.group.key("issuer-name");
    let held = scene.held("web-tls").await;
    assert_eq!(held.annotation(&name), Some("ca"));
    scene.tells("web", &["IssuerNotFound", "Issued"]).await;

    // The first is there, and what is held stays until its renewal: a mark of ours shows that the operator has looked.
    scene.issuer("first", json!({ "selfSigned": {} })).await;
    scene.issuer_says("first", "True", "Ready").await;
    let labels = json!({ "secretTemplate": { "labels": { "looked": "1" } } });
    scene.change("web", labels).await;
    let looked = scene
        .holds("web-tls", "labelled", |held| {
            held.label("looked") == Some("1")
        })
        .await;
    assert_eq!(looked.serial(), held.serial());
    assert_eq!(looked.annotation(&name), Some("ca"));

    let renewal = status.renewal_time.clone().unwrap().0;
    assert!(renewal > scene.clock.now());
    scene.clock.set(renewal + SignedDuration::from_secs(1));
    scene.touch("web").await;
    let renewed = scene.renewed(&web).await;
    let status = renewed.status.unwrap();
    assert_eq!(status.signed_by, Some(signed_by("first", None)));
    let held = scene.held("web-tls").await;
    assert!(held.leaf().is_self_signed());
    assert_eq!(held.annotation(&name), Some("first"));
    operator.stop().await;
}

#[tokio::test]
async fn a_certificate_that_nobody_can_sign_is_woken_by_the_fallback_that_can() {
    let scene = Scene::new("fallback-late").await;
    let operator = Operator::start(&scene).await;
    let spec = json!({
        "dnsNames": ["web.example.com"],
        "issuerRef": { "name": "first" },
        "fallbackIssuerRefs": [{ "name": "second" }, { "name": "third", "kind": "ClusterIssuer" }],
        "fallbackAfter": "30m",
    });
    scene.certificate("web", spec).await;
    scene.refused("web", "IssuerNotFound").await;
    scene.clock.advance(hour());
    scene.touch("web").await;
    let says = "None of the other issuers that the spec names can sign either.";
    scene
        .sees("web", says, |web| {
            condition(web, "Issuing").is_some_and(|issuing| issuing.message.ends_with(says))
        })
        .await;
    scene
        .apply(&json!({
            "kind": "ClusterIssuer", "metadata": { "name": "third" }, "spec": { "selfSigned": {} },
        }))
        .await;
    let web = scene.ready("web").await;
    let signed_by = web.status.unwrap().signed_by.unwrap();
    assert_eq!(
        (signed_by.kind.as_str(), signed_by.name.as_str()),
        ("ClusterIssuer", "third")
    );
    assert!(
        operator
            .metric("certwright_certificates_issued_total{issuer_kind=\"ClusterIssuer\"}")
            .await
            .is_some_and(|count| count > 0.0)
    );
    operator.stop().await;
}
