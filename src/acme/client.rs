//! One method for each thing that can be asked of a CA (RFC 8555 section 7).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use certwright_core::acme::account_key::{AccountKey, SignedBy, base64url};
use certwright_core::acme::origin::Origins;
use certwright_core::acme::wire::{
    Account, Authorization, Challenge, Directory, NewAccount, NewOrder, Order, RenewalInfo,
};
use http::Method;
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::answer::{Answer, CHAIN, JSON, located, nonsense, parse, read, success};
use super::{AcmeError, Found, Transport};

/// How long a directory is used before it is read again.
const FRESH: Duration = Duration::from_secs(3600);
/// How often a request is signed anew because its nonce was used up. Servers that reject many of them exist.
const TRIES: usize = 8;
/// For how many times the patience of one request all tries of it are waited for, with the nonces that they need.
const IN_ALL: u32 = 2;
/// How many unused nonces are kept.
const NONCES: usize = 64;

/// An ACME CA, by its directory.
pub struct Client {
    transport: Transport,
    url: String,
    offer: Mutex<Option<(Instant, Arc<Offer>)>>,
    nonces: Mutex<Vec<String>>,
}

/// What a CA offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Where its services are.
    pub directory: Directory,
    /// Which URLs belong to it.
    pub origins: Origins,
}

/// A chain, and where other chains for the same certificate are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// PEM, leaf first.
    pub pem: Vec<u8>,
    /// URLs of others (RFC 8555 section 7.4.2).
    pub alternates: Vec<String>,
}

impl Client {
    /// A CA whose directory is at this URL. Nothing is asked yet.
    pub fn new(transport: Transport, directory: &str) -> Self {
        Self {
            transport,
            url: directory.to_owned(),
            offer: Mutex::default(),
            nonces: Mutex::default(),
        }
    }

    /// What the CA offers; asked for again after an hour.
    ///
    /// # Errors
    /// When it can't be had, or names URLs that are none.
    pub async fn offer(&self) -> Result<Arc<Offer>, AcmeError> {
        let known = lock(&self.offer).clone();
        if let Some((_, offer)) = known.filter(|(read, _)| read.elapsed() < FRESH) {
            return Ok(offer);
        }
        // Only itself is known by now.
        let uri = parse(&self.url)?;
        let answer = self.transport.send(Method::GET, &uri, JSON, None).await?;
        let directory: Directory = read(&uri, success(&uri, answer)?)?.object;
        let origins = Origins::of(&self.url, &directory)?;
        let offer = Arc::new(Offer { directory, origins });
        *lock(&self.offer) = Some((Instant::now(), Arc::clone(&offer)));
        Ok(offer)
    }

    /// The account of a key: made, or found, if the key has one (section 7.3). Its URL is the answer's.
    ///
    /// `binding` is the account's identifier and MAC key with the CA (section 7.3.4).
    ///
    /// # Errors
    /// When the CA gives none.
    pub async fn account(
        &self,
        key: &AccountKey,
        contact: Option<&str>,
        binding: Option<(&str, &Zeroizing<Vec<u8>>)>,
    ) -> Result<Found<Account>, AcmeError> {
        let offer = self.offer().await?;
        let url = &offer.directory.new_account;
        let asked = NewAccount {
            contact: Some(contacts(contact)),
            terms_of_service_agreed: true,
            only_return_existing: false,
            external_account_binding: binding
                .map(|(id, mac_key)| key.bind_externally(id, mac_key, url)),
        };
        let asked = value(&asked);
        let answer = self.post(key, SignedBy::Key, url, Some(&asked)).await?;
        located(&offer, url, answer)
    }

    /// The account that a key already has.
    ///
    /// # Errors
    /// With a problem `accountDoesNotExist` if it has none.
    pub async fn find_account(&self, key: &AccountKey) -> Result<Found<Account>, AcmeError> {
        let offer = self.offer().await?;
        let url = &offer.directory.new_account;
        let asked = NewAccount {
            only_return_existing: true,
            ..NewAccount::default()
        };
        let asked = value(&asked);
        let answer = self.post(key, SignedBy::Key, url, Some(&asked)).await?;
        located(&offer, url, answer)
    }

    /// Says where an account's owner is reached; nowhere without a contact (section 7.3.2).
    ///
    /// # Errors
    /// When the CA doesn't take it.
    pub async fn set_contact(
        &self,
        key: &AccountKey,
        account: &str,
        contact: Option<&str>,
    ) -> Result<Account, AcmeError> {
        let asked = json!({ "contact": contacts(contact) });
        let found = self.object(key, account, account, Some(&asked)).await?;
        Ok(found.object)
    }

    /// Gives an account another key (section 7.3.5).
    ///
    /// # Errors
    /// When the CA doesn't take it.
    pub async fn change_key(
        &self,
        key: &AccountKey,
        account: &str,
        next: &AccountKey,
    ) -> Result<(), AcmeError> {
        let offer = self.offer().await?;
        let url = service(offer.directory.key_change.as_ref(), "keyChange")?;
        let inner = key.change_to(next, account, url)?;
        self.post(key, SignedBy::Account(account), url, Some(&inner))
            .await?;
        Ok(())
    }

    /// Orders a certificate (section 7.4). The order's URL is the answer's.
    ///
    /// # Errors
    /// When the CA gives none.
    pub async fn new_order(
        &self,
        key: &AccountKey,
        account: &str,
        order: &NewOrder,
    ) -> Result<Found<Order>, AcmeError> {
        let offer = self.offer().await?;
        let url = &offer.directory.new_order;
        let by = SignedBy::Account(account);
        let answer = self.post(key, by, url, Some(&value(order))).await?;
        located(&offer, url, answer)
    }

    /// An order as it stands.
    ///
    /// # Errors
    /// When it can't be had.
    pub async fn order(
        &self,
        key: &AccountKey,
        account: &str,
        url: &str,
    ) -> Result<Found<Order>, AcmeError> {
        self.object(key, account, url, None).await
    }

    /// An authorization as it stands.
    ///
    /// # Errors
    /// When it can't be had.
    pub async fn authorization(
        &self,
        key: &AccountKey,
        account: &str,
        url: &str,
    ) -> Result<Found<Authorization>, AcmeError> {
        self.object(key, account, url, None).await
    }

    /// Tells the CA to look for a challenge's answer (section 7.5.1). Who doesn't answer with the challenge has not heard:
    /// whoever believed it would wait for ever.
    ///
    /// # Errors
    /// When the CA doesn't take it.
    pub async fn accept(
        &self,
        key: &AccountKey,
        account: &str,
        challenge: &str,
    ) -> Result<Challenge, AcmeError> {
        let told = self
            .object(key, account, challenge, Some(&json!({})))
            .await?;
        Ok(told.object)
    }

    /// Sends the request for a certificate (section 7.4): PKCS#10 in DER.
    ///
    /// # Errors
    /// When the CA doesn't take it.
    pub async fn finalize(
        &self,
        key: &AccountKey,
        account: &str,
        url: &str,
        request: &[u8],
    ) -> Result<Found<Order>, AcmeError> {
        let asked = json!({ "csr": base64url(request) });
        self.object(key, account, url, Some(&asked)).await
    }

    /// A certificate's chain (section 7.4.2), also where it is another one for the same certificate.
    ///
    /// # Errors
    /// When it can't be had.
    pub async fn chain(
        &self,
        key: &AccountKey,
        account: &str,
        url: &str,
    ) -> Result<Issued, AcmeError> {
        let offer = self.offer().await?;
        let uri = parse(url)?;
        let answer = self
            .post(key, SignedBy::Account(account), url, None)
            .await?;
        if answer.content_type() != CHAIN {
            let why = format!("a certificate of type {:?}", answer.content_type());
            return Err(nonsense(&uri, why));
        }
        let mut alternates = answer.links("alternate");
        alternates.retain(|url| offer.origins.check(url).is_ok());
        Ok(Issued {
            pem: answer.body.to_vec(),
            alternates,
        })
    }

    /// Revokes a certificate (section 7.6), for a reason of RFC 5280 section 5.3.1: by the account that ordered it, or by
    /// the certificate's own key, if `account` is `None`.
    ///
    /// # Errors
    /// When the CA doesn't; with a problem `alreadyRevoked` if it did before.
    pub async fn revoke(
        &self,
        key: &AccountKey,
        account: Option<&str>,
        certificate: &[u8],
        reason: u8,
    ) -> Result<(), AcmeError> {
        let offer = self.offer().await?;
        let url = service(offer.directory.revoke_cert.as_ref(), "revokeCert")?;
        let asked = json!({ "certificate": base64url(certificate), "reason": reason });
        let by = account.map_or(SignedBy::Key, SignedBy::Account);
        self.post(key, by, url, Some(&asked)).await?;
        Ok(())
    }

    /// When to renew a certificate, by its identifier (RFC 9773 section 4.1). It is asked unsigned.
    ///
    /// # Errors
    /// `NoService` where the CA doesn't say so of any; otherwise when it can't be had.
    pub async fn renewal_info(
        &self,
        certificate_id: &str,
    ) -> Result<Found<RenewalInfo>, AcmeError> {
        let offer = self.offer().await?;
        let url = service(offer.directory.renewal_info.as_ref(), "renewalInfo")?;
        let url = format!("{}/{certificate_id}", url.trim_end_matches('/'));
        offer.origins.check(&url)?;
        let uri = parse(&url)?;
        let answer = self.transport.send(Method::GET, &uri, JSON, None).await?;
        read(&uri, success(&uri, answer)?)
    }

    async fn object<T: DeserializeOwned>(
        &self,
        key: &AccountKey,
        account: &str,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<Found<T>, AcmeError> {
        let by = SignedBy::Account(account);
        let answer = self.post(key, by, url, payload).await?;
        read(&parse(url)?, answer)
    }

    /// Sends a signed request; without a payload, it only reads (section 6.3).
    async fn post(
        &self,
        key: &AccountKey,
        by: SignedBy<'_>,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<Answer, AcmeError> {
        let offer = self.offer().await?;
        offer.origins.check(url)?;
        let uri = parse(url)?;
        let tries = async {
            let mut tries = 0;
            loop {
                tries += 1;
                let nonce = self.nonce(&offer.directory).await?;
                let signed = key.sign(by, url, &nonce, payload)?;
                let body = Bytes::from(signed.to_string());
                let sent = self.transport.send(Method::POST, &uri, ACCEPT, Some(body));
                let answer = sent.await?;
                self.keep_nonce(&answer);
                match success(&uri, answer) {
                    Err(AcmeError::Problem { problem, .. })
                        if problem.kind == BAD_NONCE && tries < TRIES => {}
                    outcome => return outcome,
                }
            }
        };
        // A CA that takes no nonce, and its time, would be asked for ever.
        let within = self.transport.patience() * IN_ALL;
        timeout(within, tries).await.unwrap_or_else(|_| {
            let host = uri.authority().map(ToString::to_string).unwrap_or_default();
            Err(AcmeError::TooSlow { host, within })
        })
    }

    /// A nonce that nobody has used.
    async fn nonce(&self, directory: &Directory) -> Result<String, AcmeError> {
        if let Some(nonce) = lock(&self.nonces).pop() {
            return Ok(nonce);
        }
        let uri = parse(&directory.new_nonce)?;
        let answer = self.transport.send(Method::HEAD, &uri, JSON, None).await?;
        let nonce = answer.nonce().map(str::to_owned);
        success(&uri, answer)?;
        nonce.ok_or_else(|| nonsense(&uri, "no sound nonce".to_owned()))
    }

    fn keep_nonce(&self, answer: &Answer) {
        let mut nonces = lock(&self.nonces);
        if let Some(nonce) = answer.nonce()
            && nonces.len() < NONCES
        {
            nonces.push(nonce.to_owned());
        }
    }
}

const ACCEPT: &str = "application/json, application/pem-certificate-chain";
const BAD_NONCE: &str = "urn:ietf:params:acme:error:badNonce";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn value(asked: &impl serde::Serialize) -> Value {
    serde_json::to_value(asked).expect("what is asked has only string keys")
}

fn contacts(contact: Option<&str>) -> Vec<String> {
    contact
        .map(|contact| format!("mailto:{contact}"))
        .into_iter()
        .collect()
}

fn service<'a>(url: Option<&'a String>, name: &'static str) -> Result<&'a String, AcmeError> {
    url.ok_or(AcmeError::NoService(name))
}
