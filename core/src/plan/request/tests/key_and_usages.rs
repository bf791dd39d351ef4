use super::*;
use KeyAlgorithm::{Ecdsa, Ed25519, Rsa};
use SignatureAlgorithm as S;

/// The key of a spec with this algorithm, size and signature algorithm, or the field that is refused.
fn key(
    (algorithm, size, signature): (Option<KeyAlgorithm>, i32, Option<S>),
) -> Result<KeySpec, String> {
    let mut spec = spec();
    let size = (size != UNSAID).then_some(size);
    spec.private_key = Some(PrivateKey {
        algorithm,
        size,
        ..PrivateKey::default()
    });
    spec.signature_algorithm = signature;
    let request = Request::of(&spec, VERSION);
    request
        .map(|request| request.profile.key)
        .map_err(|refused| refused.field)
}

/// Stands for no size in the tables below.
const UNSAID: i32 = i32::MIN;

#[test]
fn keys_follow_algorithm_then_signature_then_size() {
    for (given, expected) in [
        ((None, UNSAID, None), KeySpec::Ecdsa(256)),
        ((None, 0, None), KeySpec::Ecdsa(256)),
        ((None, 384, None), KeySpec::Ecdsa(384)),
        ((None, 2048, None), KeySpec::Rsa(2048)),
        ((None, 4096, None), KeySpec::Rsa(4096)),
        ((None, UNSAID, Some(S::Sha256WithRsa)), KeySpec::Rsa(2048)),
        ((None, 3072, Some(S::Sha512WithRsa)), KeySpec::Rsa(3072)),
        (
            (None, UNSAID, Some(S::EcdsaWithSha512)),
            KeySpec::Ecdsa(256),
        ),
        ((None, 521, Some(S::EcdsaWithSha512)), KeySpec::Ecdsa(521)),
        ((None, UNSAID, Some(S::PureEd25519)), KeySpec::Ed25519),
        ((Some(Rsa), UNSAID, None), KeySpec::Rsa(2048)),
        ((Some(Rsa), 8192, None), KeySpec::Rsa(8192)),
        ((Some(Ecdsa), UNSAID, None), KeySpec::Ecdsa(256)),
        (
            (Some(Ecdsa), 521, Some(S::EcdsaWithSha256)),
            KeySpec::Ecdsa(521),
        ),
        ((Some(Ed25519), UNSAID, None), KeySpec::Ed25519),
        ((Some(Ed25519), 4096, None), KeySpec::Ed25519),
    ] {
        assert_eq!(key(given), Ok(expected), "{given:?}");
    }
}

#[test]
fn keys_that_cannot_be_made_are_refused() {
    for (given, field) in [
        ((Some(Rsa), 1024, None), "spec.privateKey.size"),
        ((Some(Rsa), 2049, None), "spec.privateKey.size"),
        ((Some(Rsa), -1, None), "spec.privateKey.size"),
        ((Some(Ecdsa), 2048, None), "spec.privateKey.size"),
        ((None, 1024, None), "spec.privateKey.size"),
        (
            (None, 2048, Some(S::EcdsaWithSha256)),
            "spec.privateKey.size",
        ),
        (
            (Some(Ecdsa), UNSAID, Some(S::Sha256WithRsa)),
            "spec.signatureAlgorithm",
        ),
        (
            (Some(Rsa), UNSAID, Some(S::PureEd25519)),
            "spec.signatureAlgorithm",
        ),
    ] {
        assert_eq!(key(given), Err(field.to_owned()), "{given:?}");
    }
    let small = PrivateKey {
        size: Some(1024),
        ..PrivateKey::default()
    };
    assert_eq!(
        refused(|spec| spec.private_key = Some(small)).problem,
        "ECDSA keys don't come in 1024 bits; write one of 256, 384, 521"
    );
}

#[test]
fn only_rsa_keys_encipher_by_default() {
    use KeyUsage::{DigitalSignature, KeyCertSign, KeyEncipherment};
    let usages = |algorithm, is_ca| {
        profile(|spec| {
            spec.common_name = Some("name".into());
            spec.private_key = Some(PrivateKey {
                algorithm: Some(algorithm),
                ..PrivateKey::default()
            });
            spec.is_ca = Some(is_ca);
        })
        .key_usages
    };
    assert_eq!(
        usages(Rsa, false),
        BTreeSet::from([DigitalSignature, KeyEncipherment])
    );
    assert_eq!(usages(Ecdsa, false), BTreeSet::from([DigitalSignature]));
    assert_eq!(usages(Ed25519, false), BTreeSet::from([DigitalSignature]));
    assert_eq!(
        usages(Rsa, true),
        BTreeSet::from([DigitalSignature, KeyEncipherment, KeyCertSign])
    );
    assert_eq!(
        usages(Ecdsa, true),
        BTreeSet::from([DigitalSignature, KeyCertSign])
    );
}

#[test]
fn usages_that_are_given_replace_the_defaults() {
    let profile = profile(|spec| spec.usages = vec![Usage::ServerAuth]);
    assert_eq!(profile.key_usages, BTreeSet::new());
    assert_eq!(
        profile.extended_key_usages,
        BTreeSet::from(["1.3.6.1.5.5.7.3.1".to_owned()])
    );
}

#[test]
fn every_usage_has_its_bit_or_identifier() {
    let bits = [
        (Usage::Signing, KeyUsage::DigitalSignature),
        (Usage::DigitalSignature, KeyUsage::DigitalSignature),
        (Usage::ContentCommitment, KeyUsage::ContentCommitment),
        (Usage::KeyEncipherment, KeyUsage::KeyEncipherment),
        (Usage::KeyAgreement, KeyUsage::KeyAgreement),
        (Usage::DataEncipherment, KeyUsage::DataEncipherment),
        (Usage::CertSign, KeyUsage::KeyCertSign),
        (Usage::CrlSign, KeyUsage::CrlSign),
        (Usage::EncipherOnly, KeyUsage::EncipherOnly),
        (Usage::DecipherOnly, KeyUsage::DecipherOnly),
    ];
    for (usage, bit) in bits {
        let profile = profile(|spec| spec.usages = vec![usage]);
        assert_eq!(
            (profile.key_usages, profile.extended_key_usages),
            (BTreeSet::from([bit]), BTreeSet::new()),
            "{usage:?}"
        );
    }
    let identifiers = [
        (Usage::Any, "2.5.29.37.0"),
        (Usage::ServerAuth, "1.3.6.1.5.5.7.3.1"),
        (Usage::ClientAuth, "1.3.6.1.5.5.7.3.2"),
        (Usage::CodeSigning, "1.3.6.1.5.5.7.3.3"),
        (Usage::EmailProtection, "1.3.6.1.5.5.7.3.4"),
        (Usage::SMime, "1.3.6.1.5.5.7.3.4"),
        (Usage::IpsecEndSystem, "1.3.6.1.5.5.7.3.5"),
        (Usage::IpsecTunnel, "1.3.6.1.5.5.7.3.6"),
        (Usage::IpsecUser, "1.3.6.1.5.5.7.3.7"),
        (Usage::Timestamping, "1.3.6.1.5.5.7.3.8"),
        (Usage::OcspSigning, "1.3.6.1.5.5.7.3.9"),
        (Usage::MicrosoftSgc, "1.3.6.1.4.1.311.10.3.3"),
        (Usage::NetscapeSgc, "2.16.840.1.113730.4.1"),
    ];
    for (usage, oid) in identifiers {
        let profile = profile(|spec| spec.usages = vec![usage]);
        assert_eq!(
            (profile.key_usages, profile.extended_key_usages),
            (BTreeSet::new(), BTreeSet::from([oid.to_owned()])),
            "{usage:?}"
        );
    }
}
