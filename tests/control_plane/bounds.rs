//! Names and lists as long as they may be.

use certwright_core::api::ConditionStatus;
use certwright_core::rollout::{Source, mark_key};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::DeleteParams;
use serde_json::json;

use crate::harness::{Operator, Scene, condition};

/// The longest name of an object.
const LONGEST: usize = 253;

#[tokio::test]
async fn the_longest_names_are_served_like_any_other() {
    let scene = Scene::new("longest").await;
    let operator = Operator::start(&scene).await;
    let [name, secret, issuer] = ["c", "s", "i"].map(|letter| letter.repeat(LONGEST));
    scene.issuer(&issuer, json!({ "selfSigned": {} })).await;
    let spec = json!({
        "secretName": secret,
        "issuerRef": { "name": issuer },
        "dnsNames": [dns_name(0)],
        "secretTemplate": { "labels": { "l".repeat(63): "v".repeat(63) } },
    });
    scene.certificate(&name, spec).await;
    let first = scene.ready(&name).await;
    let held = scene.held(&secret).await;
    assert_eq!(
        held.annotation(&scene.group.key("certificate-name")),
        Some(name.as_str())
    );
    assert_eq!(held.label(&"l".repeat(63)), Some("v".repeat(63).as_str()));
    scene.tells(&name, &["Issued"]).await;

    // A Deployment that reads it is marked, and rolled at a renewal.
    scene
        .apply(&json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": "web" },
            "spec": {
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": {
                        "containers": [{ "name": "web", "image": "example.com/web" }],
                        "volumes": [{ "name": "tls", "secret": { "secretName": secret } }],
                    },
                },
            },
        }))
        .await;
    let key = mark_key(&scene.group, &Source::secret(&secret));
    let says = |deployment: &Deployment, fingerprint: &str| {
        let template = deployment.spec.as_ref().unwrap().template.metadata.as_ref();
        [template, Some(&deployment.metadata)]
            .into_iter()
            .any(|metadata| {
                let annotations = metadata.and_then(|metadata| metadata.annotations.as_ref());
                annotations
                    .and_then(|all| all.get(&key))
                    .map(String::as_str)
                    == Some(fingerprint)
            })
    };
    let marked = held.leaf().fingerprint.to_string();
    scene
        .wait(&scene.api::<Deployment>(), "web", "marked", |web| {
            says(web, &marked)
        })
        .await;
    scene.renew(&name, "please").await;
    scene.renewed(&first).await;
    let renewed = scene.held(&secret).await.leaf().fingerprint.to_string();
    scene
        .wait(&scene.api::<Deployment>(), "web", "rolled", |web| {
            says(web, &renewed)
        })
        .await;
    scene.tells(&name, &["Issued", "Issued"]).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_thousand_of_the_longest_dns_names_are_issued_once() {
    let scene = Scene::new("thousand").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    let names: Vec<String> = (0..1000).map(dns_name).collect();
    scene.certificate("web", json!({ "dnsNames": names })).await;
    let web = scene.ready("web").await;
    let held = scene.held("web-tls").await;
    assert!(held.leaf().names.dns.iter().eq(&names));
    // Nobody lists a quarter of a megabyte in an annotation.
    assert_eq!(held.annotation(&scene.group.key("alt-names")), Some(""));
    // A name more or less is told without all the others.
    let fewer = &names[..999];
    scene.change("web", json!({ "dnsNames": fewer })).await;
    scene.renewed(&web).await;
    let told = scene.events("web").await;
    assert!(
        told.iter()
            .all(|event| event.note.as_ref().is_some_and(|note| note.len() <= 1024))
    );
    scene.tells("web", &["Issued", "Issued"]).await;
    operator.stop().await;
}

#[tokio::test]
async fn what_no_secret_can_hold_is_refused_in_a_condition_and_nobody_else_waits() {
    let scene = Scene::new("too-much").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    let uris: Vec<String> = (0..300)
        .map(|n| format!("https://example.com/{n:04}/{}", "u".repeat(2000)))
        .collect();
    let large = json!({ "uris": uris, "additionalOutputFormats": [{ "type": "CombinedPEM" }] });
    scene.certificate("large", large).await;
    let annotations: serde_json::Map<_, _> = (0..40)
        .map(|n| (format!("note-{n}"), "n".repeat(16_000).into()))
        .collect();
    let noted =
        json!({ "dnsNames": ["a.example.com"], "secretTemplate": { "annotations": annotations } });
    scene.certificate("noted", noted).await;
    for name in ["large", "noted"] {
        let refused = scene
            .says(name, "Issuing", ConditionStatus::False, "SecretRefused")
            .await;
        let message = &condition(&refused, "Issuing").unwrap().message;
        assert!(message.contains(&format!("{name}-tls")), "{message}");
        assert!(message.len() < 5000, "{}", message.len());
        scene.tells(name, &["SecretRefused"]).await;
    }
    scene
        .certificate("web", json!({ "dnsNames": ["web.example.com"] }))
        .await;
    scene.ready("web").await;
    scene
        .change("noted", json!({ "secretTemplate": null }))
        .await;
    scene.ready("noted").await;
    operator.stop().await;
}

#[tokio::test]
async fn a_request_by_hand_of_a_quarter_of_a_megabyte_is_told_in_short() {
    let scene = Scene::new("essay").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    scene.issuer("own", json!({ "selfSigned": {} })).await;
    let own = json!({ "dnsNames": ["own.example.com"], "issuerRef": { "name": "own" } });
    scene.certificate("own", own).await;
    scene.ready("own").await;
    let gone = DeleteParams::default();
    scene.issuers().delete("own", &gone).await.unwrap();
    let essay = "please ".repeat(35_000);
    for name in ["web", "own"] {
        scene.renew(name, &essay).await;
    }
    let web = scene.renewed(&web).await;
    let answered = web.status.unwrap().last_renew_request;
    assert_eq!(answered.as_deref(), Some(essay.as_str()));
    // What is in the way is said too, and quotes as much as there is room for.
    let own = scene
        .says("own", "Issuing", ConditionStatus::False, "IssuerNotFound")
        .await;
    let message = &condition(&own, "Issuing").unwrap().message;
    assert!(
        message.contains("please please") && message.len() < 5000,
        "{}",
        message.len()
    );
    scene.tells("own", &["Issued", "IssuerNotFound"]).await;
    operator.stop().await;
}

/// A name of 253 characters.
fn dns_name(n: usize) -> String {
    let label = "a".repeat(60);
    format!(
        "n{n:04}.{label}.{label}.{label}.{}.example.com",
        "b".repeat(52)
    )
}
