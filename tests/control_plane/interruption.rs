//! Operators that are killed, and API servers that go away.

use std::sync::Arc;

use certwright_test_cluster::{AuditLevel, ControlPlane, Options};
use serde_json::json;
use tokio::sync::Notify;

use crate::harness::{Moment, Operator, Scene, stuck};

#[tokio::test]
async fn killed_between_secret_and_status_it_issues_no_second_certificate() {
    let scene = Scene::new("killed").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    operator.stop().await;

    // The status of `web` never gets to the API server.
    let reached = Arc::new(Notify::new());
    let layer = stuck(&reached, Moment::Before, |request| {
        request.uri().path().ends_with("/certificates/web/status")
    });
    let operator = Operator::start_with(&scene, layer).await;
    scene
        .certificate("web", json!({ "dnsNames": ["web.example.com"] }))
        .await;
    reached.notified().await;
    operator.kill().await;
    let before = scene.held("web-tls").await;
    let status = scene.certificates().get("web").await.unwrap().status;
    assert_eq!(status.and_then(|status| status.revision), None);

    let operator = Operator::start(&scene).await;
    let web = scene.ready("web").await.status.unwrap();
    assert_eq!(
        (web.revision, web.serial_number),
        (Some(1), Some(before.serial()))
    );
    operator.stop().await;
    assert_eq!(scene.held("web-tls").await.secret, before.secret);
    let writes = scene.writes();
    let stored = writes.iter().filter(|write| *write == "secrets web-tls");
    assert_eq!(stored.count(), 1, "{writes:?}");
}

#[tokio::test]
async fn an_api_server_that_went_away_is_taken_up_again() {
    const COUNT: usize = 20;
    let options = Options::new()
        .without_workloads()
        .audit(AuditLevel::Metadata);
    let cluster = ControlPlane::start(options).await.unwrap();
    let scene = Scene::on(&cluster, "away").await;
    let operator = Operator::start(&scene).await;
    scene.web().await;

    for number in 0..COUNT {
        let spec = json!({ "dnsNames": [format!("{number}.example.com")] });
        scene.certificate(&format!("many-{number}"), spec).await;
    }
    cluster.stop_api_server();
    assert_eq!(operator.get("/readyz").await.0, 200);
    cluster.start_api_server().await.unwrap();
    assert_eq!(operator.get("/readyz").await.0, 200);
    for number in 0..COUNT {
        let name = format!("many-{number}");
        let status = scene.ready(&name).await.status.unwrap();
        let held = scene.held(&format!("{name}-tls")).await;
        assert_eq!(
            (status.revision, status.serial_number),
            (Some(1), Some(held.serial()))
        );
    }

    // The watches run again too.
    scene
        .meddle(
            "web-tls",
            json!({ "metadata": { "labels": { scene.group.key("managed"): null } } }),
        )
        .await;
    let label = scene.group.key("managed");
    scene
        .holds("web-tls", "repaired", |held| held.label(&label).is_some())
        .await;
    assert_eq!(operator.get("/healthz").await.0, 200);
    operator.stop().await;
}
