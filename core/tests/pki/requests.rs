//! Requests: OpenSSL verifies them and reads out of them what was asked.

use certwright_core::pki::csr::Csr;
use certwright_core::pki::profile::{KeyUsage, NameConstraints, Names, Subtrees};
use certwright_core::pki::{KeySpec, Profile};

use crate::made::{HOST, SPECS, algorithms, ca, key, leaf, subject};
use crate::openssl::{OpenSsl, line_below};

/// The request as OpenSSL tells it, once it has verified the signature.
fn text(csr: &Csr) -> String {
    let said = OpenSsl::new().run_with(
        "req -inform DER -noout -verify -text -nameopt RFC2253,utf8,-esc_msb",
        &csr.0,
    );
    assert!(
        said.success && said.text.contains("verify OK"),
        "{}",
        said.text
    );
    said.text
}

#[test]
fn every_key_and_algorithm_makes_requests_that_verify() {
    for spec in SPECS {
        for (algorithm, name) in algorithms(spec) {
            let profile = Profile {
                signature_algorithm: Some(algorithm),
                ..leaf()
            };
            let csr = Csr::new(&profile, key(spec, 0)).unwrap();
            let text = text(&csr);
            assert!(
                text.contains(&format!("Signature Algorithm: {name}\n")),
                "{text}"
            );
            assert_eq!(
                csr.verified_public_key().unwrap(),
                *key(spec, 0).public(),
                "{spec:?} {name}"
            );
        }
        let csr = Csr::new(&leaf(), key(spec, 0)).unwrap();
        text(&csr);
        csr.verified_public_key().unwrap();
    }
}

#[test]
fn a_request_says_what_the_profile_says() {
    let profile = Profile {
        subject: subject(&[&[("2.5.4.10", "Ä")], &[("2.5.4.3", HOST)]]),
        key_usages: [KeyUsage::DigitalSignature, KeyUsage::KeyCertSign].into(),
        is_ca: true,
        name_constraints: Some(NameConstraints {
            critical: true,
            permitted: Subtrees {
                dns: ["example.com".to_owned()].into(),
                ..Default::default()
            },
            excluded: Subtrees::default(),
        }),
        ..leaf()
    };
    let text = text(&Csr::new(&profile, key(KeySpec::Ecdsa(256), 0)).unwrap());
    assert!(text.contains("Subject: CN=www.example.com,O=Ä\n"), "{text}");
    let below =
        |heading| line_below(&text, heading).unwrap_or_else(|| panic!("{heading} in {text}"));
    assert_eq!(
        below("X509v3 Subject Alternative Name:"),
        "DNS:www.example.com"
    );
    assert_eq!(
        below("X509v3 Key Usage: critical"),
        "Digital Signature, Certificate Sign"
    );
    assert_eq!(
        below("X509v3 Extended Key Usage:"),
        "TLS Web Server Authentication"
    );
    assert_eq!(below("X509v3 Basic Constraints: critical"), "CA:TRUE");
    assert_eq!(below("X509v3 Name Constraints: critical"), "Permitted:");
}

#[test]
fn a_request_can_leave_the_usages_out_and_nothing_else_with_them() {
    let profile = Profile {
        usages_in_request: false,
        ..leaf()
    };
    let text = text(&Csr::new(&profile, key(KeySpec::Ecdsa(256), 0)).unwrap());
    assert!(!text.contains("Usage"), "{text}");
    assert!(!text.contains("Basic Constraints"), "{text}");
    assert_eq!(
        line_below(&text, "X509v3 Subject Alternative Name: critical").unwrap(),
        "DNS:www.example.com"
    );
}

#[test]
fn a_request_that_asks_for_no_extension_has_no_attribute() {
    let profile = Profile {
        names: Names::default(),
        usages_in_request: false,
        is_ca: false,
        ..ca("x")
    };
    let text = text(&Csr::new(&profile, key(KeySpec::Ecdsa(256), 0)).unwrap());
    assert!(text.contains("Attributes:\n            (none)"), "{text}");
}

#[test]
fn a_changed_request_does_not_verify() {
    let csr = Csr::new(&leaf(), key(KeySpec::Ed25519, 0)).unwrap();
    for position in 0..csr.0.len() {
        let mut changed = csr.clone();
        changed.0[position] ^= 0x01;
        assert!(changed.verified_public_key().is_err(), "octet {position}");
        assert!(
            Csr(csr.0[..position].to_vec())
                .verified_public_key()
                .is_err(),
            "cut at {position}"
        );
    }
}

#[test]
fn openssl_signs_a_request_with_all_that_it_asks_for() {
    let openssl = OpenSsl::new();
    openssl.file(
        "csr.der",
        &Csr::new(&leaf(), key(KeySpec::Ecdsa(521), 0)).unwrap().0,
    );
    openssl.must("genpkey -algorithm ED25519 -out ca.key");
    openssl.must("req -x509 -new -key ca.key -subj /CN=ca -out ca.pem");
    openssl.must("x509 -req -in csr.der -inform DER -CA ca.pem -CAkey ca.key -set_serial 1 -copy_extensions copy -out leaf.pem");
    openssl
        .must("verify -CAfile ca.pem -purpose sslserver -verify_hostname www.example.com leaf.pem");
}
