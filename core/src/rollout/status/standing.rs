//! Where one workload stands.

use jiff::Timestamp;

use super::HALTED;
use crate::api::Group;
use crate::api::certificate::{RolloutStrategy, WorkloadState};
use crate::rollout::pace::{Restart, is_held_back, restart};
use crate::rollout::plan::is_up_to_date;
use crate::rollout::{Health, Held, Hold, Source, Turn, UpdateStrategy, Workload};

/// Where one workload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its marks say the held certificate.
    UpToDate,
    /// It has opted out, or the Certificate's strategy is None and it has not opted in.
    OptedOut,
    /// Its template says the held certificate; its Pods are replaced when someone deletes them.
    OnDelete,
    /// The same, for the Pods that `rollingUpdate.partition` keeps as they are.
    Partition,
    /// It is to be rolled, or judged.
    Pending,
    /// It is paused.
    Paused,
    /// Another change of its Pods is still under way.
    RollingOut,
    /// Not all its Pods are available.
    Unavailable,
    /// It was restarted for the held certificate, and its Pods did not come up in time.
    Failed,
    /// Another one that was restarted for the same certificate is not well.
    Halted,
    /// Others are to be done first.
    NextWave,
    /// No window is open; until when, if that is known.
    Window(Option<Timestamp>),
    /// As many as may be are under way.
    Busy,
    /// Its Pods are being called, or could not be.
    Calling,
    /// What is wanted for it can't be read.
    Misconfigured,
    /// It could not be read.
    Unreadable,
}

impl Standing {
    /// One word, for `status.rollout.workloads[].reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "UpToDate",
            Self::OptedOut => "OptedOut",
            Self::OnDelete => "OnDelete",
            Self::Partition => "Partition",
            Self::Pending => "Pending",
            Self::Paused => "Paused",
            Self::RollingOut => "RollingOut",
            Self::Unavailable | Self::Failed => "Unavailable",
            Self::Halted => HALTED,
            Self::NextWave => "NextWave",
            Self::Window(_) => "Window",
            Self::Busy => "Busy",
            Self::Calling => "Calling",
            Self::Misconfigured => "Misconfigured",
            Self::Unreadable => "Unreadable",
        }
    }

    /// The state that it is told by, whatever is seen to be served; `None` where nothing is wanted of it.
    pub(super) fn state(self) -> Option<WorkloadState> {
        Some(match self {
            Self::OptedOut => return None,
            Self::UpToDate => WorkloadState::Healthy,
            Self::RollingOut | Self::Calling => WorkloadState::Rolling,
            Self::Failed | Self::Halted => WorkloadState::Halted,
            Self::OnDelete
            | Self::Partition
            | Self::Pending
            | Self::Paused
            | Self::Unavailable
            | Self::NextWave
            | Self::Window(_)
            | Self::Busy
            | Self::Misconfigured
            | Self::Unreadable => WorkloadState::Waiting,
        })
    }

    /// Whether it goes on without anyone's help.
    pub(super) fn passes(self) -> bool {
        matches!(
            self,
            Self::UpToDate
                | Self::OptedOut
                | Self::Pending
                | Self::RollingOut
                | Self::NextWave
                | Self::Window(_)
                | Self::Busy
                | Self::Calling
        )
    }
}

/// Says where `workload` stands with what is held in `source`, if it is or is not its `turn`.
pub fn standing(
    now: Timestamp,
    group: &Group,
    workload: &Workload,
    source: &Source,
    held: &Held,
    turn: Turn,
) -> Standing {
    if workload.problem.is_some() {
        return match workload.lender {
            Some(_) => Standing::Misconfigured,
            None => Standing::Unreadable,
        };
    }
    if is_up_to_date(group, workload, source, &held.fingerprint) {
        if is_held_back(group, workload, source, &held.fingerprint) {
            return match workload.update {
                UpdateStrategy::OnDelete => Standing::OnDelete,
                _ => Standing::Partition,
            };
        }
        return match restart(now, group, workload, source, held) {
            None => Standing::UpToDate,
            Some(Restart::UnderWay) => Standing::RollingOut,
            Some(Restart::Paused) => Standing::Paused,
            Some(Restart::Failed) => Standing::Failed,
        };
    }
    let strategy = match held.choice(group, workload) {
        Ok(choice) => choice.strategy,
        Err(_) => return Standing::Misconfigured,
    };
    match (strategy, workload.health()) {
        (RolloutStrategy::None, _) => Standing::OptedOut,
        (RolloutStrategy::Reload, _) => Standing::Pending,
        (RolloutStrategy::Restart, Health::Paused) => Standing::Paused,
        (_, Health::RollingOut) => Standing::RollingOut,
        (_, Health::Unavailable) => Standing::Unavailable,
        (_, Health::Paused | Health::Healthy) => match turn {
            Turn::Now if strategy == RolloutStrategy::Call => Standing::Calling,
            Turn::Now => Standing::Pending,
            Turn::Later { why, until } => match why {
                Hold::Halted => Standing::Halted,
                Hold::NextWave => Standing::NextWave,
                Hold::Window => Standing::Window(until),
                Hold::Busy => Standing::Busy,
            },
        },
    }
}
