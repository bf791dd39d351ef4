//! Who hears from whom.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use certwright_core::api::{Certificate, ClusterIssuer, Group, Issuer};
use certwright_core::plan::Settings;
use certwright_core::plan::request::IssuerName;
use certwright_core::rollout::{Held, SecretName};
use futures::channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource, ResourceExt};
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tracing::warn;

use super::Tasks;
use crate::cli::RunSettings;
use crate::clock::Clock;
use crate::cluster::events::{Events, Kind};
use crate::cluster::readable::{Broken, readable};
use crate::cluster::secrets::{Named, Secrets};
use crate::controller::watches::Certificates;
use crate::controller::{self, Context, IssuerKind};
use crate::health::{Heartbeats, Readiness};
use crate::issuer::Issuers;
use crate::metrics::{Metrics, series};
use crate::rollout::{self, Notice, Report as RolloutReport, Rollout, Surroundings};
use crate::server::Report;

/// Everything, wired up and not yet running.
pub(super) struct Parts {
    context: Arc<Context>,
    registry: Arc<Registry>,
    certificates: Writer<Certificate>,
    issuers: Writer<Issuer>,
    cluster_issuers: Writer<ClusterIssuer>,
    wires: Wires,
}

/// Who is told of what, for each kind of listener.
#[derive(Clone)]
struct Senders {
    certificates: UnboundedSender<Named>,
    issuers: UnboundedSender<Named>,
    cluster_issuers: UnboundedSender<Named>,
    rollout: UnboundedSender<Notice>,
    broken: UnboundedSender<Broken>,
}

struct Wires {
    senders: Senders,
    certificates: UnboundedReceiver<Named>,
    issuers: UnboundedReceiver<Named>,
    cluster_issuers: UnboundedReceiver<Named>,
    rollout: UnboundedReceiver<Notice>,
    broken: UnboundedReceiver<Broken>,
}

const SECRETS: &str = "Secrets";
const CERTIFICATES: &str = "Certificates";

impl Parts {
    pub(super) fn new(client: Client, settings: &RunSettings, clock: Arc<dyn Clock>) -> Self {
        let group = settings.group.clone();
        let certificates = Writer::new(group.clone());
        let issuers = Writer::new(group.clone());
        let cluster_issuers = Writer::new(group.clone());
        let secrets = Arc::new(Secrets::new(client.clone(), group.clone()));
        let known = Arc::new(Certificates::new(group.clone(), certificates.as_reader()));
        let signers = Arc::new(Issuers::new(
            group.clone(),
            settings.cluster_resource_namespace.clone(),
            Arc::clone(&secrets),
            issuers.as_reader(),
            cluster_issuers.as_reader(),
        ));
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry, clock.as_ref());
        let series = Arc::<Certificates>::clone(&known);
        series::register_certificates(&mut registry, series, Arc::clone(&clock));
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
            readiness: Readiness::after([SECRETS, CERTIFICATES, Issuer::KIND, ClusterIssuer::KIND]),
            heartbeats: Heartbeats::default(),
            key_makers: Arc::new(Semaphore::new(processors)),
            group,
        };
        Self {
            context: Arc::new(context),
            registry: Arc::new(registry),
            certificates,
            issuers,
            cluster_issuers,
            wires: Wires::new(),
        }
    }

    pub(super) fn report(&self) -> Report {
        Report {
            heartbeats: self.context.heartbeats.clone(),
            readiness: self.context.readiness.clone(),
            registry: Arc::clone(&self.registry),
        }
    }

    pub(super) fn start(self, tasks: &mut Tasks) {
        let Self { context, wires, .. } = self;
        let senders = wires.senders;
        start_secrets(tasks, &context, &senders);
        start_broken(tasks, &context, wires.broken);
        start_rollout(tasks, &context, &self.certificates, wires.rollout);
        start_certificates(
            tasks,
            &context,
            &senders,
            self.certificates,
            wires.certificates,
        );
        start_issuers(tasks, &context, &senders, self.issuers, wires.issuers);
        start_issuers(
            tasks,
            &context,
            &senders,
            self.cluster_issuers,
            wires.cluster_issuers,
        );
    }
}

impl Wires {
    fn new() -> Self {
        let (to_certificates, certificates) = mpsc::unbounded();
        let (to_issuers, issuers) = mpsc::unbounded();
        let (to_cluster_issuers, cluster_issuers) = mpsc::unbounded();
        let (to_rollout, rollout) = mpsc::unbounded();
        let (to_broken, broken) = mpsc::unbounded();
        let senders = Senders {
            certificates: to_certificates,
            issuers: to_issuers,
            cluster_issuers: to_cluster_issuers,
            rollout: to_rollout,
            broken: to_broken,
        };
        Self {
            senders,
            certificates,
            issuers,
            cluster_issuers,
            rollout,
            broken,
        }
    }
}

/// Sends to a listener. The other end only goes when the process stops.
fn send<T>(to: &UnboundedSender<T>, what: T) {
    let _ = to.unbounded_send(what);
}

/// Watches the Secrets, and tells everybody who depends on one that it changed.
fn start_secrets(tasks: &mut Tasks, context: &Arc<Context>, senders: &Senders) {
    let (watching, to) = (Arc::clone(context), senders.clone());
    tasks.following("watch of Secrets", async move {
        let changed = |secret| secret_changed(&watching, &to, &secret);
        watching.secrets.watch(changed).await;
    });
    let (secrets, readiness) = (Arc::clone(&context.secrets), context.readiness.clone());
    tasks.following("wait for Secrets", async move {
        secrets.synced().await;
        readiness.reached(SECRETS);
        std::future::pending().await
    });
}

fn secret_changed(context: &Context, senders: &Senders, secret: &Named) {
    for certificate in context.certificates.of_secret(secret) {
        send(&senders.certificates, certificate);
    }
    for issuer in context.issuers.readers(secret) {
        let to = if issuer.0.cluster {
            &senders.cluster_issuers
        } else {
            &senders.issuers
        };
        send(to, Named::new(&issuer.1, &issuer.0.name));
        for certificate in context.certificates.of_issuer(&issuer) {
            send(&senders.certificates, certificate);
        }
    }
    send(&senders.rollout, Notice::Secret(secret_name(secret)));
}

fn secret_name(secret: &Named) -> SecretName {
    SecretName {
        namespace: secret.namespace.clone(),
        name: secret.name.clone(),
    }
}

/// Tells of objects that can't be read: once for each time they are seen so.
fn start_broken(tasks: &mut Tasks, context: &Arc<Context>, mut broken: UnboundedReceiver<Broken>) {
    let context = Arc::clone(context);
    tasks.following("reporter of unreadable objects", async move {
        while let Some(Broken { about, problem }) = broken.next().await {
            warn!(kind = about.kind, namespace = about.namespace, name = about.name, problem, "Object can't be read");
            let note = format!(
                "It can't be read, and is left alone: {problem}. Was it written for another version of Certwright? Apply it anew."
            );
            let now = context.clock.now();
            context.events.publish(now, about, Kind::Warning, "Unreadable", "Read", &note).await;
        }
    });
}

fn start_certificates(
    tasks: &mut Tasks,
    context: &Arc<Context>,
    senders: &Senders,
    writer: Writer<Certificate>,
    woken: UnboundedReceiver<Named>,
) {
    let store = writer.as_reader();
    let (index, to) = (Arc::clone(&context.certificates), senders.clone());
    let events = watched(context, senders, writer, CERTIFICATES).inspect(move |event| {
        let Ok(event) = event else { return };
        for other in index.observe(event) {
            send(&to.certificates, other);
        }
        if let Event::Apply(certificate)
        | Event::InitApply(certificate)
        | Event::Delete(certificate) = event
        {
            let Named { namespace, name } = Named::of(&certificate.metadata);
            let secret = Named::new(&namespace, &certificate.spec.secret_name);
            send(&to.rollout, Notice::Certificate { namespace, name });
            send(&to.rollout, Notice::Secret(secret_name(&secret)));
        }
    });
    let changed = events.applied_objects();
    let controller = controller::run_certificates(
        Arc::clone(context),
        changed,
        store,
        woken,
        tasks.stop.clone(),
    );
    tasks.serving("controller of Certificates", controller);
}

fn start_issuers<K: IssuerKind>(
    tasks: &mut Tasks,
    context: &Arc<Context>,
    senders: &Senders,
    writer: Writer<K>,
    woken: UnboundedReceiver<Named>,
) {
    let store = writer.as_reader();
    let (certificates, wake) = (
        Arc::clone(&context.certificates),
        senders.certificates.clone(),
    );
    let seen = Mutex::new(HashMap::new());
    let events = watched(context, senders, writer, K::KIND).inspect(move |event| {
        for issuer in event.iter().filter_map(|event| respecified(&seen, event)) {
            for certificate in certificates.of_issuer(&issuer) {
                send(&wake, certificate);
            }
        }
    });
    let changed = events.applied_objects();
    let controller = controller::run_issuers(
        Arc::clone(context),
        changed,
        store,
        woken,
        tasks.stop.clone(),
    );
    tasks.serving(K::CONTROLLER, controller);
}

/// Which object of a name it is, and which spec of it: uid and generation.
type Spec = (Option<String>, Option<i64>);

/// The issuer of an event, if it came, went or got another spec: its status alone concerns no Certificate.
fn respecified<K: IssuerKind>(
    seen: &Mutex<HashMap<Named, Spec>>,
    event: &Event<K>,
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
    let issuer = IssuerName {
        cluster: K::KIND == ClusterIssuer::KIND,
        name: name.name,
    };
    (before != Some(state)).then_some((issuer, name.namespace))
}

/// Watches a kind of ours into its store, without what nobody reads.
fn watched<K>(
    context: &Context,
    senders: &Senders,
    writer: Writer<K>,
    step: &'static str,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + use<K>
where
    K: Resource<DynamicType = Group>
        + Clone
        + Debug
        + Default
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let api = Api::<DeserializeGuard<K>>::all_with(context.client.clone(), &context.group);
    let events = watcher(api, watcher::Config::default())
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear());
    let readiness = context.readiness.clone();
    readable(events, context.group.clone(), senders.broken.clone())
        .reflect(writer)
        .inspect(move |event| match event {
            Ok(Event::InitDone) => readiness.reached(step),
            Ok(_) => {}
            Err(problem) => warn!(kind = step, %problem, "Watch failed; it is taken up again"),
        })
}

fn start_rollout(
    tasks: &mut Tasks,
    context: &Arc<Context>,
    certificates: &Writer<Certificate>,
    notices: UnboundedReceiver<Notice>,
) {
    let rollout = Rollout {
        client: context.client.clone(),
        group: context.group.clone(),
        surroundings: Arc::new(Around(Arc::clone(context))),
        certificates: certificates.as_reader(),
    };
    tasks.serving(
        "rollout",
        rollout::run(rollout, notices, tasks.stop.clone()),
    );
}

/// What the rollout sees of the rest.
struct Around(Arc<Context>);

impl Surroundings for Around {
    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn may_write(&self) -> bool {
        true
    }

    fn held(&self, secret: &SecretName) -> Option<Held> {
        let name = Named::new(&secret.namespace, &secret.name);
        let held = self.0.secrets.held(&name)?;
        let pair = held.pair.as_ref().ok()?;
        let owner = held.marks.certificate_name.clone()?;
        let certificate = self
            .0
            .certificates
            .get(&Named::new(&secret.namespace, &owner))?;
        (certificate.spec.secret_name == secret.name).then(|| Held {
            certificate: owner,
            fingerprint: pair.fingerprint.to_string(),
            issued_at: held.issued_at(),
            strategy: certificate.spec.rollout_strategy(),
            issuing: false,
        })
    }

    async fn publish(&self, report: RolloutReport) {
        let kind = if report.warning {
            Kind::Warning
        } else {
            Kind::Normal
        };
        let now = self.0.clock.now();
        self.0
            .events
            .publish(
                now,
                report.about,
                kind,
                report.reason,
                report.action,
                &report.note,
            )
            .await;
    }
}

/// What this process is called in Events: the Pod's name.
fn instance() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "certwright".to_owned(), |name| name.trim().to_owned())
}
