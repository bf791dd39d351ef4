//! Which workloads are under way in this process, so that no more are taken up at once than may be.
//!
//! What the workloads' own marks say comes by the watch, a moment late: what was just begun or written counts ahead of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use certwright_core::rollout::{Workload, WorkloadName};
use jiff::{SignedDuration, Timestamp};

use crate::cluster::version;

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Being restarted or called at this moment.
    begun: BTreeSet<WorkloadName>,
    /// As just written, until the watch shows it.
    written: HashMap<WorkloadName, Arc<Workload>>,
    /// Restarted, and not well yet, with since when.
    under_way: HashMap<WorkloadName, Timestamp>,
    /// Due, and held back only because too many are under way in the cluster.
    waiting: BTreeSet<WorkloadName>,
}

impl Turns {
    /// Takes a workload up.
    pub(super) fn begin(&mut self, name: WorkloadName) {
        self.waiting.remove(&name);
        self.begun.insert(name);
    }

    /// What was begun has ended; what it led to was said by then.
    pub(super) fn end(&mut self, name: &WorkloadName) {
        self.begun.remove(name);
    }

    /// Whether it is being restarted or called at this moment.
    pub(super) fn is_begun(&self, name: &WorkloadName) -> bool {
        self.begun.contains(name)
    }

    /// A workload was written, and is restarted since then, if it is.
    pub(super) fn wrote(&mut self, workload: Arc<Workload>, since: Option<Timestamp>) {
        let name = WorkloadName::from(&*workload);
        self.note(name.clone(), since);
        self.written.insert(name, workload);
    }

    /// The watch shows a workload, which is restarted since then, if it is.
    pub(super) fn saw(&mut self, workload: &Workload, since: Option<Timestamp>) {
        let name = WorkloadName::from(workload);
        let behind = self
            .written
            .get(&name)
            .is_some_and(|written| is_newer(written, workload));
        if !behind {
            self.written.remove(&name);
            self.note(name, since);
        }
    }

    /// A workload has gone.
    pub(super) fn forget(&mut self, name: &WorkloadName) {
        self.written.remove(name);
        self.under_way.remove(name);
        self.waiting.remove(name);
    }

    /// Forgets those for which `gone` holds, which nobody told of.
    pub(super) fn forget_all(&mut self, gone: impl Fn(&WorkloadName) -> bool) {
        self.written.retain(|name, _| !gone(name));
        self.under_way.retain(|name, _| !gone(name));
        self.waiting.retain(|name| !gone(name));
    }

    /// The newer of what was seen and what was written.
    pub(super) fn newest(&self, seen: Arc<Workload>) -> Arc<Workload> {
        let written = self
            .written
            .get(&WorkloadName::from(&*seen))
            .filter(|written| is_newer(written, &seen));
        written.map_or(seen, Arc::clone)
    }

    /// How many are under way, of which none counts for longer than `timeout`.
    pub(super) fn count(&self, now: Timestamp, timeout: SignedDuration) -> usize {
        let counts = |since: &Timestamp| now.duration_since(*since) < timeout;
        let restarted = self
            .under_way
            .iter()
            .filter(|(name, since)| counts(since) && !self.begun.contains(name));
        self.begun.len() + restarted.count()
    }

    /// A workload waits until fewer are under way.
    pub(super) fn wait(&mut self, name: WorkloadName) {
        self.waiting.insert(name);
    }

    /// The next of those that wait, at most so many: it is up to them to wait again.
    pub(super) fn next(&mut self, most: usize) -> Vec<WorkloadName> {
        let next = (0..most).map_while(|_| self.waiting.pop_first());
        next.collect()
    }

    fn note(&mut self, name: WorkloadName, since: Option<Timestamp>) {
        match since {
            Some(since) => self.under_way.insert(name, since),
            None => self.under_way.remove(&name),
        };
    }
}

fn is_newer(one: &Workload, other: &Workload) -> bool {
    let of = |workload: &Workload| {
        let text = workload.metadata.resource_version.as_deref();
        version(text.unwrap_or_default())
    };
    of(one) > of(other)
}

#[cfg(test)]
mod tests {
    use certwright_core::rollout::WorkloadKind;
    use serde_json::json;

    use super::*;

    fn workload(name: &str, version: &str) -> Arc<Workload> {
        let metadata = json!({ "name": name, "namespace": "shop", "resourceVersion": version });
        let object = json!({ "metadata": metadata });
        Arc::new(Workload::from_object(WorkloadKind::Deployment, &object))
    }

    #[test]
    fn what_was_written_counts_until_the_watch_has_come_to_it() {
        let (mut turns, timeout) = (Turns::default(), SignedDuration::from_mins(10));
        let begun: Timestamp = "2026-11-02T12:00:00Z".parse().unwrap();
        let name = WorkloadName::from(&*workload("web", "1"));
        turns.begin(name.clone());
        assert_eq!(turns.count(begun, timeout), 1);
        turns.wrote(workload("web", "10"), Some(begun));
        assert_eq!(turns.count(begun, timeout), 1, "once");
        turns.end(&name);
        // The watch is behind: 9 comes before 10.
        turns.saw(&workload("web", "9"), None);
        assert_eq!(turns.count(begun, timeout), 1);
        let newest = turns.newest(workload("web", "9"));
        assert_eq!(newest.metadata.resource_version.as_deref(), Some("10"));
        turns.saw(&workload("web", "10"), Some(begun));
        assert_eq!(turns.count(begun, timeout), 1);
        assert_eq!(turns.count(begun + timeout, timeout), 0, "it never came up");
        turns.saw(&workload("web", "11"), None);
        assert_eq!(turns.count(begun, timeout), 0);
    }

    #[test]
    fn who_waits_is_named_once_and_not_if_it_has_gone() {
        let mut turns = Turns::default();
        let [one, two, three] =
            ["one", "two", "three"].map(|name| WorkloadName::from(&*workload(name, "1")));
        for name in [&one, &two, &three, &one] {
            turns.wait(name.clone());
        }
        turns.forget(&one);
        assert_eq!(turns.next(5), [three, two]);
        assert_eq!(turns.next(5), []);
    }
}
