//! The marks a workload is to carry.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Held, Inputs, Marks};
use crate::api::Group;
use crate::rollout::mark::{ROLLED_AT, RUNS_UNTIL};
use crate::rollout::{Source, is_mark, mark_key};

impl Inputs<'_> {
    /// All marks as just read, with those of `open` set in the baselines and those of `due` in the template.
    ///
    /// The template keeps even those of what is no longer read: taking one out would roll. Baselines of such go.
    pub(super) fn marks(&self, open: &BTreeMap<&Source, &Held>, due: &BTreeSet<Source>) -> Marks {
        let Inputs {
            group, workload, ..
        } = *self;
        let read: BTreeSet<String> = workload
            .reads
            .iter()
            .map(|source| mark_key(group, source))
            .collect();
        let mut marks = Marks {
            template: marks_of(group, &workload.template_annotations),
            baseline: marks_of(group, workload.annotations()),
        };
        marks.baseline.retain(|key, _| read.contains(key));
        for (source, held) in open {
            let key = mark_key(group, source);
            if due.contains(*source) {
                marks.template.insert(key.clone(), held.fingerprint.clone());
            }
            marks.baseline.insert(key, held.fingerprint.clone());
        }
        if let Some(began) = workload.annotations().get(&group.key(ROLLED_AT)) {
            marks.baseline.insert(group.key(ROLLED_AT), began.clone());
        }
        let ends = self.held.iter().filter(|(source, held)| {
            marks.baseline.get(&mark_key(group, source)) == Some(&held.fingerprint)
        });
        if let Some(end) = ends.filter_map(|(_, held)| held.not_after).min() {
            let end = end.to_string();
            marks.baseline.insert(group.key(RUNS_UNTIL), end);
        }
        marks
    }
}

impl Marks {
    /// Notes when the workload was restarted or called; one that was down before says nothing of those that are not.
    pub(super) fn note_begin(&mut self, group: &Group, now: Timestamp, paced: bool) {
        let key = group.key(ROLLED_AT);
        if paced {
            let seconds = Timestamp::from_second(now.as_second()).unwrap_or(now);
            self.baseline.insert(key, seconds.to_string());
        } else {
            self.baseline.remove(&key);
        }
    }
}

fn marks_of(group: &Group, annotations: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    annotations
        .iter()
        .filter(|(key, _)| is_mark(group, key))
        .map(|(key, mark)| (key.clone(), mark.clone()))
        .collect()
}
