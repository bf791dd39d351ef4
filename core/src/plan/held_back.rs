//! Going back to the pair before where workloads refuse the new one, and staying with it for a while.
//!
//! What these rules are given of a refusal is read from a status, which others may write: all that it can lead to is a pair that
//! was kept by us, still passes every check, and is held until its time is nearly over.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::assess::Assessment;
use super::inputs::{Inputs, IssuerState, ReadyIssuer, Signer};
use super::marks::Marks;
use super::observed::Observed;
use super::reason::IssueReason;
use super::request::IssuerName;
use super::revocation;
use crate::api::certificate::{HeldBackStatus, PreviousStatus, RefusedStatus};
use crate::pki::chain::{self, PairProblem};
use crate::pki::{Facts, PublicKey};

/// What is remembered of how a certificate is refused, in bytes.
const MESSAGE: usize = 512;

/// A pair that was replaced and kept, without its key.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The public half of its key.
    pub key: &'a PublicKey,
    /// Its certificate, and what follows it.
    pub chain: &'a [Facts],
    /// The issuer it came from, by our own record.
    pub issuer: Option<&'a IssuerName>,
}

/// Why a refused pair stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stays {
    /// There is none to go back to.
    #[error("no certificate from before is kept")]
    NothingKept,
    /// The Secret can't be changed.
    #[error("its Secret is immutable")]
    Immutable,
    /// Nothing is held that could be replaced, or nothing that makes sense is asked for.
    #[error("its Secret holds no pair")]
    NotHeld,
    /// What was kept is what is refused.
    #[error("the certificate that was kept is the one that is refused")]
    Same,
    /// It must not be used for what is asked for now.
    #[error("the one before can't be used any more: {0}")]
    Unfit(PairProblem),
    /// It may sign others and what is asked for may not, or the other way round.
    #[error(
        "the one before is a certificate of a CA and what the spec asks for is not, or the other way round"
    )]
    OfAnotherPurpose,
    /// The one before was revoked, or that was asked for.
    #[error("the one before was revoked, or that was asked for")]
    Revoked,
    /// The one before ends too soon to be worth it.
    #[error("the one before is too near its end, {0}")]
    NearItsEnd(Timestamp),
    /// Another signed the one before than is asked now, or nobody can say.
    #[error("the one before is not known to be of the issuer that the spec names")]
    OfAnotherIssuer,
}

impl Stays {
    /// One word to search for.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NothingKept | Self::NotHeld | Self::Same => "NothingKept",
            Self::Immutable => "ImmutableSecret",
            Self::Unfit(_) => "PreviousUnfit",
            Self::OfAnotherPurpose => "PreviousOfAnotherPurpose",
            Self::Revoked => "PreviousRevoked",
            Self::NearItsEnd(_) => "PreviousNearItsEnd",
            Self::OfAnotherIssuer => "PreviousOfAnotherIssuer",
        }
    }
}

/// What is refused of what is held, if the one before may take its place: roll back is wanted, and nothing is to be issued that
/// may be the remedy.
pub(super) fn refused<'a>(
    inputs: &Inputs<'a>,
    assessment: &Assessment,
) -> Option<&'a RefusedStatus> {
    let held = assessment.held.as_ref()?;
    let rollout = inputs.status()?.rollout.as_ref()?;
    let refused = rollout.refused.as_ref()?;
    let nothing_else = matches!(
        assessment.reason,
        None | Some(IssueReason::Due | IssueReason::Suggested)
    );
    let is_held = refused.fingerprint == held.fingerprint.to_string();
    (inputs.certificate.spec.rolls_back() && inputs.order().is_none() && nothing_else && is_held)
        .then_some(refused)
}

/// What is to be told of the held pair once it is kept, since another is about to take its place; `None` if it is not worth
/// keeping: it is near its end, its revocation is asked for, or it is replaced because something is wrong with it.
pub fn worth_keeping(
    now: Timestamp,
    inputs: &Inputs<'_>,
    assessment: &Assessment,
) -> Option<PreviousStatus> {
    let held = assessment.held.as_ref()?;
    let usable_until = last_moment(held);
    let is_good = assessment.reason.as_ref().is_some_and(was_good)
        && !revocation::is_asked_for(inputs, held)
        && now < usable_until;
    is_good.then(|| PreviousStatus {
        fingerprint: held.fingerprint.to_string(),
        serial_number: held.serial_hex(),
        usable_until: Time(in_seconds(usable_until)),
    })
}

/// The marks of a Secret into which the pair before is put back, in place of what is held.
///
/// They are those that it had, but that it is stored now: what was started since it was issued has to be started again.
pub fn marks(
    now: Timestamp,
    inputs: &Inputs<'_>,
    assessment: &Assessment,
    (kept, leaf): (&Observed, &Facts),
) -> Option<Marks> {
    let held = assessment.held.as_ref()?;
    let stored = &inputs.secret?.marks;
    let refused = refused(inputs, assessment)?;
    let told = inputs.status().and_then(|status| status.revision);
    let revision = stored.revision.max(told).unwrap_or_default();
    let message = format!("{} {}: {}", refused.kind, refused.name, refused.message);
    Some(Marks {
        certificate_name: Some(inputs.name().to_owned()),
        issued_at: Some(now),
        revision: Some(revision.saturating_add(1)),
        renew_request: stored.renew_request.clone(),
        ca_replaced_at: None,
        previous: None,
        held_back: Some(HeldBackStatus {
            fingerprint: held.fingerprint.to_string(),
            serial_number: held.serial_hex(),
            restored: leaf.fingerprint.to_string(),
            request: assessment.hash.clone(),
            message: message[..message.floor_char_boundary(MESSAGE)].to_owned(),
            since: Time(in_seconds(now)),
        }),
        ..kept.marks.clone()
    })
}

/// Whether a pair that is replaced for this reason was good, and we asked for it.
///
/// Not where it was broken or not what we issued, nor where it is the certificate, its key or its CA that is not to be trusted any
/// more.
fn was_good(why: &IssueReason) -> bool {
    match why {
        IssueReason::RequestChanged(_)
        | IssueReason::Suggested
        | IssueReason::Due
        | IssueReason::AskedByHand(_) => true,
        IssueReason::Missing
        | IssueReason::Broken(_)
        | IssueReason::KeyDoesNotFit
        | IssueReason::Drift(_)
        | IssueReason::CaReplaced
        | IssueReason::Expired(_)
        | IssueReason::Revoked => false,
    }
}

/// Whether this is the certificate that the held one says to have replaced, and may come back.
pub fn is_the_one_before(now: Timestamp, inputs: &Inputs<'_>, leaf: &Facts) -> bool {
    let fingerprint = leaf.fingerprint.to_string();
    inputs
        .previous(now)
        .is_some_and(|previous| previous.fingerprint == fingerprint)
}

/// Whether the pair that was kept may take the place of the held one, which workloads refuse.
///
/// It need not be what the spec asks for in every respect, since that may be what is refused. It has to fit its key, say all names
/// that are asked for now, build its chain, be valid with more than a fifth of its life left, and be a CA's only if that is asked for. Names that it says beyond those
/// are no hindrance.
///
/// # Errors
/// The first reason why not.
pub fn may_return(
    now: Timestamp,
    inputs: &Inputs<'_>,
    assessment: &Assessment,
    kept: Kept<'_>,
) -> Result<(), Stays> {
    let (Some(held), Some(request)) = (&assessment.held, &assessment.request) else {
        return Err(Stays::NotHeld);
    };
    let leaf = kept.chain.first().ok_or(Stays::Unfit(PairProblem::Empty))?;
    if leaf.fingerprint == held.fingerprint {
        return Err(Stays::Same);
    }
    match chain::check_pair(&request.profile, kept.key, kept.chain, now) {
        Ok(()) | Err(PairProblem::ExtraNames(_)) => {}
        Err(problem) => return Err(Stays::Unfit(problem)),
    }
    if leaf.is_ca != request.profile.is_ca {
        return Err(Stays::OfAnotherPurpose);
    }
    if revocation::is_asked_for(inputs, leaf) {
        return Err(Stays::Revoked);
    }
    if now >= last_moment(leaf) {
        return Err(Stays::NearItsEnd(leaf.not_after));
    }
    if inputs.secret.is_some_and(|secret| secret.immutable) {
        return Err(Stays::Immutable);
    }
    is_of_the_issuer(inputs, kept.issuer, leaf)
        .then_some(())
        .ok_or(Stays::OfAnotherIssuer)
}

/// Until when the held certificate stays, since what should replace it is refused; `None` if it is renewed, or issued anew, like
/// any other.
///
/// It stays until something else is asked for, a renewal is asked for by hand with a new value, a fifth of its life is left, or its
/// revocation is asked for; and only as long as it is what is held.
pub(super) fn stays_until(
    now: Timestamp,
    inputs: &Inputs<'_>,
    assessment: &Assessment,
    held: &Facts,
) -> Option<Timestamp> {
    let held_back = inputs.secret?.marks.held_back.as_ref()?;
    let until = last_moment(held);
    let stays = held.fingerprint.to_string() == held_back.restored
        && held_back.restored != held_back.fingerprint
        && assessment.hash == held_back.request
        && assessment.asked.is_none()
        && !revocation::is_asked_for(inputs, held)
        && now < until;
    stays.then_some(until)
}

/// When a fifth of its life is left.
fn last_moment(certificate: &Facts) -> Timestamp {
    let life = certificate
        .not_after
        .duration_since(certificate.not_before)
        .max(SignedDuration::ZERO);
    let end = certificate.not_after;
    end.saturating_sub(life / 5).unwrap_or(Timestamp::MIN)
}

/// In whole seconds, as the API server keeps times.
fn in_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn is_of_the_issuer(inputs: &Inputs<'_>, recorded: Option<&IssuerName>, leaf: &Facts) -> bool {
    if recorded != Some(&inputs.asked_name()) {
        return false;
    }
    match inputs.issuer {
        IssuerState::Ready(ReadyIssuer { signer, .. }) => match signer {
            Signer::SelfSigned => leaf.is_self_signed(),
            Signer::Authority(authority) => leaf.is_signed_by(authority.certificate()),
            // There is nothing but the record.
            Signer::Outside => true,
        },
        IssuerState::Missing | IssuerState::NotReady { .. } | IssuerState::NotAllowed => false,
    }
}
