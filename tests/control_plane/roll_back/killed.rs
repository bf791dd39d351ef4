//! Operators that end in the midst of it.

use std::sync::Arc;

use http::Method;
use serde_json::json;
use tokio::sync::Notify;

use super::{Fails, Kubelet, all_run, fingerprint, kept, rolled, told, too_late};
use crate::harness::{Held, Moment, Operator, Scene, stuck};

#[tokio::test]
async fn killed_in_the_midst_of_it_the_next_one_goes_on() {
    let scene = Scene::new("roll-back-killed").await;
    let operator = Operator::start(&scene).await;
    let kubelet = Kubelet::start(&scene);
    let (good, app) = rolled(&scene, "Deployment").await;
    operator.stop().await;

    // The pair before is kept, and the new one is not stored.
    let change = json!({ "privateKey": { "algorithm": "Ed25519" } });
    scene.change("web", change).await;
    ends(&scene, Moment::Before).await;
    let [secret] = kept(&scene).await.try_into().unwrap();
    let pair = Held::read(secret).unwrap().leaf().fingerprint.to_string();
    assert_eq!(pair, fingerprint(&good));
    let held = scene.held("web-tls").await;
    assert_eq!(held.leaf().fingerprint.to_string(), fingerprint(&good));

    let operator = Operator::start(&scene).await;
    let refused = scene.renewed(&good).await;
    kubelet.refuse(&refused, Fails::Ends);
    let [secret] = kept(&scene).await.try_into().unwrap();
    let pair = Held::read(secret).unwrap().leaf().fingerprint.to_string();
    assert_eq!(pair, fingerprint(&good));
    too_late(&scene, &refused).await;
    operator.kill().await;

    // It is told that it is refused, and nothing is put back.
    ends(&scene, Moment::Before).await;
    let web = scene.certificates().get("web").await.unwrap();
    assert!(told(&web).rollout.as_ref().unwrap().refused.is_some());
    assert_eq!(told(&web).held_back, None);
    let held = scene.held("web-tls").await;
    assert_eq!(held.leaf().fingerprint.to_string(), fingerprint(&refused));

    // It is put back, and not told.
    ends(&scene, Moment::After).await;
    let held = scene.held("web-tls").await;
    assert_eq!(held.leaf().fingerprint.to_string(), fingerprint(&good));
    let web = scene.certificates().get("web").await.unwrap();
    assert_eq!(told(&web).held_back, None);

    let operator = Operator::start(&scene).await;
    let web = all_run(&scene).await;
    assert_eq!(told(&web).fingerprint, told(&good).fingerprint);
    assert_eq!(told(&web).revision, Some(4));
    app.rolled(&good, 3).await;
    operator.stop().await;
}

/// An operator that ends as it writes the Secret.
async fn ends(scene: &Scene<'_>, moment: Moment) {
    let reached = Arc::new(Notify::new());
    let layer = stuck(&reached, moment, |request| {
        request.method() == Method::PATCH && request.uri().path().ends_with("/secrets/web-tls")
    });
    let operator = Operator::start_with(scene, layer).await;
    reached.notified().await;
    operator.kill().await;
}
