//! How a workload is given what it lacks: the rules of [`super::plan_rollout`] from 7 on.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{Held, Inputs, RolloutPlan, Skip, Wait, is_marked, latest_issue};
use crate::api::certificate::RolloutStrategy;
use crate::rollout::{Choice, Health, Pods, Source};

/// How long after the certificate was issued a workload of which no Pod is available is rolled all the same: it may be
/// so because the certificate before has expired. Long enough for Pods that are just starting.
const LAST_RESORT: SignedDuration = SignedDuration::from_mins(10);

/// How much later than the certificate a container must have started to be trusted to have read it: its node has
/// a clock of its own, and its kubelet may serve Secrets from a cache.
const LAG: SignedDuration = SignedDuration::from_secs(60);

/// What a workload lacks.
pub(super) type Open<'a> = BTreeMap<&'a Source, &'a Held>;

/// Says how a workload is given what is `open`, of which `choices` says what is wanted.
pub(super) fn carry(
    now: Timestamp,
    inputs: &Inputs<'_>,
    open: &Open<'_>,
    choices: &BTreeMap<&Source, &Choice>,
) -> RolloutPlan {
    let Inputs {
        group, workload, ..
    } = *inputs;
    let marked = |source: &Source| is_marked(group, workload, source);
    let restarted = of_strategy(open, choices, RolloutStrategy::Restart);
    let called = of_strategy(open, choices, RolloutStrategy::Call);
    if restarted.is_empty() && called.is_empty() {
        return inputs.reload(now, open);
    }
    if restarted.is_empty()
        && let Some(wait) = files_are_to_change(now, called.values())
    {
        return wait;
    }
    let (last_resort, health) = if restarted.is_empty() {
        (None, workload.health_of_pods())
    } else {
        (inputs.last_resort(now, open), workload.health())
    };
    let relieved = open.values().any(|held| held.relieves(workload));
    let blocked = skip(health).filter(|why| *why == Skip::Paused || !relieved);
    if let Some(why) = blocked
        && last_resort.is_none_or(|at| at > now)
    {
        let changed = open.keys().filter(|source| marked(source));
        return RolloutPlan::Skip {
            why,
            sources: changed.map(|source| (*source).clone()).collect(),
            until: last_resort,
        };
    }
    // Whoever is down for long has nothing to lose, and takes nothing away from others.
    let paced = blocked.is_none();
    let Some(pods) = inputs.pods else {
        let all_marked = restarted
            .keys()
            .chain(called.keys())
            .all(|source| marked(source));
        return RolloutPlan::NeedPods {
            paced: paced && all_marked,
        };
    };
    let due = |of: &Open<'_>| -> BTreeSet<Source> {
        of.iter()
            .filter(|(source, held)| asks_for_roll(marked(source), held, pods))
            .map(|(source, _)| (*source).clone())
            .collect()
    };
    let (to_restart, to_call) = (due(&restarted), due(&called));
    if !to_restart.is_empty() {
        let mut marks = inputs.marks(open, &to_restart);
        marks.note_begin(group, now, paced);
        return RolloutPlan::Roll {
            marks,
            sources: to_restart.into_iter().collect(),
            paced,
        };
    }
    if let Some(wait) = files_are_to_change(now, to_call.iter().map(|source| &called[source])) {
        return wait;
    }
    // What reaches the files only later is noted then.
    let mut carried = open.clone();
    carried.retain(|source, held| {
        choices[source].strategy != RolloutStrategy::Reload || !is_young(now, held)
    });
    let first = to_call.first();
    let Some(call) = first.and_then(|source| choices[source].call.clone()) else {
        return inputs.baseline(&carried);
    };
    let mut marks = inputs.marks(&carried, &BTreeSet::new());
    marks.note_begin(group, now, true);
    RolloutPlan::Call {
        call,
        marks,
        sources: to_call.into_iter().collect(),
    }
}

fn of_strategy<'a>(
    open: &Open<'a>,
    choices: &BTreeMap<&Source, &Choice>,
    strategy: RolloutStrategy,
) -> Open<'a> {
    let mut some = open.clone();
    some.retain(|source, _| choices[source].strategy == strategy);
    some
}

fn skip(health: Health) -> Option<Skip> {
    match health {
        Health::Healthy => None,
        Health::Paused => Some(Skip::Paused),
        Health::RollingOut => Some(Skip::RollingOut),
        Health::Unavailable => Some(Skip::Unavailable),
    }
}

fn asks_for_roll(marked: bool, held: &Held, pods: Pods) -> bool {
    match (marked, held.issued_at, pods.earliest_start) {
        (false, Some(issued_at), Some(start)) => issued_at > start && !held.first_seen,
        (false, _, _) => false,
        (true, Some(issued_at), Some(start)) => start.duration_since(issued_at) <= LAG,
        (true, _, _) => true,
    }
}

/// Whether the certificate may not have reached the files of running Pods yet.
fn is_young(now: Timestamp, held: &Held) -> bool {
    projected_at(held).is_some_and(|at| at > now && held.issued_at <= Some(now))
}

fn projected_at(held: &Held) -> Option<Timestamp> {
    let policy = held.policy.as_ref().ok()?;
    held.issued_at?.saturating_add(policy.volume_delay).ok()
}

/// Waits until all of these have reached the files: who is called before that reads the old ones.
fn files_are_to_change<'a>(
    now: Timestamp,
    called: impl Iterator<Item = &'a &'a Held>,
) -> Option<RolloutPlan> {
    let young = called.filter(|held| is_young(now, held));
    let until = young.filter_map(|held| projected_at(held)).max()?;
    Some(RolloutPlan::Wait {
        until,
        why: Wait::Projecting,
    })
}

impl Inputs<'_> {
    /// What is to be done to a workload that reads all of `open` again by itself.
    fn reload(&self, now: Timestamp, open: &BTreeMap<&Source, &Held>) -> RolloutPlan {
        let mut read = open.clone();
        read.retain(|_, held| !is_young(now, held));
        match open.values().filter_map(|held| projected_at(held)).min() {
            Some(until) if read.is_empty() => RolloutPlan::Wait {
                until,
                why: Wait::Projecting,
            },
            _ => self.baseline(&read),
        }
    }

    /// From when on the workload is rolled although it is not healthy; `None` if not.
    ///
    /// Containers that have not started yet will read what is held.
    fn last_resort(&self, now: Timestamp, open: &BTreeMap<&Source, &Held>) -> Option<Timestamp> {
        let waits_for_start = self.pods.is_some_and(|pods| pods.earliest_start.is_none());
        if !self.workload.has_none_available() || waits_for_start {
            return None;
        }
        latest_issue(now, open)?.saturating_add(LAST_RESORT).ok()
    }
}
