//! The first certificate.

use certwright_core::api::ConditionStatus;
use serde_json::json;

use crate::harness::{Operator, Scene, condition};

#[tokio::test]
async fn a_root_a_ca_and_a_leaf_become_ready() {
    let scene = Scene::new("first").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    scene
        .certificate("web", json!({ "dnsNames": ["web.example.com"] }))
        .await;
    let web = scene.ready("web").await;

    let (root, leaf) = (scene.held("root").await, scene.held("web-tls").await);
    assert!(root.leaf().is_self_signed() && root.leaf().is_ca);
    assert!(leaf.leaf().is_signed_by(root.leaf()));
    assert_eq!(leaf.chain.len(), 1);
    assert_eq!(leaf.ca, root.chain);
    let status = web.status.clone().unwrap();
    assert_eq!(status.revision, Some(1));
    assert_eq!(status.serial_number, Some(leaf.serial()));
    assert_eq!(
        status.fingerprint,
        Some(leaf.leaf().fingerprint.to_string())
    );
    assert_eq!(
        condition(&web, "Issuing").map(|issuing| issuing.status),
        Some(ConditionStatus::False)
    );
    operator.stop().await;
}
