//! Keys and signatures in the forms that JOSE has them (RFC 7518, RFC 8037).

use super::asn1::{self, Reader, Spki};
use super::key::{EC_PUBLIC_KEY, ED25519, KeyError, PrivateKey, PublicKey, RSA_ENCRYPTION};
use super::provider::Curve;
use crate::api::certificate::SignatureAlgorithm;

/// The numbers of a public key, big-endian (RFC 7518 section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicNumbers {
    /// A point on a curve; its coordinates are as long as the curve's order.
    Ec {
        /// `P-256`, `P-384` or `P-521`.
        curve: &'static str,
        /// The first coordinate.
        x: Vec<u8>,
        /// The second.
        y: Vec<u8>,
    },
    /// An RSA key; without leading zeros.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The public exponent.
        e: Vec<u8>,
    },
    /// An Ed25519 key.
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// Its numbers.
    ///
    /// # Errors
    /// `Unsupported` for a kind of key that is not served.
    pub fn numbers(&self) -> Result<PublicNumbers, KeyError> {
        self.read_numbers()
            .ok_or_else(|| KeyError::Unsupported("its kind has no form in JOSE here".to_owned()))
    }

    fn read_numbers(&self) -> Option<PublicNumbers> {
        let spki = Spki::read(self.as_der())?;
        if spki.oid == RSA_ENCRYPTION {
            let mut fields = Reader::inside(spki.key, asn1::SEQUENCE)?;
            let mut number = || fields.expect(asn1::INTEGER).map(without_leading_zeros);
            return Some(PublicNumbers::Rsa {
                n: number()?,
                e: number()?,
            });
        }
        if spki.oid == EC_PUBLIC_KEY {
            let curve = Curve::of(spki.curve?)?;
            // An uncompressed point (SEC 1 section 2.3.3): what is compressed, no CA wants.
            let [4, point @ ..] = spki.key else {
                return None;
            };
            let (x, y) = point.split_at_checked(octets(curve))?;
            return (y.len() == x.len()).then(|| PublicNumbers::Ec {
                curve: match curve {
                    Curve::P256 => "P-256",
                    Curve::P384 => "P-384",
                    Curve::P521 => "P-521",
                },
                x: x.to_vec(),
                y: y.to_vec(),
            });
        }
        (spki.oid == ED25519).then(|| PublicNumbers::Ed25519(spki.key.to_vec()))
    }
}

impl PrivateKey {
    /// Signs a message, as JOSE wants it: ECDSA signatures as two numbers of the curve's length (RFC 7518 section 3.4).
    ///
    /// # Errors
    /// `Unsupported` when the algorithm is one for another kind of key.
    pub(crate) fn sign_plainly(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        let signature = self.sign(algorithm, message)?;
        let curve = Spki::read(self.public().as_der()).and_then(|spki| Curve::of(spki.curve?));
        match curve {
            Some(curve) => two_numbers(&signature, octets(curve)).ok_or(KeyError::Provider("sign")),
            None => Ok(signature),
        }
    }
}

fn octets(curve: Curve) -> usize {
    usize::from(curve.bits().div_ceil(8))
}

/// From Ecdsa-Sig-Value (RFC 3279 section 2.2.3).
fn two_numbers(signature: &[u8], octets: usize) -> Option<Vec<u8>> {
    let mut fields = Reader::inside(signature, asn1::SEQUENCE)?;
    let mut plain = Vec::with_capacity(2 * octets);
    for _ in 0..2 {
        let number = without_leading_zeros(fields.expect(asn1::INTEGER)?);
        plain.resize(plain.len() + octets.checked_sub(number.len())?, 0);
        plain.extend(number);
    }
    fields.is_empty().then_some(plain)
}

fn without_leading_zeros(mut number: &[u8]) -> Vec<u8> {
    while let [0, rest @ ..] = number {
        number = rest;
    }
    number.to_vec()
}
