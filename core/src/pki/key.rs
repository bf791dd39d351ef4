//! Private and public keys.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::api::certificate::{KeyEncoding, SignatureAlgorithm};

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
    // pki: choose the representation
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
    pub fn generate(_spec: KeySpec) -> Result<Self, KeyError> { todo!() }
    /// Reads PKCS#8, PKCS#1 or SEC1 PEM; the first private key of the text counts.
    pub fn from_pem(_pem: &[u8]) -> Result<Self, KeyError> { todo!() }
    /// The key as PEM, ending in a line feed.
    pub fn to_pem(&self, _encoding: KeyEncoding) -> Zeroizing<String> { todo!() }
    /// The same bytes as in the PEM, without its armour.
    pub fn to_der(&self, _encoding: KeyEncoding) -> Zeroizing<Vec<u8>> { todo!() }
    /// Kind and size.
    pub fn spec(&self) -> KeySpec { todo!() }
    /// How the PEM it was read from was encoded.
    pub fn read_encoding(&self) -> KeyEncoding { todo!() }
    /// Its public half.
    pub fn public(&self) -> &PublicKey { todo!() }
    /// The algorithm it signs with when none is asked for.
    pub fn default_signature(&self) -> SignatureAlgorithm { todo!() }
}
