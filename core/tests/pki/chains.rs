//! Every kind of key, as leaf and as CA, in every shape of chain.

use std::time::Duration;

use certwright_core::api::certificate::KeyEncoding;
use certwright_core::pki::csr::Csr;
use certwright_core::pki::{Authority, CertificateDer, Facts, KeySpec, PrivateKey, chain};
use rustls_pki_types::{ServerName, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::made::{
    HOST, NOW, SPECS, algorithms, below, ca, key, leaf, pem, root, self_signed, signed,
};
use crate::openssl::OpenSsl;

/// Whether OpenSSL accepts the leaf for a host, when it trusts `top` and is served `intermediates`.
pub(crate) fn openssl_accepts(
    top: &Facts,
    intermediates: &[Facts],
    leaf: &Facts,
    host: &str,
) -> Result<(), String> {
    let openssl = OpenSsl::new();
    openssl
        .file("top.pem", pem(std::slice::from_ref(top)))
        .file("intermediates.pem", pem(intermediates))
        .file("leaf.pem", pem(std::slice::from_ref(leaf)));
    let untrusted = if intermediates.is_empty() {
        ""
    } else {
        "-untrusted intermediates.pem"
    };
    let said = openssl.run(&format!(
        "verify -x509_strict -check_ss_sig -attime {NOW} -purpose sslserver -verify_hostname {host} \
         -CAfile top.pem -no-CApath -no-CAstore {untrusted} leaf.pem"
    ));
    if said.success { Ok(()) } else { Err(said.text) }
}

/// The same question to rustls-webpki.
pub(crate) fn webpki_accepts(
    top: &Facts,
    intermediates: &[Facts],
    leaf: &Facts,
    host: &str,
) -> Result<(), String> {
    let anchors = [anchor_from_trusted_cert(&top.der).map_err(|problem| problem.to_string())?];
    let intermediates: Vec<CertificateDer> = intermediates
        .iter()
        .map(|facts| facts.der.clone())
        .collect();
    let leaf = EndEntityCert::try_from(&leaf.der).map_err(|problem| problem.to_string())?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW.unsigned_abs()));
    let usage = KeyUsage::server_auth();
    leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        &intermediates,
        now,
        usage,
        None,
        None,
    )
    .map_err(|problem| problem.to_string())?;
    let name = ServerName::try_from(host).map_err(|problem| problem.to_string())?;
    leaf.verify_is_valid_for_subject_name(&name)
        .map_err(|problem| problem.to_string())
}

/// Both accept what the CA signs, serves and names as its top; for another host or without the intermediates, neither.
fn assert_accepted(authority: &Authority, leaf: &Facts, what: &str) {
    let (top, served) = (authority.top(), authority.intermediates());
    for accepts in [openssl_accepts, webpki_accepts] {
        assert_eq!(accepts(top, served, leaf, HOST), Ok(()), "{what}");
        assert!(
            accepts(top, served, leaf, "other.example.com").is_err(),
            "{what}: another host"
        );
        if !served.is_empty() {
            assert!(
                accepts(top, &[], leaf, HOST).is_err(),
                "{what}: without intermediates"
            );
        }
    }
    let pool: Vec<Facts> = authority.chain.iter().rev().cloned().collect();
    assert_eq!(chain::build(leaf, &pool)[1..], authority.chain, "{what}");
}

#[test]
fn a_self_signed_leaf_is_accepted_by_who_trusts_it() {
    for spec in SPECS {
        let certificate = self_signed(&leaf(), key(spec, 0));
        assert_eq!(certificate.key, Some(spec));
        for accepts in [openssl_accepts, webpki_accepts] {
            assert_eq!(
                accepts(&certificate, &[], &certificate, HOST),
                Ok(()),
                "{spec:?}"
            );
            assert!(accepts(&certificate, &[], &certificate, "other.example.com").is_err());
        }
    }
}

#[test]
fn every_kind_of_key_is_accepted_as_leaf_and_as_root() {
    let p256 = root(&ca("root"), key(KeySpec::Ecdsa(256), 9));
    for spec in SPECS {
        assert_accepted(
            &p256,
            &signed(&p256, &leaf(), key(spec, 0)),
            &format!("{spec:?} leaf"),
        );
        let authority = root(&ca("root"), key(spec, 1));
        assert_accepted(
            &authority,
            &signed(&authority, &leaf(), key(spec, 0)),
            &format!("{spec:?} root and leaf"),
        );
    }
}

#[test]
fn every_kind_of_key_is_accepted_as_intermediate() {
    for spec in SPECS {
        let top = root(&ca("root"), key(KeySpec::Ecdsa(384), 8));
        let middle = below(&top, &ca("intermediate"), key(spec, 1));
        assert_eq!(middle.intermediates().len(), 1);
        assert_accepted(
            &middle,
            &signed(&middle, &leaf(), key(spec, 0)),
            &format!("{spec:?} intermediate"),
        );
    }
}

#[test]
fn three_cas_above_a_leaf_are_accepted() {
    for spec in SPECS {
        let top = root(&ca("root"), key(spec, 1));
        let middle = below(&top, &ca("middle"), key(KeySpec::Ecdsa(521), 7));
        let last = below(&middle, &ca("last"), key(spec, 0));
        assert_eq!(last.intermediates().len(), 2);
        assert_accepted(
            &last,
            &signed(&last, &leaf(), key(KeySpec::Ed25519, 7)),
            &format!("{spec:?} twice"),
        );
    }
}

#[test]
fn every_signature_algorithm_is_accepted() {
    for spec in SPECS {
        for (algorithm, name) in algorithms(spec) {
            let profile = certwright_core::pki::Profile {
                signature_algorithm: Some(algorithm),
                ..leaf()
            };
            let certificate = self_signed(&profile, key(spec, 0));
            assert_eq!(certificate.signature_algorithm, name);
            let text = OpenSsl::new().text(&certificate.der);
            assert_eq!(
                text.matches(&format!("Signature Algorithm: {name}\n"))
                    .count(),
                2,
                "{text}"
            );
            assert_eq!(
                openssl_accepts(&certificate, &[], &certificate, HOST),
                Ok(()),
                "{spec:?} {name}"
            );
            assert_eq!(
                webpki_accepts(&certificate, &[], &certificate, HOST),
                Ok(()),
                "{spec:?} {name}"
            );
        }
    }
}

/// One key of this size takes up to a minute to make, so all of its uses are one test.
#[test]
fn rsa_8192_is_accepted_in_every_role() {
    let large = PrivateKey::generate(KeySpec::Rsa(8192)).unwrap();
    assert_eq!(large.spec(), KeySpec::Rsa(8192));
    let openssl = OpenSsl::new();
    for encoding in [KeyEncoding::Pkcs1, KeyEncoding::Pkcs8] {
        let pem = large.to_pem(encoding);
        assert_eq!(
            PrivateKey::from_pem(pem.as_bytes()).unwrap().public(),
            large.public()
        );
        openssl.file("key.pem", pem.as_bytes());
        openssl.must("pkey -in key.pem -check -noout");
    }
    let csr = Csr::new(&leaf(), &large).unwrap();
    assert_eq!(csr.verified_public_key().unwrap(), *large.public());
    let certificate = self_signed(&leaf(), &large);
    assert_eq!(
        openssl_accepts(&certificate, &[], &certificate, HOST),
        Ok(())
    );
    let authority = root(&ca("root"), &large);
    assert_accepted(
        &authority,
        &signed(&authority, &leaf(), key(KeySpec::Ecdsa(256), 0)),
        "RSA 8192 root",
    );
}
