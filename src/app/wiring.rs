//! The parts of the operator, and the tasks they run as.

mod answering;
mod around;
mod checking;
mod routes;
mod unreadable;

use std::pin::pin;
use std::sync::Arc;

use certwright_core::api::{Certificate, ClusterIssuer, Group, Issuer};
use certwright_core::http01::Operator;
use certwright_core::plan::Settings;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use kube::api::Api;
use kube::core::{DeserializeGuard, DynamicResourceScope};
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource, ResourceExt};
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tracing::warn;

use super::tasks::Tasks;
use crate::backoff::Backoff;
use crate::cli::{RolloutSettings, RunSettings, host_name};
use crate::clock::Clock;
use crate::cluster::api_server::ApiServer;
use crate::cluster::events::Events;
use crate::cluster::leadership::Leadership;
use crate::cluster::namespaces::Namespaces;
use crate::cluster::readable::readable;
use crate::cluster::scope::{Scope, merged};
use crate::cluster::secrets::{IssuerKey, Named, Secrets};
use crate::cluster::watch_failed;
use crate::cluster::watched::watched;
use crate::controller::watches::{Certificates, IssuersSeen};
use crate::controller::{self, Context, IssuerKind};
use crate::health::{Heartbeats, Readiness};
use crate::http01::front_door::FrontDoor;
use crate::issuer::acme::{RenewalPolls, Ways};
use crate::issuer::{Accounts, Issuers};
use crate::metrics::{Metrics, series};
use crate::outside::{Addresses, Allowed, Outside, Records};
use crate::rollout::{self, Limits, Probing, Rollout};
use crate::server::Report;
use answering::Through;
use around::{Around, while_leading};
use checking::Checking;
use routes::Routes;

/// Everything, wired up and not yet running.
pub(super) struct Parts {
    context: Arc<Context>,
    registry: Arc<Registry>,
    certificates: Writer<Certificate>,
    issuers: Writer<Issuer>,
    /// `None` where they are not served.
    cluster_issuers: Option<Writer<ClusterIssuer>>,
    lost_accounts: UnboundedReceiver<IssuerKey>,
    scope: Scope,
    rollout: Option<RolloutSettings>,
    allowed: Allowed,
    outside: Arc<Outside>,
    checking: Checking,
}

const SECRETS: &str = "Secrets";
const CERTIFICATES: &str = "Certificates";

impl Parts {
    pub(super) fn new(
        client: Client,
        api_server: ApiServer,
        settings: &RunSettings,
        clock: Arc<dyn Clock>,
        leadership: Leadership,
    ) -> anyhow::Result<Self> {
        let group = settings.group.clone();
        let outside = Arc::new(Outside::new(&settings.outside)?);
        let api_server: Arc<dyn Addresses> = Arc::new(api_server);
        let allowed = allowed(settings, Arc::clone(&api_server));
        let certificates = Writer::new(group.clone());
        let issuers = Writer::new(group.clone());
        let cluster_issuers = settings.cluster_issuers.then(|| Writer::new(group.clone()));
        // A ClusterIssuer's Secret may lie where no Certificate is looked after.
        let with_secrets = if settings.cluster_issuers {
            settings.scope.and(&settings.cluster_resource_namespace)
        } else {
            settings.scope.clone()
        };
        let secrets = Arc::new(Secrets::new(client.clone(), group.clone(), with_secrets));
        let known = Arc::new(Certificates::new(group.clone(), certificates.as_reader()));
        let signers = Arc::new(Issuers::new(
            group.clone(),
            settings.cluster_resource_namespace.clone(),
            Arc::clone(&secrets),
            issuers.as_reader(),
            cluster_issuers.as_ref().map(Writer::as_reader),
            Accounts::new(
                client.clone(),
                group.clone(),
                Arc::clone(&outside),
                allowed.clone(),
                Arc::clone(&secrets),
            ),
        ));
        let checking = Checking::new(settings, &outside, &allowed, api_server, &secrets);
        let records = Arc::new(Records::new(&settings.resolvers)?);
        let ways = ways(&client, settings, records, &outside, allowed.clone());
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry, clock.as_ref());
        let leads = leadership.clone();
        series::register_leading(&mut registry, move || leads.leads());
        checking.register(&mut registry, &known, &leadership, &clock);
        series::register_issuers(&mut registry, while_leading(&signers, &leadership));
        let mut steps = vec![SECRETS, CERTIFICATES, Issuer::KIND];
        steps.extend(settings.cluster_issuers.then_some(ClusterIssuer::KIND));
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let (lost_accounts, losses) = unbounded();
        let context = Context {
            events: Events::new(client.clone(), group.manager(), host_name()),
            client,
            clock,
            leadership,
            settings: Settings {
                ca_overlap: settings.ca_overlap,
                renew_throttle: settings.renew_throttle,
            },
            concurrency: settings.concurrency,
            secrets,
            certificates: known,
            issuers: signers,
            lost_accounts,
            ways,
            renewal_polls: RenewalPolls::new(settings.renewal_info_spread),
            untold: controller::Untold::default(),
            left_over: Notify::new(),
            metrics,
            readiness: Readiness::after(steps),
            heartbeats: Heartbeats::default(),
            places: controller::Places::new(settings.concurrency),
            key_makers: Arc::new(Semaphore::new(processors)),
            backoff: Backoff::default(),
            group,
        };
        Ok(Self {
            context: Arc::new(context),
            registry: Arc::new(registry),
            certificates,
            issuers,
            cluster_issuers,
            lost_accounts: losses,
            scope: settings.scope.clone(),
            rollout: settings.rollout.clone(),
            allowed,
            outside,
            checking,
        })
    }

    pub(super) fn report(&self) -> Report {
        Report {
            heartbeats: self.context.heartbeats.clone(),
            readiness: self.context.readiness.clone(),
            registry: Arc::clone(&self.registry),
        }
    }

    pub(super) fn start(self, tasks: &mut Tasks, questions: Option<TcpListener>) {
        let (routes, ends) = Routes::new(self.context);
        if let Some(listener) = questions {
            answering::start(
                tasks,
                &routes.context,
                self.scope.clone(),
                ends.answers,
                listener,
            );
        }
        start_secrets(tasks, &routes);
        unreadable::start(tasks, &routes.context, ends.broken);
        let (client, group) = (&routes.context.client, &routes.context.group);
        if let Some(settings) = self.rollout {
            let namespaces = Namespaces::new(client.clone(), group.clone(), self.scope.clone());
            let namespaces = Arc::new(namespaces);
            let limits = Limits {
                in_cluster: settings.max_concurrent,
                counted_for: settings.defaults.health_timeout,
            };
            let rollout = Rollout {
                client: client.clone(),
                group: group.clone(),
                surroundings: Arc::new(Around {
                    context: Arc::clone(&routes.context),
                    namespaces: Arc::clone(&namespaces),
                    asked: routes.namespaces.clone(),
                    refused: routes.certificates.clone(),
                    defaults: settings.defaults.clone(),
                }),
                certificates: self.certificates.as_reader(),
                scope: self.scope.clone(),
                kinds: settings.defaults.kinds,
                allowed: self.allowed,
                limits,
                probing: settings.probe_interval.map(|interval| Probing {
                    outside: self.outside,
                    interval,
                }),
            };
            tasks.serving(
                "rollout",
                rollout::run(rollout, ends.rollout, tasks.stop.clone()),
            );
            let routes = routes.clone();
            tasks.following("namespaces", async move {
                let changed = |changed| routes.namespace_changed(changed);
                namespaces.follow(ends.namespaces, changed).await;
            });
        }
        let namespaced = apis(&self.scope, client, group);
        start_certificates(
            tasks,
            &routes,
            namespaced,
            self.certificates,
            ends.certificates,
        );
        let namespaced = apis(&self.scope, client, group);
        start_issuers(tasks, &routes, namespaced, self.issuers, ends.issuers);
        if let Some(writer) = self.cluster_issuers {
            let all = vec![Api::all_with(client.clone(), group)];
            start_issuers(tasks, &routes, all, writer, ends.cluster_issuers);
        }
        let namespaced = apis(&self.scope, client, group);
        self.checking.start(tasks, &routes, namespaced);
        let mut lost_accounts = self.lost_accounts;
        tasks.following("lost accounts", async move {
            while let Some(issuer) = lost_accounts.next().await {
                routes.wake(&issuer);
            }
        });
    }
}

/// How ACME CAs find our answers.
fn ways(
    client: &Client,
    settings: &RunSettings,
    records: Arc<Records>,
    outside: &Arc<Outside>,
    allowed: Allowed,
) -> Ways {
    let outside = Arc::clone(outside);
    let front_door = settings.http01.as_ref().map(|http01| {
        let operator = Operator {
            namespace: settings.namespace.clone(),
            service: http01.service.clone(),
            port: http01.listen.port(),
        };
        Arc::new(FrontDoor::new(
            client.clone(),
            settings.group.clone(),
            operator,
        ))
    });
    Ways {
        records,
        front_door,
        dial: Arc::new(Through { outside, allowed }),
    }
}

/// Which addresses may be asked. Where that is more than anybody needs, the log says so.
fn allowed(settings: &RunSettings, api_server: Arc<dyn Addresses>) -> Allowed {
    let allowed = Allowed::new(settings.private_networks.clone()).but_not(api_server);
    for network in allowed.own_host() {
        warn!(
            %network,
            "Whoever may write an Issuer can reach this operator's own host or link, by --private-networks"
        );
    }
    allowed
}

fn start_secrets(tasks: &mut Tasks, routes: &Routes) {
    let context = Arc::clone(&routes.context);
    tasks.following("wait for Secrets", async move {
        context.secrets.synced().await;
        context.readiness.reached(SECRETS);
        std::future::pending().await
    });
    let routes = routes.clone();
    tasks.following("watch of Secrets", async move {
        let changed = |change| routes.secret_changed(&change);
        routes.context.secrets.watch(changed).await;
    });
}

fn start_certificates(
    tasks: &mut Tasks,
    routes: &Routes,
    apis: Vec<Api<DeserializeGuard<Certificate>>>,
    writer: Writer<Certificate>,
    woken: UnboundedReceiver<Named>,
) {
    let store = writer.as_reader();
    let context = Arc::clone(&routes.context);
    tasks.serving(
        "controller of Certificates",
        controller::run_certificates(context, store.clone(), woken, tasks.stop.clone()),
    );
    let routes = routes.clone();
    tasks.following("watch of Certificates", async move {
        let heard = |event: &_| routes.certificate_changed(&store, event);
        follow(&routes, apis, writer, CERTIFICATES, heard).await;
    });
}

fn start_issuers<K: IssuerKind>(
    tasks: &mut Tasks,
    routes: &Routes,
    apis: Vec<Api<DeserializeGuard<K>>>,
    writer: Writer<K>,
    woken: UnboundedReceiver<Named>,
) {
    let store = writer.as_reader();
    let context = Arc::clone(&routes.context);
    tasks.serving(
        K::CONTROLLER,
        controller::run_issuers(context, store.clone(), woken, tasks.stop.clone()),
    );
    let routes = routes.clone();
    tasks.following(K::KIND, async move {
        let mut seen = IssuersSeen::default();
        let heard = |event: &_| routes.issuer_changed(&mut seen, &store, event);
        follow(&routes, apis, writer, K::KIND, heard).await;
    });
}

/// Watches a kind of ours into its store, without what nobody reads, and says what it showed once the store has it.
/// It never comes back.
///
/// A task of its own: were it a controller's trigger, objects of a new list would be looked at before the store has
/// them, and a watch that fails would hold up everything else the controller is told.
async fn follow<K>(
    routes: &Routes,
    apis: Vec<Api<DeserializeGuard<K>>>,
    writer: Writer<K>,
    step: &'static str,
    mut heard: impl FnMut(&Event<K>),
) where
    K: Resource<DynamicType = Group>
        + Clone
        + std::fmt::Debug
        + Default
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let context = &routes.context;
    let watches = apis.into_iter().map(|api| {
        let events = watched(api, watcher::Config::default())
            .modify(|object| object.managed_fields_mut().clear());
        readable(events, context.group.clone(), routes.broken.clone()).boxed()
    });
    let events = merged(watches.collect(), writer.as_reader()).reflect(writer);
    let mut events = pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                heard(&event);
                if matches!(event, Event::InitDone) {
                    context.readiness.reached(step);
                }
            }
            Err(problem) => watch_failed(step, &problem),
        }
    }
}

/// What has to be asked to see all objects of one of our namespaced kinds.
fn apis<K>(scope: &Scope, client: &Client, group: &Group) -> Vec<Api<K>>
where
    K: Resource<DynamicType = Group, Scope = DynamicResourceScope>,
{
    scope.apis(
        || Api::all_with(client.clone(), group),
        |namespace| Api::namespaced_with(client.clone(), namespace, group),
    )
}
