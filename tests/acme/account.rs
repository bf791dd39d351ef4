//! What becomes of accounts: bound once, found again, told of contacts.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use certwright_core::acme::AccountKey;
use certwright_core::api::{Issuer, IssuerStatus, condition};
use certwright_core::pki::PrivateKey;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::faulty::{Asked, Fault, Faulty, Rewrite, answer};
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

/// As some CAs give an account that must not be used: as they give all others, and that it is deactivated.
fn closed() -> Fault {
    Fault::Rewritten(Rewrite::by(|answer| {
        if answer["status"] == "valid" {
            answer["status"] = "deactivated".into();
        }
    }))
}

impl World {
    /// Waits until an Issuer says that its account is closed, and what to do.
    async fn is_closed(&self, issuer: &str) {
        let status = self
            .issuer_is(issuer, "its account is closed", |status| {
                let ready = condition::find(&status.conditions, "Ready");
                ready.is_some_and(|ready| ready.reason == "AccountClosed")
            })
            .await;
        let ready = condition::find(&status.conditions, "Ready").unwrap();
        assert!(!condition::is_true(&status.conditions, "Ready"));
        for words in ["deactivated", "Delete the Secret"] {
            assert!(ready.message.contains(words), "{ready:?}");
        }
    }

    /// Deletes the Secret of an Issuer's account, and waits until it has another.
    async fn begins_another(&self, issuer: &str) {
        let secret = format!("{issuer}-account");
        let key = self.account_key(&secret).await;
        let secrets = self.secrets();
        secrets
            .delete(&secret, &DeleteParams::default())
            .await
            .unwrap();
        self.has_account(issuer).await;
        let other = self.account_key(&secret).await;
        assert_ne!(other.thumbprint(), key.thumbprint());
    }
}

#[tokio::test]
async fn an_account_that_was_deactivated_is_told_at_once_and_another_key_begins_another() {
    let world = World::new(Ways::default()).await;
    let server = Faulty::before(world.pebble.listens).await;
    let mut first = None;
    server.fails(move |_, asked| {
        if asked.path != "/sign-me-up" {
            return None;
        }
        let key = signed_by(asked);
        let first = first.get_or_insert_with(|| key.clone());
        (key == *first).then(closed)
    });
    world
        .issuer_at("closed", &server.directory, &server.bundle)
        .await;
    world.is_closed("closed").await;
    world.begins_another("closed").await;

    // While it is used, only whoever orders hears of it: by itself, the issuer would look in an hour.
    server.fails(|_, asked| match asked.path.as_str() {
        "/sign-me-up" => Some(closed()),
        "/order-plz" => {
            let problem = json!({
                "type": "urn:ietf:params:acme:error:unauthorized", "status": 403,
                "detail": "the account is deactivated",
            });
            let headers = [("Content-Type", "application/problem+json")];
            let refused = answer("403 Forbidden", &headers, &problem.to_string());
            Some(Fault::Says(refused))
        }
        _ => None,
    });
    let names = ["www.example.com"];
    world.certificate_of("closed", "web", &names).await;
    world.is_closed("closed").await;
    server.recovers();
    world.begins_another("closed").await;
    world.ready("web", 1).await;
}

/// The key that a request is signed by.
fn signed_by(asked: &Asked) -> Value {
    let (_, body) = asked.text.split_once("\r\n\r\n").unwrap();
    let signed: Value = serde_json::from_str(body).unwrap();
    let header = signed["protected"].as_str().unwrap();
    let header = BASE64_URL_SAFE_NO_PAD.decode(header).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["jwk"].clone()
}
