//! Whose turn it is to sign, where a Certificate names several issuers.
//!
//! They take turns in the order of the spec, and after the last one the first comes again. A turn is over once its issuer
//! has failed for `fallbackAfter`, or has named a moment beyond that; the next one that can sign follows. What is known
//! of a turn is in the status, so that a restart changes nothing. A certificate ends it: the next need begins with
//! `issuerRef` again.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::inputs::IssuerState;
use super::observed::Observed;
use super::reason::CONTESTED;
use super::request::{self, IssuerName, Request};
use crate::api::certificate::{FallbackStatus, SignedBy};
use crate::api::{Certificate, CertificateSpec, CertificateStatus, Group};

/// An order that is not finished after this time counts as a failure, where `fallbackAfter` is not longer still: slow
/// networks and slow CAs are no reason to turn away.
const SLOW_ORDER: SignedDuration = SignedDuration::from_hours(1);

/// Longer reasons are cut here, in bytes.
const MAX_WHY: usize = 1024;

/// Failures that another issuer would meet as well.
const NOT_THE_ISSUERS: [&str; 6] = [
    CONTESTED,
    "NotKept",
    "SecretNotWritten",
    "SecretRefused",
    "KeyGenerationFailed",
    "RequestFailed",
];

/// What planning is given where a Certificate names fallbacks.
#[derive(Clone, Copy)]
pub struct Fallback<'a> {
    /// Whose turn it is; [`Inputs::issuer`](super::Inputs::issuer) says how this one stands.
    pub turn: &'a Turn,
    /// Who signed what is held; the first, if it is not known.
    pub holder: &'a IssuerName,
    /// How that one stands.
    pub holder_state: IssuerState<'a>,
}

/// An issuer's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its place: 0 is that of `issuerRef`.
    pub place: usize,
    /// Whose it is.
    pub issuer: IssuerName,
    /// Since when this issuer has been failing.
    pub failing_since: Option<Timestamp>,
    /// Until when it said not to be asked.
    pub not_before: Option<Timestamp>,
    /// Why it is not the turn of the first; `None` if it is.
    pub why: Option<String>,
    /// Whether it begins now: the status doesn't tell of it yet.
    pub begins: bool,
    /// Whether it is over, and nobody can take the next one.
    pub overdue: bool,
}

/// The issuers that a spec names, in the order in which they are asked.
pub fn candidates(spec: &CertificateSpec) -> Vec<IssuerName> {
    let first = std::iter::once(&spec.issuer_ref);
    let all = first.chain(&spec.fallback_issuer_refs);
    all.map(IssuerName::of).collect()
}

fn place_of(spec: &CertificateSpec, issuer: &IssuerName) -> Option<usize> {
    candidates(spec).iter().position(|name| name == issuer)
}

/// The issuer that is asked, or would be, as far as the Certificate's status tells.
pub fn asked(certificate: &Certificate) -> IssuerName {
    Turn::of(certificate).issuer
}

/// The place of the issuer that signed what a Secret holds: by the status, if it speaks of this very certificate, or else
/// by the Secret's own record. The first place, if that one is not named by the spec.
pub fn holder(certificate: &Certificate, secret: Option<&Observed>, group: &Group) -> usize {
    if certificate.spec.fallback_issuer_refs.is_empty() {
        return 0;
    }
    let Some(secret) = secret else { return 0 };
    let told = certificate.status.as_ref().and_then(|status| {
        let pair = secret.pair.as_ref().ok()?;
        let same = status.fingerprint.as_deref() == Some(&pair.fingerprint.to_string());
        status.signed_by.as_ref().filter(|_| same).map(name_of)
    });
    let signer = told.or_else(|| secret.issuer(group));
    signer
        .and_then(|signer| place_of(&certificate.spec, &signer))
        .unwrap_or_default()
}

/// A fallback that signed what is held, and that the spec names no more.
pub(super) fn dropped(
    certificate: &Certificate,
    secret: &Observed,
    group: &Group,
) -> Option<IssuerName> {
    let status = certificate.status.as_ref()?;
    let signed_by = status.signed_by.as_ref().filter(|by| by.why.is_some())?;
    let signer = name_of(signed_by);
    let recorded = secret.issuer(group).is_some_and(|name| name == signer);
    let named = place_of(&certificate.spec, &signer).is_some();
    (recorded && !named).then_some(signer)
}

fn name_of(signed_by: &SignedBy) -> IssuerName {
    IssuerName {
        cluster: signed_by.kind == "ClusterIssuer",
        name: signed_by.name.clone(),
    }
}

impl Turn {
    /// The turn that the Certificate's status tells of; that of the first issuer, if it tells of none of this need.
    pub fn of(certificate: &Certificate) -> Self {
        let spec = &certificate.spec;
        Self::told(certificate).unwrap_or_else(|| Self {
            place: 0,
            issuer: IssuerName::of(&spec.issuer_ref),
            failing_since: None,
            not_before: None,
            why: None,
            begins: false,
            overdue: false,
        })
    }

    fn told(certificate: &Certificate) -> Option<Self> {
        let spec = &certificate.spec;
        if spec.fallback_issuer_refs.is_empty() {
            return None;
        }
        let told = certificate.status.as_ref()?.fallback.as_ref()?;
        let issuer = IssuerName {
            cluster: told.kind == "ClusterIssuer",
            name: told.name.clone(),
        };
        let place = place_of(spec, &issuer)?;
        (request_of(spec)? == told.request).then(|| Self {
            place,
            issuer,
            failing_since: told.failing_since.as_ref().map(|time| time.0),
            not_before: told.not_before.as_ref().map(|time| time.0),
            why: told.why.clone().filter(|_| place > 0),
            begins: false,
            overdue: false,
        })
    }

    /// When it is over, unless a certificate ends it before; `None` as long as nothing has failed.
    pub fn ends(&self, certificate: &Certificate) -> Option<Timestamp> {
        let patience = certificate.spec.fallback_after();
        let status = certificate.status.as_ref();
        if let Some(since) = self.failing_since {
            let end = super::assess::later(since, patience);
            return Some(match self.not_before {
                Some(at) if at > end => since,
                _ => end,
            });
        }
        let order = status.and_then(|status| status.order.as_ref())?;
        Some(super::assess::later(
            order.started_at.0,
            patience.max(SLOW_ORDER),
        ))
    }

    /// Whether it is over.
    pub fn is_over(&self, now: Timestamp, certificate: &Certificate) -> bool {
        !certificate.spec.fallback_issuer_refs.is_empty()
            && self.ends(certificate).is_some_and(|end| end <= now)
    }

    /// The others, in the order in which they are asked after this one.
    pub fn others(&self, spec: &CertificateSpec) -> Vec<(usize, IssuerName)> {
        let mut all: Vec<_> = candidates(spec).into_iter().enumerate().collect();
        let place = self.place.min(all.len().saturating_sub(1));
        all.rotate_left(place);
        all.split_off(1)
    }

    /// The turn of another, after this one, whose issuer stands so.
    #[must_use]
    pub fn passes_to(
        &self,
        (place, issuer): (usize, IssuerName),
        certificate: &Certificate,
        state: IssuerState<'_>,
    ) -> Self {
        let mut why = self.why.clone().map_or_else(String::new, |why| why + "; ");
        why.push_str(&self.trouble(certificate, state));
        if why.len() > MAX_WHY {
            why.truncate(why.floor_char_boundary(MAX_WHY));
            why.push('…');
        }
        Self {
            place,
            issuer,
            failing_since: None,
            not_before: None,
            why: (place > 0).then_some(why),
            begins: true,
            overdue: false,
        }
    }

    /// What is wrong with its issuer, as a clause.
    fn trouble(&self, certificate: &Certificate, state: IssuerState<'_>) -> String {
        let issuer = &self.issuer;
        let status = certificate.status.as_ref();
        let since = self.failing_since;
        let since = since.map_or_else(String::new, |since| format!(" since {since}"));
        let failure = status.and_then(|status| status.last_failure.as_ref());
        let words = match (state, failure) {
            (IssuerState::Missing, _) => return format!("{issuer} does not exist"),
            (IssuerState::NotReady { message, .. }, _) => {
                format!("{issuer} cannot sign{since}: {message}")
            }
            (IssuerState::NotAllowed, _) => {
                let namespace = certificate.metadata.namespace.as_deref();
                let namespace = namespace.unwrap_or_default();
                return format!("{issuer} does not serve namespace {namespace}");
            }
            (IssuerState::Ready(_), Some(failure)) => {
                format!("{issuer} has failed{since}: {}", failure.message)
            }
            (IssuerState::Ready(_), None) => {
                format!("{issuer} has not finished an order{since}")
            }
        };
        words.trim_end_matches('.').to_owned()
    }

    /// The same after a step: `fails` says whether it failed or can't be taken, `not_before` until when the issuer said not
    /// to be asked. `None` if there is nothing to remember.
    pub(super) fn remembered(
        &self,
        now: Timestamp,
        request: &str,
        fails: bool,
        not_before: Option<Timestamp>,
    ) -> Option<FallbackStatus> {
        // A moment ahead of us is left from a clock that was set back.
        let since = self.failing_since.map(|since| since.min(now));
        let since = since.or_else(|| fails.then_some(now));
        (since.is_some() || self.place > 0 || self.begins).then(|| FallbackStatus {
            kind: self.issuer.kind().to_owned(),
            name: self.issuer.name.clone(),
            request: request.to_owned(),
            failing_since: since.map(Time),
            not_before: not_before.map(Time),
            why: self.why.clone(),
        })
    }
}

/// Whether a failure is one that another issuer might not meet.
pub(super) fn is_the_issuers(reason: &str) -> bool {
    !NOT_THE_ISSUERS.contains(&reason)
}

/// Who signed what a Secret holds, for the status, after `turn`.
pub(super) fn signed_by(
    certificate: &Certificate,
    secret: &Observed,
    group: &Group,
    turn: &Turn,
    old: &CertificateStatus,
) -> Option<SignedBy> {
    let signer = secret.issuer(group)?;
    let told = old.signed_by.as_ref().filter(|by| name_of(by) == signer);
    let place = place_of(&certificate.spec, &signer);
    let why = match place {
        Some(0) if certificate.spec.fallback_issuer_refs.is_empty() => return None,
        Some(0) => None,
        // Dropped from the spec: it is remembered until another has signed.
        None => return told.filter(|by| by.why.is_some()).cloned(),
        Some(_) => {
            let now = turn.why.clone().filter(|_| turn.issuer == signer);
            let before = told.and_then(|by| by.why.clone());
            let unknown = || "the issuers before it could not sign".to_owned();
            Some(now.or(before).unwrap_or_else(unknown))
        }
    };
    Some(SignedBy {
        kind: signer.kind().to_owned(),
        name: signer.name,
        why,
    })
}

fn request_of(spec: &CertificateSpec) -> Option<String> {
    let request = Request::of(spec, request::VERSION).ok()?;
    Some(request.hash(request::VERSION))
}
