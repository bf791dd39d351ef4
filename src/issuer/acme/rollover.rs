//! Another key for an account (RFC 8555 section 7.3.5), where an annotation of its issuer asks for one.
//!
//! The Secret says how far it has come. The next key is stored beside the present one before the CA hears of it. From then
//! on the account is known by one of the two, and whoever looks for it tries both: known by the present one, the CA is asked
//! to take the next; known by the next, that one takes the other's place.

mod failures;

use certwright_core::acme::AccountKey;
use certwright_core::api::issuer::{Acme, DEFAULT_KEY_ENTRY};
use jiff::Timestamp;

pub(super) use self::failures::Rollovers;
use super::account::{Account, Accounts};
use super::patience::in_time;
use super::stored::Stored;
use super::{AcmeIssuer, StepFailure};
use crate::acme::AcmeError;
use crate::cluster::account_secret;
use crate::cluster::secrets::{IssuerKey, Named};
use crate::error::Error;
use crate::issuer::NotReady;

/// How far a change of an account's key has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollover {
    /// Whether the next key is stored, and so the CA may have heard of it.
    pub begun: bool,
    /// The request that the latest change was begun for.
    pub request: Option<String>,
}

impl Rollover {
    /// Whether anything is left to do where this is asked for. What was begun is brought to its end.
    pub fn is_open(&self, asked: Option<&str>) -> bool {
        self.begun || asked.is_some() && asked != self.request.as_deref()
    }
}

/// What came of asking for another key.
pub enum Rolled {
    /// There was nothing to do, or something else was done meanwhile.
    Nothing,
    /// The account has another key.
    Done,
    /// It keeps its key for now: why, and when the CA is asked again.
    Failed(NotReady, Option<Timestamp>),
}

impl Accounts {
    /// Gives an issuer's account another key, for this request, or goes on with what was begun.
    ///
    /// # Errors
    /// When the API server fails, or something changed meanwhile. The next call goes on from wherever this one came to.
    pub async fn roll(
        &self,
        now: Timestamp,
        issuer: &IssuerKey,
        namespace: &str,
        using: &AcmeIssuer,
        asked: Option<&str>,
    ) -> Result<Rolled, Error> {
        let _turn = self.turns.take(issuer).await?;
        let (account, settings) = (&using.account, &using.settings);
        if let Some(held) = self.rollovers.held(now, issuer, asked, settings) {
            return Ok(held);
        }
        let stored = self.stored_of(namespace, account, settings).await?;
        let Some(stored) = stored.filter(|stored| stored.rollover().is_open(asked)) else {
            // Whoever looks for the account next finds it as it is now.
            self.forget(issuer);
            return Ok(Rolled::Nothing);
        };
        let fail = |failure| Ok(self.rollovers.failed(now, issuer, asked, settings, failure));
        let stored = match self.with_next(settings, account, stored, asked).await? {
            Ok(stored) => stored,
            Err(Kept::Refused(error)) => return fail(StepFailure::of_call(now, &error)),
            Err(Kept::Problem(problem)) => return Ok(Rolled::Failed(problem, None)),
        };
        let Some(next) = &stored.next else {
            return Ok(Rolled::Nothing);
        };
        // From here on it is not known by which key the account is known.
        self.forget(issuer);
        if let Err(error) = in_time(&settings.server, changed(account, next)).await {
            return fail(StepFailure::of_call(now, &error));
        }
        let entry = settings.private_key_secret_ref.key_or(DEFAULT_KEY_ENTRY);
        self.follow(issuer, entry, &stored).await?;
        self.rollovers.forget(issuer);
        Ok(Rolled::Done)
    }

    /// Another issuer with this account, if one is known.
    pub fn shared_with(&self, issuer: &IssuerKey, account: &Account) -> Option<IssuerKey> {
        self.other_user(issuer, account)
    }

    /// Puts the next key in the present one's place, as the CA has done.
    pub(super) async fn follow(
        &self,
        issuer: &IssuerKey,
        entry: &str,
        stored: &Stored,
    ) -> Result<Stored, Error> {
        let next = stored.next.as_ref().unwrap_or(&stored.key);
        let secret =
            account_secret::follow(&self.client, &self.group, &stored.secret, entry, next).await?;
        self.keys.remember(issuer, &secret, entry, next);
        Ok(Stored {
            key: next.clone(),
            next: None,
            secret,
            ..stored.clone()
        })
    }

    /// What is stored of an account, unless it is another's by now.
    async fn stored_of(
        &self,
        namespace: &str,
        account: &Account,
        settings: &Acme,
    ) -> Result<Option<Stored>, Error> {
        let reference = &settings.private_key_secret_ref;
        let entry = reference.key_or(DEFAULT_KEY_ENTRY);
        let found = self
            .secrets
            .read(&Named::new(namespace, &reference.name))
            .await?;
        let stored = found.and_then(|found| Stored::read(found, entry, &self.group).ok());
        Ok(stored.filter(|stored| stored.key.thumbprint() == account.key.thumbprint()))
    }

    /// Has the next key stored beside the present one.
    async fn with_next(
        &self,
        settings: &Acme,
        account: &Account,
        stored: Stored,
        asked: Option<&str>,
    ) -> Result<Result<Stored, Kept>, Error> {
        let (None, Some(asked)) = (&stored.next, asked) else {
            return Ok(Ok(stored));
        };
        if !stored.is_ours {
            return Ok(Err(Kept::Problem(not_ours(self, &stored))));
        }
        // Nothing is stored for a CA that can't do it.
        let next = match account.client.offer().await {
            Ok(offer) if offer.directory.key_change.is_none() => {
                return Ok(Err(Kept::Refused(AcmeError::NoService("keyChange"))));
            }
            Ok(_) => AccountKey::generate().map_err(AcmeError::Key),
            Err(error) => Err(error),
        };
        let next = match next {
            Ok(next) => next,
            Err(error) => return Ok(Err(Kept::Refused(error))),
        };
        let entry = settings.private_key_secret_ref.key_or(DEFAULT_KEY_ENTRY);
        let (client, group) = (&self.client, &self.group);
        let kept =
            account_secret::keep_next(client, group, &stored.secret, entry, &next, asked).await;
        match kept {
            Ok(secret) => Ok(Ok(Stored {
                secret,
                next: Some(next),
                request: Some(asked.to_owned()),
                ..stored
            })),
            Err(error) => match error.refusal() {
                Some(message) => Ok(Err(Kept::Problem(NotReady {
                    reason: "SecretRefused",
                    message: format!("{}.", message.trim_end_matches('.')),
                }))),
                None => Err(error),
            },
        }
    }
}

/// Why no next key is stored.
enum Kept {
    Problem(NotReady),
    Refused(AcmeError),
}

/// Has the CA know the account by the next key. Whatever it answered, or did not: what counts is that it then knows it.
async fn changed(account: &Account, next: &AccountKey) -> Result<(), AcmeError> {
    let client = &account.client;
    let asked = client.change_key(&account.key, &account.url, next).await;
    match (client.find_account(next).await, asked) {
        (Ok(found), _) if found.url == account.url => Ok(()),
        (_, Err(error)) | (Err(error), Ok(())) => Err(error),
        (Ok(found), Ok(())) => Err(AcmeError::Nonsense {
            host: account.url.clone(),
            why: format!("the next key is that of another account, {}", found.url),
        }),
    }
}

/// The issuer says that its key stays.
pub fn must_stay() -> NotReady {
    NotReady {
        reason: "KeyMustStay",
        message: "disableAccountKeyGeneration is set, so that no other key is made for the account. Remove it if one may be, or \
                  change the key where it was made."
            .to_owned(),
    }
}

/// Another issuer would be left with a key that nobody knows.
pub fn is_shared(secret: &Named, (other, namespace): &IssuerKey) -> NotReady {
    let place = if namespace.is_empty() {
        other.name.clone()
    } else {
        format!("{namespace}/{}", other.name)
    };
    NotReady {
        reason: "SharedAccount",
        message: format!(
            "{} {place} uses Secret {}/{} or the same account too, and would lose it. Give each issuer an account of its own first.",
            other.kind(),
            secret.namespace,
            secret.name,
        ),
    }
}

fn not_ours(accounts: &Accounts, stored: &Stored) -> NotReady {
    let metadata = &stored.secret.metadata;
    let label = accounts.group.key(crate::cluster::new_secret::ACCOUNT_KEY);
    NotReady {
        reason: "ForeignSecret",
        message: format!(
            "Secret {}/{} was not made by Certwright, so that its key is left alone. If another may take its place, give it the \
             label {label}: \"true\".",
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_open_until_its_request_was_answered_and_once_begun_in_any_case() {
        let rollover = |begun, request: Option<&str>| Rollover {
            begun,
            request: request.map(str::to_owned),
        };
        assert!(!rollover(false, None).is_open(None));
        assert!(rollover(false, None).is_open(Some("1")));
        assert!(!rollover(false, Some("1")).is_open(Some("1")));
        assert!(!rollover(false, Some("1")).is_open(None));
        assert!(rollover(false, Some("1")).is_open(Some("2")));
        assert!(rollover(true, Some("1")).is_open(Some("1")));
        assert!(rollover(true, Some("1")).is_open(None));
    }
}
