//! What the user reads: the status of a Certificate.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::assess::{Assessment, CaState, SKEW, later};
use super::inputs::Inputs;
use super::marks::Marks;
use super::reason::CONTESTED;
use super::renew::{RenewalNote, spread};
use super::{Plan, Undoes, is_recent};
use crate::api::certificate::LastFailure;
use crate::api::condition::{self, Condition, ConditionStatus};
use crate::api::{CertificateStatus, Group};
use crate::pki::Facts;

/// The longest time an issuer inside the cluster is left alone.
pub const MAX_HOLD: SignedDuration = SignedDuration::from_mins(5);
/// The first hold-off; it doubles with each failure.
const MIN_HOLD: SignedDuration = SignedDuration::from_secs(10);

/// Conditions we own; others are left to their owners.
pub const OWNED: [&str; 5] = [
    READY,
    ISSUING,
    LIMITED_BY_CA,
    RENEWAL_ADJUSTED,
    FIELDS_IGNORED,
];
/// The held certificate meets the spec and is valid now.
pub const READY: &str = "Ready";
/// What is being done for it.
pub const ISSUING: &str = "Issuing";
const LIMITED_BY_CA: &str = "LimitedByCA";
const RENEWAL_ADJUSTED: &str = "RenewalAdjusted";
const FIELDS_IGNORED: &str = "FieldsIgnored";

/// How the step that was planned went.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// There was nothing to do, or it waits.
    Nothing,
    /// It was done, and `undoes` says whether that undid somebody else's change.
    Done(Undoes),
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
    let old = inputs.status().cloned().unwrap_or_default();
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
        rollout: None,
    };
    let says = Sayings {
        now,
        inputs,
        assessment,
        plan,
        failure: status.last_failure.clone(),
    };
    status.conditions = says.conditions(&old.conditions);
    status
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
    let failed = |reason: &str, message: String| {
        let attempts = old
            .last_failure
            .as_ref()
            .map_or(0, |failure| failure.attempts)
            .saturating_add(1);
        LastFailure {
            reason: reason.to_owned(),
            message,
            attempts,
            time: Time(now),
            next_try: Time(later(now, hold(inputs, attempts))),
            attempted: assessment.attempted.clone(),
            renew_request: assessment.asked.clone(),
        }
    };
    match outcome {
        Outcome::Failed(failure) => Some(failed(failure.reason, failure.message.clone())),
        Outcome::Done(Undoes::Again { by }) => {
            Some(failed(CONTESTED, contested(inputs, by.as_deref())))
        }
        Outcome::Nothing | Outcome::Done(_) => {
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

/// How long after the n-th failure the issuer is left alone: doubling, with a share that differs between Certificates.
fn hold(inputs: &Inputs<'_>, attempts: i32) -> SignedDuration {
    let doublings = u32::try_from(attempts - 1).unwrap_or_default().min(10);
    let longest = MIN_HOLD.saturating_mul(1 << doublings).min(MAX_HOLD);
    let share = spread(inputs.namespace(), inputs.name(), &attempts.to_be_bytes());
    SignedDuration::from_secs_f64(longest.as_secs_f64() * (1.0 - share / 4.0))
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

/// What the conditions say.
struct Sayings<'a> {
    now: Timestamp,
    inputs: &'a Inputs<'a>,
    assessment: &'a Assessment,
    plan: &'a Plan,
    failure: Option<LastFailure>,
}

impl Sayings<'_> {
    fn conditions(&self, old: &[Condition]) -> Vec<Condition> {
        let mut said = vec![(READY, self.ready()), (ISSUING, self.issuing())];
        if !is_anothers(self.plan) {
            said.extend(self.limited().map(|saying| (LIMITED_BY_CA, saying)));
            said.extend(self.adjusted().map(|saying| (RENEWAL_ADJUSTED, saying)));
        }
        said.extend(self.ignored().map(|saying| (FIELDS_IGNORED, saying)));
        let mut conditions: Vec<Condition> = old
            .iter()
            .filter(|held| said.iter().any(|(type_, _)| held.type_ == *type_))
            .cloned()
            .collect();
        for (type_, (status, reason, message)) in said {
            condition::set(
                &mut conditions,
                Condition {
                    type_: type_.to_owned(),
                    status,
                    observed_generation: self.inputs.certificate.metadata.generation,
                    last_transition_time: Time(self.now),
                    reason,
                    message,
                },
            );
        }
        conditions
    }

    fn ready(&self) -> Saying {
        if let (Plan::Blocked { why }, true) = (self.plan, self.not_held()) {
            return (
                ConditionStatus::False,
                why.reason().to_owned(),
                self.with_what_works(self.blocked(why)),
            );
        }
        if let Some(unmet) = &self.assessment.unmet {
            let clause = unmet.clause(self.secret());
            let message = match &self.failure {
                Some(failure) => format!(
                    "{}; the last try failed: {}",
                    capitalised(&clause),
                    failure.message
                ),
                None => format!("{}.", capitalised(&clause)),
            };
            return (
                ConditionStatus::False,
                unmet.reason().to_owned(),
                self.with_what_works(message),
            );
        }
        let Some(held) = &self.assessment.held else {
            return (
                ConditionStatus::False,
                "DoesNotExist".to_owned(),
                format!("Secret {} does not exist.", self.secret()),
            );
        };
        if held.not_after < self.now {
            let message = format!(
                "The certificate expired at {}.{}",
                held.not_after,
                self.what_next()
            );
            return (ConditionStatus::False, "Expired".to_owned(), message);
        }
        if held.not_before > later(self.now, SKEW) {
            let message = format!(
                "The certificate is not valid before {}. Is a clock wrong?",
                held.not_before
            );
            return (ConditionStatus::False, "NotYetValid".to_owned(), message);
        }
        let message = format!(
            "The certificate is what the spec asks for, and valid until {}.",
            held.not_after
        );
        (ConditionStatus::True, "Ready".to_owned(), message)
    }

    /// Whether what is in the way keeps us from holding anything, whatever the Secret contains.
    fn not_held(&self) -> bool {
        use super::BlockReason as Why;
        match self.plan {
            Plan::Blocked {
                why:
                    Why::InvalidSpec(_)
                    | Why::SecretOwnedByOther(_)
                    | Why::ForeignSecret
                    | Why::SecretBeingDeleted,
            } => true,
            Plan::Blocked { .. } => self.assessment.unmet.is_some(),
            _ => false,
        }
    }

    fn issuing(&self) -> Saying {
        match self.plan {
            Plan::Blocked { why } => (
                ConditionStatus::False,
                why.reason().to_owned(),
                self.blocked(why),
            ),
            Plan::Issue { why, .. } | Plan::Hold { why, .. } => self.failing(
                &format!(
                    "A certificate is needed because {}",
                    why.clause(self.secret())
                ),
                why.reason(),
            ),
            Plan::Repair { what, .. } | Plan::HoldRepair { what, .. } => {
                let words: Vec<_> = what.iter().map(|flaw| flaw.words()).collect();
                self.failing(
                    &format!(
                        "Secret {} is to be repaired: {}",
                        self.secret(),
                        words.join(", ")
                    ),
                    "Repairing",
                )
            }
            Plan::Keep { .. } | Plan::Leave => self.at_rest(),
        }
    }

    /// What is wanted, and why the last try did not bring it.
    fn failing(&self, wanted: &str, reason: &str) -> Saying {
        match &self.failure {
            Some(failure) => (
                ConditionStatus::False,
                failure.reason.clone(),
                format!(
                    "{wanted}. Try {} failed, the next is at {}: {}",
                    failure.attempts, failure.next_try.0, failure.message
                ),
            ),
            None => (
                ConditionStatus::True,
                reason.to_owned(),
                format!("{wanted}."),
            ),
        }
    }

    fn at_rest(&self) -> Saying {
        if let Some(failure) = &self.failure {
            return (
                ConditionStatus::False,
                failure.reason.clone(),
                failure.message.clone(),
            );
        }
        if let CaState::Following { due } = self.assessment.ca {
            let message = format!(
                "The issuer's key was replaced. Clients read the new root now; a new certificate follows at {due}."
            );
            return (ConditionStatus::False, "CAReplaced".to_owned(), message);
        }
        (
            ConditionStatus::False,
            "UpToDate".to_owned(),
            "Nothing needs to be issued.".to_owned(),
        )
    }

    fn limited(&self) -> Option<Saying> {
        let end = self.assessment.limited_by?;
        let message = format!(
            "The CA ends at {end}, so a renewal would gain less than a tenth of the duration. Renew the CA; then this \
             certificate is renewed too."
        );
        Some((ConditionStatus::True, "CANearItsEnd".to_owned(), message))
    }

    fn adjusted(&self) -> Option<Saying> {
        let (reason, message) = match self.assessment.renewal.as_ref()?.note.as_ref()? {
            RenewalNote::RenewBeforeTooLong { asked, lifetime } => (
                "RenewBeforeTooLong",
                format!(
                    "spec.renewBefore is {asked:#}, but the certificate only lives for {lifetime:#}: it is renewed a third of its life \
                     before its end instead."
                ),
            ),
            RenewalNote::NoWindowInTime => (
                "NoWindowInTime",
                "No window of spec.renewal.windows opens before the last tenth of the certificate's life: it is renewed \
                 outside of them."
                    .to_owned(),
            ),
        };
        Some((ConditionStatus::True, reason.to_owned(), message))
    }

    fn ignored(&self) -> Option<Saying> {
        let fields = self.inputs.certificate.spec.ignored_fields();
        let message = format!(
            "Accepted, without effect: {}. You can remove it.",
            fields.join(", ")
        );
        (!fields.is_empty()).then(|| (ConditionStatus::True, "FieldsIgnored".to_owned(), message))
    }

    fn blocked(&self, why: &super::BlockReason) -> String {
        let spec = &self.inputs.certificate.spec;
        let issuer = format!("{} {}", spec.issuer_kind(), spec.issuer_ref.name);
        let annotation = certificate_name_annotation(self.inputs.group);
        why.message(self.inputs.name(), self.secret(), &issuer, &annotation)
    }

    /// Adds until when the held certificate works all the same.
    fn with_what_works(&self, message: String) -> String {
        match &self.assessment.held {
            Some(held) if held.not_after > self.now && !is_anothers(self.plan) => {
                format!(
                    "{message} The certificate that is there works until {}.",
                    held.not_after
                )
            }
            _ => message,
        }
    }

    fn what_next(&self) -> String {
        match (&self.failure, self.plan) {
            (Some(failure), _) => format!(" The last try failed: {}", failure.message),
            (None, Plan::Blocked { why }) => format!(" {}", self.blocked(why)),
            (None, Plan::Keep { .. }) => {
                " It is not renewed by itself, because spec.renewal.policy is Disabled.".to_owned()
            }
            (None, _) => String::new(),
        }
    }

    fn secret(&self) -> &str {
        &self.inputs.certificate.spec.secret_name
    }
}

type Saying = (ConditionStatus, String, String);

fn certificate_name_annotation(group: &Group) -> String {
    group.key(super::marks::CERTIFICATE_NAME)
}

fn capitalised(clause: &str) -> String {
    let mut letters = clause.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
