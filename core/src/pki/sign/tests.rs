use std::collections::HashSet;

use super::*;
use crate::pki::profile::{DistinguishedName, Names};
use crate::pki::testing::{
    DAY, at, attribute, below, ca, key, leaf, now, root, self_signed, signed,
};
use crate::pki::{Facts, PrivateKey, facts};

fn contains(der: &[u8], part: &[u8]) -> bool {
    der.windows(part.len()).any(|window| window == part)
}

fn refusal(profile: &Profile) -> String {
    super::self_signed(profile, &Locations::default(), &key(), now())
        .unwrap_err()
        .to_string()
}

#[test]
fn a_self_signed_leaf_says_what_was_asked_and_nothing_more() {
    let (profile, key) = (leaf(&["example.com"]), key());
    let certificate = self_signed(&profile, &key);
    let expected = Facts {
        names: profile.names.clone(),
        key_usages: Some(profile.key_usages.clone()),
        public_key: key.public().clone(),
        key: Some(profile.key),
        signature_algorithm: "ecdsa-with-SHA256".to_owned(),
        not_before: at("2026-11-23T10:00:00Z"),
        not_after: at("2027-02-21T10:00:00Z"),
        subject_key_id: Some(key.public().key_identifier()),
        // Random, or the octets themselves:
        der: certificate.der.clone(),
        fingerprint: facts::Fingerprint::of(&certificate.der),
        serial: certificate.serial.clone(),
        // None of the rest:
        subject: DistinguishedName::default(),
        issuer: DistinguishedName::default(),
        unknown_names: Vec::new(),
        extended_key_usages: [].into(),
        is_ca: false,
        path_length: None,
        name_constraints: None,
        unknown_constraints: Vec::new(),
        authority_key_id: Some(key.public().key_identifier()),
        crl_distribution_points: Vec::new(),
        ocsp_servers: Vec::new(),
        issuing_certificate_urls: Vec::new(),
    };
    assert_eq!(certificate, expected);
    assert!(certificate.is_self_signed());
}

#[test]
fn a_leaf_names_its_ca_by_its_own_octets_and_key() {
    let subject = DistinguishedName(vec![
        vec![attribute("2.5.4.6", "DE")],
        vec![attribute("2.5.4.11", "one")],
        vec![attribute("2.5.4.11", "two")],
        vec![attribute("2.5.4.3", "ca"), attribute("2.5.4.5", "7")],
    ]);
    let ca = root(&Profile { subject, ..ca("") });
    let leaf = signed(&ca, &leaf(&["example.com"]), &key()).unwrap();
    assert_eq!(leaf.issuer, ca.certificate().subject);
    assert!(contains(&leaf.der, ca.certificate().subject_der().unwrap()));
    assert_eq!(leaf.authority_key_id, ca.certificate().subject_key_id);
    assert_eq!(
        ca.certificate().authority_key_id,
        ca.certificate().subject_key_id
    );
    assert!(leaf.is_signed_by(ca.certificate()));
}

#[test]
fn serial_numbers_are_16_octets_positive_and_never_repeated() {
    let key = key();
    let serials: HashSet<Vec<u8>> = (0..100)
        .map(|_| self_signed(&leaf(&["a.example"]), &key).serial)
        .collect();
    assert_eq!(serials.len(), 100);
    assert!(
        serials
            .iter()
            .all(|serial| serial.len() == 16 && (0x40..0x80).contains(&serial[0]))
    );
}

#[test]
fn never_outlives_its_ca() {
    let ca = root(&ca("ca"));
    let end = |lifetime_seconds| {
        let profile = Profile {
            lifetime_seconds,
            ..leaf(&["example.com"])
        };
        signed(&ca, &profile, &key()).unwrap().not_after
    };
    assert_eq!(end(364 * DAY), at("2027-11-22T10:00:00Z"));
    assert_eq!(end(365 * DAY), at("2027-11-23T10:00:00Z"));
    assert_eq!(end(366 * DAY), at("2027-11-23T10:00:00Z"));
    assert_eq!(end(i64::MAX), at("2027-11-23T10:00:00Z"));
}

#[test]
fn a_ca_signs_only_while_it_is_valid() {
    let ca = root(&ca("ca"));
    let sign = |now| {
        by_authority(
            &leaf(&["a.example"]),
            &Locations::default(),
            key().public(),
            &ca,
            at(now),
        )
    };
    assert_eq!(
        sign("2026-11-23T09:00:00Z").unwrap_err().to_string(),
        "the CA is not valid before 2026-11-23T10:00:00Z"
    );
    assert_eq!(
        sign("2027-11-24T00:00:00Z").unwrap_err().to_string(),
        "the CA expired at 2027-11-23T10:00:00Z"
    );
    assert_eq!(
        sign("2027-11-23T10:00:00Z").unwrap_err().to_string(),
        "a lifetime of 7776000 seconds is over before it starts"
    );
}

#[test]
fn times_are_utc_time_until_2049_and_generalized_time_after() {
    let until = |lifetime_seconds, now: &str| {
        let profile = Profile {
            lifetime_seconds,
            ..leaf(&["example.com"])
        };
        super::self_signed(&profile, &Locations::default(), &key(), at(now)).unwrap()
    };
    let last = until(1, "2049-12-31T23:59:58Z");
    assert!(contains(
        &last,
        b"\x17\x0d491231235958Z\x17\x0d491231235959Z"
    ));
    let first = until(1, "2049-12-31T23:59:59Z");
    assert!(contains(
        &first,
        b"\x17\x0d491231235959Z\x18\x0f20500101000000Z"
    ));
    // The end of what a Timestamp can say.
    let endless = until(i64::MAX, "2026-01-01T00:00:00Z");
    assert!(contains(&endless, b"\x18\x0f99991230220000Z"));
}

#[test]
fn a_lifetime_that_is_none_is_refused() {
    for lifetime_seconds in [0, -1, i64::MIN] {
        let profile = Profile {
            lifetime_seconds,
            ..leaf(&["example.com"])
        };
        assert!(
            refusal(&profile).contains("is over before it starts"),
            "{lifetime_seconds}"
        );
    }
}

#[test]
fn the_names_are_critical_only_without_a_subject() {
    // Identifier, then BOOLEAN TRUE where it is critical, then the octet string.
    let (critical, not_critical) = (
        b"\x06\x03\x55\x1d\x11\x01\x01\xff\x04",
        b"\x06\x03\x55\x1d\x11\x04",
    );
    let without = self_signed(&leaf(&["example.com"]), &key());
    assert!(contains(&without.der, critical));
    let with = self_signed(
        &Profile {
            subject: crate::pki::testing::named("x"),
            ..leaf(&["example.com"])
        },
        &key(),
    );
    assert!(contains(&with.der, not_critical) && !contains(&with.der, critical));
}

#[test]
fn attributes_are_of_the_string_type_that_x_509_names() {
    let subject = [
        ("2.5.4.6", "DE"),
        ("2.5.4.5", "7"),
        ("2.5.4.46", "q"),
        ("1.2.840.113549.1.9.1", "jo@example.com"),
        ("0.9.2342.19200300.100.1.25", "com"),
        ("2.5.4.10", "Ä"),
    ];
    let subject = DistinguishedName(
        subject
            .iter()
            .map(|(oid, value)| vec![attribute(oid, value)])
            .collect(),
    );
    let der = self_signed(
        &Profile {
            subject: subject.clone(),
            ..leaf(&[])
        },
        &key(),
    );
    assert_eq!(der.subject, subject);
    for encoded in [
        "\x13\x02DE",
        "\x13\x017",
        "\x13\x01q",
        "\x16\x0ejo@example.com",
        "\x16\x03com",
        "\x0c\x02Ä",
    ] {
        assert!(contains(&der.der, encoded.as_bytes()), "{encoded:?}");
    }
}

#[test]
fn a_multi_valued_rdn_is_a_sorted_set() {
    let both = |first: [&str; 2], second: [&str; 2]| {
        let rdn = vec![
            attribute(first[0], first[1]),
            attribute(second[0], second[1]),
        ];
        encode::distinguished_name(&DistinguishedName(vec![rdn])).unwrap()
    };
    let expected = b"\x30\x18\x31\x16\x30\x08\x06\x03\x55\x04\x03\x0c\x01a\x30\x0a\x06\x03\x55\x04\x0a\x0c\x03bcd";
    assert_eq!(both(["2.5.4.3", "a"], ["2.5.4.10", "bcd"]), expected);
    assert_eq!(both(["2.5.4.10", "bcd"], ["2.5.4.3", "a"]), expected);
}

#[test]
fn says_what_cannot_be_written() {
    let subject = |oid: &str, value: &str| Profile {
        subject: DistinguishedName(vec![vec![attribute(oid, value)]]),
        ..leaf(&["example.com"])
    };
    assert_eq!(
        refusal(&subject("2.5.4.6", "Ä")),
        "the subject's attribute 2.5.4.6 can't be \"Ä\": only letters, digits, space and '()+,-./:=? may stand there"
    );
    assert_eq!(
        refusal(&subject("1.2.840.113549.1.9.1", "ä@example.com")),
        "the subject's attribute 1.2.840.113549.1.9.1 can't be \"ä@example.com\": only ASCII may stand there"
    );
    assert_eq!(
        refusal(&subject("cn", "x")),
        "the subject's attribute cn can't be \"x\": its type is not an object identifier"
    );
    assert_eq!(
        refusal(&leaf(&["ä.example"])),
        "the DNS name \"ä.example\" can't be written: it is not ASCII"
    );
    let twice = vec![attribute("2.5.4.3", "x"), attribute("2.5.4.3", "x")];
    assert_eq!(
        refusal(&Profile {
            subject: DistinguishedName(vec![twice]),
            ..leaf(&[])
        }),
        "an attribute of the subject stands twice in one RDN"
    );
    let other = Names {
        other: [("x".to_owned(), "y".to_owned())].into(),
        ..Default::default()
    };
    assert_eq!(
        refusal(&Profile {
            names: other,
            ..leaf(&[])
        }),
        "otherName x is not an object identifier"
    );
}

#[test]
fn a_key_of_another_kind_than_the_algorithm_is_an_error() {
    let profile = Profile {
        signature_algorithm: Some(SignatureAlgorithm::Sha256WithRsa),
        ..leaf(&["example.com"])
    };
    assert_eq!(
        refusal(&profile),
        "keys of this kind are not served: ECDSA keys don't sign with Sha256WithRsa"
    );
}

#[test]
fn the_profiles_algorithm_is_for_requests_and_does_not_bind_the_ca() {
    let profile = Profile {
        signature_algorithm: Some(SignatureAlgorithm::PureEd25519),
        ..leaf(&["example.com"])
    };
    let ed25519 = PrivateKey::generate(crate::pki::KeySpec::Ed25519).unwrap();
    let certificate = signed(&root(&ca("ca")), &profile, &ed25519).unwrap();
    assert_eq!(certificate.signature_algorithm, "ecdsa-with-SHA256");
}

#[test]
fn an_issuers_locations_stand_in_the_certificate() {
    let places = |kind: &str| {
        vec![
            format!("http://{kind}.example/1"),
            format!("http://{kind}.example/2"),
        ]
    };
    let locations = Locations {
        crl_distribution_points: places("crl"),
        ocsp_servers: places("ocsp"),
        issuing_certificate_urls: places("ca"),
    };
    let ca = root(&ca("ca"));
    let der = by_authority(
        &leaf(&["a.example"]),
        &locations,
        key().public(),
        &ca,
        now(),
    )
    .unwrap();
    let read = Facts::read(&der).unwrap();
    let found = Locations {
        crl_distribution_points: read.crl_distribution_points,
        ocsp_servers: read.ocsp_servers,
        issuing_certificate_urls: read.issuing_certificate_urls,
    };
    assert_eq!(found, locations);
}

#[test]
fn a_ca_made_here_sets_no_path_length_and_keeps_to_those_above() {
    let intermediate = below(&root(&ca("root")), &ca("intermediate"));
    let certificate = intermediate.certificate();
    assert!(certificate.is_ca && certificate.path_length.is_none());
    assert!(
        signed(
            &below(&intermediate, &ca("deeper")),
            &leaf(&["a.example"]),
            &key()
        )
        .is_ok()
    );
}
