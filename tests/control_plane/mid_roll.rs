//! Rolls in whose midst the operator ends, its clock is set, or the API server goes away.

use std::sync::Arc;

use certwright_core::api::Certificate;
use certwright_test_cluster::{AuditLevel, ControlPlane, Options};
use http::Method;
use jiff::SignedDuration;
use serde_json::json;
use tokio::sync::Notify;

use crate::harness::{Moment, Operator, Scene, condition, eventually, stuck};
use crate::pace::{certificate, full, room};
use crate::rollout::{Workload, pod};

#[tokio::test]
async fn killed_before_or_after_a_mark_or_between_waves_it_rolls_each_workload_once() {
    let scene = Scene::new("mid-roll").await;
    let operator = Operator::start(&scene).await;
    let web = certificate(&scene, json!({ "rules": [{ "name": "app", "wave": 1 }] })).await;
    let [database, app] = workloads(&scene, &web).await;
    operator.stop().await;

    scene.renew("web", "one").await;
    ends(&scene, "database", Moment::Before).await;
    database.untouched().await;
    ends(&scene, "database", Moment::After).await;
    assert!(!has_no_mark(&database).await);
    app.untouched().await;
    ends(&scene, "app", Moment::Before).await;
    app.untouched().await;

    let operator = Operator::start(&scene).await;
    let second = scene.renewed(&web).await;
    for workload in [&database, &app] {
        workload.rolled(&second, 2).await;
    }
    let done = scene
        .sees("web", "all run with the certificate", |web| {
            condition(web, "RolledOut").is_some_and(|condition| condition.reason == "RolledOut")
        })
        .await;
    assert_eq!(done.status.unwrap().revision, Some(2));
    operator.stop().await;
    for workload in [&database, &app] {
        assert_eq!(workload.revisions().await, 2);
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_in_the_midst_of_a_roll_holds_up_nothing() {
    let scene = Scene::new("set-back").await;
    let operator = Operator::start(&scene).await;
    // From the clock that was right before, the second one would have to wait for five minutes.
    let rollout = json!({ "minGap": "2m", "rules": [{ "name": "app", "wave": 1 }] });
    let web = certificate(&scene, rollout).await;
    let [database, app] = workloads(&scene, &web).await;

    // No Pod more than there are: what is restarted now is not done before there is room.
    full(&scene).await;
    scene.renew("web", "one").await;
    let second = scene.renewed(&web).await;
    is_marked(&database).await;
    scene.clock.advance(SignedDuration::from_mins(-3));
    scene.touch("web").await;
    room(&scene).await;
    for workload in [&database, &app] {
        workload.rolled(&second, 2).await;
    }
    scene
        .sees("web", "all run with the certificate", |web| {
            condition(web, "RolledOut").is_some_and(|condition| condition.reason == "RolledOut")
        })
        .await;
    let told = scene.event_reasons("web").await;
    assert!(!told.iter().any(|reason| reason == "Halted"), "{told:?}");
    operator.stop().await;
}

#[tokio::test]
async fn an_api_server_that_went_away_in_the_midst_of_a_roll_sees_each_workload_rolled_once() {
    let options = Options::new().nodes(2).audit(AuditLevel::Metadata);
    let cluster = ControlPlane::start(options).await.unwrap();
    let scene = Scene::on(&cluster, "away").await;
    let operator = Operator::start(&scene).await;
    let rules = json!([{ "name": "app", "wave": 1 }]);
    let web = certificate(&scene, json!({ "rules": rules })).await;
    let [database, app] = workloads(&scene, &web).await;

    full(&scene).await;
    scene.renew("web", "one").await;
    let second = scene.renewed(&web).await;
    is_marked(&database).await;
    cluster.stop_api_server();
    cluster.start_api_server().await.unwrap();
    app.untouched().await;
    room(&scene).await;
    for workload in [&database, &app] {
        workload.rolled(&second, 2).await;
    }
    operator.stop().await;
}

/// A database and an application that run with this certificate, and were not rolled for it.
async fn workloads<'s>(scene: &'s Scene<'_>, web: &Certificate) -> [Workload<'s>; 2] {
    let both = ["database", "app"].map(|name| Workload::new(scene, "Deployment", name));
    for workload in &both {
        workload.apply(pod("volume", "web-tls"), json!({})).await;
    }
    for workload in &both {
        workload.noted(web).await;
        workload.up().await;
    }
    both
}

/// Waits until it is being restarted.
async fn is_marked(workload: &Workload<'_>) {
    eventually("it is restarted", async || {
        match has_no_mark(workload).await {
            false => Ok(()),
            true => Err("its Pod template has no mark".to_owned()),
        }
    })
    .await;
}

/// An operator that ends as it writes this Deployment.
async fn ends(scene: &Scene<'_>, workload: &'static str, moment: Moment) {
    let reached = Arc::new(Notify::new());
    let layer = stuck(&reached, moment, move |request| {
        let path = format!("/deployments/{workload}");
        request.method() == Method::PATCH && request.uri().path().ends_with(&path)
    });
    let operator = Operator::start_with(scene, layer).await;
    reached.notified().await;
    operator.kill().await;
}

/// The Pod templates of these tests have no annotations of their own.
async fn has_no_mark(workload: &Workload<'_>) -> bool {
    workload.live().await.data["spec"]["template"]["metadata"]["annotations"].is_null()
}
