//! An account's key as its Secret holds it, and beside it the one that is to follow.

use certwright_core::acme::AccountKey;
use certwright_core::api::Group;
use certwright_core::pki::PrivateKey;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;

use super::rollover::Rollover;
use crate::cluster::account_secret::{self, REQUEST};
use crate::cluster::new_secret::ACCOUNT_KEY;

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
