//! What all parts of the rollout share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::api::{Certificate, Group};
use certwright_core::rollout::{
    DependentKind, Held, Index, Observed, SecretName, Workload, WorkloadKind, WorkloadName,
};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::Client;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};

use super::{Notice, Rollout, Surroundings};
use crate::backoff::Backoff;
use crate::cluster::scope::Scope;

/// What all parts of the rollout share.
pub(super) struct Context<S> {
    pub(super) client: Client,
    pub(super) group: Group,
    pub(super) scope: Scope,
    pub(super) surroundings: Arc<S>,
    pub(super) certificates: Store<Certificate>,
    pub(super) backoff: Backoff<WorkloadName>,
    pub(super) status_backoff: Backoff<ObjectRef<Certificate>>,
    deployments: Watched<Deployment>,
    stateful_sets: Watched<StatefulSet>,
    daemon_sets: Watched<DaemonSet>,
    wake_certificate: UnboundedSender<ObjectRef<Certificate>>,
    index: Mutex<Index>,
    /// What was last told of a workload that was skipped: an Event is published once, not at each look.
    skips: Mutex<HashMap<WorkloadName, String>>,
}

/// The workloads of one kind.
pub(super) struct Watched<K: DependentKind> {
    pub(super) store: Store<Observed<K>>,
    /// Unbounded, since each message at once becomes an entry of a queue that holds an object only once.
    wake: UnboundedSender<ObjectRef<Observed<K>>>,
}

/// The other ends of a [`Watched`].
pub(super) struct Source<K: DependentKind> {
    pub(super) writer: Writer<Observed<K>>,
    pub(super) wakes: UnboundedReceiver<ObjectRef<Observed<K>>>,
}

/// The other ends of a [`Context`].
pub(super) struct Sources {
    pub(super) deployments: Source<Deployment>,
    pub(super) stateful_sets: Source<StatefulSet>,
    pub(super) daemon_sets: Source<DaemonSet>,
    pub(super) certificates: UnboundedReceiver<ObjectRef<Certificate>>,
}

/// A kind that a [`Context`] watches.
pub(super) trait Kind: DependentKind + Sized {
    /// Its part of the context.
    fn watched<S>(context: &Context<S>) -> &Watched<Self>;
}

impl Kind for Deployment {
    fn watched<S>(context: &Context<S>) -> &Watched<Self> {
        &context.deployments
    }
}

impl Kind for StatefulSet {
    fn watched<S>(context: &Context<S>) -> &Watched<Self> {
        &context.stateful_sets
    }
}

impl Kind for DaemonSet {
    fn watched<S>(context: &Context<S>) -> &Watched<Self> {
        &context.daemon_sets
    }
}

fn connect<K: DependentKind>() -> (Watched<K>, Source<K>) {
    let (store, writer) = reflector::store();
    let (wake, wakes) = unbounded();
    (Watched { store, wake }, Source { writer, wakes })
}

/// The name of what was observed.
pub(super) fn named<K>(observed: &Observed<K>) -> WorkloadName {
    WorkloadName::from(&*observed.workload)
}

impl<S: Surroundings> Context<S> {
    pub(super) fn new(rollout: Rollout<S>) -> (Self, Sources) {
        let (deployments, deployments_source) = connect();
        let (stateful_sets, stateful_sets_source) = connect();
        let (daemon_sets, daemon_sets_source) = connect();
        let (wake_certificate, certificates) = unbounded();
        let context = Self {
            client: rollout.client,
            group: rollout.group,
            scope: rollout.scope,
            surroundings: rollout.surroundings,
            certificates: rollout.certificates,
            backoff: Backoff::default(),
            status_backoff: Backoff::default(),
            deployments,
            stateful_sets,
            daemon_sets,
            wake_certificate,
            index: Mutex::default(),
            skips: Mutex::default(),
        };
        let sources = Sources {
            deployments: deployments_source,
            stateful_sets: stateful_sets_source,
            daemon_sets: daemon_sets_source,
            certificates,
        };
        (context, sources)
    }

    pub(super) fn watched<K: Kind>(&self) -> &Watched<K> {
        K::watched(self)
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the Secrets a workload reads those that are ours.
    pub(super) fn held(&self, workload: &Workload) -> BTreeMap<String, Held> {
        let held = workload.secrets.iter().filter_map(|name| {
            let secret = SecretName {
                namespace: workload.namespace().to_owned(),
                name: name.clone(),
            };
            Some((name.clone(), self.surroundings.held(&secret)?))
        });
        held.collect()
    }

    /// The workloads that read a Secret.
    pub(super) fn dependents(&self, secret: &SecretName) -> Vec<Arc<Workload>> {
        let readers: Vec<WorkloadName> = self.index().readers(secret).cloned().collect();
        readers
            .iter()
            .filter_map(|name| self.workload(name))
            .collect()
    }

    pub(super) fn notice(&self, notice: &Notice) {
        match notice {
            Notice::Secret(secret) => {
                for reader in self.index().readers(secret) {
                    self.wake(reader);
                }
                self.wake_owner(secret);
            }
            Notice::Certificate { namespace, name } => self.wake_certificate(namespace, name),
        }
    }

    /// What reads these Secrets, or how far it has come, has changed: their Certificates tell.
    pub(super) fn touched(&self, secrets: &BTreeSet<SecretName>) {
        for secret in secrets {
            self.wake_owner(secret);
        }
    }

    /// Whether this was not told yet of a skipped workload; it is from now on.
    pub(super) fn is_news(&self, workload: WorkloadName, told: &str) -> bool {
        let mut skips = self.skips.lock().unwrap_or_else(PoisonError::into_inner);
        skips.insert(workload, told.to_owned()).as_deref() != Some(told)
    }

    /// A workload is not skipped any more, or has gone.
    pub(super) fn not_skipped(&self, workload: &WorkloadName) {
        self.skips
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(workload);
    }

    pub(super) fn certificate_ref(&self, certificate: &Certificate) -> ObjectRef<Certificate> {
        ObjectRef::from_obj_with(certificate, self.group.clone())
    }

    fn workload(&self, name: &WorkloadName) -> Option<Arc<Workload>> {
        match name.kind {
            WorkloadKind::Deployment => self.deployments.get(name),
            WorkloadKind::StatefulSet => self.stateful_sets.get(name),
            WorkloadKind::DaemonSet => self.daemon_sets.get(name),
        }
    }

    /// Has a workload looked at.
    pub(super) fn wake(&self, name: &WorkloadName) {
        match name.kind {
            WorkloadKind::Deployment => self.deployments.wake(name),
            WorkloadKind::StatefulSet => self.stateful_sets.wake(name),
            WorkloadKind::DaemonSet => self.daemon_sets.wake(name),
        }
    }

    /// Has every workload and every Certificate looked at.
    pub(super) fn wake_all(&self) {
        self.deployments.wake_all();
        self.stateful_sets.wake_all();
        self.daemon_sets.wake_all();
        for certificate in self.certificates.state() {
            let _ = self
                .wake_certificate
                .unbounded_send(self.certificate_ref(&certificate));
        }
    }

    fn wake_owner(&self, secret: &SecretName) {
        if let Some(held) = self.surroundings.held(secret) {
            self.wake_certificate(&secret.namespace, &held.certificate);
        }
    }

    fn wake_certificate(&self, namespace: &str, name: &str) {
        let certificate = ObjectRef::new_with(name, self.group.clone()).within(namespace);
        // It fails only when the controller has stopped.
        let _ = self.wake_certificate.unbounded_send(certificate);
    }
}

impl<K: DependentKind> Watched<K> {
    fn get(&self, name: &WorkloadName) -> Option<Arc<Workload>> {
        let observed = self
            .store
            .get(&ObjectRef::new(&name.name).within(&name.namespace))?;
        Some(Arc::clone(&observed.workload))
    }

    fn wake_all(&self) {
        for observed in self.store.state() {
            let _ = self.wake.unbounded_send(ObjectRef::from_obj(&*observed));
        }
    }

    fn wake(&self, name: &WorkloadName) {
        // It fails only when the controller has stopped.
        let _ = self
            .wake
            .unbounded_send(ObjectRef::new(&name.name).within(&name.namespace));
    }
}
