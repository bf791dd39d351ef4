//! What becomes of accounts: found again, told of contacts, given other keys.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use certwright::acme::Client;
use certwright_core::acme::AccountKey;
use certwright_core::api::certificate::KeyEncoding;
use certwright_core::api::condition::Condition;
use certwright_core::api::{Issuer, IssuerStatus, condition};
use certwright_core::pki::PrivateKey;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::client::kind;
use crate::faulty::{Asked, Fault, Faulty, answer};
use crate::operator::{World, eventually, field};
use crate::pebble::{BINDING, Ways};

const REQUEST: &str = "certwright.dev/roll-account-key-request";

fn key(pem: &[u8]) -> AccountKey {
    AccountKey::new(PrivateKey::from_pem(pem).unwrap()).unwrap()
}

impl World {
    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), "shop")
    }

    async fn merge<K>(&self, api: Api<K>, name: &str, change: &Value)
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let parameters = PatchParams::default();
        let patch = Patch::Merge(change);
        api.patch(name, &parameters, &patch).await.unwrap();
    }

    async fn ask_for_another_key(&self, issuer: &str, value: &str) {
        let change =
            json!({ "metadata": { "annotations": { "certwright.dev/roll-account-key": value } } });
        self.merge::<Issuer>(self.of(), issuer, &change).await;
    }

    /// The key in the Secret of an Issuer's account.
    async fn account_key(&self, secret: &str) -> AccountKey {
        let secret = self.secrets().get(secret).await.unwrap();
        key(&field(&secret, "tls.key").unwrap())
    }

    /// Waits until an Issuer's status is so.
    async fn issuer_is(
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
    async fn has_account(&self, name: &str) -> IssuerStatus {
        self.issuer_is(name, "there is an account", |status| {
            condition::is_true(&status.conditions, "Ready") && status.acme.is_some()
        })
        .await
    }

    /// Waits until the CA knows an Issuer's account by the key that was asked for with this value, which takes the place of
    /// the old one. Returns the new one.
    async fn has_other_key(&self, issuer: &str, secret: &str, value: &str) -> AccountKey {
        let status = self
            .issuer_is(issuer, "the account has another key", |status| {
                let acme = status.acme.as_ref();
                acme.and_then(|acme| acme.last_roll_request.as_deref()) == Some(value)
                    && condition::is_true(&status.conditions, "Ready")
            })
            .await;
        let stored = self.secrets().get(secret).await.unwrap();
        assert_eq!(field(&stored, "tls.key.next"), None);
        let key = key(&field(&stored, "tls.key").unwrap());
        let acme = status.acme.unwrap();
        assert_eq!(
            acme.last_private_key_hash.as_deref(),
            Some(key.thumbprint())
        );
        let found = self.pebble.client().find_account(&key).await.unwrap();
        assert_eq!(acme.uri, Some(found.url));
        assert_eq!(condition::find(&status.conditions, FAILED), None);
        key
    }

    async fn events(&self, reason: &str) -> usize {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "shop");
        let all = events.list(&ListParams::default()).await.unwrap();
        let of_reason = |event: &&Event| event.reason.as_deref() == Some(reason);
        all.iter().filter(of_reason).count()
    }

    async fn fails(&self, issuer: &str, reason: &str) -> Condition {
        let status = self
            .issuer_is(issuer, "its key stays", |status| {
                condition::find(&status.conditions, FAILED)
                    .is_some_and(|failed| failed.reason == reason)
            })
            .await;
        assert!(condition::is_true(&status.conditions, "Ready"));
        condition::find(&status.conditions, FAILED).unwrap().clone()
    }
}

const FAILED: &str = "KeyRolloverFailed";

async fn nobody_knows(client: &Client, key: &AccountKey) {
    let problem = client.find_account(key).await.unwrap_err();
    assert_eq!(kind(&problem), "accountDoesNotExist");
}

#[tokio::test]
async fn an_account_is_given_another_key_once_for_each_value_and_orders_with_it() {
    let mut world = World::new(Ways::default()).await;
    world.issuer().await;
    world.certificate("web", &["www.example.com"]).await;
    world.ready("web", 1).await;
    let uri = world.has_account("pebble").await.acme.unwrap().uri;
    let first = world.account_key("account").await;

    world.ask_for_another_key("pebble", "1").await;
    let second = world.has_other_key("pebble", "account", "1").await;
    assert_ne!(second.thumbprint(), first.thumbprint());
    nobody_knows(&world.pebble.client(), &first).await;
    world.certificate("api", &["api.example.com"]).await;
    world.ready("api", 1).await;
    world.renew("web").await;
    world.ready("web", 2).await;

    // The same value does nothing more, whoever looks at it.
    world.kill().await;
    world.start().await;
    world.certificate("shop", &["shop.example.com"]).await;
    world.ready("shop", 1).await;
    let same = world.account_key("account").await;
    assert_eq!(same.thumbprint(), second.thumbprint());

    world.ask_for_another_key("pebble", "2").await;
    let third = world.has_other_key("pebble", "account", "2").await;
    assert_ne!(third.thumbprint(), second.thumbprint());
    assert_eq!(world.has_account("pebble").await.acme.unwrap().uri, uri);
    world.renew("api").await;
    world.ready("api", 2).await;
    world.is_tidy().await;
    eventually("two Events tell of it", async || {
        match world.events("AccountKeyRolled").await {
            2 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    assert!(!world.log().contains("PRIVATE KEY"));
}

#[tokio::test]
async fn a_change_of_key_that_was_cut_off_anywhere_is_brought_to_its_end() {
    let mut world = World::new(Ways::default()).await;
    world.issuer().await;
    let uri = world.has_account("pebble").await.acme.unwrap().uri.unwrap();
    for (round, step) in ["stored", "sent", "swapped"].into_iter().enumerate() {
        let request = format!("{round}");
        let old = world.account_key("account").await;
        let next = AccountKey::generate().unwrap();
        let pem = next.private_key().to_pem(KeyEncoding::Pkcs8);
        let pem = String::from_utf8(pem.as_bytes().to_vec()).unwrap();

        // It was killed in the midst of it: what was written until then is there.
        world.kill().await;
        world.ask_for_another_key("pebble", &request).await;
        let stored = json!({
            "metadata": { "annotations": { REQUEST: request } },
            "stringData": { "tls.key.next": pem },
        });
        world.merge(world.secrets(), "account", &stored).await;
        if step != "stored" {
            let client = world.pebble.client();
            client.change_key(&old, &uri, &next).await.unwrap();
        }
        if step == "swapped" {
            let swapped =
                json!({ "stringData": { "tls.key": pem }, "data": { "tls.key.next": null } });
            world.merge(world.secrets(), "account", &swapped).await;
        }

        world.start().await;
        let now = world.has_other_key("pebble", "account", &request).await;
        assert_eq!(now.thumbprint(), next.thumbprint(), "{step}");
        nobody_knows(&world.pebble.client(), &old).await;
        let name = format!("web-{round}");
        world
            .certificate(&name, &[&format!("{name}.example.com")])
            .await;
        world.ready(&name, 1).await;
    }
    let status = world.has_account("pebble").await;
    assert_eq!(status.acme.unwrap().uri, Some(uri));
}

#[tokio::test]
async fn a_key_that_others_hang_on_stays_until_they_do_not() {
    let world = World::new(Ways::default()).await;
    let pebble = json!({ "server": world.pebble.directory, "caBundle": world.pebble.bundle });
    let with = |name: &str, more: Value| {
        let mut all = pebble.clone();
        let fields = all.as_object_mut().unwrap();
        fields.insert(
            "privateKeySecretRef".to_owned(),
            json!({ "name": format!("{name}-account") }),
        );
        fields.extend(more.as_object().unwrap().clone());
        all
    };

    // Two that share a Secret.
    world.issuer_with("one", &with("one", json!({}))).await;
    world.issuer_with("two", &with("one", json!({}))).await;
    world.has_account("one").await;
    world.has_account("two").await;
    let first = world.account_key("one-account").await;
    world.ask_for_another_key("one", "1").await;
    let failed = world.fails("one", "SharedAccount").await;
    assert!(
        failed.message.contains("Issuer shop/two") && failed.message.contains("shop/one-account"),
        "{}",
        failed.message
    );
    let same = world.account_key("one-account").await;
    assert_eq!(same.thumbprint(), first.thumbprint());

    // One whose key must stay, and one that somebody else stored.
    world.issuer_with("three", &with("three", json!({}))).await;
    world.has_account("three").await;
    let stays = with("three", json!({ "disableAccountKeyGeneration": true }));
    world.issuer_with("three", &stays).await;
    world.ask_for_another_key("three", "1").await;
    world.fails("three", "KeyMustStay").await;

    let brought = AccountKey::generate().unwrap();
    let pem = brought.private_key().to_pem(KeyEncoding::Pkcs8);
    world
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "four-account", "namespace": "shop" },
            "stringData": { "tls.key": String::from_utf8(pem.as_bytes().to_vec()).unwrap() },
        }))
        .await;
    world.issuer_with("four", &with("four", json!({}))).await;
    world.has_account("four").await;
    world.ask_for_another_key("four", "1").await;
    let failed = world.fails("four", "ForeignSecret").await;
    let label = "certwright.dev/account-key";
    assert!(failed.message.contains(label), "{}", failed.message);
    let same = world.account_key("four-account").await;
    assert_eq!(same.thumbprint(), brought.thumbprint());

    // What stood in the way goes, and the same request is answered.
    world.issuer_with("two", &with("two", json!({}))).await;
    world.has_other_key("one", "one-account", "1").await;
    world.issuer_with("three", &with("three", json!({}))).await;
    world.has_other_key("three", "three-account", "1").await;
    let labelled = json!({ "metadata": { "labels": { label: "true" } } });
    world
        .merge(world.secrets(), "four-account", &labelled)
        .await;
    let other = world.has_other_key("four", "four-account", "1").await;
    assert_ne!(other.thumbprint(), brought.thumbprint());
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
    assert_eq!(acme.external_account_required, Some(true));
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
    let payload = |asked: &Asked| {
        let (_, body) = asked.text.split_once("\r\n\r\n")?;
        let signed: Value = serde_json::from_str(body).ok()?;
        let payload = BASE64_URL_SAFE_NO_PAD
            .decode(signed["payload"].as_str()?)
            .ok()?;
        serde_json::from_slice::<Value>(&payload).ok()
    };
    let all = faulty.asked();
    let bound = |asked: &&Asked| {
        payload(asked).is_some_and(|payload| payload.get("externalAccountBinding").is_some())
    };
    all.iter().filter(bound).count()
}
