//! Objects of another schema, and Secrets that nobody could have meant: each hurts only itself.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certwright_core::api::{Certificate, ConditionStatus};
use jiff::SignedDuration;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use serde_json::{Value, json};

use crate::harness::{Operator, Scene, condition, eventually};

/// What the API server takes of a Secret's data, in bytes.
const MOST: usize = 1 << 20;

#[tokio::test]
async fn certificates_of_another_schema_are_told_of_once_and_hurt_nobody_else() {
    let scene = Scene::new("schema").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    loosen(&scene, "certificates").await;
    let raw = raw(&scene, "Certificate");
    let broken = of_another_schema();
    for (name, spec) in &broken {
        scene
            .apply(&json!({ "kind": "Certificate", "metadata": { "name": name }, "spec": spec }))
            .await;
    }
    // Looked at again and again, they are told of once.
    for count in 0..3 {
        for (name, _) in &broken {
            let touched = json!({ "test/touched": count.to_string() });
            merge(
                &raw,
                name,
                json!({ "metadata": { "annotations": touched } }),
            )
            .await;
        }
    }
    scene
        .certificate("after", json!({ "dnsNames": ["after.example.com"] }))
        .await;
    scene.ready("after").await;
    scene.renew("web", "please").await;
    scene.renewed(&web).await;
    for (name, _) in &broken {
        scene.tells(name, &["Unreadable"]).await;
    }
    let note = scene.events("older").await[0].note.clone().unwrap();
    assert!(note.contains("Expected a sequence"), "{note}");

    // They go without a word; what is corrected is served.
    raw.delete("newer", &DeleteParams::default()).await.unwrap();
    let corrected = json!({ "spec": { "dnsNames": ["one.example.com"] } });
    merge(&raw, "older", corrected).await;
    scene.ready("older").await;
    eventually("both are told, maybe of the same second", async || {
        let mut told = scene.event_reasons("older").await;
        told.sort();
        if told == ["Issued", "Unreadable"] {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        }
    })
    .await;
    scene.tells("newer", &["Unreadable"]).await;
    operator.stop().await;

    // So it is for an operator that finds them at its start.
    let operator = Operator::start(&scene).await;
    scene.tells("empty", &["Unreadable", "Unreadable"]).await;
    scene
        .change("after", json!({ "dnsNames": ["other.example.com"] }))
        .await;
    scene.ready("after").await;
    operator.stop().await;
}

#[tokio::test]
async fn what_a_certificate_held_stays_when_it_becomes_one_of_another_schema() {
    let scene = Scene::new("schema-held").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    let mut held = Vec::new();
    for name in ["spec", "status"] {
        let names = json!({ "dnsNames": ["kept.example.com"] });
        scene.certificate(name, names).await;
        scene.ready(name).await;
        held.push(scene.held(&format!("{name}-tls")).await.secret);
    }
    loosen(&scene, "certificates").await;
    let raw = raw(&scene, "Certificate");
    let names = |names: Value| json!({ "spec": { "dnsNames": names } });
    merge(&raw, "spec", names(json!("kept.example.com"))).await;
    let status = json!({ "status": { "conditions": "none" } });
    raw.patch_status("status", &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
    for name in ["spec", "status"] {
        scene.tells(name, &["Issued", "Unreadable"]).await;
    }

    merge(&raw, "spec", names(json!(["kept.example.com"]))).await;
    scene.ready("spec").await;
    for secret in held {
        let name = secret.metadata.name.as_deref().unwrap();
        assert_eq!(scene.api::<Secret>().get(name).await.unwrap(), secret);
    }
    operator.stop().await;
}

/// Specs that this version can't read, each for a Certificate of its own.
fn of_another_schema() -> [(&'static str, Value); 5] {
    let issuer = json!({ "name": "ca" });
    let older =
        json!({ "secretName": "older-tls", "issuerRef": issuer, "dnsNames": "one.example.com" });
    let algorithm = json!({ "algorithm": ["ML-DSA"] });
    let newer = json!({ "secretName": "newer-tls", "issuerRef": issuer, "privateKey": algorithm });
    [
        ("older", older),
        ("newer", newer),
        ("nameless", json!({ "dnsNames": ["nameless.example.com"] })),
        ("listed", json!(["spec"])),
        ("empty", Value::Null),
    ]
}

#[tokio::test]
async fn an_issuer_of_another_schema_is_told_of_and_its_certificates_keep_what_they_hold() {
    let scene = Scene::new("schema-issuer").await;
    let operator = Operator::start(&scene).await;
    scene.web().await;
    scene.issuer("own", json!({ "selfSigned": {} })).await;
    let own = json!({ "dnsNames": ["own.example.com"], "issuerRef": { "name": "own" } });
    scene.certificate("own", own).await;
    scene.ready("own").await;
    let held = scene.held("own-tls").await.secret;
    loosen(&scene, "issuers").await;
    merge(
        &raw(&scene, "Issuer"),
        "own",
        json!({ "spec": { "selfSigned": 7 } }),
    )
    .await;
    scene.tells("own", &["Issued", "Unreadable"]).await;

    scene.renew("own", "please").await;
    scene
        .says("own", "Issuing", ConditionStatus::False, "IssuerNotFound")
        .await;
    scene.ready("own").await;
    assert_eq!(scene.api::<Secret>().get("own-tls").await.unwrap(), held);
    scene
        .certificate("api", json!({ "dnsNames": ["api.example.com"] }))
        .await;
    scene.ready("api").await;
    operator.stop().await;
}

#[tokio::test]
async fn foreign_secrets_of_a_megabyte_are_never_read() {
    let scene = Scene::new("heavy").await;
    let pad = vec![b'x'; MOST];
    for n in 0..10 {
        scene
            .secret(&format!("heavy-{n}"), "Opaque", &[("pad", &pad)])
            .await;
    }
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    for n in 0..10 {
        let patch = json!({ "metadata": { "annotations": { "test/touched": "1" } } });
        scene.meddle(&format!("heavy-{n}"), patch).await;
    }
    scene.renew("web", "please").await;
    scene.renewed(&web).await;
    operator.stop().await;
    let read = scene.calls().into_iter().filter(|call| {
        let object = call.object_ref.clone().unwrap_or_default();
        call.verb == "get" && object.resource == "secrets" && object.name.starts_with("heavy")
    });
    assert_eq!(read.count(), 0);
}

#[tokio::test]
async fn a_secret_that_others_fill_up_is_renewed_while_there_is_room_and_says_so_when_there_is_none()
 {
    let scene = Scene::new("full").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;
    let held = scene.held("web-tls").await.secret;
    let size: usize = held.data.unwrap().values().map(|value| value.0.len()).sum();
    // A signature may come out a few octets longer.
    let pad = ByteString(vec![b'x'; MOST - size - 64]);
    scene
        .meddle("web-tls", json!({ "data": { "pad": pad } }))
        .await;

    scene.renew("web", "please").await;
    let web = scene.renewed(&web).await;
    let formats = json!([{ "type": "CombinedPEM" }]);
    scene
        .change("web", json!({ "additionalOutputFormats": formats }))
        .await;
    let refused = scene
        .says("web", "Issuing", ConditionStatus::False, "SecretRefused")
        .await;
    let message = &condition(&refused, "Issuing").unwrap().message;
    assert!(
        message.contains("web-tls") && message.contains("1048576"),
        "{message}"
    );
    // The pair is right all the same, and nobody else has to wait.
    let full = scene.ready("web").await;
    assert_eq!(serial(&full), serial(&web));
    scene
        .certificate("api", json!({ "dnsNames": ["api.example.com"] }))
        .await;
    scene.ready("api").await;
    let held = scene.held("web-tls").await;
    assert_eq!(held.data("pad").map(<[u8]>::len), Some(pad.0.len()));

    scene
        .meddle("web-tls", json!({ "data": { "pad": null } }))
        .await;
    scene.clock.advance(SignedDuration::from_mins(6));
    scene.touch("web").await;
    let held = scene
        .holds("web-tls", "the format", |held| {
            held.data("tls-combined.pem").is_some()
        })
        .await;
    assert_eq!(Some(held.serial()), serial(&web));
    operator.stop().await;
}

#[tokio::test]
async fn ten_thousand_blocks_and_deep_nesting_hurt_only_the_secret_they_are_in() {
    let scene = Scene::new("hostile").await;
    let operator = Operator::start(&scene).await;
    let mut web = scene.web().await;
    let many = block(&[7; 9]).repeat(10_000);
    let deep = block(&nested());
    for (what, text) in [("many blocks", &many), ("deep nesting", &deep)] {
        // Each time as if nothing had been for long.
        scene.clock.advance(SignedDuration::from_mins(11));
        let text = BASE64_STANDARD.encode(text);
        scene
            .meddle("web-tls", json!({ "data": { "tls.crt": &text } }))
            .await;
        web = scene.renewed(&web).await;

        scene.clock.advance(SignedDuration::from_mins(11));
        let ca = scene.held("web-tls").await.data("ca.crt").unwrap().to_vec();
        scene
            .meddle("web-tls", json!({ "data": { "ca.crt": &text } }))
            .await;
        let held = scene
            .holds("web-tls", what, |held| held.data("ca.crt") == Some(&*ca))
            .await;
        assert_eq!(Some(held.serial()), serial(&web), "{what}");
    }

    for (name, text) in [("many", &many), ("deep", &deep)] {
        let data = [("tls.crt", text.as_bytes()), ("tls.key", b"key")];
        scene.secret(name, "Opaque", &data).await;
        scene
            .issuer(name, json!({ "ca": { "secretName": name } }))
            .await;
        let message = scene.issuer_says(name, "False", "InvalidCertificate").await;
        assert!(message.len() < 500, "{message}");
        let spec = json!({ "dnsNames": ["a.example.com"], "issuerRef": { "name": name } });
        scene.certificate(name, spec).await;
        scene.refused(name, "IssuerNotReady").await;
    }
    scene
        .certificate("api", json!({ "dnsNames": ["api.example.com"] }))
        .await;
    scene.ready("api").await;
    operator.stop().await;
}

fn block(der: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

/// A hundred thousand sequences in each other.
fn nested() -> Vec<u8> {
    let mut reversed: Vec<u8> = Vec::new();
    for _ in 0..100_000 {
        let octets = u32::try_from(reversed.len()).unwrap().to_be_bytes();
        reversed.extend(octets.iter().rev());
        reversed.extend([0x84, 0x30]);
    }
    reversed.reverse();
    reversed
}

fn serial(certificate: &Certificate) -> Option<String> {
    certificate.status.as_ref()?.serial_number.clone()
}

/// The objects of a kind of ours, as whatever they are.
fn raw(scene: &Scene<'_>, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(scene.group.name(), "v1alpha1", kind);
    let resource = ApiResource::from_gvk(&kind);
    Api::namespaced_with(scene.client.clone(), &scene.namespace, &resource)
}

async fn merge(api: &Api<DynamicObject>, name: &str, patch: Value) {
    api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

/// Lets anything be stored as these, as if another version's definition had been there.
async fn loosen(scene: &Scene<'_>, plural: &str) {
    let definitions: Api<CustomResourceDefinition> = Api::all(scene.client.clone());
    let name = format!("{plural}.{}", scene.group.name());
    let mut definition = definitions.get(&name).await.unwrap();
    definition.spec.versions[0].selectable_fields = None;
    definition.spec.versions[0].schema = serde_json::from_value(json!({
        "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
    }))
    .unwrap();
    definitions
        .replace(&name, &PostParams::default(), &definition)
        .await
        .unwrap();
    let kind = if plural == "issuers" {
        "Issuer"
    } else {
        "Certificate"
    };
    eventually("the schema is a loose one", async || {
        let odd = json!({ "kind": kind, "metadata": { "name": "probe" }, "spec": 7 });
        scene
            .try_apply(&odd)
            .await
            .map_err(|problem| problem.to_string())
    })
    .await;
    raw(scene, kind)
        .delete("probe", &DeleteParams::default())
        .await
        .unwrap();
}
