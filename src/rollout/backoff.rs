//! How long to wait after failures, per object.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const LONGEST: Duration = Duration::from_secs(300);

/// Counts failures in a row for each object.
#[derive(Debug)]
pub(super) struct Backoff<K> {
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
    /// Counts a failure and says how long to wait: doubling from a second to five minutes, half of it at random.
    pub(super) fn failed(&self, object: &K) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(object.clone()).or_default();
        *count = count.saturating_add(1);
        let full = Duration::from_secs(1 << (*count - 1).min(9)).min(LONGEST);
        let share = self.random.hash_one((object, *count)) % 1000;
        full / 2 + full / 2000 * u32::try_from(share).unwrap_or(0)
    }

    /// Forgets an object's failures.
    pub(super) fn succeeded(&self, object: &K) {
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
    fn it_doubles_to_five_minutes_and_is_forgotten_at_success() {
        let backoff = Backoff::default();
        for full in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let (wait, full) = (backoff.failed(&"a"), Duration::from_secs(full));
            assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
        }
        assert!(backoff.failed(&"b") <= Duration::from_secs(1));
        backoff.succeeded(&"a");
        assert!(backoff.failed(&"a") <= Duration::from_secs(1));
    }
}
