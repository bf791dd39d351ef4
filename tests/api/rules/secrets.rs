//! The Secret and what is stored in it.

use serde_json::{Value, json};

use super::{Case, case};

const SECRET_NAME: &str = "write the name of a Secret, such as example-com-tls: lower-case letters, digits, - and ., at most 253 characters";
const KEY: &str = "write keys such as app or example.com/app: an optional lower-case DNS name and /, then at most 63 letters, digits, -, _ and ., with a letter or digit at both ends";
const VALUE: &str =
    "write at most 63 letters, digits, -, _ and ., with a letter or digit at both ends";
const OURS: &str =
    "keys that begin with certwright.dev/ are written by the operator: leave them out";
const REPEATED: &str = "each type is stored once: leave the repeated ones out";
const KEYSTORES: &str = "keystores are not served yet: make them from additionalOutputFormats CombinedPEM or from tls.key and tls.crt in an init container, and leave keystores out";

pub(super) fn cases() -> Vec<Case> {
    let secret = |name: &str| json!({ "secretName": name });
    let outputs = |types: &[&str]| json!({ "additionalOutputFormats": types.iter().map(|name| json!({ "type": name })).collect::<Vec<_>>() });
    let mut cases = vec![
        case(secret(""), "spec.secretName", SECRET_NAME, secret("a")),
        case(
            secret("Example_TLS"),
            "spec.secretName",
            SECRET_NAME,
            secret("example.com-tls"),
        ),
        case(
            secret("-tls"),
            "spec.secretName",
            SECRET_NAME,
            secret("0-tls"),
        ),
        case(
            secret(&"a".repeat(254)),
            "spec.secretName",
            SECRET_NAME,
            secret(&"a".repeat(253)),
        ),
        case(
            outputs(&["DER", "DER"]),
            "spec.additionalOutputFormats",
            REPEATED,
            outputs(&["DER", "CombinedPEM"]),
        ),
        case(
            outputs(&["DER", "CombinedPEM", "DER"]),
            "spec.additionalOutputFormats",
            REPEATED,
            outputs(&[]),
        ),
        case(
            json!({ "keystores": { "jks": { "create": true } } }),
            "spec.keystores",
            KEYSTORES,
            outputs(&["CombinedPEM"]),
        ),
        case(
            json!({ "keystores": {} }),
            "spec.keystores",
            KEYSTORES,
            json!({}),
        ),
    ];
    cases.extend(template());
    cases
}

fn template() -> Vec<Case> {
    let labels =
        |key: &str, value: Value| json!({ "secretTemplate": { "labels": { key: value } } });
    let annotations =
        |key: &str| json!({ "secretTemplate": { "annotations": { key: "any { text }" } } });
    let (at_labels, at_annotations) = (
        "spec.secretTemplate.labels",
        "spec.secretTemplate.annotations",
    );
    vec![
        case(
            labels("my label", json!("x")),
            at_labels,
            KEY,
            labels("my.label", json!("x")),
        ),
        case(
            labels("Example.com/app", json!("x")),
            at_labels,
            KEY,
            labels("example.com/App", json!("x")),
        ),
        case(
            labels("a/b/c", json!("x")),
            at_labels,
            KEY,
            labels("a/b_c", json!("x")),
        ),
        case(
            labels(&"a".repeat(64), json!("x")),
            at_labels,
            KEY,
            labels(&"a".repeat(63), json!("x")),
        ),
        case(
            labels("certwright.dev/managed", json!("x")),
            at_labels,
            OURS,
            labels("x.certwright.dev/managed", json!("x")),
        ),
        case(
            labels("app", json!("two words")),
            "spec.secretTemplate.labels[app]",
            VALUE,
            labels("app", json!("two_words")),
        ),
        case(
            labels("app", json!("-")),
            "spec.secretTemplate.labels[app]",
            VALUE,
            labels("app", json!("")),
        ),
        case(
            labels("app", json!("a".repeat(64))),
            "spec.secretTemplate.labels[app]",
            VALUE,
            labels("app", json!("a".repeat(63))),
        ),
        case(annotations(""), at_annotations, KEY, annotations("a")),
        case(
            annotations("/a"),
            at_annotations,
            KEY,
            annotations("Example.com/a"),
        ),
        case(
            annotations("certwright.dev/renew"),
            at_annotations,
            OURS,
            annotations("cert-manager.io/allow-direct-injection"),
        ),
    ]
}
