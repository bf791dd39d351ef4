//! When to renew where the CA suggests it (RFC 9773).

use jiff::{SignedDuration, Timestamp};

use super::{Renewal, RenewalNote, RenewalRule, div_ceil, part, timestamp};
use crate::api::certificate::{RenewalPolicy, SuggestedWindow};

/// A certificate that was itself renewed because the CA suggested it is not renewed for that reason again before this:
/// a CA that always names the past would have one certificate after the other made.
pub const REST: SignedDuration = SignedDuration::from_hours(24);

impl RenewalRule {
    /// When a certificate with these dates is renewed by this suggestion; `None` if it is not to be followed: because
    /// nothing is renewed by itself, or because the suggestion makes no sense: it ends before it starts, or starts when
    /// the certificate has expired.
    ///
    /// It is a moment inside the suggested window, by `spread`, which is stable for the certificate, whatever `renewBefore`
    /// says. It is never in the last tenth of the certificate's life, wherever the window lies: what fails then could not
    /// be tried again often enough.
    ///
    /// Windows of the spec hold this moment back as they do the ordinary one (see [`RenewalRule::renewal`]). Only where the
    /// window was over when the CA first named it, they don't: so CAs say that a certificate is about to be revoked.
    pub fn suggested(
        &self,
        not_before: Timestamp,
        not_after: Timestamp,
        spread: f64,
        suggestion: &SuggestedWindow,
    ) -> Option<Renewal> {
        let (start, end) = (suggestion.start.0.as_second(), suggestion.end.0.as_second());
        let begin = not_before.as_second();
        let life = not_after.as_second().saturating_sub(begin).max(0);
        if self.policy == RenewalPolicy::Disabled || start >= end || start >= not_after.as_second()
        {
            return None;
        }
        let latest = begin + life - div_ceil(life, 10);
        let renewal = |at: i64, note| {
            let at = Some(timestamp(at));
            Some(Renewal { at, note })
        };
        let moment = (start + part(spread, end - start)).min(latest);
        let heard = suggestion.checked_at.as_ref().map(|at| at.0.as_second());
        let urgent = heard.is_some_and(|heard| end <= heard);
        if urgent || self.windows.is_empty() {
            return renewal(moment, None);
        }
        // What opened before anybody knew of the suggestion is past.
        let heard = heard.unwrap_or(start);
        let moment = moment.max(heard.min(latest));
        let inside = |from: i64| self.windows.first_open(from, latest);
        let at = match inside(moment) {
            Some(open) if open.begin == moment => Some(moment),
            found => found
                .or_else(|| inside(start.max(heard).min(latest)))
                .map(|open| open.begin + part(spread, open.end - open.begin)),
        };
        let note = at.is_none().then_some(RenewalNote::NoWindowInTime);
        renewal(at.unwrap_or(moment), note)
    }
}
