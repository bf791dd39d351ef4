//! Deleting things.

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;

use crate::harness::{Operator, Scene, eventually};

#[tokio::test]
async fn the_secret_stays_or_goes_with_its_certificate_as_the_spec_says() {
    let scene = Scene::new("policy").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    for (name, policy) in [("keep", "Retain"), ("drop", "Delete"), ("last", "Delete")] {
        let spec = json!({ "dnsNames": ["web.example.com"], "secretDeletionPolicy": policy });
        scene.certificate(name, spec).await;
        scene.ready(name).await;
    }
    let kept = scene.held("keep-tls").await.secret;

    let certificates = scene.certificates();
    certificates
        .delete("keep", &DeleteParams::default())
        .await
        .unwrap();
    certificates
        .delete("drop", &DeleteParams::default())
        .await
        .unwrap();
    certificates
        .delete("last", &DeleteParams::foreground())
        .await
        .unwrap();
    for name in ["keep", "drop", "last"] {
        eventually(
            &format!("Certificate {name} is gone"),
            async || match certificates.get_opt(name).await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .await;
    }
    for name in ["drop-tls", "last-tls"] {
        gone(&scene, name).await;
    }
    // Whatever the operator would still do for them, it does before this.
    scene
        .certificate("after", json!({ "dnsNames": ["after.example.com"] }))
        .await;
    scene.ready("after").await;
    assert_eq!(scene.held("keep-tls").await.secret, kept);
    for name in ["drop-tls", "last-tls"] {
        assert_eq!(scene.api::<Secret>().get_opt(name).await.unwrap(), None);
    }
    operator.stop().await;
}

#[tokio::test]
async fn a_policy_that_changes_is_followed() {
    let scene = Scene::new("repolicy").await;
    let operator = Operator::start(&scene).await;
    scene.web().await;
    let owned = |held: &crate::harness::Held| {
        held.secret
            .metadata
            .owner_references
            .as_ref()
            .map_or(0, Vec::len)
    };
    scene
        .change("web", json!({ "secretDeletionPolicy": "Delete" }))
        .await;
    let held = scene
        .holds("web-tls", "owned", |held| owned(held) == 1)
        .await;
    let owner = &held.secret.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (owner.kind.as_str(), owner.block_owner_deletion),
        ("Certificate", Some(false))
    );
    scene
        .change("web", json!({ "secretDeletionPolicy": "Retain" }))
        .await;
    scene
        .holds("web-tls", "not owned", |held| owned(held) == 0)
        .await;
    operator.stop().await;
}

#[tokio::test]
async fn a_namespace_with_everything_in_it_goes() {
    let scene = Scene::new("goes").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    for number in 0..10 {
        let policy = ["Retain", "Delete"][number % 2];
        let spec = json!({ "dnsNames": ["web.example.com"], "secretDeletionPolicy": policy });
        scene.certificate(&format!("web-{number}"), spec).await;
    }
    for number in 0..10 {
        scene.ready(&format!("web-{number}")).await;
    }
    let namespaces = Api::<Namespace>::all(scene.client.clone());
    namespaces
        .delete(&scene.namespace, &DeleteParams::foreground())
        .await
        .unwrap();
    // What the operator made again in it would keep it from going.
    eventually("the namespace is gone", async || {
        match namespaces.get_opt(&scene.namespace).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let stored: Vec<_> = scene
        .writes()
        .into_iter()
        // A refused one has its code behind the name.
        .filter(|write| write.starts_with("secrets") && write.split(' ').count() == 2)
        .collect();
    assert_eq!(stored.len(), 11, "one for each Certificate: {stored:?}");
    assert!(operator.runs());
    operator.stop().await;
}

async fn gone(scene: &Scene<'_>, secret: &str) {
    eventually(&format!("Secret {secret} is gone"), async || {
        match scene.api::<Secret>().get_opt(secret).await {
            Ok(None) => Ok(()),
            Ok(Some(secret)) => Err(format!("{:?}", secret.metadata)),
            Err(problem) => Err(problem.to_string()),
        }
    })
    .await;
}
