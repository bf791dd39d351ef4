//! An account's key as its Secret holds it, and beside it the one that is to follow.

use certwright_core::acme::AccountKey;
use certwright_core::api::Group;
use certwright_core::api::issuer::{Acme, DEFAULT_KEY_ENTRY};
use certwright_core::pki::PrivateKey;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use zeroize::Zeroizing;

use super::account::Accounts;
use super::rollover::Rollover;
use crate::acme::mac_key;
use crate::cluster::account_secret::{self, REQUEST};
use crate::cluster::new_secret::{self, ACCOUNT_KEY, NewSecret};
use crate::cluster::secrets::{IssuerKey, Named};
use crate::error::Error;
use crate::issuer::NotReady;

/// An account elsewhere: its identifier and MAC key.
pub(super) type Binding = (String, Zeroizing<Vec<u8>>);

/// What a Secret holds of an account. Its `Debug` would show the Secret, so it has none.
#[derive(Clone)]
pub(super) struct Stored {
    /// The Secret, as it was read or written.
    pub(super) secret: Secret,
    /// The account's key.
    pub(super) key: AccountKey,
    /// The key that is to follow it, from before the CA hears of it until it is the account's.
    pub(super) next: Option<AccountKey>,
    /// The request that the latest change of key was begun for.
    pub(super) request: Option<String>,
    /// Whether its label says that we may write to it.
    pub(super) is_ours: bool,
}

impl Stored {
    /// A Secret that was just made with this key.
    pub(super) fn new(secret: Secret, key: AccountKey) -> Self {
        Self {
            secret,
            key,
            next: None,
            request: None,
            is_ours: true,
        }
    }

    /// Reads a Secret. A next key that can't be read counts as none: another is made in its place.
    ///
    /// # Errors
    /// When there is no key in the entry, or none that can be read; in words.
    pub(super) fn read(secret: Secret, entry: &str, group: &Group) -> Result<Self, String> {
        Ok(Self {
            key: key(&secret, entry)?,
            next: key(&secret, &account_secret::next_entry(entry)).ok(),
            request: secret.annotations().get(&group.key(REQUEST)).cloned(),
            is_ours: secret.labels().contains_key(&group.key(ACCOUNT_KEY)),
            secret,
        })
    }

    /// How far a change of key has come.
    pub(super) fn rollover(&self) -> Rollover {
        Rollover {
            begun: self.next.is_some(),
            request: self.request.clone(),
        }
    }
}

impl Accounts {
    /// The account's key: as it is stored, or a new one, stored before anybody hears of it.
    pub(super) async fn stored(
        &self,
        issuer: &IssuerKey,
        namespace: &str,
        acme: &Acme,
    ) -> Result<Result<Stored, NotReady>, Error> {
        let reference = &acme.private_key_secret_ref;
        let entry = reference.key_or(DEFAULT_KEY_ENTRY);
        let secret = Named::new(namespace, &reference.name);
        let place = format!("{namespace}/{}", reference.name);
        if let Some(found) = self.secrets.read(&secret).await? {
            let stored = Stored::read(found, entry, &self.group);
            if let Ok(stored) = &stored {
                self.keys
                    .remember(issuer, &stored.secret, entry, &stored.key);
            }
            return Ok(stored.map_err(|why| NotReady {
                reason: "InvalidAccountKey",
                message: format!(
                    "Secret {place}: {why}. Put the account's private key there as PEM, or delete the Secret to begin with \
                     another account."
                ),
            }));
        }
        if acme.disable_account_key_generation.unwrap_or(false) {
            return Ok(Err(NotReady {
                reason: "SecretNotFound",
                message: format!(
                    "Secret {place} does not exist, and disableAccountKeyGeneration is set. Put the account's private key there as \
                     PEM in {entry}."
                ),
            }));
        }
        let key = match AccountKey::generate() {
            Ok(key) => key,
            Err(problem) => {
                return Ok(Err(NotReady {
                    reason: "KeyGenerationFailed",
                    message: format!("No account key could be made: {problem}."),
                }));
            }
        };
        let new = NewSecret::of_account(namespace, &reference.name, entry, key.private_key());
        let created = new_secret::create(&self.client, &self.group, new).await?;
        self.keys.remember(issuer, &created, entry, &key);
        Ok(Ok(Stored::new(created, key)))
    }

    /// What proves that an account belongs to one elsewhere, where the issuer names that.
    pub(super) async fn binding(
        &self,
        namespace: &str,
        acme: &Acme,
    ) -> Result<Result<Option<Binding>, NotReady>, Error> {
        let Some(binding) = &acme.external_account_binding else {
            return Ok(Ok(None));
        };
        let reference = &binding.key_secret_ref;
        let entry = reference.key_or("secret");
        let found = self
            .secrets
            .read(&Named::new(namespace, &reference.name))
            .await?;
        let octets = found
            .and_then(|secret| secret.data)
            .and_then(|mut data| data.remove(entry));
        Ok(match octets.and_then(|octets| mac_key(&octets.0)) {
            Some(key) => Ok(Some((binding.key_id.clone(), key))),
            None => Err(NotReady {
                reason: "InvalidExternalAccountBinding",
                message: format!(
                    "Secret {namespace}/{} has no MAC key in {entry}. Put the one there that the CA gave with keyID {}, in base64url.",
                    reference.name, binding.key_id
                ),
            }),
        })
    }
}

/// The key in an entry of a Secret.
///
/// # Errors
/// When there is none that can be read; in words.
pub(super) fn key(secret: &Secret, entry: &str) -> Result<AccountKey, String> {
    let pem = secret.data.as_ref().and_then(|data| data.get(entry));
    let pem = pem.ok_or_else(|| format!("it has no {entry}"))?;
    PrivateKey::from_pem(&pem.0)
        .and_then(AccountKey::new)
        .map_err(|problem| problem.to_string())
}
