use super::*;
use crate::pki::profile::Subtrees;
use crate::pki::testing::{
    at, attribute, authority, ca, everything, key, leaf, root, self_signed, signed,
};

#[test]
fn reads_everything_a_certificate_says() {
    let facts = Facts::read(&everything()).unwrap();
    let expected = Facts {
        der: everything(),
        fingerprint: "0ab107c2b44eecbc60720b5d1e1c9d48c33c4f7bb020ab50965407c455180008"
            .parse()
            .unwrap(),
        serial: vec![0x00, 0xff, 0x01],
        subject: everything_name(),
        issuer: everything_name(),
        names: Names {
            dns: set(&["www.example.com", "*.example.com"]),
            ip: BTreeSet::from(["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]),
            uri: set(&["spiffe://example.com/a"]),
            email: set(&["Jo@Example.com"]),
            other: [(
                "1.3.6.1.4.1.311.20.2.3".to_owned(),
                "jo@example.com".to_owned(),
            )]
            .into(),
        },
        unknown_names: list(&[
            "otherName:1.2.3.5:#a003160178",
            "dirName:CN=elsewhere",
            "registeredID:1.2.3.4",
        ]),
        key_usages: Some(BTreeSet::from(read::KEY_USAGES)),
        extended_key_usages: set(&["1.3.6.1.5.5.7.3.1", "1.2.3.4"]),
        is_ca: true,
        path_length: Some(3),
        name_constraints: Some(everything_constraints()),
        unknown_constraints: list(&[
            "permitted IP:#0a000001ff0000ff",
            "permitted dirName:CN=elsewhere",
        ]),
        public_key: facts.public_key.clone(),
        key: Some(KeySpec::Ecdsa(256)),
        signature_algorithm: "ecdsa-with-SHA384".to_owned(),
        not_before: at("2026-11-23T19:12:32Z"),
        not_after: at("2126-10-30T19:12:32Z"),
        subject_key_id: Some(facts.public_key.key_identifier()),
        authority_key_id: None,
        crl_distribution_points: list(&[
            "http://crl.example.com/a.crl",
            "http://crl.example.com/b.crl",
        ]),
        ocsp_servers: list(&["http://ocsp.example.com"]),
        issuing_certificate_urls: list(&["http://ca.example.com/ca.cer"]),
    };
    assert_eq!(facts, expected);
    assert_eq!(facts.serial_hex(), "ff01");
    assert_eq!(
        hex(&facts.public_key.key_identifier()),
        "74dfe91e3b8536ac362831b545d58d9c9d894134"
    );
    assert!(facts.is_self_signed());
}

fn everything_name() -> DistinguishedName {
    DistinguishedName(vec![
        vec![attribute("2.5.4.6", "DE")],
        vec![attribute("2.5.4.10", "Example Ä")],
        vec![attribute("2.5.4.11", "one")],
        vec![attribute("2.5.4.11", "two")],
        vec![
            attribute("2.5.4.5", "7"),
            attribute("2.5.4.3", "Everything"),
        ],
    ])
}

fn everything_constraints() -> NameConstraints {
    let networks = [
        ("192.0.2.0".parse().unwrap(), 24),
        ("2001:db8::".parse().unwrap(), 32),
    ];
    NameConstraints {
        critical: true,
        permitted: Subtrees {
            dns: set(&["example.com"]),
            ip: networks.into(),
            email: set(&[".example.com"]),
            uri: set(&["example.com"]),
        },
        excluded: Subtrees {
            dns: set(&["bad.example.com"]),
            ..Default::default()
        },
    }
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_certificate_cut_or_continued_anywhere_is_refused() {
    let der = everything();
    for length in 0..der.len() {
        assert!(
            Facts::read(&der[..length].to_vec().into()).is_err(),
            "cut at {length}"
        );
    }
    assert_eq!(
        Facts::read(&[&der[..], &[0]].concat().into())
            .unwrap_err()
            .to_string(),
        "not an X.509 certificate: something follows it"
    );
}

#[test]
fn no_changed_octet_makes_reading_fail_otherwise_than_by_an_error_nor_the_signature_hold() {
    let der = everything();
    let mut read = 0;
    for position in 0..der.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = der.to_vec();
            changed[position] ^= flip;
            if let Ok(facts) = Facts::read(&changed.into()) {
                read += 1;
                assert!(
                    !facts.is_self_signed(),
                    "octet {position} changed by {flip}"
                );
            }
        }
    }
    assert!(read > 0);
}

#[test]
fn a_repeated_extension_is_refused() {
    // Basic constraints becomes a second key usage extension.
    let mut der = everything().to_vec();
    let basic_constraints = der
        .windows(3)
        .position(|window| window == [0x55, 0x1d, 0x13])
        .unwrap();
    der[basic_constraints + 2] = 0x0f;
    assert_eq!(
        Facts::read(&der.into()).unwrap_err().0,
        "extension 2.5.29.15 stands twice"
    );
}

#[test]
fn an_extension_that_must_be_understood_and_is_broken_is_refused() {
    let mut der = everything().to_vec();
    let names = der
        .windows(3)
        .position(|window| window == [0x55, 0x1d, 0x11])
        .unwrap();
    // The tag of the sequence of names.
    let sequence = names
        + 3
        + der[names + 3..]
            .iter()
            .position(|octet| *octet == 0x30)
            .unwrap();
    der[sequence] = 0x31;
    assert_eq!(
        Facts::read(&der.into()).unwrap_err().0,
        "extension 2.5.29.17 can't be read"
    );
}

#[test]
fn constraints_that_the_parser_passes_over_are_refused() {
    let whole = everything().to_vec();
    let constraints = whole
        .windows(3)
        .position(|window| window == [0x55, 0x1d, 0x1e])
        .unwrap();
    for tag in [0xa0, 0xa1] {
        let mut der = whole.clone();
        let subtrees = constraints
            + der[constraints..]
                .iter()
                .position(|octet| *octet == tag)
                .unwrap();
        // The tag of the first subtree, or, elsewhere, that of all of them.
        for at in [subtrees + 2, subtrees] {
            let before = der[at];
            der[at] = 0x31;
            let refused = Facts::read(&der.clone().into()).unwrap_err().0;
            assert_eq!(
                refused, "its name constraints can't be read",
                "{tag:x} {at}"
            );
            der[at] = before;
        }
    }
}

#[test]
fn is_signed_by_its_ca_alone() {
    let (ca, other) = (root(&ca("ca")), root(&ca("ca")));
    let leaf = signed(&ca, &leaf(&["example.com"]), &key()).unwrap();
    assert!(leaf.is_signed_by(ca.certificate()));
    assert!(
        !leaf.is_signed_by(other.certificate()),
        "the same name, another key"
    );
    assert!(!leaf.is_signed_by(&leaf));
    assert!(!ca.certificate().is_signed_by(&leaf));
    assert!(!leaf.is_self_signed());
}

#[test]
fn the_issuer_must_be_named_even_if_the_key_is_right() {
    let key = key();
    let (one, other) = (
        self_signed(&ca("one"), &key),
        self_signed(&ca("other"), &key),
    );
    let leaf = signed(&authority(&[&one], &key), &leaf(&["example.com"]), &key).unwrap();
    assert!(leaf.is_signed_by(&one));
    assert!(!leaf.is_signed_by(&other));
}

#[test]
fn debug_is_short_and_names_the_certificate() {
    let facts = Facts::read(&everything()).unwrap();
    let text = format!("{facts:?}");
    assert!(text.contains("Fingerprint(0ab107c2"), "{text}");
    assert!(!text.contains("der:"), "{text}");
}

#[test]
fn a_fingerprint_is_read_as_it_is_shown() {
    let text = "00ff".repeat(16);
    let fingerprint: Fingerprint = text.parse().unwrap();
    assert_eq!(fingerprint.to_string(), text);
    assert_eq!(text.to_uppercase().parse(), Ok(fingerprint));
    for wrong in [
        "",
        "00",
        &"0".repeat(63),
        &"0".repeat(65),
        &"+f".repeat(32),
        &"é".repeat(32),
    ] {
        assert_eq!(
            wrong.parse::<Fingerprint>(),
            Err(NotAFingerprint),
            "{wrong}"
        );
    }
    assert_eq!(
        Fingerprint::of(b"").to_string(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}
