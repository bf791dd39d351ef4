//! Another key for an account (RFC 8555 section 7.3.5), where an annotation of its issuer asks for one.
//!
//! The Secret says how far it has come. The next key is stored beside the present one before the CA hears of it. From then
//! on the account is known by one of the two, and whoever looks for it tries both: known by the present one, the CA is asked
//! to take the next; known by the next, that one takes the other's place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::acme::AccountKey;
use certwright_core::api::issuer::{Acme, DEFAULT_KEY_ENTRY};
use certwright_core::plan::is_ahead;
use certwright_core::plan::status::{MAX_HOLD_OUTSIDE, Pace};
use jiff::{SignedDuration, Timestamp};

use super::account::{Account, Accounts};
use super::patience::in_time;
use super::stored::Stored;
use super::{AcmeIssuer, StepFailure};
use crate::acme::AcmeError;
use crate::cluster::account_secret;
use crate::cluster::secrets::{IssuerKey, Named};
use crate::error::Error;
use crate::issuer::NotReady;

/// How long to wait after a failure that passes; it doubles up to five minutes.
const SOON: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(5), SignedDuration::from_mins(5));
/// How long to wait after a refusal; it doubles up to six hours.
const SLOW: (SignedDuration, SignedDuration) =
    (SignedDuration::from_mins(15), SignedDuration::from_hours(6));

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

/// The changes of key that failed, by issuer.
#[derive(Default)]
pub(super) struct Rollovers(Mutex<HashMap<IssuerKey, Failed>>);

struct Failed {
    /// What was asked for, of an issuer with these settings.
    asked: Option<String>,
    settings: Arc<Acme>,
    why: NotReady,
    /// In a row.
    failures: u32,
    /// When the CA is asked again.
    next: Timestamp,
}

impl Failed {
    fn is_of(&self, asked: Option<&str>, settings: &Acme) -> bool {
        self.asked.as_deref() == asked && *self.settings == *settings
    }
}

impl Rollovers {
    /// Forgets issuers that are gone.
    pub(super) fn retain(&self, exists: impl Fn(&IssuerKey) -> bool) {
        self.lock().retain(|issuer, _| exists(issuer));
    }

    /// Why the CA is not asked now.
    fn held(
        &self,
        now: Timestamp,
        issuer: &IssuerKey,
        asked: Option<&str>,
        settings: &Acme,
    ) -> Option<Rolled> {
        let all = self.lock();
        let failed = all.get(issuer)?;
        (failed.is_of(asked, settings) && is_ahead(now, failed.next, MAX_HOLD_OUTSIDE))
            .then(|| Rolled::Failed(failed.why.clone(), Some(failed.next)))
    }

    fn failed(
        &self,
        now: Timestamp,
        issuer: &IssuerKey,
        asked: Option<&str>,
        settings: &Arc<Acme>,
        failure: StepFailure,
    ) -> Rolled {
        let mut all = self.lock();
        let before = all
            .get(issuer)
            .filter(|failed| failed.is_of(asked, settings))
            .map_or(0, |failed| failed.failures);
        let doubling = |(first, longest): (SignedDuration, SignedDuration)| {
            let wait = first.saturating_mul(1 << before.min(10)).min(longest);
            now.checked_add(wait).unwrap_or(Timestamp::MAX)
        };
        let next = match failure.pace {
            Pace::Until(until) | Pace::Held(until) => until,
            Pace::Refused => doubling(SLOW),
            _ => doubling(SOON),
        };
        let why = NotReady {
            reason: failure.reason,
            message: failure.message,
        };
        let failed = Failed {
            asked: asked.map(str::to_owned),
            settings: Arc::clone(settings),
            why: why.clone(),
            failures: before + 1,
            next,
        };
        all.insert(issuer.clone(), failed);
        Rolled::Failed(why, Some(next))
    }

    fn forget(&self, issuer: &IssuerKey) {
        self.lock().remove(issuer);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IssuerKey, Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let _turn = self.turn(issuer).await?;
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
    use certwright_core::plan::request::IssuerName;

    use super::*;

    fn issuer() -> IssuerKey {
        let name = IssuerName {
            cluster: true,
            name: "ca".to_owned(),
        };
        (name, String::new())
    }

    fn after(rolled: Rolled, now: Timestamp) -> SignedDuration {
        match rolled {
            Rolled::Failed(_, Some(next)) => next.duration_since(now),
            _ => panic!("it did not fail for a time"),
        }
    }

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

    #[test]
    fn a_ca_that_refuses_is_asked_ever_later_and_at_once_for_another_request() {
        let now: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let (issuer, settings) = (issuer(), Arc::new(Acme::default()));
        let rollovers = Rollovers::default();
        let fail = |asked: &str, error: &AcmeError| {
            let failure = StepFailure::of_call(now, error);
            let failed = rollovers.failed(now, &issuer, Some(asked), &settings, failure);
            after(failed, now)
        };
        let held = |at: Timestamp, asked: &str, settings: &Acme| {
            rollovers.held(at, &issuer, Some(asked), settings).is_some()
        };
        let refused = AcmeError::NoService("keyChange");
        assert!(!held(now, "1", &settings));
        assert_eq!(fail("1", &refused), SignedDuration::from_mins(15));
        assert_eq!(fail("1", &refused), SignedDuration::from_mins(30));
        for _ in 0..100 {
            fail("1", &refused);
        }
        assert_eq!(fail("1", &refused), SignedDuration::from_hours(6));
        assert!(held(now, "1", &settings));
        assert!(!held(now + SignedDuration::from_hours(6), "1", &settings));
        assert!(!held(now, "2", &settings));
        let other = Acme {
            server: "https://other.example/".to_owned(),
            ..Acme::default()
        };
        assert!(!held(now, "1", &other));

        // Another request begins to count anew.
        let away = AcmeError::TimedOut {
            host: "ca.example".to_owned(),
            within: std::time::Duration::from_secs(30),
        };
        assert_eq!(fail("2", &away), SignedDuration::from_secs(5));
        assert_eq!(fail("2", &away), SignedDuration::from_secs(10));
        rollovers.retain(|_| false);
        assert!(!held(now, "2", &settings));
    }
}
