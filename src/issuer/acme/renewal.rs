//! When each held certificate's CA is asked when to renew it (RFC 9773).
//!
//! Only the times are kept here, in memory: what a CA suggests is in the Certificate's status. After a start, or where
//! another replica takes over, the first questions are spread, so that a restart does not ask for all at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use certwright_core::acme::ari;
use certwright_core::api::certificate::SuggestedWindow;
use certwright_core::pki::Facts;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::AcmeIssuer;
use super::order::later;
use crate::acme::AcmeError;
use crate::cluster::secrets::Named;

/// A certificate that was issued so recently is asked about at once: nobody issues thousands in that time.
const RECENT: SignedDuration = SignedDuration::from_mins(5);
/// A longer URL of a page is left out.
const MAX_URL: usize = 2048;

/// When each held certificate's CA is asked next.
pub struct RenewalPolls {
    /// Over how long the first questions are spread.
    spread: SignedDuration,
    known: Mutex<HashMap<Named, Poll>>,
}

struct Poll {
    /// As the CA knows the certificate.
    certificate: String,
    next: Timestamp,
    failures: u32,
}

/// A certificate that a CA can be asked about.
pub struct Asked<'a> {
    /// The Certificate.
    pub name: &'a Named,
    /// What it holds.
    pub held: &'a Facts,
    /// When that was issued.
    pub issued_at: Option<Timestamp>,
}

impl RenewalPolls {
    /// Nobody was asked yet; the first questions are spread over this time.
    pub fn new(spread: SignedDuration) -> Self {
        Self {
            spread,
            known: Mutex::default(),
        }
    }

    /// When a certificate's CA is asked next, by the identifier it knows the certificate by.
    pub fn next(&self, now: Timestamp, asked: &Asked<'_>, certificate: &str) -> Timestamp {
        let mut known = self.known();
        let same = known
            .get(asked.name)
            .filter(|poll| poll.certificate == certificate)
            // Nobody is asked so seldom: the clock was set back.
            .filter(|poll| poll.next.duration_since(now) <= ari::LONGEST_POLL);
        if let Some(poll) = same {
            return poll.next;
        }
        let recent = |at: Timestamp| now.duration_since(at).abs() <= RECENT;
        let Named { namespace, name } = asked.name;
        let next = if asked.issued_at.is_some_and(recent) {
            now
        } else {
            ari::first_poll(now, self.spread, namespace, name, &asked.held.serial)
        };
        let poll = Poll {
            certificate: certificate.to_owned(),
            next,
            failures: 0,
        };
        known.insert(asked.name.clone(), poll);
        next
    }

    /// Takes note of an answer: when the CA is asked next.
    fn answered(&self, name: &Named, next: impl FnOnce(u32) -> (Timestamp, u32)) {
        if let Some(poll) = self.known().get_mut(name) {
            (poll.next, poll.failures) = next(poll.failures);
        }
    }

    /// Forgets a Certificate that is gone.
    pub fn forget(&self, name: &Named) {
        self.known().remove(name);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Named, Poll>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AcmeIssuer {
    /// Whether the CA may say when to renew.
    pub fn asks_renewal_information(&self) -> bool {
        self.settings.asks_renewal_information()
    }

    /// By what a CA with renewal information knows a certificate that this account ordered; `None` where nobody is to be
    /// asked about it: the issuer doesn't want it, or the certificate came from elsewhere.
    pub fn asks_about(&self, held: &Facts, ordered_by: Option<&str>) -> Option<String> {
        let asks = self.asks_renewal_information() && ordered_by == Some(self.account.url());
        asks.then(|| ari::certificate_id(held)).flatten()
    }

    /// The same, `None` also where the CA has no renewal information, or can't be asked whether it has.
    pub async fn renewal_id(&self, held: &Facts, ordered_by: Option<&str>) -> Option<String> {
        let id = self.asks_about(held, ordered_by)?;
        let offer = self.account.client.offer().await.ok()?;
        offer.directory.renewal_info.as_ref()?;
        Some(id)
    }

    /// Asks the CA when to renew, and takes note of when to ask again. `None` if there was no answer: then what was known
    /// holds. Otherwise the window, or `Some(None)` if the CA names none that makes sense.
    pub async fn ask_renewal(
        &self,
        now: Timestamp,
        polls: &RenewalPolls,
        asked: &Asked<'_>,
        certificate: &str,
    ) -> Option<Option<SuggestedWindow>> {
        match self.account.client.renewal_info(certificate).await {
            Ok(found) => {
                let next = ari::next_poll(now, found.retry_after.as_deref());
                polls.answered(asked.name, |_| (next, 0));
                let window = ari::window(&found.object);
                let url = found.object.explanation_url;
                Some(window.map(|window| SuggestedWindow {
                    start: Time(window.start),
                    end: Time(window.end),
                    explanation_url: url.filter(|url| is_sound(url)),
                    checked_at: Some(Time(now)),
                }))
            }
            // It may have some one day.
            Err(AcmeError::NoService(_)) => {
                let next = later(now, ari::LONGEST_POLL);
                polls.answered(asked.name, |_| (next, 0));
                None
            }
            Err(error) => {
                tracing::debug!(problem = %error, "The CA did not say when to renew");
                let retry_after = match &error {
                    AcmeError::Problem { retry_after, .. } => retry_after.as_deref(),
                    _ => None,
                };
                polls.answered(asked.name, |failures| {
                    let next = ari::next_after_failure(now, failures, retry_after);
                    (next, failures.saturating_add(1))
                });
                None
            }
        }
    }
}

/// Whether people can be shown this as a link.
fn is_sound(url: &str) -> bool {
    let scheme = url.starts_with("https://") || url.starts_with("http://");
    scheme && url.len() <= MAX_URL && !url.chars().any(|c| c.is_control() || c.is_whitespace())
}
