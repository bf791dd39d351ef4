//! Every kind of name and key, through the operator.

use certwright_core::pki::KeySpec;
use serde_json::json;

use crate::harness::{Operator, Scene};

#[tokio::test]
async fn every_kind_of_key_is_issued() {
    let scene = Scene::new("keys").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    let keys = [
        ("default", json!({}), "ECDSA 256"),
        (
            "p384",
            json!({ "algorithm": "ECDSA", "size": 384 }),
            "ECDSA 384",
        ),
        (
            "p521",
            json!({ "algorithm": "ECDSA", "size": 521 }),
            "ECDSA 521",
        ),
        ("ed25519", json!({ "algorithm": "Ed25519" }), "Ed25519"),
        ("rsa", json!({ "algorithm": "RSA" }), "RSA 2048"),
    ];
    for (name, key, _) in &keys {
        let spec = json!({ "dnsNames": ["web.example.com"], "privateKey": key });
        scene.certificate(name, spec).await;
    }
    let root = scene.held("root").await;
    for (name, _, wanted) in &keys {
        scene.ready(name).await;
        let held = scene.held(&format!("{name}-tls")).await;
        let kind = match held.key.spec() {
            KeySpec::Ed25519 => "Ed25519".to_owned(),
            KeySpec::Rsa(bits) => format!("RSA {bits}"),
            other => format!(
                "ECDSA {}",
                format!("{other:?}").replace(|c: char| !c.is_ascii_digit(), "")
            ),
        };
        assert_eq!(kind, *wanted, "{name}");
        assert!(held.leaf().is_signed_by(root.leaf()), "{name}");
    }
    operator.stop().await;
}

#[tokio::test]
async fn every_kind_of_name_is_issued() {
    let scene = Scene::new("sans").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    let spec = json!({
        "dnsNames": ["bücher.example", "*.example.com"],
        "ipAddresses": ["192.0.2.1", "2001:db8::1"],
        "uris": ["spiffe://example.org/ns/shop/sa/web"],
        "emailAddresses": ["ops@example.com"],
        "otherNames": [{ "oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "web@example.com" }],
    });
    scene.certificate("names", spec).await;
    scene.ready("names").await;
    let held = scene.held("names-tls").await;
    let names = &held.leaf().names;
    let text = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>().join(" ");
    assert_eq!(
        text(&mut names.dns.iter().cloned()),
        "*.example.com xn--bcher-kva.example"
    );
    assert_eq!(
        text(&mut names.ip.iter().map(ToString::to_string)),
        "192.0.2.1 2001:db8::1"
    );
    assert_eq!(
        text(&mut names.uri.iter().cloned()),
        "spiffe://example.org/ns/shop/sa/web"
    );
    assert_eq!(text(&mut names.email.iter().cloned()), "ops@example.com");
    assert_eq!(names.other.len(), 1);
    assert_eq!(
        held.annotation(&scene.group.key("alt-names")),
        Some("*.example.com,xn--bcher-kva.example")
    );
    assert_eq!(
        held.annotation(&scene.group.key("ip-sans")),
        Some("192.0.2.1,2001:db8::1")
    );

    let spec = json!({ "literalSubject": "CN=web,OU=b,OU=a,O=Example,C=DE" });
    scene.certificate("literal", spec).await;
    scene.ready("literal").await;
    let held = scene.held("literal-tls").await;
    let subject = openssl_subject(held.data("tls.crt").unwrap());
    assert_eq!(subject, "CN=web,OU=b,OU=a,O=Example,C=DE");
    operator.stop().await;
}

#[tokio::test]
async fn a_spec_that_can_not_be_issued_says_which_field() {
    let scene = Scene::new("invalid").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    let long = format!("{}.example", "ü".repeat(60));
    let window = json!({ "cron": "0 3 * * *", "windowDuration": "2h", "timezone": "Mars/Olympus" });
    let cases = [
        ("label", json!({ "dnsNames": [long] }), "spec.dnsNames"),
        (
            "literal",
            json!({ "literalSubject": "CN=web,NONSENSE=x" }),
            "spec.literalSubject",
        ),
        (
            "window",
            json!({ "dnsNames": ["a.example.com"], "renewal": { "policy": "RenewBefore", "windows": [window] } }),
            "spec.renewal.windows[0].timezone",
        ),
    ];
    for (name, spec, field) in cases {
        // The schema can't say it, so that it becomes a condition.
        scene.certificate(name, spec).await;
        let message = scene.refused(name, "InvalidSpec").await;
        assert!(message.starts_with(field), "{field}: {message}");
        scene.tells(name, &["InvalidSpec"]).await;
    }
    scene
        .change("label", json!({ "dnsNames": ["a.example.com"] }))
        .await;
    scene.ready("label").await;
    operator.stop().await;
}

/// The subject as OpenSSL reads it, in the order of RFC 4514.
fn openssl_subject(certificate: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate).unwrap();
    let output = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in"])
        .arg(file.path())
        .output()
        .expect("openssl is needed");
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().trim_start_matches("subject=").trim().to_owned()
}
