//! When to renew.

use jiff::{SignedDuration, Timestamp};

use super::InvalidSpec;
use crate::api::CertificateSpec;

/// What a spec says of renewals.
#[derive(Clone, Debug, PartialEq)]
pub struct RenewalRule {
    // fields: chosen with the implementation
}

/// When a certificate is to be renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// When; `None` if it is never renewed by itself.
    pub at: Option<Timestamp>,
    /// Why it is not when the spec says, for the user to read.
    pub note: Option<RenewalNote>,
}

/// Why a renewal is not when the spec says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenewalNote {
    /// `renewBefore` is more than nine tenths of the certificate's actual life: one third is taken.
    RenewBeforeTooLong {
        /// What the spec says.
        asked: SignedDuration,
        /// How long the certificate really lives.
        lifetime: SignedDuration,
    },
    /// No window opens before the last tenth of its life.
    NoWindowInTime,
}

impl RenewalRule {
    /// What `spec` says of renewals.
    ///
    /// # Errors
    /// For a window whose cron line or time zone can't be read.
    pub fn of(_spec: &CertificateSpec) -> Result<Self, InvalidSpec> { todo!() }

    /// When a certificate with these dates is renewed. `spread` in [0, 1) is stable for the certificate: see [`spread`].
    pub fn renewal(&self, _not_before: Timestamp, _not_after: Timestamp, _spread: f64) -> Renewal { todo!() }
}

/// A number in [0, 1) that is always the same for the same certificate, and evenly spread over many.
pub fn spread(_namespace: &str, _name: &str, _serial: &[u8]) -> f64 { todo!() }
