//! ACME issuers.

use serde_json::{Value, json};

use super::{Case, case, with};

const SERVER: &str = "write the https URL of the CA's directory, such as https://acme-v02.api.letsencrypt.org/directory";
const BUNDLE: &str = "write PEM certificates in base64, as base64 -w0 ca.crt gives them";
const VERIFY: &str = "with skipTLSVerify nothing is verified: leave it out, or leave out caBundle";
const EMAIL: &str = "write a bare e-mail address, such as ops@example.com";
const ACCOUNT: &str = "write the name of the Secret for the account's key, such as letsencrypt-account: lower-case letters, digits, - and ., at most 253 characters";
const ENTRY: &str =
    "write the name of an entry of a Secret: letters, digits, -, _ and ., at most 253 characters";
const KEY_ID: &str = "write the key identifier that the CA gave you";
const BINDING: &str = "write the name of the Secret with the MAC key that the CA gave you, such as ca-binding: lower-case letters, digits, - and ., at most 253 characters";
const MAC_KEY: &str = "write which entry of the Secret holds the MAC key, such as key: secret";
const SOLVER: &str =
    "a solver says how names are proven: write http01 with an ingress or a gatewayHTTPRoute";
const DNS01: &str = "DNS-01 is not served yet: write http01, and leave certificates with wildcards to your present operator";
const WAIT: &str =
    "write hours, minutes and seconds in this order, such as 30s or 1m30s; 0s does not wait";
const SELECTED_NAME: &str = "write a DNS name as Certificates have it, such as example.com or *.example.com, without scheme, port or path";
const ZONE: &str = "write a domain, such as example.com, which stands for all names below it too: no *, scheme or port";
const WAY: &str =
    "the answer is led to in one way: write exactly one of ingress and gatewayHTTPRoute";
const EDITED: &str = "an Ingress that is edited is one of the Certificate's namespace: leave out placement, or ingress.name";
const ONE_CLASS: &str =
    "an Ingress is led by one controller: write at most one of ingressClassName, class and name";
const CLASS: &str = "write the name of an IngressClass, such as traefik: lower-case letters, digits, - and ., at most 253 characters";
const INGRESS: &str = "write the name of an Ingress in the Certificate's namespace, such as web: lower-case letters, digits, - and ., at most 253 characters";
const LABEL: &str =
    "write at most 63 letters, digits, -, _ and ., with a letter or digit at both ends";
const PARENTS: &str =
    "an HTTPRoute is for a Gateway: write at least one under parentRefs, such as name: web";
const PARENT: &str = "write the name of a Gateway, such as web: lower-case letters, digits, - and ., at most 253 characters";

/// An issuer that differs so from the plainest.
fn acme(changes: &Value) -> Value {
    let plainest = json!({
        "server": "https://acme.example/directory",
        "privateKeySecretRef": { "name": "account" },
    });
    json!({ "acme": with(&plainest, changes) })
}

fn solver(solver: &Value) -> Value {
    acme(&json!({ "solvers": [solver] }))
}

fn ingress(ingress: &Value) -> Value {
    solver(&json!({ "http01": { "ingress": ingress } }))
}

fn route(route: &Value) -> Value {
    solver(&json!({ "http01": { "gatewayHTTPRoute": route } }))
}

fn selector(selector: &Value) -> Value {
    solver(&json!({ "http01": { "ingress": {} }, "selector": selector }))
}

pub(super) fn cases() -> Vec<Case> {
    [account_cases(), solver_cases(), http01_cases()]
        .into_iter()
        .flatten()
        .collect()
}

fn account_cases() -> Vec<Case> {
    let server = |url: &str| acme(&json!({ "server": url }));
    let email = |address: &str| acme(&json!({ "email": address }));
    let account = |reference: Value| acme(&json!({ "privateKeySecretRef": reference }));
    let binding = |key_id: &str, reference: Value| {
        acme(&json!({ "externalAccountBinding": { "keyID": key_id, "keySecretRef": reference } }))
    };
    let mac = json!({ "name": "eab", "key": "secret" });
    let bundle = |text: &str| acme(&json!({ "caBundle": text }));
    let mut cases = Vec::new();
    for (refused, passes) in [
        ("", "https://acme-v02.api.letsencrypt.org/directory"),
        (
            "http://acme.example/directory",
            "https://[2001:db8::1]:14000/dir",
        ),
        ("acme.example/directory", "https://acme.example"),
        (
            "https:///directory",
            "https://192.0.2.1:9000/acme/acme/directory",
        ),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
    ] {
        cases.push(case(
            server(refused),
            "spec.acme.server",
            SERVER,
            server(passes),
        ));
    }
    for (refused, passes) in [
        ("ops", "ops@example.com"),
        ("mailto:ops@example.com", ""),
        ("Ops <ops@example.com>", "ops+acme@example.com"),
    ] {
        cases.push(case(
            email(refused),
            "spec.acme.email",
            EMAIL,
            email(passes),
        ));
    }
    for (refused, passes) in [
        ("-----BEGIN CERTIFICATE-----", "LS0tLS1CRUdJTg=="),
        ("LS0tL", ""),
        ("LS0=LS0=", "LS0t"),
    ] {
        cases.push(case(
            bundle(refused),
            "spec.acme.caBundle",
            BUNDLE,
            bundle(passes),
        ));
    }
    cases.extend([
        case(
            acme(&json!({ "caBundle": "LS0t", "skipTLSVerify": true })),
            "spec.acme.skipTLSVerify",
            VERIFY,
            acme(&json!({ "caBundle": "LS0t", "skipTLSVerify": false })),
        ),
        case(
            account(json!({ "name": "" })),
            "spec.acme.privateKeySecretRef.name",
            ACCOUNT,
            account(json!({ "name": "account", "key": "" })),
        ),
        case(
            account(json!({ "name": "account", "key": "tls/key" })),
            "spec.acme.privateKeySecretRef.key",
            ENTRY,
            account(json!({ "name": "account", "key": "tls.key" })),
        ),
        case(
            binding("", mac.clone()),
            "spec.acme.externalAccountBinding.keyID",
            KEY_ID,
            binding("kid-1", mac),
        ),
        case(
            binding("kid-1", json!({ "name": "E", "key": "secret" })),
            "spec.acme.externalAccountBinding.keySecretRef.name",
            BINDING,
            binding("kid-1", json!({ "name": "e", "key": "secret" })),
        ),
        case(
            binding("kid-1", json!({ "name": "eab" })),
            "spec.acme.externalAccountBinding.keySecretRef.key",
            MAC_KEY,
            binding("kid-1", json!({ "name": "eab", "key": "secret" })),
        ),
        case(
            binding("kid-1", json!({ "name": "eab", "key": "a b" })),
            "spec.acme.externalAccountBinding.keySecretRef.key",
            ENTRY,
            binding("kid-1", json!({ "name": "eab", "key": "a_b" })),
        ),
    ]);
    cases
}

fn solver_cases() -> Vec<Case> {
    let waits = |text: &str| {
        solver(&json!({ "http01": { "ingress": {} }, "waitInsteadOfSelfCheck": text }))
    };
    let mut cases = vec![
        case(
            solver(&json!({})),
            "spec.acme.solvers[0]",
            SOLVER,
            acme(&json!({ "solvers": [] })),
        ),
        case(
            solver(
                &json!({ "dns01": { "cloudflare": { "apiTokenSecretRef": { "name": "token", "key": "t" } } } }),
            ),
            "spec.acme.solvers[0].dns01",
            DNS01,
            ingress(&json!({})),
        ),
    ];
    for (refused, passes) in [("", "0s"), ("-1s", "30s"), ("1d", "1m30s")] {
        cases.push(case(
            waits(refused),
            "spec.acme.solvers[0].waitInsteadOfSelfCheck",
            WAIT,
            waits(passes),
        ));
    }
    for (refused, passes) in [
        ("", "example.com"),
        ("a.*.example.com", "*.example.com"),
        ("https://example.com", "xn--bcher-kva.example"),
        (".example.com", "_a.example.com"),
        ("example.com:80", "a.example.com"),
    ] {
        cases.push(case(
            selector(&json!({ "dnsNames": [refused] })),
            "spec.acme.solvers[0].selector.dnsNames[0]",
            SELECTED_NAME,
            selector(&json!({ "dnsNames": [passes] })),
        ));
    }
    for (refused, passes) in [
        ("*.example.com", "example.com"),
        (".example.com", "com"),
        ("", "bücher.example"),
    ] {
        cases.push(case(
            selector(&json!({ "dnsZones": [refused] })),
            "spec.acme.solvers[0].selector.dnsZones[0]",
            ZONE,
            selector(&json!({ "dnsZones": [passes], "matchLabels": { "team": "web" } })),
        ));
    }
    cases
}

fn http01_cases() -> Vec<Case> {
    let http01 = |http01: Value| solver(&json!({ "http01": http01 }));
    let parent = json!([{ "name": "web" }]);
    let labelled = |value: &str| {
        ingress(&json!({ "ingressTemplate": { "metadata": { "labels": { "app": value } } } }))
    };
    vec![
        case(
            http01(json!({})),
            "spec.acme.solvers[0].http01",
            WAY,
            http01(json!({ "ingress": {} })),
        ),
        case(
            http01(json!({ "ingress": {}, "gatewayHTTPRoute": { "parentRefs": parent } })),
            "spec.acme.solvers[0].http01",
            WAY,
            http01(json!({ "gatewayHTTPRoute": { "parentRefs": parent } })),
        ),
        case(
            http01(json!({ "placement": "Operator", "ingress": { "name": "web" } })),
            "spec.acme.solvers[0].http01.placement",
            EDITED,
            http01(json!({ "placement": "Certificate", "ingress": { "name": "web" } })),
        ),
        case(
            ingress(&json!({ "ingressClassName": "traefik", "name": "web" })),
            "spec.acme.solvers[0].http01.ingress",
            ONE_CLASS,
            ingress(&json!({ "ingressClassName": "", "name": "web" })),
        ),
        case(
            ingress(&json!({ "ingressClassName": "traefik", "class": "traefik" })),
            "spec.acme.solvers[0].http01.ingress",
            ONE_CLASS,
            ingress(&json!({ "class": "traefik" })),
        ),
        case(
            ingress(&json!({ "ingressClassName": "Traefik" })),
            "spec.acme.solvers[0].http01.ingress.ingressClassName",
            CLASS,
            ingress(&json!({ "ingressClassName": "traefik" })),
        ),
        case(
            ingress(&json!({ "name": "my web" })),
            "spec.acme.solvers[0].http01.ingress.name",
            INGRESS,
            ingress(&json!({ "name": "my-web", "podTemplate": { "spec": { "any": ["thing"] } } })),
        ),
        case(
            labelled("a b"),
            "spec.acme.solvers[0].http01.ingress.ingressTemplate.metadata.labels[app]",
            LABEL,
            labelled("a"),
        ),
        case(
            route(&json!({})),
            "spec.acme.solvers[0].http01.gatewayHTTPRoute.parentRefs",
            PARENTS,
            route(&json!({ "parentRefs": parent })),
        ),
        case(
            route(&json!({ "parentRefs": [] })),
            "spec.acme.solvers[0].http01.gatewayHTTPRoute.parentRefs",
            PARENTS,
            route(
                &json!({ "parentRefs": [{ "name": "web", "namespace": "gateways", "sectionName": "http", "port": 80 }] }),
            ),
        ),
        case(
            route(&json!({ "parentRefs": [{ "name": "" }] })),
            "spec.acme.solvers[0].http01.gatewayHTTPRoute.parentRefs[0].name",
            PARENT,
            route(&json!({ "parentRefs": parent })),
        ),
        case(
            route(&json!({ "parentRefs": parent, "labels": { "gateway": "-" } })),
            "spec.acme.solvers[0].http01.gatewayHTTPRoute.labels[gateway]",
            LABEL,
            route(&json!({ "parentRefs": parent, "labels": { "gateway": "web" } })),
        ),
    ]
}

/// As long as everything may be.
pub(super) fn largest() -> Value {
    let domain = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
    let labels: serde_json::Map<String, Value> = (0..32)
        .map(|n| (format!("label-{n}"), json!("v".repeat(63))))
        .collect();
    let parent = json!({ "name": domain, "sectionName": domain, "namespace": "n".repeat(63) });
    let solver = json!({
        "selector": {
            "matchLabels": labels,
            "dnsNames": vec![domain.clone(); 100],
            "dnsZones": vec![domain.clone(); 100],
        },
        "http01": { "gatewayHTTPRoute": { "labels": labels, "parentRefs": vec![parent; 4] } },
    });
    json!({ "acme": {
        "server": format!("https://acme.example/{}", "d".repeat(2000)),
        "privateKeySecretRef": { "name": domain },
        "caBundle": "LS0t".repeat(65_536),
        "solvers": vec![solver; 32],
    } })
}
