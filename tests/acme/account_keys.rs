//! Account keys that are brought along: taken as they are found, and never overwritten.

use certwright_core::api::certificate::KeyEncoding;
use certwright_core::api::condition::{self, Condition};
use certwright_core::pki::{KeySpec, PrivateKey};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::operator::{World, field, held};
use crate::pebble::Ways;

impl World {
    async fn secret_with_key(&self, name: &str, entry: &str, key: &str) {
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": name, "namespace": "shop" },
            "stringData": { entry: key },
        }))
        .await;
    }

    /// Waits until an Issuer is not ready, for this reason.
    async fn has_no_account(&self, issuer: &str, reason: &str) -> Condition {
        let status = self
            .issuer_is(issuer, &format!("{issuer} says {reason}"), |status| {
                condition::find(&status.conditions, "Ready").is_some_and(|ready| {
                    ready.reason == reason && !condition::is_true(&status.conditions, "Ready")
                })
            })
            .await;
        condition::find(&status.conditions, "Ready")
            .unwrap()
            .clone()
    }
}

fn pem(spec: KeySpec, encoding: KeyEncoding) -> String {
    let key = PrivateKey::generate(spec).unwrap();
    key.to_pem(encoding).to_string()
}

#[tokio::test]
async fn account_keys_are_taken_as_they_are_found_and_stay_whatever_they_are() {
    let world = World::new(Ways::default()).await;
    let rsa = pem(KeySpec::Rsa(2048), KeyEncoding::Pkcs1);
    let garbage =
        "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5IGF0IGFsbA==\n-----END PRIVATE KEY-----\n";
    // The form and the entry of those who come from elsewhere.
    assert!(rsa.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    world.secret_with_key("brought", "key.pem", &rsa).await;
    world.secret_with_key("garbage", "tls.key", garbage).await;
    let version = async |name: &str| world.secrets().get(name).await.unwrap().resource_version();
    let before = [version("brought").await, version("garbage").await];
    let asks = |more: &Value| {
        let mut fields = json!({
            "server": world.pebble.directory, "caBundle": world.pebble.bundle,
            "email": "ops@example.com",
        });
        let all = fields.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        fields
    };
    let none = json!({
        "privateKeySecretRef": { "name": "later" }, "disableAccountKeyGeneration": true,
    });
    world.issuer_with("none", &asks(&none)).await;
    let garbage = json!({ "privateKeySecretRef": { "name": "garbage" } });
    world.issuer_with("garbage", &asks(&garbage)).await;
    let brought = json!({
        "privateKeySecretRef": { "name": "brought", "key": "key.pem" },
        "disableAccountKeyGeneration": true,
    });
    world.issuer_with("brought", &asks(&brought)).await;

    let ready = world.has_no_account("none", "SecretNotFound").await;
    for part in [
        "shop/later",
        "disableAccountKeyGeneration is set",
        "tls.key",
    ] {
        assert!(ready.message.contains(part), "{ready:?}");
    }
    assert_eq!(world.secrets().get_opt("later").await.unwrap(), None);
    let ready = world.has_no_account("garbage", "InvalidAccountKey").await;
    assert!(ready.message.contains("shop/garbage"), "{ready:?}");
    assert!(!ready.message.contains("bm90IGEga2V5"), "{ready:?}");

    // Whoever puts a key there is heard.
    let p384 = pem(KeySpec::Ecdsa(384), KeyEncoding::Pkcs8);
    world.secret_with_key("later", "tls.key", &p384).await;
    for (issuer, secret, entry, pem) in [
        ("none", "later", "tls.key", &p384),
        ("brought", "brought", "key.pem", &rsa),
    ] {
        let status = world.has_account(issuer).await;
        let stored = world.secrets().get(secret).await.unwrap();
        let stored = field(&stored, entry).unwrap();
        assert_eq!(stored, pem.as_bytes());
        let key = crate::account::key(&stored);
        let acme = status.acme.unwrap();
        let hash = acme.last_private_key_hash.as_deref();
        assert_eq!(hash, Some(key.thumbprint()));
        // The CA knows the account by it.
        let known = world.pebble.client().find_account(&key).await.unwrap();
        assert_eq!(acme.uri, Some(known.url));
        let host = format!("{issuer}.example.com");
        world.certificate_of(issuer, issuer, &[&host]).await;
        let (leaf_key, issued) = held(&world.ready(issuer, 1).await);
        assert_eq!(issued[0].public_key, *leaf_key.public());
    }
    // Nobody has written to what was there.
    assert_eq!([version("brought").await, version("garbage").await], before);
    assert!(!world.log().contains("PRIVATE KEY"));
}
