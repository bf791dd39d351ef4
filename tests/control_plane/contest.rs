//! Somebody else keeps changing or deleting the Secret.

use std::collections::BTreeMap;
use std::time::Duration;

use certwright::clock::Clock as _;
use certwright_core::api::ConditionStatus;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{Operator, Scene, condition, reads};

/// How often the Secret is disturbed within a minute.
const TIMES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(600);

/// How long the operator must go on holding back for how it stands to be looked at.
const STILL: SignedDuration = SignedDuration::from_secs(10);

/// How long to look for calm before the clock is set again.
const CALM: Duration = Duration::from_secs(10);

/// How often somebody who keeps disturbing is answered within that minute: at once, and then after 10, 20, 40 seconds.
const ANSWERS: std::ops::RangeInclusive<i64> = 2..=5;

#[tokio::test]
async fn a_hundred_deletions_in_a_minute_cost_five_issues_and_one_warning() {
    let scene = Scene::new("deleting").await;
    let operator = Operator::start(&scene).await;
    scene.web().await;
    let secrets = other_client(&scene);
    disturb(&scene, async |_| {
        // It is not there while the operator holds back.
        match secrets.delete("web-tls", &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(problem) => panic!("{problem}"),
        }
    })
    .await;
    let fight = Fight::stopped(&scene, 1, "web-tls keeps being deleted").await;
    assert!(ANSWERS.contains(&fight.issues), "{}", fight.issues);
    assert_eq!(fight.writes, fight.issues);
    fight.calms_down(&scene).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_hundred_reverts_in_a_minute_cost_five_issues_and_one_warning() {
    let scene = Scene::new("reverting").await;
    let operator = Operator::start(&scene).await;
    let before = scene.web().await;
    let old = contents(&scene.held("web-tls").await.secret);
    scene
        .change("web", json!({ "dnsNames": ["other.example.com"] }))
        .await;
    scene.renewed(&before).await;
    revert(&scene, &old).await;
    let fight = Fight::stopped(&scene, 2, "field manager \"gitops\"").await;
    assert!(ANSWERS.contains(&fight.issues), "{}", fight.issues);
    assert_eq!(fight.writes, fight.issues);
    fight.calms_down(&scene).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_hundred_reverts_of_a_renewal_cost_five_issues_and_one_warning() {
    let scene = Scene::new("renewing").await;
    let operator = Operator::start(&scene).await;
    let before = scene.web().await;
    let old = contents(&scene.held("web-tls").await.secret);
    scene.clock.advance(SignedDuration::from_hours(61 * 24));
    scene.touch("web").await;
    scene.renewed(&before).await;
    revert(&scene, &old).await;
    let fight = Fight::stopped(&scene, 2, "field manager \"gitops\"").await;
    assert!(ANSWERS.contains(&fight.issues), "{}", fight.issues);
    assert_eq!(fight.writes, fight.issues);
    fight.calms_down(&scene).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_hundred_changes_around_the_pair_in_a_minute_cost_five_repairs_and_no_issue() {
    let scene = Scene::new("around").await;
    let operator = Operator::start(&scene).await;
    scene.web().await;
    let secrets = other_client(&scene);
    let [label, issuer] = ["managed", "issuer-name"].map(|name| scene.group.key(name));
    disturb(&scene, async |count| {
        let change = json!({ "metadata": {
            "labels": { &label: null },
            "annotations": { &issuer: format!("theirs-{count}") },
        } });
        gitops(&secrets, &change).await;
    })
    .await;
    let fight = Fight::stopped(&scene, 1, "field manager \"gitops\"").await;
    assert_eq!(fight.issues, 0);
    assert!(ANSWERS.contains(&fight.writes), "{}", fight.writes);
    fight.calms_down(&scene).await;
    operator.stop().await;
}

/// The Secrets as another client sees them, with connections of its own.
fn other_client(scene: &Scene<'_>) -> Api<Secret> {
    Api::namespaced(scene.cluster.client().unwrap(), &scene.namespace)
}

/// Does this a hundred times in a minute, and on until the operator holds back for a while.
async fn disturb(scene: &Scene<'_>, mut once: impl AsyncFnMut(u32)) {
    let mut beats = tokio::time::interval(PAUSE);
    for count in 0..2 * TIMES {
        beats.tick().await;
        if count >= TIMES && holds_back(scene).await {
            return;
        }
        once(count).await;
    }
    panic!("the operator doesn't hold back");
}

/// Whether what is seen of the fight now stays for as long as it is looked at.
async fn holds_back(scene: &Scene<'_>) -> bool {
    let web = scene.certificates().get("web").await.unwrap();
    web.status
        .and_then(|status| status.last_failure)
        .is_some_and(|failure| failure.next_try.0 > scene.clock.now() + STILL)
}

/// Puts the Secret back to these contents a hundred times in a minute.
async fn revert(scene: &Scene<'_>, old: &Value) {
    let secrets = other_client(scene);
    disturb(scene, async |count| {
        let mut change = old.clone();
        // Each time something changes, also while the operator holds back.
        change["metadata"]["annotations"]["gitops/sync"] = count.to_string().into();
        gitops(&secrets, &change).await;
    })
    .await;
}

async fn gitops(secrets: &Api<Secret>, change: &Value) {
    let manager = PatchParams {
        field_manager: Some("gitops".to_owned()),
        ..PatchParams::default()
    };
    secrets
        .patch("web-tls", &manager, &Patch::Merge(change))
        .await
        .unwrap();
}

/// What somebody keeps who saves a Secret, to put it back.
fn contents(secret: &Secret) -> Value {
    json!({
        "metadata": { "annotations": secret.metadata.annotations },
        "data": secret.data,
    })
}

/// How a fight went, by everybody's record.
struct Fight {
    /// How many certificates were issued.
    issues: i64,
    /// How often the Secret was written.
    writes: i64,
    /// How many had been issued before.
    before: i64,
    told: BTreeMap<String, usize>,
}

impl Fight {
    /// It has just ended, before the `before`-th certificate of `web` was undone; what is told says `who`.
    async fn stopped(scene: &Scene<'_>, before: i64, who: &str) -> Self {
        let contested = scene
            .says("web", "Issuing", ConditionStatus::False, "Contested")
            .await;
        let message = &condition(&contested, "Issuing").unwrap().message;
        assert!(message.contains(who), "{message}");
        let warnings: Vec<_> = scene
            .events("web")
            .await
            .into_iter()
            .filter(|event| event.type_.as_deref() == Some("Warning"))
            .collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let note = warnings[0].note.as_deref().unwrap();
        assert!(note.contains(who), "{note}");

        let fight = Self::of(scene, before).await;
        assert_eq!(fight.told["Contested"], 1);
        assert_eq!(fight.told["Issued"] as i64, before + fight.issues);
        fight
    }

    async fn of(scene: &Scene<'_>, before: i64) -> Self {
        let web = scene.certificates().get("web").await.unwrap();
        let mut told = BTreeMap::new();
        for reason in scene.event_reasons("web").await {
            *told.entry(reason).or_default() += 1;
        }
        let written = scene.writes();
        let written = written.iter().filter(|write| *write == "secrets web-tls");
        Self {
            issues: web.status.unwrap().revision.unwrap() - before,
            writes: written.count() as i64 - before,
            before,
            told,
        }
    }

    /// Nobody disturbs any more: once the hold-off is over the Secret is put right, ten minutes later all is forgotten, and
    /// a deletion is answered as if nothing had been.
    async fn calms_down(self, scene: &Scene<'_>) {
        scene.clock.advance(SignedDuration::from_mins(6));
        scene.touch("web").await;
        scene.ready("web").await;
        // What was put right only after the clock was set counts from then on.
        let mut rounds = 0..5;
        let web = loop {
            scene.clock.advance(SignedDuration::from_mins(11));
            scene.touch("web").await;
            let calm = scene.sees("web", "calm", |web| {
                let status = web.status.as_ref().unwrap();
                reads(web, "Issuing", ConditionStatus::False, "UpToDate")
                    && status.last_failure.is_none()
                    && status.last_restored.is_none()
            });
            if rounds.next().is_none() {
                break calm.await;
            }
            if let Ok(web) = tokio::time::timeout(CALM, calm).await {
                break web;
            }
        };
        let calm = Self::of(scene, self.before).await;
        let answered = [calm.issues - self.issues, calm.writes - self.writes];
        assert!(answered.iter().all(|more| *more <= 1), "{answered:?}");

        scene.delete_secret("web-tls").await;
        scene.renewed(&web).await;
        let after = Self::of(scene, self.before).await;
        assert_eq!(after.issues, calm.issues + 1);
        assert_eq!(after.writes, calm.writes + 1);
        assert_eq!(after.told["Contested"], 1);
    }
}
