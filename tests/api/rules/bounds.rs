//! What the schema itself refuses: the API server's own words.

use certwright_core::api::Group;
use serde_json::{Value, json};

use super::with;
use crate::cluster::{Kind, control_plane};

#[tokio::test]
async fn bounds_and_closed_sets_are_said_by_the_api_server() {
    let kind = Kind::new(control_plane().await, &Group::default(), "Certificate");
    let base =
        json!({ "secretName": "tls", "issuerRef": { "name": "ca" }, "dnsNames": ["example.com"] });
    for (refused, field, says, passes) in [
        (
            json!({ "secretName": null }),
            "spec.secretName",
            "Required value",
            json!({}),
        ),
        (
            json!({ "issuerRef": {} }),
            "spec.issuerRef.name",
            "Required value",
            json!({}),
        ),
        (
            json!({ "renewBeforePercentage": 0 }),
            "spec.renewBeforePercentage",
            "should be greater than or equal to 1",
            json!({ "renewBeforePercentage": 1 }),
        ),
        (
            json!({ "renewBeforePercentage": 100 }),
            "spec.renewBeforePercentage",
            "should be less than or equal to 99",
            json!({ "renewBeforePercentage": 99 }),
        ),
        (
            json!({ "revisionHistoryLimit": 0 }),
            "spec.revisionHistoryLimit",
            "should be greater than or equal to 1",
            json!({ "revisionHistoryLimit": 1 }),
        ),
        (
            json!({ "usages": ["web server"] }),
            "spec.usages[0]",
            "\"server auth\"",
            json!({ "usages": ["server auth"] }),
        ),
        (
            json!({ "privateKey": { "algorithm": "DSA" } }),
            "spec.privateKey.algorithm",
            "\"RSA\", \"ECDSA\", \"Ed25519\"",
            json!({ "privateKey": { "algorithm": "Ed25519" } }),
        ),
        (
            json!({ "privateKey": { "encoding": "PKCS12" } }),
            "spec.privateKey.encoding",
            "\"PKCS1\", \"PKCS8\"",
            json!({ "privateKey": { "encoding": "PKCS1" } }),
        ),
        (
            json!({ "privateKey": { "rotationPolicy": "Sometimes" } }),
            "spec.privateKey.rotationPolicy",
            "\"Never\", \"Always\"",
            json!({ "privateKey": { "rotationPolicy": "Never" } }),
        ),
        (
            json!({ "signatureAlgorithm": "SHA1WithRSA" }),
            "spec.signatureAlgorithm",
            "\"SHA256WithRSA\"",
            json!({ "signatureAlgorithm": "SHA256WithRSA" }),
        ),
        (
            json!({ "secretDeletionPolicy": "Keep" }),
            "spec.secretDeletionPolicy",
            "\"Retain\", \"Delete\"",
            json!({ "secretDeletionPolicy": "Delete" }),
        ),
        (
            json!({ "rollout": { "strategy": "Reboot" } }),
            "spec.rollout.strategy",
            "\"Restart\", \"Reload\", \"Call\", \"None\"",
            json!({ "rollout": { "strategy": "None" } }),
        ),
        (
            json!({ "renewal": { "policy": "Never" } }),
            "spec.renewal.policy",
            "\"RenewBefore\", \"Disabled\"",
            json!({ "renewal": { "policy": "Disabled" } }),
        ),
        (
            json!({ "renewal": { "windows": [] } }),
            "spec.renewal.policy",
            "Required value",
            json!({ "renewal": { "policy": "RenewBefore", "windows": [] } }),
        ),
        (
            json!({ "additionalOutputFormats": [{ "type": "JKS" }] }),
            "spec.additionalOutputFormats[0].type",
            "\"DER\", \"CombinedPEM\"",
            json!({ "additionalOutputFormats": [{ "type": "DER" }] }),
        ),
        (
            json!({ "otherNames": [{ "oid": "1.2.3", "utf8Value": "" }] }),
            "spec.otherNames[0].utf8Value",
            "should be at least 1 chars long",
            json!({ "otherNames": [{ "oid": "1.2.3", "utf8Value": "x" }] }),
        ),
        (
            json!({ "subject": { "organizations": [""] } }),
            "spec.subject.organizations[0]",
            "should be at least 1 chars long",
            json!({ "subject": { "organizations": ["Example"] } }),
        ),
        (
            json!({ "dnsNames": ["a.".repeat(127)] }),
            "spec.dnsNames[0]",
            "may not be more than 253",
            json!({ "dnsNames": ["a.".repeat(126) + "a"] }),
        ),
        (
            json!({ "fallbackIssuerRefs": vec![json!({ "name": "other" }); 5] }),
            "spec.fallbackIssuerRefs",
            "must have at most 4 items",
            json!({ "fallbackIssuerRefs": vec![json!({ "name": "other" }); 4] }),
        ),
        (
            json!({ "dnsNames": vec!["a"; 1001] }),
            "spec.dnsNames",
            "must have at most 1000 items",
            json!({ "dnsNames": vec!["a"; 1000] }),
        ),
    ] {
        let objections = kind.objections(&with(&base, &refused)).await;
        assert!(
            objections
                .iter()
                .any(|(at, words)| at == field && words.contains(says)),
            "{refused}: {objections:#?}"
        );
        let objections = kind.objections(&with(&base, &passes)).await;
        assert_eq!(objections, [], "{passes}");
    }
}

#[tokio::test]
async fn bounds_of_acme_issuers_are_said_by_the_api_server() {
    let kind = Kind::new(control_plane().await, &Group::default(), "Issuer");
    let base = json!({
        "server": "https://acme.example/directory",
        "privateKeySecretRef": { "name": "account" },
    });
    let solver = |http01: Value| json!({ "solvers": [{ "http01": http01 }] });
    let parent = |port: i32| {
        solver(json!({ "gatewayHTTPRoute": { "parentRefs": [{ "name": "web", "port": port }] } }))
    };
    for (refused, field, says, passes) in [
        (
            json!({ "server": null }),
            "spec.acme.server",
            "Required value",
            json!({}),
        ),
        (
            json!({ "privateKeySecretRef": null }),
            "spec.acme.privateKeySecretRef",
            "Required value",
            json!({}),
        ),
        (
            json!({ "privateKeySecretRef": {} }),
            "spec.acme.privateKeySecretRef.name",
            "Required value",
            json!({}),
        ),
        (
            json!({ "externalAccountBinding": { "keyID": "kid" } }),
            "spec.acme.externalAccountBinding.keySecretRef",
            "Required value",
            json!({ "externalAccountBinding": { "keyID": "kid", "keySecretRef": { "name": "eab", "key": "mac" }, "keyAlgorithm": "HS256" } }),
        ),
        (
            json!({ "renewalInformationSource": "CA" }),
            "spec.acme.renewalInformationSource",
            "\"ARI\", \"None\"",
            json!({ "renewalInformationSource": "None" }),
        ),
        (
            json!({ "preferredChain": "a".repeat(65) }),
            "spec.acme.preferredChain",
            "may not be more than 64",
            json!({ "preferredChain": "a".repeat(64) }),
        ),
        (
            solver(json!({ "placement": "Gateway", "ingress": {} })),
            "spec.acme.solvers[0].http01.placement",
            "\"Certificate\", \"Operator\"",
            solver(json!({ "placement": "Operator", "ingress": {} })),
        ),
        (
            solver(json!({ "ingress": { "serviceType": "LoadBalancer" } })),
            "spec.acme.solvers[0].http01.ingress.serviceType",
            "\"NodePort\", \"ClusterIP\"",
            solver(json!({ "ingress": { "serviceType": "" } })),
        ),
        (
            parent(0),
            "spec.acme.solvers[0].http01.gatewayHTTPRoute.parentRefs[0].port",
            "should be greater than or equal to 1",
            parent(65_535),
        ),
        (
            json!({ "solvers": vec![json!({ "http01": { "ingress": {} } }); 65] }),
            "spec.acme.solvers",
            "must have at most 64 items",
            json!({ "solvers": vec![json!({ "http01": { "ingress": {} } }); 64] }),
        ),
    ] {
        let objections = kind
            .objections(&json!({ "acme": with(&base, &refused) }))
            .await;
        assert!(
            objections
                .iter()
                .any(|(at, words)| at == field && words.contains(says)),
            "{refused}: {objections:#?}"
        );
        let objections = kind
            .objections(&json!({ "acme": with(&base, &passes) }))
            .await;
        assert_eq!(objections, [], "{passes}");
    }
}

#[tokio::test]
async fn the_largest_acme_issuer_passes_within_the_cost_budget() {
    let kind = Kind::new(control_plane().await, &Group::default(), "Issuer");
    assert_eq!(kind.objections(&super::acme::largest()).await, []);
}

#[tokio::test]
async fn the_largest_objects_pass_within_the_cost_budget() {
    let kind = Kind::new(control_plane().await, &Group::default(), "Certificate");
    let domain = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
    let items = |most: usize, value: Value| json!(vec![value; most]);
    let constraints = json!({
        "dnsDomains": items(500, json!(domain)),
        "ipRanges": items(500, json!("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/128")),
        "emailAddresses": items(500, json!(format!("ops@{domain}"))),
        "uriDomains": items(500, json!(domain)),
    });
    let spec = json!({
        "secretName": "tls",
        "issuerRef": { "name": "ca" },
        "isCA": true,
        "commonName": "Example CA",
        "dnsNames": items(1000, json!(domain)),
        "ipAddresses": items(500, json!("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")),
        "uris": items(200, json!(format!("https://{domain}/{}", "%20".repeat(500)))),
        "emailAddresses": items(500, json!(format!("ops@{domain}"))),
        "nameConstraints": { "permitted": constraints },
    });
    assert_eq!(kind.objections(&spec).await, []);
}
