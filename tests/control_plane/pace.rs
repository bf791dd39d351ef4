//! Workloads that read a Secret are given the certificate one after the other, as their Certificate says.

use std::collections::BTreeMap;

use certwright_core::api::Certificate;
use certwright_core::api::certificate::{WorkloadState, WorkloadStatus};
use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{Operator, Scene, condition, eventually};
use crate::rollout::{Workload, pod};

#[tokio::test]
async fn waves_come_one_after_the_other_and_a_roll_that_never_ends_halts_the_rest() {
    let scene = Scene::new("pace").await;
    let operator = Operator::start(&scene).await;
    let rules = json!([{ "name": "app", "wave": 1 }, { "kind": "StatefulSet", "wave": 7 }]);
    let web = certificate(&scene, json!({ "maxConcurrent": 1, "rules": rules })).await;
    let databases = ["one", "two"].map(|name| Workload::new(&scene, "Deployment", name));
    let app = Workload::new(&scene, "Deployment", "app");
    for workload in databases.iter().chain([&app]) {
        workload.apply(pod("volume", "web-tls"), json!({})).await;
    }
    for workload in databases.iter().chain([&app]) {
        workload.noted(&web).await;
        workload.up().await;
    }

    // No Pod more than there are: what is restarted now never ends.
    full(&scene).await;
    scene.renew("web", "one").await;
    let second = scene.renewed(&web).await;
    let rolling = scene
        .sees("web", "one is restarted, and the others wait", |web| {
            let mut reasons: Vec<String> = waiting(web).into_values().collect();
            reasons.sort();
            reasons == ["Busy", "NextWave", "RollingOut"]
        })
        .await;
    assert_eq!(waiting(&rolling)["app"], "NextWave");
    // It is still the only one when it is too late.
    scene.clock.advance(SignedDuration::from_mins(11));
    scene.touch("web").await;
    let halted = scene
        .sees("web", "it has come to a halt", |web| {
            condition(web, "RolledOut").is_some_and(|condition| condition.reason == "Halted")
        })
        .await;
    let mut reasons: Vec<String> = waiting(&halted).into_values().collect();
    reasons.sort();
    assert_eq!(reasons, ["Halted", "Halted", "Unavailable"]);
    eventually("the halt is told", async || {
        let told = scene.event_reasons("web").await;
        if told.iter().any(|reason| reason == "Halted") {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        }
    })
    .await;
    let series = format!(
        "certwright_rollouts_halted{{namespace=\"{}\",name=\"web\"}}",
        scene.namespace
    );
    eventually("the halt is counted", async || {
        let value = operator.metric(&series).await;
        value.ok_or_else(|| "no series".to_owned())
    })
    .await;

    // Well again, it lets the others have their turn, also with another operator.
    operator.kill().await;
    let operator = Operator::start(&scene).await;
    room(&scene).await;
    for workload in databases.iter().chain([&app]) {
        workload.rolled(&second, 2).await;
    }
    rolled_out(&scene).await;
    let mut moments = Vec::new();
    for workload in databases.iter().chain([&app]) {
        let key = scene.group.key("rolled-at");
        moments.push(workload.live().await.annotations()[&key].clone());
    }
    assert!(
        moments[2] >= moments[0].clone().max(moments[1].clone()),
        "{moments:?}"
    );
    operator.stop().await;
}

#[tokio::test]
async fn each_workload_gets_what_its_annotation_its_rule_or_its_certificate_says() {
    let scene = Scene::new("choice").await;
    let operator = Operator::start(&scene).await;
    let rules =
        json!([{ "name": "left", "strategy": "None" }, { "name": "kept", "strategy": "None" }]);
    let web = certificate(&scene, json!({ "rules": rules })).await;
    let choice = |word: &str| json!({ scene.group.key("rollout"): word });
    let mut workloads = BTreeMap::new();
    for (name, annotations) in [
        ("plain", json!({})),
        ("left", json!({})),
        ("kept", choice("Restart")),
        ("reloads", choice("Reload")),
        ("wrong", json!({})),
    ] {
        let workload = Workload::new(&scene, "Deployment", name);
        workload.apply(pod("volume", "web-tls"), annotations).await;
        workloads.insert(name, workload);
    }
    for name in ["plain", "kept", "wrong"] {
        workloads[name].noted(&web).await;
        workloads[name].up().await;
    }
    workloads["wrong"]
        .apply(pod("volume", "web-tls"), choice("Reboot"))
        .await;

    scene.renew("web", "one").await;
    let second = scene.renewed(&web).await;
    for name in ["plain", "kept"] {
        workloads[name].rolled(&second, 2).await;
    }
    scene
        .sees("web", "what waits is told", |web| {
            let waiting = waiting(web);
            waiting
                .get("wrong")
                .is_some_and(|reason| reason == "Misconfigured")
                && waiting
                    .get("reloads")
                    .is_some_and(|reason| reason == "Pending")
                && waiting.len() == 2
                && condition(web, "RolledOut")
                    .is_some_and(|told| told.message.contains("1 opted out"))
        })
        .await;
    scene.tells("wrong", &["Misconfigured"]).await;
    // The files of running Pods have the certificate by then.
    scene.clock.advance(SignedDuration::from_mins(3));
    scene.touch("web").await;
    workloads["reloads"].noted(&second).await;
    workloads["left"].untouched().await;
    workloads["wrong"].untouched().await;
    operator.stop().await;
}

/// The Certificate `web` with this rollout, once it is ready.
pub(crate) async fn certificate(scene: &Scene<'_>, rollout: Value) -> Certificate {
    scene.ca().await;
    let spec = json!({ "dnsNames": ["web.example.com"], "rollout": rollout });
    scene.certificate("web", spec).await;
    scene.ready("web").await
}

/// Waits until all workloads of `web` run with its certificate.
pub(crate) async fn rolled_out(scene: &Scene<'_>) -> Certificate {
    scene
        .sees("web", "all run with the certificate", |web| {
            condition(web, "RolledOut").is_some_and(|condition| condition.reason == "RolledOut")
        })
        .await
}

/// The workloads that don't run with the certificate, each with the reason.
fn waiting(certificate: &Certificate) -> BTreeMap<String, String> {
    let status = certificate.status.as_ref();
    let rollout = status.and_then(|status| status.rollout.as_ref());
    let workloads = rollout.iter().flat_map(|rollout| &rollout.workloads);
    let done = |told: &&WorkloadStatus| {
        matches!(told.state, WorkloadState::Healthy | WorkloadState::Served)
    };
    workloads
        .filter(|told| !done(told))
        .filter_map(|told| Some((told.name.clone(), told.reason.clone()?)))
        .collect()
}

/// Lets the namespace have no Pods but those that are there.
pub(crate) async fn full(scene: &Scene<'_>) {
    let pods = scene
        .api::<Pod>()
        .list(&ListParams::default())
        .await
        .unwrap();
    let hard = json!({ "pods": pods.items.len().to_string() });
    scene
        .apply(&json!({
            "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": { "name": "full" }, "spec": { "hard": hard },
        }))
        .await;
    let quotas = scene.api::<ResourceQuota>();
    scene
        .wait(&quotas, "full", "in force", |quota| {
            let status = quota.status.as_ref();
            status.is_some_and(|status| status.used.is_some())
        })
        .await;
}

/// Lets it have as many as it wants. Who was refused is made to look again, not after the wait that it chose.
pub(crate) async fn room(scene: &Scene<'_>) {
    let quotas = scene.api::<ResourceQuota>();
    quotas
        .delete("full", &DeleteParams::default())
        .await
        .unwrap();
    let sets = scene.api::<ReplicaSet>();
    let nudge = json!({ "metadata": { "annotations": { "test/nudged": "yes" } } });
    for set in sets.list(&ListParams::default()).await.unwrap() {
        sets.patch(
            &set.name_any(),
            &PatchParams::default(),
            &Patch::Merge(&nudge),
        )
        .await
        .unwrap();
    }
}
