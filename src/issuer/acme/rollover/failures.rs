//! The changes of key that failed, and when the CA is asked again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::api::issuer::Acme;
use certwright_core::plan::is_ahead;
use certwright_core::plan::status::{MAX_HOLD_OUTSIDE, Pace};
use jiff::{SignedDuration, Timestamp};

use super::Rolled;
use crate::cluster::secrets::IssuerKey;
use crate::issuer::NotReady;
use crate::issuer::acme::StepFailure;

/// How long to wait after a failure that passes; it doubles up to five minutes.
const SOON: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(5), SignedDuration::from_mins(5));
/// How long to wait after a refusal; it doubles up to six hours.
const SLOW: (SignedDuration, SignedDuration) =
    (SignedDuration::from_mins(15), SignedDuration::from_hours(6));

/// The changes of key that failed, by issuer.
#[derive(Default)]
pub(in crate::issuer::acme) struct Rollovers(Mutex<HashMap<IssuerKey, Failed>>);

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
    pub(in crate::issuer::acme) fn retain(&self, exists: impl Fn(&IssuerKey) -> bool) {
        self.lock().retain(|issuer, _| exists(issuer));
    }

    /// Why the CA is not asked now.
    pub(super) fn held(
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

    pub(super) fn failed(
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

    pub(super) fn forget(&self, issuer: &IssuerKey) {
        self.lock().remove(issuer);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IssuerKey, Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use certwright_core::plan::request::IssuerName;

    use super::*;
    use crate::acme::AcmeError;

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
