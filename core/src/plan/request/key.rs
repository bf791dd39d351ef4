//! Which kind of key a spec asks for.

use super::InvalidSpec;
use crate::api::certificate::{CertificateSpec, KeyAlgorithm, SignatureAlgorithm};
use crate::pki::KeySpec;

/// RSA sizes that keys are made with.
const RSA_SIZES: [u16; 4] = [2048, 3072, 4096, 8192];
/// Curves, by their bits: P-256, P-384, P-521.
const ECDSA_SIZES: [u16; 3] = [256, 384, 521];

/// The key of `spec`: its kind is the algorithm's, else the signature algorithm's, else RSA for a size that only RSA
/// has, else ECDSA. A size of 0 counts as absent, as in Go.
pub(super) fn key_spec(spec: &CertificateSpec) -> Result<KeySpec, InvalidSpec> {
    let key = spec.private_key.as_ref();
    let size = key.and_then(|key| key.size).filter(|size| *size != 0);
    let signed_with = spec.signature_algorithm.map(algorithm_of);
    let algorithm = match (key.and_then(|key| key.algorithm), signed_with, size) {
        (Some(algorithm), Some(signed_with), _) if algorithm != signed_with => {
            let problem = format!(
                "{} keys can't sign so; leave it out or choose another",
                name(algorithm)
            );
            return Err(InvalidSpec::new("spec.signatureAlgorithm", problem));
        }
        (Some(algorithm), _, _) | (None, Some(algorithm), _) => algorithm,
        (None, None, Some(2048..)) => KeyAlgorithm::Rsa,
        (None, None, _) => KeyAlgorithm::Ecdsa,
    };
    match algorithm {
        KeyAlgorithm::Rsa => size_among(size, &RSA_SIZES, algorithm).map(KeySpec::Rsa),
        KeyAlgorithm::Ecdsa => size_among(size, &ECDSA_SIZES, algorithm).map(KeySpec::Ecdsa),
        KeyAlgorithm::Ed25519 => Ok(KeySpec::Ed25519),
    }
}

/// `size` if it is one of `sizes`, the first of them if none is given.
fn size_among(
    size: Option<i32>,
    sizes: &[u16],
    algorithm: KeyAlgorithm,
) -> Result<u16, InvalidSpec> {
    let Some(size) = size else {
        return Ok(sizes[0]);
    };
    sizes
        .iter()
        .copied()
        .find(|known| i32::from(*known) == size)
        .ok_or_else(|| {
            let known: Vec<_> = sizes.iter().map(u16::to_string).collect();
            let problem = format!(
                "{} keys don't come in {size} bits; write one of {}",
                name(algorithm),
                known.join(", ")
            );
            InvalidSpec::new("spec.privateKey.size", problem)
        })
}

fn algorithm_of(signature: SignatureAlgorithm) -> KeyAlgorithm {
    use SignatureAlgorithm as S;
    match signature {
        S::Sha256WithRsa | S::Sha384WithRsa | S::Sha512WithRsa => KeyAlgorithm::Rsa,
        S::EcdsaWithSha256 | S::EcdsaWithSha384 | S::EcdsaWithSha512 => KeyAlgorithm::Ecdsa,
        S::PureEd25519 => KeyAlgorithm::Ed25519,
    }
}

fn name(algorithm: KeyAlgorithm) -> &'static str {
    match algorithm {
        KeyAlgorithm::Rsa => "RSA",
        KeyAlgorithm::Ecdsa => "ECDSA",
        KeyAlgorithm::Ed25519 => "Ed25519",
    }
}
