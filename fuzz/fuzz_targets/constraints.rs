//! The name constraints of a CA that isn't ours: the input is the extension's value. Where we sign under them, webpki
//! lets the certificate pass.
#![no_main]

use std::net::IpAddr;
use std::time::Duration;

use certwright_core::api::certificate::KeyEncoding;
use certwright_core::pki::profile::{Attribute, DistinguishedName, KeyUsage, Names};
use certwright_core::pki::sign::{self, Locations};
use certwright_core::pki::{Authority, CertificateDer, Facts, KeySpec, PrivateKey, Profile, chain};
use certwright_fuzz::{key, now};
use libfuzzer_sys::fuzz_target;
use rustls_pki_types::UnixTime;
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage as Purpose, anchor_from_trusted_cert,
};

fuzz_target!(|constraints: &[u8]| {
    let key = key(KeySpec::Ecdsa(256)).unwrap();
    let ca = CertificateDer::from(ca(key, constraints));
    let pem = chain::to_pem([&ca]);
    let Ok(authority) = Authority::read(
        pem.as_bytes(),
        key.to_pem(KeyEncoding::Pkcs8).as_bytes(),
        None,
    ) else {
        return;
    };
    for profile in profiles() {
        let Ok(leaf) = sign::by_authority(
            &profile,
            &Locations::default(),
            key.public(),
            &authority,
            now(),
        ) else {
            continue;
        };
        assert!(
            Facts::read(&leaf)
                .unwrap()
                .is_signed_by(authority.certificate())
        );
        if webpki_knows(&profile, &authority)
            && let Some(problem) = refused_for_its_name(&ca, &leaf)
        {
            panic!(
                "{problem}: {:?}, {:?}, {:?}",
                profile.names,
                authority.certificate().name_constraints,
                authority.certificate().unknown_constraints
            );
        }
    }
});

/// webpki holds nothing against constraints of directory names, URIs and mailboxes: it refuses.
fn webpki_knows(profile: &Profile, authority: &Authority) -> bool {
    let names = &profile.names;
    // A directory name that can't be read is told by its tag.
    let of_directories = |text: &String| text.contains("dirName:") || text.contains("[4]:");
    let unknown = &authority.certificate().unknown_constraints;
    names.uri.is_empty() && names.email.is_empty() && !unknown.iter().any(of_directories)
}

/// Why webpki refuses the certificate, if it does so for its names.
fn refused_for_its_name(ca: &CertificateDer, leaf: &CertificateDer) -> Option<Error> {
    let anchors = [anchor_from_trusted_cert(ca).ok()?];
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now().as_second().unsigned_abs()));
    let leaf = EndEntityCert::try_from(leaf).unwrap();
    let outcome = leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        &[],
        now,
        Purpose::server_auth(),
        None,
        None,
    );
    outcome
        .err()
        .filter(|problem| matches!(problem, Error::NameConstraintViolation))
}

/// One profile for each kind of name.
fn profiles() -> [Profile; 8] {
    let one = |text: &str| [text.to_owned()].into();
    let ip = |text: &str| [text.parse::<IpAddr>().unwrap()].into();
    [
        Names {
            dns: one("a.b.example.com"),
            ..Names::default()
        },
        Names {
            dns: one("*.example.com"),
            ..Names::default()
        },
        Names {
            dns: one("_srv.a"),
            ..Names::default()
        },
        Names {
            ip: ip("192.0.2.1"),
            ..Names::default()
        },
        Names {
            ip: ip("2001:db8::1"),
            ..Names::default()
        },
        Names {
            email: one("Ops@b.example.com"),
            ..Names::default()
        },
        Names {
            uri: one("spiffe://b.example.com/a"),
            ..Names::default()
        },
        Names {
            other: [("1.2.3".to_owned(), "a".to_owned())].into(),
            ..Names::default()
        },
    ]
    .map(|names| Profile {
        subject: if names.email.is_empty() {
            DistinguishedName::default()
        } else {
            subject()
        },
        names,
        key_usages: [KeyUsage::DigitalSignature].into(),
        extended_key_usages: one("1.3.6.1.5.5.7.3.1"),
        is_ca: false,
        name_constraints: None,
        key: KeySpec::Ecdsa(256),
        signature_algorithm: None,
        usages_in_request: true,
        lifetime_seconds: 3600,
    })
}

fn subject() -> DistinguishedName {
    let attribute = |oid: &str, value: &str| {
        vec![Attribute {
            oid: oid.to_owned(),
            value: value.to_owned(),
        }]
    };
    DistinguishedName(vec![
        attribute("2.5.4.6", "DE"),
        attribute("2.5.4.3", "Jo  Doe"),
    ])
}

/// A CA's certificate with this value of its name constraints. Nobody looks at its signature.
fn ca(key: &PrivateKey, constraints: &[u8]) -> Vec<u8> {
    const ECDSA_WITH_SHA256: [u8; 12] = [0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    const TRUE: [u8; 3] = [1, 1, 0xff];
    let name = element(
        0x30,
        &[&element(
            0x31,
            &[&element(
                0x30,
                &[&[6, 3, 0x55, 4, 3], &element(0x0c, &[b"ca"])],
            )],
        )],
    );
    let validity = element(
        0x30,
        &[
            &element(0x17, &[b"260101000000Z"]),
            &element(0x17, &[b"360101000000Z"]),
        ],
    );
    let extension = |last: u8, value: &[u8]| {
        element(
            0x30,
            &[&[6, 3, 0x55, 0x1d, last], &TRUE, &element(4, &[value])],
        )
    };
    let is_ca = extension(19, &element(0x30, &[&TRUE]));
    let extensions = element(
        0xa3,
        &[&element(0x30, &[&is_ca, &extension(30, constraints)])],
    );
    let version_and_serial = [0xa0, 3, 2, 1, 2, 2, 1, 7];
    let signed = element(
        0x30,
        &[
            &version_and_serial,
            &ECDSA_WITH_SHA256,
            &name,
            &validity,
            &name,
            key.public().as_der(),
            &extensions,
        ],
    );
    element(
        0x30,
        &[&signed, &ECDSA_WITH_SHA256, &element(3, &[&[0, 0]])],
    )
}

/// An element of DER.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().take_while(|octet| **octet == 0).count()..];
    let mut element = vec![tag];
    if content.len() >= 0x80 {
        element.push(0x80 | u8::try_from(length.len()).unwrap());
    } else if length.is_empty() {
        element.push(0);
    }
    element.extend(length);
    element.extend(content);
    element
}
