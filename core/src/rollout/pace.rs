//! Whether it is a workload's turn.
//!
//! Nothing of it is stored: how far the others have come follows from their own marks and what their controllers say of
//! them, so that whoever leads next goes on where the one before stopped.

use jiff::{SignedDuration, Timestamp};

use super::mark::{ROLLED_AT, RUNS_UNTIL};
use super::plan::is_up_to_date;
use super::{Health, Held, Policy, Source, UpdateStrategy, Workload, WorkloadName, mark_key};
use crate::api::Group;
use crate::api::certificate::RolloutStrategy;

/// A workload that reads a Certificate's Secret, or what else is rolled out.
#[derive(Clone, Copy, Debug)]
pub struct Dependent<'a> {
    /// The workload.
    pub workload: &'a Workload,
    /// Whether it is being restarted or called at this moment, which the workload does not show yet.
    pub begun: bool,
}

/// Where the workloads that read a Secret or ConfigMap stand with what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// The first whose Pods did not come up in time after they were restarted for this certificate.
    pub failed: Option<WorkloadName>,
    /// The lowest wave in which some workload doesn't run, or isn't well, with this certificate.
    wave: Option<i32>,
    /// How many are being restarted or called.
    under_way: usize,
    /// When the last one was begun.
    last_begun: Option<Timestamp>,
    /// When the first of them fails, if its Pods don't come up before.
    pub fails_at: Option<Timestamp>,
    /// The first moment from now on at which restarts may begin; `None` if there is none in sight.
    open: Option<Timestamp>,
}

/// Whether a workload may be restarted or called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may.
    Now,
    /// Not yet.
    Later {
        /// What it waits for.
        why: Hold,
        /// When that ends by itself, if it does; otherwise it ends with another workload's progress.
        until: Option<Timestamp>,
    },
}

/// What a workload waits for that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Another one that was restarted for the same certificate is not well.
    Halted,
    /// Others are to be done first.
    NextWave,
    /// No window is open.
    Window,
    /// As many as may be are under way, or the last one began a moment ago.
    Busy,
}

/// How a restart for the held certificate goes that has not ended well yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    UnderWay,
    /// Under way, and somebody has to let it go on, however long that takes.
    Paused,
    /// Its Pods did not come up in time.
    Failed,
}

impl Pace {
    /// Takes in all workloads that read `source`, which holds `held`.
    pub fn of<'a>(
        now: Timestamp,
        group: &Group,
        source: &Source,
        held: &Held,
        dependents: impl IntoIterator<Item = Dependent<'a>>,
    ) -> Self {
        let Ok(policy) = &held.policy else {
            return Self::default();
        };
        let mut pace = Self {
            open: policy.windows.open_from(now),
            ..Self::default()
        };
        for Dependent { workload, begun } in dependents {
            pace.add(now, group, source, (held, policy), workload, begun);
        }
        pace
    }

    fn add(
        &mut self,
        now: Timestamp,
        group: &Group,
        source: &Source,
        (held, policy): (&Held, &Policy),
        workload: &Workload,
        begun: bool,
    ) {
        let choice = policy.choice(group, workload);
        let left_alone = matches!(&choice, Ok(choice) if choice.strategy == RolloutStrategy::None);
        if left_alone || workload.deleting() || workload.problem.is_some() {
            return;
        }
        let wave = choice.map_or(0, |choice| choice.wave);
        let restart = restart(now, group, workload, source, held);
        let done = !begun
            && restart.is_none()
            && is_up_to_date(group, workload, source, &held.fingerprint)
            && !is_held_back(group, workload, source, &held.fingerprint)
            && matches!(workload.health(), Health::Healthy | Health::Paused);
        if !done {
            self.wave = Some(self.wave.map_or(wave, |lowest| lowest.min(wave)));
        }
        if begun || matches!(restart, Some(Restart::UnderWay | Restart::Paused)) {
            self.under_way += 1;
        }
        if restart == Some(Restart::UnderWay) {
            let begun = rolled_at(group, workload);
            let fails = begun.and_then(|begun| begun.saturating_add(policy.health_timeout).ok());
            self.fails_at = self.fails_at.into_iter().chain(fails).min();
        }
        if restart == Some(Restart::Failed) {
            let name = WorkloadName::from(workload);
            self.failed = self.failed.take().into_iter().chain([name]).min();
        }
        let begun_at = if begun {
            Some(now)
        } else {
            rolled_at(group, workload)
        };
        // One of the future was written before a clock was put back: it says nothing.
        self.last_begun = self.last_begun.max(begun_at.filter(|at| *at <= now));
    }

    /// Whether it is the turn of a workload that is due, by what the Certificate says.
    ///
    /// `full` says whether as many workloads are under way in the cluster as may be. The first that holds:
    /// 1. another one, restarted for the same certificate, is not well: a fault that comes with it must not spread → Halted;
    /// 2. not all of lower waves run with the certificate and are well → NextWave;
    /// 3. it is to be restarted, windows are asked for, none is open, and what it runs with lasts → Window; not where it can't do
    ///    with the certificate that it was restarted for, and the one before was put back;
    /// 4. the one before was begun less than the gap ago → Busy;
    /// 5. as many as may be are under way for the Certificate → Busy;
    /// 6. the same for the cluster → Busy;
    /// 7. Now.
    pub fn turn(
        &self,
        now: Timestamp,
        group: &Group,
        workload: &Workload,
        held: &Held,
        full: bool,
    ) -> Turn {
        let later = |why, until| Turn::Later { why, until };
        let (Ok(policy), Ok(choice)) = (&held.policy, held.choice(group, workload)) else {
            // It is left alone, by whatever turn.
            return later(Hold::Halted, None);
        };
        if self.failed.is_some() {
            return later(Hold::Halted, None);
        }
        if self.wave.is_some_and(|wave| wave < choice.wave) {
            return later(Hold::NextWave, None);
        }
        let waits_for_window = choice.strategy == RolloutStrategy::Restart
            && !policy.windows.is_empty()
            && (!held.relieves(workload) || workload.is_carried_through())
            && self.open.is_none_or(|open| open > now);
        if waits_for_window {
            match urgent_at(group, workload, held, policy.urgent_before) {
                Some(urgent) if urgent <= now => {}
                urgent => {
                    return later(Hold::Window, self.open.into_iter().chain(urgent).min());
                }
            }
        }
        let gap_ends = self
            .last_begun
            .and_then(|begun| begun.saturating_add(policy.min_gap).ok())
            .filter(|end| *end > now);
        if gap_ends.is_some() {
            return later(Hold::Busy, gap_ends);
        }
        if self.under_way >= policy.max_concurrent || full {
            return later(Hold::Busy, None);
        }
        Turn::Now
    }

    /// How many more may be taken up at once.
    pub fn room(&self, held: &Held) -> usize {
        let most = held
            .policy
            .as_ref()
            .map_or(0, |policy| policy.max_concurrent);
        most.saturating_sub(self.under_way)
    }
}

/// From when on windows hold nothing back; `None` if always.
///
/// What a workload runs with was noted when it was marked. Without that note nobody can say how long it may wait: not at
/// all.
fn urgent_at(
    group: &Group,
    workload: &Workload,
    held: &Held,
    before: SignedDuration,
) -> Option<Timestamp> {
    if held.replaces_revoked {
        return Some(Timestamp::MIN);
    }
    let until = moment(group, workload, RUNS_UNTIL).unwrap_or(Timestamp::MIN);
    until.saturating_sub(before).ok()
}

/// How the last restart for the certificate that `held` is goes; `None` if there was none, or it has ended well.
pub(super) fn restart(
    now: Timestamp,
    group: &Group,
    workload: &Workload,
    source: &Source,
    held: &Held,
) -> Option<Restart> {
    let policy = held.policy.as_ref().ok()?;
    let begun = rolled_at(group, workload)?;
    let marked = workload.template_annotations.get(&mark_key(group, source));
    if marked != Some(&held.fingerprint) || workload.is_carried_through() {
        return None;
    }
    let late = begun
        .saturating_add(policy.health_timeout)
        .is_ok_and(|end| end <= now);
    Some(if workload.is_stuck() {
        Restart::Failed
    } else if workload.paused {
        Restart::Paused
    } else if late {
        Restart::Failed
    } else {
        Restart::UnderWay
    })
}

/// Whether a workload was restarted for the certificate that `held` is, and its Pods did not come up in time.
pub fn has_failed(
    now: Timestamp,
    group: &Group,
    workload: &Workload,
    source: &Source,
    held: &Held,
) -> bool {
    restart(now, group, workload, source, held) == Some(Restart::Failed)
}

/// Since when a workload is being restarted for whatever certificate; `None` if it is not.
pub fn under_way_since(group: &Group, workload: &Workload) -> Option<Timestamp> {
    rolled_at(group, workload).filter(|_| !workload.is_carried_through())
}

/// Whether a workload is to be restarted or called for the certificate that `held` is, as far as its marks say.
pub fn is_due(group: &Group, workload: &Workload, source: &Source, held: &Held) -> bool {
    let acted_on = |strategy| matches!(strategy, RolloutStrategy::Restart | RolloutStrategy::Call);
    !is_up_to_date(group, workload, source, &held.fingerprint)
        && matches!(held.choice(group, workload), Ok(choice) if acted_on(choice.strategy))
}

/// Whether a template was marked, and the update strategy leaves Pods as they are.
///
/// A later change of the template by its owner looks the same; it is told the same way, since those Pods wait too.
pub(super) fn is_held_back(
    group: &Group,
    workload: &Workload,
    source: &Source,
    fingerprint: &str,
) -> bool {
    let keeps = matches!(
        workload.update,
        UpdateStrategy::OnDelete | UpdateStrategy::From { .. }
    );
    let mark = workload.template_annotations.get(&mark_key(group, source));
    keeps
        && mark.is_some_and(|mark| mark == fingerprint)
        && workload.replicas.updated < workload.replicas.desired
}

/// When a workload was last restarted or called.
pub(super) fn rolled_at(group: &Group, workload: &Workload) -> Option<Timestamp> {
    moment(group, workload, ROLLED_AT)
}

fn moment(group: &Group, workload: &Workload, name: &str) -> Option<Timestamp> {
    workload.annotations().get(&group.key(name))?.parse().ok()
}
