//! Private and public keys.

use std::fmt;

use aws_lc_rs::digest;
use der::oid::ObjectIdentifier;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::armour;
use super::asn1;
use super::facts::{Fingerprint, hex};
use super::provider::{Curve, Pair};
use crate::api::certificate::{KeyEncoding, SignatureAlgorithm};

/// PEM of a private key longer than this, in bytes, is not read.
pub const MAX_KEY_PEM_BYTES: usize = 1 << 16;

/// Kind and size of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeySpec {
    /// RSA with this many bits, 2048 to 8192.
    Rsa(u16),
    /// ECDSA on the curve with this many bits: 256, 384 or 521.
    Ecdsa(u16),
    /// Ed25519.
    Ed25519,
}

/// A private key. It has no readable `Debug`, and its memory is wiped.
pub struct PrivateKey {
    /// What signs.
    pair: Pair,
    /// Its public half.
    public: PublicKey,
    /// Kind and size.
    spec: KeySpec,
    /// How the PEM it was read from was encoded.
    read_encoding: KeyEncoding,
    /// As PKCS#8.
    pkcs8: Zeroizing<Vec<u8>>,
    /// As PKCS#1 or SEC1; `None` for a kind of key without a form of its own.
    traditional: Option<Zeroizing<Vec<u8>>>,
}

/// A public key, as SubjectPublicKeyInfo DER (RFC 5280 section 4.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(Vec<u8>);

/// Why a key cannot be made, read or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no private key in the PEM text.
    #[error("there is no private key in it")]
    Missing,
    /// The key cannot be read; the text says why and never quotes the key.
    #[error("the private key cannot be read: {0}")]
    Unreadable(String),
    /// The key is of a kind or size that is not served.
    #[error("keys of this kind are not served: {0}")]
    Unsupported(String),
    /// The crypto provider failed.
    #[error("the crypto provider failed to {0}")]
    Provider(&'static str),
}

impl PrivateKey {
    /// Makes a new key. RSA takes up to seconds: don't call it for RSA on a thread that must not block.
    ///
    /// # Errors
    /// `Unsupported` for RSA of other sizes than 2048, 3072, 4096 and 8192 bits (the provider makes no others) and for
    /// unknown curves; `Provider` when the provider fails.
    pub fn generate(spec: KeySpec) -> Result<Self, KeyError> {
        Self::of(Pair::generate(spec)?, KeyEncoding::Pkcs8)
    }

    /// Reads PKCS#8, PKCS#1 or SEC1 PEM; the first private key of the text counts, all else is skipped.
    ///
    /// # Errors
    /// `Missing` without a private key, `Unreadable` for broken, encrypted or too long PEM, `Unsupported` for other
    /// kinds of keys, such as DSA or RSA of fewer than 2048 bits.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        if pem.len() > MAX_KEY_PEM_BYTES {
            return Err(KeyError::Unreadable(format!(
                "it is longer than {MAX_KEY_PEM_BYTES} bytes"
            )));
        }
        for block in armour::blocks(pem) {
            let block = block.map_err(|problem| KeyError::Unreadable(problem.to_owned()))?;
            let contents = || {
                block
                    .contents
                    .as_deref()
                    .map_err(|problem| KeyError::Unreadable((*problem).to_owned()))
            };
            return match block.label.as_str() {
                "PRIVATE KEY" => Self::of(Pair::from_pkcs8(contents()?)?, KeyEncoding::Pkcs8),
                "RSA PRIVATE KEY" => Self::of(Pair::from_pkcs1(contents()?)?, KeyEncoding::Pkcs1),
                "EC PRIVATE KEY" => Self::of(Pair::from_sec1(contents()?)?, KeyEncoding::Pkcs1),
                "ENCRYPTED PRIVATE KEY" => Err(KeyError::Unreadable(
                    "it is encrypted; store it without a passphrase".to_owned(),
                )),
                label if label.ends_with("PRIVATE KEY") => Err(KeyError::Unsupported(format!(
                    "PEM of type {}",
                    label.escape_default()
                ))),
                _ => continue,
            };
        }
        Err(KeyError::Missing)
    }

    /// The key as PEM, ending in a line feed.
    ///
    /// `Pkcs1` means the algorithm's own form: PKCS#1 for RSA, SEC1 for ECDSA; Ed25519 has none and stays PKCS#8.
    pub fn to_pem(&self, encoding: KeyEncoding) -> Zeroizing<String> {
        let label = match (encoding, self.spec) {
            (KeyEncoding::Pkcs1, KeySpec::Rsa(_)) => "RSA PRIVATE KEY",
            (KeyEncoding::Pkcs1, KeySpec::Ecdsa(_)) => "EC PRIVATE KEY",
            (KeyEncoding::Pkcs1, KeySpec::Ed25519) | (KeyEncoding::Pkcs8, _) => "PRIVATE KEY",
        };
        armour::armour(label, self.der(encoding))
    }

    /// The same bytes as in the PEM, without its armour.
    pub fn to_der(&self, encoding: KeyEncoding) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.der(encoding).to_vec())
    }

    /// Kind and size.
    pub fn spec(&self) -> KeySpec {
        self.spec
    }

    /// How the PEM it was read from was encoded; PKCS#8 for a key just made.
    pub fn read_encoding(&self) -> KeyEncoding {
        self.read_encoding
    }

    /// Its public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The algorithm it signs with when none is asked for: the hash whose strength fits the key's.
    pub fn default_signature(&self) -> SignatureAlgorithm {
        match self.spec {
            KeySpec::Rsa(_) => SignatureAlgorithm::Sha256WithRsa,
            KeySpec::Ecdsa(384) => SignatureAlgorithm::EcdsaWithSha384,
            KeySpec::Ecdsa(521) => SignatureAlgorithm::EcdsaWithSha512,
            KeySpec::Ecdsa(_) => SignatureAlgorithm::EcdsaWithSha256,
            KeySpec::Ed25519 => SignatureAlgorithm::PureEd25519,
        }
    }

    /// Signs a message, as X.509 wants it: ECDSA signatures in DER.
    ///
    /// # Errors
    /// `Unsupported` when the algorithm is one for another kind of key.
    pub(super) fn sign(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        self.pair.sign(algorithm, message)
    }

    fn of(pair: Pair, read_encoding: KeyEncoding) -> Result<Self, KeyError> {
        let public = PublicKey(pair.public_der()?);
        let spec = public
            .spec()
            .ok_or_else(|| KeyError::Unsupported("its size is out of bounds".to_owned()))?;
        let (pkcs8, traditional) = pair.private_der()?;
        Ok(Self {
            pair,
            public,
            spec,
            read_encoding,
            pkcs8,
            traditional,
        })
    }

    fn der(&self, encoding: KeyEncoding) -> &[u8] {
        match (encoding, &self.traditional) {
            (KeyEncoding::Pkcs1, Some(traditional)) => traditional,
            (KeyEncoding::Pkcs1, None) | (KeyEncoding::Pkcs8, _) => &self.pkcs8,
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PrivateKey(..)")
    }
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo, of whatever kind of key.
    ///
    /// # Errors
    /// `Unreadable` when it is not a SubjectPublicKeyInfo.
    pub fn from_der(spki: &[u8]) -> Result<Self, KeyError> {
        asn1::Spki::read(spki)
            .map(|_| Self(spki.to_vec()))
            .ok_or_else(|| KeyError::Unreadable("it is not a SubjectPublicKeyInfo".to_owned()))
    }

    /// The SubjectPublicKeyInfo.
    pub fn as_der(&self) -> &[u8] {
        &self.0
    }

    /// Kind and size, where it is one we serve.
    pub fn spec(&self) -> Option<KeySpec> {
        let spki = asn1::Spki::read(&self.0)?;
        if spki.oid == RSA_ENCRYPTION {
            let bits = asn1::rsa_modulus_bits(spki.key)?;
            return (2048..=8192).contains(&bits).then_some(KeySpec::Rsa(bits));
        }
        if spki.oid == EC_PUBLIC_KEY {
            return Curve::of(spki.curve?).map(|curve| KeySpec::Ecdsa(curve.bits()));
        }
        (spki.oid == ED25519).then_some(KeySpec::Ed25519)
    }

    /// SHA-1 of the key's bits, which certificates use as a name for the key (RFC 5280 section 4.2.1.2, method 1).
    pub fn key_identifier(&self) -> Vec<u8> {
        // Every constructor has read it; the whole stands in for the bits all the same, rather than a panic.
        let bits = asn1::Spki::read(&self.0).map_or(self.0.as_slice(), |spki| spki.key);
        digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bits)
            .as_ref()
            .to_vec()
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    pub fn sha256(&self) -> [u8; 32] {
        Fingerprint::of(&self.0).0
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", hex(&self.sha256()[..8]))
    }
}

/// `rsaEncryption` (RFC 8017 appendix C).
pub(super) const RSA_ENCRYPTION: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-ecPublicKey` (RFC 5480 section 2.1.1).
pub(super) const EC_PUBLIC_KEY: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `id-Ed25519` (RFC 8410 section 3).
pub(super) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

#[cfg(test)]
mod tests;
