//! Servers that are watched for those who wrote ServedChecks.

use std::sync::Arc;

use certwright_core::api::ServedCheck;
use certwright_core::api::condition::{self, ConditionStatus};
use futures::channel::mpsc::unbounded;
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use prometheus_client::registry::Registry;
use tracing::warn;

use super::around::{WhileLeading, while_leading};
use super::follow;
use super::routes::Routes;
use crate::app::tasks::Tasks;
use crate::checks::Checks;
use crate::cli::RunSettings;
use crate::clock::Clock;
use crate::cluster::leadership::Leadership;
use crate::cluster::secrets::{Named, Secrets};
use crate::controller::{self, SERVED_CHECK};
use crate::metrics::{CertificateSeries, ServedCheckSample, ServedCheckSeries, series};
use crate::outside::{Addresses, Allowed, Outside};

/// What is watched, in messages. Nobody waits for it: without this kind, certificates are issued all the same.
const WATCHED: &str = "ServedChecks";

/// What looks at them, and what it looks at.
pub(super) struct Checking {
    checks: Arc<Checks>,
    writer: Writer<ServedCheck>,
}

impl Checking {
    /// Looks at the servers that the settings allow. Where that is more than anybody needs, the log says so.
    pub(super) fn new(
        settings: &RunSettings,
        outside: &Arc<Outside>,
        named: &Allowed,
        but_not: Arc<dyn Addresses>,
        secrets: &Arc<Secrets>,
    ) -> Self {
        let targets = settings.served_check_targets.clone();
        for network in targets.own_host() {
            warn!(
                %network,
                "Whoever may write a ServedCheck can have this operator's own host or link looked at, by --served-check-targets"
            );
        }
        let checks = Checks::new(
            Arc::clone(outside),
            named.clone(),
            targets,
            but_not,
            Arc::clone(secrets),
        );
        Self {
            checks: Arc::new(checks),
            writer: Writer::new(settings.group.clone()),
        }
    }

    /// Adds the series of each check to `registry`, and those of Certificates, which tell of ends by the same name.
    pub(super) fn register(
        &self,
        registry: &mut Registry,
        certificates: &Arc<impl CertificateSeries>,
        leadership: &Leadership,
        clock: &Arc<dyn Clock>,
    ) {
        let certificates = while_leading(certificates, leadership);
        let checks = while_leading(&Arc::new(self.writer.as_reader()), leadership);
        let ends = Arc::<WhileLeading<_>>::clone(&checks);
        series::register_certificates(registry, certificates, ends, Arc::clone(clock));
        series::register_served_checks(registry, checks);
    }

    pub(super) fn start(
        self,
        tasks: &mut Tasks,
        routes: &Routes,
        apis: Vec<Api<DeserializeGuard<ServedCheck>>>,
    ) {
        let Self { checks, writer } = self;
        let store = writer.as_reader();
        let context = Arc::clone(&routes.context);
        let (to_checks, woken) = unbounded();
        let (seen, stop) = (store.clone(), tasks.stop.clone());
        tasks.serving(
            "controller of ServedChecks",
            controller::run_served_checks(context, checks, seen, woken, stop),
        );
        let routes = routes.clone();
        tasks.following("watch of ServedChecks", async move {
            let wake = |check: &ServedCheck| {
                // The other end only goes when the process stops.
                let _ = to_checks.unbounded_send(Named::of(&check.metadata));
            };
            let heard = |event: &Event<ServedCheck>| match event {
                Event::Apply(check) => wake(check),
                Event::Delete(check) => routes.context.forget(SERVED_CHECK, &check.metadata),
                Event::InitDone => store.state().iter().for_each(|check| wake(check)),
                Event::Init | Event::InitApply(_) => {}
            };
            follow(&routes, apis, writer, WATCHED, heard).await;
        });
    }
}

impl ServedCheckSeries for Store<ServedCheck> {
    fn each(&self, visit: &mut dyn FnMut(ServedCheckSample<'_>)) {
        for check in self.state() {
            let status = check.status.as_ref();
            let ready = status.and_then(|status| condition::find(&status.conditions, "Ready"));
            let ready = ready.map_or(ConditionStatus::Unknown, |ready| ready.status);
            let not_after = status.and_then(|status| status.not_after.as_ref());
            let faults = status.map_or(&[][..], |status| &status.faults);
            visit(ServedCheckSample {
                namespace: check.metadata.namespace.as_deref().unwrap_or_default(),
                name: check.metadata.name.as_deref().unwrap_or_default(),
                target: &check.spec.target,
                // What was shown before says nothing while nobody is reached.
                not_after: not_after
                    .filter(|_| ready != ConditionStatus::Unknown)
                    .map(|end| end.0),
                ready,
                faults: faults.iter().map(|fault| fault.code.as_str()).collect(),
            });
        }
    }
}
