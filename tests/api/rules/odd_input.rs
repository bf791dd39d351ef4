//! A rule that can't be evaluated would say so in place of its message.

use std::collections::BTreeSet;

use certwright_core::api::{Group, schema};
use serde_json::{Value, json};

use crate::cluster::{Kind, control_plane};

const ODD: &[&str] = &[
    "",
    " ",
    "\u{0}",
    "\n",
    "''",
    "\\",
    "%",
    "*",
    ".",
    "-",
    "/",
    "[",
    "]",
    "{}",
    "null",
    "0",
    "-1",
    "1e9",
    "NaN",
    "1h1h",
    "h",
    "9999999h",
    "999999999999999999999s",
    "١h",
    "::",
    "::ffff:1.2.3.4",
    "1.2.3.4/",
    "1.2.3.4/99",
    "fe80::1%lo",
    "300.1.1.1",
    "http://[",
    "http://%zz",
    "a\u{202e}b",
    "\u{fffd}",
    "𝕏",
    "https://exa mple",
    "@",
    "\"@",
    "0.0.0.0.0",
    "00000000000000000000",
];

#[tokio::test]
async fn odd_texts_get_a_rule_s_own_words_or_pass() {
    let control_plane = control_plane().await;
    let group = Group::default();
    let certificates = Kind::new(control_plane, &group, "Certificate");
    let issuers = Kind::new(control_plane, &group, "ClusterIssuer");
    let known: BTreeSet<String> = schema::certificate_rules(&group)
        .into_iter()
        .chain(schema::cluster_issuer_rules())
        .map(|rule| rule.message)
        .collect();
    let mut refused = 0;
    for text in ODD {
        let mut objections = certificates.objections(&certificate(text)).await;
        objections.extend(issuers.objections(&issuer(text)).await);
        // Each field's rules run only where its length is within bounds, as these are.
        for (field, words) in objections {
            let ours = known
                .iter()
                .any(|message| words.ends_with(&format!(": {message}")));
            assert!(ours, "{text:?} at {field}: {words}");
            refused += 1;
        }
    }
    assert!(refused > ODD.len(), "{refused}");
}

fn certificate(text: &str) -> Value {
    let items = json!({ "dnsDomains": [text], "ipRanges": [text], "emailAddresses": [text], "uriDomains": [text] });
    json!({
        "secretName": text,
        "issuerRef": { "name": text, "kind": text, "group": text },
        "commonName": text,
        "literalSubject": text,
        "dnsNames": [text],
        "ipAddresses": [text],
        "uris": [text],
        "emailAddresses": [text],
        "otherNames": [{ "oid": text, "utf8Value": "x" }],
        "duration": text,
        "renewBefore": text,
        "renewBeforePercentage": 99,
        "renewal": { "policy": "RenewBefore", "windows": [{ "cron": text, "windowDuration": text, "timezone": text }] },
        "nameConstraints": { "permitted": items, "excluded": items },
        "privateKey": { "size": i32::MIN },
        "secretTemplate": { "labels": { text: text }, "annotations": { text: text } },
    })
}

fn issuer(text: &str) -> Value {
    json!({
        "allowedNamespaces": [text],
        "selfSigned": { "crlDistributionPoints": [text] },
        "ca": { "secretName": text, "crlDistributionPoints": [text], "ocspServers": [text], "issuingCertificateURLs": [text] },
    })
}
