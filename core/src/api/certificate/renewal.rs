//! When a certificate is renewed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::DurationText;

/// When renewals may happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Renewal {
    /// Whether the certificate is renewed by itself.
    pub policy: RenewalPolicy,
    /// Renewals wait for one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<RenewalWindow>,
}

/// Whether the certificate is renewed by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RenewalPolicy {
    /// Renewed before its end.
    #[default]
    RenewBefore,
    /// Only renewed when its spec changes or when asked by hand.
    Disabled,
}

/// A recurring span of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewalWindow {
    /// When it opens, as five cron fields.
    pub cron: String,
    /// How long it stays open.
    pub window_duration: DurationText,
    /// The time zone of `cron`, by its IANA name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}
