//! Accounts with ACME CAs: each found or made by its key, which is stored before it is used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::acme::AccountKey;
use certwright_core::api::Group;
use certwright_core::api::issuer::{Acme, AcmeStatus, DEFAULT_KEY_ENTRY};
use certwright_core::pki::Facts;
use certwright_core::plan::status::Pace;
use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;

use super::StepFailure;
use super::budget::{Budget, Budgets};
use super::keys::Keys;
use super::patience::{ASK, too_slow};
use super::registration::{self, Held, Seeker};
use super::rollover::{Rollover, Rollovers};
use super::stored;
use super::turns::Turns;
use crate::acme::{AcmeError, Client, Transport, Verification};
use crate::cluster::own_addresses::OwnAddresses;
use crate::cluster::secrets::{IssuerKey, Named, Secrets};
use crate::error::Error;
use crate::issuer::NotReady;
use crate::outside::{Allowed, Outside};

/// How long an account is used before the CA is asked for it again.
const FRESH: SignedDuration = SignedDuration::from_hours(24);
/// How long to wait before the CA is told again where to write to.
const CONTACT_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// How long to wait after the CA could not be asked; it doubles up to five minutes.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(5);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// An account with an ACME CA.
pub struct Account {
    pub(super) client: Client,
    pub(super) key: AccountKey,
    /// The directory of its CA, as the issuer names it.
    pub(super) directory: String,
    pub(super) url: String,
    pub(super) budget: Arc<Budget>,
    pub(super) status: AcmeStatus,
    /// The CAs that the issuer's `caBundle` names.
    pub(super) roots: Vec<Facts>,
    /// Why the CA does not know where to write to, if so.
    pub(super) contact_problem: Option<NotReady>,
    pub(super) rollover: Rollover,
}

/// All accounts that are in use, by issuer.
pub struct Accounts {
    pub(super) client: kube::Client,
    pub(super) group: Group,
    outside: Arc<Outside>,
    allowed: Allowed,
    pub(super) secrets: Arc<Secrets>,
    known: Mutex<HashMap<IssuerKey, Known>>,
    pub(super) turns: Turns,
    budgets: Budgets,
    pub(super) keys: Keys,
    pub(super) rollovers: Rollovers,
}

struct Known {
    /// What the issuer's spec and Secrets were when the CA was asked.
    identity: String,
    asked: Timestamp,
    failures: u32,
    standing: Result<Arc<Account>, NotReady>,
    next: Timestamp,
}

impl Accounts {
    /// Accounts with CAs that are reached these ways, at addresses that are allowed.
    pub fn new(
        client: kube::Client,
        group: Group,
        outside: Arc<Outside>,
        allowed: Allowed,
        secrets: Arc<Secrets>,
    ) -> Self {
        Self {
            client,
            group,
            outside,
            allowed,
            secrets,
            known: Mutex::default(),
            turns: Turns::default(),
            budgets: Budgets::default(),
            keys: Keys::default(),
            rollovers: Rollovers::default(),
        }
    }

    /// What changes whenever the account has to be looked for again: the Secrets that it hangs on.
    pub fn version(&self, namespace: &str, acme: &Acme) -> String {
        let version = |name: &str| {
            let secret = Named::new(namespace, name);
            self.secrets.version(&secret).unwrap_or_default()
        };
        let key = version(&acme.private_key_secret_ref.name);
        match &acme.external_account_binding {
            Some(binding) => format!("{key}.{}", version(&binding.key_secret_ref.name)),
            None => key.to_string(),
        }
    }

    /// The account of an issuer, whose spec is this `generation`: the CA is asked where it was not, or is due to be asked
    /// again.
    ///
    /// # Errors
    /// When the API server fails.
    pub async fn of(
        &self,
        now: Timestamp,
        issuer: &IssuerKey,
        namespace: &str,
        generation: &str,
        acme: &Acme,
    ) -> Result<Result<Arc<Account>, NotReady>, Error> {
        let _turn = self.turns.take(issuer).await?;
        let identity = || format!("{generation}.{}", self.version(namespace, acme));
        let failures = {
            let known = lock(&self.known);
            let same = known
                .get(issuer)
                .filter(|known| known.identity == identity());
            if let Some(known) = same.filter(|known| known.next > now && known.asked <= now) {
                return Ok(known.standing.clone());
            }
            same.map_or(0, |known| known.failures)
        };
        let asked = self.ask(now, issuer, namespace, acme).await?;
        let (standing, wait, failures) = match asked {
            // What the CA could not be told may be told sooner.
            Ok(account) if account.contact_problem.is_some() => (Ok(account), CONTACT_AGAIN, 0),
            Ok(account) => (Ok(account), FRESH, 0),
            Err((problem, Some(until))) => {
                let wait = until.duration_since(now).max(FIRST_WAIT);
                (Err(problem), wait, failures + 1)
            }
            Err((problem, None)) => {
                let wait = FIRST_WAIT.saturating_mul(1 << failures.min(10));
                (Err(problem), wait.min(LONGEST_WAIT), failures + 1)
            }
        };
        let known = Known {
            // Making the key may have changed it.
            identity: identity(),
            asked: now,
            failures,
            standing: standing.clone(),
            next: now.checked_add(wait).unwrap_or(Timestamp::MAX),
        };
        lock(&self.known).insert(issuer.clone(), known);
        Ok(standing)
    }

    /// Another issuer that was last found to use this account. Only its own CA's word counts: any other could claim it.
    pub(super) fn other_user(&self, issuer: &IssuerKey, account: &Account) -> Option<IssuerKey> {
        let known = lock(&self.known);
        let uses = |known: &Known| matches!(&known.standing, Ok(other) if other.is_same(account));
        let mut others = known
            .iter()
            .filter(|(other, known)| *other != issuer && uses(known));
        others.next().map(|(other, _)| other.clone())
    }

    /// When the CA is to be asked again.
    pub fn due(&self, issuer: &IssuerKey) -> Option<Timestamp> {
        lock(&self.known).get(issuer).map(|known| known.next)
    }

    /// Forgets what is known of an issuer's account: the CA is asked again.
    pub fn forget(&self, issuer: &IssuerKey) {
        lock(&self.known).remove(issuer);
    }

    /// Forgets the accounts, and so the keys, of issuers that are gone.
    pub fn retain(&self, exists: impl Fn(&IssuerKey) -> bool) {
        lock(&self.known).retain(|issuer, _| exists(issuer));
        self.turns.retain(&exists);
        self.budgets.forget_unused();
        self.rollovers.retain(&exists);
        self.keys.retain(exists);
    }

    /// Begins to count anew what accounts were used for: another replica may have used them meanwhile.
    pub fn count_anew(&self) {
        self.budgets.begin_anew();
    }

    /// An issuer's account key, which answers to challenges are made with. It is read where it is not known as it is now,
    /// which is so on replicas that don't lead.
    ///
    /// # Errors
    /// When the API server fails.
    pub async fn key(
        &self,
        issuer: &IssuerKey,
        namespace: &str,
        acme: &Acme,
    ) -> Result<Option<AccountKey>, Error> {
        let reference = &acme.private_key_secret_ref;
        let secret = Named::new(namespace, &reference.name);
        let entry = reference.key_or(DEFAULT_KEY_ENTRY);
        let seen = self.secrets.version(&secret);
        if let Some(key) = seen.and_then(|seen| self.keys.get(issuer, &secret, entry, seen)) {
            return Ok(Some(key));
        }
        let Some(found) = self.secrets.read(&secret).await? else {
            return Ok(None);
        };
        let key = stored::key(&found, entry).ok();
        if let Some(key) = &key {
            self.keys.remember(issuer, &found, entry, key);
        }
        Ok(key)
    }

    async fn ask(
        &self,
        now: Timestamp,
        issuer: &IssuerKey,
        namespace: &str,
        acme: &Acme,
    ) -> Result<Result<Arc<Account>, (NotReady, Option<Timestamp>)>, Error> {
        let stored = match self.stored(issuer, namespace, acme).await? {
            Ok(stored) => stored,
            Err(problem) => return Ok(Err((problem, None))),
        };
        let verification = if acme.skip_tls_verify.unwrap_or(false) {
            Verification::None
        } else {
            Verification::Roots(acme.ca_bundle.clone())
        };
        let outside = Arc::clone(&self.outside);
        let mut allowed = self.allowed.clone();
        // Whoever writes a ClusterIssuer may have networks allowed.
        if !issuer.0.cluster {
            allowed = allowed.and_own(Arc::new(OwnAddresses::new(self.client.clone(), namespace)));
        }
        let transport = match Transport::new(outside, allowed, &verification) {
            Ok(transport) => transport,
            Err(problem) => {
                return Ok(Err((
                    NotReady {
                        reason: "InvalidCABundle",
                        message: format!("{problem:#}."),
                    },
                    None,
                )));
            }
        };
        let client = Client::new(transport, &acme.server);
        let held = self.budgets.may_register(now, &acme.server).err();
        let may_register = held.is_none();
        let seeker = Seeker {
            now,
            client,
            acme,
            stored,
        };
        let sought = self.seek(issuer, namespace, seeker, may_register);
        // What was begun is gone on with the next time.
        let sought = match timeout(ASK, sought).await {
            Ok(sought) => sought?,
            Err(_) => Err(Unfound::Refused(too_slow(&acme.server, ASK))),
        };
        let error = match sought {
            Ok(account) => return Ok(Ok(Arc::new(account))),
            Err(Unfound::Problem(problem)) => return Ok(Err((problem, None))),
            Err(Unfound::Refused(error)) => error,
        };
        self.budgets.heard(now, &acme.server, &error);
        // Only an account that is there already was asked for.
        let failure = match held {
            Some(hold) if registration::is_none(&error) => StepFailure::of_hold(&hold),
            _ => StepFailure::of_call(now, &error),
        };
        let until = match failure.pace {
            Pace::Until(until) | Pace::Held(until) => Some(until),
            Pace::Soon | Pace::Refused | Pace::EachMinute => None,
        };
        let problem = NotReady {
            reason: failure.reason,
            message: failure.message,
        };
        Ok(Err((problem, until)))
    }

    /// The account of the stored key, or of the one that is to follow it, or a new one where that may be made.
    async fn seek(
        &self,
        issuer: &IssuerKey,
        namespace: &str,
        seeker: Seeker<'_>,
        may_register: bool,
    ) -> Result<Result<Account, Unfound>, Error> {
        let acme = seeker.acme;
        let found = match seeker.find().await {
            Ok(found) => found,
            Err(error) => return Ok(Err(Unfound::Refused(error))),
        };
        let (found, stored) = match found {
            Held::ByKey(found) => (found, seeker.stored.clone()),
            // The CA took the next key, and nobody could write that down.
            Held::ByNext(found) => {
                let entry = acme.private_key_secret_ref.key_or(DEFAULT_KEY_ENTRY);
                let stored = self.follow(issuer, entry, &seeker.stored).await?;
                (found, stored)
            }
            Held::Nowhere(error) if !may_register => return Ok(Err(Unfound::Refused(error))),
            Held::Nowhere(_) => {
                let binding = match self.binding(namespace, acme).await? {
                    Ok(binding) => binding,
                    Err(problem) => return Ok(Err(Unfound::Problem(problem))),
                };
                match seeker.register(binding).await {
                    Ok(found) => (found, seeker.stored.clone()),
                    Err(error) => return Ok(Err(Unfound::Refused(error))),
                }
            }
        };
        let budget = self.budgets.of(&acme.server, &found.url);
        let account = seeker.known_by(&stored, found, budget).await;
        Ok(account.map_err(Unfound::Refused))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why an issuer has no account.
enum Unfound {
    /// Something that is not the CA's.
    Problem(NotReady),
    Refused(AcmeError),
}

impl Account {
    /// What is told of it in the issuer's status.
    pub fn status(&self) -> &AcmeStatus {
        &self.status
    }

    /// Whether both are one account, by the word of the same CA.
    fn is_same(&self, other: &Self) -> bool {
        (&self.directory, &self.url) == (&other.directory, &other.url)
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What may still be asked by it.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Why the CA does not know where to write to about it, if so.
    pub fn contact_problem(&self) -> Option<&NotReady> {
        self.contact_problem.as_ref()
    }

    /// How far a change of its key has come.
    pub fn rollover(&self) -> &Rollover {
        &self.rollover
    }

    /// The CAs that its issuer names as trusted.
    pub(super) fn roots(&self) -> &[Facts] {
        &self.roots
    }

    /// Its key.
    pub fn key(&self) -> &AccountKey {
        &self.key
    }
}
