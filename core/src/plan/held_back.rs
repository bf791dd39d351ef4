//! Going back to the pair before where workloads refuse the new one, and staying with it for a while.
//!
//! What these rules are given of a refusal, and of what was gone back to, is read from a status, which others may write: all that it
//! can lead to is a pair that was kept by us, still passes every check, and is held until its time is nearly over.

use jiff::{SignedDuration, Timestamp};

use super::assess::Assessment;
use super::inputs::{Inputs, IssuerState, ReadyIssuer, Signer};
use super::reason::IssueReason;
use super::revocation;
use crate::pki::chain::{self, PairProblem};
use crate::pki::{Facts, PublicKey};

/// A pair that was replaced and kept, without its key.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The public half of its key.
    pub key: &'a PublicKey,
    /// Its certificate, and what follows it.
    pub chain: &'a [Facts],
}

/// What was gone back to, and from what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// The certificate that is refused: its fingerprint.
    pub refused: String,
    /// The certificate that is held instead: its fingerprint.
    pub restored: String,
    /// The hash of what was asked for at that time.
    pub request: String,
    /// The value of the `renew` annotation at that time.
    pub renew_request: Option<String>,
}

/// Why a refused pair stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stays {
    /// What is refused is not what is held.
    #[error("another certificate than the one that is refused is held by now")]
    NotHeld,
    /// What was kept is what is refused.
    #[error("the certificate that was kept is the one that is refused")]
    Same,
    /// It must not be used for what is asked for now.
    #[error("the one before can't be used any more: {0}")]
    Unfit(PairProblem),
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

/// Whether the pair that is replaced for this reason is worth keeping: it was good, and we asked for it.
///
/// Not where it was broken or not what we issued, nor where it is the certificate, its key or its CA that is not to be trusted any
/// more.
pub fn is_worth_keeping(why: &IssueReason) -> bool {
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

/// Whether the pair that was kept may take the place of the held one, which workloads refuse (`refused` is its fingerprint).
///
/// It need not be what the spec asks for in every respect, since that may be what is refused. It has to fit its key, say all names
/// that are asked for now, build its chain and be valid, with more than a fifth of its life left. Names that it says beyond those
/// are no hindrance.
///
/// # Errors
/// The first reason why not, in the order of [`Stays`].
pub fn may_return(
    now: Timestamp,
    inputs: &Inputs<'_>,
    assessment: &Assessment,
    refused: &str,
    kept: Kept<'_>,
) -> Result<(), Stays> {
    let (Some(held), Some(request)) = (&assessment.held, &assessment.request) else {
        return Err(Stays::NotHeld);
    };
    if held.fingerprint.to_string() != refused {
        return Err(Stays::NotHeld);
    }
    let leaf = kept.chain.first().ok_or(Stays::Unfit(PairProblem::Empty))?;
    if leaf.fingerprint == held.fingerprint {
        return Err(Stays::Same);
    }
    match chain::check_pair(&request.profile, kept.key, kept.chain, now) {
        Ok(()) | Err(PairProblem::ExtraNames(_)) => {}
        Err(problem) => return Err(Stays::Unfit(problem)),
    }
    if revocation::is_asked_for(inputs, leaf) {
        return Err(Stays::Revoked);
    }
    if now >= last_moment(leaf) {
        return Err(Stays::NearItsEnd(leaf.not_after));
    }
    is_of_the_issuer(inputs, leaf)
        .then_some(())
        .ok_or(Stays::OfAnotherIssuer)
}

/// Until when the held certificate stays, since what should replace it is refused; `None` if it is renewed, or issued anew, like
/// any other.
///
/// It stays until something else is asked for, a renewal is asked for by hand with a new value, a fifth of its life is left, or its
/// revocation is asked for; and only as long as it is what is held.
pub fn stays_until(
    now: Timestamp,
    inputs: &Inputs<'_>,
    assessment: &Assessment,
    held_back: &HeldBack,
) -> Option<Timestamp> {
    let held = assessment.held.as_ref()?;
    let until = last_moment(held);
    let stays = held.fingerprint.to_string() == held_back.restored
        && held_back.restored != held_back.refused
        && assessment.hash == held_back.request
        && inputs.renew_request() == held_back.renew_request.as_ref()
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

fn is_of_the_issuer(inputs: &Inputs<'_>, leaf: &Facts) -> bool {
    match inputs.issuer {
        IssuerState::Ready(ReadyIssuer { signer, .. }) => match signer {
            Signer::SelfSigned => leaf.is_self_signed(),
            Signer::Authority(authority) => leaf.is_signed_by(authority.certificate()),
            // By its own record on what was kept, which whoever reads that compares.
            Signer::Outside => true,
        },
        IssuerState::Missing | IssuerState::NotReady { .. } | IssuerState::NotAllowed => false,
    }
}
