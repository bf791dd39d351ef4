//! Who leads: a Lease as it was read, judged by one's own clock.
//!
//! Two machines' clocks are never compared. A Lease counts as held for as long as its record changes within its
//! duration, measured from when the change was first seen here; one's own counts from before the write that renewed it
//! was sent. So whoever leads knows it has lost the Lease before anybody else can take it.
//!
//! Source: the Lease of `coordination.k8s.io/v1`, and how Kubernetes' own components use it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// A moment of a clock that only runs forward, and through suspend: the time since some start.
pub type Moment = Duration;

/// No holder is waited for longer than this, whatever its Lease says.
const LONGEST: Duration = Duration::from_secs(300);

/// What to do about the Lease next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Read it: it has not been read for a while.
    Read,
    /// Create it, held by us.
    Create(LeaseSpec),
    /// Replace what was read last by this: we take it, or hold it longer.
    Replace(LeaseSpec),
    /// Nothing before this moment.
    Wait(Moment),
}

/// One candidate's view of a Lease.
#[derive(Clone, Debug)]
pub struct Election {
    identity: String,
    duration: Duration,
    seen: Option<Seen>,
    /// Until when we hold it.
    held_until: Option<Moment>,
    /// When to take the next step.
    due: Moment,
}

#[derive(Clone, Debug)]
struct Seen {
    record: Option<LeaseSpec>,
    /// When this record was first seen.
    since: Moment,
    /// Whether it was read just now, and is ours to take or to keep.
    fresh: bool,
}

impl Election {
    /// A candidate that has read nothing yet. Each process needs an `identity` of its own. `duration` is how long the
    /// Lease lasts after each renewal, in whole seconds.
    pub fn new(identity: impl Into<String>, duration: Duration) -> Self {
        Self {
            identity: identity.into(),
            duration,
            seen: None,
            held_until: None,
            due: Moment::ZERO,
        }
    }

    /// How often a Lease is looked at: six times in its duration. Its holder renews it every second time.
    pub fn interval(&self) -> Duration {
        self.duration / 6
    }

    /// Until when we hold the Lease, if we did last.
    pub fn held_until(&self) -> Option<Moment> {
        self.held_until
    }

    /// Whether we hold it.
    pub fn holds(&self, at: Moment) -> bool {
        self.held_until.is_some_and(|until| at < until)
    }

    /// Who else holds the Lease, as last seen.
    pub fn other_holder(&self) -> Option<&str> {
        let record = self.seen.as_ref()?.record.as_ref()?;
        self.is_others(record)
            .then_some(record.holder_identity.as_deref())
            .flatten()
    }

    /// Takes note of the Lease as it was read at a moment: `None` if there is none.
    pub fn read(&mut self, at: Moment, lease: Option<&Lease>) {
        let record = lease.map(|lease| lease.spec.clone().unwrap_or_default());
        let since = match &self.seen {
            Some(seen) if seen.record == record => seen.since,
            _ => at,
        };
        let over = record
            .as_ref()
            .filter(|record| self.is_others(record))
            .map(|record| since + lasts(record, self.duration));
        if over.is_some() {
            self.held_until = None;
        }
        let waits = over.filter(|over| at < *over);
        self.due = waits.map_or(at, |over| over.min(at + self.interval()));
        self.seen = Some(Seen {
            record,
            since,
            fresh: waits.is_none(),
        });
    }

    /// Takes note that a step was refused because the Lease has changed: it is read again at once.
    pub fn overtaken(&mut self, at: Moment) {
        self.stale();
        self.due = at;
    }

    /// Takes note that a step failed, or that nobody knows whether it was done: it is read again after an interval.
    pub fn failed(&mut self, at: Moment) {
        self.stale();
        self.due = at + self.interval();
    }

    /// Takes note that our write of `lease`, sent at a moment, was done.
    pub fn wrote(&mut self, sent: Moment, lease: &Lease) {
        self.seen = Some(Seen {
            record: lease.spec.clone(),
            since: sent,
            fresh: true,
        });
        self.held_until = Some(sent + self.duration);
        self.due = sent + 2 * self.interval();
    }

    /// The next step at a moment; `now` is the time of day, for people who read the Lease.
    pub fn next(&self, at: Moment, now: Timestamp) -> Step {
        if at < self.due {
            return Step::Wait(self.due);
        }
        let Some(seen) = self.seen.as_ref().filter(|seen| seen.fresh) else {
            return Step::Read;
        };
        let Some(record) = &seen.record else {
            return Step::Create(self.taken(None, now));
        };
        if record.holder_identity.as_deref() != Some(&self.identity) {
            return Step::Replace(self.taken(Some(record), now));
        }
        Step::Replace(LeaseSpec {
            lease_duration_seconds: Some(self.seconds()),
            renew_time: Some(MicroTime(now)),
            ..record.clone()
        })
    }

    /// What is written to let go of the Lease, if it is ours: whoever waits may take it at once.
    pub fn release(&self, now: Timestamp) -> Option<LeaseSpec> {
        let record = self.seen.as_ref()?.record.as_ref()?;
        (record.holder_identity.as_deref() == Some(&self.identity)).then(|| LeaseSpec {
            holder_identity: None,
            lease_duration_seconds: Some(1),
            renew_time: Some(MicroTime(now)),
            ..record.clone()
        })
    }

    fn is_others(&self, record: &LeaseSpec) -> bool {
        let holder = record.holder_identity.as_deref().unwrap_or_default();
        !holder.is_empty() && holder != self.identity
    }

    fn stale(&mut self) {
        if let Some(seen) = &mut self.seen {
            seen.fresh = false;
        }
    }

    fn taken(&self, from: Option<&LeaseSpec>, now: Timestamp) -> LeaseSpec {
        let before = from.and_then(|record| record.lease_transitions);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(self.seconds()),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(before.map_or(0, |count| count.saturating_add(1))),
            ..LeaseSpec::default()
        }
    }

    fn seconds(&self) -> i32 {
        i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX)
    }
}

/// How long a record's holder may count on it, by its own word.
fn lasts(record: &LeaseSpec, ours: Duration) -> Duration {
    let said = record
        .lease_duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok());
    said.map_or(ours, Duration::from_secs).min(LONGEST)
}

#[cfg(test)]
mod tests;
