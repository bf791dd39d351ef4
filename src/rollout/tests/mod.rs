mod act;
mod foreign;
mod refused;
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
use super::{Limits, Notice, Report, Rollout, Surroundings, run, status};
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
        replaces_refused: None,
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

    fn refused(&self, _: &str, _: &str) {}

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

/// The same, with the Deployment listed.
fn context_with_all(server: &Arc<Server>, around: &Arc<Around>) -> Context<Around> {
    let (context, mut sources) = Context::new(rollout(server, around));
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
    context
}

#[tokio::test]
async fn a_certificate_tells_on_its_newest_state_and_only_once_while_the_watch_is_behind() {
    let (server, around) = (Server::new(deployment()), Around::new());
    let context = context_with_all(&server, &around);
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
