//! Two replicas on a real node, of which one writes: what becomes of the work when that one is gone.
//!
//! The figures are printed; what is asserted are bounds that hold on a busy machine too. The audit log says which Pod
//! sent what.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use certwright::clock::{Clock as _, SystemClock};
use certwright_test_cluster::{AuditLevel, Cluster, Options, SharedCluster};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio::time::{sleep, timeout};

use crate::harness::{archive, eventually, ran};
use crate::installed::{CHART, Installed, NAMESPACE, distinct_serials, was_done};

/// Of its own: its API server is away for a while.
static CLUSTER: SharedCluster =
    SharedCluster::new(|| Options::new().audit(AuditLevel::Metadata).traefik());

/// What one test does to the operator, no other sees.
static TURN: Mutex<()> = Mutex::const_new(());

/// Both replicas ready, and a namespace with a CA.
pub(crate) struct Scene {
    pub(crate) operator: Installed<'static>,
    pub(crate) namespace: String,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    pub(crate) async fn new(name: &str) -> Self {
        static INSTALLED: OnceCell<()> = OnceCell::const_new();
        let turn = TURN.lock().await;
        let cluster: &Cluster = CLUSTER.start().await.unwrap();
        let operator = Installed::on(cluster);
        INSTALLED
            .get_or_init(async || {
                cluster.import_archive(&archive()).await.unwrap();
                operator.make_namespace().await;
                let install = format!(
                    "install certwright {CHART} --namespace {NAMESPACE} --set renewThrottle=1s,rollout.volumeDelay=6s --wait --timeout 3m"
                );
                operator.helm(&install).await;
            })
            .await;
        operator.is_whole().await;
        let namespace = operator.namespace_with_issuers(name).await;
        operator.ready(&namespace, "ca").await;
        Self {
            operator,
            namespace,
            _turn: turn,
        }
    }

    /// Makes Certificates until one's Secret is written by another Pod than `old`. From `since` until that Secret was written.
    async fn taken_over(&self, old: &str, since: Timestamp) -> Duration {
        let start = Instant::now();
        for number in 0.. {
            assert!(start.elapsed() < PATIENCE, "nobody follows {old}");
            self.operator
                .certificate(&self.namespace, &format!("probe-{old}-{number}"))
                .await;
            sleep(POLL).await;
            let written = self.operator.writes(since).into_iter().find(|event| {
                event.is_about("secrets") && was_done(event) && event.user.pod() != Some(old)
            });
            if let Some(event) = written {
                let answered: Timestamp = event.stage_timestamp.parse().unwrap();
                return answered.duration_since(since).unsigned_abs();
            }
        }
        unreachable!("numbers do not end")
    }

    /// Runs `ctr` on the container of a Pod.
    async fn ctr(&self, pod: &str, arguments: &[&str]) {
        let pod = self.operator.api::<Pod>(NAMESPACE).get(pod).await.unwrap();
        let containers = pod.status.unwrap().container_statuses.unwrap();
        let id = containers[0].container_id.as_deref().unwrap();
        let id = id.strip_prefix("containerd://").unwrap();
        let ctr = self.operator.cluster.ctr().unwrap();
        ran(ctr, &[&["tasks"], arguments, &[id]].concat(), "").await;
    }

    async fn all_are_ready(&self) {
        let certificates = self.operator.certificates(&self.namespace);
        for certificate in certificates.list(&ListParams::default()).await.unwrap() {
            self.operator
                .ready(&self.namespace, &certificate.name_any())
                .await;
        }
    }

    /// How often each Secret of this namespace was written.
    fn stored(&self, since: Timestamp) -> BTreeMap<String, usize> {
        let mut stored = BTreeMap::new();
        for event in self
            .operator
            .writes(since)
            .iter()
            .filter(|event| was_done(event))
        {
            if let Some(object) = event
                .object_ref
                .as_ref()
                .filter(|_| event.is_about("secrets"))
                && object.namespace == self.namespace
            {
                *stored.entry(object.name.clone()).or_default() += 1;
            }
        }
        stored
    }

    /// Several Secrets were written, none of them twice.
    fn each_was_stored_once(&self) {
        let stored = self.stored(Timestamp::UNIX_EPOCH);
        assert!(
            stored.len() > 2 && stored.values().all(|count| *count == 1),
            "{stored:?}"
        );
    }
}

#[tokio::test]
async fn a_leader_killed_without_warning_is_followed_by_the_other() {
    let scene = Scene::new("killed").await;
    for _ in 0..2 {
        let leader = scene.operator.leader().await;
        let before = lives(&scene.operator.pods().await);
        let killed = SystemClock.now();
        scene.ctr(&leader, &["kill", "--signal", "SIGKILL"]).await;
        // The kubelet would start it again in time to be the one that follows: another process, but of the same Pod.
        let pods = scene.operator.api::<Pod>(NAMESPACE);
        let at_once = DeleteParams::default().grace_period(0);
        pods.delete(&leader, &at_once).await.unwrap();
        let gap = scene.taken_over(&leader, killed).await;
        println!("Leader killed: the other replica wrote after {gap:.1?}");
        assert!(gap < BOUND, "{gap:?}");
        scene.all_are_ready().await;
        assert_ne!(scene.operator.leader().await, leader);
        eventually("another Pod has taken its place", async || {
            let now = lives(&scene.operator.is_whole().await);
            if now == before {
                Err(format!("{now:?}"))
            } else {
                Ok(())
            }
        })
        .await;
    }
    scene.each_was_stored_once();
}

#[tokio::test]
async fn a_leader_that_is_told_to_stop_hands_over_at_once() {
    let scene = Scene::new("stopped").await;
    for _ in 0..2 {
        let leader = scene.operator.leader().await;
        let stopped = SystemClock.now();
        let pods = scene.operator.api::<Pod>(NAMESPACE);
        pods.delete(&leader, &DeleteParams::default())
            .await
            .unwrap();
        let gap = scene.taken_over(&leader, stopped).await;
        println!("Leader stopped: the other replica wrote after {gap:.1?}");
        assert!(gap < BOUND, "{gap:?}");
        scene.all_are_ready().await;
        scene.operator.is_whole().await;
    }
    scene.each_was_stored_once();
}

#[tokio::test]
async fn a_leader_that_was_frozen_changes_nothing_once_it_is_thawed() {
    let scene = Scene::new("frozen").await;
    let (operator, namespace) = (&scene.operator, &scene.namespace);
    let leader = operator.leader().await;
    let began = SystemClock.now();
    // In the middle of its work.
    for number in 0..40 {
        operator
            .certificate(namespace, &format!("many-{number}"))
            .await;
    }
    scene.ctr(&leader, &["pause"]).await;
    let other = operator.another_than(&leader).await;
    for number in 40..60 {
        operator
            .certificate(namespace, &format!("many-{number}"))
            .await;
    }
    scene.all_are_ready().await;

    let before = operator.versions(namespace).await;
    let thawed = SystemClock.now();
    scene.ctr(&leader, &["resume"]).await;
    eventually(
        "the thawed replica knows that it leads no more",
        async || match operator.metric(&leader, "certwright_leader ").await {
            Some(0.0) => Ok(()),
            value => Err(format!("{value:?}")),
        },
    )
    .await;
    // It has seen what was done without it.
    let another = issued_by(&scene).await;
    assert_eq!(another, other);
    let sent: Vec<_> = operator
        .writes(thawed)
        .into_iter()
        .filter(|event| event.user.pod() == Some(&leader))
        .collect();
    println!(
        "Leader frozen and thawed: it sent {} writes, of which {} were done",
        sent.len(),
        sent.iter().filter(|event| was_done(event)).count()
    );
    assert!(!sent.iter().any(was_done), "{sent:#?}");
    let mut after = operator.versions(namespace).await;
    after.retain(|name, _| before.contains_key(name));
    assert_eq!(after, before);
    let stored = scene.stored(began);
    assert!(
        (0..60).all(|number| stored[&format!("many-{number}-tls")] == 1),
        "{stored:?}"
    );
    operator.is_whole().await;
}

/// Has a Certificate issued; the Pod that wrote its Secret.
async fn issued_by(scene: &Scene) -> String {
    let began = SystemClock.now();
    scene
        .operator
        .certificate(&scene.namespace, "afterwards")
        .await;
    scene.operator.ready(&scene.namespace, "afterwards").await;
    eventually("the audit log tells who wrote it", async || {
        let writes = scene.operator.writes(began);
        let written = writes
            .iter()
            .find(|event| event.is_about("secrets") && was_done(event));
        let pod = written.and_then(|event| event.user.pod());
        pod.map(str::to_owned)
            .ok_or_else(|| "nobody yet".to_owned())
    })
    .await
}

#[tokio::test]
async fn an_api_server_that_is_away_for_a_minute_restarts_nothing() {
    let scene = Scene::new("away").await;
    let before = lives(&scene.operator.is_whole().await);
    let addresses: Vec<_> = scene.operator.pods().await.iter().map(address).collect();
    let control_plane = scene.operator.cluster.control_plane();

    control_plane.stop_api_server();
    let start = Instant::now();
    let mut asked = 0;
    while start.elapsed() < Duration::from_secs(60) {
        for path in ["/readyz", "/healthz"] {
            for address in &addresses {
                let answer = get(*address, path).await;
                assert!(
                    answer.starts_with("HTTP/1.1 200 "),
                    "{path} of {address}: {answer}"
                );
                asked += 1;
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
    control_plane.start_api_server().await.unwrap();
    let back = Instant::now();
    scene.operator.certificate(&scene.namespace, "web").await;
    scene.operator.ready(&scene.namespace, "web").await;
    println!(
        "API server away for a minute: {asked} probes found the replicas ready, and they issued {:.1?} after it was back",
        back.elapsed()
    );
    assert!(back.elapsed() < BOUND);
    let after = lives(&scene.operator.is_whole().await);
    assert_eq!(after, before, "the same Pods, with as many restarts");
    // The cluster's own controllers try again more seldom, and other tests need them.
    eventually("namespaces are made ready for Pods", async || {
        let made = control_plane.namespace("back").await;
        made.map_err(|problem| format!("{problem:#}"))
    })
    .await;
}

/// Each Pod with how often its container was restarted.
fn lives(pods: &[Pod]) -> BTreeMap<String, i32> {
    pods.iter()
        .map(|pod| {
            let containers = pod.status.as_ref().unwrap().container_statuses.as_ref();
            (pod.uid().unwrap(), containers.unwrap()[0].restart_count)
        })
        .collect()
}

fn address(pod: &Pod) -> SocketAddr {
    let ip = pod.status.as_ref().unwrap().pod_ip.as_deref().unwrap();
    SocketAddr::new(ip.parse().unwrap(), 9402)
}

/// What a server answers; empty if it can't be reached or takes too long.
async fn get(address: SocketAddr, path: &str) -> String {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    // The kubelet waits as long.
    match timeout(Duration::from_secs(5), asked).await {
        Ok(answer) => answer.unwrap_or_else(|problem| problem.to_string()),
        Err(_) => String::new(),
    }
}

#[tokio::test]
async fn each_of_200_is_issued_once_while_the_operator_is_updated() {
    const COUNT: usize = 200;
    let scene = Scene::new("updated").await;
    let (operator, namespace) = (&scene.operator, &scene.namespace);
    let began = SystemClock.now();
    let before = lives(&operator.pods().await);
    let restart = format!("rollout restart deployment certwright --namespace {NAMESPACE}");
    operator.kubectl(&restart, "").await;
    let done = format!("rollout status deployment certwright --namespace {NAMESPACE} --timeout=2m");
    // Most of them while Pods come and go, the last ones when only new Pods are left.
    let (_, ()) = tokio::join!(operator.kubectl(&done, ""), async {
        for number in 0..COUNT - 20 {
            operator
                .certificate(namespace, &format!("many-{number}"))
                .await;
            sleep(POLL / 2).await;
        }
    });
    let after = lives(&operator.is_whole().await);
    assert!(before.keys().all(|pod| !after.contains_key(pod)));
    for number in COUNT - 20..COUNT {
        operator
            .certificate(namespace, &format!("many-{number}"))
            .await;
    }

    let mut certificates = Vec::new();
    for number in 0..COUNT {
        let certificate = operator.ready(namespace, &format!("many-{number}")).await;
        assert_eq!(certificate.status.as_ref().unwrap().revision, Some(1));
        certificates.push(certificate);
    }
    assert_eq!(distinct_serials(&certificates), COUNT);
    let stored = scene.stored(began);
    assert!(
        (0..COUNT).all(|number| stored[&format!("many-{number}-tls")] == 1),
        "{stored:?}"
    );
    let writers: BTreeSet<_> = operator
        .writes(began)
        .iter()
        .filter(|event| event.is_about("secrets") && was_done(event))
        .map(|event| event.user.pod().unwrap().to_owned())
        .collect();
    println!(
        "Updated in the middle of {COUNT} issuances: {} Pods wrote, each Secret once",
        writers.len()
    );
    assert!(writers.len() > 1, "{writers:?}");
}

#[tokio::test]
async fn the_leader_tells_of_each_object_and_every_replica_of_its_health() {
    let scene = Scene::new("told").await;
    let (operator, namespace) = (&scene.operator, &scene.namespace);
    operator.certificate(namespace, "web").await;
    operator.ready(namespace, "web").await;
    let leader = operator.leader().await;
    let series = format!("ssl_certificate_expiry{{namespace=\"{namespace}\",name=\"web\"}}");
    eventually("the leader tells of the Certificate", async || {
        let told = operator.metric(&leader, &series).await;
        told.map(|_| ()).ok_or_else(|| "it doesn't".to_owned())
    })
    .await;
    for pod in operator.is_whole().await {
        let pod = pod.name_any();
        let leads = pod == leader;
        assert_eq!(
            operator.metric(&pod, &series).await.is_some(),
            leads,
            "{pod}"
        );
        assert_eq!(
            operator.metric(&pod, "certwright_leader ").await,
            Some(f64::from(u8::from(leads)))
        );
        assert_eq!(
            operator.metric(&pod, "certwright_build_info").await,
            Some(1.0)
        );
        for path in ["readyz", "healthz"] {
            operator.asked(&pod, path).await.unwrap();
        }
    }
}

const POLL: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(120);
/// On a machine that has other things to do as well.
const BOUND: Duration = Duration::from_secs(60);
