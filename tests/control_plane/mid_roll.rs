//! Rolls in whose midst the operator ends, its clock is set, or the API server goes away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use certwright_core::api::Certificate;
use certwright_test_cluster::{AuditLevel, ControlPlane, Options, free_ports};
use http::Method;
use jiff::SignedDuration;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tower::layer::util::Identity;

use crate::harness::{Moment, Operator, Scene, eventually, stuck};
use crate::leadership::leads;
use crate::pace::{certificate, full, rolled_out, room};
use crate::rollout::{Workload, pod};
use crate::served::{self, on};

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
    let done = rolled_out(&scene).await;
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
    rolled_out_without_a_halt(&scene).await;
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

#[tokio::test]
async fn the_next_leader_goes_on_in_mid_wave_and_rolls_each_workload_once() {
    let scene = Scene::new("handed-over").await;
    let mut leader = Operator::replica(&scene, "first", Identity::new()).await;
    leads(&scene, "first").await;
    let rules = json!([{ "name": "app", "wave": 1 }]);
    let mut web = certificate(&scene, json!({ "maxConcurrent": 1, "rules": rules })).await;
    let [database, app] = workloads(&scene, &web).await;
    let cache = Workload::new(&scene, "Deployment", "cache");
    cache.apply(pod("volume", "web-tls"), json!({})).await;
    cache.noted(&web).await;
    cache.up().await;
    let all = [&database, &cache, &app];

    // The first is killed, the second is asked to end.
    for (round, next) in [(1, "second"), (2, "third")] {
        let follower = Operator::replica(&scene, next, Identity::new()).await;
        full(&scene).await;
        scene.clock.advance(SignedDuration::from_mins(6));
        scene.renew("web", next).await;
        web = scene.renewed(&web).await;
        let marked = async || {
            let mut marked = Vec::new();
            for workload in all {
                if workload.is_marked_for(&web).await {
                    marked.push(workload.name());
                }
            }
            marked
        };
        eventually("one is restarted", async || match marked().await.len() {
            1 => Ok(()),
            count => Err(format!("{count} are")),
        })
        .await;
        let begun = marked().await;
        match round {
            1 => leader.kill().await,
            _ => leader.stop().await,
        }
        leads(&scene, next).await;
        // Whoever leads now tells how it stands, and takes up no other.
        scene.touch("web").await;
        scene
            .sees("web", "the others wait", |web| {
                let rollout = web
                    .status
                    .as_ref()
                    .and_then(|status| status.rollout.clone());
                let rollout = rollout.unwrap_or_default();
                let waits = |reason: &str| {
                    let told = rollout.workloads.iter();
                    told.filter(|told| told.reason.as_deref() == Some(reason))
                        .count()
                };
                waits("RollingOut") == 1 && waits("Busy") == 1 && waits("NextWave") == 1
            })
            .await;
        assert_eq!(marked().await, begun);
        room(&scene).await;
        for workload in all {
            workload.rolled(&web, 1 + round).await;
            workload.up().await;
        }
        leader = follower;
    }
    rolled_out_without_a_halt(&scene).await;
    leader.stop().await;
}

#[tokio::test]
async fn killed_while_a_call_is_out_it_calls_again() {
    let scene = served::scene("called-away").await;
    let operator = Operator::start(&scene).await;
    let [port] = free_ports().unwrap();
    let addresses = [on(4, port), on(5, port)];
    let held = Arc::new(AtomicBool::new(true));
    let calls: [Arc<AtomicUsize>; 2] = Default::default();
    let reached = Arc::new(Notify::new());
    for (address, calls) in addresses.iter().zip(&calls) {
        answer(*address, &held, calls, &reached).await;
    }
    let call = json!({ "path": "/reload", "port": port });
    let web = certificate(&scene, json!({ "strategy": "Call", "call": call })).await;
    let app = Workload::new(&scene, "Deployment", "app");
    app.apply(pod("volume", "web-tls"), json!({})).await;
    app.noted(&web).await;
    app.up().await;
    served::settle(&scene, "app", &addresses.map(|address| address.ip())).await;

    scene.renew("web", "one").await;
    let second = scene.renewed(&web).await;
    reached.notified().await;
    operator.kill().await;
    let before = calls.each_ref().map(|calls| calls.load(Ordering::SeqCst));
    assert!(before.iter().sum::<usize>() >= 1, "{before:?}");
    assert!(!app.is_noted_for(&second).await, "nobody has answered yet");

    held.store(false, Ordering::SeqCst);
    let operator = Operator::start(&scene).await;
    app.noted(&second).await;
    rolled_out(&scene).await;
    let after = calls.each_ref().map(|calls| calls.load(Ordering::SeqCst));
    assert_eq!(after, before.map(|before| before + 1));
    operator.stop().await;
}

/// Waits until all run with the certificate; nobody was told of a halt on the way.
async fn rolled_out_without_a_halt(scene: &Scene<'_>) {
    rolled_out(scene).await;
    let told = scene.event_reasons("web").await;
    assert!(!told.iter().any(|reason| reason == "Halted"), "{told:?}");
}

/// Answers requests at this address with 200, or holds them; counts them, and tells of each.
async fn answer(
    address: SocketAddr,
    held: &Arc<AtomicBool>,
    calls: &Arc<AtomicUsize>,
    reached: &Arc<Notify>,
) {
    let listener = TcpListener::bind(address).await.unwrap();
    let (held, calls, reached) = (Arc::clone(held), Arc::clone(calls), Arc::clone(reached));
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            // Whoever looks what is served here says no HTTP.
            if !request[..length].starts_with(b"POST /reload ") {
                continue;
            }
            calls.fetch_add(1, Ordering::SeqCst);
            if held.load(Ordering::SeqCst) {
                kept.push(stream);
            } else {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(answer).await.unwrap();
            }
            reached.notify_one();
        }
    });
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
