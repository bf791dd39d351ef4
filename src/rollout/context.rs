//! What all parts of the rollout share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::api::{Certificate, Group};
use certwright_core::rollout::{
    Held, Index, Ingress, Source, SourceName, Workload, WorkloadKind, WorkloadName,
};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt as _};

use super::foreign::{self, Foreigners};
use super::ingresses::KnownIngresses;
use super::kinds::{self, Watched};
use super::proofs::Proofs;
use super::refused::Looks;
use super::turns::Turns;
use super::{Limits, Notice, Probing, Rollout, Surroundings};
use crate::backoff::Backoff;
use crate::cluster::scope::Scope;
use crate::outside::Allowed;

/// What all parts of the rollout share.
pub(super) struct Context<S> {
    pub(super) client: Client,
    pub(super) group: Group,
    pub(super) scope: Scope,
    pub(super) surroundings: Arc<S>,
    pub(super) certificates: Store<Certificate>,
    pub(super) backoff: Backoff<WorkloadName>,
    pub(super) status_backoff: Backoff<ObjectRef<Certificate>>,
    pub(super) allowed: Allowed,
    pub(super) probing: Option<Probing>,
    pub(super) ingresses: KnownIngresses,
    pub(super) proof_backoff: Backoff<ObjectRef<Certificate>>,
    pub(super) proofs: Mutex<Proofs>,
    pub(super) looks: Looks,
    wake_proof: UnboundedSender<ObjectRef<Certificate>>,
    pub(super) foreign: Foreigners,
    pub(super) limits: Limits,
    watched: BTreeMap<WorkloadKind, Watched>,
    wake_certificate: UnboundedSender<ObjectRef<Certificate>>,
    index: Mutex<Index>,
    /// Taken before the index.
    pub(super) turns: Mutex<Turns>,
    /// What was last told of a workload that was skipped: an Event is published once, not at each look.
    skips: Mutex<HashMap<WorkloadName, String>>,
}

/// The other ends of a [`Context`].
pub(super) struct Sources {
    pub(super) workloads: Vec<kinds::Source>,
    pub(super) certificates: UnboundedReceiver<ObjectRef<Certificate>>,
    /// Those whose dependents are to be looked at.
    pub(super) proofs: UnboundedReceiver<ObjectRef<Certificate>>,
    pub(super) ingresses: Writer<Ingress>,
    pub(super) foreign: foreign::Sources,
}

impl<S: Surroundings> Context<S> {
    pub(super) fn new(rollout: Rollout<S>) -> (Self, Sources) {
        let kinds = rollout.kinds.and_built_in();
        let (watched, workloads): (BTreeMap<_, _>, _) = kinds
            .map(|kind| {
                let (watched, source) = kinds::connect(kind.clone());
                ((kind, watched), source)
            })
            .unzip();
        let (foreign, foreign_sources) = Foreigners::new();
        let (wake_certificate, certificates) = unbounded();
        let (wake_proof, proofs) = unbounded();
        let (ingresses, ingresses_writer) = KnownIngresses::new(rollout.probing.is_some());
        let context = Self {
            client: rollout.client,
            group: rollout.group,
            scope: rollout.scope,
            surroundings: rollout.surroundings,
            certificates: rollout.certificates,
            backoff: Backoff::default(),
            status_backoff: Backoff::default(),
            allowed: rollout.allowed,
            probing: rollout.probing,
            ingresses,
            proof_backoff: Backoff::default(),
            proofs: Mutex::default(),
            looks: Looks::default(),
            wake_proof,
            foreign,
            limits: rollout.limits,
            index: Mutex::new(Index::new(watched.keys().cloned())),
            watched,
            wake_certificate,
            turns: Mutex::default(),
            skips: Mutex::default(),
        };
        let sources = Sources {
            workloads,
            certificates,
            proofs,
            ingresses: ingresses_writer,
            foreign: foreign_sources,
        };
        (context, sources)
    }

    /// The workloads of a kind; `None` if it is none of those that are watched.
    pub(super) fn watched(&self, kind: &WorkloadKind) -> Option<&Watched> {
        self.watched.get(kind)
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of what a workload reads that which it is to be given.
    pub(super) fn held(&self, workload: &Workload) -> BTreeMap<Source, Held> {
        let reader = WorkloadName::from(workload);
        let held = workload.reads.iter().filter_map(|source| {
            let held = self.held_in(&reader.read(source))?;
            Some((source.clone(), held))
        });
        held.collect()
    }

    /// The Secret of a Certificate, and what it holds, if that is the Certificate's.
    pub(super) fn secret_of(&self, certificate: &Certificate) -> Option<(SourceName, Held)> {
        let secret = Source::secret(&certificate.spec.secret_name);
        let secret = secret.within(certificate.namespace().unwrap_or_default());
        let held = self.surroundings.held(&secret)?;
        (held.certificate == Some(certificate.name_any())).then_some((secret, held))
    }

    /// What a Secret or ConfigMap holds, if its readers are to be given it. One that is ours is ours, whatever its labels say.
    pub(super) fn held_in(&self, source: &SourceName) -> Option<Held> {
        let ours = self.surroundings.held(source);
        ours.or_else(|| self.foreign.held(&self.group, &*self.surroundings, source))
    }

    /// What is held of that which a workload reads by the Pod template of another one.
    pub(super) fn borrowed(&self, workload: &WorkloadName) -> BTreeMap<Source, Held> {
        let index = self.index();
        let held = index.borrowed(workload).filter_map(|source| {
            let held = self.held_in(&workload.read(source))?;
            Some((source.clone(), held))
        });
        held.collect()
    }

    pub(super) fn notice(&self, notice: &Notice) {
        match notice {
            Notice::Source(source) => {
                for reader in self.index().readers(source) {
                    self.wake(reader);
                }
                self.wake_owner(source);
            }
            Notice::Certificate { namespace, name } => self.wake_certificate(namespace, name),
            Notice::Namespace(namespace) => self.wake_within(namespace),
            Notice::Everything => self.wake_all(),
        }
    }

    /// What reads these Secrets, or how far it has come, has changed: their Certificates tell.
    pub(super) fn touched(&self, sources: &BTreeSet<SourceName>) {
        for source in sources {
            self.wake_owner(source);
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

    pub(super) fn workload(&self, name: &WorkloadName) -> Option<Arc<Workload>> {
        self.watched(&name.kind)?.get(name)
    }

    /// Has a workload looked at.
    pub(super) fn wake(&self, name: &WorkloadName) {
        if let Some(watched) = self.watched(&name.kind) {
            watched.wake(name);
        }
    }

    /// Has every workload and every Certificate looked at.
    pub(super) fn wake_all(&self) {
        for watched in self.watched.values() {
            watched.wake_all();
        }
        self.foreign.wake_all(|_| true);
        for certificate in self.certificates.state() {
            let _ = self
                .wake_certificate
                .unbounded_send(self.certificate_ref(&certificate));
        }
    }

    fn wake_within(&self, namespace: &str) {
        for reader in self.index().within(namespace) {
            self.wake(reader);
        }
        self.foreign.wake_all(|name| name.namespace == namespace);
        for certificate in self.certificates.state() {
            if certificate.metadata.namespace.as_deref() == Some(namespace) {
                self.wake_certificate(namespace, &certificate.name_any());
            }
        }
    }

    fn wake_owner(&self, source: &SourceName) {
        match self.held_in(source).map(|held| held.certificate) {
            Some(Some(owner)) => self.wake_certificate(&source.namespace, &owner),
            Some(None) => self.foreign.wake(source),
            None => {}
        }
    }

    pub(super) fn wake_certificate(&self, namespace: &str, name: &str) {
        let certificate = ObjectRef::new_with(name, self.group.clone()).within(namespace);
        // It fails only when the controller has stopped.
        let _ = self.wake_certificate.unbounded_send(certificate);
    }

    /// Has what a Certificate's dependents serve looked at, if it is time.
    pub(super) fn wake_proof(&self, certificate: &Certificate) {
        let _ = self
            .wake_proof
            .unbounded_send(self.certificate_ref(certificate));
    }
}
