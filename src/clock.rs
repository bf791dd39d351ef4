//! The only place that reads the time of day.
//!
//! Each reconcile reads it once, at its start, and hands it down: two readings in one decision would be two truths.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use certwright_core::plan::MAX_LOOK_AGAIN;
use jiff::{SignedDuration, Timestamp};

/// Tells the time of day.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// How long to wait at `now` for a moment: an hour at most. Timers stand still while a machine sleeps, and know nothing of
/// a clock that was set; whoever waited looks at the clock again.
pub fn wait(now: Timestamp, moment: Timestamp) -> Duration {
    let wait = moment.duration_since(now);
    wait.clamp(SignedDuration::ZERO, MAX_LOOK_AGAIN)
        .unsigned_abs()
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the place the lint sends everyone else to"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is set, for tests.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Sets it to `now`, which may be in its past: real clocks step back too.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Moves it by `span`, stopping at the ends of what a [`Timestamp`] can say.
    pub fn advance(&self, span: SignedDuration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = if span.is_negative() {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        *now = now.checked_add(span).unwrap_or(end);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let start: Timestamp = "2026-11-02T10:00:00Z".parse().unwrap();
        let clock = ManualClock::at(start);
        assert_eq!((clock.now(), clock.now()), (start, start));
        clock.advance(SignedDuration::from_hours(2));
        assert_eq!(clock.now().to_string(), "2026-11-02T12:00:00Z");
        clock.set(start);
        assert_eq!(clock.now(), start);
        clock.advance(SignedDuration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }

    #[test]
    fn nobody_waits_for_longer_than_an_hour_or_for_what_is_past() {
        let now: Timestamp = "2026-11-02T10:00:00Z".parse().unwrap();
        for (moment, seconds) in [
            (now, 0),
            (now + SignedDuration::from_secs(7), 7),
            (now + SignedDuration::from_hours(1), 3600),
            (now + SignedDuration::from_hours(24), 3600),
            (now - SignedDuration::from_hours(24), 0),
            (Timestamp::MAX, 3600),
            (Timestamp::MIN, 0),
        ] {
            assert_eq!(wait(now, moment), Duration::from_secs(seconds), "{moment}");
        }
        assert_eq!(
            wait(Timestamp::MIN, Timestamp::MAX),
            Duration::from_secs(3600)
        );
    }

    #[test]
    fn the_system_clock_is_past_the_year_this_was_written() {
        let then: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert!(SystemClock.now() > then);
    }
}
