//! Issuers and ClusterIssuers.

use serde_json::{Value, json};

use super::{Case, case};

const ONE: &str = "an issuer signs in one way: write exactly one of selfSigned, ca and acme";
const VAULT: &str = "Vault is not served yet: write an intermediate CA's certificate and key into a Secret and use ca";
const VENAFI: &str = "Venafi is not served yet: write an intermediate CA's certificate and key into a Secret and use ca";
const SECRET: &str = "write the name of the Secret that holds the CA, such as internal-ca: lower-case letters, digits, - and ., at most 253 characters";
const CRL: &str =
    "write an http, https or ldap URL in ASCII, such as http://pki.example.com/ca.crl";
const OCSP: &str = "write an http or https URL in ASCII, such as http://ocsp.example.com";
const CERTIFICATE: &str =
    "write an http or https URL in ASCII, such as http://pki.example.com/ca.crt";

const NO_LIST: &str =
    "an Issuer serves its own namespace only: leave this out, or write a ClusterIssuer";
const SOME: &str = "write at least one namespace, or leave this out to serve all";
const NAMESPACE: &str = "write the name of a namespace, such as shop: lower-case letters, digits and -, at most 63 characters; patterns are not known here";

/// Of an Issuer alone.
pub(super) fn own() -> Vec<Case> {
    vec![case(
        json!({ "selfSigned": {}, "allowedNamespaces": ["shop"] }),
        "spec.allowedNamespaces",
        NO_LIST,
        json!({ "selfSigned": {} }),
    )]
}

/// Of a ClusterIssuer alone.
pub(super) fn for_many() -> Vec<Case> {
    let serving = |all: &[&str]| json!({ "selfSigned": {}, "allowedNamespaces": all });
    let longest = "n".repeat(63);
    let mut cases = vec![case(
        serving(&[]),
        "spec.allowedNamespaces",
        SOME,
        serving(&["shop", "billing", &longest]),
    )];
    for refused in ["", "*", "shop-*", "Shop", "shop.example", &"n".repeat(64)] {
        cases.push(case(
            serving(&["shop", refused]),
            "spec.allowedNamespaces[1]",
            NAMESPACE,
            serving(&["shop", "1-shop"]),
        ));
    }
    cases
}

/// Of both.
pub(super) fn cases() -> Vec<Case> {
    let ca = |secret: &str| json!({ "ca": { "secretName": secret } });
    let mut cases = vec![
        case(json!({}), "spec", ONE, json!({ "selfSigned": {} })),
        case(
            json!({ "selfSigned": {}, "ca": { "secretName": "ca" } }),
            "spec",
            ONE,
            ca("ca"),
        ),
        case(
            json!({ "ca": { "secretName": "ca" }, "acme": { "server": "https://acme.example", "privateKeySecretRef": { "name": "account" } } }),
            "spec",
            ONE,
            json!({ "acme": { "server": "https://acme.example", "privateKeySecretRef": { "name": "account" } } }),
        ),
        case(
            json!({ "vault": { "path": "pki/sign/web" } }),
            "spec.vault",
            VAULT,
            ca("ca"),
        ),
        case(
            json!({ "venafi": { "zone": "web" } }),
            "spec.venafi",
            VENAFI,
            ca("ca"),
        ),
        case(ca(""), "spec.ca.secretName", SECRET, ca("internal-ca")),
        case(
            ca("Internal CA"),
            "spec.ca.secretName",
            SECRET,
            ca("internal.ca"),
        ),
    ];
    let self_signed = |url: &str| json!({ "selfSigned": { "crlDistributionPoints": [url] } });
    let in_ca =
        |field: &str, url: &str| -> Value { json!({ "ca": { "secretName": "ca", field: [url] } }) };
    for (refused, passes) in [
        ("pki.example.com/ca.crl", "http://pki.example.com/ca.crl"),
        (
            "ftp://pki.example.com/ca.crl",
            "ldap://pki.example.com/cn=ca?certificateRevocationList",
        ),
        ("http:///ca.crl", "ldap:///cn=ca"),
        (
            "http://bücher.example/ca.crl",
            "https://xn--bcher-kva.example/ca.crl",
        ),
        ("", "https://[2001:db8::1]:8443/ca.crl"),
    ] {
        cases.push(case(
            self_signed(refused),
            "spec.selfSigned.crlDistributionPoints[0]",
            CRL,
            self_signed(passes),
        ));
        cases.push(case(
            in_ca("crlDistributionPoints", refused),
            "spec.ca.crlDistributionPoints[0]",
            CRL,
            in_ca("crlDistributionPoints", passes),
        ));
    }
    for (refused, passes) in [
        ("ocsp.example.com", "http://ocsp.example.com"),
        ("ldap://example.com", "https://example.com"),
        ("http://", "http://10.0.0.1/"),
    ] {
        cases.push(case(
            in_ca("ocspServers", refused),
            "spec.ca.ocspServers[0]",
            OCSP,
            in_ca("ocspServers", passes),
        ));
        cases.push(case(
            in_ca("issuingCertificateURLs", refused),
            "spec.ca.issuingCertificateURLs[0]",
            CERTIFICATE,
            in_ca("issuingCertificateURLs", passes),
        ));
    }
    cases
}
