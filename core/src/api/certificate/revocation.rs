//! A revocation that was asked for.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of the revocation that the `revoke` annotation last asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevocationStatus {
    /// The annotation's value, of which the first 256 characters; each new one acts once.
    pub request: String,
    /// `Revoked`; `Refused`, if it will not be tried again; or `Failing`, if it will.
    pub state: RevocationState,
    /// The serial number of the certificate that was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// What happened, and what to do.
    pub message: String,
    /// When it did.
    pub time: Time,
    /// How many tries have failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Time>,
}

/// How a revocation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RevocationState {
    /// The CA has revoked the certificate.
    Revoked,
    /// It will not be: what was asked for makes no sense, or the CA refused.
    Refused,
    /// It could not be asked for yet.
    Failing,
}
