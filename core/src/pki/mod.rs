//! Keys, requests and certificates.
//!
//! Nothing here knows Kubernetes. What a certificate shall say comes in as a [`Profile`], what one does say comes
//! out as [`Facts`]. Certificates are made in [`sign`], by a key of their own or by an [`Authority`]; requests in
//! [`csr`]; [`chain`] puts certificates together and tells what may be stored, [`faults`] what clients have against a chain.
//!
//! Certificates of others are hostile input: sizes and counts are bounded, and whatever can't be read is an error.

mod armour;
mod asn1;
pub mod ca;
pub mod chain;
mod constraints;
pub mod csr;
mod encode;
pub mod facts;
pub mod faults;
pub mod jose;
pub mod key;
mod key_der;
pub mod profile;
mod provider;
mod read;
pub mod sign;
mod signature;
#[cfg(test)]
pub(crate) mod testing;
pub mod text;

pub use ca::{Authority, CaProblem};
pub use facts::Facts;
pub use key::{KeySpec, PrivateKey, PublicKey};
pub use profile::Profile;

/// The DER encoding of one X.509 certificate (RFC 5280).
pub type CertificateDer = rustls_pki_types::CertificateDer<'static>;
