//! The held certificate and the issuer's key, which may have been replaced.

use jiff::{SignedDuration, Timestamp};

use super::{Assessment, later};
use crate::pki::Facts;
use crate::plan::inputs::{Inputs, IssuerState, Signer};
use crate::plan::intent::{Flaw, ISSUER_KIND, ISSUER_NAME};
use crate::plan::observed::{Observed, Pair, data};
use crate::plan::renew::spread;

/// Leaves follow a replaced CA key no sooner than this, so that clients read the new root first.
const MIN_CA_OVERLAP: SignedDuration = SignedDuration::from_mins(5);

/// How the held certificate stands to the issuer's present key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaState {
    /// Not known, or nothing to say.
    Unknown,
    /// Signed by it.
    Current,
    /// Signed by it, with older roots kept in `ca.crt` until then at least.
    Retaining {
        /// The end of the overlap.
        until: Timestamp,
    },
    /// Signed by another; the new root is not in `ca.crt` yet.
    Replaced,
    /// Signed by another; clients had time to read the new root, and the leaf follows then.
    Following {
        /// When.
        due: Timestamp,
    },
}

impl Assessment {
    /// Compares chain and `ca.crt` with the issuer, and follows a replacement of its key.
    pub(super) fn compare_issuer(
        &mut self,
        now: Timestamp,
        inputs: &Inputs<'_>,
        secret: &Observed,
        pair: &Pair,
        held: &Facts,
    ) {
        let IssuerState::Ready(issuer) = inputs.issuer else {
            return;
        };
        let Signer::Authority(authority) = &issuer.signer else {
            self.ca = CaState::Current;
            self.compare_contents(secret, pair, &[], &[pair.fingerprint], false);
            return;
        };
        let replaced_at = secret.marks.ca_replaced_at;
        let top = authority.top().fingerprint;
        if held.is_signed_by(authority.certificate()) {
            let until = replaced_at.map(|at| later(at, inputs.settings.ca_overlap));
            let retained = until.filter(|until| now < *until || inputs.old_leaves);
            self.ca = retained.map_or(CaState::Current, |until| CaState::Retaining { until });
            if retained.is_none() {
                self.marks.ca_replaced_at = None;
            }
            let above: Vec<_> = authority
                .intermediates()
                .iter()
                .map(|facts| facts.fingerprint)
                .collect();
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

/// When a certificate signed by a replaced key follows, if the key was found replaced `at`: spread over the overlap,
/// which is no longer than a tenth of the remaining life. No sooner than [`MIN_CA_OVERLAP`], but before it expires.
fn follows(at: Timestamp, held: &Facts, overlap: SignedDuration, spread: f64) -> Timestamp {
    let remaining = held.not_after.duration_since(at).max(SignedDuration::ZERO);
    let wait = overlap.min(remaining / 10).mul_f64_saturating(spread);
    later(at, wait.max(MIN_CA_OVERLAP).min(remaining / 2))
}

/// Whether the Secret's certificate came from the issuer that the spec names now, by the Secret's own record.
pub(super) fn was_issued_by(inputs: &Inputs<'_>, secret: &Observed) -> bool {
    let recorded = |name| {
        let value = secret.annotations.get(&inputs.group.key(name));
        value.map(String::as_str)
    };
    let spec = &inputs.certificate.spec;
    recorded(ISSUER_NAME) == Some(&spec.issuer_ref.name)
        && recorded(ISSUER_KIND) == Some(spec.issuer_kind())
}

trait Scale {
    /// The duration times a factor in [0, 1].
    fn mul_f64_saturating(self, factor: f64) -> Self;
}

impl Scale for SignedDuration {
    fn mul_f64_saturating(self, factor: f64) -> Self {
        Self::from_secs_f64(self.as_secs_f64() * factor.clamp(0.0, 1.0))
    }
}
