//! What the CA says of the held certificate after it was issued.

use super::later;
use crate::api::certificate::RevocationState;
use crate::pki::Facts;
use crate::plan::inputs::Inputs;
use crate::plan::observed::Observed;
use crate::plan::renew::{REST, Renewal, RenewalRule};

/// When the held certificate is renewed by what the CA suggests, which then counts instead of `ordinary`.
pub(super) fn renewal(
    inputs: &Inputs<'_>,
    secret: &Observed,
    held: &Facts,
    rule: &RenewalRule,
    spread: f64,
    ordinary: &Renewal,
) -> Option<Renewal> {
    let suggestion = inputs.suggestion(held)?;
    let mut renewal = rule.suggested(held.not_before, held.not_after, spread, suggestion)?;
    let rests_until = secret
        .marks
        .suggested
        .then(|| secret.issued_at())
        .flatten()
        .map(|at| later(at, REST))
        .min(ordinary.at);
    renewal.at = renewal.at.max(rests_until);
    Some(renewal)
}

/// Whether the held certificate is the one that was revoked as asked for by hand.
pub(super) fn is_revoked(inputs: &Inputs<'_>, held: &Facts) -> bool {
    inputs.revocation().is_some_and(|told| {
        told.state == RevocationState::Revoked
            && told.serial_number.as_deref() == Some(held.serial_hex().as_str())
    })
}
