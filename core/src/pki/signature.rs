//! Signature algorithms: how X.509 writes them, what they are called, and whether a signature holds.

use der::asn1::Any;
use der::oid::ObjectIdentifier;
use rustls_pki_types::SignatureVerificationAlgorithm;
use spki::AlgorithmIdentifierOwned;
use webpki::aws_lc_rs as algorithms;

use super::asn1::{Reader, Signed, Spki};
use crate::api::certificate::SignatureAlgorithm;

/// The AlgorithmIdentifier of signatures by this algorithm.
///
/// RSA carries NULL (RFC 4055 section 5), ECDSA (RFC 5758 section 3.2) and Ed25519 (RFC 8410 section 3) nothing.
pub(super) fn identifier(algorithm: SignatureAlgorithm) -> AlgorithmIdentifierOwned {
    let (oid, parameters) = match algorithm {
        SignatureAlgorithm::Sha256WithRsa => ("1.2.840.113549.1.1.11", Some(Any::null())),
        SignatureAlgorithm::Sha384WithRsa => ("1.2.840.113549.1.1.12", Some(Any::null())),
        SignatureAlgorithm::Sha512WithRsa => ("1.2.840.113549.1.1.13", Some(Any::null())),
        SignatureAlgorithm::EcdsaWithSha256 => ("1.2.840.10045.4.3.2", None),
        SignatureAlgorithm::EcdsaWithSha384 => ("1.2.840.10045.4.3.3", None),
        SignatureAlgorithm::EcdsaWithSha512 => ("1.2.840.10045.4.3.4", None),
        SignatureAlgorithm::PureEd25519 => ("1.3.101.112", None),
    };
    AlgorithmIdentifierOwned {
        oid: ObjectIdentifier::new_unwrap(oid),
        parameters,
    }
}

/// The name of an algorithm, as OpenSSL prints it; its object identifier where it is none we know.
pub(super) fn name(algorithm: &[u8]) -> Option<String> {
    let oid = Reader::new(algorithm).oid()?.to_string();
    let known = NAMES.iter().find(|(known, _)| *known == oid);
    Some(known.map_or(oid, |(_, name)| (*name).to_owned()))
}

/// Whether the signature is one by the key of `spki`.
///
/// Algorithms built on MD5 and SHA-1 don't count, nor RSA keys of fewer than 2048 bits.
pub(super) fn holds(signed: &Signed<'_>, spki: &[u8]) -> bool {
    let Some(spki) = Spki::read(spki) else {
        return false;
    };
    VERIFICATION.iter().any(|algorithm| {
        algorithm.signature_alg_id().as_ref() == signed.algorithm
            && algorithm.public_key_alg_id().as_ref() == spki.algorithm
            && algorithm
                .verify_signature(spki.key, signed.message, signed.signature)
                .is_ok()
    })
}

/// Whether signatures by this algorithm can be verified here.
pub(super) fn is_served(algorithm: &[u8]) -> bool {
    VERIFICATION
        .iter()
        .any(|served| served.signature_alg_id().as_ref() == algorithm)
}

const NAMES: [(&str, &str); 15] = [
    ("1.2.840.113549.1.1.4", "md5WithRSAEncryption"),
    ("1.2.840.113549.1.1.5", "sha1WithRSAEncryption"),
    ("1.2.840.113549.1.1.10", "rsassaPss"),
    ("1.2.840.113549.1.1.11", "sha256WithRSAEncryption"),
    ("1.2.840.113549.1.1.12", "sha384WithRSAEncryption"),
    ("1.2.840.113549.1.1.13", "sha512WithRSAEncryption"),
    ("1.2.840.10045.4.1", "ecdsa-with-SHA1"),
    ("1.2.840.10045.4.3.2", "ecdsa-with-SHA256"),
    ("1.2.840.10045.4.3.3", "ecdsa-with-SHA384"),
    ("1.2.840.10045.4.3.4", "ecdsa-with-SHA512"),
    ("1.3.101.112", "ED25519"),
    ("1.3.101.113", "ED448"),
    ("2.16.840.1.101.3.4.3.17", "ML-DSA-44"),
    ("2.16.840.1.101.3.4.3.18", "ML-DSA-65"),
    ("2.16.840.1.101.3.4.3.19", "ML-DSA-87"),
];

static VERIFICATION: [&dyn SignatureVerificationAlgorithm; 19] = [
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P256_SHA512,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P384_SHA512,
    algorithms::ECDSA_P521_SHA256,
    algorithms::ECDSA_P521_SHA384,
    algorithms::ECDSA_P521_SHA512,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    algorithms::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    algorithms::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];
