//! What all parts of the rollout share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::api::{Certificate, Group};
use certwright_core::rollout::{
    Dependent, Held, Index, Ingress, Pace, Source, SourceName, Turn, Workload, WorkloadKind,
    WorkloadName, is_due, under_way_since,
};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use jiff::Timestamp;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt as _};

use super::foreign::{self, Foreigners};
use super::ingresses::KnownIngresses;
use super::kinds::{self, Watched};
use super::proofs::Proofs;
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
    wake_proof: UnboundedSender<ObjectRef<Certificate>>,
    pub(super) foreign: Foreigners,
    limits: Limits,
    watched: BTreeMap<WorkloadKind, Watched>,
    wake_certificate: UnboundedSender<ObjectRef<Certificate>>,
    index: Mutex<Index>,
    /// Taken before the index.
    turns: Mutex<Turns>,
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

    /// Where the workloads that read a Secret stand, as last seen or written, and how they are to be taken up.
    pub(super) fn readers(&self, now: Timestamp, source: &SourceName, held: &Held) -> Readers {
        self.readers_by(&self.turns(), now, source, held)
    }

    fn readers_by(
        &self,
        turns: &Turns,
        now: Timestamp,
        source: &SourceName,
        held: &Held,
    ) -> Readers {
        let names: Vec<WorkloadName> = self.index().readers(source).cloned().collect();
        let workloads = names.iter().filter_map(|name| {
            let workload = turns.newest(self.workload(name)?);
            Some((workload, turns.is_begun(name)))
        });
        let workloads: Vec<_> = workloads.collect();
        let dependents = workloads.iter().map(dependent);
        let pace = Pace::of(now, &self.group, &source.source, held, dependents);
        Readers {
            workloads,
            pace,
            full: self.room(turns, now) == 0,
        }
    }

    /// How many more workloads of the cluster may be taken up.
    fn room(&self, turns: &Turns, now: Timestamp) -> usize {
        let under_way = turns.count(now, self.limits.counted_for);
        self.limits.in_cluster.saturating_sub(under_way)
    }

    /// Takes up a workload that is due for some of what is `held`, if all whose certificate it is due for let it, and the
    /// cluster does. It counts as under way from then on, before anybody else is judged; `None` if it isn't its turn.
    pub(super) fn begin<'c>(
        &'c self,
        now: Timestamp,
        workload: &Workload,
        held: &BTreeMap<Source, Held>,
    ) -> Option<Begun<'c, S>> {
        let name = WorkloadName::from(workload);
        let mut turns = self.turns();
        let lets = self.lets(&turns, now, workload, held);
        match (lets, self.room(&turns, now)) {
            (true, 0) => turns.wait(name),
            (true, _) => {
                turns.begin(name.clone());
                let reads = workload.reads.iter();
                return Some(Begun {
                    context: self,
                    reads: reads.map(|source| name.read(source)).collect(),
                    name,
                });
            }
            // Somebody else may have the place that this one was woken for.
            (false, room) => self.wake_each(turns.next(room.min(1))),
        }
        None
    }

    /// Whether all Certificates let a workload be taken up that it is due for.
    pub(super) fn may_begin(&self, now: Timestamp, workload: &Workload) -> bool {
        self.lets(&self.turns(), now, workload, &self.held(workload))
    }

    fn lets(
        &self,
        turns: &Turns,
        now: Timestamp,
        workload: &Workload,
        held: &BTreeMap<Source, Held>,
    ) -> bool {
        held.iter()
            .filter(|(source, held)| is_due(&self.group, workload, source, held))
            .all(|(source, held)| {
                let source = WorkloadName::from(workload).read(source);
                let readers = self.readers_by(turns, now, &source, held);
                readers.pace.turn(now, &self.group, workload, held, false) == Turn::Now
            })
    }

    /// Has those looked at that wait until fewer workloads are under way in the cluster, as far as there is room.
    pub(super) fn fill(&self, now: Timestamp) {
        let mut turns = self.turns();
        let room = self.room(&turns, now);
        self.wake_each(turns.next(room));
    }

    /// A workload as last seen or written.
    pub(super) fn newest(&self, seen: &Workload) -> Arc<Workload> {
        self.turns().newest(Arc::new(seen.clone()))
    }

    /// A workload was written.
    pub(super) fn wrote(&self, workload: Arc<Workload>) {
        let since = under_way_since(&self.group, &workload);
        self.turns().wrote(workload, since);
    }

    /// The watch shows a workload.
    pub(super) fn saw(&self, workload: &Workload) {
        let since = under_way_since(&self.group, workload);
        self.turns().saw(workload, since);
        self.fill(self.surroundings.now());
    }

    /// A workload has gone.
    pub(super) fn forget(&self, name: &WorkloadName) {
        self.turns().forget(name);
        self.fill(self.surroundings.now());
    }

    /// All workloads of a kind were listed: those that were not among them have gone.
    pub(super) fn listed(&self, kind: &WorkloadKind) {
        let gone = |name: &WorkloadName| name.kind == *kind && self.workload(name).is_none();
        self.turns().forget_all(gone);
        self.fill(self.surroundings.now());
    }

    fn wake_each(&self, names: impl IntoIterator<Item = WorkloadName>) {
        for name in names {
            self.wake(&name);
        }
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn workload(&self, name: &WorkloadName) -> Option<Arc<Workload>> {
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

/// The workloads that read a Secret.
pub(super) struct Readers {
    /// Each with whether it is being restarted or called at this moment.
    workloads: Vec<(Arc<Workload>, bool)>,
    pub(super) pace: Pace,
    /// Whether as many are under way in the cluster as may be.
    pub(super) full: bool,
}

impl Readers {
    pub(super) fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.workloads.iter().map(|(workload, _)| workload)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Dependent<'_>> {
        self.workloads.iter().map(dependent)
    }
}

fn dependent((workload, begun): &(Arc<Workload>, bool)) -> Dependent<'_> {
    Dependent {
        workload,
        begun: *begun,
    }
}

/// A workload that was taken up: it counts as under way until this is dropped.
pub(super) struct Begun<'c, S: Surroundings> {
    context: &'c Context<S>,
    name: WorkloadName,
    reads: BTreeSet<SourceName>,
}

impl<S: Surroundings> Drop for Begun<'_, S> {
    fn drop(&mut self) {
        self.context.turns().end(&self.name);
        // Whatever came of it, others may have their turn now.
        self.context.touched(&self.reads);
        self.context.fill(self.context.surroundings.now());
    }
}
