//! What may be seen, and what may not.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certwright_core::api::certificate::KeyEncoding;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use crate::harness::{Operator, Scene, eventually};

#[tokio::test]
async fn metrics_tell_of_each_certificate_and_forget_those_that_went() {
    let scene = Scene::new("metrics").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await.status.unwrap();
    let labels = format!("{{namespace=\"{}\",name=\"web\"", scene.namespace);
    let metric =
        async |name: &str, more: &str| operator.metric(&format!("{name}{labels}{more}}}")).await;
    let seconds = |time: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.map(|time| time.0.as_second() as f64)
    };
    let prefix = "certwright_certificate";
    assert_eq!(
        metric(&format!("{prefix}_not_after_timestamp_seconds"), "").await,
        seconds(web.not_after)
    );
    assert_eq!(
        metric(&format!("{prefix}_renewal_timestamp_seconds"), "").await,
        seconds(web.renewal_time)
    );
    for (status, value) in [("True", 1.0), ("False", 0.0), ("Unknown", 0.0)] {
        let more = format!(",condition=\"{status}\"");
        assert_eq!(
            metric(&format!("{prefix}_ready"), &more).await,
            Some(value),
            "{status}"
        );
    }
    let left = metric("ssl_certificate_expiry", "").await.unwrap();
    let day = 86_400.0;
    assert!((89.0 * day..=90.0 * day).contains(&left), "{left}");

    scene
        .certificates()
        .delete("web", &Default::default())
        .await
        .unwrap();
    eventually("its series are gone", async || {
        match metric("ssl_certificate_expiry", "").await {
            None => Ok(()),
            some => Err(format!("{some:?}")),
        }
    })
    .await;
    operator.stop().await;
}

#[tokio::test]
async fn no_key_is_told_in_events_and_statuses() {
    let scene = Scene::new("secrecy").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let formats = json!([{ "type": "DER" }, { "type": "CombinedPEM" }]);
    scene
        .change("web", json!({ "additionalOutputFormats": formats }))
        .await;
    scene
        .holds("web-tls", "formats", |held| held.data("key.der").is_some())
        .await;
    let mut keys = vec![
        scene.held("web-tls").await.key,
        scene.held("root").await.key,
    ];
    // What is broken is told of too: a certificate with the key in its place.
    let key = scene
        .held("web-tls")
        .await
        .data("tls.key")
        .unwrap()
        .to_vec();
    scene
        .meddle(
            "web-tls",
            json!({ "data": { "tls.crt": BASE64_STANDARD.encode(&key) } }),
        )
        .await;
    scene.renewed(&web).await;
    keys.push(scene.held("web-tls").await.key);
    scene
        .secret(
            "corp",
            "kubernetes.io/tls",
            &[("tls.crt", &key), ("tls.key", b"broken")],
        )
        .await;
    scene
        .issuer("corp", json!({ "ca": { "secretName": "corp" } }))
        .await;
    scene
        .issuer_says("corp", "False", "InvalidCertificate")
        .await;
    operator.stop().await;

    let all = ListParams::default();
    let events = Api::<Event>::all(scene.client.clone())
        .list(&all)
        .await
        .unwrap();
    let certificates = scene.certificates().list(&all).await.unwrap();
    let issuers = scene.issuers().list(&all).await.unwrap();
    assert!(events.items.len() > 3);
    let told = [
        serde_json::to_string(&events).unwrap(),
        serde_json::to_string(&certificates).unwrap(),
        serde_json::to_string(&issuers).unwrap(),
    ]
    .concat();
    assert!(!told.contains("PRIVATE KEY"));
    for key in keys {
        // The last part of a key in DER is its secret, or what follows it.
        let der = key.to_der(KeyEncoding::Pkcs8);
        for skipped in 0..3 {
            let text = BASE64_STANDARD.encode(&der[36 + skipped..60 + skipped]);
            assert!(!told.contains(&text));
        }
    }
}
