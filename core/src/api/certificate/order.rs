//! What an unfinished issuance holds outside the cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an unfinished issuance holds outside the cluster. It is taken up again from here, by any replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderStatus {
    /// What it is for, and of whom it was asked: a hash.
    pub attempted: String,
    /// The order's URL; absent until it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When it was begun.
    pub started_at: Time,
    /// What is shown to the CA, at most one hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub challenges: Vec<PresentedChallenge>,
    /// When the CA said to come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_again: Option<Time>,
    /// What is waited for before the CA is told to look, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

/// Something that is shown to the CA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PresentedChallenge {
    /// How, such as `http-01`.
    pub kind: String,
    /// For which host name, without `*.`, or IP address.
    pub identifier: String,
    /// What the CA asks for. The answer is made from it and the account's key.
    pub token: String,
    /// The URL of what is proven with it.
    pub authorization_url: String,
    /// Since when it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presented_at: Option<Time>,
    /// Whether the CA was told to look.
    #[serde(default)]
    pub accepted: bool,
}
