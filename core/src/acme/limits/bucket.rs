//! A budget that fills again evenly.

use jiff::{SignedDuration, Timestamp};

/// So many at once, and as many again in each span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    count: u32,
    /// The time in which one comes back.
    each: SignedDuration,
}

/// What was taken: the moment at which nothing of it is missing any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    full_at: Option<Timestamp>,
}

impl Rate {
    pub(super) fn new(count: u32, span: SignedDuration) -> Self {
        let count = count.max(1);
        let each = i32::try_from(count).map_or(SignedDuration::ZERO, |count| span / count);
        Self {
            count,
            each: each.max(SignedDuration::from_millis(1)),
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The time in which so many come back.
    fn time_for(&self, count: u32) -> SignedDuration {
        self.each
            .saturating_mul(i32::try_from(count).unwrap_or(i32::MAX))
    }
}

impl Bucket {
    /// Takes one, even if there is none left: it happened.
    pub(super) fn take(&mut self, rate: &Rate, at: Timestamp) {
        let from = self.full_at.map_or(at, |full_at| full_at.max(at));
        let full_at = from.checked_add(rate.each).unwrap_or(Timestamp::MAX);
        // The CA counts no deeper than to nothing, whatever we saw happen.
        let latest = at
            .checked_add(rate.time_for(rate.count))
            .unwrap_or(Timestamp::MAX);
        self.full_at = Some(full_at.min(latest));
    }

    pub(super) fn is_full(&self, at: Timestamp) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= at)
    }

    /// When one can be taken that leaves `untouched` others; `None` if that is now.
    pub(super) fn until(&self, rate: &Rate, now: Timestamp, untouched: u32) -> Option<Timestamp> {
        let missing = rate.count.saturating_sub(1).saturating_sub(untouched);
        let full_at = self.full_at?;
        // No more can be missing than all. What is full so much later was taken by a clock that was ahead.
        if full_at.duration_since(now) > rate.time_for(rate.count).saturating_mul(2) {
            return None;
        }
        let until = full_at.checked_sub(rate.time_for(missing)).ok()?;
        (until > now).then_some(until)
    }
}
