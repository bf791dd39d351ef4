//! Secrets that are somebody else's, and issuers that are not there.

use certwright_core::api::{Certificate, ConditionStatus};
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use serde_json::json;

use crate::harness::{Operator, Scene, eventually};

#[tokio::test]
async fn a_foreign_secret_is_refused_until_it_goes() {
    let scene = Scene::new("foreign").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    scene
        .secret("web-tls", "Opaque", &[("password", b"hunter2")])
        .await;
    let before = scene.api::<Secret>().get("web-tls").await.unwrap();
    scene
        .certificate("web", json!({ "dnsNames": ["web.example.com"] }))
        .await;

    let message = scene.refused("web", "ForeignSecret").await;
    let annotation = scene.group.key("certificate-name");
    for word in ["Secret web-tls", "Delete it", &format!("{annotation}=web")] {
        assert!(message.contains(word), "{word}: {message}");
    }
    // Looked at again, in another state, it is not told again.
    scene.touch("web").await;
    scene
        .change("web", json!({ "dnsNames": ["other.example.com"] }))
        .await;
    scene.refused("web", "ForeignSecret").await;
    assert_eq!(scene.api::<Secret>().get("web-tls").await.unwrap(), before);

    scene.delete_secret("web-tls").await;
    scene.ready("web").await;
    scene.tells("web", &["ForeignSecret", "Issued"]).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_secret_that_is_handed_over_keeps_its_type_and_what_else_is_in_it() {
    let scene = Scene::new("handover").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    scene
        .secret("web-tls", "Opaque", &[("password", b"hunter2")])
        .await;
    scene
        .certificate("web", json!({ "dnsNames": ["web.example.com"] }))
        .await;
    scene.refused("web", "ForeignSecret").await;

    let annotation = scene.group.key("certificate-name");
    scene
        .meddle(
            "web-tls",
            json!({ "metadata": { "annotations": { annotation: "web" } } }),
        )
        .await;
    scene.ready("web").await;
    let held = scene.held("web-tls").await;
    assert_eq!(held.secret.type_.as_deref(), Some("Opaque"));
    assert_eq!(held.data("password"), Some(b"hunter2".as_slice()));
    assert_eq!(held.label(&scene.group.key("managed")), Some("true"));
    operator.stop().await;
}

#[tokio::test]
async fn of_two_certificates_on_one_secret_the_older_has_it() {
    let scene = Scene::new("shared").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    for name in ["a", "b", "c"] {
        let spec = json!({ "dnsNames": [format!("{name}.example.com")], "secretName": "shared" });
        scene.certificate(name, spec).await;
        if name == "a" {
            scene.ready("a").await;
        }
    }
    for name in ["b", "c"] {
        let message = scene.refused(name, "SecretOwnedByOther").await;
        assert!(message.contains("belongs to Certificate a"), "{message}");
        scene.tells(name, &["SecretOwnedByOther"]).await;
    }
    let names =
        |held: &crate::harness::Held| held.leaf().names.dns.iter().cloned().collect::<Vec<_>>();
    assert_eq!(names(&scene.held("shared").await), ["a.example.com"]);

    // The owner goes: of the others one takes over, and the last hears of the new owner.
    scene
        .certificates()
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    let created = |certificate: &Certificate| certificate.metadata.creation_timestamp.clone();
    let b = scene.certificates().get("b").await.unwrap();
    let c = scene.certificates().get("c").await.unwrap();
    assert!(created(&b) <= created(&c));
    scene.ready("b").await;
    assert_eq!(names(&scene.held("shared").await), ["b.example.com"]);
    scene
        .sees("c", "the new owner is named", |certificate| {
            crate::harness::condition(certificate, "Ready")
                .is_some_and(|ready| ready.message.contains("belongs to Certificate b"))
        })
        .await;

    // The owner chooses another Secret.
    scene.change("b", json!({ "secretName": "own" })).await;
    scene.ready("b").await;
    scene.ready("c").await;
    assert_eq!(names(&scene.held("own").await), ["b.example.com"]);
    assert_eq!(names(&scene.held("shared").await), ["c.example.com"]);
    operator.stop().await;
}

#[tokio::test]
async fn an_issuer_that_comes_later_is_used_at_once() {
    let scene = Scene::new("later").await;
    let operator = Operator::start(&scene).await;
    let spec = json!({ "dnsNames": ["web.example.com"], "issuerRef": { "name": "later" } });
    scene.certificate("web", spec).await;
    let message = scene.refused("web", "IssuerNotFound").await;
    for word in ["later", "does not exist", "spec.issuerRef"] {
        assert!(message.contains(word), "{word}: {message}");
    }
    scene.issuer("later", json!({ "selfSigned": {} })).await;
    scene.ready("web").await;
    scene.tells("web", &["IssuerNotFound", "Issued"]).await;
    operator.stop().await;
}

#[tokio::test]
async fn two_groups_side_by_side_leave_each_other_alone() {
    let one = Scene::new("one").await;
    let two = Scene {
        namespace: one.namespace.clone(),
        ..Scene::new("two").await
    };
    let (first, second) = (Operator::start(&one).await, Operator::start(&two).await);
    one.web().await;
    let before = one
        .api::<Secret>()
        .list(&Default::default())
        .await
        .unwrap()
        .items;

    // The same names under the other group: its Secrets are foreign there.
    two.apply_ca().await;
    two.refused("root", "ForeignSecret").await;
    two.issuer_says("ca", "True", "KeyPairVerified").await;
    two.certificate("web", json!({ "dnsNames": ["web.example.com"] }))
        .await;
    two.refused("web", "ForeignSecret").await;
    two.change("web", json!({ "secretName": "two-tls" })).await;
    two.ready("web").await;
    one.touch("web").await;
    one.touch("root").await;

    let mut after = one
        .api::<Secret>()
        .list(&Default::default())
        .await
        .unwrap()
        .items;
    after.retain(|secret| secret.metadata.name.as_deref() != Some("two-tls"));
    assert_eq!(after, before);
    let theirs = two.held("two-tls").await;
    assert_eq!(theirs.label(&one.group.key("managed")), None);
    let writes = two.writes();
    assert!(
        !writes
            .iter()
            .any(|write| write.starts_with("secrets web-tls")),
        "{writes:?}"
    );
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn what_another_writes_into_the_status_goes_and_keeps_nobody_from_writing_it() {
    let scene = Scene::new("scribbled").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    let annotations: serde_json::Map<_, _> = (0..40)
        .map(|n| (format!("note-{n}"), "n".repeat(16_000).into()))
        .collect();
    scene
        .certificate(
            "web",
            json!({ "dnsNames": ["web.example.com"], "secretTemplate": { "annotations": annotations } }),
        )
        .await;
    scene
        .says("web", "Issuing", ConditionStatus::False, "SecretRefused")
        .await;
    // Of what we leave out later, a part stays that the schema does not take alone.
    scene
        .scribble("web", json!({ "lastFailure": { "attempts": 7 } }))
        .await;
    scene.change("web", json!({ "secretTemplate": null })).await;
    let web = scene.ready("web").await;
    assert_eq!(web.status.unwrap().last_failure, None);

    // What stays whole goes too.
    let failure = json!({
        "reason": "Unreachable",
        "message": "It is away.",
        "attempts": 3,
        "time": "2026-11-02T10:00:00Z",
        "nextTry": "2036-11-02T10:00:00Z",
        "attempted": "something",
    });
    scene
        .scribble("web", json!({ "lastFailure": failure }))
        .await;
    scene.touch("web").await;
    eventually("the status is ours again", async || {
        let web = scene.certificates().get("web").await.unwrap();
        match web.status.unwrap().last_failure {
            None => Ok(()),
            held => Err(format!("{held:?}")),
        }
    })
    .await;
    operator.stop().await;
}
