//! Whose turn it is, of all that this process knows: what the watches show, and what was just begun or written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};

use certwright_core::rollout::{
    Dependent, Held, Pace, Source, SourceName, Turn, Workload, WorkloadKind, WorkloadName, is_due,
    under_way_since,
};
use jiff::Timestamp;

use super::Surroundings;
use super::context::Context;
use super::turns::Turns;

impl<S: Surroundings> Context<S> {
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
