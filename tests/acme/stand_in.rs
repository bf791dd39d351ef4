//! An ACME CA that is away, and the CA that stands in for it.

use certwright_core::api::certificate::{CertificateStatus, SignedBy};
use certwright_core::api::{Certificate, Issuer, condition};
use jiff::SignedDuration;
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;

use crate::faulty::{Fault, Faulty, Part};
use crate::operator::{World, eventually, field, held};
use crate::pebble::Ways;

impl World {
    /// An Issuer that signs by itself, with a CA of its own; that CA's certificate, as PEM.
    pub(crate) async fn ca_issuer(&self, name: &str) -> String {
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.distinguished_name.push(DnType::CommonName, name);
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let secret = format!("{name}-ca");
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": { "name": secret, "namespace": "shop" },
            "stringData": { "tls.crt": root.pem(), "tls.key": root.key().serialize_pem() },
        }))
        .await;
        self.apply(&json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Issuer",
            "metadata": { "name": name, "namespace": "shop" },
            "spec": { "ca": { "secretName": secret } },
        }))
        .await;
        root.pem()
    }

    /// Has the issuer of a Certificate have failed for two hours. It is written as the operator would have: by its manager.
    async fn has_failed_for_hours(&self, name: &str) {
        let certificates: Api<Certificate> = self.of();
        let operator = PatchParams::apply("certwright").force();
        eventually("its issuer has failed for two hours", async || {
            let found = certificates.get(name).await.map_err(|p| p.to_string())?;
            let version = found.resource_version();
            let mut status = found.status.unwrap_or_default();
            let stands = format!("{status:#?}\n{}", self.log());
            let told = status.fallback.as_mut();
            let since = told.and_then(|told| told.failing_since.as_mut());
            let Some(since) = since else {
                return Err(stands);
            };
            since.0 = since.0.checked_sub(SignedDuration::from_hours(2)).unwrap();
            let earlier = json!({
                "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate",
                "metadata": { "name": name, "resourceVersion": version },
                "status": status,
            });
            let patch = Patch::Apply(&earlier);
            let patched = certificates.patch_status(name, &operator, &patch).await;
            // Whoever wrote in between was first.
            patched.map(|_| ()).map_err(|problem| problem.to_string())
        })
        .await;
    }

    /// Waits for an Event that says so of a Certificate.
    async fn tells(&self, name: &str, reason: &str, words: &str) {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "shop");
        eventually(
            &format!("an Event {reason} of {name}: {words}"),
            async || {
                let all = events.list(&ListParams::default()).await;
                let told: Vec<_> = all
                    .map_err(|problem| problem.to_string())?
                    .into_iter()
                    .filter(|event| {
                        let about = event.regarding.as_ref();
                        about.is_some_and(|about| about.name.as_deref() == Some(name))
                    })
                    .map(|event| {
                        (
                            event.reason.unwrap_or_default(),
                            event.note.unwrap_or_default(),
                        )
                    })
                    .collect();
                let is_it = |(why, note): &(String, String)| why == reason && note.contains(words);
                match told.iter().any(is_it) {
                    true => Ok(()),
                    false => Err(format!("{told:#?}")),
                }
            },
        )
        .await;
    }

    async fn told(&self, name: &str) -> CertificateStatus {
        let certificates: Api<Certificate> = self.of();
        certificates.get(name).await.unwrap().status.unwrap()
    }
}

#[tokio::test]
async fn a_ca_in_the_cluster_stands_in_for_an_acme_ca_that_is_away_until_it_is_back() {
    let world = World::new(Ways::default()).await;
    let server = Faulty::before(world.pebble.listens).await;
    world
        .issuer_at("first", &server.directory, &server.bundle)
        .await;
    let root = world.ca_issuer("stand-in").await;
    let issuers: Api<Issuer> = world.of();
    for name in ["first", "stand-in"] {
        eventually(&format!("issuer {name} is ready"), async || {
            let found = issuers.get(name).await.map_err(|p| p.to_string())?;
            let status = found.status.unwrap_or_default();
            match condition::is_true(&status.conditions, "Ready") {
                true => Ok(()),
                false => Err(format!("{status:#?}\n{}", world.log())),
            }
        })
        .await;
    }

    // Nobody answers there any more.
    server.fails(|_, _| Some(Fault::BreaksOff(Part::Nothing)));
    let names = json!({
        "dnsNames": ["www.example.com"],
        "fallbackIssuerRefs": [{ "name": "stand-in" }],
        "fallbackAfter": "1h",
    });
    world.certificate_with("first", "web", &names).await;
    world.has_failed_for_hours("web").await;
    let secret = world.ready("web", 1).await;
    let (key, issued) = held(&secret);
    assert_eq!(issued[0].public_key, *key.public());
    let ca = field(&secret, "ca.crt").unwrap();
    assert_eq!(String::from_utf8(ca).unwrap().trim(), root.trim());
    let status = world.told("web").await;
    let signed_by = status.signed_by.unwrap();
    assert_eq!(signed_by.name, "stand-in");
    let why = signed_by.why.unwrap();
    assert!(why.starts_with("Issuer first "), "{why}");
    let words = format!("Issuer stand-in signed it, because {why}.");
    let ready = condition::find(&status.conditions, "Ready").unwrap();
    assert!(ready.message.contains(&words), "{ready:?}");
    world.tells("web", "Issued", &words).await;

    // It is back: what is held stays until its renewal, which asks it first.
    server.recovers();
    world.renew("web").await;
    let secret = world.ready("web", 2).await;
    let (key, renewed) = held(&secret);
    assert_eq!(renewed[0].public_key, *key.public());
    assert_ne!(renewed[0].issuer, issued[0].issuer);
    assert_eq!(field(&secret, "ca.crt"), None);
    let status = world.told("web").await;
    let first = SignedBy {
        kind: "Issuer".to_owned(),
        name: "first".to_owned(),
        why: None,
    };
    assert_eq!((status.signed_by, status.fallback), (Some(first), None));
    let ready = condition::find(&status.conditions, "Ready").unwrap();
    assert!(!ready.message.contains("signed it"), "{ready:?}");
    world.is_tidy().await;
}
