//! What is put right without a new certificate.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certwright_core::api::ConditionStatus;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::harness::{Held, Operator, Scene, condition};

#[tokio::test]
async fn what_others_change_around_the_pair_is_put_right() {
    let scene = Scene::new("repair").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    let spec = json!({
        "dnsNames": ["web.example.com"],
        "secretTemplate": { "labels": { "team": "shop" } },
        "additionalOutputFormats": [{ "type": "DER" }, { "type": "CombinedPEM" }],
    });
    scene.certificate("web", spec).await;
    scene.ready("web").await;
    let whole = scene.held("web-tls").await;
    let key = |name: &str| scene.group.key(name);
    let theirs = json!({
        "metadata": { "labels": { "theirs": "1" }, "annotations": { "their/note": "1" } },
        "data": { "their.txt": BASE64_STANDARD.encode("keep me") },
    });
    scene.meddle("web-tls", theirs).await;

    let as_it_was = |held: &Held| {
        held.label(&key("managed")) == Some("true")
            && held.label("team") == Some("shop")
            && held.annotation(&key("issuer-name")) == Some("ca")
            && held.annotation(&key("certificate-name")) == Some("web")
            && [
                "tls.crt",
                "tls.key",
                "ca.crt",
                "key.der",
                "tls-combined.pem",
            ]
            .iter()
            .all(|name| held.data(name) == whole.data(name))
    };
    let damages: [(&str, Value); 8] = [
        (
            "our label",
            json!({ "metadata": { "labels": { key("managed"): null } } }),
        ),
        (
            "a label of the template",
            json!({ "metadata": { "labels": { "team": "other" } } }),
        ),
        (
            "an annotation",
            json!({ "metadata": { "annotations": { key("issuer-name"): "x" } } }),
        ),
        (
            "the owner's name",
            json!({ "metadata": { "annotations": { key("certificate-name"): null } } }),
        ),
        ("ca.crt", json!({ "data": { "ca.crt": "" } })),
        (
            "key.der",
            json!({ "data": { "key.der": BASE64_STANDARD.encode("damaged") } }),
        ),
        ("key.der", json!({ "data": { "key.der": null } })),
        (
            "tls-combined.pem",
            json!({ "data": { "tls-combined.pem": "" } }),
        ),
    ];
    let count = damages.len();
    for (what, damage) in damages {
        scene.clock.advance(SignedDuration::from_mins(11));
        scene.meddle("web-tls", damage).await;
        let held = scene.holds("web-tls", what, as_it_was).await;
        assert_eq!(held.serial(), whole.serial(), "{what}");
        assert_eq!(held.label("theirs"), Some("1"), "{what}");
        assert_eq!(held.annotation("their/note"), Some("1"), "{what}");
        assert_eq!(
            held.data("their.txt"),
            Some(b"keep me".as_slice()),
            "{what}"
        );
    }
    operator.stop().await;
    let mut told = vec!["Issued"];
    told.resize(count + 1, "Repaired");
    scene.tells("web", &told).await;
}

#[tokio::test]
async fn a_changed_form_is_followed_without_a_new_certificate() {
    let scene = Scene::new("form").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let serial = web.status.unwrap().serial_number.unwrap();
    let begins = |held: &Held, text: &str| {
        held.data("tls.key")
            .is_some_and(|key| key.starts_with(text.as_bytes()))
    };

    scene
        .change("web", json!({ "privateKey": { "encoding": "PKCS1" } }))
        .await;
    scene
        .holds("web-tls", "SEC1", |held| {
            begins(held, "-----BEGIN EC PRIVATE KEY")
        })
        .await;
    let formats = json!([{ "type": "DER" }, { "type": "CombinedPEM" }]);
    scene
        .change("web", json!({ "additionalOutputFormats": formats }))
        .await;
    let held = scene
        .holds("web-tls", "formats", |held| held.data("key.der").is_some())
        .await;
    assert!(held.data("tls-combined.pem").is_some());
    scene
        .change(
            "web",
            json!({ "privateKey": { "encoding": "PKCS8" }, "additionalOutputFormats": null }),
        )
        .await;
    let held = scene
        .holds("web-tls", "PKCS#8 without formats", |held| {
            begins(held, "-----BEGIN PRIVATE KEY") && held.data("key.der").is_none()
        })
        .await;
    assert_eq!(held.data("tls-combined.pem"), None);

    let template = json!({ "labels": { "a": "1", "b": "1" }, "annotations": { "note": "1" } });
    scene
        .change("web", json!({ "secretTemplate": template }))
        .await;
    scene
        .holds("web-tls", "template", |held| {
            (held.label("a"), held.label("b"), held.annotation("note"))
                == (Some("1"), Some("1"), Some("1"))
        })
        .await;
    scene
        .meddle(
            "web-tls",
            json!({ "metadata": { "labels": { "theirs": "1" } } }),
        )
        .await;
    let template = json!({ "labels": { "b": null }, "annotations": { "note": null } });
    scene
        .change("web", json!({ "secretTemplate": template }))
        .await;
    let held = scene
        .holds("web-tls", "what was taken out is gone", |held| {
            (held.label("a"), held.label("b"), held.annotation("note")) == (Some("1"), None, None)
        })
        .await;
    assert_eq!(held.label("theirs"), Some("1"));

    let web = scene.ready("web").await.status.unwrap();
    assert_eq!(held.serial(), serial);
    assert_eq!((web.serial_number, web.revision), (Some(serial), Some(1)));
    operator.stop().await;
}

#[tokio::test]
async fn whoever_changes_it_back_again_is_named() {
    let scene = Scene::new("contest").await;
    let operator = Operator::start(&scene).await;
    scene.web().await;
    let key = scene.group.key("issuer-name");
    for text in ["one", "two"] {
        scene
            .meddle(
                "web-tls",
                json!({ "metadata": { "annotations": { &key: text } } }),
            )
            .await;
        scene
            .holds("web-tls", "repaired", |held| {
                held.annotation(&key) == Some("ca")
            })
            .await;
    }
    let web = scene
        .says("web", "Issuing", ConditionStatus::False, "Contested")
        .await;
    let message = &condition(&web, "Issuing").unwrap().message;
    assert!(message.contains("\"meddler\""), "{message}");
    scene.ready("web").await;
    operator.stop().await;
}

#[tokio::test]
async fn what_was_changed_while_nobody_looked_is_put_right() {
    let scene = Scene::new("absent").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    scene
        .certificate("api", json!({ "dnsNames": ["api.example.com"] }))
        .await;
    let api = scene.ready("api").await;
    operator.stop().await;
    let label = scene.group.key("managed");
    let damage = json!({ "metadata": { "labels": { &label: null } }, "data": { "ca.crt": "" } });
    scene.meddle("web-tls", damage).await;
    scene.delete_secret("api-tls").await;

    let operator = Operator::start(&scene).await;
    let held = scene
        .holds("web-tls", "repaired", |held| held.label(&label).is_some())
        .await;
    assert_eq!(Some(held.serial()), web.status.unwrap().serial_number);
    scene.renewed(&api).await;
    operator.stop().await;
}

#[tokio::test]
async fn an_immutable_secret_is_kept_while_it_is_right_and_replaced_once_deleted() {
    let scene = Scene::new("immutable").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    scene.meddle("web-tls", json!({ "immutable": true })).await;
    scene.touch("web").await;

    scene
        .change("web", json!({ "dnsNames": ["new.example.com"] }))
        .await;
    let message = scene.refused("web", "ImmutableSecret").await;
    assert!(message.contains("Delete it"), "{message}");
    let held = scene.held("web-tls").await;
    assert_eq!(
        Some(held.serial()),
        web.status.as_ref().unwrap().serial_number
    );
    scene.delete_secret("web-tls").await;
    scene.renewed(&web).await;
    scene
        .tells("web", &["Issued", "ImmutableSecret", "Issued"])
        .await;
    operator.stop().await;
}
