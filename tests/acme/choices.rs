//! What CAs leave to choose from, or ask for, through the operator: chains, profiles, bound accounts, names of all kinds.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use certwright_core::api::certificate::LastFailure;
use certwright_core::api::{Certificate, Condition, Issuer, condition};
use certwright_core::pki::chain;
use kube::Api;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::faulty::Faulty;
use crate::operator::{World, eventually, held, lead};
use crate::pebble::{BINDING, Ways};

impl World {
    /// The fields of an Issuer that asks Pebble, and these.
    fn pebble_with(&self, more: &Value) -> Value {
        let mut fields = json!({
            "server": self.pebble.directory, "caBundle": self.pebble.bundle, "email": "ops@example.com",
        });
        let all = fields.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        fields
    }

    /// Waits until an Issuer is ready, or not so, for this reason.
    async fn issuer_says(&self, name: &str, reason: &str) -> Condition {
        let issuers: Api<Issuer> = self.of();
        eventually(&format!("issuer {name} says {reason}"), async || {
            let found = issuers.get(name).await.map_err(|p| p.to_string())?;
            let status = found.status.unwrap_or_default();
            let ready = condition::find(&status.conditions, "Ready").cloned();
            ready
                .filter(|ready| ready.reason == reason)
                .ok_or_else(|| format!("{status:#?}\n{}", self.log()))
        })
        .await
    }

    /// Waits until a try for a Certificate has failed.
    async fn failed(&self, name: &str) -> LastFailure {
        let certificates: Api<Certificate> = self.of();
        eventually(&format!("{name} is refused"), async || {
            let found = certificates.get(name).await.map_err(|p| p.to_string())?;
            let status = found.status.unwrap_or_default();
            let failure = status.last_failure.clone();
            failure.ok_or_else(|| format!("{status:#?}\n{}", self.log()))
        })
        .await
    }
}

/// Counts the questions for proofs that go by a server, which are asked only where an authorization does not hold yet.
fn proofs(server: &Faulty) -> Arc<AtomicUsize> {
    let proofs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&proofs);
    server.fails(move |_, asked| {
        count.fetch_add(
            usize::from(asked.path.starts_with("/chalZ/")),
            Ordering::SeqCst,
        );
        None
    });
    proofs
}

#[tokio::test]
async fn chains_and_profiles_are_chosen_and_what_was_shown_once_is_not_asked_for_again() {
    let world = World::new(Ways {
        alternates: 2,
        reuses: 100,
        ..Ways::default()
    })
    .await;
    let root = world.pebble.root(2).await;
    let root = &chain::read_pem(root.as_bytes()).unwrap()[0];
    let preferred = root.subject.common_names().next().unwrap().to_owned();
    for (name, more) in [
        ("preferred", json!({ "preferredChain": preferred })),
        ("absent", json!({ "preferredChain": "No Such Root" })),
        ("short", json!({ "profile": "shortlived" })),
        ("unheard-of", json!({ "profile": "unheard-of" })),
    ] {
        world.issuer_with(name, &world.pebble_with(&more)).await;
        let host = format!("{name}.example.com");
        world.certificate_of(name, name, &[&host]).await;
    }

    let (key, issued) = held(&world.ready("preferred", 1).await);
    assert_eq!(issued[0].public_key, *key.public());
    assert!(issued.last().unwrap().is_signed_by(root), "{preferred}");
    // A chain that nobody has is no reason to go without.
    let (_, issued) = held(&world.ready("absent", 1).await);
    assert!(!issued.last().unwrap().is_signed_by(root));

    let (_, issued) = held(&world.ready("short", 1).await);
    let life = issued[0].not_after.duration_since(issued[0].not_before);
    // The last second counts too.
    assert_eq!(life.as_secs() + 1, 576_000);
    let failure = world.failed("unheard-of").await;
    assert_eq!(failure.reason, "InvalidProfile", "{failure:?}");
    assert!(failure.message.contains("unheard-of"), "{failure:?}");
    let remedy = "status.acme.profiles lists";
    assert!(failure.message.contains(remedy), "{failure:?}");

    let server = Faulty::before(world.pebble.listens).await;
    let proofs = proofs(&server);
    world
        .issuer_at("again", &server.directory, &server.bundle)
        .await;
    for name in ["one", "two"] {
        world
            .certificate_of("again", name, &["same.example.com"])
            .await;
        world.ready(name, 1).await;
        // The first time it is told to look.
        assert_eq!(proofs.load(Ordering::SeqCst), 1, "{name}");
    }
    world.has_no_ways_in().await;
}

#[tokio::test]
async fn names_of_all_kinds_are_shown_to_a_ca() {
    let world = World::new(Ways::default()).await;
    // The CA asks an IPv6 address there (RFC 8738).
    let port = world.answers.port();
    let other = TcpListener::bind((Ipv6Addr::LOCALHOST, port))
        .await
        .unwrap();
    tokio::spawn(lead(other, port));
    let server = Faulty::before(world.pebble.listens).await;
    let proofs = proofs(&server);
    world
        .issuer_at("pebble", &server.directory, &server.bundle)
        .await;
    let names = json!({
        "dnsNames": ["Bücher.example.com", "www.example.com"], "ipAddresses": ["127.0.0.1", "::1"],
    });
    world.certificate_with("pebble", "mixed", &names).await;
    let (key, issued) = held(&world.ready("mixed", 1).await);
    assert_eq!(issued[0].public_key, *key.public());
    let dns: Vec<_> = issued[0].names.dns.iter().map(String::as_str).collect();
    assert_eq!(dns, ["www.example.com", "xn--bcher-kva.example.com"]);
    let addresses: Vec<_> = issued[0].names.ip.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["127.0.0.1", "::1"]);
    assert_eq!(proofs.load(Ordering::SeqCst), 4);

    // By an account that has shown nothing yet: what this one has shown may be used again.
    world
        .issuer_at("other", &server.directory, &server.bundle)
        .await;
    let address = json!({ "ipAddresses": ["::1"] });
    world.certificate_with("other", "address", &address).await;
    let (_, issued) = held(&world.ready("address", 1).await);
    assert!(issued[0].names.dns.is_empty());
    assert!(issued[0].names.ip.iter().all(IpAddr::is_ipv6));
    assert_eq!(issued[0].names.ip.len(), 1);
    assert_eq!(proofs.load(Ordering::SeqCst), 5);

    // One name that the CA signs nothing for is told by name, and the sound one beside it is not.
    let names = ["blocked.example.com", "www.example.com"];
    world.certificate_of("pebble", "blocked", &names).await;
    let failure = world.failed("blocked").await;
    assert_eq!(failure.reason, "RejectedIdentifier", "{failure:?}");
    assert!(
        failure.message.contains("blocked.example.com"),
        "{failure:?}"
    );
    assert!(!failure.message.contains("www.example.com"), "{failure:?}");
    assert!(
        failure.message.contains("Leave the name out"),
        "{failure:?}"
    );
    world.has_no_ways_in().await;
}

#[tokio::test]
async fn an_account_is_bound_where_the_ca_wants_it_and_what_is_missing_is_told() {
    let world = World::new(Ways {
        bindings: true,
        ..Ways::default()
    })
    .await;
    for (name, key) in [("right", BINDING.1), ("wrong", "AAAA"), ("none", "a b")] {
        world
            .apply(&json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": { "name": format!("{name}-binding"), "namespace": "shop" },
                "stringData": { "secret": key },
            }))
            .await;
        let binding = json!({ "externalAccountBinding": {
            "keyID": BINDING.0, "keySecretRef": { "name": format!("{name}-binding"), "key": "secret" },
        } });
        world.issuer_with(name, &world.pebble_with(&binding)).await;
    }
    world
        .issuer_with("unbound", &world.pebble_with(&json!({})))
        .await;
    world
        .certificate_of("right", "bound", &["www.example.com"])
        .await;
    let (key, issued) = held(&world.ready("bound", 1).await);
    assert_eq!(issued[0].public_key, *key.public());

    let ready = world
        .issuer_says("unbound", "ExternalAccountRequired")
        .await;
    assert!(
        ready.message.contains("spec.acme.externalAccountBinding"),
        "{ready:?}"
    );
    let ready = world
        .issuer_says("none", "InvalidExternalAccountBinding")
        .await;
    assert!(ready.message.contains("none-binding"), "{ready:?}");
    let issuers: Api<Issuer> = world.of();
    let ready = eventually("the wrong key is refused", async || {
        let found = issuers.get("wrong").await.map_err(|p| p.to_string())?;
        let status = found.status.unwrap_or_default();
        let ready = condition::find(&status.conditions, "Ready").cloned();
        ready
            .filter(|ready| ready.message.contains("the CA refused"))
            .ok_or_else(|| format!("{status:#?}\n{}", world.log()))
    })
    .await;
    assert!(!ready.message.contains("AAAA"), "{ready:?}");
    // Whoever mends it is not kept waiting.
    let binding = json!({ "externalAccountBinding": {
        "keyID": BINDING.0, "keySecretRef": { "name": "right-binding", "key": "secret" },
    } });
    world
        .issuer_with("unbound", &world.pebble_with(&binding))
        .await;
    world.issuer_says("unbound", "ACMEAccountRegistered").await;
    let log = world.log();
    assert!(!log.contains(BINDING.1) && !log.contains("PRIVATE KEY"));
    world.is_tidy().await;
}
