//! What the conditions say.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    FIELDS_IGNORED, ISSUING, LIMITED_BY_CA, READY, RENEWAL_ADJUSTED, REVOCATION_FAILED,
    ROLL_BACK_FAILED, cut, is_anothers, was_tried,
};
use crate::api::Group;
use crate::api::certificate::{
    FallbackStatus, LastFailure, OrderStatus, RevocationState, SignedBy,
};
use crate::api::condition::{self, Condition, ConditionStatus};
use crate::plan::assess::{Assessment, CaState, SKEW, later};
use crate::plan::inputs::Inputs;
use crate::plan::marks::{CERTIFICATE_NAME, RENEW};
use crate::plan::renew::RenewalNote;
use crate::plan::{BlockReason, IssueReason, Plan, revocation};

/// What the conditions say.
pub(super) struct Sayings<'a> {
    pub(super) now: Timestamp,
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) assessment: &'a Assessment,
    pub(super) plan: &'a Plan,
    pub(super) failure: Option<LastFailure>,
    pub(super) order: Option<OrderStatus>,
    pub(super) signed_by: Option<SignedBy>,
    pub(super) turn: Option<FallbackStatus>,
}

/// Names shown of several before the rest is only counted.
const SHOWN: usize = 3;

impl Sayings<'_> {
    pub(super) fn conditions(&self, old: &[Condition]) -> Vec<Condition> {
        let mut said = vec![(READY, self.ready()), (ISSUING, self.issuing())];
        if !is_anothers(self.plan) {
            said.extend(self.limited().map(|saying| (LIMITED_BY_CA, saying)));
            said.extend(self.adjusted().map(|saying| (RENEWAL_ADJUSTED, saying)));
        }
        said.extend(self.not_revoked().map(|saying| (REVOCATION_FAILED, saying)));
        said.extend(self.not_restored().map(|saying| (ROLL_BACK_FAILED, saying)));
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
                    message: cut(message),
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
        if let (Some(held_back), Some(unmet)) = (self.held_back(), &self.assessment.unmet) {
            let clause = capitalised(&unmet.clause(self.secret()));
            return (
                ConditionStatus::False,
                "HeldBack".to_owned(),
                self.with_what_works(format!("{clause}. {held_back}")),
            );
        }
        if let Some(unmet) = &self.assessment.unmet {
            let clause = unmet.clause(self.secret());
            let message = match &self.failure {
                Some(failure) => format!(
                    "{}; {}: {}",
                    capitalised(&clause),
                    last_try(failure),
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
        if self.assessment.revoked {
            let message = format!("The certificate was revoked.{}", self.what_next());
            return (ConditionStatus::False, "Revoked".to_owned(), message);
        }
        if held.not_before > later(self.now, SKEW) {
            let message = format!(
                "The certificate is not valid before {}. Is a clock wrong?",
                held.not_before
            );
            return (ConditionStatus::False, "NotYetValid".to_owned(), message);
        }
        let message = format!(
            "The certificate is what the spec asks for, and valid until {}.{}{}",
            held.not_after,
            self.by_a_fallback(),
            self.held_back()
                .map(|held_back| format!(" {held_back}"))
                .unwrap_or_default()
        );
        (ConditionStatus::True, "Ready".to_owned(), message)
    }

    /// Whether what is in the way keeps us from holding anything, whatever the Secret contains.
    fn not_held(&self) -> bool {
        use crate::plan::BlockReason as Why;
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

    /// What workloads refuse, in whose place the one before is held, and what ends that.
    fn held_back(&self) -> Option<String> {
        let until = self.assessment.stays_until?;
        let refused = self.inputs.secret?.marks.held_back.as_ref()?;
        Some(format!(
            "The certificate with serial number {} is held back: {}. The one before stays until {until}, or until the spec \
             changes or a renewal is asked for by hand.",
            refused.serial_number, refused.message
        ))
    }

    /// Who signed what is held, and why, if it was not the first issuer of the spec.
    fn by_a_fallback(&self) -> String {
        let signed_by = self.signed_by.as_ref();
        let signed_by = signed_by.and_then(|by| Some((by, by.why.as_ref()?)));
        signed_by.map_or_else(String::new, |(by, why)| {
            format!(
                " {} {} signed it, because {}.",
                by.kind,
                by.name,
                why.trim_end_matches('.')
            )
        })
    }

    fn issuing(&self) -> Saying {
        let (status, reason, message) = self.step();
        (status, reason, message + &self.next_turn())
    }

    /// When another issuer is asked, while this one fails.
    fn next_turn(&self) -> String {
        let turn = self.turn.as_ref();
        let Some(since) = turn.and_then(|turn| turn.failing_since.as_ref()) else {
            return String::new();
        };
        let end = later(since.0, self.inputs.certificate.spec.fallback_after());
        if end <= self.now {
            return " None of the other issuers that the spec names can sign either.".to_owned();
        }
        format!(" If it has not worked by {end}, the next issuer that the spec names is asked.")
    }

    /// What is being done.
    fn step(&self) -> Saying {
        match self.plan {
            Plan::Blocked { why } => (
                ConditionStatus::False,
                why.reason().to_owned(),
                self.blocked(why),
            ),
            Plan::Continue { why, .. } => self.under_way(why),
            Plan::Issue { why, .. } if self.order.is_some() => self.under_way(why),
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
            Plan::Restore => (
                ConditionStatus::True,
                "RollingBack".to_owned(),
                "Workloads refuse the held certificate: the one before is put back.".to_owned(),
            ),
            Plan::Keep { .. } | Plan::Abandon { .. } | Plan::Leave => self.at_rest(),
        }
    }

    fn under_way(&self, why: &IssueReason) -> Saying {
        let order = self.order.as_ref();
        let begun = order.map(|order| format!("; it was ordered at {}", order.started_at.0));
        let names = order
            .map(|order| order.challenges.as_slice())
            .unwrap_or_default();
        let shown: Vec<_> = names
            .iter()
            .take(SHOWN)
            .map(|challenge| challenge.identifier.as_str())
            .collect();
        let shown = match (shown.join(", "), names.len().saturating_sub(SHOWN)) {
            (names, _) if names.is_empty() => String::new(),
            (names, 0) => format!(", and the CA is to find our answer at {names}"),
            (names, more) => {
                format!(", and the CA is to find our answer at {names} and {more} more")
            }
        };
        let failed = self
            .failure
            .as_ref()
            .filter(|failure| was_tried(&failure.reason))
            .map(|failure| format!(" Try {} failed: {}", failure.attempts, failure.message));
        let waits = order
            .and_then(|order| order.waits_for.as_ref())
            .map(|words| format!(" {words}"));
        let message = format!(
            "A certificate is needed because {}{}{shown}.{}{}",
            why.clause(self.secret()),
            begun.unwrap_or_default(),
            waits.unwrap_or_default(),
            failed.unwrap_or_default()
        );
        (ConditionStatus::True, why.reason().to_owned(), message)
    }

    /// What is wanted, and why the last try did not bring it.
    fn failing(&self, wanted: &str, reason: &str) -> Saying {
        match &self.failure {
            Some(failure) => (
                ConditionStatus::False,
                failure.reason.clone(),
                if !was_tried(&failure.reason) {
                    format!(
                        "{wanted}. The next try is at {}: {}",
                        failure.next_try.0, failure.message
                    )
                } else {
                    format!(
                        "{wanted}. Try {} failed, the next is at {}: {}",
                        failure.attempts, failure.next_try.0, failure.message
                    )
                },
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
                "The issuer's CA was replaced. Clients read the new root now; a new certificate follows at {due}."
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

    /// A revocation that is asked for and was not made; until the annotation goes, or asks for another.
    fn not_revoked(&self) -> Option<Saying> {
        let told = self.inputs.revocation()?;
        if revocation::is_asked(self.inputs, told) && told.state != RevocationState::Revoked {
            let reason = match told.state {
                RevocationState::Failing => "CANotAsked",
                _ => "Refused",
            };
            return Some((
                ConditionStatus::True,
                reason.to_owned(),
                told.message.clone(),
            ));
        }
        None
    }

    /// Workloads refuse what is held, and nothing else can be held.
    fn not_restored(&self) -> Option<Saying> {
        let stays = self.inputs.heard.stays.as_ref()?;
        let message = format!(
            "Workloads refuse the held certificate, and it stays: {stays}. Ask for one that they take, by the spec or, once they \
             can, with a new value of the annotation {}.",
            self.inputs.group.key(RENEW)
        );
        Some((ConditionStatus::True, stays.reason().to_owned(), message))
    }

    fn ignored(&self) -> Option<Saying> {
        let fields = self.inputs.certificate.spec.ignored_fields();
        let message = format!(
            "Accepted, without effect: {}. You can remove it.",
            fields.join(", ")
        );
        (!fields.is_empty()).then(|| (ConditionStatus::True, "FieldsIgnored".to_owned(), message))
    }

    fn blocked(&self, why: &BlockReason) -> String {
        let issuer = self.inputs.asked_name().to_string();
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
            (Some(failure), _) => {
                format!(" {}: {}", capitalised(last_try(failure)), failure.message)
            }
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

fn last_try(failure: &LastFailure) -> &'static str {
    if !was_tried(&failure.reason) {
        "the next try waits"
    } else {
        "the last try failed"
    }
}

type Saying = (ConditionStatus, String, String);

fn certificate_name_annotation(group: &Group) -> String {
    group.key(CERTIFICATE_NAME)
}

fn capitalised(clause: &str) -> String {
    let mut letters = clause.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
