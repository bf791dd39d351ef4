//! Accounts that are given other keys.

use certwright::acme::Client;
use certwright_core::acme::AccountKey;
use certwright_core::api::certificate::KeyEncoding;
use certwright_core::api::condition::{self, Condition};
use certwright_core::api::{Issuer, IssuerStatus};
use serde_json::{Value, json};

use crate::account::key;
use crate::client::kind;
use crate::faulty::{Fault, Faulty, Part, answer};
use crate::operator::{World, eventually, field};
use crate::pebble::Ways;

const REQUEST: &str = "certwright.dev/roll-account-key-request";
const FAILED: &str = "KeyRolloverFailed";

impl World {
    pub(crate) async fn ask_for_another_key(&self, issuer: &str, value: &str) {
        let change =
            json!({ "metadata": { "annotations": { "certwright.dev/roll-account-key": value } } });
        self.merge::<Issuer>(self.of(), issuer, &change).await;
    }

    /// Waits until the CA knows an Issuer's account by the key that was asked for with this value, which takes the place of
    /// the old one. Returns the new one.
    pub(crate) async fn has_other_key(
        &self,
        issuer: &str,
        secret: &str,
        value: &str,
    ) -> AccountKey {
        let status = self.has_status(issuer, value).await;
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

    /// Waits until an Issuer's status says that this was answered.
    pub(crate) async fn has_status(&self, issuer: &str, value: &str) -> IssuerStatus {
        self.issuer_is(issuer, "the account has another key", |status| {
            let acme = status.acme.as_ref();
            acme.and_then(|acme| acme.last_roll_request.as_deref()) == Some(value)
                && condition::is_true(&status.conditions, "Ready")
        })
        .await
    }

    /// Waits until an Issuer's status says that its account keeps its key, for this reason.
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

fn pem(key: &AccountKey) -> String {
    let pem = key.private_key().to_pem(KeyEncoding::Pkcs8);
    String::from_utf8(pem.as_bytes().to_vec()).unwrap()
}

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

    // The same value does nothing more, whoever looks at it, be it to a key in another Secret.
    world.kill().await;
    let other = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": "elsewhere", "namespace": "shop", "labels": { "certwright.dev/account-key": "true" },
        },
        "stringData": { "tls.key": pem(&second) },
    });
    world.apply(&other).await;
    let elsewhere =
        json!({ "spec": { "acme": { "privateKeySecretRef": { "name": "elsewhere" } } } });
    world
        .merge::<Issuer>(world.of(), "pebble", &elsewhere)
        .await;
    world.start().await;
    world.certificate("shop", &["shop.example.com"]).await;
    world.ready("shop", 1).await;
    world
        .issuer_is("pebble", "the issuer was looked at", |status| {
            status.observed_generation == Some(2) && condition::is_true(&status.conditions, "Ready")
        })
        .await;
    let same = world.account_key("elsewhere").await;
    assert_eq!(same.thumbprint(), second.thumbprint());

    world.ask_for_another_key("pebble", "2").await;
    let third = world.has_other_key("pebble", "elsewhere", "2").await;
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
        let pem = pem(&next);

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
    world
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "four-account", "namespace": "shop" },
            "stringData": { "tls.key": pem(&brought) },
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
async fn a_ca_that_fails_in_the_midst_of_it_is_asked_again_and_a_lost_answer_is_no_failure() {
    let world = World::new(Ways::default()).await;
    let faulty = Faulty::before(world.pebble.listens).await;
    let asked = json!({ "server": faulty.directory, "caBundle": faulty.bundle });
    world.issuer_with("ours", &asked).await;
    world.has_account("ours").await;
    let first = world.account_key("ours-account").await;

    let problem = json!({
        "type": "urn:ietf:params:acme:error:serverInternal", "detail": "no keys today", "status": 500,
    });
    let headers = [("Content-Type", "application/problem+json")];
    let away = answer("500 Oh", &headers, &problem.to_string());
    faulty.fails_at(CHANGE, Fault::Says(away));
    world.ask_for_another_key("ours", "1").await;
    let failed = world.fails("ours", "CAUnavailable").await;
    assert!(
        failed.message.contains("no keys today"),
        "{}",
        failed.message
    );
    // What is stored for it waits for its time.
    let stored = world.secrets().get("ours-account").await.unwrap();
    let next = key(&field(&stored, "tls.key.next").unwrap());
    let same = key(&field(&stored, "tls.key").unwrap());
    assert_eq!(same.thumbprint(), first.thumbprint());
    world
        .certificate_of("ours", "web", &["www.example.com"])
        .await;
    world.ready("web", 1).await;
    assert_eq!(world.events(FAILED).await, 1);

    faulty.recovers();
    world.has_status("ours", "1").await;
    let second = world.account_key("ours-account").await;
    assert_eq!(second.thumbprint(), next.thumbprint());
    nobody_knows(&world.pebble.client(), &first).await;

    // The CA does it, and nobody hears of that.
    faulty.fails_at(CHANGE, Fault::BreaksOff(Part::Nothing));
    world.ask_for_another_key("ours", "2").await;
    world.has_status("ours", "2").await;
    let third = world.account_key("ours-account").await;
    assert_ne!(third.thumbprint(), second.thumbprint());
    nobody_knows(&world.pebble.client(), &second).await;
    world.renew("web").await;
    world.ready("web", 2).await;
}

/// Where Pebble changes keys.
pub(crate) const CHANGE: &str = "/rollover-account-key";
