//! The held certificate and the issuer's CA, which may have been replaced.

use jiff::{SignedDuration, Timestamp};

use super::{Assessment, later};
use crate::pki::facts::Fingerprint;
use crate::pki::{Authority, Facts};
use crate::plan::inputs::{Inputs, IssuerState, OldLeaves, Signer};
use crate::plan::intent::Flaw;
use crate::plan::marks::Marks;
use crate::plan::observed::{Observed, Pair, data};
use crate::plan::renew::spread;

/// Leaves follow a replaced CA no sooner than this, so that clients read the new root first; and the old root goes no
/// sooner than this after the last old leaf, so that servers read their new ones first.
const MIN_CA_OVERLAP: SignedDuration = SignedDuration::from_mins(5);

/// How the held certificate stands to the issuer's present CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaState {
    /// Not known, or nothing to say.
    Unknown,
    /// Signed by it.
    Current,
    /// Signed by it, with older roots kept in `ca.crt` until then at least.
    Retaining {
        /// The end of the overlap, as far as it can be told.
        until: Timestamp,
    },
    /// Of one that was replaced; the new root is not in `ca.crt` yet.
    Replaced,
    /// Of one that was replaced; clients get the time to read the new root, and the leaf follows then.
    Following {
        /// When.
        due: Timestamp,
    },
}

impl Assessment {
    /// Compares chain and `ca.crt` with the issuer, and follows a replacement of its CA.
    pub(super) fn compare_issuer(
        &mut self,
        now: Timestamp,
        inputs: &Inputs<'_>,
        secret: &Observed,
        pair: &Pair,
        held: &Facts,
    ) {
        let IssuerState::Ready(issuer) = inputs.holder() else {
            return;
        };
        let authority = match &issuer.signer {
            Signer::Authority(authority) => authority,
            Signer::SelfSigned => {
                self.ca = CaState::Current;
                self.compare_contents(secret, pair, &[], &[pair.fingerprint], false);
                return;
            }
            // What it should be, only the CA knows.
            Signer::Outside => {
                self.ca = CaState::Current;
                return;
            }
        };
        let replaced_at = secret.marks.ca_replaced_at;
        let top = authority.top().fingerprint;
        let above = above(authority);
        let signed = held.is_signed_by(authority.certificate());
        if signed && !leads_to_another_root(secret, pair, authority, &above) {
            let until = replaced_at.map(|at| retained_until(at, inputs));
            let retained =
                until.filter(|until| now < *until || inputs.old_leaves == OldLeaves::Held);
            self.ca = retained.map_or(CaState::Current, |until| CaState::Retaining { until });
            if retained.is_none() {
                self.marks.ca_replaced_at = None;
            }
            self.compare_contents(secret, pair, &above, &[top], retained.is_some());
            return;
        }
        let known = secret.ca.as_ref().is_some_and(|ca| ca.contains(&top));
        // A moment far ahead of us is left from a clock that was set back; waiting for it could take days.
        let plausible = |at: &Timestamp| *at <= later(now, MIN_CA_OVERLAP);
        match replaced_at.filter(|at| known && plausible(at)) {
            Some(at) => {
                let spread = spread(inputs.namespace(), inputs.name(), &held.serial);
                self.ca = CaState::Following {
                    due: follows(at, held, inputs.settings.ca_overlap, spread),
                };
            }
            None => {
                self.ca = CaState::Replaced;
                self.marks.ca_replaced_at = Some(now);
                self.flaws.insert(Flaw::NewRoot);
                self.taken_over |= !secret.applied.data.contains(data::CA);
            }
        }
    }
}

/// When a certificate of a replaced CA follows, if the CA was found replaced `at`: spread from [`MIN_CA_OVERLAP`] to the
/// end of the overlap, which is no longer than a tenth of the remaining life; but before the certificate expires.
fn follows(at: Timestamp, held: &Facts, overlap: SignedDuration, spread: f64) -> Timestamp {
    let remaining = held.not_after.duration_since(at).max(SignedDuration::ZERO);
    let over = overlap.min(remaining / 10) - MIN_CA_OVERLAP;
    let wait = MIN_CA_OVERLAP + over.max(SignedDuration::ZERO).scaled(spread);
    later(at, wait.min(remaining / 2))
}

/// Until when the older roots stay at least, if the CA was found replaced `at`: to the end of the overlap, and for
/// [`MIN_CA_OVERLAP`] after the last old leaf was seen, which its server may still show for a while.
fn retained_until(at: Timestamp, inputs: &Inputs<'_>) -> Timestamp {
    let overlap = later(at, inputs.settings.ca_overlap);
    match inputs.old_leaves {
        OldLeaves::Held => overlap,
        OldLeaves::GoneSince(since) => overlap.max(later(since, MIN_CA_OVERLAP)),
    }
}

/// Whether the chain in the Secret leads to another root than the CA's own does, although the CA's key is the same: an
/// intermediate CA was signed anew, by another root. Servers have to send another chain then, so a new certificate
/// follows, as after a new key. Once it was issued the chain is only repaired, whatever others make of it.
fn leads_to_another_root(
    secret: &Observed,
    pair: &Pair,
    authority: &Authority,
    above: &[Fingerprint],
) -> bool {
    if authority.chain.len() < 2 || pair.above == above {
        return false;
    }
    let top = authority.top().fingerprint;
    let unknown = secret.ca.as_ref().is_some_and(|ca| !ca.contains(&top));
    let Marks {
        ca_replaced_at,
        issued_at,
        ..
    } = secret.marks;
    let found = ca_replaced_at.is_some_and(|at| issued_at.is_none_or(|issued| issued < at));
    unknown || found
}

/// What follows the leaf in `tls.crt`.
fn above(authority: &Authority) -> Vec<Fingerprint> {
    let intermediates = authority.intermediates();
    intermediates
        .iter()
        .map(|facts| facts.fingerprint)
        .collect()
}

/// Until when a Secret's certificate serves that is older than what the CA makes now: signed by another key, or with
/// another chain. `None` if it is not older, or can't serve any more.
pub fn older_until(now: Timestamp, secret: &Observed, authority: &Authority) -> Option<Timestamp> {
    let pair = secret.pair.as_ref().ok()?;
    let leaf = pair.facts()?;
    let older = || pair.above != above(authority) || !leaf.is_signed_by(authority.certificate());
    (leaf.not_after >= now && older()).then_some(leaf.not_after)
}

/// Whether the Secret's certificate came from an issuer that the spec names now, by the Secret's own record.
pub(super) fn was_issued_by(inputs: &Inputs<'_>, secret: &Observed) -> bool {
    secret.issuer(inputs.group) == Some(inputs.holder_name())
}

trait Scale {
    /// The duration times a factor in [0, 1].
    fn scaled(self, factor: f64) -> Self;
}

impl Scale for SignedDuration {
    fn scaled(self, factor: f64) -> Self {
        Self::from_secs_f64(self.as_secs_f64() * factor.clamp(0.0, 1.0))
    }
}
