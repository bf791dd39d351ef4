//! What becomes of accounts: bound once, found again, told of contacts.

use certwright_core::acme::AccountKey;
use certwright_core::api::{Issuer, IssuerStatus, condition};
use certwright_core::pki::PrivateKey;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::faulty::{Asked, Fault, Faulty, answer};
use crate::operator::{World, eventually, field};
use crate::pebble::{BINDING, Ways};

/// What Pebble has whoever uses it agree to.
const TERMS: &str = "data:text/plain,Do%20what%20thou%20wilt";

pub(crate) fn key(pem: &[u8]) -> AccountKey {
    AccountKey::new(PrivateKey::from_pem(pem).unwrap()).unwrap()
}

impl World {
    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), "shop")
    }

    pub(crate) async fn merge<K>(&self, api: Api<K>, name: &str, change: &Value)
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let parameters = PatchParams::default();
        let patch = Patch::Merge(change);
        api.patch(name, &parameters, &patch).await.unwrap();
    }

    /// The key in the Secret of an Issuer's account.
    pub(crate) async fn account_key(&self, secret: &str) -> AccountKey {
        let secret = self.secrets().get(secret).await.unwrap();
        key(&field(&secret, "tls.key").unwrap())
    }

    /// Waits until an Issuer's status is so.
    pub(crate) async fn issuer_is(
        &self,
        name: &str,
        what: &str,
        is: impl Fn(&IssuerStatus) -> bool,
    ) -> IssuerStatus {
        let issuers: Api<Issuer> = self.of();
        eventually(what, async || {
            let issuer = issuers.get(name).await.map_err(|p| p.to_string())?;
            let status = issuer.status.unwrap_or_default();
            if is(&status) {
                Ok(status)
            } else {
                Err(format!("{status:#?}\n{}", self.log()))
            }
        })
        .await
    }

    /// Waits until an Issuer can order.
    pub(crate) async fn has_account(&self, name: &str) -> IssuerStatus {
        self.issuer_is(name, "there is an account", |status| {
            condition::is_true(&status.conditions, "Ready") && status.acme.is_some()
        })
        .await
    }

    pub(crate) async fn events(&self, reason: &str) -> usize {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "shop");
        let all = events.list(&ListParams::default()).await.unwrap();
        let of_reason = |event: &&Event| event.reason.as_deref() == Some(reason);
        all.iter().filter(of_reason).count()
    }
}

#[tokio::test]
async fn contacts_reach_the_ca_and_one_that_it_refuses_is_told_of() {
    let world = World::new(Ways::default()).await;
    let faulty = Faulty::before(world.pebble.listens).await;
    let issuer = async |email: &str| {
        let asked =
            json!({ "server": faulty.directory, "caBundle": faulty.bundle, "email": email });
        world.issuer_with("ours", &asked).await;
    };
    let told = async |email: Option<&str>| {
        world
            .issuer_is("ours", "the CA was told", |status| {
                let acme = status.acme.as_ref();
                acme.is_some_and(|acme| acme.last_registered_email.as_deref() == email)
                    && condition::is_true(&status.conditions, "Ready")
            })
            .await
    };
    let contacts = async || {
        let key = world.account_key("ours-account").await;
        let account = world.pebble.client().find_account(&key).await.unwrap();
        account.object.contact
    };
    issuer("ops@example.com").await;
    told(Some("ops@example.com")).await;
    assert_eq!(contacts().await, ["mailto:ops@example.com"]);
    issuer("security@example.com").await;
    told(Some("security@example.com")).await;
    assert_eq!(contacts().await, ["mailto:security@example.com"]);

    // The account orders, whatever the CA has against the address.
    let problem = json!({
        "type": "urn:ietf:params:acme:error:invalidContact", "detail": "nobody lives there", "status": 400,
    });
    let headers = [("Content-Type", "application/problem+json")];
    let refused = answer("400 Bad Request", &headers, &problem.to_string());
    faulty.fails_at("/my-account/", Fault::Says(refused));
    issuer("nobody@example.com").await;
    let status = world
        .issuer_is("ours", "the CA refuses it", |status| {
            condition::is_true(&status.conditions, "ContactNotSet")
        })
        .await;
    assert!(condition::is_true(&status.conditions, "Ready"));
    let refused = condition::find(&status.conditions, "ContactNotSet").unwrap();
    assert_eq!(refused.reason, "BadContact");
    assert!(
        refused.message.contains("nobody@example.com")
            && refused.message.contains("nobody lives there"),
        "{}",
        refused.message
    );
    assert_eq!(
        status.acme.unwrap().last_registered_email.as_deref(),
        Some("security@example.com")
    );
    world
        .certificate_of("ours", "web", &["www.example.com"])
        .await;
    world.ready("web", 1).await;
    assert_eq!(world.events("ContactNotSet").await, 1);

    faulty.recovers();
    issuer("ops@example.com").await;
    let status = told(Some("ops@example.com")).await;
    assert_eq!(condition::find(&status.conditions, "ContactNotSet"), None);
    assert_eq!(contacts().await, ["mailto:ops@example.com"]);
}

#[tokio::test]
async fn a_binding_is_used_once_and_may_go() {
    let ways = Ways {
        bindings: true,
        ..Ways::default()
    };
    let mut world = World::new(ways).await;
    let faulty = Faulty::before(world.pebble.listens).await;
    let (id, mac) = BINDING;
    world
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "binding", "namespace": "shop" },
            "stringData": { "secret": mac },
        }))
        .await;
    let asked = json!({
        "server": faulty.directory,
        "caBundle": faulty.bundle,
        "externalAccountBinding": {
            "keyID": id, "keySecretRef": { "name": "binding", "key": "secret" },
        },
    });
    world.issuer_with("ours", &asked).await;
    let status = world.has_account("ours").await;
    let acme = status.acme.unwrap();
    // All that the directory says of who may order and on which terms is where people look.
    assert_eq!(acme.external_account_required, Some(true));
    assert_eq!(acme.terms_of_service.as_deref(), Some(TERMS));
    assert_eq!(acme.caa_identities, ["pebble.example"]);
    assert_eq!(acme.profiles, ["default", "shortlived"]);
    assert_eq!(bindings(&faulty), 1);

    world.kill().await;
    let parameters = DeleteParams::default();
    world
        .secrets()
        .delete("binding", &parameters)
        .await
        .unwrap();
    faulty.recovers();
    world.start().await;
    world
        .certificate_of("ours", "web", &["www.example.com"])
        .await;
    world.ready("web", 1).await;
    assert_eq!(world.has_account("ours").await.acme.unwrap().uri, acme.uri);
    assert_eq!(bindings(&faulty), 0);
}

/// How many requests carried a binding.
fn bindings(faulty: &Faulty) -> usize {
    let all = faulty.asked();
    let bound = |asked: &&Asked| {
        let payload = asked.payload();
        payload.is_some_and(|payload| payload.get("externalAccountBinding").is_some())
    };
    all.iter().filter(bound).count()
}
