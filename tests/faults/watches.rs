//! Watches lag, break off and lose their place, while Certificates are made, changed and robbed of their Secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use certwright_core::api::{Certificate, ConditionStatus};
use certwright_core::rollout::{Source, mark_key};
use futures::future::join_all;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{ListParams, PostParams};
use serde_json::json;
use tower::layer::util::Stack;

use crate::case::{Case, ROOT, reads};
use crate::fault::{Call, Fault, Faults, Shot};
use crate::harness::{Operator, Scene};
use crate::watch::{Trouble, Watches};

/// How many Certificates there are.
const MANY: usize = 20;
/// Longer than any watch lags.
const QUIET: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn each_need_is_met_once_while_watches_are_late_and_out_of_order() {
    join_all([
        each_need_once("late-all", Watches::of(&[], LATE)),
        each_need_once("late-secrets", Watches::of(&["secrets"], LATE)),
        each_need_once("late-certificates", Watches::of(&["certificates"], LATE)),
        each_need_once("late-issuers", Watches::of(&["issuers"], LATE)),
        each_need_once("late-workloads", Watches::of(WORKLOADS, LATE)),
        // What happened first is seen last, and the other way round.
        each_need_once(
            "late-by-turns",
            Watches::each([
                (&["issuers"][..], lag(5000)),
                (&["certificates"], lag(3500)),
                (&["secrets"], lag(1500)),
            ]),
        ),
        each_need_once(
            "late-in-turn",
            Watches::each([
                (WORKLOADS, lag(5000)),
                (&["secrets"], lag(3500)),
                (&["certificates"], lag(1500)),
            ]),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_need_is_met_once_while_watches_break_off_and_lose_their_place() {
    let after = Duration::from_secs(1);
    join_all([
        each_need_once("cut", Watches::of(&[], Trouble::Cut(after))),
        each_need_once("torn", Watches::of(&[], Trouble::Torn(after))),
        each_need_once("expired", Watches::of(&[], Trouble::Expired(after * 3 / 2))),
        each_need_once("forgotten", Watches::of(&[], Trouble::Forgotten(after))),
    ])
    .await;
}

const WORKLOADS: &[&str] = &["deployments", "statefulsets", "daemonsets"];
const LATE: Trouble = lag(5000);

const fn lag(milliseconds: u64) -> Trouble {
    Trouble::Late(Duration::from_millis(milliseconds))
}

/// Certificates are made, changed, asked for anew and robbed of their Secrets: each of that costs each of them one
/// certificate, and the Deployment that reads two of them is rolled once each time both change.
///
/// The answer to one write is lost on top each time: of a Secret, and of the Deployment that is rolled.
async fn each_need_once(name: &str, watches: Watches) {
    let scene = Scene::new(name).await;
    let faults = Faults::default();
    let layers = Stack::new(faults.clone(), watches.clone());
    let operator = Operator::start_with(&scene, layers).await;
    let case = Case {
        scene: scene.elsewhere(name).await,
        faults,
        shot: None,
    };
    case.issuer().await;

    case.faults.arm(case.namespace(), Some(lost_secret(0)));
    join_all((0..MANY).map(|n| make(&case, n))).await;
    let mut issued = [1; MANY];
    settled(&case, &issued, 0).await;
    assert!(case.faults.hit(case.namespace()));

    case.faults.arm(case.namespace(), None);
    deploy(&case).await;
    settled(&case, &issued, 0).await;

    // All get another name.
    case.faults.arm(case.namespace(), Some(lost_secret(1)));
    join_all((0..MANY).map(|n| {
        let names = [
            format!("{}.example.com", name_of(n)),
            "more.example.com".to_owned(),
        ];
        let case = &case;
        async move {
            case.scene
                .change(&name_of(n), json!({ "dnsNames": names }))
                .await
        }
    }))
    .await;
    issued = [2; MANY];
    settled(&case, &issued, 1).await;
    assert!(case.faults.hit(case.namespace()));

    // Some lose their Secret, some are asked for by hand; the first two stay as they are.
    case.faults.arm(case.namespace(), Some(lost_secret(12)));
    let robbed = async |n: usize| {
        case.scene
            .delete_secret(&format!("{}-tls", name_of(n)))
            .await
    };
    join_all((2..10).map(robbed)).await;
    let asked = async |n: usize| case.scene.renew(&name_of(n), "please").await;
    join_all((10..18).map(asked)).await;
    issued[2..18].fill(3);
    settled(&case, &issued, 1).await;
    assert!(case.faults.hit(case.namespace()));

    // One of the two that the Deployment reads.
    let deployment = Call::new("PATCH", "/apis/apps/v1/deployments/web");
    case.faults.arm(case.namespace(), Some(lost(deployment)));
    asked(0).await;
    issued[0] = 3;
    settled(&case, &issued, 2).await;
    assert!(case.faults.hit(case.namespace()));
    assert!(watches.troubled() > 0);
    println!("{name}: {} watches were troubled", watches.troubled());
    operator.stop().await;
}

fn name_of(n: usize) -> String {
    format!("web-{n}")
}

/// The first answer to a write of this Secret is lost.
fn lost_secret(n: usize) -> Shot {
    lost(Call::new(
        "PATCH",
        format!("/api/v1/secrets/{}-tls", name_of(n)),
    ))
}

/// The first answer to this call is lost.
fn lost(call: Call) -> Shot {
    Shot {
        call,
        nth: 1,
        fault: Fault::CutAfter,
    }
}

async fn make(case: &Case<'_>, n: usize) {
    let spec = json!({ "dnsNames": [format!("{}.example.com", name_of(n))] });
    case.scene.certificate(&name_of(n), spec).await;
}

/// A Deployment that reads the first two Secrets.
async fn deploy(case: &Case<'_>) {
    let volume = |n| json!({ "name": name_of(n), "secret": { "secretName": format!("{}-tls", name_of(n)) } });
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": { "name": "web" },
        "spec": {
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": {
                    "containers": [{ "name": "web", "image": "example.com/web" }],
                    "volumes": [volume(0), volume(1)],
                },
            },
        },
    }))
    .unwrap();
    let api = case.scene.api::<Deployment>();
    api.create(&PostParams::default(), &deployment)
        .await
        .unwrap();
}

/// Waits until everything stands as it must and nothing is called any more; then it still stands so, and no Secret was
/// written more than once, not even where the answer was lost.
async fn settled(case: &Case<'_>, issued: &[i64; MANY], rolls: usize) {
    case.until(async || stands(case, issued, rolls).await).await;
    loop {
        let before = case.calls().len();
        tokio::time::sleep(QUIET).await;
        if case.calls().len() == before {
            break;
        }
    }
    if let Err(problem) = stands(case, issued, rolls).await {
        panic!("{}: at rest, not {problem}", case.namespace());
    }
    for n in 0..MANY {
        let writes = case.writes_of(&format!("{}-tls", name_of(n)));
        assert!(
            writes <= 1,
            "{}: {writes} writes of {}",
            case.namespace(),
            name_of(n)
        );
    }
    let calls = case.calls().len();
    println!("{}: {calls} calls", case.namespace());
    // Three each is what it takes; nobody hammers the server while a watch is behind.
    assert!(calls <= 6 * MANY, "{}: {calls} calls", case.namespace());
}

async fn stands(case: &Case<'_>, issued: &[i64; MANY], rolls: usize) -> Result<(), String> {
    let failed = |problem: kube::Error| problem.to_string();
    let all = ListParams::default();
    let certificates = case.scene.certificates().list(&all).await.map_err(failed)?;
    for certificate in &certificates.items {
        ready(certificate)?;
    }
    let revisions: BTreeMap<String, Option<i64>> = certificates
        .iter()
        .map(|held| {
            (
                held.name_any(),
                held.status.as_ref().and_then(|status| status.revision),
            )
        })
        .collect();
    let wanted = (0..MANY)
        .map(|n| (name_of(n), Some(issued[n])))
        .collect::<BTreeMap<_, _>>();
    if revisions != wanted {
        return Err(format!("revisions: {revisions:?}"));
    }
    let secrets = case
        .scene
        .api::<Secret>()
        .list(&all)
        .await
        .map_err(failed)?;
    if secrets.items.len() != MANY + 1 {
        return Err(format!("one Secret each: {}", secrets.items.len()));
    }
    let mut fingerprints = BTreeMap::new();
    for certificate in &certificates.items {
        let secret = &certificate.spec.secret_name;
        let held = case.scene.held(secret).await;
        let fingerprint = held.leaf().fingerprint.to_string();
        let names: Vec<_> = held.leaf().names.dns.iter().collect();
        let mut asked: Vec<_> = certificate.spec.dns_names.iter().collect();
        asked.sort();
        let told = certificate
            .status
            .as_ref()
            .and_then(|status| status.fingerprint.as_ref());
        if names != asked || held.ca != ROOT.facts() || told != Some(&fingerprint) {
            return Err(format!(
                "{secret} holds what was asked: {names:?}, {told:?}"
            ));
        }
        fingerprints.insert(secret.clone(), fingerprint);
    }
    told_once(case, issued).await?;
    rolled(case, &fingerprints, rolls).await
}

fn ready(certificate: &Certificate) -> Result<(), String> {
    let status = certificate.status.as_ref();
    if reads(certificate, "Ready", ConditionStatus::True, "Ready")
        && reads(certificate, "Issuing", ConditionStatus::False, "UpToDate")
    {
        Ok(())
    } else {
        Err(format!("{} ready: {status:?}", certificate.name_any()))
    }
}

async fn told_once(case: &Case<'_>, issued: &[i64; MANY]) -> Result<(), String> {
    for (n, issued) in issued.iter().enumerate() {
        let told = case.scene.event_reasons(&name_of(n)).await;
        let more = told.iter().any(|reason| reason != "Issued");
        if more || told.len() > usize::try_from(*issued).unwrap() {
            return Err(format!("Events of {}: {told:?}", name_of(n)));
        }
    }
    Ok(())
}

async fn rolled(
    case: &Case<'_>,
    fingerprints: &BTreeMap<String, String>,
    rolls: usize,
) -> Result<(), String> {
    let deployment = case.scene.api::<Deployment>().get_opt("web").await;
    let Some(deployment) = deployment.map_err(|problem| problem.to_string())? else {
        return Ok(());
    };
    for n in 0..2 {
        let secret = format!("{}-tls", name_of(n));
        let mark = deployment
            .annotations()
            .get(&mark_key(&case.scene.group, &Source::secret(&secret)));
        if mark != fingerprints.get(&secret) {
            return Err(format!("the Deployment's mark for {secret}: {mark:?}"));
        }
    }
    let sets = case
        .scene
        .api::<ReplicaSet>()
        .list(&ListParams::default())
        .await
        .map_err(|problem| problem.to_string())?;
    if sets.items.len() == 1 + rolls {
        Ok(())
    } else {
        Err(format!("{rolls} rolls: {} ReplicaSets", sets.items.len()))
    }
}
