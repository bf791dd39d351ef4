//! What a certificate says.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::CertificateDer;
use super::key::{KeySpec, PublicKey};
use super::profile::{DistinguishedName, KeyUsage, NameConstraints, Names};

/// What a certificate says, read from its DER.
#[derive(Clone, PartialEq, Eq)]
pub struct Facts {
    /// The certificate itself.
    pub der: CertificateDer,
    /// SHA-256 of the DER.
    pub fingerprint: Fingerprint,
    /// The serial number's content octets (RFC 5280 section 4.1.2.2).
    pub serial: Vec<u8>,
    /// Who it is about.
    pub subject: DistinguishedName,
    /// Who signed, by name.
    pub issuer: DistinguishedName,
    /// Its subject alternative names.
    pub names: Names,
    /// Alternative names that [`Names`] can't say (directory names, registered ids, other encodings), as text.
    pub unknown_names: Vec<String>,
    /// Bits of the key usage extension; `None` without the extension.
    pub key_usages: Option<BTreeSet<KeyUsage>>,
    /// Extended key usages, as dotted object identifiers.
    pub extended_key_usages: BTreeSet<String>,
    /// Whether basic constraints say that it is a CA.
    pub is_ca: bool,
    /// How many CAs may follow below it.
    pub path_length: Option<u8>,
    /// Which names it may sign for.
    pub name_constraints: Option<NameConstraints>,
    /// Its public key.
    pub public_key: PublicKey,
    /// The kind of that key, where it is one we serve.
    pub key: Option<KeySpec>,
    /// How it was signed, in words such as `ecdsa-with-SHA256`.
    pub signature_algorithm: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid, that second included.
    pub not_after: Timestamp,
    /// The subject key identifier.
    pub subject_key_id: Option<Vec<u8>>,
    /// The authority key identifier's key identifier.
    pub authority_key_id: Option<Vec<u8>>,
    /// Where its revocation list is found.
    pub crl_distribution_points: Vec<String>,
    /// OCSP responders.
    pub ocsp_servers: Vec<String>,
    /// Where its issuer's certificate is found.
    pub issuing_certificate_urls: Vec<String>,
}

/// SHA-256 of a certificate's DER. Shown in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// A text or a DER that is no certificate; says where reading stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an X.509 certificate: {0}")]
pub struct NotACertificate(pub String);

impl Facts {
    /// Reads a certificate.
    pub fn read(_der: &CertificateDer) -> Result<Self, NotACertificate> { todo!() }
    /// The serial number in lower-case hexadecimal, without separators.
    pub fn serial_hex(&self) -> String { todo!() }
    /// Whether `self` was signed by the key of `issuer`: names match and the signature verifies.
    pub fn is_signed_by(&self, _issuer: &Self) -> bool { todo!() }
    /// Whether it is signed by its own key.
    pub fn is_self_signed(&self) -> bool { todo!() }
}
