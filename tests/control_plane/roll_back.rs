//! Workloads that can't do with a new certificate get the one before back, where their Certificate says so.

mod killed;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use certwright_core::api::Certificate;
use certwright_core::api::ConditionStatus;
use certwright_core::api::certificate::CertificateStatus;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{Held, Operator, Scene, condition, eventually};
use crate::rollout::{Workload, pod};

const REFUSES: &str = "container main of Pod";

/// How a container of a Pod with the refused certificate is.
#[derive(Clone, Copy)]
enum Fails {
    /// Its process ends again and again.
    Ends,
    /// Its image isn't there.
    HasNoImage,
}

/// Plays the kubelet of a scene's Pods: all are ready but those that were made for the refused certificate, as long as the Secret
/// holds it.
struct Kubelet {
    refused: Arc<Mutex<Option<(String, Fails)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Kubelet {
    fn start(scene: &Scene<'_>) -> Self {
        let refused = Arc::new(Mutex::new(None));
        let (pods, secrets) = (scene.api::<Pod>(), scene.api::<Secret>());
        let key = scene.group.key("secret-web-tls");
        let task = tokio::spawn({
            let refused = Arc::clone(&refused);
            async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    let held = secrets.get("web-tls").await.ok().map(Held::read);
                    let held = held.and_then(Result::ok);
                    let held = held.map(|held| held.leaf().fingerprint.to_string());
                    let fails: Option<(String, Fails)> = refused.lock().unwrap().clone();
                    let fails = fails.filter(|(refused, _)| held.as_ref() == Some(refused));
                    let Ok(list) = pods.list(&ListParams::default()).await else {
                        continue;
                    };
                    for pod in list {
                        let mark = pod.annotations().get(&key);
                        let fails = fails.as_ref().filter(|(refused, _)| mark == Some(refused));
                        let status = status_of(&pod, fails.map(|(_, fails)| *fails));
                        // It may have gone.
                        let _ = pods
                            .patch_status(
                                &pod.name_any(),
                                &PatchParams::default(),
                                &Patch::Merge(&json!({ "status": status })),
                            )
                            .await;
                    }
                }
            }
        });
        Self { refused, task }
    }

    /// From now on, Pods with this certificate fail.
    fn refuse(&self, certificate: &Certificate, fails: Fails) {
        *self.refused.lock().unwrap() = Some((fingerprint(certificate), fails));
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn status_of(pod: &Pod, fails: Option<Fails>) -> Value {
    let created = pod.metadata.creation_timestamp.as_ref().unwrap().0;
    let run =
        json!({ "startedAt": created, "finishedAt": created, "exitCode": 1, "reason": "Error" });
    let (ready, restarts, state, last) = match fails {
        None => (
            true,
            0,
            json!({ "running": { "startedAt": created } }),
            Value::Null,
        ),
        Some(Fails::Ends) => (
            false,
            3,
            json!({ "waiting": { "reason": "CrashLoopBackOff" } }),
            json!({ "terminated": run }),
        ),
        Some(Fails::HasNoImage) => (
            false,
            0,
            json!({ "waiting": { "reason": "ImagePullBackOff" } }),
            Value::Null,
        ),
    };
    let is = if ready { "True" } else { "False" };
    let conditions = ["Initialized", "ContainersReady", "Ready"]
        .map(|type_| json!({ "type": type_, "status": is, "lastTransitionTime": created }));
    json!({
        "phase": if ready { "Running" } else { "Pending" },
        "startTime": created,
        "conditions": conditions,
        "containerStatuses": [{
            "name": "main", "image": "example", "imageID": "", "ready": ready, "started": ready,
            "restartCount": restarts, "state": state, "lastState": last,
        }],
    })
}

/// A Pod that kwok leaves alone.
fn left_alone() -> Value {
    json!({ "cluster.certwright.dev/ready": "never" })
}

fn fingerprint(certificate: &Certificate) -> String {
    told(certificate).fingerprint.clone().unwrap()
}

fn told(certificate: &Certificate) -> &CertificateStatus {
    certificate.status.as_ref().unwrap()
}

/// Those Secrets that keep a pair.
async fn kept(scene: &Scene<'_>) -> Vec<Secret> {
    let label = scene.group.key("previous-pair");
    let secrets = scene.api::<Secret>();
    let list = secrets.list(&ListParams::default().labels(&label)).await;
    list.unwrap().items
}

async fn pods(scene: &Scene<'_>, workload: &str) -> BTreeSet<String> {
    let of = ListParams::default().labels(&format!("app={workload}"));
    let pods = scene.api::<Pod>().list(&of).await.unwrap();
    let there = pods.into_iter();
    there
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .map(|pod| pod.name_any())
        .collect()
}

/// The Certificate `web` that goes back, and a workload `app` that was rolled for it once and runs with it.
async fn rolled<'s>(scene: &'s Scene<'_>, kind: &'static str) -> (Certificate, Workload<'s>) {
    scene.ca().await;
    let spec = json!({ "dnsNames": ["web.example.com"], "rollout": { "rollBack": "Enabled" } });
    scene.certificate("web", spec).await;
    let web = scene.ready("web").await;
    let app = Workload::new(scene, kind, "app");
    app.apply_with(pod("volume", "web-tls"), json!({}), left_alone())
        .await;
    app.noted(&web).await;
    app.up().await;
    scene.clock.advance(SignedDuration::from_mins(6));
    scene.renew("web", "one").await;
    let web = scene.renewed(&web).await;
    app.rolled(&web, 2).await;
    app.up().await;
    (web, app)
}

/// Asks for another key, which Pods fail with.
async fn refuse(scene: &Scene<'_>, kubelet: &Kubelet, fails: Fails) -> Certificate {
    let change = json!({ "privateKey": { "algorithm": "Ed25519" } });
    let web = scene.certificates().get("web").await.unwrap();
    scene.change("web", change).await;
    let refused = scene.renewed(&web).await;
    kubelet.refuse(&refused, fails);
    refused
}

/// Lets the time pass in which Pods have to come up, once one is there.
async fn too_late(scene: &Scene<'_>, refused: &Certificate) {
    let key = scene.group.key("secret-web-tls");
    let mark = fingerprint(refused);
    eventually("a Pod is there that fails", async || {
        let pods = scene.api::<Pod>().list(&ListParams::default()).await;
        let found = pods.unwrap().into_iter().any(|pod| {
            pod.annotations().get(&key) == Some(&mark)
                && pod
                    .status
                    .and_then(|status| status.container_statuses)
                    .is_some()
        });
        if found {
            Ok(())
        } else {
            Err("none".to_owned())
        }
    })
    .await;
    scene.clock.advance(SignedDuration::from_mins(11));
    scene.touch("web").await;
}

async fn gone_back(scene: &Scene<'_>) -> Certificate {
    scene
        .sees("web", "the one before came back", |web| {
            told(web).held_back.is_some()
        })
        .await
}

async fn all_run(scene: &Scene<'_>) -> Certificate {
    scene
        .sees("web", "all run with what came back", |web| {
            told(web).held_back.is_some()
                && told(web).rollout.as_ref().is_some_and(|rollout| {
                    rollout.fingerprint == told(web).fingerprint && rollout.refused.is_none()
                })
                && condition(web, "RolledOut").is_some_and(|told| told.reason == "RolledOut")
        })
        .await
}

#[tokio::test]
async fn a_deployment_that_refuses_its_certificate_goes_on_with_the_one_before() {
    let scene = Scene::new("roll-back").await;
    let operator = Operator::start(&scene).await;
    let kubelet = Kubelet::start(&scene);
    let (good, app) = rolled(&scene, "Deployment").await;
    // The first renewal kept the first pair.
    assert_eq!(kept(&scene).await.len(), 1);
    let before = pods(&scene, "app").await;
    assert_eq!(before.len(), 2);

    let refused = refuse(&scene, &kubelet, Fails::Ends).await;
    let previous = told(&refused).previous.clone().unwrap();
    assert_eq!(Some(previous.fingerprint), told(&good).fingerprint);
    let [secret] = kept(&scene).await.try_into().unwrap();
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    assert_eq!(secret.owner_references()[0].name, "web");
    too_late(&scene, &refused).await;

    gone_back(&scene).await;
    let web = all_run(&scene).await;
    assert_eq!(told(&web).fingerprint, told(&good).fingerprint);
    assert_eq!(told(&web).revision, Some(4));
    assert_eq!(told(&web).previous, None);
    let held_back = told(&web).held_back.as_ref().unwrap();
    assert_eq!(held_back.fingerprint, fingerprint(&refused));
    let message = &held_back.message;
    assert!(
        message.starts_with(&format!("Deployment app: {REFUSES}"))
            && message.ends_with("ends with exit code 1"),
        "{message}"
    );
    let ready = condition(&web, "Ready").unwrap();
    assert_eq!(ready.status, ConditionStatus::False);
    assert_eq!(ready.reason, "HeldBack");
    let held = scene.held("web-tls").await;
    assert_eq!(held.leaf().fingerprint.to_string(), fingerprint(&good));
    assert_eq!(kept(&scene).await.len(), 0);
    // It went on with the very Pods that it had.
    app.rolled(&good, 3).await;
    app.up().await;
    assert_eq!(pods(&scene, "app").await, before);
    let told_of = scene.event_reasons("web").await;
    let count = |reason: &str| told_of.iter().filter(|told| *told == reason).count();
    assert_eq!(
        (count("Issued"), count("Halted"), count("RolledBack")),
        (3, 1, 1),
        "{told_of:?}"
    );

    // It stays so, also with another operator, until something else is asked for.
    let version = held.secret.metadata.resource_version.clone();
    operator.kill().await;
    let operator = Operator::start(&scene).await;
    scene.clock.advance(SignedDuration::from_hours(2));
    scene.touch("web").await;
    scene
        .change("web", json!({ "rollout": { "minGap": "1s" } }))
        .await;
    scene
        .sees("web", "it was looked at", |web| {
            told(web).observed_generation == web.metadata.generation
        })
        .await;
    let held = scene.held("web-tls").await;
    assert_eq!(held.secret.metadata.resource_version, version);
    scene.change("web", json!({ "privateKey": null })).await;
    let web = scene
        .sees("web", "the spec is met again", |web| {
            told(web).held_back.is_none()
                && condition(web, "Ready")
                    .is_some_and(|ready| ready.status == ConditionStatus::True)
        })
        .await;
    assert_eq!(told(&web).revision, Some(4), "by the one that came back");
    operator.stop().await;
}

#[tokio::test]
async fn a_stateful_set_goes_back_too() {
    let scene = Scene::new("roll-back-set").await;
    let operator = Operator::start(&scene).await;
    let kubelet = Kubelet::start(&scene);
    let (good, app) = rolled(&scene, "StatefulSet").await;
    let refused = refuse(&scene, &kubelet, Fails::Ends).await;
    too_late(&scene, &refused).await;
    let web = all_run(&scene).await;
    assert_eq!(told(&web).fingerprint, told(&good).fingerprint);
    let message = &told(&web).held_back.as_ref().unwrap().message;
    assert!(message.starts_with("StatefulSet app: "), "{message}");
    app.rolled(&good, 3).await;
    operator.stop().await;
}

#[tokio::test]
async fn what_is_no_refusal_halts() {
    let scene = Scene::new("no-refusal").await;
    let operator = Operator::start(&scene).await;
    let kubelet = Kubelet::start(&scene);
    let (_, app) = rolled(&scene, "Deployment").await;
    let refused = refuse(&scene, &kubelet, Fails::HasNoImage).await;
    too_late(&scene, &refused).await;
    let halted =
        |web: &Certificate| condition(web, "RolledOut").is_some_and(|told| told.reason == "Halted");
    scene.sees("web", "it has come to a halt", halted).await;
    // It was looked at what its Pods are made from, and that said nothing.
    let looks = || {
        let calls = scene.calls().into_iter();
        calls.filter(|call| call.is_about("replicasets")).count()
    };
    eventually("it was looked at", async || match looks() {
        0 => Err("it was not".to_owned()),
        _ => Ok(()),
    })
    .await;
    // Nor is it one that its owner changes something meanwhile.
    let mut other = pod("volume", "web-tls");
    other["containers"][0]["image"] = json!("another");
    app.apply_with(other, json!({}), left_alone()).await;
    eventually("its controller has heard of it", async || {
        match app.revisions().await {
            4 => Ok(()),
            revisions => Err(format!("{revisions} revisions")),
        }
    })
    .await;
    kubelet.refuse(&refused, Fails::Ends);
    let before = looks();
    eventually("it was looked at again", async || {
        scene.clock.advance(SignedDuration::from_mins(11));
        scene.touch("web").await;
        // Changes that come one upon the other are looked at together.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let looks = looks() - before;
        if looks > 2 {
            Ok(())
        } else {
            Err(format!("{looks} times"))
        }
    })
    .await;
    let web = scene.certificates().get("web").await.unwrap();
    assert!(halted(&web));
    assert_eq!(told(&web).rollout.as_ref().unwrap().refused, None);
    assert_eq!(told(&web).held_back, None);
    let held = scene.held("web-tls").await;
    assert_eq!(held.leaf().fingerprint.to_string(), fingerprint(&refused));
    operator.stop().await;
}

#[tokio::test]
async fn what_stands_in_the_way_of_going_back_is_told_once() {
    let scene = Scene::new("no-way-back").await;
    let operator = Operator::start(&scene).await;
    let kubelet = Kubelet::start(&scene);
    let (_, _app) = rolled(&scene, "Deployment").await;
    let refused = refuse(&scene, &kubelet, Fails::Ends).await;
    let [secret] = kept(&scene).await.try_into().unwrap();
    scene.delete_secret(&secret.name_any()).await;
    too_late(&scene, &refused).await;
    let web = scene
        .sees("web", "it can't go back", |web| {
            condition(web, "RollBackFailed").is_some_and(|told| told.reason == "NothingKept")
        })
        .await;
    let rollout = told(&web).rollout.clone().unwrap();
    assert_eq!(rollout.refused.unwrap().name, "app");
    let version = scene.held("web-tls").await.secret.metadata.resource_version;
    for _ in 0..3 {
        scene.clock.advance(SignedDuration::from_hours(1));
        scene.touch("web").await;
    }
    // A new pair, by hand, is the way out.
    let held = scene.held("web-tls").await;
    assert_eq!(held.secret.metadata.resource_version, version);
    scene.change("web", json!({ "privateKey": null })).await;
    scene
        .sees("web", "nothing is in the way any more", |web| {
            condition(web, "RollBackFailed").is_none() && told(web).revision == Some(4)
        })
        .await;
    let told_of = scene.event_reasons("web").await;
    let count = told_of.iter().filter(|told| *told == "NothingKept").count();
    assert_eq!(count, 1, "{told_of:?}");
    operator.stop().await;
}

#[tokio::test]
async fn a_pair_is_kept_only_where_that_is_wanted_and_its_place_is_free() {
    let scene = Scene::new("kept-pair").await;
    let operator = Operator::start(&scene).await;
    let first = scene.web().await;
    scene.renew("web", "one").await;
    let second = scene.renewed(&first).await;
    assert_eq!(kept(&scene).await.len(), 0);

    let wanted = |policy: &str| json!({ "rollout": { "rollBack": policy } });
    scene.change("web", wanted("Enabled")).await;
    scene.clock.advance(SignedDuration::from_mins(6));
    scene.renew("web", "two").await;
    let third = scene.renewed(&second).await;
    let [secret] = kept(&scene).await.try_into().unwrap();
    let pair = Held::read(secret.clone()).unwrap();
    assert_eq!(pair.leaf().fingerprint.to_string(), fingerprint(&second));

    // Not wanted any more, it goes.
    scene.change("web", wanted("Disabled")).await;
    scene
        .sees("web", "nothing is kept", |web| told(web).previous.is_none())
        .await;
    assert_eq!(kept(&scene).await.len(), 0);

    // Where somebody else's Secret is, it stays.
    let name = secret.name_any();
    scene
        .secret(&name, "Opaque", &[("tls.key", b"theirs")])
        .await;
    scene.change("web", wanted("Enabled")).await;
    scene.clock.advance(SignedDuration::from_mins(6));
    scene.renew("web", "three").await;
    let fourth = scene.renewed(&third).await;
    assert_eq!(told(&fourth).previous, None);
    let theirs = scene.api::<Secret>().get(&name).await.unwrap();
    assert_eq!(theirs.data.unwrap()["tls.key"].0, b"theirs");
    let told_of = scene.event_reasons("web").await;
    assert!(
        told_of.contains(&"PreviousNotKept".to_owned()),
        "{told_of:?}"
    );
    operator.stop().await;
}
