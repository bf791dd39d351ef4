//! Chains of certificates, and their PEM.

use super::{CertificateDer, Facts};

/// PEM longer than this, in bytes, is not read.
pub const MAX_PEM_BYTES: usize = 1 << 20;
/// A bundle of more certificates than this is not read.
pub const MAX_CERTIFICATES: usize = 100;

/// Why a bundle of certificates cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The PEM has no certificate.
    #[error("there is no certificate in it")]
    Empty,
    /// There is more than we read.
    #[error("it is too large: {0}")]
    TooLarge(String),
    /// A block cannot be read.
    #[error("certificate {position} cannot be read: {problem}")]
    Unreadable {
        /// Which one, from 1.
        position: usize,
        /// Why.
        problem: String,
    },
}

/// Reads the certificates of a PEM text in their order; text between blocks and blocks of other kinds are skipped.
pub fn read_pem(_pem: &[u8]) -> Result<Vec<Facts>, BundleError> { todo!() }

/// Certificates as PEM, each block ending in a line feed.
pub fn to_pem<'a>(_certificates: impl IntoIterator<Item = &'a CertificateDer>) -> String { todo!() }

/// The chain from `leaf` upwards, each signed by the next, as far as `pool` reaches: leaf first, a self-signed top included.
pub fn build(_leaf: &Facts, _pool: &[Facts]) -> Vec<Facts> { todo!() }
