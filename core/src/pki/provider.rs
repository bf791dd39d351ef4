//! The crypto provider's keys, and the forms they are written in.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::{AsBigEndian, AsDer, Curve25519SeedBin, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use der::Encode;
use der::asn1::{AnyRef, BitStringRef, OctetStringRef};
use der::oid::ObjectIdentifier;
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use zeroize::Zeroizing;

use super::key::{EC_PUBLIC_KEY, ED25519, KeyError, KeySpec, RSA_ENCRYPTION};
use super::key_der::{
    Parameters, ec_private_key, pkcs8_algorithm, pkcs8_private_key, private_key_info,
    sec1_parameters, secret_der,
};
use crate::api::certificate::SignatureAlgorithm;

/// A key of the crypto provider, which wipes its memory.
pub(super) enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(Curve, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// The two forms of a private key: PKCS#8, and the algorithm's own if it has one.
type Forms = (Zeroizing<Vec<u8>>, Option<Zeroizing<Vec<u8>>>);

impl Pair {
    pub(super) fn generate(spec: KeySpec) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Provider("make a key");
        match spec {
            KeySpec::Rsa(bits) => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    8192 => KeySize::Rsa8192,
                    _ => {
                        return Err(KeyError::Unsupported(format!(
                            "RSA of {bits} bits can't be made here, only 2048, 3072, 4096 and 8192"
                        )));
                    }
                };
                RsaKeyPair::generate(size)
                    .map(|pair| Self::Rsa(Box::new(pair)))
                    .map_err(failed)
            }
            KeySpec::Ecdsa(bits) => {
                let curve = Curve::with_bits(bits).ok_or_else(|| {
                    KeyError::Unsupported(format!("ECDSA of {bits} bits, only 256, 384 and 521"))
                })?;
                EcdsaKeyPair::generate(curve.signing())
                    .map(|pair| Self::Ecdsa(curve, pair))
                    .map_err(failed)
            }
            KeySpec::Ed25519 => Ed25519KeyPair::generate()
                .map(Self::Ed25519)
                .map_err(failed),
        }
    }

    /// Reads PrivateKeyInfo (RFC 5208) or OneAsymmetricKey (RFC 5958).
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let (oid, curve) = pkcs8_algorithm(der).ok_or_else(|| unreadable("it is not PKCS#8"))?;
        if oid == RSA_ENCRYPTION {
            return RsaKeyPair::from_pkcs8(der)
                .map(|pair| Self::Rsa(Box::new(pair)))
                .map_err(rejected);
        }
        if oid == EC_PUBLIC_KEY {
            let curve = curve
                .and_then(Curve::of)
                .ok_or_else(|| unsupported_curve(curve))?;
            return EcdsaKeyPair::from_pkcs8(curve.signing(), der)
                .map(|pair| Self::Ecdsa(curve, pair))
                .map_err(rejected);
        }
        if oid == ED25519 {
            return Ed25519KeyPair::from_pkcs8(der)
                .map(Self::Ed25519)
                .map_err(rejected);
        }
        Err(KeyError::Unsupported(format!("algorithm {oid}")))
    }

    /// Reads RSAPrivateKey (RFC 8017 appendix A.1.2).
    pub(super) fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        RsaKeyPair::from_der(der)
            .map(|pair| Self::Rsa(Box::new(pair)))
            .map_err(rejected)
    }

    /// Reads ECPrivateKey (RFC 5915). Where it doesn't name its curve, its length does.
    pub(super) fn from_sec1(der: &[u8]) -> Result<Self, KeyError> {
        let curve = match sec1_parameters(der).ok_or_else(|| unreadable("it is not SEC1"))? {
            Parameters::Named(oid) => Curve::of(oid).ok_or_else(|| unsupported_curve(Some(oid)))?,
            Parameters::Explicit => return Err(unsupported_curve(None)),
            Parameters::Absent(octets) => [Curve::P256, Curve::P384, Curve::P521]
                .into_iter()
                .find(|curve| usize::from(curve.bits().div_ceil(8)) == octets)
                .ok_or_else(|| unsupported_curve(None))?,
        };
        EcdsaKeyPair::from_private_key_der(curve.signing(), der)
            .map(|pair| Self::Ecdsa(curve, pair))
            .map_err(rejected)
    }

    /// The public half, as SubjectPublicKeyInfo.
    pub(super) fn public_der(&self) -> Result<Vec<u8>, KeyError> {
        let subject_public_key = BitStringRef::from_bytes(match self {
            Self::Rsa(pair) => pair.public_key().as_ref(),
            Self::Ecdsa(_, pair) => pair.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
        });
        subject_public_key
            .and_then(|subject_public_key| {
                SubjectPublicKeyInfoRef {
                    algorithm: self.algorithm(),
                    subject_public_key,
                }
                .to_der()
            })
            .map_err(|_| KeyError::Provider("write a public key"))
    }

    /// The private half, in its two forms.
    pub(super) fn private_der(&self) -> Result<Forms, KeyError> {
        const FAILED: KeyError = KeyError::Provider("write a private key");
        match self {
            Self::Rsa(pair) => {
                let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| FAILED)?;
                let pkcs1 = pkcs8_private_key(pkcs8.as_ref()).ok_or(FAILED)?;
                Ok((
                    Zeroizing::new(pkcs8.as_ref().to_vec()),
                    Some(Zeroizing::new(pkcs1.to_vec())),
                ))
            }
            Self::Ecdsa(curve, pair) => {
                let scalar: EcPrivateKeyBin<'_> =
                    pair.private_key().as_be_bytes().map_err(|_| FAILED)?;
                let point = pair.public_key().as_ref();
                // Inside PKCS#8 the curve stands once, outside (RFC 5915 section 3).
                let inner = ec_private_key(scalar.as_ref(), None, point).map_err(|_| FAILED)?;
                let sec1 = ec_private_key(scalar.as_ref(), Some(curve.oid()), point)
                    .map_err(|_| FAILED)?;
                let pkcs8 = private_key_info(self.algorithm(), &inner).map_err(|_| FAILED)?;
                Ok((pkcs8, Some(sec1)))
            }
            Self::Ed25519(pair) => {
                let seed = pair.seed().map_err(|_| FAILED)?;
                let seed: Curve25519SeedBin<'_> = seed.as_be_bytes().map_err(|_| FAILED)?;
                let inner = OctetStringRef::new(seed.as_ref())
                    .and_then(|seed| secret_der(&seed))
                    .map_err(|_| FAILED)?;
                // Version 1, without the public key: OpenSSL before 3 and Java before 15 can't read version 2.
                let pkcs8 = private_key_info(self.algorithm(), &inner).map_err(|_| FAILED)?;
                Ok((pkcs8, None))
            }
        }
    }

    /// Signs a message.
    pub(super) fn sign(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        const FAILED: KeyError = KeyError::Provider("sign");
        match (self, algorithm) {
            (Self::Rsa(pair), SignatureAlgorithm::Sha256WithRsa) => {
                sign_rsa(pair, &signature::RSA_PKCS1_SHA256, message)
            }
            (Self::Rsa(pair), SignatureAlgorithm::Sha384WithRsa) => {
                sign_rsa(pair, &signature::RSA_PKCS1_SHA384, message)
            }
            (Self::Rsa(pair), SignatureAlgorithm::Sha512WithRsa) => {
                sign_rsa(pair, &signature::RSA_PKCS1_SHA512, message)
            }
            (Self::Ecdsa(curve, pair), SignatureAlgorithm::EcdsaWithSha256) => {
                sign_ecdsa(*curve, pair, &digest::SHA256, message)
            }
            (Self::Ecdsa(curve, pair), SignatureAlgorithm::EcdsaWithSha384) => {
                sign_ecdsa(*curve, pair, &digest::SHA384, message)
            }
            (Self::Ecdsa(curve, pair), SignatureAlgorithm::EcdsaWithSha512) => {
                sign_ecdsa(*curve, pair, &digest::SHA512, message)
            }
            (Self::Ed25519(pair), SignatureAlgorithm::PureEd25519) => pair
                .try_sign(message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| FAILED),
            (_, algorithm) => Err(KeyError::Unsupported(format!(
                "{} keys don't sign with {algorithm:?}",
                match self {
                    Self::Rsa(_) => "RSA",
                    Self::Ecdsa(..) => "ECDSA",
                    Self::Ed25519(_) => "Ed25519",
                }
            ))),
        }
    }

    fn algorithm(&self) -> AlgorithmIdentifierRef<'_> {
        match self {
            Self::Rsa(_) => AlgorithmIdentifierRef {
                oid: RSA_ENCRYPTION,
                parameters: Some(AnyRef::NULL),
            },
            Self::Ecdsa(curve, _) => AlgorithmIdentifierRef {
                oid: EC_PUBLIC_KEY,
                parameters: Some(AnyRef::from(curve.oid_ref())),
            },
            Self::Ed25519(_) => AlgorithmIdentifierRef {
                oid: ED25519,
                parameters: None,
            },
        }
    }
}

/// A curve of NIST (RFC 5480 section 2.1.1.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub(super) fn of(oid: ObjectIdentifier) -> Option<Self> {
        [Self::P256, Self::P384, Self::P521]
            .into_iter()
            .find(|curve| curve.oid() == oid)
    }

    pub(super) fn bits(self) -> u16 {
        match self {
            Self::P256 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    fn with_bits(bits: u16) -> Option<Self> {
        [Self::P256, Self::P384, Self::P521]
            .into_iter()
            .find(|curve| curve.bits() == bits)
    }

    fn oid(self) -> ObjectIdentifier {
        *self.oid_ref()
    }

    fn oid_ref(self) -> &'static ObjectIdentifier {
        const P256: &ObjectIdentifier = &ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
        const P384: &ObjectIdentifier = &ObjectIdentifier::new_unwrap("1.3.132.0.34");
        const P521: &ObjectIdentifier = &ObjectIdentifier::new_unwrap("1.3.132.0.35");
        match self {
            Self::P256 => P256,
            Self::P384 => P384,
            Self::P521 => P521,
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            Self::P521 => &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
        }
    }

    /// The hash of `signing`.
    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::P256 => &digest::SHA256,
            Self::P384 => &digest::SHA384,
            Self::P521 => &digest::SHA512,
        }
    }
}

fn sign_rsa(
    pair: &RsaKeyPair,
    encoding: &'static dyn RsaEncoding,
    message: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| KeyError::Provider("sign"))?;
    Ok(signature)
}

/// Signs with any hash on any curve.
///
/// The provider binds one hash to each curve, but ECDSA only sees the hash as a number: of a longer hash the leftmost
/// bits as many as the curve's, of a shorter one all (FIPS 186-5 section 6.4.1). So the hash is cut, or padded with
/// zeros in front, to the length of the one that the provider expects.
fn sign_ecdsa(
    curve: Curve,
    pair: &EcdsaKeyPair,
    hash: &'static digest::Algorithm,
    message: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let expected = curve.digest();
    let digest = digest::digest(hash, message);
    let mut number = vec![0; expected.output_len().saturating_sub(digest.as_ref().len())];
    number.extend(digest.as_ref().iter().take(expected.output_len()));
    Digest::import_less_safe(&number, expected)
        .and_then(|digest| pair.sign_digest(&digest))
        .map(|signature| signature.as_ref().to_vec())
        .map_err(|_| KeyError::Provider("sign"))
}

fn rejected(problem: KeyRejected) -> KeyError {
    match problem.to_string().as_str() {
        "TooSmall" => KeyError::Unsupported("RSA of fewer than 2048 bits".to_owned()),
        "TooLarge" => KeyError::Unsupported("RSA of more than 8192 bits".to_owned()),
        other => unreadable(&format!("the crypto provider says {other}")),
    }
}

fn unreadable(problem: &str) -> KeyError {
    KeyError::Unreadable(problem.to_owned())
}

fn unsupported_curve(curve: Option<ObjectIdentifier>) -> KeyError {
    KeyError::Unsupported(match curve {
        Some(oid) => format!("elliptic curve {oid}"),
        None => "an elliptic curve without a name".to_owned(),
    })
}
