//! A whole issuance, at every request of which something goes wrong.

use std::time::Duration;

use certwright::acme::{AcmeError, Client};
use certwright_core::acme::AccountKey;
use certwright_core::acme::chains;
use certwright_core::acme::wire::{AuthorizationStatus, Order, OrderStatus};
use certwright_core::pki::{Facts, KeySpec, PrivateKey};
use tokio::time::sleep;

use crate::client::{key, names, request};
use crate::faulty::{Fault, Faulty, Part, answer};
use crate::pebble::{Pebble, Ways};

/// What somebody who wants a certificate keeps between steps.
struct Customer<'p> {
    pebble: &'p Pebble,
    client: Client,
    key: AccountKey,
    leaf_key: PrivateKey,
    account: Option<String>,
    order: Option<String>,
}

impl Customer<'_> {
    /// Goes one step on; the chain, once it is there. After a failure, the same step can be tried again.
    async fn step(&mut self) -> Result<Option<Vec<Facts>>, AcmeError> {
        let (client, key) = (&self.client, &self.key);
        let Some(account) = &self.account else {
            self.account = Some(client.account(key, None, None).await?.url);
            return Ok(None);
        };
        let asked = names(&["www.example.com"]);
        let Some(url) = &self.order else {
            self.order = Some(client.new_order(key, account, &asked).await?.url);
            return Ok(None);
        };
        let order: Order = client.order(key, account, url).await?.object;
        match order.status {
            OrderStatus::Pending => self.show(&order, account).await?,
            OrderStatus::Ready => {
                let csr = request(&asked, &self.leaf_key);
                client
                    .finalize(key, account, &order.finalize, &csr.0)
                    .await?;
            }
            OrderStatus::Processing => sleep(Duration::from_millis(50)).await,
            OrderStatus::Valid => {
                let chain = client.chain(key, account, &order.certificate.unwrap());
                return Ok(Some(chains::read(&chain.await?.pem).unwrap()));
            }
            OrderStatus::Invalid => panic!("{order:?}"),
        }
        Ok(None)
    }

    async fn show(&self, order: &Order, account: &str) -> Result<(), AcmeError> {
        for url in &order.authorizations {
            let found = self
                .client
                .authorization(&self.key, account, url)
                .await?
                .object;
            if found.status != AuthorizationStatus::Pending {
                continue;
            }
            let challenge = found
                .challenges
                .iter()
                .find(|c| c.kind == "http-01")
                .unwrap();
            let token = challenge.token.as_ref().unwrap();
            self.pebble
                .show(token, &self.key.key_authorization(token))
                .await;
            self.client
                .accept(&self.key, account, &challenge.url)
                .await?;
        }
        sleep(Duration::from_millis(50)).await;
        Ok(())
    }
}

/// Issues with the n-th request failing so; how many steps failed, and how many requests there were.
async fn issued(pebble: &Pebble, faulty: &Faulty, n: usize, fault: &Fault) -> (usize, usize) {
    let fault_ = fault.clone();
    faulty.fails(move |number, _| (number == n).then(|| fault_.clone()));
    let mut customer = Customer {
        pebble,
        client: faulty.client_within(Duration::from_secs(10)),
        key: key(KeySpec::Ecdsa(256)),
        leaf_key: PrivateKey::generate(KeySpec::Ecdsa(256)).unwrap(),
        account: None,
        order: None,
    };
    let mut failures = 0;
    for _ in 0..500 {
        match customer.step().await {
            Ok(None) => {}
            Ok(Some(chain)) => {
                assert_eq!(chain[0].public_key, *customer.leaf_key.public());
                return (failures, faulty.asked().len());
            }
            // A request may have been heard whose answer was lost: the next look tells.
            Err(problem) => {
                failures += 1;
                assert_eq!(failures, 1, "{n} {fault:?}: {problem}");
            }
        }
    }
    panic!("{n} {fault:?}: no certificate in 500 steps")
}

/// How many requests an issuance takes before anything is waited for.
const REQUESTS: usize = 9;

#[tokio::test]
async fn whichever_answer_is_lost_the_certificate_arrives_after_one_more_try() {
    let pebble = Pebble::start(Ways::default()).await;
    let faulty = Faulty::before(pebble.listens).await;
    let json = [("Content-Type", "application/json")];
    let html = [("Content-Type", "text/html")];
    let faults = [
        Fault::BreaksOff(Part::Nothing),
        Fault::BreaksOff(Part::Headers),
        Fault::BreaksOff(Part::Body),
        Fault::Says(answer("503 Later", &html, "<h1>later</h1>")),
        Fault::Says(answer("200 OK", &json, "[]")),
        Fault::Endless("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"),
    ];
    for fault in &faults {
        for n in 0..REQUESTS {
            let (failures, requests) = issued(&pebble, &faulty, n, fault).await;
            assert!(requests > REQUESTS, "{n} {fault:?}: {requests} requests");
            assert!(failures <= 1);
        }
    }
}

#[tokio::test]
async fn a_server_whose_clock_is_hours_off_issues_all_the_same() {
    let pebble = Pebble::start(Ways::default()).await;
    let faulty = Faulty::before(pebble.listens).await;
    // Nothing of the client's depends on the server's clock, whatever it says.
    for date in [
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "yesterday",
    ] {
        let fault = Fault::Dated(date);
        faulty.fails(move |_, _| Some(fault.clone()));
        let client = faulty.client();
        let account_key = key(KeySpec::Ecdsa(256));
        let account = client.account(&account_key, None, None).await.unwrap().url;
        let asked = names(&["www.example.com"]);
        let order = client.new_order(&account_key, &account, &asked).await;
        assert_eq!(order.unwrap().object.status, OrderStatus::Pending);
        assert!(faulty.asked().len() > 3);
    }
}
