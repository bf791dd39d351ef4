//! How long to wait after failures, per object.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

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
    /// Counts a failure, and says how long to wait.
    pub fn failed(&self, object: &K) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(object.clone()).or_default();
        *count = count.saturating_add(1);
        let full = FIRST.saturating_mul(1 << (*count - 1).min(16)).min(LONGEST);
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
}
