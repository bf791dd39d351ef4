//! Who signs, where a Certificate names several issuers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who signed what is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedBy {
    /// `Issuer` or `ClusterIssuer`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Why it was not `issuerRef`; absent if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whose turn it is to sign, while one of several issuers fails or has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FallbackStatus {
    /// The kind of the one that is asked: `Issuer` or `ClusterIssuer`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What it is asked for: a hash. Whatever else is asked for begins with `issuerRef` again.
    pub request: String,
    /// Since when it has been failing; absent while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Time>,
    /// Until when it said not to be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// Why it is not the turn of `issuerRef`; absent if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
