//! Issuers that asked an ACME CA and turn to another kind, and one that turns back.

use certwright_core::api::{Certificate, CertificateStatus, condition};
use certwright_core::pki::Facts;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::faulty::{Fault, Faulty, answer};
use crate::operator::{World, eventually, field, held};
use crate::pebble::Ways;

impl World {
    /// Waits until a Certificate is ready at this revision; the certificate, which fits its key.
    async fn holds(&self, name: &str, revision: i64) -> Facts {
        let secret = self.ready(name, revision).await;
        let (key, chain) = held(&secret);
        assert_eq!(chain[0].public_key, *key.public(), "{name}");
        chain[0].clone()
    }

    async fn status_of(&self, name: &str) -> CertificateStatus {
        let certificates: Api<Certificate> = self.of();
        certificates.get(name).await.unwrap().status.unwrap()
    }
}

#[tokio::test]
async fn an_issuer_that_turns_to_another_kind_leaves_nothing_of_its_orders_behind() {
    let world = World::new(Ways::default()).await;
    // Two with orders that nobody is told to look at, one whose orders the CA refuses, and one that was asked.
    let waits = json!({
        "server": world.pebble.directory, "caBundle": world.pebble.bundle,
        "solvers": [{
            "waitInsteadOfSelfCheck": "1h", "http01": { "ingress": { "ingressClassName": "public" } },
        }],
    });
    world.issuer_with("by-ca", &waits).await;
    world.issuer_with("by-itself", &waits).await;
    let refusing = Faulty::before(world.pebble.listens).await;
    let problem = json!({ "type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "no", "status": 400 });
    let headers = [("Content-Type", "application/problem+json")];
    let refused = answer("400 Bad Request", &headers, &problem.to_string());
    refusing.fails_at("/order-plz", Fault::Says(refused));
    world
        .issuer_at("refused", &refusing.directory, &refusing.bundle)
        .await;
    world.issuer().await;
    for issuer in ["by-ca", "by-itself", "refused", "pebble"] {
        let host = format!("{issuer}.example.com");
        world.certificate_of(issuer, issuer, &[&host]).await;
    }
    let first = world.holds("pebble", 1).await;
    world.under_way("shop", "by-ca").await;
    world.under_way("shop", "by-itself").await;
    eventually("the CA has refused", async || {
        let status = world.status_of("refused").await;
        let failed = status.last_failure.is_some();
        failed.then_some(()).ok_or_else(|| world.log())
    })
    .await;

    world
        .apply(&json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Issuer",
            "metadata": { "name": "by-itself", "namespace": "shop" },
            "spec": { "selfSigned": {} },
        }))
        .await;
    assert!(world.holds("by-itself", 1).await.is_self_signed());
    for (name, revision) in [("by-ca", 1), ("refused", 1), ("pebble", 2)] {
        let root = world.ca_issuer(name).await;
        world.holds(name, revision).await;
        let secret = world.ready(name, revision).await;
        let ca = String::from_utf8(field(&secret, "ca.crt").unwrap()).unwrap();
        assert_eq!(ca.trim(), root.trim(), "{name}");
        // It is not renewed as the other CA would suggest, nor known as one of its account's.
        assert_eq!(world.status_of(name).await.renewal_window, None, "{name}");
        let annotations = secret.annotations();
        assert_eq!(
            annotations.get("certwright.dev/acme-account"),
            None,
            "{name}"
        );
        world
            .issuer_is(name, "nothing is said of an account", |status| {
                let ready = condition::find(&status.conditions, "Ready");
                let signs = ready.is_some_and(|ready| ready.reason == "KeyPairVerified");
                signs && status.acme.is_none()
            })
            .await;
    }
    world.is_tidy().await;
    world.has_no_ways_in().await;

    // Back again: the next renewal asks the CA.
    world.issuer().await;
    world.has_account("pebble").await;
    world.renew("pebble").await;
    let third = world.holds("pebble", 3).await;
    assert_eq!(third.issuer, first.issuer);
    assert_eq!(field(&world.ready("pebble", 3).await, "ca.crt"), None);
    world.is_tidy().await;
    world.has_no_ways_in().await;
}
