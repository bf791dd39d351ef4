//! Accounts with ACME CAs: each found or made by its key, which is stored before it is used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certwright_core::acme::AccountKey;
use certwright_core::api::Group;
use certwright_core::api::issuer::{Acme, AcmeStatus, DEFAULT_KEY_ENTRY};
use certwright_core::pki::{Facts, KeySpec, PrivateKey, chain};
use certwright_core::plan::status::Pace;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use zeroize::Zeroizing;

use super::StepFailure;
use super::budget::{Budget, Budgets};
use super::keys::Keys;
use crate::acme::{AcmeError, Client, Offer, Transport, Verification, mac_key};
use crate::cluster::new_secret::{self, NewSecret};
use crate::cluster::secrets::{IssuerKey, Named, Secrets};
use crate::error::Error;
use crate::issuer::NotReady;
use crate::outside::{Allowed, Outside};

/// How long an account is used before the CA is asked for it again.
const FRESH: SignedDuration = SignedDuration::from_hours(24);
/// How long to wait after the CA could not be asked; it doubles up to five minutes.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(5);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// An account with an ACME CA.
pub struct Account {
    pub(super) client: Client,
    pub(super) key: AccountKey,
    pub(super) url: String,
    pub(super) budget: Arc<Budget>,
    status: AcmeStatus,
    /// The CAs that the issuer's `caBundle` names.
    roots: Vec<Facts>,
}

/// All accounts that are in use, by issuer.
pub struct Accounts {
    client: kube::Client,
    group: Group,
    outside: Arc<Outside>,
    allowed: Allowed,
    secrets: Arc<Secrets>,
    known: Mutex<HashMap<IssuerKey, Known>>,
    /// Held while an issuer's CA is asked, so that many Certificates ask it once.
    turns: Mutex<HashMap<IssuerKey, Arc<tokio::sync::Mutex<()>>>>,
    budgets: Budgets,
    keys: Keys,
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
            turns: Mutex::default(),
            budgets: Budgets::default(),
            keys: Keys::default(),
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
        let turn = {
            let mut turns = lock(&self.turns);
            Arc::clone(turns.entry(issuer.clone()).or_default())
        };
        let _turn = turn.lock().await;
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
        lock(&self.turns).retain(|issuer, _| exists(issuer));
        self.budgets.forget_unused();
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
        let key = read_key(&found, entry).ok();
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
        let key = match self.account_key(issuer, namespace, acme).await? {
            Ok(key) => key,
            Err(problem) => return Ok(Err((problem, None))),
        };
        let binding = match self.binding(namespace, acme).await? {
            Ok(binding) => binding,
            Err(problem) => return Ok(Err((problem, None))),
        };
        let verification = if acme.skip_tls_verify.unwrap_or(false) {
            Verification::None
        } else {
            Verification::Roots(acme.ca_bundle.clone())
        };
        let outside = Arc::clone(&self.outside);
        let transport = match Transport::new(outside, self.allowed.clone(), &verification) {
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
        Ok(found(client, key, acme, (binding, held.is_none()), |url| {
            self.budgets.of(url)
        })
        .await
        .map(Arc::new)
        .map_err(|error| {
            self.budgets.heard(now, &acme.server, &error);
            // Only an account that is there already was asked for.
            let failure = match held {
                Some(hold) if error.is(NO_ACCOUNT) => StepFailure::of_hold(&hold),
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
            (problem, until)
        }))
    }

    /// The account's key: as it is stored, or a new one, stored before anybody hears of it.
    async fn account_key(
        &self,
        issuer: &IssuerKey,
        namespace: &str,
        acme: &Acme,
    ) -> Result<Result<AccountKey, NotReady>, Error> {
        let reference = &acme.private_key_secret_ref;
        let entry = reference.key_or(DEFAULT_KEY_ENTRY);
        let secret = Named::new(namespace, &reference.name);
        let place = format!("{namespace}/{}", reference.name);
        if let Some(found) = self.secrets.read(&secret).await? {
            let key = read_key(&found, entry);
            if let Ok(key) = &key {
                self.keys.remember(issuer, &found, entry, key);
            }
            return Ok(key.map_err(|why| NotReady {
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
        let key = PrivateKey::generate(KeySpec::Ecdsa(256));
        let key = match key.and_then(AccountKey::new) {
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
        Ok(Ok(key))
    }

    async fn binding(
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// An account elsewhere: its identifier and MAC key.
type Binding = (String, Zeroizing<Vec<u8>>);

impl Account {
    /// What is told of it in the issuer's status.
    pub fn status(&self) -> &AcmeStatus {
        &self.status
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What may still be asked by it.
    pub fn budget(&self) -> &Budget {
        &self.budget
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

/// The account of a key, or a new one where that may be made.
async fn found(
    client: Client,
    key: AccountKey,
    acme: &Acme,
    (binding, may_register): (Option<Binding>, bool),
    budget: impl FnOnce(&str) -> Arc<Budget>,
) -> Result<Account, AcmeError> {
    let offer = client.offer().await?;
    let account = if may_register {
        let bound = binding.as_ref().map(|(id, key)| (id.as_str(), key));
        client.account(&key, acme.email(), bound).await?
    } else {
        client.find_account(&key).await?
    };
    // An account that was there before may have been told otherwise.
    let wanted: Vec<_> = acme
        .email()
        .map(|email| format!("mailto:{email}"))
        .into_iter()
        .collect();
    if account.object.contact != wanted {
        client.set_contact(&key, &account.url, acme.email()).await?;
    }
    let status = told(&offer, &key, &account.url, acme);
    Ok(Account {
        client,
        key,
        budget: budget(&account.url),
        url: account.url,
        status,
        roots: roots(acme),
    })
}

/// The certificates of `caBundle`, which were read before when the server was asked.
fn roots(acme: &Acme) -> Vec<Facts> {
    let bundle = acme.ca_bundle.as_ref();
    let pem = bundle.and_then(|text| BASE64_STANDARD.decode(text.trim()).ok());
    pem.and_then(|pem| chain::read_pem(&pem).ok())
        .unwrap_or_default()
}

fn told(offer: &Offer, key: &AccountKey, url: &str, acme: &Acme) -> AcmeStatus {
    const MOST: usize = 20;
    let meta = &offer.directory.meta;
    let sound = |text: &&String| text.len() <= 253 && text.chars().all(|c| !c.is_control());
    AcmeStatus {
        uri: Some(url.to_owned()),
        last_registered_email: acme.email().map(str::to_owned),
        last_private_key_hash: Some(key.thumbprint().to_owned()),
        terms_of_service: meta
            .terms_of_service
            .clone()
            .filter(|url| url.len() <= 2048),
        external_account_required: meta.external_account_required.then_some(true),
        caa_identities: meta
            .caa_identities
            .iter()
            .filter(sound)
            .take(MOST)
            .cloned()
            .collect(),
        profiles: meta
            .profiles
            .keys()
            .filter(sound)
            .take(MOST)
            .cloned()
            .collect(),
    }
}

fn read_key(secret: &Secret, entry: &str) -> Result<AccountKey, String> {
    let pem = secret.data.as_ref().and_then(|data| data.get(entry));
    let pem = pem.ok_or_else(|| format!("it has no {entry}"))?;
    PrivateKey::from_pem(&pem.0)
        .and_then(AccountKey::new)
        .map_err(|problem| problem.to_string())
}
