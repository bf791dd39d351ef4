//! Revocations that are asked for by hand.
//!
//! The annotation names the certificate by its serial number, so that one that was replaced meanwhile, or comes back from a
//! backup with the annotation on it, does not cost the next one.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::assess::later;
use super::inputs::{Inputs, IssuerState};
use super::marks::REVOKE;
use super::status::MAX_HOLD_OUTSIDE;
use super::{Assessment, BlockReason, Plan, is_ahead};
use crate::api::certificate::{RevocationState, RevocationStatus};
use crate::pki::Facts;

/// So much of the annotation is remembered; nothing that makes sense is longer.
const MAX_REQUEST: usize = 256;
/// How long to wait after a try that failed; it doubles with each, up to an hour.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(10);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// Why a certificate is revoked: those of RFC 5280 section 5.3.1 that a certificate's owner can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RevocationReason {
    /// None is told.
    Unspecified = 0,
    /// Somebody else has the key.
    KeyCompromise = 1,
    /// Its subject is called otherwise now.
    AffiliationChanged = 3,
    /// Another is used instead.
    Superseded = 4,
    /// What it was for is no more.
    CessationOfOperation = 5,
    /// Its owner may not have it any more.
    PrivilegeWithdrawn = 9,
}

impl RevocationReason {
    /// All of them, with their names in the RFC.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Unspecified, "unspecified"),
        (Self::KeyCompromise, "keyCompromise"),
        (Self::AffiliationChanged, "affiliationChanged"),
        (Self::Superseded, "superseded"),
        (Self::CessationOfOperation, "cessationOfOperation"),
        (Self::PrivilegeWithdrawn, "privilegeWithdrawn"),
    ];

    /// Its number in the RFC, which is what a CA is told.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(reason, _)| reason == self);
        f.write_str(name.map_or("unspecified", |(_, name)| name))
    }
}

/// A text that is no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a reason is one of unspecified (0), keyCompromise (1), affiliationChanged (3), superseded (4), cessationOfOperation (5) and \
     privilegeWithdrawn (9)"
)]
pub struct NotAReason;

impl FromStr for RevocationReason {
    type Err = NotAReason;

    /// By name, in upper or lower case, or by number.
    fn from_str(text: &str) -> Result<Self, NotAReason> {
        let is = |reason: Self, name: &str| {
            name.eq_ignore_ascii_case(text) || text == reason.code().to_string()
        };
        let found = Self::ALL.iter().find(|(reason, name)| is(*reason, name));
        found.map(|(reason, _)| *reason).ok_or(NotAReason)
    }
}

/// What to do about a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// None is asked for, or what was asked for is done.
    Nothing,
    /// It is tried again then.
    Wait(Timestamp),
    /// It can't be asked for, for a reason that is to be told.
    Tell(RevocationStatus),
    /// The CA is to be asked for it.
    Ask(Box<Wanted>),
}

/// A revocation to ask a CA for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What was asked for, as it is remembered.
    pub request: String,
    /// Why.
    pub reason: RevocationReason,
    /// The certificate.
    pub certificate: Facts,
}

/// How a try went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is revoked.
    Revoked,
    /// The CA does not do it; why, with a full stop.
    Refused(String),
    /// The CA could not be asked; why, with a full stop, and when it said to come back.
    Failed(String, Option<Timestamp>),
}

/// What to do about the revocation that the annotation asks for.
pub fn revocation(
    now: Timestamp,
    inputs: &Inputs<'_>,
    assessment: &Assessment,
    plan: &Plan,
) -> Revocation {
    let Some(value) = inputs.revoke_request() else {
        return Revocation::Nothing;
    };
    let request = remembered(value);
    if let Some(told) = inputs.revocation().filter(|told| told.request == request) {
        let next = told.next_try.as_ref().map(|at| at.0);
        match (told.state, next) {
            (RevocationState::Revoked | RevocationState::Refused, _) => return Revocation::Nothing,
            (RevocationState::Failing, Some(at)) if is_ahead(now, at, MAX_HOLD_OUTSIDE) => {
                return Revocation::Wait(at);
            }
            (RevocationState::Failing, _) => {}
        }
    }
    let say = |answer| Revocation::Tell(told(now, inputs, &request, None, answer));
    let refuse = |why: String| say(Answer::Refused(why));
    let annotation = inputs.group.key(REVOKE);
    let Some((serial, reason)) = value.split_once(':').and_then(|_| value.rsplit_once(':')) else {
        return refuse(format!(
            "The annotation {annotation} has to be <serial>:<reason>, such as 04ab12:superseded."
        ));
    };
    let reason = match reason.trim().parse::<RevocationReason>() {
        Ok(reason) => reason,
        Err(problem) => {
            return refuse(format!(
                "The annotation {annotation} names no reason after the last colon: {problem}."
            ));
        }
    };
    let secret = &inputs.certificate.spec.secret_name;
    let anothers = matches!(
        plan,
        Plan::Blocked {
            why: BlockReason::ForeignSecret | BlockReason::SecretOwnedByOther(_)
        }
    );
    let Some(held) = assessment.held.as_ref().filter(|_| !anothers) else {
        return refuse(format!(
            "Secret {secret} holds no certificate of this Certificate's that the annotation {annotation} could be about."
        ));
    };
    if normalized(serial) != normalized(&held.serial_hex()) {
        return refuse(format!(
            "The annotation {annotation} names another certificate than Secret {secret} holds: that one's serial number is {}. \
             One that was replaced is revoked from its file: certwright revoke FILE --server URL.",
            held.serial_hex()
        ));
    }
    if !inputs.is_from_outside() {
        let signer = inputs.holder_name();
        return refuse(format!(
            "{} {} is no ACME CA, and nobody else is told of revocations. To replace the certificate, set the annotation {}.",
            signer.kind(),
            signer.name,
            inputs.group.key(super::marks::RENEW),
        ));
    }
    match cannot_be_asked(inputs) {
        None => Revocation::Ask(Box::new(Wanted {
            request,
            reason,
            certificate: held.clone(),
        })),
        Some(why) => say(Answer::Failed(why, None)),
    }
}

/// Why the issuer of what is held can't be asked now.
fn cannot_be_asked(inputs: &Inputs<'_>) -> Option<String> {
    match inputs.holder() {
        IssuerState::Ready(_) => None,
        IssuerState::Missing => Some("The issuer does not exist.".to_owned()),
        IssuerState::NotAllowed => Some(format!(
            "{} does not serve namespace {}.",
            inputs.holder_name(),
            inputs.namespace()
        )),
        IssuerState::NotReady { message, .. } => {
            Some(format!("The issuer is not ready: {message}"))
        }
    }
}

/// Whether the revocation of this certificate was asked for, whatever became of that.
pub(super) fn is_asked_for(inputs: &Inputs<'_>, certificate: &Facts) -> bool {
    let serial = normalized(&certificate.serial_hex());
    let names = |request: &str| {
        let named = request.rsplit_once(':').map(|(named, _)| named);
        named.is_some_and(|named| normalized(named) == serial)
    };
    let told = inputs.revocation();
    let revoked = told.and_then(|told| told.serial_number.as_deref());
    told.is_some_and(|told| names(&told.request))
        || inputs
            .revoke_request()
            .is_some_and(|request| names(request))
        || revoked.is_some_and(|revoked| normalized(revoked) == serial)
}

/// Whether the annotation still asks for this revocation.
pub(super) fn is_asked(inputs: &Inputs<'_>, told: &RevocationStatus) -> bool {
    let asked = inputs.revoke_request();
    asked.is_some_and(|value| remembered(value) == told.request)
}

/// What is remembered of a try.
pub fn after(
    now: Timestamp,
    inputs: &Inputs<'_>,
    wanted: &Wanted,
    answer: Answer,
) -> RevocationStatus {
    let serial = wanted.certificate.serial_hex();
    told(now, inputs, &wanted.request, Some(serial), answer)
}

fn told(
    now: Timestamp,
    inputs: &Inputs<'_>,
    request: &str,
    serial_number: Option<String>,
    answer: Answer,
) -> RevocationStatus {
    let before = inputs.revocation().filter(|told| told.request == request);
    let attempts = before
        .and_then(|told| told.attempts)
        .unwrap_or_default()
        .clamp(0, i32::MAX - 1);
    let (state, message, attempts, next_try) = match answer {
        Answer::Revoked => {
            let serial = serial_number.as_deref().unwrap_or_default();
            let message = format!("The CA has revoked the certificate {serial}.");
            (RevocationState::Revoked, message, None, None)
        }
        Answer::Refused(message) => (RevocationState::Refused, message, None, None),
        Answer::Failed(message, until) => {
            let doublings = attempts.unsigned_abs().min(10);
            let wait = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
            let next = later(now, wait);
            let next = until.map_or(next, |until| {
                until.min(later(now, MAX_HOLD_OUTSIDE)).max(next)
            });
            let attempts = Some(attempts + 1);
            (
                RevocationState::Failing,
                message,
                attempts,
                Some(Time(next)),
            )
        }
    };
    RevocationStatus {
        request: request.to_owned(),
        state,
        serial_number: serial_number.filter(|_| state == RevocationState::Revoked),
        message: super::status::cut(message),
        time: Time(now),
        attempts,
        next_try,
    }
}

/// What the status keeps of an annotation.
fn remembered(value: &str) -> String {
    value.chars().take(MAX_REQUEST).collect()
}

/// A serial number as it may be written: with colons, in upper case, with zeros before it.
fn normalized(serial: &str) -> String {
    let digits: String = serial
        .chars()
        .filter(|c| *c != ':' && !c.is_whitespace())
        .map(|c| c.to_ascii_lowercase())
        .collect();
    digits.trim_start_matches('0').to_owned()
}
