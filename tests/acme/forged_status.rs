//! An Issuer's status that somebody forged: it is put right, and nothing of it is believed.

use std::net::Ipv4Addr;

use certwright_core::api::issuer::AcmeStatus;
use certwright_core::api::{Group, Issuer};
use futures::FutureExt as _;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::faulty::Faulty;
use crate::operator::{World, held};
use crate::pebble::Ways;

impl World {
    /// Writes into an Issuer's status, in the operator's own name.
    async fn forges(&self, issuer: &str, acme: &Value) {
        let forged = json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Issuer",
            "metadata": { "name": issuer, "namespace": "shop" },
            "status": {
                "observedGeneration": 1,
                "conditions": [{
                    "type": "Ready", "status": "True", "reason": "Forged", "message": "",
                    "lastTransitionTime": "2026-11-02T10:00:00Z",
                }],
                "acme": acme,
            },
        });
        let issuers: Api<Issuer> = self.of();
        let parameters = PatchParams::apply(Group::default().manager()).force();
        let patch = Patch::Apply(&forged);
        issuers
            .patch_status(issuer, &parameters, &patch)
            .await
            .unwrap();
    }

    /// Waits until an Issuer's status says this of its account.
    async fn is_put_right(&self, issuer: &str, acme: &AcmeStatus) {
        self.issuer_is(issuer, "the status is put right", |status| {
            status.acme.as_ref() == Some(acme)
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_forged_into_an_issuers_status_is_put_right_and_leads_nowhere() {
    let mut world = World::new(Ways::default()).await;
    let server = Faulty::before(world.pebble.listens).await;
    world
        .issuer_at("ours", &server.directory, &server.bundle)
        .await;
    world.has_account("ours").await;
    let rolls = |value: &str| json!({ "metadata": { "annotations": { "certwright.dev/roll-account-key": value } } });
    world.merge::<Issuer>(world.of(), "ours", &rolls("1")).await;
    let right = world
        .issuer_is("ours", "its account has another key", |status| {
            let acme = status.acme.as_ref();
            acme.is_some_and(|acme| acme.last_roll_request.as_deref() == Some("1"))
        })
        .await;
    let right = right.acme.unwrap();
    let secret = world.secrets().get("ours-account").await.unwrap();
    let before = secret.resource_version();

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let elsewhere = format!("https://{}", listener.local_addr().unwrap());
    let forged = json!({
        "uri": format!("{elsewhere}/my-account/1"),
        "lastRegisteredEmail": "mallory@example.com",
        "lastPrivateKeyHash": "forged",
        "lastRollRequest": "another",
        "termsOfService": format!("{elsewhere}/terms"),
        "externalAccountRequired": true,
        "caaIdentities": ["mallory.example"],
        "profiles": ["forged"],
    });
    // While the operator runs, and while nobody looks.
    world.forges("ours", &forged).await;
    world.is_put_right("ours", &right).await;
    world.kill().await;
    world.forges("ours", &forged).await;
    server.recovers();
    world.start().await;
    world
        .certificate_of("ours", "web", &["www.example.com"])
        .await;
    let (key, issued) = held(&world.ready("web", 1).await);
    assert_eq!(issued[0].public_key, *key.public());
    world.is_put_right("ours", &right).await;

    // The account is the one that it was, with the key that it had; the CA was told nothing of it, and nobody else anything.
    let secret = world.secrets().get("ours-account").await.unwrap();
    assert_eq!(secret.resource_version(), before);
    let is_change = |path: &str| path == "/rollover-account-key" || path.starts_with("/my-account");
    let asked = server.asked();
    assert!(!asked.iter().any(|asked| is_change(&asked.path)));
    assert!(listener.accept().now_or_never().is_none());
}
