//! The client alone, against Pebble.

use std::collections::BTreeMap;
use std::time::Duration;

use certwright::acme::{AcmeError, Client, mac_key};
use certwright_core::acme::account_key::AccountKey;
use certwright_core::acme::wire::{AuthorizationStatus, Identifier, NewOrder, Order, OrderStatus};
use certwright_core::acme::{ari, chains};
use certwright_core::pki::csr::Csr;
use certwright_core::pki::profile::{DistinguishedName, KeyUsage, Names};
use certwright_core::pki::{Facts, KeySpec, PrivateKey, Profile};
use serde_json::json;
use tokio::time::sleep;

use crate::pebble::{BINDING, Pebble, Ways};

pub(crate) fn key(spec: KeySpec) -> AccountKey {
    AccountKey::new(PrivateKey::generate(spec).unwrap()).unwrap()
}

pub(crate) fn kind(problem: &AcmeError) -> &str {
    match problem {
        AcmeError::Problem { problem, .. } => problem.kind.rsplit(':').next().unwrap_or_default(),
        other => panic!("{other}"),
    }
}

pub(crate) fn names(names: &[&str]) -> NewOrder {
    NewOrder {
        identifiers: names
            .iter()
            .map(|name| match name.parse() {
                Ok(address) => Identifier::Ip(address),
                Err(_) => Identifier::Dns((*name).to_owned()),
            })
            .collect(),
        not_after: None,
        profile: None,
        replaces: None,
    }
}

pub(crate) fn request(order: &NewOrder, key: &PrivateKey) -> Csr {
    let mut names = Names::default();
    for identifier in &order.identifiers {
        match identifier {
            Identifier::Dns(name) => names.dns.insert(name.clone()),
            Identifier::Ip(address) => names.ip.insert(*address),
        };
    }
    let profile = Profile {
        subject: DistinguishedName::default(),
        names,
        key_usages: [KeyUsage::DigitalSignature].into(),
        extended_key_usages: std::collections::BTreeSet::new(),
        is_ca: false,
        name_constraints: None,
        key: key.spec(),
        signature_algorithm: None,
        usages_in_request: true,
        lifetime_seconds: 7_776_000,
    };
    Csr::new(&profile, key).unwrap()
}

/// An account and what it takes to order with it.
struct Customer<'p> {
    pebble: &'p Pebble,
    client: Client,
    key: AccountKey,
    url: String,
}

impl<'p> Customer<'p> {
    async fn of(pebble: &'p Pebble, key: AccountKey) -> Self {
        let client = pebble.client();
        let account = client.account(&key, Some("ops@example.com"), None).await;
        Self {
            pebble,
            client,
            key,
            url: account.unwrap().url,
        }
    }

    async fn ordered(&self, asked: &NewOrder) -> (String, Order) {
        let order = self.client.new_order(&self.key, &self.url, asked).await;
        let order = order.unwrap();
        (order.url, order.object)
    }

    /// Takes an order to its certificate: the chains, the preferred one first.
    async fn issued(&self, asked: &NewOrder, leaf_key: &PrivateKey) -> Vec<Vec<Facts>> {
        let (url, order) = self.ordered(asked).await;
        let (client, key, account) = (&self.client, &self.key, &self.url);
        for authorization in &order.authorizations {
            let found = client.authorization(key, account, authorization).await;
            let found = found.unwrap().object;
            if found.status == AuthorizationStatus::Valid {
                continue;
            }
            let mut challenges = found.challenges.iter();
            let challenge = challenges.find(|c| c.kind == "http-01").unwrap();
            let token = challenge.token.as_ref().unwrap();
            self.pebble.show(token, &key.key_authorization(token)).await;
            client.accept(key, account, &challenge.url).await.unwrap();
        }
        let order = self.until(&url, OrderStatus::Ready).await;
        let csr = request(asked, leaf_key);
        let finalized = client.finalize(key, account, &order.finalize, &csr.0).await;
        finalized.unwrap();
        let order = self.until(&url, OrderStatus::Valid).await;
        let url = order.certificate.unwrap();
        let first = client.chain(key, account, &url).await.unwrap();
        let mut chains = vec![chains::read(&first.pem).unwrap()];
        for url in &first.alternates {
            let other = client.chain(key, account, url).await.unwrap();
            chains.push(chains::read(&other.pem).unwrap());
        }
        chains
    }

    async fn until(&self, url: &str, status: OrderStatus) -> Order {
        for _ in 0..300 {
            let order = self.client.order(&self.key, &self.url, url).await.unwrap();
            if order.object.status == status {
                return order.object;
            }
            assert_ne!(order.object.status, OrderStatus::Invalid, "{order:?}");
            sleep(Duration::from_millis(100)).await;
        }
        panic!("the order does not become {status:?}");
    }
}

#[tokio::test]
async fn a_fifth_of_bad_nonces_is_no_hindrance_and_every_kind_of_account_key_orders() {
    let pebble = Pebble::start(Ways {
        bad_nonces: 20,
        ..Ways::default()
    })
    .await;
    for spec in [KeySpec::Ecdsa(256), KeySpec::Ecdsa(384), KeySpec::Rsa(2048)] {
        let customer = Customer::of(&pebble, key(spec)).await;
        let leaf_key = PrivateKey::generate(KeySpec::Ecdsa(256)).unwrap();
        let asked = names(&["www.example.com", "api.example.com", "127.0.0.1"]);
        let chains = customer.issued(&asked, &leaf_key).await;
        let leaf = &chains[0][0];
        assert_eq!(leaf.public_key, *leaf_key.public());
        assert_eq!((leaf.names.dns.len(), leaf.names.ip.len()), (2, 1));
        assert!(leaf.is_signed_by(&chains[0][1]), "{spec}");
    }
}

#[tokio::test]
async fn an_account_is_found_by_its_key_told_of_changes_and_given_another_key() {
    let pebble = Pebble::start(Ways::default()).await;
    let customer = Customer::of(&pebble, key(KeySpec::Ecdsa(256))).await;
    let (client, url) = (&customer.client, &customer.url);

    let again = client.account(&customer.key, None, None).await.unwrap();
    assert_eq!(again.url, *url);
    let found = pebble.client().find_account(&customer.key).await.unwrap();
    assert_eq!(found.url, *url);
    let stranger = key(KeySpec::Ecdsa(256));
    let nobody = client.find_account(&stranger).await.unwrap_err();
    assert_eq!(kind(&nobody), "accountDoesNotExist");

    let told = client.set_contact(&customer.key, url, Some("new@example.com"));
    assert_eq!(told.await.unwrap().contact, ["mailto:new@example.com"]);
    let refused = client.set_contact(&customer.key, url, Some("no address"));
    assert_eq!(kind(&refused.await.unwrap_err()), "invalidContact");

    let next = key(KeySpec::Ecdsa(384));
    client.change_key(&customer.key, url, &next).await.unwrap();
    assert_eq!(client.find_account(&next).await.unwrap().url, *url);
    let old = client.find_account(&customer.key).await.unwrap_err();
    assert_eq!(kind(&old), "accountDoesNotExist");
}

#[tokio::test]
async fn an_account_is_bound_to_one_elsewhere_where_the_ca_wants_it() {
    let pebble = Pebble::start(Ways {
        bindings: true,
        ..Ways::default()
    })
    .await;
    let client = pebble.client();
    let offer = client.offer().await.unwrap();
    assert!(offer.directory.meta.external_account_required);
    assert_eq!(offer.directory.meta.caa_identities, ["pebble.example"]);
    let account_key = key(KeySpec::Ecdsa(256));
    let unbound = client.account(&account_key, None, None).await.unwrap_err();
    assert_eq!(kind(&unbound), "externalAccountRequired");
    let mac = mac_key(BINDING.1.as_bytes()).unwrap();
    let wrong = mac_key(b"AAAA").unwrap();
    let refused = client.account(&account_key, None, Some((BINDING.0, &wrong)));
    assert_eq!(kind(&refused.await.unwrap_err()), "unauthorized");
    let bound = client.account(&account_key, None, Some((BINDING.0, &mac)));
    bound.await.unwrap();
}

#[tokio::test]
async fn profiles_chains_and_authorizations_that_hold_are_there_to_choose_from() {
    let pebble = Pebble::start(Ways {
        alternates: 2,
        reuses: 100,
        ..Ways::default()
    })
    .await;
    let customer = Customer::of(&pebble, key(KeySpec::Ecdsa(256))).await;
    let leaf_key = PrivateKey::generate(KeySpec::Ecdsa(256)).unwrap();
    let mut asked = names(&["www.example.com"]);
    asked.profile = Some("shortlived".to_owned());
    let chains = customer.issued(&asked, &leaf_key).await;
    assert_eq!(chains.len(), 3);
    let life = chains[0][0]
        .not_after
        .duration_since(chains[0][0].not_before);
    // The last second counts too.
    assert_eq!(life.as_secs() + 1, 576_000);
    let tops: BTreeMap<_, _> = chains
        .iter()
        .map(|chain| (format!("{:?}", chain.last().unwrap().issuer), chain))
        .collect();
    assert_eq!(tops.len(), 3, "each leads to another root");

    // What was shown once is not asked for again.
    let (_, order) = customer.ordered(&asked).await;
    assert_eq!(order.status, OrderStatus::Ready);

    asked.profile = Some("unheard-of".to_owned());
    let refused = customer
        .client
        .new_order(&customer.key, &customer.url, &asked);
    assert_eq!(kind(&refused.await.unwrap_err()), "invalidProfile");
    let blocked = names(&["blocked.example.com"]);
    let refused = customer
        .client
        .new_order(&customer.key, &customer.url, &blocked);
    assert_eq!(kind(&refused.await.unwrap_err()), "rejectedIdentifier");
}

#[tokio::test]
async fn the_ca_says_when_to_renew_and_revokes_by_either_key() {
    let pebble = Pebble::start(Ways::default()).await;
    let customer = Customer::of(&pebble, key(KeySpec::Ecdsa(256))).await;
    let (client, account_key, url) = (&customer.client, &customer.key, &customer.url);
    let leaf_key = PrivateKey::generate(KeySpec::Ecdsa(256)).unwrap();
    let asked = names(&["www.example.com"]);
    let chains = customer.issued(&asked, &leaf_key).await;
    let leaf = &chains[0][0];
    let id = ari::certificate_id(leaf).unwrap();
    let info = client.renewal_info(&id).await.unwrap();
    let window = info.object.suggested_window;
    assert!(window.start < window.end && info.retry_after.is_some());
    assert!(window.start > leaf.not_before && window.end < leaf.not_after);

    let past = json!({ "start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z" });
    let pem = pem::encode(&pem::Pem::new("CERTIFICATE", leaf.der.to_vec()));
    pebble.suggest(&pem, &past).await;
    let info = client.renewal_info(&id).await.unwrap().object;
    assert_eq!(json!(info.suggested_window), past);

    // The renewal says what it replaces; nobody else may say so again.
    let mut renewal = asked.clone();
    renewal.replaces = Some(id);
    let next_key = PrivateKey::generate(KeySpec::Ecdsa(256)).unwrap();
    let renewed = customer.issued(&renewal, &next_key).await;
    let again = client.new_order(account_key, url, &renewal).await;
    assert_eq!(kind(&again.unwrap_err()), "alreadyReplaced");

    let by_account = client.revoke(account_key, Some(url), &leaf.der, 4);
    by_account.await.unwrap();
    let twice = client.revoke(account_key, Some(url), &leaf.der, 4).await;
    assert_eq!(kind(&twice.unwrap_err()), "alreadyRevoked");
    let by_itself = AccountKey::new(next_key).unwrap();
    let der = &renewed[0][0].der;
    client.revoke(&by_itself, None, der, 1).await.unwrap();
}
