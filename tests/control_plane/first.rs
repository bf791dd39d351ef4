//! The first certificate, and what it costs.

use std::time::Duration;

use certwright_core::api::ConditionStatus;
use serde_json::json;

use crate::harness::{Operator, Scene, condition, eventually};

#[tokio::test]
async fn a_root_a_ca_and_a_leaf_become_ready() {
    let scene = Scene::new("first").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;

    let (root, leaf) = (scene.held("root").await, scene.held("web-tls").await);
    assert!(root.leaf().is_self_signed() && root.leaf().is_ca);
    assert_eq!(root.ca, root.chain);
    assert!(leaf.leaf().is_signed_by(root.leaf()));
    assert_eq!(leaf.chain.len(), 1, "the root is not in tls.crt");
    assert_eq!(leaf.ca, root.chain);
    assert_eq!(leaf.secret.type_.as_deref(), Some("kubernetes.io/tls"));

    let key = |name: &str| scene.group.key(name);
    assert_eq!(leaf.label(&key("managed")), Some("true"));
    for (name, value) in [
        ("certificate-name", "web"),
        ("issuer-name", "ca"),
        ("issuer-kind", "Issuer"),
        ("issuer-group", scene.group.name()),
        ("common-name", ""),
        ("alt-names", "web.example.com"),
        ("ip-sans", ""),
        ("uri-sans", ""),
    ] {
        assert_eq!(leaf.annotation(&key(name)), Some(value), "{name}");
    }

    let status = web.status.clone().unwrap();
    assert_eq!(status.revision, Some(1));
    assert_eq!(status.serial_number, Some(leaf.serial()));
    assert_eq!(
        status.fingerprint,
        Some(leaf.leaf().fingerprint.to_string())
    );
    assert_eq!(
        status.not_after.map(|time| time.0),
        Some(leaf.leaf().not_after)
    );
    let issuing = condition(&web, "Issuing").unwrap();
    assert_eq!(issuing.status, ConditionStatus::False);
    assert_eq!(issuing.reason, "UpToDate");
    operator.stop().await;
}

#[tokio::test]
async fn kubectl_shows_how_a_certificate_stands() {
    let scene = Scene::new("columns").await;
    let operator = Operator::start(&scene).await;
    let web = scene.web().await;

    let kind = format!("certificates.{}", scene.group.name());
    let output = scene
        .cluster
        .kubectl()
        .unwrap()
        .args(["get", &kind, "web", "-o", "wide", "-n", &scene.namespace])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (heads, values) = text.trim_end().split_once('\n').unwrap();
    for head in [
        "NAME",
        "READY",
        "SECRET",
        "ISSUER",
        "EXPIRES",
        "AGE",
        "FINGERPRINT",
    ] {
        assert!(heads.contains(head), "{head}: {text}");
    }
    let fingerprint = web.status.unwrap().fingerprint.unwrap();
    for value in ["web", "True", "web-tls", "ca", &fingerprint] {
        assert!(
            values.split_whitespace().any(|held| held == value),
            "{value}: {text}"
        );
    }
    operator.stop().await;
}

#[tokio::test]
async fn a_certificate_costs_three_writes_and_an_idle_operator_none() {
    let scene = Scene::new("writes").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    scene.ready("root").await;
    // Nothing of what was done for the root and the CA is still under way after this.
    operator.stop().await;
    let operator = Operator::start(&scene).await;
    let before = scene.writes().len();

    scene
        .certificate("web", json!({ "dnsNames": ["web.example.com"] }))
        .await;
    scene.ready("web").await;
    // The Event and the status don't wait for each other.
    let since = || {
        let mut writes = scene.writes().split_off(before);
        writes.sort();
        writes
    };
    let cost = eventually("three writes", async || {
        let writes = since();
        if writes.len() < 3 {
            return Err(format!("{writes:?}"));
        }
        Ok(writes)
    })
    .await;
    let three = ["certificates/status web", "events", "secrets web-tls"];
    assert_eq!(cost, three);
    operator.stop().await;
    assert_eq!(since(), three, "nothing more came after");

    // Another operator looks at everything once, and finds nothing to write.
    let operator = Operator::start(&scene).await;
    for (controller, objects) in [("certificate", 2.0), ("issuer", 2.0)] {
        let series = format!(
            "certwright_reconciles_total{{controller=\"{controller}\",outcome=\"success\"}}"
        );
        eventually("all objects were looked at", async || {
            match operator.metric(&series).await {
                Some(count) if count >= objects => Ok(()),
                count => Err(format!("{series} {count:?}")),
            }
        })
        .await;
    }
    let calls = scene.calls().len();
    // There is no event for "nothing happens".
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(since(), three, "nothing was written");
    let idle = scene.calls().split_off(calls);
    let verbs: Vec<_> = idle
        .iter()
        .map(|call| (&call.verb, &call.request_uri))
        .collect();
    assert!(verbs.iter().all(|(verb, _)| *verb == "watch"), "{verbs:?}");
    operator.stop().await;
}
