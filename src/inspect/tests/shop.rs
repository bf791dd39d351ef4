//! A small PKI to look at.

use std::collections::BTreeSet;

use certwright_core::api::certificate::KeyEncoding;
use certwright_core::pki::profile::{
    Attribute, DistinguishedName, KeyUsage, NameConstraints, Names, Profile, Subtrees,
};
use certwright_core::pki::sign::{Locations, by_authority, self_signed};
use certwright_core::pki::{Authority, CertificateDer, Facts, KeySpec, PrivateKey, chain};
use jiff::Timestamp;

use super::super::words;

/// A root, a CA below it, and a leaf below that.
pub(super) struct Shop {
    pub(super) root: CertificateDer,
    pub(super) intermediate: CertificateDer,
    pub(super) intermediate_key: PrivateKey,
    pub(super) leaf: CertificateDer,
    pub(super) key: PrivateKey,
}

impl Shop {
    pub(super) fn new() -> Self {
        let (root_key, intermediate_key, key) = (generate(), generate(), generate());
        let root_name = DistinguishedName(vec![
            vec![attribute("2.5.4.10", "Example")],
            vec![attribute("2.5.4.3", "Example Root")],
        ]);
        let root = self_signed(
            &Profile {
                lifetime_seconds: 3650 * DAY,
                ..ca(root_name)
            },
            &Locations::default(),
            &root_key,
            issued(),
        )
        .unwrap();
        let authority = Authority::read(
            pem(&[&root]).as_bytes(),
            root_key.to_pem(KeyEncoding::Pkcs8).as_bytes(),
            None,
        )
        .unwrap_or_else(|problem| panic!("{problem}"));
        let constraints = NameConstraints {
            critical: true,
            permitted: Subtrees {
                dns: ["example.com".to_owned()].into(),
                ..Subtrees::default()
            },
            excluded: Subtrees {
                ip: [("10.1.0.0".parse().unwrap(), 16)].into(),
                ..Subtrees::default()
            },
        };
        let below = Profile {
            name_constraints: Some(constraints),
            ..ca(common_name("Shop CA"))
        };
        let intermediate = by_authority(
            &below,
            &Locations::default(),
            intermediate_key.public(),
            &authority,
            issued(),
        )
        .unwrap();
        let mut shop = Self {
            root,
            leaf: intermediate.clone(),
            intermediate,
            intermediate_key,
            key,
        };
        let mut wanted = profile(
            DistinguishedName::default(),
            &["shop.example.com", "www.shop.example.com"],
        );
        wanted.names.ip.insert("10.0.0.1".parse().unwrap());
        shop.leaf = shop.sign(&wanted, &shop.key);
        shop
    }

    pub(super) fn sign(&self, profile: &Profile, key: &PrivateKey) -> CertificateDer {
        let authority = Authority::read(
            pem(&[&self.intermediate]).as_bytes(),
            self.intermediate_key.to_pem(KeyEncoding::Pkcs8).as_bytes(),
            None,
        )
        .unwrap_or_else(|problem| panic!("{problem}"));
        let locations = Locations {
            crl_distribution_points: vec!["http://crl.example.com/shop".into()],
            ocsp_servers: vec!["http://ocsp.example.com".into()],
            issuing_certificate_urls: vec!["http://ca.example.com/shop.crt".into()],
        };
        by_authority(profile, &locations, key.public(), &authority, issued()).unwrap()
    }

    pub(super) fn key_pem(&self) -> String {
        self.key.to_pem(KeyEncoding::Pkcs8).as_str().to_owned()
    }

    /// Puts in what is random: serial numbers, and the fingerprints that follow from keys and signatures.
    pub(super) fn fill(&self, expected: &str) -> String {
        let mut text = expected.to_owned();
        for (name, der) in [
            ("leaf", &self.leaf),
            ("intermediate", &self.intermediate),
            ("root", &self.root),
        ] {
            let facts = Facts::read(der).unwrap();
            text = text
                .replace(&format!("{{{name} serial}}"), &words::octets(&facts.serial))
                .replace(
                    &format!("{{{name} fingerprint}}"),
                    &facts.fingerprint.to_string(),
                );
        }
        text
    }
}

const DAY: i64 = 86_400;

pub(super) fn profile(subject: DistinguishedName, dns: &[&str]) -> Profile {
    Profile {
        subject,
        names: Names {
            dns: dns.iter().map(|&name| name.to_owned()).collect(),
            ..Names::default()
        },
        key_usages: [KeyUsage::DigitalSignature].into(),
        extended_key_usages: ["1.3.6.1.5.5.7.3.1".to_owned()].into(),
        is_ca: false,
        name_constraints: None,
        key: KeySpec::Ecdsa(256),
        signature_algorithm: None,
        usages_in_request: true,
        lifetime_seconds: 90 * DAY,
    }
}

pub(super) fn ca(subject: DistinguishedName) -> Profile {
    Profile {
        key_usages: [KeyUsage::KeyCertSign].into(),
        extended_key_usages: BTreeSet::new(),
        is_ca: true,
        lifetime_seconds: 1825 * DAY,
        ..profile(subject, &[])
    }
}

pub(super) fn common_name(name: &str) -> DistinguishedName {
    DistinguishedName(vec![vec![attribute("2.5.4.3", name)]])
}

fn attribute(oid: &str, value: &str) -> Attribute {
    Attribute {
        oid: oid.to_owned(),
        value: value.to_owned(),
    }
}

pub(super) fn generate() -> PrivateKey {
    PrivateKey::generate(KeySpec::Ecdsa(256)).unwrap()
}

pub(super) fn pem(certificates: &[&CertificateDer]) -> String {
    chain::to_pem(certificates.iter().copied())
}

pub(super) fn issued() -> Timestamp {
    at("2026-11-02T10:00:00Z")
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
