//! What to do next for a Certificate.
//!
//! [`assess()`] holds what is there against what is asked for, [`plan`] says the next step, [`status`](status::status)
//! says it to the user.

pub mod assess;
pub mod claim;
pub mod contents;
pub mod drift;
pub mod fallback;
pub mod held_back;
pub mod inputs;
pub mod intent;
pub mod marks;
pub mod next_key;
pub mod observed;
pub mod previous;
pub mod reason;
pub mod renew;
pub mod request;
pub mod revocation;
pub mod status;

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

pub use assess::{Assessment, CaState, assess, older_until};
pub use fallback::{Fallback, Turn};
pub use inputs::{
    Heard, HeldOrder, Inputs, IssuerState, OldLeaves, ReadyIssuer, Settings, Signer, Suggestion,
};
pub use intent::Flaw;
pub use observed::Observed;
pub use reason::{AbandonReason, BlockReason, IssueReason};
pub use renew::MAX_LOOK_AGAIN;
pub use request::{InvalidSpec, Request};

use crate::api::certificate::{OrderStatus, RotationPolicy};
use crate::api::{CertificateStatus, condition};

/// Undoing what others did to a Secret is contested if it was undone before within this time.
pub const CONTEST: SignedDuration = SignedDuration::from_mins(10);

/// The next step for a Certificate.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// The Secret holds what was asked for.
    Keep {
        /// When to look again at the latest.
        look_again: Timestamp,
    },
    /// The pair is right; what is around it is not.
    Repair {
        /// In which respects.
        what: BTreeSet<Flaw>,
        /// Whether this undoes what somebody else did.
        undoes: Undoes,
    },
    /// Workloads refuse what is held: put the pair before back, if it is kept and still good.
    Restore,
    /// Ask the issuer for a certificate.
    Issue {
        /// Why, for the user.
        why: IssueReason,
        /// Whether this undoes what somebody else did.
        undoes: Undoes,
    },
    /// An issuance outside the cluster is under way: take its next step.
    Continue {
        /// Why it was begun, for the user.
        why: IssueReason,
        /// Whether its end undoes what somebody else did.
        undoes: Undoes,
        /// When, if the CA said to come back later.
        not_before: Option<Timestamp>,
    },
    /// Give up an issuance outside the cluster, and undo what was set up for it.
    Abandon {
        /// Why, for the log.
        why: AbandonReason,
    },
    /// The last try failed; leave the issuer alone until then.
    Hold {
        /// Until when.
        until: Timestamp,
        /// What is to be done then.
        why: IssueReason,
    },
    /// The hold-off of a contested repair runs.
    HoldRepair {
        /// Until when.
        until: Timestamp,
        /// What is to be repaired then.
        what: BTreeSet<Flaw>,
    },
    /// Someone else must act first.
    Blocked {
        /// What is in the way.
        why: BlockReason,
    },
    /// Being deleted: write nothing.
    Leave,
}

/// Whether a step undoes what somebody else did to the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undoes {
    /// It does not.
    Nothing,
    /// It does, for the first time in a while.
    Change,
    /// It does, shortly after it did so before: two writers are at odds.
    Again {
        /// The other field manager; `None` if the Secret was deleted, which leaves no name.
        by: Option<String>,
    },
}

/// Says what to do next. Total: there is a plan for any inputs.
///
/// The first rule that holds (numbers as in the design):
///
/// 0. the Certificate is being deleted: [`Plan::Leave`]; what an issuance set up outside is undone from its record;
/// 1. an issuance is under way for another request or issuer, nothing needs to be issued any more, or the issuer, the
///    right to it or the right to the Secret is gone: [`Plan::Abandon`];
///    (a) the spec can't be said in a certificate: [`Plan::Blocked`];
/// 2. the Secret is not ours, is being deleted, belongs to another Certificate, or is immutable and would have to
///    change: [`Plan::Blocked`];
///    (b) workloads refuse what is held, roll back is wanted, and nothing is to be issued that may be the remedy:
///    [`Plan::Restore`], unless that was just tried in vain;
/// 4. there is no reason of 7: [`Plan::Keep`], or [`Plan::Repair`], or [`Plan::HoldRepair`] while the hold-off of a
///    contested repair runs;
/// 5. a hold-off runs, for this same request, issuer and issuer Secret, and nobody asked anew by hand: [`Plan::Hold`];
/// 6. the issuer is missing, not ready or not for this namespace, or the key must stay and can't: [`Plan::Blocked`];
/// 3. an issuance is under way: [`Plan::Continue`]. It comes here, since it waits for its hold-off and its issuer too;
/// 7. [`Plan::Issue`], with the first reason of [`IssueReason`]'s order.
pub fn plan(now: Timestamp, inputs: &Inputs<'_>) -> Plan {
    decide(now, inputs, &assess(now, inputs))
}

/// [`plan`], for a caller that holds the assessment already.
pub fn decide(now: Timestamp, inputs: &Inputs<'_>, assessment: &Assessment) -> Plan {
    if inputs.certificate.metadata.deletion_timestamp.is_some() {
        return Plan::Leave;
    }
    if let Some(why) = unwanted(inputs, assessment) {
        return Plan::Abandon { why };
    }
    if let Some(why) = &assessment.unsayable {
        return Plan::Blocked {
            why: BlockReason::InvalidSpec(why.clone()),
        };
    }
    if let Some(why) = secret_in_the_way(inputs, assessment) {
        return Plan::Blocked { why };
    }
    if held_back::refused(inputs, assessment).is_some() && inputs.heard.stays.is_none() {
        return Plan::Restore;
    }
    let Some(why) = assessment.reason.clone() else {
        return keep_or_repair(now, inputs, assessment);
    };
    let undoes = undoes(now, inputs, undoes_by_issuing(inputs, &why));
    if let Some(until) = held_off(now, inputs, assessment, &undoes) {
        return Plan::Hold { until, why };
    }
    match inputs.issuer {
        IssuerState::Missing => {
            return Plan::Blocked {
                why: BlockReason::IssuerNotFound(why),
            };
        }
        IssuerState::NotReady { message, .. } => {
            return Plan::Blocked {
                why: BlockReason::IssuerNotReady {
                    message: message.to_owned(),
                    wanted: why,
                },
            };
        }
        IssuerState::NotAllowed => {
            return Plan::Blocked {
                why: BlockReason::IssuerNotAllowed {
                    namespace: inputs.namespace().to_owned(),
                    wanted: why,
                },
            };
        }
        IssuerState::Ready(_) => {}
    }
    if let Some(why) = key_in_the_way(inputs, assessment) {
        return Plan::Blocked { why };
    }
    match inputs.order() {
        Some(order) => Plan::Continue {
            why,
            undoes,
            not_before: comes_back(now, order),
        },
        None => Plan::Issue { why, undoes },
    }
}

/// Rule 1: why an issuance that is under way is given up.
fn unwanted(inputs: &Inputs<'_>, assessment: &Assessment) -> Option<AbandonReason> {
    let order = inputs.order()?;
    if assessment.unsayable.is_some() {
        return Some(AbandonReason::RequestChanged);
    }
    if secret_in_the_way(inputs, assessment).is_some() {
        return Some(AbandonReason::SecretInTheWay);
    }
    if assessment.reason.is_none() {
        return Some(AbandonReason::NothingToIssue);
    }
    match inputs.issuer {
        IssuerState::Missing => Some(AbandonReason::IssuerGone),
        IssuerState::NotAllowed => Some(AbandonReason::IssuerNotAllowed),
        // What it would be asked now is only known in part while it isn't ready.
        IssuerState::NotReady { .. } => (!order.attempted.starts_with(&assessment.hash))
            .then_some(AbandonReason::RequestChanged),
        IssuerState::Ready(_) if order.attempted == assessment.attempted => None,
        IssuerState::Ready(_) => match inputs.fallback {
            Some(fallback) if fallback.turn.begins => Some(AbandonReason::AnothersTurn),
            _ => Some(AbandonReason::RequestChanged),
        },
    }
}

/// When the CA said to come back, if that is ahead and not further than a CA may say.
fn comes_back(now: Timestamp, order: &OrderStatus) -> Option<Timestamp> {
    let at = order.look_again.as_ref()?.0;
    is_ahead(now, at, MAX_LOOK_AGAIN).then_some(at)
}

/// Rule 2.
fn secret_in_the_way(inputs: &Inputs<'_>, assessment: &Assessment) -> Option<BlockReason> {
    if let Some(owner) = inputs.owner.filter(|owner| *owner != inputs.name()) {
        return Some(BlockReason::SecretOwnedByOther(owner.to_owned()));
    }
    let secret = inputs.secret?;
    if !secret.is_ours(inputs.group) {
        return Some(BlockReason::ForeignSecret);
    }
    if secret.deleting {
        return Some(BlockReason::SecretBeingDeleted);
    }
    let must_change = assessment.reason.is_some() || !assessment.flaws.is_empty();
    (secret.immutable && must_change).then_some(BlockReason::ImmutableSecret)
}

/// Rule 4.
fn keep_or_repair(now: Timestamp, inputs: &Inputs<'_>, assessment: &Assessment) -> Plan {
    if assessment.flaws.is_empty() {
        return Plan::Keep {
            look_again: assessment.look_again(now, inputs),
        };
    }
    let what = assessment.flaws.clone();
    let undoes = undoes(now, inputs, taken_over(inputs, assessment));
    match held_off(now, inputs, assessment, &undoes) {
        Some(until) => Plan::HoldRepair { until, what },
        None => Plan::Repair { what, undoes },
    }
}

/// Whether repairing undoes what somebody else did: not if our own spec changed.
fn taken_over(inputs: &Inputs<'_>, assessment: &Assessment) -> bool {
    assessment.taken_over && inputs.generation_observed()
}

/// Whether issuing for this reason undoes what somebody else did to the Secret.
fn undoes_by_issuing(inputs: &Inputs<'_>, why: &IssueReason) -> bool {
    let Some(status) = inputs.status() else {
        return false;
    };
    let damaged = match why {
        IssueReason::Missing
        | IssueReason::Broken(_)
        | IssueReason::KeyDoesNotFit
        | IssueReason::Drift(_) => true,
        // Our spec is the one that was met already, so it was the Secret that changed, such as back to an older state.
        IssueReason::RequestChanged(_) => {
            condition::is_true(&status.conditions, status::READY) || is_contested(status)
        }
        // What is due by itself is nobody's doing; a certificate that was renewed already, and is there again, is.
        IssueReason::CaReplaced
        | IssueReason::Expired(_)
        | IssueReason::Revoked
        | IssueReason::Suggested
        | IssueReason::Due => is_put_back(inputs, status) || is_contested(status),
        IssueReason::AskedByHand(_) => false,
    };
    damaged && status.revision.is_some() && inputs.generation_observed()
}

/// Whether the Secret holds an older certificate than the status tells of. A Secret that is ahead of the status is none:
/// then a write of the status was lost.
fn is_put_back(inputs: &Inputs<'_>, status: &CertificateStatus) -> bool {
    let Some(secret) = inputs.secret else {
        return false;
    };
    let fingerprint = secret
        .pair
        .as_ref()
        .ok()
        .map(|pair| pair.fingerprint.to_string());
    match secret.marks.revision.cmp(&status.revision) {
        Ordering::Less => true,
        Ordering::Equal => status.fingerprint.is_some() && status.fingerprint != fingerprint,
        Ordering::Greater => false,
    }
}

fn is_contested(status: &CertificateStatus) -> bool {
    let failure = status.last_failure.as_ref();
    failure.is_some_and(|failure| failure.reason == reason::CONTESTED)
}

fn undoes(now: Timestamp, inputs: &Inputs<'_>, undoes: bool) -> Undoes {
    if !undoes {
        return Undoes::Nothing;
    }
    let recent = inputs
        .status()
        .and_then(|status| status.last_restored.as_ref())
        .is_some_and(|last| is_recent(now, last.0));
    if !recent {
        return Undoes::Change;
    }
    Undoes::Again {
        by: inputs.secret.map(|secret| {
            secret
                .others
                .first()
                .cloned()
                .unwrap_or_else(|| "unknown".to_owned())
        }),
    }
}

/// Whether a stored moment is ahead, and no further than it can be set: what is further is left from a clock that was ahead.
pub fn is_ahead(now: Timestamp, at: Timestamp, furthest: SignedDuration) -> bool {
    at > now && at.duration_since(now) <= furthest
}

/// Whether something at `at` still counts in a contest. A moment ahead of us is left from a clock that was set back.
fn is_recent(now: Timestamp, at: Timestamp) -> bool {
    now.duration_since(at).abs() < CONTEST
}

/// Rule 5: until when the issuer is left alone.
fn held_off(
    now: Timestamp,
    inputs: &Inputs<'_>,
    assessment: &Assessment,
    undoes: &Undoes,
) -> Option<Timestamp> {
    let failure = inputs.status()?.last_failure.as_ref()?;
    let until = failure.next_try.0;
    let contested = is_contested(inputs.status()?);
    let applies = if contested {
        *undoes != Undoes::Nothing
    } else {
        failure.attempted == assessment.attempted
    };
    let asked_anew =
        !contested && assessment.asked.is_some() && assessment.asked != failure.renew_request;
    // A hold-off never reaches further than its class allows: a clock that was ahead must not stop us for long.
    let longest = match inputs.asks_outside() {
        true => status::MAX_HOLD_OUTSIDE,
        false => status::MAX_HOLD,
    };
    (is_ahead(now, until, longest) && applies && !asked_anew).then_some(until)
}

/// Rule 6, as far as the key is concerned: `rotationPolicy: Never` keeps a key that the spec does not allow.
fn key_in_the_way(inputs: &Inputs<'_>, assessment: &Assessment) -> Option<BlockReason> {
    // The key of a revoked certificate doesn't stay, whatever the policy says.
    if inputs.certificate.spec.rotation_policy() == RotationPolicy::Always || assessment.revoked {
        return None;
    }
    let (held, _) = inputs.secret?.key?;
    let asked = assessment.request.as_ref()?.profile.key;
    (held != asked).then_some(BlockReason::KeyCannotStay { held, asked })
}

#[cfg(test)]
mod tests;
