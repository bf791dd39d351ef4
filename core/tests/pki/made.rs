//! Keys, profiles and CAs for these tests.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, OnceLock};

use certwright_core::api::certificate::{KeyEncoding, SignatureAlgorithm};
use certwright_core::pki::profile::{Attribute, DistinguishedName, KeyUsage, Names};
use certwright_core::pki::sign::{self, Locations};
use certwright_core::pki::{Authority, Facts, KeySpec, PrivateKey, Profile, chain};
use jiff::Timestamp;

/// Each kind and size of key, but RSA 8192, which takes many seconds to make and has a test of its own.
pub(crate) const SPECS: [KeySpec; 7] = [
    KeySpec::Rsa(2048),
    KeySpec::Rsa(3072),
    KeySpec::Rsa(4096),
    KeySpec::Ecdsa(256),
    KeySpec::Ecdsa(384),
    KeySpec::Ecdsa(521),
    KeySpec::Ed25519,
];

/// When certificates are made and verified, in seconds since 1970: 2026-11-23T10:00:00Z.
pub(crate) const NOW: i64 = 1_795_428_000;

pub(crate) const HOST: &str = "www.example.com";

pub(crate) const DAY: i64 = 86_400;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// A key of this kind and number. RSA keys are made once and shared.
pub(crate) fn key(spec: KeySpec, number: u8) -> &'static PrivateKey {
    type Made = Mutex<HashMap<(KeySpec, u8), &'static OnceLock<PrivateKey>>>;
    static MADE: OnceLock<Made> = OnceLock::new();
    let mut made = MADE.get_or_init(Made::default).lock().unwrap();
    let cell = *made
        .entry((spec, number))
        .or_insert_with(|| Box::leak(Box::default()));
    drop(made);
    cell.get_or_init(|| PrivateKey::generate(spec).unwrap())
}

/// The algorithms that keys of this kind sign with.
pub(crate) fn algorithms(spec: KeySpec) -> Vec<(SignatureAlgorithm, &'static str)> {
    match spec {
        KeySpec::Rsa(_) => vec![
            (SignatureAlgorithm::Sha256WithRsa, "sha256WithRSAEncryption"),
            (SignatureAlgorithm::Sha384WithRsa, "sha384WithRSAEncryption"),
            (SignatureAlgorithm::Sha512WithRsa, "sha512WithRSAEncryption"),
        ],
        KeySpec::Ecdsa(_) => vec![
            (SignatureAlgorithm::EcdsaWithSha256, "ecdsa-with-SHA256"),
            (SignatureAlgorithm::EcdsaWithSha384, "ecdsa-with-SHA384"),
            (SignatureAlgorithm::EcdsaWithSha512, "ecdsa-with-SHA512"),
        ],
        KeySpec::Ed25519 => vec![(SignatureAlgorithm::PureEd25519, "ED25519")],
    }
}

/// A server's certificate for [`HOST`], for 90 days.
pub(crate) fn leaf() -> Profile {
    Profile {
        subject: DistinguishedName::default(),
        names: Names {
            dns: [HOST.to_owned()].into(),
            ..Default::default()
        },
        key_usages: BTreeSet::from([KeyUsage::DigitalSignature]),
        extended_key_usages: ["1.3.6.1.5.5.7.3.1".to_owned()].into(),
        is_ca: false,
        name_constraints: None,
        key: KeySpec::Ecdsa(256),
        signature_algorithm: None,
        usages_in_request: true,
        lifetime_seconds: 90 * DAY,
    }
}

/// A CA for a year.
pub(crate) fn ca(common_name: &str) -> Profile {
    Profile {
        subject: subject(&[&[("2.5.4.3", common_name)]]),
        names: Names::default(),
        key_usages: BTreeSet::from([
            KeyUsage::DigitalSignature,
            KeyUsage::KeyCertSign,
            KeyUsage::CrlSign,
        ]),
        extended_key_usages: BTreeSet::new(),
        is_ca: true,
        lifetime_seconds: 365 * DAY,
        ..leaf()
    }
}

pub(crate) fn subject(rdns: &[&[(&str, &str)]]) -> DistinguishedName {
    let attribute = |(oid, value): &(&str, &str)| Attribute {
        oid: (*oid).to_owned(),
        value: (*value).to_owned(),
    };
    DistinguishedName(
        rdns.iter()
            .map(|rdn| rdn.iter().map(attribute).collect())
            .collect(),
    )
}

pub(crate) fn self_signed(profile: &Profile, key: &PrivateKey) -> Facts {
    Facts::read(&sign::self_signed(profile, &Locations::default(), key, now()).unwrap()).unwrap()
}

pub(crate) fn signed(authority: &Authority, profile: &Profile, key: &PrivateKey) -> Facts {
    let der = sign::by_authority(
        profile,
        &Locations::default(),
        key.public(),
        authority,
        now(),
    )
    .unwrap();
    Facts::read(&der).unwrap()
}

/// A self-signed CA.
pub(crate) fn root(profile: &Profile, key: &PrivateKey) -> Authority {
    authority(&[self_signed(profile, key)], key)
}

/// A CA below another.
pub(crate) fn below(above: &Authority, profile: &Profile, key: &PrivateKey) -> Authority {
    authority(
        &[&[signed(above, profile, key)], above.chain.as_slice()].concat(),
        key,
    )
}

pub(crate) fn authority(tls_crt: &[Facts], key: &PrivateKey) -> Authority {
    Authority::read(
        pem(tls_crt).as_bytes(),
        key.to_pem(KeyEncoding::Pkcs8).as_bytes(),
        None,
    )
    .unwrap()
}

pub(crate) fn pem(certificates: &[Facts]) -> String {
    chain::to_pem(certificates.iter().map(|facts| &facts.der))
}
