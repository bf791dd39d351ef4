//! Two replicas, of which one writes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, Request};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::client::Body;
use serde_json::json;
use tokio::sync::{Notify, Semaphore};
use tower::layer::util::Identity;
use tower::{BoxError, ServiceExt as _};

use crate::harness::{Calls, Operator, Scene, eventually};

/// What the Lease says its holder is called, without what makes each process another one.
async fn leader(scene: &Scene<'_>) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(scene.client.clone(), &scene.system);
    let lease = leases.get_opt(scene.group.manager()).await.unwrap()?;
    let holder = lease.spec?.holder_identity?;
    Some(holder.split('_').next().unwrap().to_owned())
}

pub(crate) async fn leads(scene: &Scene<'_>, name: &str) {
    eventually(&format!("{name} leads"), async || {
        match leader(scene).await {
            Some(leader) if leader == name => Ok(()),
            other => Err(format!("{other:?} leads")),
        }
    })
    .await;
}

async fn metric(operator: &Operator, series: &str) -> Option<f64> {
    operator.metric(series).await
}

/// How often each Secret was written.
fn stored(scene: &Scene<'_>, name: &str) -> usize {
    let written = format!("secrets {name}");
    let writes = scene.writes();
    writes.iter().filter(|write| **write == written).count()
}

#[tokio::test]
async fn one_of_two_writes_and_the_other_follows_when_it_ends_or_dies() {
    let scene = Scene::new("succession").await;
    let first = Operator::replica(&scene, "first", Identity::new()).await;
    leads(&scene, "first").await;
    let second = Operator::replica(&scene, "second", Identity::new()).await;
    scene.web().await;
    let expiry = format!(
        "ssl_certificate_expiry{{namespace=\"{}\",name=\"web\"}}",
        scene.namespace
    );
    assert!(metric(&first, &expiry).await.is_some());
    assert_eq!(metric(&first, "certwright_leader").await, Some(1.0));
    assert_eq!(metric(&second, &expiry).await, None, "told once");
    assert_eq!(metric(&second, "certwright_leader").await, Some(0.0));
    assert_eq!(second.get("/readyz").await.0, 200, "it stands by, ready");

    // It lets go of the Lease, so that nobody waits for it to run out.
    first.stop().await;
    leads(&scene, "second").await;
    scene
        .certificate("next", json!({ "dnsNames": ["next.example.com"] }))
        .await;
    scene.ready("next").await;
    eventually("the new leader tells of all", async || {
        match metric(&second, &expiry).await {
            Some(_) => Ok(()),
            None => Err("it tells nothing".to_owned()),
        }
    })
    .await;

    let third = Operator::replica(&scene, "third", Identity::new()).await;
    second.kill().await;
    scene
        .certificate("last", json!({ "dnsNames": ["last.example.com"] }))
        .await;
    scene.ready("last").await;
    assert_eq!(leader(&scene).await.as_deref(), Some("third"));
    third.stop().await;
    for secret in ["web-tls", "next-tls", "last-tls"] {
        assert_eq!(stored(&scene, secret), 1, "{secret}");
    }
    assert_eq!(leader(&scene).await, None);
}

/// The first leader's calls hang for as long as a test says; what it had sent by then arrives late.
#[tokio::test]
async fn what_a_leader_that_was_away_still_sends_changes_nothing() {
    let scene = Scene::new("thawed").await;
    let operator = Operator::start(&scene).await;
    scene.ca().await;
    operator.stop().await;

    let away = Arc::new(AtomicBool::new(false));
    let (back, caught) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
    let answers = Arc::new(std::sync::Mutex::new(Vec::new()));
    let layer = tower::layer::layer_fn({
        let (away, back, caught) = (Arc::clone(&away), Arc::clone(&back), Arc::clone(&caught));
        let answers = Arc::clone(&answers);
        move |calls: Calls| {
            let (away, back, caught) = (Arc::clone(&away), Arc::clone(&back), Arc::clone(&caught));
            let answers = Arc::clone(&answers);
            tower::service_fn(move |request: Request<Body>| {
                let stores = request.method() == Method::PATCH
                    && request.uri().path().ends_with("/secrets/web-tls");
                if stores {
                    away.store(true, Ordering::SeqCst);
                    caught.notify_one();
                }
                let held = away.load(Ordering::SeqCst);
                let (calls, back, answers) =
                    (calls.clone(), Arc::clone(&back), Arc::clone(&answers));
                // What has left the process is not called back when nobody waits for its answer any more.
                let sent = tokio::spawn(async move {
                    if held {
                        let _ = back.acquire().await.unwrap();
                    }
                    let answer = calls.oneshot(request).await;
                    if stores {
                        let code = answer.as_ref().map(|answer| answer.status().as_u16());
                        answers.lock().unwrap().push(code.unwrap_or_default());
                    }
                    answer
                });
                async move { sent.await.map_err(BoxError::from)? }
            })
        }
    });
    let first = Operator::replica(&scene, "first", layer).await;
    leads(&scene, "first").await;
    let second = Operator::replica(&scene, "second", Identity::new()).await;
    scene
        .certificate("web", json!({ "dnsNames": ["web.example.com"] }))
        .await;
    caught.notified().await;

    // The first can't renew the Lease any more; the second takes it, and issues.
    let web = scene.ready("web").await;
    assert_eq!(leader(&scene).await.as_deref(), Some("second"));
    let held = scene.held("web-tls").await;
    back.add_permits(Semaphore::MAX_PERMITS);
    away.store(false, Ordering::SeqCst);
    eventually("what was held up has arrived", async || {
        match answers.lock().unwrap().as_slice() {
            [] => Err("nothing yet".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    assert_eq!(*answers.lock().unwrap(), [409]);
    eventually(
        "the first knows that it leads no more",
        async || match metric(&first, "certwright_leader").await {
            Some(0.0) => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await;
    assert_eq!(scene.held("web-tls").await.secret, held.secret);
    assert_eq!(
        scene.certificates().get("web").await.unwrap().status,
        web.status
    );
    assert_eq!(stored(&scene, "web-tls"), 1);

    // It stands by, and takes over again.
    second.stop().await;
    scene.renew("web", "once").await;
    let renewed = scene.renewed(&web).await;
    assert_eq!(renewed.status.unwrap().revision, Some(2));
    assert_eq!(leader(&scene).await.as_deref(), Some("first"));
    first.stop().await;
}

#[tokio::test]
async fn each_of_many_is_issued_once_though_leaders_change_all_the_time() {
    const COUNT: usize = 60;
    let scene = Scene::new("turns").await;
    let mut operator = Operator::replica(&scene, "r0", Identity::new()).await;
    scene.ca().await;
    for number in 0..COUNT {
        let spec = json!({ "dnsNames": [format!("{number}.example.com")] });
        scene.certificate(&format!("many-{number}"), spec).await;
        if number % 20 == 10 {
            let next = Operator::replica(&scene, &format!("r{number}"), Identity::new()).await;
            std::mem::replace(&mut operator, next).stop().await;
        }
    }
    let mut serials = BTreeSet::new();
    for number in 0..COUNT {
        let certificate = scene.ready(&format!("many-{number}")).await;
        let status = certificate.status.unwrap();
        assert_eq!(status.revision, Some(1));
        serials.insert(status.serial_number);
        assert_eq!(stored(&scene, &format!("many-{number}-tls")), 1);
    }
    assert_eq!(serials.len(), COUNT);
    operator.stop().await;
}
