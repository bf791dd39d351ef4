//! What is stored in the Secret, and how long.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Labels and annotations of the Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretTemplate {
    /// Annotations of the Secret. Those of our own API group are kept for us.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels of the Secret. Those of our own API group are kept for us.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A further form the key and certificate are stored in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdditionalOutputFormat {
    /// `DER` stores the private key in DER as `key.der`; `CombinedPEM` stores the private key followed by the chain as `tls-combined.pem`.
    #[serde(rename = "type")]
    pub type_: OutputFormat,
}

/// A further form of key and certificate.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum OutputFormat {
    /// `key.der`: the private key in DER.
    #[serde(rename = "DER")]
    Der,
    /// `tls-combined.pem`: the private key, then the chain.
    #[serde(rename = "CombinedPEM")]
    CombinedPem,
}

/// What becomes of the Secret when the Certificate is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecretDeletionPolicy {
    /// It stays.
    #[default]
    Retain,
    /// It goes too.
    Delete,
}
