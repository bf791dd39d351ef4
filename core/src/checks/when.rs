//! When a server is looked at.

use jiff::{SignedDuration, Timestamp};

use super::{Look, Seen, least_left, over_at};
use crate::api::ServedCheckSpec;
use crate::plan::renew::spread;

/// How many looks in a row may fail before a verdict is taken back.
pub const UNTOLD: u32 = 2;

/// The first of a check's moments after `now`. Moments are an interval apart, and lie elsewhere in it for each check: whoever
/// comes to look after all of them doesn't look at all of them at once, and needs to know nothing of who did before.
pub fn next_look(now: Timestamp, uid: &str, interval: SignedDuration) -> Timestamp {
    let every = interval.as_secs().max(1);
    // A moment within the interval; doubles hold it to the second.
    #[allow(clippy::cast_possible_truncation)]
    let offset = (spread("", "", uid.as_bytes()) * every as f64) as i64;
    let since = (now.as_second() - offset).rem_euclid(every);
    later(now, SignedDuration::from_secs(every - since))
}

/// How long after so many looks that failed in a row the next is made.
pub fn again_after(failures: u32, interval: SignedDuration) -> SignedDuration {
    const FIRST: i64 = 30;
    let doublings = failures.saturating_sub(1).min(16);
    SignedDuration::from_secs(FIRST << doublings).min(interval)
}

/// When what was seen comes to be judged otherwise by the mere passing of time, if that is after `now`.
pub fn turns_at(now: Timestamp, spec: &ServedCheckSpec, look: &Look) -> Option<Timestamp> {
    let Look::Seen(seen) = look else {
        return None;
    };
    let Seen {
        leaf, judgement, ..
    } = &**seen;
    let left = least_left(spec, leaf);
    let soon = judgement.ends.checked_sub(left).ok();
    let moments = [
        Some(leaf.not_before),
        soon.map(over_at),
        Some(over_at(judgement.ends)),
    ];
    let ahead = moments.into_iter().flatten();
    ahead.filter(|moment| *moment > now).min()
}

fn later(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.checked_add(span).unwrap_or(Timestamp::MAX)
}
