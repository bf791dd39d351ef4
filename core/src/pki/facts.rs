//! What a certificate says.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use jiff::Timestamp;

use super::CertificateDer;
use super::asn1::CertificateFrame;
use super::key::{KeySpec, PublicKey};
use super::profile::{DistinguishedName, KeyUsage, NameConstraints, Names};
use super::{read, signature};

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
    /// Constraints that [`NameConstraints`] can't say (directory names, masks with gaps), as text.
    pub unknown_constraints: Vec<String>,
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

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 64 hexadecimal digits")]
pub struct NotAFingerprint;

impl Facts {
    /// Reads a certificate.
    ///
    /// Repeated and unreadable extensions are refused (RFC 5280 section 4.2); times beyond what [`Timestamp`] can say
    /// become its bounds.
    ///
    /// # Errors
    /// When the DER is no certificate, or one with an extension that should be understood and can't be read.
    pub fn read(der: &CertificateDer) -> Result<Self, NotACertificate> {
        read::certificate(der).map_err(NotACertificate)
    }

    /// The serial number in lower-case hexadecimal, without separators, and without the zero octet that only says that
    /// the number is positive.
    pub fn serial_hex(&self) -> String {
        match self.serial.as_slice() {
            [0, magnitude @ ..] if !magnitude.is_empty() => hex(magnitude),
            serial => hex(serial),
        }
    }

    /// Whether `self` was signed by the key of `issuer`: names match and the signature verifies.
    ///
    /// Names are compared as the octets they came in. Signatures over MD5 or SHA-1 don't count.
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        let (Some(below), Some(above)) = (self.frame(), issuer.frame()) else {
            return false;
        };
        below.issuer == above.subject && signature::holds(&below.signed, above.public_key)
    }

    /// Whether it is signed by its own key.
    ///
    /// Old roots are signed in ways that nobody verifies any more, such as over SHA-1, and are trusted for themselves,
    /// not for their signature. Of those, the names and key identifiers decide.
    pub fn is_self_signed(&self) -> bool {
        let Some(frame) = self.frame() else {
            return false;
        };
        if frame.issuer != frame.subject {
            return false;
        }
        if signature::is_served(frame.signed.algorithm) {
            return signature::holds(&frame.signed, frame.public_key);
        }
        self.authority_key_id.is_none() || self.authority_key_id == self.subject_key_id
    }

    /// Whether subject and issuer are the same name (RFC 5280 section 6.1 calls it self-issued).
    pub(super) fn is_self_issued(&self) -> bool {
        self.frame()
            .is_some_and(|frame| frame.issuer == frame.subject)
    }

    /// The subject's name, as it is encoded.
    pub(super) fn subject_der(&self) -> Option<&[u8]> {
        self.frame().map(|frame| frame.subject)
    }

    /// The issuer's name, as it is encoded.
    pub(super) fn issuer_der(&self) -> Option<&[u8]> {
        self.frame().map(|frame| frame.issuer)
    }

    fn frame(&self) -> Option<CertificateFrame<'_>> {
        CertificateFrame::read(&self.der)
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Facts")
            .field("fingerprint", &self.fingerprint)
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .field("names", &self.names)
            .field("is_ca", &self.is_ca)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl Fingerprint {
    /// The fingerprint of a DER.
    pub fn of(der: &[u8]) -> Self {
        let mut octets = [0; 32];
        octets.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
        Self(octets)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        if text.len() != 64 || !text.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return Err(NotAFingerprint);
        }
        let mut octets = [0; 32];
        for (octet, digits) in octets.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = str::from_utf8(digits).map_err(|_| NotAFingerprint)?;
            *octet = u8::from_str_radix(digits, 16).map_err(|_| NotAFingerprint)?;
        }
        Ok(Self(octets))
    }
}

/// Octets in lower-case hexadecimal.
pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests;
