//! When a certificate is renewed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::DurationText;

/// When renewals may happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Renewal {
    /// `RenewBefore` renews before the end, as `renewBefore` says; `Disabled` only when the spec changes, when the Secret is lost or broken, or when asked by hand.
    pub policy: RenewalPolicy,
    /// Renewals wait until one of these is open. If none opens before the last tenth of the certificate's life, it is renewed without.
    ///
    /// Only with policy `RenewBefore`.
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
    /// When the window opens, as the five fields of cron: minute, hour, day of month, month, day of week. `0 2 * * 6` is 02:00 each Saturday.
    pub cron: String,
    /// How long the window stays open, such as `4h`.
    pub window_duration: DurationText,
    /// The time zone of `cron` by its IANA name, such as `Europe/Berlin`. Defaults to `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}
