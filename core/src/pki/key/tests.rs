use super::*;

/// The first example key of RFC 8410 section 10.3.
const RFC_8410: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const RFC_8410_PUBLIC: &str =
    "302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
const EVERY_SPEC: [KeySpec; 5] = [
    KeySpec::Rsa(2048),
    KeySpec::Ecdsa(256),
    KeySpec::Ecdsa(384),
    KeySpec::Ecdsa(521),
    KeySpec::Ed25519,
];
const BOTH: [KeyEncoding; 2] = [KeyEncoding::Pkcs1, KeyEncoding::Pkcs8];

#[test]
fn a_key_shows_nothing_of_itself() {
    let key = PrivateKey::from_pem(RFC_8410.as_bytes()).unwrap();
    assert_eq!(format!("{key:?} {key:#?}"), "PrivateKey(..) PrivateKey(..)");
    assert_eq!(format!("{:?}", key.public()), "PublicKey(a1e9156054e04fac)");
}

#[test]
fn a_key_can_be_made_on_another_thread() {
    let key = std::thread::spawn(|| PrivateKey::generate(KeySpec::Ed25519).unwrap())
        .join()
        .unwrap();
    std::thread::scope(|scope| {
        scope
            .spawn(|| assert_eq!(key.spec(), KeySpec::Ed25519))
            .join()
            .unwrap()
    });
}

#[test]
fn reads_and_writes_the_key_of_rfc_8410() {
    let key = PrivateKey::from_pem(RFC_8410.as_bytes()).unwrap();
    assert_eq!(key.spec(), KeySpec::Ed25519);
    assert_eq!(hex(key.public().as_der()), RFC_8410_PUBLIC);
    assert_eq!(
        hex(&key.public().key_identifier()),
        "a28cc1f86e5960d3e03ae75c962c97a8d448293c"
    );
    assert_eq!(
        hex(&key.public().sha256()),
        "a1e9156054e04fac899ae9f275132cdc07a5dbc4ea2c2ad3a1ffc6e0d253681f"
    );
    // Ed25519 has no form of its own.
    assert_eq!(*key.to_pem(KeyEncoding::Pkcs8), RFC_8410);
    assert_eq!(*key.to_pem(KeyEncoding::Pkcs1), RFC_8410);
}

#[test]
fn a_key_of_version_2_is_written_as_version_1() {
    // The second example of RFC 8410 section 10.3, with an attribute and the public key.
    let version_2 = "-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
";
    let key = PrivateKey::from_pem(version_2.as_bytes()).unwrap();
    assert_eq!(*key.to_pem(KeyEncoding::Pkcs8), RFC_8410);
}

#[test]
fn writes_each_kind_in_the_form_asked_for_whatever_form_it_was_read_from() {
    for spec in EVERY_SPEC {
        let made = PrivateKey::generate(spec).unwrap();
        assert_eq!(
            (made.spec(), made.read_encoding()),
            (spec, KeyEncoding::Pkcs8)
        );
        for read_from in BOTH {
            let read = PrivateKey::from_pem(made.to_pem(read_from).as_bytes()).unwrap();
            assert_eq!((read.spec(), read.public()), (spec, made.public()));
            let own_form = spec != KeySpec::Ed25519 && read_from == KeyEncoding::Pkcs1;
            assert_eq!(read.read_encoding() == KeyEncoding::Pkcs1, own_form);
            for written_as in BOTH {
                assert_eq!(*read.to_der(written_as), *made.to_der(written_as));
                assert_eq!(*read.to_pem(written_as), *made.to_pem(written_as));
            }
        }
    }
}

#[test]
fn labels_say_the_form() {
    let label = |spec, encoding| {
        let pem = PrivateKey::generate(spec).unwrap().to_pem(encoding);
        pem.lines().next().unwrap().to_owned()
    };
    assert_eq!(
        label(KeySpec::Rsa(2048), KeyEncoding::Pkcs1),
        "-----BEGIN RSA PRIVATE KEY-----"
    );
    assert_eq!(
        label(KeySpec::Ecdsa(256), KeyEncoding::Pkcs1),
        "-----BEGIN EC PRIVATE KEY-----"
    );
    assert_eq!(
        label(KeySpec::Ed25519, KeyEncoding::Pkcs1),
        "-----BEGIN PRIVATE KEY-----"
    );
    assert_eq!(
        label(KeySpec::Rsa(2048), KeyEncoding::Pkcs8),
        "-----BEGIN PRIVATE KEY-----"
    );
    assert_eq!(
        label(KeySpec::Ecdsa(256), KeyEncoding::Pkcs8),
        "-----BEGIN PRIVATE KEY-----"
    );
}

#[test]
fn the_first_private_key_counts_and_other_blocks_are_skipped() {
    let (first, second) = (
        PrivateKey::generate(KeySpec::Ecdsa(256)).unwrap(),
        PrivateKey::generate(KeySpec::Ed25519).unwrap(),
    );
    let text = format!(
        "a remark\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n\
         -----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n{}{}",
        *first.to_pem(KeyEncoding::Pkcs1),
        *second.to_pem(KeyEncoding::Pkcs8),
    );
    assert_eq!(
        PrivateKey::from_pem(text.as_bytes()).unwrap().public(),
        first.public()
    );
}

#[test]
fn says_why_a_key_is_not_read() {
    let problem = |pem: &str| {
        PrivateKey::from_pem(pem.as_bytes())
            .unwrap_err()
            .to_string()
    };
    let block = |label: &str, body: &str| {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    };
    assert_eq!(problem(""), "there is no private key in it");
    assert_eq!(
        problem(&block("CERTIFICATE", "AQID")),
        "there is no private key in it"
    );
    assert_eq!(
        problem(&block("PRIVATE KEY", "AQID")),
        "the private key cannot be read: it is not PKCS#8"
    );
    assert_eq!(
        problem(&block("EC PRIVATE KEY", "AQID")),
        "the private key cannot be read: it is not SEC1"
    );
    assert_eq!(
        problem(&block("PRIVATE KEY", "?")),
        "the private key cannot be read: it is not base64"
    );
    assert_eq!(
        problem(&block("DSA PRIVATE KEY", "AQID")),
        "keys of this kind are not served: PEM of type DSA PRIVATE KEY"
    );
    assert_eq!(
        problem("-----BEGIN PRIVATE KEY-----\nAQID"),
        "the private key cannot be read: a block has no END line"
    );
    assert_eq!(
        problem(&block("ENCRYPTED PRIVATE KEY", "AQID")),
        "the private key cannot be read: it is encrypted; store it without a passphrase"
    );
    assert_eq!(
        problem(&"x".repeat(65_537)),
        "the private key cannot be read: it is longer than 65536 bytes"
    );
    // X25519 (RFC 8410): a key, but none that signs.
    let x25519 = "MC4CAQAwBQYDK2VuBCIEIEhYKw5L3qy5m0mlvFKHl+C0OQt3n0W8Vt0Dq4QO3sxG";
    assert_eq!(
        problem(&block("PRIVATE KEY", x25519)),
        "keys of this kind are not served: algorithm 1.3.101.110"
    );
}

#[test]
fn a_key_cut_anywhere_is_refused() {
    for spec in EVERY_SPEC {
        let key = PrivateKey::generate(spec).unwrap();
        for encoding in BOTH {
            let der = key.to_der(encoding);
            let pem = key.to_pem(encoding);
            let label = pem
                .lines()
                .next()
                .unwrap()
                .trim_matches('-')
                .trim_start_matches("BEGIN ")
                .to_owned();
            for length in 0..der.len() {
                let cut = armour::armour(&label, &der[..length]);
                assert!(
                    PrivateKey::from_pem(cut.as_bytes()).is_err(),
                    "{spec:?} {encoding:?} cut at {length}"
                );
            }
        }
    }
}

#[test]
fn only_sizes_that_are_served_are_made() {
    for spec in [KeySpec::Rsa(1024), KeySpec::Rsa(2049), KeySpec::Ecdsa(224)] {
        assert!(
            matches!(PrivateKey::generate(spec), Err(KeyError::Unsupported(_))),
            "{spec:?}"
        );
    }
}

#[test]
fn a_key_signs_with_algorithms_of_its_kind_only() {
    use SignatureAlgorithm::{
        EcdsaWithSha256, EcdsaWithSha384, EcdsaWithSha512, PureEd25519, Sha256WithRsa,
        Sha384WithRsa, Sha512WithRsa,
    };
    let rsa = [Sha256WithRsa, Sha384WithRsa, Sha512WithRsa];
    let ecdsa = [EcdsaWithSha256, EcdsaWithSha384, EcdsaWithSha512];
    for spec in EVERY_SPEC {
        let key = PrivateKey::generate(spec).unwrap();
        for algorithm in rsa.into_iter().chain(ecdsa).chain([PureEd25519]) {
            let fits = match spec {
                KeySpec::Rsa(_) => rsa.contains(&algorithm),
                KeySpec::Ecdsa(_) => ecdsa.contains(&algorithm),
                KeySpec::Ed25519 => algorithm == PureEd25519,
            };
            match key.sign(algorithm, b"message") {
                Ok(_) => assert!(fits, "{spec:?} {algorithm:?}"),
                Err(KeyError::Unsupported(_)) => assert!(!fits, "{spec:?} {algorithm:?}"),
                Err(problem) => panic!("{spec:?} {algorithm:?}: {problem}"),
            }
        }
        assert!(key.sign(key.default_signature(), b"message").is_ok());
    }
}

#[test]
fn a_public_key_of_another_kind_has_no_spec() {
    let x25519 = "302a300506032b656e032100";
    let octets: Vec<u8> = (0..x25519.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&x25519[at..at + 2], 16).unwrap())
        .collect();
    let key = PublicKey::from_der(&[octets, vec![9; 32]].concat()).unwrap();
    assert_eq!(key.spec(), None);
    assert!(PublicKey::from_der(b"nonsense").is_err());
}
