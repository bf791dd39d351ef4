//! What kstatus makes of our objects: the library by which Helm, Flux and others wait. It is Helm's own here.

use std::path::Path;

use certwright_core::api::ConditionStatus;
use serde_json::{Value, json};

use crate::harness::{Operator, Scene, reads};

#[tokio::test]
async fn helm_waits_until_a_certificate_is_ready() {
    let scene = Scene::new("kstatus").await;
    let operator = Operator::start(&scene).await;
    let chart = tempfile::tempdir().unwrap();
    let version = scene.group.api_version();
    let object = |kind: &str, name: &str, spec: Value| json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name }, "spec": spec });
    let web = |name: &str, secret: &str| {
        let reference = json!({ "name": "self-signed" });
        let spec = json!({ "secretName": secret, "dnsNames": [name], "issuerRef": reference });
        object("Certificate", "web", spec)
    };
    write(
        chart.path(),
        "Chart.yaml",
        &json!({ "apiVersion": "v2", "name": "shop", "version": "1.0.0" }),
    );
    let self_signed = object("Issuer", "self-signed", json!({ "selfSigned": {} }));
    write(chart.path(), "templates/issuer.yaml", &self_signed);
    let first = web("one.example.com", "web-tls");
    write(chart.path(), "templates/certificate.yaml", &first);
    let install = helm(&scene, "install", chart.path(), "60s").await;
    assert_eq!(install, Ok(()));
    // Not a moment before.
    let certificates = scene.certificates();
    let ready = certificates.get("web").await.unwrap();
    assert!(reads(&ready, "Ready", ConditionStatus::True, "Ready"));

    // With the certificate of the spec before, it is not done.
    let changed = web("two.example.com", "web-tls");
    write(chart.path(), "templates/certificate.yaml", &changed);
    assert_eq!(helm(&scene, "upgrade", chart.path(), "60s").await, Ok(()));
    let ready = certificates.get("web").await.unwrap();
    assert!(reads(&ready, "Ready", ConditionStatus::True, "Ready"));
    let held = scene.held("web-tls").await;
    assert_eq!(
        held.leaf().names.dns,
        std::collections::BTreeSet::from(["two.example.com".to_owned()])
    );

    // What somebody has to see to is waited for in vain.
    scene.secret("taken", "Opaque", &[("password", b"x")]).await;
    let refused = web("three.example.com", "taken");
    write(chart.path(), "templates/certificate.yaml", &refused);
    let problem = helm(&scene, "upgrade", chart.path(), "8s")
        .await
        .unwrap_err();
    assert!(
        problem.contains("Certificate") && problem.contains("not ready"),
        "{problem}"
    );
    operator.stop().await;
}

fn write(chart: &Path, file: &str, content: &Value) {
    let path = chart.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, serde_yaml::to_string(content).unwrap()).unwrap();
}

async fn helm(scene: &Scene<'_>, verb: &str, chart: &Path, patience: &str) -> Result<(), String> {
    let mut helm = scene.cluster.helm().unwrap();
    helm.args([verb, "shop"]).arg(chart);
    helm.args([
        "--namespace",
        &scene.namespace,
        "--wait",
        "--timeout",
        patience,
    ]);
    let output = helm.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(())
    } else {
        Err(said)
    }
}
