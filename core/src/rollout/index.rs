//! Which workloads read a Secret or ConfigMap.

use std::collections::{BTreeMap, BTreeSet};

use super::referrers::Referrers;
use super::{Source, SourceName, Workload, WorkloadKind};

/// A workload, by kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadName {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl From<&Workload> for WorkloadName {
    fn from(workload: &Workload) -> Self {
        Self {
            kind: workload.kind.clone(),
            namespace: workload.namespace().to_owned(),
            name: workload.name().to_owned(),
        }
    }
}

/// Finds the workloads that read a Secret or ConfigMap. It is fed what the watches say and has no client.
///
/// Each change answers with what it touches: what was read before or now, since what a Certificate says of its
/// dependents may have changed.
#[derive(Debug)]
pub struct Index {
    /// All kinds that are listed and watched.
    kinds: BTreeSet<WorkloadKind>,
    readers: Referrers<WorkloadName>,
    reads: BTreeMap<WorkloadName, BTreeSet<Source>>,
    /// Who has its Pod template from another workload, and from which.
    lenders: BTreeMap<WorkloadName, WorkloadName>,
    /// Those not seen yet in a list that is being read anew.
    unseen: BTreeSet<WorkloadName>,
    listed: BTreeSet<WorkloadKind>,
}

impl Index {
    /// Knows nothing yet of the workloads of these kinds.
    pub fn new(kinds: impl IntoIterator<Item = WorkloadKind>) -> Self {
        Self {
            kinds: kinds.into_iter().collect(),
            readers: Referrers::default(),
            reads: BTreeMap::new(),
            lenders: BTreeMap::new(),
            unseen: BTreeSet::new(),
            listed: BTreeSet::new(),
        }
    }

    /// Whether all kinds were listed at least once: before, what is not found may still be there.
    pub fn is_complete(&self) -> bool {
        self.kinds.is_subset(&self.listed)
    }

    /// The workloads that read this, those among them that have their Pod template from another one.
    pub fn readers(&self, source: &SourceName) -> impl Iterator<Item = &WorkloadName> {
        let readers = self.readers.of(source);
        let borrowers = self
            .lenders
            .iter()
            .filter(move |(_, lender)| readers.is_some_and(|readers| readers.contains(*lender)));
        let borrowers = borrowers.map(|(borrower, _)| borrower);
        readers.into_iter().flatten().chain(borrowers)
    }

    /// What a workload reads by the Pod template of another one.
    pub fn borrowed(&self, name: &WorkloadName) -> impl Iterator<Item = &Source> {
        let lender = self.lenders.get(name);
        lender
            .and_then(|lender| self.reads.get(lender))
            .into_iter()
            .flatten()
    }

    /// The workloads of a namespace that read anything.
    pub fn within(&self, namespace: &str) -> impl Iterator<Item = &WorkloadName> {
        let readers = self.reads.keys();
        readers.filter(move |name| name.namespace == namespace)
    }

    /// A workload is there, in this state.
    pub fn applied(&mut self, workload: &Workload) -> BTreeSet<SourceName> {
        let name = WorkloadName::from(workload);
        self.unseen.remove(&name);
        let mut touched = self.forget(&name);
        let read: BTreeSet<SourceName> = workload.reads.iter().map(|one| name.read(one)).collect();
        self.readers.add(&name, &read);
        touched.extend(read);
        if let Some(lender) = &workload.lender {
            self.lenders.insert(name.clone(), lender.clone());
            touched.extend(self.borrowed(&name).map(|source| name.read(source)));
        }
        if !workload.reads.is_empty() {
            self.reads.insert(name, workload.reads.clone());
        }
        touched
    }

    /// A workload has gone.
    pub fn deleted(&mut self, name: &WorkloadName) -> BTreeSet<SourceName> {
        self.unseen.remove(name);
        self.forget(name)
    }

    /// All workloads of a kind are about to be listed anew.
    pub fn list_begins(&mut self, kind: &WorkloadKind) {
        let known = self.reads.keys().chain(self.lenders.keys());
        let known = known.filter(|name| name.kind == *kind).cloned();
        self.unseen.extend(known);
    }

    /// All workloads of a kind were listed: those that were not among them have gone.
    pub fn list_ends(&mut self, kind: &WorkloadKind) -> BTreeSet<SourceName> {
        self.listed.insert(kind.clone());
        let (gone, others) = std::mem::take(&mut self.unseen)
            .into_iter()
            .partition(|name| name.kind == *kind);
        self.unseen = others;
        let gone: BTreeSet<WorkloadName> = gone;
        gone.iter().flat_map(|name| self.forget(name)).collect()
    }

    fn forget(&mut self, name: &WorkloadName) -> BTreeSet<SourceName> {
        let borrowed = self.borrowed(name).map(|source| name.read(source));
        let mut touched: BTreeSet<SourceName> = borrowed.collect();
        self.lenders.remove(name);
        let read = self.reads.remove(name).unwrap_or_default();
        let read: BTreeSet<SourceName> = read.iter().map(|source| name.read(source)).collect();
        self.readers.remove(name, &read);
        touched.extend(read);
        touched
    }
}
