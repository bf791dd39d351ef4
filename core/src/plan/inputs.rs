//! What planning is given.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::fallback::Fallback;
use super::held_back::Stays;
use super::marks::{RENEW, REVOKE};
use super::observed::Observed;
use super::request::IssuerName;
use crate::api::certificate::{OrderStatus, PreviousStatus, RevocationStatus, SuggestedWindow};
use crate::api::{Certificate, CertificateStatus, Group};
use crate::pki::{Authority, Facts};

/// Everything a plan depends on, beside the time.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// Our API group.
    pub group: &'a Group,
    /// The Certificate; its status is what we remember of it.
    pub certificate: &'a Certificate,
    /// The Secret it names, if there is one.
    pub secret: Option<&'a Observed>,
    /// The Certificate that owns this Secret; `None` if nobody claims it.
    pub owner: Option<&'a str>,
    /// Who is asked to sign.
    pub issuer: IssuerState<'a>,
    /// Whose turn it is, where the spec names fallbacks.
    pub fallback: Option<Fallback<'a>>,
    /// Whether Secrets of this issuer still hold older certificates than its present CA makes. Only counts while this
    /// Secret keeps an older root.
    pub old_leaves: OldLeaves,
    /// What was heard from the CA in this very step, and is not in the status yet.
    pub heard: &'a Heard,
    /// The operator's settings.
    pub settings: &'a Settings,
}

/// What was heard from the CA in this very step, and is not in the status yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// When it suggests to renew the held certificate.
    pub suggestion: Suggestion,
    /// What became of a revocation that was asked for.
    pub revocation: Option<RevocationStatus>,
    /// What an unfinished issuance holds outside the cluster.
    pub order: HeldOrder,
    /// Why a pair that is refused stays, if it was just tried to put the one before in its place.
    pub stays: Option<Stays>,
}

/// What an unfinished issuance holds outside the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum HeldOrder {
    /// What the status tells.
    #[default]
    AsTold,
    /// This, which the status could not be told yet.
    NotTold(OrderStatus),
    /// Nothing any more: its certificate is stored.
    Ended,
}

impl HeldOrder {
    /// What is held for this Certificate.
    pub fn of<'a>(&'a self, certificate: &'a Certificate) -> Option<&'a OrderStatus> {
        match self {
            Self::AsTold => certificate.status.as_ref()?.order.as_ref(),
            Self::NotTold(order) => Some(order),
            Self::Ended => None,
        }
    }
}

/// When a CA suggests to renew the held certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Suggestion {
    /// It was not asked just now: what the status tells of this certificate holds.
    #[default]
    AsTold,
    /// It suggests nothing, or is not to be listened to.
    Nothing,
    /// It said so just now.
    Window(SuggestedWindow),
}

/// Whether Secrets of an issuer still hold certificates of a CA that was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldLeaves {
    /// Some do, or it is not known yet.
    Held,
    /// None does, and none did at any look since then.
    GoneSince(Timestamp),
}

/// Settings of the operator that planning depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Over how long leaves follow a replaced CA, and how long its old root stays in `ca.crt` at least.
    pub ca_overlap: SignedDuration,
    /// Renewals by hand happen at most once in this time.
    pub renew_throttle: SignedDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ca_overlap: SignedDuration::from_hours(1),
            renew_throttle: SignedDuration::from_mins(5),
        }
    }
}

/// The issuer a Certificate names, as it is now.
#[derive(Clone, Copy)]
pub enum IssuerState<'a> {
    /// There is none of this name.
    Missing,
    /// It can't sign.
    NotReady {
        /// One word.
        reason: &'static str,
        /// What is wrong and what to do.
        message: &'a str,
    },
    /// It doesn't serve the Certificate's namespace.
    NotAllowed,
    /// It can sign.
    Ready(&'a ReadyIssuer),
}

/// An issuer that can sign.
#[derive(Clone, Debug)]
pub struct ReadyIssuer {
    /// Changes whenever the issuer's spec or Secret does.
    pub identity: String,
    /// How it signs.
    pub signer: Signer,
}

/// How an issuer signs.
#[derive(Clone, Debug)]
pub enum Signer {
    /// Each certificate by its own key.
    SelfSigned,
    /// By a CA.
    Authority(Arc<Authority>),
    /// By somebody outside the cluster, who chooses what of a request goes into a certificate.
    Outside,
}

impl<'a> Inputs<'a> {
    pub(super) fn name(&self) -> &'a str {
        self.certificate
            .metadata
            .name
            .as_deref()
            .unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &'a str {
        self.certificate
            .metadata
            .namespace
            .as_deref()
            .unwrap_or_default()
    }

    pub(super) fn status(&self) -> Option<&'a CertificateStatus> {
        self.certificate.status.as_ref()
    }

    /// Whether the status speaks of the present spec: if so, what is off about the Secret was not caused by a new spec.
    pub(super) fn generation_observed(&self) -> bool {
        self.status().is_some_and(|status| {
            status.observed_generation == self.certificate.metadata.generation
        })
    }

    /// The renewal by hand that the Certificate asks for, answered or not.
    pub(super) fn renew_request(&self) -> Option<&'a String> {
        self.annotation(RENEW)
    }

    /// The revocation that the Certificate asks for, answered or not.
    pub(super) fn revoke_request(&self) -> Option<&'a String> {
        self.annotation(REVOKE)
    }

    fn annotation(&self, name: &str) -> Option<&'a String> {
        let annotations = self.certificate.metadata.annotations.as_ref()?;
        annotations
            .get(&self.group.key(name))
            .filter(|value| !value.is_empty())
    }

    /// What an unfinished issuance holds outside the cluster.
    pub(super) fn order(&self) -> Option<&'a OrderStatus> {
        self.heard.order.of(self.certificate)
    }

    /// The issuer that signed what is held.
    pub(super) fn holder(&self) -> IssuerState<'a> {
        let fallback = self.fallback.as_ref();
        fallback.map_or(self.issuer, |fallback| fallback.holder_state)
    }

    /// Its name, as far as it is known.
    pub(super) fn holder_name(&self) -> IssuerName {
        match &self.fallback {
            Some(fallback) => fallback.holder.clone(),
            None => IssuerName::of(&self.certificate.spec.issuer_ref),
        }
    }

    /// Whether that is another than the spec names first.
    pub(super) fn is_held_by_a_fallback(&self) -> bool {
        self.holder_name() != IssuerName::of(&self.certificate.spec.issuer_ref)
    }

    /// Who is asked to sign.
    pub(super) fn asked_name(&self) -> IssuerName {
        match &self.fallback {
            Some(fallback) => fallback.turn.issuer.clone(),
            None => IssuerName::of(&self.certificate.spec.issuer_ref),
        }
    }

    /// Whether what is held was issued outside the cluster, as far as is known: by what its issuer is, or else by what the
    /// Secret says.
    pub(super) fn is_from_outside(&self) -> bool {
        self.is_outside(self.holder())
    }

    /// Whether it is somebody outside who is asked.
    pub(super) fn asks_outside(&self) -> bool {
        self.is_outside(self.issuer)
    }

    fn is_outside(&self, issuer: IssuerState<'_>) -> bool {
        match issuer {
            IssuerState::Ready(issuer) => matches!(issuer.signer, Signer::Outside),
            IssuerState::Missing | IssuerState::NotReady { .. } | IssuerState::NotAllowed => {
                self.secret.is_some_and(|secret| secret.marks.outside)
            }
        }
    }

    /// When the CA suggests to renew this certificate. What the status tells is of the one it names.
    pub(super) fn suggestion(&self, held: &Facts) -> Option<&'a SuggestedWindow> {
        match &self.heard.suggestion {
            Suggestion::Nothing => None,
            Suggestion::Window(window) => Some(window),
            Suggestion::AsTold => {
                let status = self.status()?;
                let same = status.serial_number.as_deref() == Some(held.serial_hex().as_str());
                let window = status.renewal_window.as_ref();
                window.filter(|_| same && self.is_from_outside())
            }
        }
    }

    /// What became of the last revocation that was asked for.
    pub(super) fn revocation(&self) -> Option<&'a RevocationStatus> {
        let told = self.status().and_then(|status| status.revocation.as_ref());
        self.heard.revocation.as_ref().or(told)
    }

    /// What is kept to go back to, if that is wanted and it may still come back.
    pub fn previous(&self, now: Timestamp) -> Option<&'a PreviousStatus> {
        let previous = self.secret?.marks.previous.as_ref();
        let wanted = self.certificate.spec.rolls_back();
        previous.filter(|previous| wanted && now < previous.usable_until.0)
    }

    /// The CA that is asked, if it is one.
    pub(super) fn authority(&self) -> Option<&'a Authority> {
        match self.issuer {
            IssuerState::Ready(ReadyIssuer {
                signer: Signer::Authority(authority),
                ..
            }) => Some(authority),
            _ => None,
        }
    }
}
