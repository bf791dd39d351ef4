//! The composition root: starts, joins and stops every task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use certwright_core::api::{ClusterIssuer, Issuer};
use certwright_core::plan::Settings;
use certwright_core::plan::request::IssuerName;
use futures::channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use futures::{Stream, StreamExt};
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Config, Resource, ResourceExt};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cli::RunSettings;
use crate::clock::{Clock, SystemClock};
use crate::cluster::events::Events;
use crate::cluster::secrets::{Named, Secrets};
use crate::controller::watches::{Certificates, Guarded};
use crate::controller::{self, Context, IssuerKind};
use crate::health::{Heartbeats, Readiness};
use crate::issuer::Issuers;
use crate::metrics::{Metrics, series};
use crate::server::{self, Report};

/// How long tasks may take to end once they were told to.
const GRACE: Duration = Duration::from_secs(20);

/// Runs the operator against the cluster that the kubeconfig or the Pod's ServiceAccount names, until SIGTERM or Ctrl-C.
///
/// # Errors
/// When the cluster is not configured, the port is taken, or a task ends that never should.
pub async fn run(settings: RunSettings) -> anyhow::Result<()> {
    let mut config = Config::infer()
        .await
        .context("found neither a kubeconfig nor a ServiceAccount")?;
    // When to try again is decided by what failed, not by the client.
    config.default_retry = false;
    let client = Client::try_from(config).context("failed to set up the API client")?;
    let listener = server::listen(settings.listen)
        .await
        .with_context(|| format!("failed to listen at {}", settings.listen))?;
    let stop = CancellationToken::new();
    let operator = operate(
        client,
        &settings,
        Arc::new(SystemClock),
        listener,
        stop.clone(),
    );
    let signals = async move {
        let signal = signalled().await;
        info!(signal, "Stopping");
        stop.cancel();
        signalled().await;
        warn!("Stopping at once");
    };
    tokio::pin!(operator);
    tokio::select! {
        ended = &mut operator => ended,
        () = signals => Ok(()),
    }
}

/// Runs the operator with this client and clock until `stop`.
///
/// # Errors
/// When a task ends that never should.
pub async fn operate(
    client: Client,
    settings: &RunSettings,
    clock: Arc<dyn Clock>,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    info!(version = env!("CARGO_PKG_VERSION"), settings = ?settings, "Certwright starts");
    let mut tasks = Tasks {
        running: JoinSet::new(),
        stop: stop.clone(),
    };
    let parts = Parts::new(client, settings, clock);
    let report = parts.report();
    tasks.serving(
        "server",
        server::serve(listener, report, tasks.stop.clone()),
    );
    parts.start(&mut tasks);
    tasks.join().await
}

/// The tasks of the process. Each ends only when it is told to.
struct Tasks {
    running: JoinSet<&'static str>,
    stop: CancellationToken,
}

impl Tasks {
    /// Starts a task that sees to its own end at `stop`.
    fn serving(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(async move {
            task.await;
            name
        });
    }

    /// Starts a task that has nothing to finish: it is dropped at `stop`.
    fn following(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.serving(name, async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Waits for all tasks. One that ends early ends them all.
    async fn join(mut self) -> anyhow::Result<()> {
        let mut failure = None;
        while let Some(ended) = self.running.join_next().await {
            if self.stop.is_cancelled() {
                break;
            }
            failure = Some(match ended {
                Ok(name) => format!("the {name} ended"),
                Err(problem) => format!("a task failed: {problem}"),
            });
            self.stop.cancel();
            break;
        }
        let rest = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, rest).await.is_err() {
            warn!("Some work did not end in time and is given up");
        }
        match failure {
            Some(failure) => bail!(failure),
            None => Ok(()),
        }
    }
}

/// Names to look at, and where they are sent.
struct Waker<T> {
    sender: UnboundedSender<T>,
    receiver: UnboundedReceiver<T>,
}

impl<T> Waker<T> {
    fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded();
        Self { sender, receiver }
    }
}

/// Everything that is wired up.
struct Parts {
    context: Arc<Context>,
    readiness: Readiness,
    registry: Arc<Registry>,
    certificates: Writer<Guarded>,
    issuers: Writer<DeserializeGuard<Issuer>>,
    cluster_issuers: Writer<DeserializeGuard<ClusterIssuer>>,
}

const SECRETS: &str = "Secrets";
const CERTIFICATES: &str = "Certificates";
const ISSUERS: &str = "Issuers";
const CLUSTER_ISSUERS: &str = "ClusterIssuers";

impl Parts {
    fn new(client: Client, settings: &RunSettings, clock: Arc<dyn Clock>) -> Self {
        let group = settings.group.clone();
        let certificates = Writer::new(group.clone());
        let issuers = Writer::new(group.clone());
        let cluster_issuers = Writer::new(group.clone());
        let secrets = Arc::new(Secrets::new(client.clone(), group.clone()));
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry, clock.as_ref());
        let known = Arc::new(Certificates::new(group.clone(), certificates.as_reader()));
        series::register_certificates(
            &mut registry,
            Arc::<Certificates>::clone(&known),
            Arc::clone(&clock),
        );
        let signers = Arc::new(Issuers::new(
            group.clone(),
            settings.cluster_resource_namespace.clone(),
            Arc::clone(&secrets),
            issuers.as_reader(),
            cluster_issuers.as_reader(),
        ));
        series::register_issuers(&mut registry, Arc::<Issuers>::clone(&signers));
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let context = Context {
            events: Events::new(client.clone(), group.manager(), instance()),
            client,
            clock,
            settings: Settings {
                ca_overlap: settings.ca_overlap,
                renew_throttle: settings.renew_throttle,
            },
            concurrency: settings.concurrency,
            secrets,
            certificates: known,
            issuers: signers,
            metrics,
            heartbeats: Heartbeats::default(),
            key_makers: Arc::new(Semaphore::new(processors)),
            group,
        };
        Self {
            context: Arc::new(context),
            readiness: Readiness::after([SECRETS, CERTIFICATES, ISSUERS, CLUSTER_ISSUERS]),
            registry: Arc::new(registry),
            certificates,
            issuers,
            cluster_issuers,
        }
    }

    fn report(&self) -> Report {
        Report {
            heartbeats: self.context.heartbeats.clone(),
            readiness: self.readiness.clone(),
            registry: Arc::clone(&self.registry),
        }
    }

    fn start(self, tasks: &mut Tasks) {
        let Self {
            context,
            readiness,
            certificates,
            issuers,
            cluster_issuers,
            ..
        } = self;
        let group = context.group.clone();
        let to_certificates = Waker::new();
        let to_issuers = Waker::new();
        let to_cluster_issuers = Waker::new();

        let (changed, watched) = tokio::sync::mpsc::unbounded_channel();
        let secrets = Arc::clone(&context.secrets);
        tasks.following(
            "watch of Secrets",
            async move { secrets.watch(changed).await },
        );
        let secrets = Arc::clone(&context.secrets);
        let ready = readiness.clone();
        tasks.following("wait for Secrets", async move {
            secrets.synced().await;
            ready.reached(SECRETS);
            std::future::pending().await
        });
        let router = Router {
            context: Arc::clone(&context),
            certificates: to_certificates.sender.clone(),
            issuers: to_issuers.sender,
            cluster_issuers: to_cluster_issuers.sender,
        };
        tasks.following("router of changed Secrets", router.route(watched));

        let store = certificates.as_reader();
        let index = Arc::clone(&context.certificates);
        let wake = to_certificates.sender.clone();
        let events = stripped(Api::<Guarded>::all_with(context.client.clone(), &group))
            .reflect(certificates);
        let events = noting_sync(events, readiness.clone(), CERTIFICATES).inspect(move |event| {
            for other in event.iter().flat_map(|event| index.observe(event)) {
                send(&wake, other);
            }
        });
        let stop = tasks.stop.clone();
        tasks.serving(
            "controller of Certificates",
            controller::run_certificates(
                Arc::clone(&context),
                events.applied_objects(),
                store,
                to_certificates.receiver,
                stop,
            ),
        );
        issuer_tasks(
            tasks,
            &context,
            &readiness,
            ISSUERS,
            issuers,
            to_issuers.receiver,
            &to_certificates.sender,
        );
        let woken = to_cluster_issuers.receiver;
        issuer_tasks(
            tasks,
            &context,
            &readiness,
            CLUSTER_ISSUERS,
            cluster_issuers,
            woken,
            &to_certificates.sender,
        );
    }
}

fn issuer_tasks<K>(
    tasks: &mut Tasks,
    context: &Arc<Context>,
    readiness: &Readiness,
    step: &'static str,
    writer: Writer<DeserializeGuard<K>>,
    woken: UnboundedReceiver<Named>,
    to_certificates: &UnboundedSender<Named>,
) where
    K: IssuerKind,
{
    let store = writer.as_reader();
    let certificates = Arc::clone(&context.certificates);
    let wake = to_certificates.clone();
    let seen = Mutex::new(HashMap::new());
    let events = stripped(Api::<DeserializeGuard<K>>::all_with(
        context.client.clone(),
        &context.group,
    ))
    .reflect(writer);
    let events = noting_sync(events, readiness.clone(), step).inspect(move |event| {
        for issuer in event.iter().filter_map(|event| respecified(&seen, event)) {
            for certificate in certificates.of_issuer(&issuer) {
                send(&wake, certificate);
            }
        }
    });
    let stop = tasks.stop.clone();
    let name = if K::KIND == <ClusterIssuer as IssuerKind>::KIND {
        "controller of ClusterIssuers"
    } else {
        "controller of Issuers"
    };
    tasks.serving(
        name,
        controller::run_issuers(
            Arc::clone(context),
            events.applied_objects(),
            store,
            woken,
            stop,
        ),
    );
}

/// The issuer of an event, if it came, went or got another spec: its status alone concerns no Certificate.
fn respecified<K: IssuerKind>(
    seen: &Mutex<HashMap<Named, (Option<String>, Option<i64>)>>,
    event: &Event<DeserializeGuard<K>>,
) -> Option<(IssuerName, String)> {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let (issuer, gone) = match event {
        Event::Apply(issuer) | Event::InitApply(issuer) => (issuer, false),
        Event::Delete(issuer) => (issuer, true),
        Event::Init | Event::InitDone => return None,
    };
    let name = Named::of(issuer.meta());
    let state = (issuer.uid(), issuer.meta().generation);
    let before = if gone {
        seen.remove(&name).filter(|_| false)
    } else {
        seen.insert(name.clone(), state.clone())
    };
    let cluster = K::KIND == <ClusterIssuer as IssuerKind>::KIND;
    (before != Some(state)).then_some((
        IssuerName {
            cluster,
            name: name.name,
        },
        name.namespace,
    ))
}

/// Watches a kind, and drops what nobody reads.
fn stripped<K>(api: Api<K>) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
    K::DynamicType: Send + Sync,
{
    watcher(api, watcher::Config::default())
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear())
}

fn noting_sync<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    readiness: Readiness,
    step: &'static str,
) -> impl Stream<Item = watcher::Result<Event<K>>> {
    events.inspect(move |event| match event {
        Ok(Event::InitDone) => readiness.reached(step),
        Ok(_) => {}
        Err(problem) => warn!(kind = step, %problem, "Watch failed; it is taken up again"),
    })
}

/// Tells everybody who depends on a Secret that it changed.
struct Router {
    context: Arc<Context>,
    certificates: UnboundedSender<Named>,
    issuers: UnboundedSender<Named>,
    cluster_issuers: UnboundedSender<Named>,
}

impl Router {
    async fn route(self, mut changed: tokio::sync::mpsc::UnboundedReceiver<Named>) {
        while let Some(secret) = changed.recv().await {
            for certificate in self.context.certificates.of_secret(&secret) {
                send(&self.certificates, certificate);
            }
            for issuer in self.context.issuers.readers(&secret) {
                let to = if issuer.0.cluster {
                    &self.cluster_issuers
                } else {
                    &self.issuers
                };
                send(to, Named::new(&issuer.1, &issuer.0.name));
                for certificate in self.context.certificates.of_issuer(&issuer) {
                    send(&self.certificates, certificate);
                }
            }
        }
    }
}

/// Wakes somebody. The other end only goes when the process stops.
fn send<T>(to: &UnboundedSender<T>, name: T) {
    let _ = to.unbounded_send(name);
}

/// What this process is called in Events: the Pod's name.
fn instance() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "certwright".to_owned(), |name| name.trim().to_owned())
}

async fn signalled() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            // Without a handler the signal's own effect, to end the process, stays.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => "SIGTERM",
        () = wait(SignalKind::interrupt()) => "SIGINT",
    }
}

impl series::CertificateSeries for Certificates {
    fn each(&self, visit: &mut dyn FnMut(series::CertificateSample<'_>)) {
        use certwright_core::api::{ConditionStatus, condition};
        for guarded in self.all() {
            let Ok(certificate) = &guarded.0 else {
                continue;
            };
            let status = certificate.status.as_ref();
            let ready = status.and_then(|status| condition::find(&status.conditions, "Ready"));
            visit(series::CertificateSample {
                namespace: certificate
                    .metadata
                    .namespace
                    .as_deref()
                    .unwrap_or_default(),
                name: certificate.metadata.name.as_deref().unwrap_or_default(),
                not_after: status
                    .and_then(|status| status.not_after.as_ref())
                    .map(|time| time.0),
                renewal_time: status
                    .and_then(|status| status.renewal_time.as_ref())
                    .map(|time| time.0),
                ready: ready.map_or(ConditionStatus::Unknown, |condition| condition.status),
            });
        }
    }
}
