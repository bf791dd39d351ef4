//! What the user reads: the status of a Certificate.

mod sayings;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use self::sayings::Sayings;
use super::assess::{Assessment, CaState, later};
use super::fallback::{self, Turn};
use super::inputs::Inputs;
use super::marks::Marks;
use super::reason::CONTESTED;
use super::renew::spread;
use super::{BlockReason, Observed, Plan, Undoes, is_recent};
use crate::api::certificate::{FallbackStatus, LastFailure, OrderStatus, SignedBy};
use crate::api::{CertificateStatus, Condition};
use crate::pki::Facts;

/// The longest time an issuer inside the cluster is left alone.
pub const MAX_HOLD: SignedDuration = SignedDuration::from_mins(5);
/// The longest time one outside is left alone, also where it names a time itself.
pub const MAX_HOLD_OUTSIDE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The first hold-off; it doubles with each failure.
const MIN_HOLD: SignedDuration = SignedDuration::from_secs(10);
/// The same after a CA refused what it was shown: it counts such failures, and soon shuts its door.
const MIN_HOLD_REFUSED: SignedDuration = SignedDuration::from_mins(15);
const MAX_HOLD_REFUSED: SignedDuration = SignedDuration::from_hours(6);

/// How long until that is looked at again which only somebody else can change, and nobody is asked for.
const A_MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Over how long those come back that were held until the same moment.
const AFTER_HOLD: SignedDuration = SignedDuration::from_mins(5);

/// A wait of an order up to this is not written down; after a restart, the CA is asked that much too early.
const A_MOMENT: SignedDuration = SignedDuration::from_mins(1);

/// Longer messages are cut here, in bytes; the schema takes eight times as much.
const MAX_MESSAGE: usize = 4096;

/// Conditions we own; others are left to their owners.
pub const OWNED: [&str; 7] = [
    READY,
    ISSUING,
    LIMITED_BY_CA,
    RENEWAL_ADJUSTED,
    FIELDS_IGNORED,
    REVOCATION_FAILED,
    ROLL_BACK_FAILED,
];
/// The held certificate meets the spec and is valid now.
pub const READY: &str = "Ready";
/// What is being done for it.
pub const ISSUING: &str = "Issuing";
/// Why nothing was tried: a limit of the CA would have been gone against.
pub const HELD: &str = "WaitsForLimit";
/// Why nothing was tried: CAA records don't let the CA sign.
pub const EXCLUDED_BY_CAA: &str = "ExcludedByCAA";
/// Why nothing was tried: a name that has to be shown does not exist.
pub const NO_SUCH_NAME: &str = "NoSuchName";
const LIMITED_BY_CA: &str = "LimitedByCA";
const RENEWAL_ADJUSTED: &str = "RenewalAdjusted";
const REVOCATION_FAILED: &str = "RevocationFailed";
const FIELDS_IGNORED: &str = "FieldsIgnored";
/// Workloads refuse the held certificate, and none could be put in its place.
pub const ROLL_BACK_FAILED: &str = "RollBackFailed";

/// How the step that was planned went.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// There was nothing to do, or it waits.
    Nothing,
    /// It was done, and `undoes` says whether that undid somebody else's change.
    Done(Undoes),
    /// An issuance outside the cluster took a step, and this is what it holds there now.
    UnderWay(OrderStatus),
    /// It was given up, and what was set up for it is undone.
    Abandoned,
    /// The issuer failed.
    Failed(Failure),
}

/// Why the issuer failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One word to search for.
    pub reason: &'static str,
    /// What went wrong and what to do.
    pub message: String,
    /// How long to leave the issuer alone.
    pub pace: Pace,
    /// What the issuance still holds outside the cluster; taken up again after the hold-off.
    pub order: Option<OrderStatus>,
}

/// How long an issuer is left alone after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Seconds to five minutes, doubling: it may work again at any moment.
    Soon,
    /// 15 minutes to six hours, doubling: each further try counts against us.
    Refused,
    /// As long as the issuer said.
    Until(Timestamp),
    /// Nothing was tried: it would have gone against a limit that ends then.
    Held(Timestamp),
    /// Nothing was tried: it would have failed. What is in the way is looked at again each minute.
    EachMinute,
}

/// Whether the issuer was asked at all before it came to a failure of this reason.
fn was_tried(reason: &str) -> bool {
    ![HELD, EXCLUDED_BY_CAA, NO_SUCH_NAME].contains(&reason)
}

impl Failure {
    /// A failure after which the issuer is asked again soon, from the beginning.
    pub fn new(reason: &'static str, message: String) -> Self {
        Self {
            reason,
            message,
            pace: Pace::Soon,
            order: None,
        }
    }
}

/// The status that says how things stand after a step.
///
/// `inputs`, `assessment` and `plan` are those after the step: with the Secret as it was written. The rollout's part
/// is not in it, it has another owner.
pub fn status(
    now: Timestamp,
    inputs: &Inputs<'_>,
    assessment: &Assessment,
    plan: &Plan,
    outcome: &Outcome,
) -> CertificateStatus {
    let mut old = inputs.status().cloned().unwrap_or_default();
    if inputs.fallback.is_some_and(|fallback| fallback.turn.begins) {
        // The failures before were another's.
        let contest = |failure: &LastFailure| failure.reason == CONTESTED;
        old.last_failure = old.last_failure.filter(contest);
    }
    let last_restored = last_restored(now, &old, plan, outcome);
    let last_failure = last_failure(
        now,
        inputs,
        assessment,
        &old,
        plan,
        outcome,
        last_restored.as_ref(),
    );
    let ours = !is_anothers(plan);
    let held = assessment.held.as_ref().filter(|_| ours);
    let marks = inputs.secret.filter(|_| ours).map(|secret| &secret.marks);
    let mut status = CertificateStatus {
        observed_generation: inputs.certificate.metadata.generation,
        conditions: Vec::new(),
        not_before: held.map(|held| Time(held.not_before)),
        not_after: held.map(|held| Time(held.not_after)),
        renewal_time: held
            .and_then(|held| renewal_time(assessment, held))
            .map(Time),
        revision: marks.and_then(|marks| marks.revision).max(old.revision),
        serial_number: held.map(Facts::serial_hex),
        fingerprint: held.map(|held| held.fingerprint.to_string()),
        last_failure,
        last_restored,
        last_renew_request: last_renew_request(inputs, marks, &old),
        order: order(now, inputs, &old, outcome),
        signed_by: inputs
            .secret
            .filter(|_| ours)
            .and_then(|secret| signed_by(inputs, secret, &old)),
        fallback: turn(now, inputs, assessment, plan, outcome),
        renewal_window: held.and_then(|held| inputs.suggestion(held)).cloned(),
        revocation: inputs.revocation().cloned(),
        held_back: marks
            .and_then(|marks| marks.held_back.clone())
            .filter(|_| assessment.stays_until.is_some()),
        previous: inputs.previous(now).filter(|_| ours).cloned(),
        rollout: None,
    };
    let says = Sayings {
        now,
        inputs,
        assessment,
        plan,
        failure: status.last_failure.clone(),
        order: status.order.clone(),
        signed_by: status.signed_by.clone(),
        turn: status.fallback.clone(),
    };
    status.conditions = says.conditions(&old.conditions);
    status
}

/// When the turn of the issuer that is asked ends, by a status just made, if another may follow.
pub fn turn_ends(inputs: &Inputs<'_>, status: &CertificateStatus) -> Option<Timestamp> {
    inputs.fallback?;
    let mut certificate = inputs.certificate.clone();
    certificate.status = Some(status.clone());
    Turn::of(&certificate).ends(&certificate)
}

/// Whose turn it is after a step; `None` if nothing has failed, or nothing is needed.
fn turn(
    now: Timestamp,
    inputs: &Inputs<'_>,
    assessment: &Assessment,
    plan: &Plan,
    outcome: &Outcome,
) -> Option<FallbackStatus> {
    let turn = inputs.fallback?.turn;
    if matches!(
        plan,
        Plan::Keep { .. }
            | Plan::Repair { .. }
            | Plan::HoldRepair { .. }
            | Plan::Restore
            | Plan::Leave
    ) {
        return None;
    }
    let (fails, not_before) = match (outcome, plan) {
        (Outcome::Failed(failure), _) if fallback::is_the_issuers(failure.reason) => {
            let until = match failure.pace {
                Pace::Until(at) | Pace::Held(at) => Some(at),
                Pace::Soon | Pace::Refused | Pace::EachMinute => None,
            };
            (true, until)
        }
        (Outcome::UnderWay(_), _) => (false, None),
        (
            _,
            Plan::Blocked {
                why:
                    BlockReason::IssuerNotFound(_)
                    | BlockReason::IssuerNotReady { .. }
                    | BlockReason::IssuerNotAllowed { .. },
            },
        ) => (true, turn.not_before),
        _ => (false, turn.not_before),
    };
    turn.remembered(now, &assessment.hash, fails, not_before)
}

fn signed_by(inputs: &Inputs<'_>, secret: &Observed, old: &CertificateStatus) -> Option<SignedBy> {
    let none = Turn::of(inputs.certificate);
    let turn = inputs.fallback.map_or(&none, |fallback| fallback.turn);
    fallback::signed_by(inputs.certificate, secret, inputs.group, turn, old)
}

/// What an unfinished issuance holds outside the cluster after a step. That the CA is only to be asked again in a moment is
/// not worth a write.
fn order(
    now: Timestamp,
    inputs: &Inputs<'_>,
    old: &CertificateStatus,
    outcome: &Outcome,
) -> Option<OrderStatus> {
    match outcome {
        Outcome::Nothing => inputs.order().cloned(),
        Outcome::UnderWay(order) => {
            let soon = |again: &Time| again.0 <= later(now, A_MOMENT);
            let same = old.order.as_ref().filter(|held| {
                let look_again = held.look_again.clone();
                order.look_again.as_ref().is_some_and(soon)
                    && **held
                        == OrderStatus {
                            look_again,
                            ..order.clone()
                        }
            });
            Some(same.unwrap_or(order).clone())
        }
        Outcome::Failed(failure) => failure.order.clone(),
        Outcome::Done(_) | Outcome::Abandoned => None,
    }
}

/// Whether the Secret is somebody else's: then nothing of it is ours to tell.
fn is_anothers(plan: &Plan) -> bool {
    use super::BlockReason::{ForeignSecret, SecretOwnedByOther};
    matches!(
        plan,
        Plan::Blocked {
            why: ForeignSecret | SecretOwnedByOther(_)
        }
    )
}

/// What stands on the Secret counts, so that a status that was not written is made good. Only where the status has the
/// very value that is asked for, it stays: a Secret put back to an older state does not make us answer twice.
fn last_renew_request(
    inputs: &Inputs<'_>,
    marks: Option<&Marks>,
    old: &CertificateStatus,
) -> Option<String> {
    let told = old.last_renew_request.as_ref();
    told.filter(|told| inputs.renew_request() == Some(told))
        .or_else(|| marks.and_then(|marks| marks.renew_request.as_ref()))
        .or(told)
        .cloned()
}

/// Whether a status says nothing new: our part of what stands there is the same.
pub fn unchanged(old: Option<&CertificateStatus>, new: &CertificateStatus) -> bool {
    let Some(old) = old else { return false };
    let sorted = |conditions: &[Condition]| {
        let mut ours: Vec<_> = conditions
            .iter()
            .filter(|held| OWNED.contains(&held.type_.as_str()))
            .cloned()
            .collect();
        ours.sort_by(|a, b| a.type_.cmp(&b.type_));
        ours
    };
    let ours = |status: &CertificateStatus| CertificateStatus {
        conditions: sorted(&status.conditions),
        rollout: None,
        ..status.clone()
    };
    ours(old) == ours(new)
}

/// As much of a message as a status may hold: what is quoted in it may be as long as a Secret or an annotation is.
pub(super) fn cut(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push('…');
    }
    message
}

fn last_restored(
    now: Timestamp,
    old: &CertificateStatus,
    plan: &Plan,
    outcome: &Outcome,
) -> Option<Time> {
    if matches!(
        outcome,
        Outcome::Done(Undoes::Change | Undoes::Again { .. })
    ) {
        return Some(Time(now));
    }
    let calm = |last: &Time| !is_recent(now, last.0) && matches!(plan, Plan::Keep { .. });
    old.last_restored.clone().filter(|last| !calm(last))
}

fn last_failure(
    now: Timestamp,
    inputs: &Inputs<'_>,
    assessment: &Assessment,
    old: &CertificateStatus,
    plan: &Plan,
    outcome: &Outcome,
    last_restored: Option<&Time>,
) -> Option<LastFailure> {
    let failed = |reason: &str, message: String, pace: Pace| {
        let tries = match pace {
            Pace::Held(_) | Pace::EachMinute => 0,
            Pace::Soon | Pace::Refused | Pace::Until(_) => 1,
        };
        let attempts = old
            .last_failure
            .as_ref()
            .map_or(0, |failure| failure.attempts)
            .saturating_add(tries);
        LastFailure {
            reason: reason.to_owned(),
            message: cut(message),
            attempts,
            time: Time(now),
            next_try: Time(next_try(
                now,
                inputs,
                attempts,
                pace,
                hold_before(old, reason),
            )),
            attempted: assessment.attempted.clone(),
            renew_request: assessment.asked.clone(),
        }
    };
    match outcome {
        Outcome::Failed(failure) => Some(failed(
            failure.reason,
            failure.message.clone(),
            failure.pace,
        )),
        Outcome::Done(Undoes::Again { by }) => Some(failed(
            CONTESTED,
            contested(inputs, by.as_deref()),
            Pace::Soon,
        )),
        // Tries count until one of them brings a certificate. The next one is under way: whoever asked for it by hand does
        // not wait any more.
        Outcome::UnderWay(_) => old.last_failure.clone().map(|failure| LastFailure {
            next_try: Time(failure.next_try.0.min(now)),
            ..failure
        }),
        Outcome::Nothing | Outcome::Done(_) | Outcome::Abandoned => {
            let contest =
                |failure: &LastFailure| failure.reason == CONTESTED && last_restored.is_some();
            let over = matches!(plan, Plan::Keep { .. } | Plan::Repair { .. });
            old.last_failure
                .clone()
                .filter(|failure| contest(failure) || !over && failure.reason != CONTESTED)
        }
    }
}

fn contested(inputs: &Inputs<'_>, by: Option<&str>) -> String {
    let secret = &inputs.certificate.spec.secret_name;
    match by {
        Some(manager) => format!(
            "Secret {secret} keeps being changed by the field manager {manager:?}. Stop it, or let it leave out the fields that \
             Certwright writes."
        ),
        None => format!(
            "Secret {secret} keeps being deleted. Find out who deletes it; the API server's audit log knows."
        ),
    }
}

/// When the issuer may be asked again after the n-th failure: waits double, with a share that differs between Certificates.
/// An issuer's own word counts where it is longer; those that waited for the same moment come one after the other.
///
/// What is `Refused` doubles from the hold-off `before`, that of a failure of the same reason: an outage before it is no
/// reason to wait for hours.
fn next_try(
    now: Timestamp,
    inputs: &Inputs<'_>,
    attempts: i32,
    pace: Pace,
    before: Option<SignedDuration>,
) -> Timestamp {
    let (shortest, longest, named) = match pace {
        Pace::Soon => (MIN_HOLD, MAX_HOLD, None),
        Pace::Until(at) => (MIN_HOLD, MAX_HOLD, Some(at)),
        Pace::Refused => (MIN_HOLD_REFUSED, MAX_HOLD_REFUSED, None),
        Pace::EachMinute => return later(now, A_MINUTE),
        Pace::Held(at) => {
            let until = at.as_second().to_be_bytes();
            let share = spread(inputs.namespace(), inputs.name(), &until);
            let apart = SignedDuration::from_secs_f64(AFTER_HOLD.as_secs_f64() * share);
            return later(at.max(now), apart).min(later(now, MAX_HOLD_OUTSIDE));
        }
    };
    let doublings = match (pace, before) {
        // One that was shorter was none of these.
        (Pace::Refused, before) if before.is_none_or(|before| before < shortest / 2) => 0,
        // The share that was taken off is less than a half.
        (Pace::Refused, Some(before)) => (0..10)
            .find(|doublings| shortest.saturating_mul(1 << doublings) >= before)
            .map_or(10, |doublings| doublings + 1),
        _ => u32::try_from(attempts - 1).unwrap_or_default().min(10),
    };
    let longest = shortest.saturating_mul(1 << doublings).min(longest);
    let share = spread(inputs.namespace(), inputs.name(), &attempts.to_be_bytes());
    let hold = SignedDuration::from_secs_f64(longest.as_secs_f64() * (1.0 - share / 4.0));
    let hold = later(now, hold);
    named.map_or(hold, |at| at.min(later(now, MAX_HOLD_OUTSIDE)).max(hold))
}

/// How long the issuer was left alone after the failure before, if that was for the same reason.
fn hold_before(old: &CertificateStatus, reason: &str) -> Option<SignedDuration> {
    let failure = old.last_failure.as_ref()?;
    (failure.reason == reason).then(|| failure.next_try.0.duration_since(failure.time.0))
}

/// The moment of the next issuance that is known.
fn renewal_time(assessment: &Assessment, held: &Facts) -> Option<Timestamp> {
    // After its end, it is no renewal to announce.
    let renewal = assessment.renewal.as_ref()?.at;
    let renewal = renewal.filter(|at| *at <= held.not_after);
    match assessment.ca {
        CaState::Following { due } => Some(renewal.map_or(due, |at| at.min(due))),
        _ => renewal,
    }
}
