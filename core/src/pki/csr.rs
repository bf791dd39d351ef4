//! Certificate signing requests (PKCS#10, RFC 2986).

use super::key::{KeyError, PrivateKey, PublicKey};
use super::profile::Profile;

/// A signed request for a certificate, in DER. It never holds the private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr(pub Vec<u8>);

impl Csr {
    /// Asks for a certificate of this profile for this key.
    ///
    /// # Errors
    /// When the key can't sign with the profile's signature algorithm.
    pub fn new(_profile: &Profile, _key: &PrivateKey) -> Result<Self, KeyError> { todo!() }
    /// The public key, once the request's own signature has been verified.
    pub fn verified_public_key(&self) -> Result<PublicKey, KeyError> { todo!() }
}
