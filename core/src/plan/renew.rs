//! When to renew.

mod cron;
mod suggested;
mod window;

use aws_lc_rs::digest;
use jiff::{SignedDuration, Timestamp};

pub use self::suggested::REST;
use self::window::Open;
pub use self::window::Windows;
use super::InvalidSpec;
use crate::api::CertificateSpec;
use crate::api::certificate::RenewalPolicy;

/// No timer runs longer, so that a clock that was set, or a machine that slept, is noticed within an hour.
pub const MAX_LOOK_AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// What a spec says of renewals.
#[derive(Clone, Debug, PartialEq)]
pub struct RenewalRule {
    policy: RenewalPolicy,
    before: Before,
    windows: Windows,
}

/// How long before its end a certificate is due.
#[derive(Clone, Debug, PartialEq)]
enum Before {
    ThirdOfLife,
    Duration(SignedDuration),
    Percentage(i64),
}

/// When a certificate is to be renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// When; `None` if it is never renewed by itself.
    pub at: Option<Timestamp>,
    /// Why it is not when the spec says, for the user to read.
    pub note: Option<RenewalNote>,
}

/// Why a renewal is not when the spec says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenewalNote {
    /// `renewBefore` is more than nine tenths of the certificate's actual life: one third is taken.
    RenewBeforeTooLong {
        /// What the spec says; a percentage is told as what it makes of the actual life.
        asked: SignedDuration,
        /// How long the certificate really lives.
        lifetime: SignedDuration,
    },
    /// No window opens before the last tenth of its life.
    NoWindowInTime,
}

impl RenewalRule {
    /// What `spec` says of renewals. Without `renewBefore` and `renewBeforePercentage`, or where they are 0, a
    /// certificate is due when a third of its life is left; where both are given, `renewBefore` counts.
    ///
    /// # Errors
    /// For a `renewBefore` that is no duration, and for a window whose cron line, length or time zone can't be read.
    pub fn of(spec: &CertificateSpec) -> Result<Self, InvalidSpec> {
        let renew_before = spec.renew_before.as_ref().map(|text| {
            text.parse()
                .map_err(|problem| InvalidSpec::new("spec.renewBefore", problem.to_string()))
        });
        let renew_before = renew_before
            .transpose()?
            .filter(SignedDuration::is_positive);
        let percentage = spec
            .renew_before_percentage
            .filter(|percentage| *percentage > 0);
        let before = match (renew_before, percentage) {
            (Some(duration), _) => Before::Duration(duration),
            (None, Some(percentage)) => Before::Percentage(percentage.into()),
            (None, None) => Before::ThirdOfLife,
        };
        let (policy, windows) = match &spec.renewal {
            Some(renewal) => (renewal.policy, renewal.windows.as_slice()),
            None => (RenewalPolicy::RenewBefore, [].as_slice()),
        };
        Ok(Self {
            policy,
            before,
            windows: Windows::of("spec.renewal.windows", windows)?,
        })
    }

    /// When a certificate with these dates is renewed. `spread` in [0, 1) is stable for the certificate: see [`spread`].
    ///
    /// It is due `renewBefore` ahead of its end. The moment is earlier than that by `spread` times a tenth of the time
    /// from its beginning to then, so that certificates issued together are not renewed together; never later.
    ///
    /// Windows hold the moment back: where it is inside an open one, it stays; else it is a point, spread likewise,
    /// inside the first window that opens after it. No window is taken that leaves less than a tenth of the life,
    /// except up to the due time itself where the spec asks for such a late one. Where that leaves no window after the
    /// moment, one between the earliest possible moment and the moment is taken. Where there is none either, the plain
    /// moment counts, with [`RenewalNote::NoWindowInTime`]: an hour that doesn't suit is better than an expired
    /// certificate.
    ///
    /// Everything is rounded down to seconds. The answer depends on the arguments only, so it is the same on each call.
    /// If both notes apply, [`RenewalNote::RenewBeforeTooLong`] is told. A certificate that ends before it begins is
    /// renewed at its beginning.
    pub fn renewal(&self, not_before: Timestamp, not_after: Timestamp, spread: f64) -> Renewal {
        if self.policy == RenewalPolicy::Disabled {
            return Renewal {
                at: None,
                note: None,
            };
        }
        let begin = not_before.as_second();
        let life = not_after.as_second().saturating_sub(begin).max(0);
        let (before, too_long) = self.before(life);
        let due = begin + life - before;
        let moment = due - part(spread, (due - begin) / 10);
        if self.windows.is_empty() {
            return Renewal {
                at: Some(timestamp(moment)),
                note: too_long,
            };
        }
        let earliest = due - (due - begin) / 10;
        let latest = due.max(begin + life - div_ceil(life, 10));
        let spread_over = |open: Open| open.begin + part(spread, open.end - open.begin);
        let at = match self.windows.first_open(moment, latest) {
            Some(open) if open.begin == moment => Some(moment),
            Some(open) => Some(spread_over(open)),
            None => self.windows.first_open(earliest, latest).map(spread_over),
        };
        let no_window = at.is_none().then_some(RenewalNote::NoWindowInTime);
        Renewal {
            at: Some(timestamp(at.unwrap_or(moment))),
            note: too_long.or(no_window),
        }
    }

    /// How many seconds before the end of a certificate that lives for `life` seconds it is due; rounded up, so that
    /// the due time is rounded down.
    fn before(&self, life: i64) -> (i64, Option<RenewalNote>) {
        let third = div_ceil(life, 3);
        let asked = match self.before {
            Before::ThirdOfLife => return (third, None),
            Before::Duration(duration) => duration,
            Before::Percentage(percentage) => {
                SignedDuration::from_secs(div_ceil(life.saturating_mul(percentage), 100))
            }
        };
        let seconds = asked.as_secs() + i64::from(asked.subsec_nanos() > 0);
        if seconds > life - div_ceil(life, 10) {
            let lifetime = SignedDuration::from_secs(life);
            return (
                third,
                Some(RenewalNote::RenewBeforeTooLong { asked, lifetime }),
            );
        }
        (seconds, None)
    }
}

/// A number in [0, 1) that is always the same for the same certificate, and evenly spread over many.
pub fn spread(namespace: &str, name: &str, serial: &[u8]) -> f64 {
    let mut context = digest::Context::new(&digest::SHA256);
    // With its length before it, no part can run into the next.
    for part in [namespace.as_bytes(), name.as_bytes(), serial] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let digest = context.finish();
    let first = digest
        .as_ref()
        .iter()
        .take(8)
        .fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    // A double holds 53 bits exactly.
    (first >> 11) as f64 / (1_u64 << 53) as f64
}

/// The `spread` part of `whole` seconds, rounded down. Whatever `spread` is, it stays within.
fn part(spread: f64, whole: i64) -> i64 {
    ((spread * whole as f64) as i64).clamp(0, whole.max(0))
}

fn div_ceil(dividend: i64, divisor: i64) -> i64 {
    dividend / divisor + i64::from(dividend % divisor > 0)
}

/// Only for seconds between those of two timestamps.
fn timestamp(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
