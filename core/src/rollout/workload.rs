//! What is kept of a workload.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{NamespaceResourceScope, Selector};
use serde::Deserialize;

use super::mark::may_be_ours;
use super::raw::{RawSpec, RawStatus, RawWorkload};
use super::{
    Health, Progress, Replicas, Source, SourceKind, UpdateStrategy, WorkloadKind, WorkloadName,
    other,
};

pub(super) static NONE: BTreeMap<String, String> = BTreeMap::new();

/// What is kept of a workload: what it references, our marks on it, and whether it is healthy.
///
/// A cluster has thousands of them, and everything else of them is dropped while decoding.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Which kind.
    pub kind: WorkloadKind,
    /// Name, namespace, uid, resourceVersion, generation, deletion timestamp, and of the annotations those that
    /// may be ours, baselines among them; the labels of one that reads a Secret. The rest is left out.
    pub metadata: ObjectMeta,
    /// The Secrets and ConfigMaps of its namespace that its containers read, in any way.
    pub reads: BTreeSet<Source>,
    /// Of the Pod template's annotations those that may be ours, marks among them.
    pub template_annotations: BTreeMap<String, String>,
    /// What a change of the Pod template does.
    pub update: UpdateStrategy,
    /// How many Pods there are to be, and are.
    pub replicas: Replicas,
    /// The generation that `replicas` speaks of.
    pub observed_generation: i64,
    /// How the last change of the Pod template goes.
    pub progress: Progress,
    /// What it says of its health besides its numbers; `Healthy` where its kind says nothing else.
    pub word: Health,
    /// Whether it is paused.
    pub paused: bool,
    /// Selects its Pods; `None` if unknown.
    pub selector: Option<Selector>,
    /// Whose Pod template it has, if that is another workload's: it is then left alone.
    pub lender: Option<WorkloadName>,
    /// Why it could not be read, if so; it then references nothing.
    pub problem: Option<String>,
}

impl Workload {
    /// Keeps what is needed of an object as it came from the API server.
    ///
    /// Never fails: an object that makes no sense keeps its metadata, says so in `problem`, and hurts only itself.
    pub fn from_object(kind: WorkloadKind, object: &serde_json::Value) -> Self {
        let raw = match &kind {
            WorkloadKind::Other(kind) => other::read(kind, object),
            _ => RawWorkload::deserialize(object).map_err(|problem| problem.to_string()),
        };
        match raw {
            Ok(raw) => Self::from_raw(kind, raw),
            Err(problem) => {
                let metadata = object.get("metadata").map(ObjectMeta::deserialize);
                let raw = RawWorkload {
                    metadata: metadata.and_then(Result::ok).unwrap_or_default(),
                    ..RawWorkload::default()
                };
                Self {
                    problem: Some(problem),
                    lender: other::lender(object)
                        .filter(|_| matches!(kind, WorkloadKind::Other(_))),
                    ..Self::from_raw(kind, raw)
                }
            }
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Whether it is being deleted.
    pub fn deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// The kept annotations of the workload itself.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        self.metadata.annotations.as_ref().unwrap_or(&NONE)
    }

    /// Its labels, if it reads a Secret.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        self.metadata.labels.as_ref().unwrap_or(&NONE)
    }

    /// Whether it may be rolled now.
    pub fn health(&self) -> Health {
        if self.paused {
            return Health::Paused;
        }
        self.health_of_pods()
    }

    /// Whether its Pods are well, paused or not.
    pub(super) fn health_of_pods(&self) -> Health {
        match self.replicas.health(self.update, self.is_observed()) {
            Health::Healthy => self.word,
            worse => worse,
        }
    }

    /// Whether the last change of its Pod template was carried through, whatever became of its Pods since.
    pub(super) fn is_carried_through(&self) -> bool {
        let said = self.is_observed() && self.progress == Progress::Complete;
        // A DaemonSet's Pods that are replaced are not told from those that broke since: its controller waits for none.
        let nodes =
            self.kind == WorkloadKind::DaemonSet && self.health_of_pods() == Health::Unavailable;
        said || nodes || self.health_of_pods() == Health::Healthy
    }

    /// Whether its controller says that the last change hangs.
    pub(super) fn is_stuck(&self) -> bool {
        self.is_observed() && self.progress == Progress::Stuck
    }

    /// Whether it is to have no Pods at all.
    pub fn is_scaled_to_zero(&self) -> bool {
        // A Deployment's number is its spec's, a DaemonSet's what its controller found.
        self.replicas.desired == 0 && (self.is_observed() || self.kind != WorkloadKind::DaemonSet)
    }

    /// Whether none of its Pods is available, though it may be rolled.
    pub(super) fn has_none_available(&self) -> bool {
        !self.paused && self.is_observed() && self.replicas.available == 0
    }

    /// Whether its numbers speak of the newest generation.
    fn is_observed(&self) -> bool {
        self.observed_generation >= self.metadata.generation.unwrap_or(0)
    }

    fn from_raw(kind: WorkloadKind, raw: RawWorkload) -> Self {
        let spec = raw.spec.unwrap_or_default();
        let status = raw.status.unwrap_or_default();
        let (replicas, update) = numbers(&kind, &spec, &status);
        let template = spec.template.unwrap_or_default();
        let template_annotations = template.metadata.and_then(|metadata| metadata.annotations);
        let reads = template.spec.map(|pod| pod.reads()).unwrap_or_default();
        let reads_secret = reads.iter().any(|source| source.kind == SourceKind::Secret);
        Self {
            metadata: reduce(raw.metadata, reads_secret),
            reads,
            template_annotations: ours(template_annotations.unwrap_or_default()),
            update,
            replicas,
            observed_generation: status.observed_generation.unwrap_or(0),
            progress: status.progress_of(&kind),
            word: status.word_of(&kind),
            paused: status.is_paused(&kind, spec.paused.unwrap_or(false)),
            selector: spec
                .selector
                .and_then(|selector| Selector::try_from(selector).ok()),
            lender: None,
            problem: None,
            kind,
        }
    }
}

fn numbers(kind: &WorkloadKind, spec: &RawSpec, status: &RawStatus) -> (Replicas, UpdateStrategy) {
    let update = spec.update_strategy.as_ref();
    match kind {
        WorkloadKind::Deployment => (status.replicas(spec.replicas), UpdateStrategy::All),
        WorkloadKind::StatefulSet => {
            let update = update.map(|update| update.of_stateful_set());
            (status.replicas(spec.replicas), update.unwrap_or_default())
        }
        WorkloadKind::DaemonSet => {
            let nodes = status.nodes();
            let update = update.map(|update| update.of_daemon_set(nodes.desired));
            (
                nodes,
                update.unwrap_or(UpdateStrategy::Nodes { missing: 0 }),
            )
        }
        WorkloadKind::Other(_) => (other::replicas(spec, status), UpdateStrategy::All),
    }
}

fn reduce(metadata: ObjectMeta, reads_secret: bool) -> ObjectMeta {
    ObjectMeta {
        annotations: metadata
            .annotations
            .map(ours)
            .filter(|kept| !kept.is_empty()),
        deletion_timestamp: metadata.deletion_timestamp,
        generation: metadata.generation,
        // Rules of Certificates go by them.
        labels: metadata.labels.filter(|_| reads_secret),
        name: metadata.name,
        namespace: metadata.namespace,
        resource_version: metadata.resource_version,
        uid: metadata.uid,
        ..ObjectMeta::default()
    }
}

pub(super) fn ours(mut annotations: BTreeMap<String, String>) -> BTreeMap<String, String> {
    annotations.retain(|key, _| may_be_ours(key));
    annotations
}

/// As it is kept in a store, by its kind.
impl kube::Resource for Workload {
    type DynamicType = WorkloadKind;
    type Scope = NamespaceResourceScope;

    fn kind(kind: &WorkloadKind) -> Cow<'_, str> {
        Cow::Borrowed(kind.as_str())
    }

    fn group(kind: &WorkloadKind) -> Cow<'_, str> {
        Cow::Borrowed(kind.group())
    }

    fn version(kind: &WorkloadKind) -> Cow<'_, str> {
        Cow::Borrowed(kind.version())
    }

    /// Empty where it is not known: the API server is asked by [`Object`](super::Object) only.
    fn plural(kind: &WorkloadKind) -> Cow<'_, str> {
        Cow::Borrowed(kind.plural().unwrap_or_default())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
