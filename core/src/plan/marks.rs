//! What we write on a Secret to know it again.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::intent::{ISSUER_KIND, ISSUER_NAME};
use super::request::IssuerName;
use crate::api::Group;
use crate::api::certificate::{HeldBackStatus, PreviousStatus};

/// The label on each Secret we manage; our watch of Secrets selects by it.
pub const MANAGED: &str = "managed";
/// The annotation that names the Certificate a Secret belongs to.
pub const CERTIFICATE_NAME: &str = "certificate-name";
/// The annotation on a Certificate that asks for a renewal by hand; each new value acts once.
pub const RENEW: &str = "renew";

/// The annotation on a Certificate that asks for the revocation of what it holds: a serial number and a reason.
pub const REVOKE: &str = "revoke";

/// The annotation on an issuer that asks for another key of its ACME account; each new value acts once.
pub const ROLL_ACCOUNT_KEY: &str = "roll-account-key";

const REQUEST: &str = "request";
const ISSUED_AT: &str = "issued-at";
const REVISION: &str = "revision";
const RENEW_REQUEST: &str = "renew-request";
const CA_REPLACED_AT: &str = "ca-replaced-at";
const SIGNER: &str = "signer";
const ACCOUNT: &str = "acme-account";
const SUGGESTED: &str = "suggested";
const HELD_BACK: &str = "held-back";
const PREVIOUS: &str = "previous";
/// The signer of what was issued outside the cluster.
const OUTSIDE: &str = "outside";

/// Our annotations on a Secret that say how its certificate came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The Certificate it belongs to.
    pub certificate_name: Option<String>,
    /// The hash of the request it was issued for.
    pub request: Option<String>,
    /// When it was issued.
    pub issued_at: Option<Timestamp>,
    /// How many certificates were issued for this Secret.
    pub revision: Option<i64>,
    /// The renewal by hand that it answers.
    pub renew_request: Option<String>,
    /// When the issuer's key was found replaced; roots are kept side by side for a while from then on.
    pub ca_replaced_at: Option<Timestamp>,
    /// Whether it was issued outside the cluster, by somebody who chooses what of a request goes into a certificate.
    pub outside: bool,
    /// The URL of the account with an ACME CA that ordered it.
    pub account: Option<String>,
    /// Whether it was issued because the CA suggested to renew the one before.
    pub suggested: bool,
    /// What workloads refuse, where this is the certificate before, put back in its place. On the Secret it is written with the
    /// pair itself: nobody can stop in between.
    pub held_back: Option<HeldBackStatus>,
    /// The pair before, where it is kept to go back to: what else is found in its place does not come back.
    pub previous: Option<PreviousStatus>,
    /// Who signed, where that is a fallback. It is written over the one that the spec names first, and read back by
    /// [`Observed::issuer`](super::observed::Observed::issuer).
    pub signer: Option<IssuerName>,
}

impl Marks {
    /// Reads our marks; one that can't be read counts as absent.
    pub fn read(annotations: &BTreeMap<String, String>, group: &Group) -> Self {
        let text = |name: &str| {
            annotations
                .get(&group.key(name))
                .filter(|text| !text.is_empty())
                .cloned()
        };
        let time = |name: &str| text(name).and_then(|text| text.parse().ok());
        Self {
            certificate_name: text(CERTIFICATE_NAME),
            request: text(REQUEST),
            issued_at: time(ISSUED_AT),
            revision: text(REVISION).and_then(|text| text.parse().ok()),
            renew_request: text(RENEW_REQUEST),
            ca_replaced_at: time(CA_REPLACED_AT),
            outside: text(SIGNER).as_deref() == Some(OUTSIDE),
            account: text(ACCOUNT),
            suggested: text(SUGGESTED).as_deref() == Some("true"),
            held_back: text(HELD_BACK).and_then(|text| serde_json::from_str(&text).ok()),
            previous: text(PREVIOUS).and_then(|text| serde_json::from_str(&text).ok()),
            signer: None,
        }
    }

    /// Writes the marks that are set.
    pub fn write(&self, annotations: &mut BTreeMap<String, String>, group: &Group) {
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                annotations.insert(group.key(name), value);
            }
        };
        put(CERTIFICATE_NAME, self.certificate_name.clone());
        put(REQUEST, self.request.clone());
        put(ISSUED_AT, self.issued_at.map(|at| at.to_string()));
        put(REVISION, self.revision.map(|revision| revision.to_string()));
        put(RENEW_REQUEST, self.renew_request.clone());
        put(CA_REPLACED_AT, self.ca_replaced_at.map(|at| at.to_string()));
        put(SIGNER, self.outside.then(|| OUTSIDE.to_owned()));
        put(ACCOUNT, self.account.clone());
        put(SUGGESTED, self.suggested.then(|| "true".to_owned()));
        let held_back = self.held_back.as_ref();
        put(
            HELD_BACK,
            held_back.and_then(|told| serde_json::to_string(told).ok()),
        );
        let previous = self.previous.as_ref();
        put(
            PREVIOUS,
            previous.and_then(|told| serde_json::to_string(told).ok()),
        );
        if let Some(signer) = &self.signer {
            put(ISSUER_NAME, Some(signer.name.clone()));
            put(ISSUER_KIND, Some(signer.kind().to_owned()));
        }
    }
}
