//! What the tests of this module share.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::key::{KeySpec, PrivateKey};
use super::profile::{Attribute, DistinguishedName, KeyUsage, NameConstraints, Names, Profile};
use super::sign::{self, Locations, SignError};
use super::{Authority, CertificateDer, Facts, chain};
use crate::api::certificate::KeyEncoding;

/// A point in time, such as `2026-11-23T10:00:00Z`.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// When the certificates of these tests are made.
pub(crate) fn now() -> Timestamp {
    at("2026-11-23T10:00:00.5Z")
}

/// 90 days for these DNS names.
pub(crate) fn leaf(dns: &[&str]) -> Profile {
    Profile {
        subject: DistinguishedName::default(),
        names: Names {
            dns: dns.iter().map(|name| (*name).to_owned()).collect(),
            ..Default::default()
        },
        key_usages: BTreeSet::from([KeyUsage::DigitalSignature]),
        extended_key_usages: BTreeSet::new(),
        is_ca: false,
        name_constraints: None,
        key: KeySpec::Ecdsa(256),
        signature_algorithm: None,
        usages_in_request: true,
        lifetime_seconds: 90 * DAY,
    }
}

/// A CA of this common name for a year.
pub(crate) fn ca(common_name: &str) -> Profile {
    Profile {
        subject: named(common_name),
        key_usages: BTreeSet::from([KeyUsage::KeyCertSign, KeyUsage::CrlSign]),
        is_ca: true,
        lifetime_seconds: 365 * DAY,
        ..leaf(&[])
    }
}

/// A CA that may only sign within these constraints.
pub(crate) fn constrained(constraints: NameConstraints) -> Profile {
    Profile {
        name_constraints: Some(constraints),
        ..ca("constrained")
    }
}

/// A subject of just a common name.
pub(crate) fn named(common_name: &str) -> DistinguishedName {
    DistinguishedName(vec![vec![attribute("2.5.4.3", common_name)]])
}

pub(crate) fn attribute(oid: &str, value: &str) -> Attribute {
    Attribute {
        oid: oid.to_owned(),
        value: value.to_owned(),
    }
}

/// A new P-256 key.
pub(crate) fn key() -> PrivateKey {
    PrivateKey::generate(KeySpec::Ecdsa(256)).unwrap()
}

/// A certificate signed by its own key.
pub(crate) fn self_signed(profile: &Profile, key: &PrivateKey) -> Facts {
    Facts::read(&sign::self_signed(profile, &Locations::default(), key, now()).unwrap()).unwrap()
}

/// A new self-signed CA.
pub(crate) fn root(profile: &Profile) -> Authority {
    let key = key();
    authority(&[&self_signed(profile, &key)], &key)
}

/// A new CA below another.
pub(crate) fn below(authority: &Authority, profile: &Profile) -> Authority {
    let key = key();
    let certificate = signed(authority, profile, &key).unwrap();
    let above = authority.chain.iter();
    self::authority(
        &std::iter::once(&certificate)
            .chain(above)
            .collect::<Vec<_>>(),
        &key,
    )
}

/// A certificate signed by a CA.
pub(crate) fn signed(
    authority: &Authority,
    profile: &Profile,
    key: &PrivateKey,
) -> Result<Facts, SignError> {
    sign::by_authority(
        profile,
        &Locations::default(),
        key.public(),
        authority,
        now(),
    )
    .map(|der| Facts::read(&der).unwrap())
}

/// A CA as it would be read from a Secret.
pub(crate) fn authority(tls_crt: &[&Facts], key: &PrivateKey) -> Authority {
    Authority::read(
        pem(tls_crt).as_bytes(),
        key.to_pem(KeyEncoding::Pkcs8).as_bytes(),
        None,
    )
    .unwrap()
}

pub(crate) fn pem(certificates: &[&Facts]) -> String {
    chain::to_pem(certificates.iter().map(|facts| &facts.der))
}

/// A certificate made by OpenSSL that has everything; see `everything.cnf`.
pub(crate) fn everything() -> CertificateDer {
    const PEM: &str = include_str!("../../tests/data/everything.pem");
    super::armour::blocks(PEM.as_bytes())
        .next()
        .unwrap()
        .unwrap()
        .contents
        .unwrap()
        .to_vec()
        .into()
}

pub(crate) const DAY: i64 = 86_400;
