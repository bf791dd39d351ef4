//! What a user sees through kubectl.
//!
//! Short names are written with their group, because another test serves the same kinds under a second one beside it.

use crate::cluster::{control_plane, kubectl, text};

const CERTIFICATE: &str = "
apiVersion: certwright.dev/v1alpha1
kind: Certificate
metadata: { name: web }
spec:
  secretName: web-tls
  dnsNames: [example.com]
  duration: 2160h0m0s
  renewBefore: 1080m
  issuerRef: { name: internal-ca }
";

async fn run(arguments: &[&str], input: &str) -> String {
    let output = kubectl(control_plane().await, arguments, input).await;
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[tokio::test]
async fn a_certificate_is_applied_read_back_as_written_and_listed() {
    let control_plane = control_plane().await;
    let namespace = &control_plane.namespace("kubectl").await.unwrap();
    run(&["apply", "-n", namespace, "-f", "-"], CERTIFICATE).await;

    let duration = run(
        &[
            "get",
            "cert.certwright.dev",
            "web",
            "-n",
            namespace,
            "-o",
            "jsonpath={.spec.duration} {.spec.renewBefore}",
        ],
        "",
    )
    .await;
    assert_eq!(duration, "2160h0m0s 1080m");

    let status = r#"{"status":{"notAfter":"2099-02-21T18:49:00Z","renewalTime":"2099-01-22T18:49:00Z","fingerprint":"ab12"}}"#;
    run(
        &[
            "patch",
            "cert.certwright.dev",
            "web",
            "-n",
            namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            status,
        ],
        "",
    )
    .await;

    let table = run(&["get", "certs.certwright.dev", "-n", namespace], "").await;
    assert_eq!(
        words(&table, 0),
        ["NAME", "READY", "SECRET", "ISSUER", "EXPIRES", "AGE"]
    );
    assert_eq!(
        words(&table, 1)[..5],
        [
            "web",
            "Unknown",
            "web-tls",
            "internal-ca",
            "2099-02-21T18:49:00Z"
        ]
    );

    let wide = run(
        &[
            "get",
            "certificate.certwright.dev",
            "-n",
            namespace,
            "-o",
            "wide",
        ],
        "",
    )
    .await;
    assert_eq!(
        words(&wide, 0),
        [
            "NAME",
            "READY",
            "SECRET",
            "ISSUER",
            "EXPIRES",
            "AGE",
            "RENEWAL",
            "FINGERPRINT",
            "STATUS"
        ]
    );
    assert_eq!(
        words(&wide, 1)[6..],
        [
            "2099-01-22T18:49:00Z",
            "ab12",
            "Waiting",
            "for",
            "the",
            "operator"
        ]
    );

    let category = run(&["get", "certwright", "-n", namespace, "-o", "name"], "").await;
    assert_eq!(category, "certificate.certwright.dev/web\n");
}

#[tokio::test]
async fn issuers_are_listed_with_what_they_wait_for() {
    let control_plane = control_plane().await;
    let namespace = &control_plane.namespace("kubectl").await.unwrap();
    let issuer = "{ apiVersion: certwright.dev/v1alpha1, kind: Issuer, metadata: { name: root }, spec: { selfSigned: {} } }";
    run(&["apply", "-n", namespace, "-f", "-"], issuer).await;
    let wide = run(
        &[
            "get",
            "issuers.certwright.dev",
            "-n",
            namespace,
            "-o",
            "wide",
        ],
        "",
    )
    .await;
    assert_eq!(words(&wide, 0), ["NAME", "READY", "AGE", "STATUS"]);
    assert_eq!(words(&wide, 1)[..2], ["root", "Unknown"]);
}

#[tokio::test]
async fn watched_servers_are_listed_with_what_is_known() {
    let control_plane = control_plane().await;
    let namespace = &control_plane.namespace("kubectl").await.unwrap();
    let check = "{ apiVersion: certwright.dev/v1alpha1, kind: ServedCheck, metadata: { name: shop }, spec: { target: 'www.example.com:443' } }";
    run(&["apply", "-n", namespace, "-f", "-"], check).await;
    let list = [
        "get",
        "servedchecks.certwright.dev",
        "-n",
        namespace,
        "-o",
        "wide",
    ];
    let wide = run(&list, "").await;
    assert_eq!(
        words(&wide, 0),
        [
            "NAME", "TARGET", "READY", "REASON", "EXPIRES", "AGE", "ISSUER", "STATUS"
        ]
    );
    let known = ["shop", "www.example.com:443", "Unknown", "Pending"];
    assert_eq!(words(&wide, 1)[..4], known);
}

#[tokio::test]
async fn certificates_are_selected_by_issuer() {
    let control_plane = control_plane().await;
    let namespace = &control_plane.namespace("kubectl").await.unwrap();
    run(&["apply", "-n", namespace, "-f", "-"], CERTIFICATE).await;
    for (selector, found) in [
        (
            "spec.issuerRef.name=internal-ca",
            "certificate.certwright.dev/web\n",
        ),
        ("spec.issuerRef.name=other", ""),
        ("spec.issuerRef.kind=", "certificate.certwright.dev/web\n"),
        ("spec.issuerRef.group=certwright.dev", ""),
    ] {
        let names = run(
            &[
                "get",
                "certs.certwright.dev",
                "-n",
                namespace,
                "--field-selector",
                selector,
                "-o",
                "name",
            ],
            "",
        )
        .await;
        assert_eq!(names, found, "{selector}");
    }
}

#[tokio::test]
async fn explain_is_a_manual() {
    let key = run(&["explain", "certificate.spec.privateKey"], "").await;
    for words in [
        "whether renewals make a new one",
        "enum: RSA, ECDSA, Ed25519",
        "Defaults to what `signatureAlgorithm` names",
        "256 (default), 384 or 521 for ECDSA",
        "enum: PKCS1, PKCS8",
        "Defaults to `Always`, and to `Never` where `isCA` is true",
    ] {
        assert!(flat(&key).contains(words), "{words}\n{key}");
    }
    let issuer = run(&["explain", "clusterissuer.spec.ca.secretName"], "").await;
    assert!(
        flat(&issuer).contains("cluster resource namespace"),
        "{issuer}"
    );
}

#[tokio::test]
async fn crds_fit_client_side_apply() {
    control_plane().await;
    for kind in ["certificates", "issuers", "clusterissuers"] {
        let annotation =
            r"jsonpath={.metadata.annotations.kubectl\.kubernetes\.io/last-applied-configuration}";
        let applied = run(
            &[
                "get",
                "crd",
                &format!("{kind}.certwright.dev"),
                "-o",
                annotation,
            ],
            "",
        )
        .await;
        // All annotations of an object together have 262,144 bytes.
        assert!(
            (1_000..100_000).contains(&applied.len()),
            "{kind}: {}",
            applied.len()
        );
    }
}

fn words(table: &str, line: usize) -> Vec<&str> {
    table
        .lines()
        .nth(line)
        .unwrap_or_default()
        .split_whitespace()
        .collect()
}

/// Without line breaks, which depend on where kubectl wraps.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
