//! What the CA suggests, followed by the operator.

use certwright::acme::AcmeError;
use certwright_core::acme::wire::{Identifier, NewOrder};
use certwright_core::acme::{AccountKey, ari};
use certwright_core::api::certificate::CertificateStatus;
use certwright_core::api::{Certificate, Issuer};
use certwright_core::pki::{Facts, PrivateKey};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::json;

use crate::operator::{World, eventually, field, held};
use crate::pebble::Ways;

impl World {
    async fn status(&self, name: &str) -> CertificateStatus {
        let certificates: Api<Certificate> = self.of();
        certificates.get(name).await.unwrap().status.unwrap()
    }

    /// The account's key and URL, as the operator has them.
    pub(crate) async fn account(&self) -> (AccountKey, String) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), "shop");
        let secret = secrets.get("account").await.unwrap();
        let key = PrivateKey::from_pem(&field(&secret, "tls.key").unwrap()).unwrap();
        let issuers: Api<Issuer> = self.of();
        let status = issuers.get("pebble").await.unwrap().status.unwrap();
        (
            AccountKey::new(key).unwrap(),
            status.acme.unwrap().uri.unwrap(),
        )
    }

    /// Another order that says to replace a certificate.
    async fn replaces(&self, name: &str, certificate: &Facts) -> Result<(), AcmeError> {
        let (key, url) = self.account().await;
        let order = NewOrder {
            identifiers: vec![Identifier::Dns(name.to_owned())],
            not_after: None,
            profile: None,
            replaces: ari::certificate_id(certificate),
        };
        let client = self.pebble.client();
        client.new_order(&key, &url, &order).await.map(|_| ())
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_at_once_when_the_ca_names_a_window_in_the_past() {
    let mut world = World::new(Ways::default()).await;
    world.issuer().await;
    let names = [("web", "www.example.com"), ("api", "api.example.com")];
    for (name, host) in names {
        world.certificate(name, &[host]).await;
    }
    let past = json!({ "start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z" });
    let mut leaves = Vec::new();
    for (name, _) in names {
        let (_, certificates) = held(&world.ready(name, 1).await);
        // It was asked about soon, and what the CA said is where people look.
        eventually(&format!("{name} has a window"), async || {
            let status = world.status(name).await;
            let window = status.renewal_window.ok_or_else(|| world.log())?;
            let moment = status.renewal_time.unwrap();
            assert!(window.start <= moment && moment <= window.end);
            Ok(())
        })
        .await;
        let leaf = certificates[0].clone();
        let pem = pem::encode(&pem::Pem::new("CERTIFICATE", leaf.der.to_vec()));
        world.pebble.suggest(&pem, &past).await;
        leaves.push(leaf);
    }
    // Somebody else said already what replaces this one: then that can't be said again, and is not needed.
    world.replaces("api.example.com", &leaves[1]).await.unwrap();
    world.kill().await;
    world.start().await;
    for ((name, _), before) in names.iter().zip(&leaves) {
        let secret = world.ready(name, 2).await;
        let (_, certificates) = held(&secret);
        assert_ne!(certificates[0].public_key, before.public_key, "{name}");
        let annotations = secret.metadata.annotations.unwrap();
        assert_eq!(annotations["certwright.dev/suggested"], "true");
    }
    // The order said what it replaces.
    let again = world.replaces("www.example.com", &leaves[0]).await;
    let again = again.unwrap_err().to_string();
    assert!(again.contains("alreadyReplaced"), "{again}");
    world.is_tidy().await;
    assert!(!world.log().contains("PRIVATE KEY"));
}
