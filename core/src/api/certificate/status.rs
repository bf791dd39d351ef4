//! What is held.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    FallbackStatus, HeldBackStatus, OrderStatus, PreviousStatus, RevocationStatus, RolloutStatus,
    SignedBy,
};
use crate::api::Condition;

/// What is held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// The `metadata.generation` this status speaks of; -1 until the operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready` is True while the Secret holds a valid certificate that meets the spec. `Issuing` says whether a new one is under way and why. Others appear where they apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// From when the held certificate is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// Until when the held certificate is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// When it will be renewed; absent if it won't be by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_time: Option<Time>,
    /// How many certificates have been issued; each issuance adds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// The held certificate's serial number in lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// SHA-256 of the held certificate's DER in lower-case hexadecimal, as `openssl x509 -fingerprint -sha256` shows it without the colons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The last try that failed; goes when one succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
    /// When what others did to the Secret was last undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_restored: Option<Time>,
    /// The value of the `renew` annotation that was last acted on; each new value of the annotation renews once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_renew_request: Option<String>,
    /// What an unfinished issuance holds outside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderStatus>,
    /// Who signed what is held, where the spec names fallbacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<SignedBy>,
    /// Whose turn it is to sign, while one of several issuers fails or has failed; goes when one of them signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<FallbackStatus>,
    /// When the CA suggests to renew the held certificate, if it says so (RFC 9773).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_window: Option<SuggestedWindow>,
    /// What became of the revocation that the `revoke` annotation last asked for; each new value of the annotation acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevocationStatus>,
    /// What workloads refuse, while the certificate before is held in its place (`spec.rollout.rollBack`). It goes when something else is asked for, a renewal is asked for by hand, or a fifth of the held certificate's life is left: then a new one is issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<HeldBackStatus>,
    /// What is kept to go back to (`spec.rollout.rollBack`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousStatus>,
    /// How far the held certificate has been carried into the workloads that read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
}

/// The last try that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastFailure {
    /// One word to search for.
    pub reason: String,
    /// What went wrong and what to do.
    pub message: String,
    /// How many tries in a row have failed.
    pub attempts: i32,
    /// When the last one did.
    pub time: Time,
    /// When the next one may be made. A changed request, issuer or issuer Secret is tried at once.
    pub next_try: Time,
    /// What was asked for, of whom: a hash.
    pub attempted: String,
    /// The value of the `renew` annotation the try was made for, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_request: Option<String>,
}

/// When a CA suggests to renew (RFC 9773). The moment is chosen once, inside; a window in the past means at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SuggestedWindow {
    /// From when.
    pub start: Time,
    /// Until when.
    pub end: Time,
    /// A page of the CA's that says why, if it has a reason.
    #[serde(
        default,
        rename = "explanationURL",
        skip_serializing_if = "Option::is_none"
    )]
    pub explanation_url: Option<String>,
    /// When the CA was first heard to say so. It is asked more often than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Time>,
}
