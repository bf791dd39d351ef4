//! CAs that others made.

use certwright_core::pki::sign::{Locations, by_authority};
use certwright_core::pki::{Authority, Facts, KeySpec, PrivateKey, chain};

use crate::made::{HOST, ca, key, leaf, pem, root, signed};
use crate::openssl::OpenSsl;

/// Makes a CA certificate for `ca.key`, with these lines of configuration for subject and extensions.
fn certificate(openssl: &OpenSsl, options: &str, subject: &str, extensions: &str) {
    openssl.file(
        "ca.cnf",
        format!(
            "[req]\nprompt = no\ndistinguished_name = subject\nx509_extensions = extensions\n\
             [subject]\n{subject}\n[extensions]\nbasicConstraints = critical, CA:TRUE\n{extensions}\n"
        ),
    );
    openssl.must(&format!(
        "req -x509 -new -key ca.key -config ca.cnf -days 30 {options} -out ca.pem"
    ));
}

fn read(openssl: &OpenSsl) -> Authority {
    let file = |name| std::fs::read(openssl.path(name)).unwrap();
    Authority::read(&file("ca.pem"), &file("ca.key"), None).unwrap()
}

/// The CA signs a leaf that OpenSSL accepts now: OpenSSL made the CA by its own clock.
fn assert_signs(openssl: &OpenSsl, authority: &Authority, what: &str) {
    let now = authority.certificate().not_before;
    let der = by_authority(
        &leaf(),
        &Locations::default(),
        key(KeySpec::Ecdsa(256), 0).public(),
        authority,
        now,
    )
    .unwrap();
    openssl.file("leaf.pem", chain::to_pem([&der]));
    let said = openssl.run(&format!(
        "verify -attime {} -purpose sslserver -verify_hostname {HOST} -CAfile ca.pem leaf.pem",
        now.as_second()
    ));
    assert!(said.success, "{what}: {}", said.text);
}

#[test]
fn a_cas_key_is_read_in_every_form() {
    for make in [
        "genrsa -out ca.key 2048",
        "genrsa -traditional -out ca.key 2048",
        "ecparam -name prime256v1 -genkey -out ca.key",
        "ecparam -name secp521r1 -genkey -noout -out ca.key",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out ca.key",
        "genpkey -algorithm ED25519 -out ca.key",
    ] {
        let openssl = OpenSsl::new();
        openssl.must(make);
        certificate(&openssl, "", "CN = ca", "keyUsage = critical, keyCertSign");
        assert_signs(&openssl, &read(&openssl), make);
    }
}

#[test]
fn a_ca_without_key_identifiers_is_named_by_its_key() {
    let openssl = OpenSsl::new();
    openssl.must("ecparam -name prime256v1 -genkey -noout -out ca.key");
    certificate(
        &openssl,
        "",
        "CN = ca",
        "subjectKeyIdentifier = none\nauthorityKeyIdentifier = none",
    );
    let authority = read(&openssl);
    assert_eq!(authority.certificate().subject_key_id, None);
    let now = authority.certificate().not_before;
    let der = by_authority(
        &leaf(),
        &Locations::default(),
        key(KeySpec::Ecdsa(256), 0).public(),
        &authority,
        now,
    )
    .unwrap();
    let facts = Facts::read(&der).unwrap();
    assert_eq!(
        facts.authority_key_id,
        Some(authority.certificate().public_key.key_identifier())
    );
    assert_signs(&openssl, &authority, "no key identifiers");
}

#[test]
fn a_name_in_old_string_types_is_kept_octet_for_octet() {
    // BMPString and T61String, which we would never write.
    for mask in ["MASK:0x800", "MASK:0x4", "pkix"] {
        let openssl = OpenSsl::new();
        openssl.must("ecparam -name prime256v1 -genkey -noout -out ca.key");
        openssl.file(
            "ca.cnf",
            format!(
                "[req]\nprompt = no\ndistinguished_name = subject\nx509_extensions = extensions\nstring_mask = {mask}\n\
                 utf8 = yes\n[subject]\nO = Müller\n0.OU = one\n1.OU = two\nCN = ca\n\
                 [extensions]\nbasicConstraints = critical, CA:TRUE\n"
            ),
        );
        openssl.must("req -x509 -new -key ca.key -config ca.cnf -days 30 -out ca.pem");
        let authority = read(&openssl);
        let words: Vec<_> = authority
            .certificate()
            .subject
            .0
            .iter()
            .flatten()
            .map(|attribute| attribute.value.as_str())
            .collect();
        assert_eq!(words, ["Müller", "one", "two", "ca"], "{mask}");
        assert_signs(&openssl, &authority, mask);
    }
}

#[test]
fn chains_signed_with_pss_are_followed() {
    let openssl = OpenSsl::new();
    openssl.must("genrsa -out ca.key 2048");
    certificate(
        &openssl,
        "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -sha256",
        "CN = ca",
        "",
    );
    let authority = read(&openssl);
    assert_eq!(authority.certificate().signature_algorithm, "rsassaPss");
    assert!(authority.certificate().is_self_signed());
    assert!(authority.intermediates().is_empty());
}

#[test]
fn a_root_signed_over_sha_1_is_a_root_and_signs_no_chain_over_sha_1() {
    let openssl = OpenSsl::new();
    openssl.must("genrsa -out ca.key 2048");
    certificate(&openssl, "-sha1", "CN = ca", "");
    let authority = read(&openssl);
    assert_eq!(
        authority.certificate().signature_algorithm,
        "sha1WithRSAEncryption"
    );
    assert!(authority.certificate().is_self_signed());
    assert!(
        !authority
            .certificate()
            .is_signed_by(authority.certificate()),
        "nothing to build a chain on"
    );
    assert!(authority.intermediates().is_empty());
    assert_signs(&openssl, &authority, "SHA-1 root");
}

#[test]
fn what_we_sign_is_read_back_from_pem_by_openssl() {
    let openssl = OpenSsl::new();
    openssl.must("genpkey -algorithm ED25519 -out ca.key");
    let ca_key = PrivateKey::from_pem(&std::fs::read(openssl.path("ca.key")).unwrap()).unwrap();
    let authority = root(&ca("ca"), &ca_key);
    let leaf = signed(&authority, &leaf(), key(KeySpec::Ecdsa(256), 0));
    openssl.file("chain.pem", pem(&[leaf, authority.certificate().clone()]));
    openssl.must("crl2pkcs7 -nocrl -certfile chain.pem -out chain.p7");
    let said = openssl.must("pkcs7 -in chain.p7 -print_certs -noout");
    assert_eq!(said.matches("issuer=CN = ca").count(), 2, "{said}");
}
