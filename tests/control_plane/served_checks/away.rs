//! Servers that can't be reached, or hang.

use jiff::SignedDuration;
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket};

use super::{False, Unknown, Way, bundle, codes, said, says, scene, serve, touch, watch};
use crate::harness::{Operator, eventually};
use crate::tls::authority::{leaf, root, signed};

#[tokio::test]
async fn a_server_that_is_away_or_hangs_says_nothing_of_its_certificate() {
    let scene = scene("away").await;
    let operator = Operator::start(&scene).await;
    let root = root("Root");
    let trusting = json!({ "caBundle": bundle(&root) });
    // Held, so that nobody else listens there.
    let held = TcpSocket::new_v4().unwrap();
    held.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let away = held.local_addr().unwrap().to_string();
    let hanging = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let hangs = hanging.local_addr().unwrap().to_string();
    watch(&scene, "away", &away, trusting.clone()).await;
    watch(&scene, "hangs", &hangs, trusting.clone()).await;
    let check = says(&scene, "away", "Ready", Unknown, "Unreachable").await;
    assert_eq!(said(&check, "Reachable").unwrap().status, False);
    let check = says(&scene, "hangs", "Ready", Unknown, "TooSlow").await;
    let message = &said(&check, "Reachable").unwrap().message;
    assert!(message.contains("shake hands"), "{message}");
    scene.tells("away", &["Unreachable"]).await;

    // What was once known is taken back only after several looks, and the certificate is not blamed.
    let server = serve(&signed(leaf(2020, 2021), &root), &[]).await;
    let way = Way::to(&server.address).await;
    watch(&scene, "goes", &way.address(), trusting).await;
    says(&scene, "goes", "Ready", False, "Expired").await;
    let target = way.address();
    let fault = format!(
        r#"certwright_served_check_faults{{namespace="{}",name="goes",target="{target}",fault="expired"}}"#,
        scene.namespace
    );
    assert_eq!(operator.metric(&fault).await, Some(1.0));
    way.close();
    scene.clock.advance(SignedDuration::from_hours(25));
    eventually("it is unknown", async || {
        let seen = way.seen();
        touch(&scene, "goes").await;
        scene.clock.advance(SignedDuration::from_hours(25));
        let check = scene.served_checks().get("goes").await.unwrap();
        match said(&check, "Ready") {
            Some(ready) if ready.status == Unknown => Ok(()),
            other => Err(format!("{other:?} after {seen}")),
        }
    })
    .await;
    assert!(
        way.seen() >= 4,
        "one that came through, and three that did not: {}",
        way.seen()
    );
    let check = says(&scene, "goes", "Ready", Unknown, "NoTLS").await;
    assert_eq!(codes(&check), Vec::<&str>::new());
    assert!(check.status.unwrap().presented.is_some());
    assert_eq!(operator.metric(&fault).await, None);
    scene.tells("goes", &["Expired", "NoTLS"]).await;
    operator.stop().await;
}
