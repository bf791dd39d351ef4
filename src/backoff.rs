//! How long to wait after failures, per object.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::Retry;

const FIRST: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(1);
const REREAD: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(300);
/// Objects that are going are looked at once more after this, should they stay after all.
const GONE: Duration = Duration::from_secs(300);

/// Counts failures in a row for each object: waits double from a second to five minutes, and a random half of each keeps
/// objects that failed together apart. Forgotten at the first success.
#[derive(Debug)]
pub struct Backoff<K> {
    failures: Mutex<HashMap<K, u32>>,
    random: RandomState,
}

impl<K> Default for Backoff<K> {
    fn default() -> Self {
        Self {
            failures: Mutex::default(),
            random: RandomState::new(),
        }
    }
}

impl<K: Eq + Hash + Clone> Backoff<K> {
    /// Counts a failure, and says how long to wait, as it asks for. What is none is not counted.
    pub fn after(&self, object: &K, retry: Retry) -> Duration {
        match retry {
            Retry::Reread => self.gave_way(object),
            Retry::Backoff => self.failed(object),
            Retry::After(wait) => wait.max(self.failed(object)),
            Retry::Soon => SOON,
            Retry::Gone => GONE,
        }
    }

    /// Counts a failure, and says how long to wait.
    pub fn failed(&self, object: &K) -> Duration {
        self.count(object, FIRST)
    }

    /// Counts that somebody else was faster, and says how long to wait: less at first, for the watch has usually caught
    /// up by then, but no less in the end, should it not.
    fn gave_way(&self, object: &K) -> Duration {
        self.count(object, REREAD)
    }

    /// How often it failed in a row.
    pub fn failures(&self, object: &K) -> u32 {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(object).copied().unwrap_or_default()
    }

    fn count(&self, object: &K, first: Duration) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(object.clone()).or_default();
        *count = count.saturating_add(1);
        let full = first.saturating_mul(1 << (*count - 1).min(16)).min(LONGEST);
        let share = self.random.hash_one((object, *count)) % 1000;
        full / 2 + (full / 2000) * u32::try_from(share).unwrap_or_default()
    }

    /// Forgets the object's failures.
    pub fn succeeded(&self, object: &K) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes_and_are_forgotten_at_success() {
        let backoff = Backoff::default();
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let wait = backoff.failed(&"a");
            let full = Duration::from_secs(expected);
            assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
        }
        assert!(backoff.failed(&"b") <= FIRST);
        backoff.succeeded(&"a");
        assert!(backoff.failed(&"a") <= FIRST);
    }

    #[test]
    fn a_failure_waits_as_it_asks_for_but_no_less_than_its_count() {
        let backoff = Backoff::default();
        let second = Duration::from_secs(1);
        assert_eq!(backoff.after(&"a", Retry::After(7 * second)), 7 * second);
        assert_eq!(backoff.after(&"a", Retry::Gone), GONE);
        assert!(backoff.after(&"b", Retry::Reread) <= REREAD);
        assert_eq!(backoff.after(&"c", Retry::Soon), SOON);
        assert_eq!(backoff.failures(&"c"), 0);
        for _ in 0..10 {
            backoff.after(&"a", Retry::Backoff);
        }
        assert!(backoff.after(&"a", Retry::After(second)) >= LONGEST / 2);
    }

    #[test]
    fn giving_way_waits_less_at_first_and_is_counted_too() {
        let backoff = Backoff::default();
        assert!(backoff.gave_way(&"a") <= REREAD);
        assert!(backoff.gave_way(&"a") <= 2 * REREAD);
        assert_eq!((backoff.failures(&"a"), backoff.failures(&"b")), (2, 0));
        for _ in 0..20 {
            backoff.gave_way(&"a");
        }
        assert!(backoff.gave_way(&"a") >= LONGEST / 2);
    }
}
