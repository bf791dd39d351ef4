//! Making certificates.

use jiff::Timestamp;

use super::ca::Authority;
use super::key::{KeyError, PrivateKey};
use super::profile::Profile;
use super::{CertificateDer, PublicKey};

/// What an issuer adds to a certificate on its own account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locations {
    /// Where the revocation list is found.
    pub crl_distribution_points: Vec<String>,
    /// OCSP responders.
    pub ocsp_servers: Vec<String>,
    /// Where the issuer's certificate is found.
    pub issuing_certificate_urls: Vec<String>,
}

/// Why a certificate was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key failed.
    #[error(transparent)]
    Key(KeyError),
    /// What is asked for can't be written into a certificate, or the CA may not sign it.
    #[error("{0}")]
    Refused(String),
}

/// Signs a certificate with its own key. Valid from `now`, in whole seconds, for the profile's lifetime.
pub fn self_signed(_profile: &Profile, _locations: &Locations, _key: &PrivateKey, _now: Timestamp) -> Result<CertificateDer, SignError> { todo!() }

/// Signs a certificate by a CA. It never outlives the CA.
///
/// # Errors
/// `Refused` when the CA's name or path length constraints forbid it.
pub fn by_authority(_profile: &Profile, _locations: &Locations, _public_key: &PublicKey, _authority: &Authority, _now: Timestamp) -> Result<CertificateDer, SignError> { todo!() }
