mod foreign;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use certwright_core::api::certificate::RolloutStrategy;
use certwright_core::api::{Certificate, Group};
use certwright_core::rollout::{
    Defaults, Foreign, Held, Misconfigured, OtherKinds, Policy, Source, SourceKind, SourceName,
    WorkloadKind, WorkloadName,
};
use futures::channel::mpsc;
use jiff::{SignedDuration, Timestamp};
use kube::runtime::controller::Action;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use self::server::{DEPLOYMENT, Server};
use super::context::Context;
use super::{Limits, Notice, Report, Rollout, Surroundings, act, run, status};
use crate::cluster::scope::Scope;
use crate::error::Retry;
use crate::outside::Allowed;

const MARK: &str = "certwright.dev/secret-web-tls";

fn at(text: &str) -> Timestamp {
    format!("2026-11-02T{text}Z").parse().unwrap()
}

/// A healthy Deployment whose Pods run with the certificate `old`.
fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "u-web", "resourceVersion": "41", "generation": 1,
            "annotations": { MARK: "old", "theirs": "stays" },
        },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" }, "annotations": { "theirs": "stays" } },
                "spec": { "volumes": [{ "name": "tls", "secret": { "secretName": "web-tls" } }] },
            },
        },
        "status": { "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1 },
    })
}

/// The rest of the operator, an hour after the certificate `new` was issued.
struct Around {
    leads: AtomicBool,
    held: Mutex<Held>,
    /// The Certificate as last written.
    newer: Mutex<Option<Arc<Certificate>>>,
    reports: Mutex<Vec<Report>>,
}

impl Around {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            leads: AtomicBool::new(true),
            held: Mutex::new(held("new")),
            newer: Mutex::default(),
            reports: Mutex::default(),
        })
    }

    fn reports(&self) -> Vec<(&'static str, String)> {
        let reports = std::mem::take(&mut *self.reports.lock().unwrap());
        reports
            .into_iter()
            .map(|report| (report.reason, report.note))
            .collect()
    }
}

fn held(fingerprint: &str) -> Held {
    Held {
        certificate: Some("web".to_owned()),
        fingerprint: fingerprint.to_owned(),
        issued_at: Some(at("12:00:00")),
        first_seen: false,
        not_after: Some("2027-01-31T12:00:00Z".parse().unwrap()),
        replaces_revoked: false,
        policy: policy(&json!({})),
        issuing: false,
        names: BTreeSet::new(),
        above: Vec::new(),
    }
}

fn policy(rollout: &Value) -> Result<Policy, Misconfigured> {
    let rollout = serde_json::from_value(rollout.clone()).unwrap();
    let defaults = Defaults::default();
    Policy::of(
        &Group::default(),
        Some(&rollout),
        &BTreeMap::new(),
        &defaults,
    )
}

impl Surroundings for Around {
    fn now(&self) -> Timestamp {
        at("13:00:00")
    }

    fn may_write(&self) -> bool {
        self.leads.load(Ordering::SeqCst)
    }

    async fn term(&self) -> CancellationToken {
        if self.may_write() {
            return CancellationToken::new();
        }
        std::future::pending().await
    }

    fn held(&self, source: &SourceName) -> Option<Held> {
        let ours = *source == Source::secret("web-tls").within("shop");
        ours.then(|| self.held.lock().unwrap().clone())
    }

    fn policy(&self, foreign: &Foreign) -> Option<Result<Policy, Misconfigured>> {
        let defaults = Defaults::default();
        Some(foreign.policy(&Group::default(), &BTreeMap::new(), &defaults))
    }

    fn changed(&self, _: &SourceName) {}

    fn certificate(&self, _: &str, _: &str) -> Option<Arc<Certificate>> {
        self.newer.lock().unwrap().clone()
    }

    fn wrote(&self, certificate: Certificate) {
        *self.newer.lock().unwrap() = Some(Arc::new(certificate));
    }

    fn carried(&self, _: RolloutStrategy) {}

    fn served(&self, _: SignedDuration) {}

    async fn publish(&self, report: Report) {
        self.reports.lock().unwrap().push(report);
    }
}

fn certificate() -> Certificate {
    let object = json!({
        "metadata": { "name": "web", "namespace": "shop", "uid": "u-cert", "resourceVersion": "7", "generation": 1 },
        "spec": { "secretName": "web-tls", "issuerRef": { "name": "ca" } },
    });
    serde_json::from_value(object).unwrap()
}

fn certificates() -> (
    Writer<Certificate>,
    kube::runtime::reflector::Store<Certificate>,
) {
    let mut writer = Writer::new(Group::default());
    for event in [
        Event::Init,
        Event::InitApply(certificate()),
        Event::InitDone,
    ] {
        writer.apply_watcher_event(&event);
    }
    let store = writer.as_reader();
    (writer, store)
}

fn rollout(server: &Arc<Server>, around: &Arc<Around>) -> Rollout<Around> {
    Rollout {
        client: server.client(),
        group: Group::default(),
        surroundings: Arc::clone(around),
        certificates: certificates().1,
        kinds: OtherKinds::default(),
        scope: Scope::Cluster,
        allowed: Allowed::any(),
        limits: Limits {
            in_cluster: 20,
            counted_for: SignedDuration::from_mins(10),
        },
        probing: None,
    }
}

fn context(server: &Arc<Server>, around: &Arc<Around>) -> Context<Around> {
    let context = Context::new(rollout(server, around)).0;
    for kind in [SourceKind::Secret, SourceKind::ConfigMap] {
        context.foreign.has_listed(kind);
    }
    context
}

#[tokio::test]
async fn a_new_certificate_costs_one_write_and_is_told_once() {
    let (server, around) = (Server::new(deployment()), Around::new());
    let context = context(&server, &around);
    let stale = server.observed();
    assert_eq!(
        act::reconcile(&stale, &context).await.unwrap(),
        Action::await_change()
    );
    assert_eq!(
        server.calls(),
        [
            "GET /api/v1/namespaces/shop/pods".to_owned(),
            format!("PATCH {DEPLOYMENT}"),
        ],
    );
    let new = json!({ MARK: "new" });
    let noted = json!({
        MARK: "new",
        "certwright.dev/rolled-at": "2026-11-02T13:00:00Z",
        "certwright.dev/runs-until": "2027-01-31T12:00:00Z",
    });
    let body = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": "shop", "uid": "u-web", "resourceVersion": "41", "annotations": noted },
        "spec": { "template": { "metadata": { "annotations": new } } },
    });
    assert_eq!(
        server.writes(),
        [(
            "&force=true&fieldManager=certwright-rollout".to_owned(),
            body
        )]
    );
    let note = "New certificate in Secret web-tls: its Pods are replaced".to_owned();
    assert_eq!(around.reports(), [("RolledOut", note)]);

    // What the watch has not shown yet is known from the write.
    assert_eq!(
        act::reconcile(&stale, &context).await.unwrap(),
        Action::await_change()
    );
    assert_eq!(server.calls(), [""; 0]);
    // And once it has shown it, nothing is asked.
    assert_eq!(
        act::reconcile(&server.observed(), &context).await.unwrap(),
        Action::await_change()
    );
    assert_eq!(
        (server.calls(), server.writes(), around.reports()),
        (vec![], vec![], vec![])
    );
}

#[tokio::test]
async fn who_was_faster_wins_and_the_next_try_carries_what_they_wrote() {
    let (server, around) = (Server::new(deployment()), Around::new());
    let context = context(&server, &around);
    server.interfere.store(true, Ordering::SeqCst);
    let seen = server.observed();
    let refused = act::reconcile(&seen, &context).await.unwrap_err();
    assert_eq!(refused.retry(), Retry::Reread, "{refused:?}");
    assert_eq!((server.writes(), around.reports()), (vec![], vec![]));
    context
        .backoff
        .after(&WorkloadName::from(&seen), refused.retry());
    // Though the watch shows no news of it.
    act::reconcile(&seen, &context).await.unwrap();
    let writes = server.writes();
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].1["metadata"]["resourceVersion"], "99");
}

#[tokio::test]
async fn an_unhealthy_workload_costs_no_call_and_is_told_once() {
    let mut object = deployment();
    object["spec"]["replicas"] = json!(2);
    object["status"]["replicas"] = json!(2);
    object["status"]["updatedReplicas"] = json!(2);
    let (server, around) = (Server::new(object), Around::new());
    let context = context(&server, &around);
    for _ in 0..2 {
        assert_eq!(
            act::reconcile(&server.observed(), &context).await.unwrap(),
            Action::await_change()
        );
    }
    assert_eq!(server.calls(), [""; 0]);
    let reports = around.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].0, "RolloutSkipped");

    // Healthy again, it is rolled; skipped once more for another certificate, it is told again.
    server.deployment.lock().unwrap()["status"]["availableReplicas"] = json!(2);
    act::reconcile(&server.observed(), &context).await.unwrap();
    *around.held.lock().unwrap() = held("newer");
    server.deployment.lock().unwrap()["status"]["availableReplicas"] = json!(1);
    act::reconcile(&server.observed(), &context).await.unwrap();
    let reasons: Vec<&str> = around
        .reports()
        .into_iter()
        .map(|(reason, _)| reason)
        .collect();
    assert_eq!(reasons, ["RolledOut", "RolloutSkipped"]);
}

#[tokio::test]
async fn one_that_is_down_is_told_when_it_will_be_rolled_and_looked_at_again_then() {
    let mut object = deployment();
    object["status"]["availableReplicas"] = json!(0);
    let (server, around) = (Server::new(object), Around::new());
    around.held.lock().unwrap().issued_at = Some(at("12:55:00"));
    let context = context(&server, &around);
    let action = act::reconcile(&server.observed(), &context).await.unwrap();
    assert_eq!(action, Action::requeue(Duration::from_secs(300)));
    let reports = around.reports();
    assert!(reports[0].1.contains("2026-11-02T13:05:00Z"), "{reports:?}");

    around.held.lock().unwrap().issued_at = Some(at("12:50:00"));
    act::reconcile(&server.observed(), &context).await.unwrap();
    assert_eq!(around.reports()[0].0, "RolledOut");
}

#[tokio::test]
async fn one_that_is_called_is_marked_only_once_its_pods_have_said_yes() {
    let (server, around) = (Server::new(deployment()), Around::new());
    let context = context(&server, &around);
    let pod = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = pod.local_addr().unwrap().port();
    let call = json!({ "path": "/-/reload", "port": port });
    around.held.lock().unwrap().policy = policy(&json!({ "strategy": "Call", "call": call }));
    let answer = async |status: &str| {
        let observed = server.observed();
        let answered = async {
            let (mut stream, _) = pod.accept().await.unwrap();
            let mut request = [0; 4];
            stream.read_exact(&mut request).await.unwrap();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        let (acted, _stream) = tokio::join!(act::reconcile(&observed, &context), answered);
        acted
    };
    for _ in 0..2 {
        let refused = answer("503 Not Now").await.unwrap_err();
        assert_eq!(refused.retry(), Retry::Backoff, "{refused:?}");
    }
    assert_eq!(server.writes(), []);
    let note =
        "New certificate in Secret web-tls: Pod  answered with status 503; it is tried again";
    assert_eq!(
        around.reports(),
        [("Calling", note.to_owned())],
        "told once"
    );

    answer("200 OK").await.unwrap();
    let writes = server.writes();
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].1["metadata"]["annotations"][MARK], "new");
    assert!(writes[0].1["spec"].is_null(), "a call restarts nothing");
    let note = "New certificate in Secret web-tls: its Pods were called".to_owned();
    assert_eq!(around.reports(), [("RolledOut", note)]);
}

#[tokio::test]
async fn who_waits_for_its_turn_costs_no_call() {
    let (server, around) = (Server::new(deployment()), Around::new());
    let closed = json!({ "cron": "0 22 * * *", "windowDuration": "1h" });
    around.held.lock().unwrap().policy = policy(&json!({ "windows": [closed] }));
    let until = json!("2026-12-24T00:00:00Z");
    server.deployment.lock().unwrap()["metadata"]["annotations"]["certwright.dev/runs-until"] =
        until;
    let action = act::reconcile(&server.observed(), &context(&server, &around))
        .await
        .unwrap();
    assert_eq!(action, Action::await_change(), "its Certificate wakes it");
    assert_eq!((server.calls(), around.reports()), (vec![], vec![]));
}

#[tokio::test]
async fn without_the_lease_nothing_is_asked_or_written() {
    let (server, around) = (Server::new(deployment()), Around::new());
    around.leads.store(false, Ordering::SeqCst);
    let action = act::reconcile(&server.observed(), &context(&server, &around))
        .await
        .unwrap();
    assert_eq!(action, Action::await_change(), "or the next term");
    assert_eq!((server.calls(), around.reports()), (vec![], vec![]));
}

#[tokio::test]
async fn a_settling_certificate_is_looked_at_again_when_it_has() {
    let (server, around) = (Server::new(deployment()), Around::new());
    around.held.lock().unwrap().issued_at = Some(at("12:59:58"));
    let action = act::reconcile(&server.observed(), &context(&server, &around))
        .await
        .unwrap();
    assert_eq!(action, Action::requeue(Duration::from_secs(3)));
    assert_eq!(server.calls(), [""; 0]);
}

#[tokio::test]
async fn a_workload_that_has_gone_or_moved_on_is_left() {
    let (server, around) = (Server::new(deployment()), Around::new());
    let context = context(&server, &around);
    let seen = server.observed();
    {
        let mut deployment = server.deployment.lock().unwrap();
        deployment["metadata"]["annotations"][MARK] = json!("new");
        deployment["metadata"]["resourceVersion"] = json!("42");
    }
    let mut gone = seen.clone();
    gone.metadata.name = Some("gone".to_owned());
    let refused = act::reconcile(&gone, &context).await.unwrap_err();
    assert_eq!(refused.retry(), Retry::Gone);
    let refused = act::reconcile(&seen, &context).await.unwrap_err();
    assert_eq!(refused.retry(), Retry::Reread);
    let name = WorkloadName::from(&seen);
    context.backoff.after(&name, refused.retry());
    let action = act::reconcile(&seen, &context).await.unwrap();
    assert_eq!(action, Action::await_change());
    assert_eq!(server.writes(), []);
}

#[tokio::test]
async fn a_certificate_tells_on_its_newest_state_and_only_once_while_the_watch_is_behind() {
    let (server, around) = (Server::new(deployment()), Around::new());
    let (context, mut sources) = Context::new(rollout(&server, &around));
    let listed = [
        Event::Init,
        Event::InitApply(server.observed()),
        Event::InitDone,
    ];
    for event in listed {
        sources.workloads[0].writer.apply_watcher_event(&event);
    }
    for kind in &WorkloadKind::BUILT_IN {
        context.index().list_begins(kind);
        context.index().list_ends(kind);
    }
    context.index().applied(&server.observed());
    let seen = Arc::new(certificate());
    let mut written = certificate();
    written.metadata.resource_version = Some("9".to_owned());
    around.wrote(written);
    for _ in 0..2 {
        status::reconcile(Arc::clone(&seen), &context)
            .await
            .unwrap();
    }
    let writes = server.writes();
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert_eq!(writes[0].1["metadata"]["resourceVersion"], "9");
}

/// From a notice to the Deployment's mark and the Certificate's status, through the real controllers.
#[tokio::test]
async fn a_notice_rolls_the_workload_and_the_certificate_tells() {
    let mut up_to_date = deployment();
    up_to_date["metadata"]["annotations"][MARK] = json!("new");
    let (server, around) = (Server::new(up_to_date), Around::new());
    let (notices, receiver) = mpsc::unbounded();
    let (writer, store) = certificates();
    let stop = CancellationToken::new();
    let rollout = Rollout {
        certificates: store,
        ..rollout(&server, &around)
    };
    let running = tokio::spawn(run(rollout, receiver, stop.clone()));
    until(|| !server.writes.lock().unwrap().is_empty()).await;
    let told = server.writes();
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].1["status"]["rollout"],
        json!({
            "fingerprint": "new", "dependents": 1, "upToDate": 1, "served": 0, "staleEndpoints": 0,
            "workloads": [{ "kind": "Deployment", "name": "web", "state": "Healthy", "since": "2026-11-02T13:00:00Z" }],
        })
    );

    *around.held.lock().unwrap() = held("newer");
    let secret = Source::secret("web-tls").within("shop");
    notices.unbounded_send(Notice::Source(secret)).unwrap();
    until(|| server.writes.lock().unwrap().len() >= 2).await;
    let mut writes: BTreeMap<String, Value> = server
        .writes()
        .into_iter()
        .map(|(_, body)| (body["kind"].to_string(), body))
        .collect();
    let marked = writes.remove("\"Deployment\"").unwrap();
    assert_eq!(
        marked["spec"]["template"]["metadata"]["annotations"],
        json!({ MARK: "newer" })
    );
    let told = writes.remove("\"Certificate\"").unwrap();
    assert_eq!(told["status"]["rollout"]["fingerprint"], "newer");
    assert_eq!(told["status"]["conditions"][0]["type"], "RolledOut");

    stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), running)
        .await
        .expect("it ends once told to stop")
        .unwrap();
    drop(writer);
}

async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .expect("it happens in time");
}
