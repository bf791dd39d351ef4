//! A CA as it stands in a Secret.

use jiff::Timestamp;

use super::chain::BundleError;
use super::key::{KeyError, PrivateKey};
use super::Facts;

/// A CA that can sign: its certificate, its key and what is known of the chain above it.
pub struct Authority {
    /// The CA's own certificate, then each certificate above it, the topmost known last.
    pub chain: Vec<Facts>,
    /// The CA's key.
    pub(super) key: PrivateKey,
}

/// Why a CA cannot sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaProblem {
    /// `tls.crt` can't be read.
    #[error("tls.crt: {0}")]
    Certificate(BundleError),
    /// `tls.key` can't be read.
    #[error("tls.key: {0}")]
    Key(KeyError),
    /// The key belongs to another certificate.
    #[error("tls.key is not the key of the first certificate in tls.crt")]
    KeyDoesNotFit,
    /// The certificate is not one of a CA.
    #[error("the first certificate in tls.crt is not a CA: {0}")]
    NotACa(&'static str),
    /// The CA's time is over.
    #[error("the CA expired at {0}")]
    Expired(Timestamp),
    /// The CA's time has not come.
    #[error("the CA is not valid before {0}")]
    NotYetValid(Timestamp),
}

impl Authority {
    /// Reads a CA from a Secret's `tls.crt`, `tls.key` and, where present, `ca.crt` (more of the chain above).
    pub fn read(_tls_crt: &[u8], _tls_key: &[u8], _ca_crt: Option<&[u8]>) -> Result<Self, CaProblem> { todo!() }
    /// The CA's own certificate.
    pub fn certificate(&self) -> &Facts { &self.chain[0] }
    /// Whether it may sign now.
    pub fn check(&self, _now: Timestamp) -> Result<(), CaProblem> { todo!() }
    /// What goes into `tls.crt` after the leaf: the CA and what is above it, without a self-signed top.
    pub fn intermediates(&self) -> &[Facts] { todo!() }
    /// What goes into `ca.crt`: the topmost certificate known.
    pub fn top(&self) -> &Facts { todo!() }
}
