//! Keys, requests and certificates.
//!
//! Nothing here knows Kubernetes. What a certificate shall say comes in as a [`Profile`], what one does say comes
//! out as [`Facts`].

pub mod ca;
pub mod chain;
pub mod csr;
pub mod facts;
pub mod key;
pub mod profile;
pub mod sign;

pub use ca::{Authority, CaProblem};
pub use facts::Facts;
pub use key::{KeySpec, PrivateKey, PublicKey};
pub use profile::Profile;

/// The DER encoding of one X.509 certificate (RFC 5280).
pub type CertificateDer = rustls_pki_types::CertificateDer<'static>;
