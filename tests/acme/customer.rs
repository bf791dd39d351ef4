//! An issuance, step by step.

use std::net::SocketAddr;
use std::time::Duration;

use certwright::acme::{AcmeError, Client};
use certwright_core::acme::AccountKey;
use certwright_core::acme::chains;
use certwright_core::acme::wire::{AuthorizationStatus, Order, OrderStatus};
use certwright_core::pki::{Facts, KeySpec, PrivateKey};
use tokio::time::sleep;

use crate::client::{key, names, request};
use crate::pebble::show;

/// What somebody who wants a certificate keeps between steps.
pub(crate) struct Customer {
    answers: SocketAddr,
    pub(crate) client: Client,
    pub(crate) key: AccountKey,
    pub(crate) leaf_key: PrivateKey,
    pub(crate) account: Option<String>,
    order: Option<String>,
}

impl Customer {
    /// Somebody new, whose answers are shown there.
    pub(crate) fn new(client: Client, answers: SocketAddr) -> Self {
        Self {
            answers,
            client,
            key: key(KeySpec::Ecdsa(256)),
            leaf_key: PrivateKey::generate(KeySpec::Ecdsa(256)).unwrap(),
            account: None,
            order: None,
        }
    }

    /// Goes one step on; the chain, once it is there. After a failure, the same step can be tried again.
    pub(crate) async fn step(&mut self) -> Result<Option<Vec<Facts>>, AcmeError> {
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
                let url = order.certificate.unwrap();
                let chain = client.chain(key, account, &url).await?;
                return Ok(Some(chains::read(&chain.pem).unwrap()));
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
            let answer = self.key.key_authorization(token);
            show(self.answers, token, &answer).await;
            self.client
                .accept(&self.key, account, &challenge.url)
                .await?;
        }
        sleep(Duration::from_millis(50)).await;
        Ok(())
    }
}
