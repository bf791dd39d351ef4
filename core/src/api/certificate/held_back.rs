//! What workloads refuse, and what is kept to go back to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The certificate that workloads refuse, in whose place the one before is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldBackStatus {
    /// The refused certificate's fingerprint, as `status.fingerprint` says it.
    pub fingerprint: String,
    /// Its serial number in lower-case hexadecimal.
    pub serial_number: String,
    /// The fingerprint of the certificate that is held in its place.
    pub restored: String,
    /// The hash of what was asked for when it was refused. When something else is asked for, nothing is held back any more.
    pub request: String,
    /// Which workload refuses it, and how.
    pub message: String,
    /// When the one before was put in its place.
    pub since: Time,
}

/// The pair that may come back if workloads refuse the held one. It is kept in a Secret of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviousStatus {
    /// Its certificate's fingerprint, as `status.fingerprint` says it.
    pub fingerprint: String,
    /// Its serial number in lower-case hexadecimal.
    pub serial_number: String,
    /// Until when it may come back: a fifth of its life is left then. After that it is deleted.
    pub usable_until: Time,
}
