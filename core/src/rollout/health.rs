//! Whether a workload may be rolled now.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::raw::{Phase, RawRollingUpdate, RawStatus, RawUpdateStrategy};
use super::{WorkloadKind, other};

/// How many Pods there are to be, and are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    /// To be: `spec.replicas`, or the nodes a DaemonSet is for.
    pub desired: i32,
    /// There.
    pub total: i32,
    /// Of the newest template.
    pub updated: i32,
    /// Ready for as long as `minReadySeconds` asks.
    pub available: i32,
}

/// What a change of the Pod template does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateStrategy {
    /// All Pods are replaced.
    #[default]
    All,
    /// A DaemonSet's Pods are replaced, at most this many missing at a time (`maxUnavailable`).
    Nodes {
        /// How many.
        missing: i32,
    },
    /// A StatefulSet's first Pods stay as they are (`rollingUpdate.partition`).
    From {
        /// How many stay.
        partition: i32,
    },
    /// Nothing, until someone deletes the Pods.
    OnDelete,
}

/// How the last change of the Pod template goes, as the workload's controller last said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// It says nothing that lasts.
    #[default]
    Unknown,
    /// All Pods were replaced and well, whatever became of them since.
    Complete,
    /// It has not come further for so long that the controller says so (`progressDeadlineSeconds`).
    Stuck,
}

/// Whether a workload may be rolled now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It may.
    Healthy,
    /// It is paused.
    Paused,
    /// Another change of its Pods, or of their number, is still under way.
    RollingOut,
    /// Not all its Pods are available.
    Unavailable,
}

impl Replicas {
    /// Judges by the numbers; `observed` tells whether they speak of the newest generation.
    pub(super) fn health(&self, update: UpdateStrategy, observed: bool) -> Health {
        let (kept, missing) = match update {
            // A template written here restarts nothing, so nothing can get worse.
            UpdateStrategy::OnDelete => return Health::Healthy,
            UpdateStrategy::All => (0, 0),
            // In a large cluster some node is always away, and the DaemonSet's own limit then guards the roll.
            UpdateStrategy::Nodes { missing } => (0, missing),
            UpdateStrategy::From { partition } => (partition, 0),
        };
        if !observed
            || self.updated < self.desired - kept - missing
            || (self.total - self.desired).abs() > missing
        {
            Health::RollingOut
        } else if self.available < self.desired - missing {
            Health::Unavailable
        } else {
            Health::Healthy
        }
    }
}

impl RawStatus {
    /// How the last change goes.
    pub(super) fn progress_of(&self, kind: &WorkloadKind) -> Progress {
        match kind {
            WorkloadKind::Deployment => match self.progress() {
                Some("NewReplicaSetAvailable") => Progress::Complete,
                Some("ProgressDeadlineExceeded") => Progress::Stuck,
                _ => Progress::Unknown,
            },
            // Its controller makes them the same once all Pods were replaced and ready.
            WorkloadKind::StatefulSet
                if self.update_revision.is_some()
                    && self.current_revision == self.update_revision =>
            {
                Progress::Complete
            }
            WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => Progress::Unknown,
            WorkloadKind::Other(_) => other::progress(self),
        }
    }

    /// What it says of its health besides its numbers.
    pub(super) fn word_of(&self, kind: &WorkloadKind) -> Health {
        match kind {
            WorkloadKind::Other(_) => other::word(self),
            _ => Health::Healthy,
        }
    }

    /// Whether it is paused, by its spec or by itself.
    pub(super) fn is_paused(&self, kind: &WorkloadKind, spec: bool) -> bool {
        match kind {
            WorkloadKind::Deployment => spec,
            WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => false,
            WorkloadKind::Other(_) => spec || self.phase == Some(Phase::Paused),
        }
    }

    /// The numbers of a Deployment or StatefulSet, `replicas` as in its spec.
    pub(super) fn replicas(&self, replicas: Option<i32>) -> Replicas {
        Replicas {
            desired: replicas.unwrap_or(1),
            total: self.replicas.unwrap_or(0),
            updated: self.updated_replicas.unwrap_or(0),
            available: self.available_replicas.unwrap_or(0),
        }
    }

    /// The numbers of a DaemonSet.
    pub(super) fn nodes(&self) -> Replicas {
        Replicas {
            desired: self.desired_number_scheduled.unwrap_or(0),
            total: self.current_number_scheduled.unwrap_or(0),
            updated: self.updated_number_scheduled.unwrap_or(0),
            available: self.number_available.unwrap_or(0),
        }
    }
}

impl RawUpdateStrategy {
    /// A StatefulSet's.
    pub(super) fn of_stateful_set(&self) -> UpdateStrategy {
        let partition = self
            .rolling_update
            .as_ref()
            .and_then(|rolling| rolling.partition);
        match (self.is_on_delete(), partition) {
            (true, _) => UpdateStrategy::OnDelete,
            (false, Some(partition)) if partition > 0 => UpdateStrategy::From { partition },
            (false, _) => UpdateStrategy::All,
        }
    }

    /// A DaemonSet's, for this many nodes.
    pub(super) fn of_daemon_set(&self, nodes: i32) -> UpdateStrategy {
        if self.is_on_delete() {
            return UpdateStrategy::OnDelete;
        }
        UpdateStrategy::Nodes {
            missing: self
                .rolling_update
                .as_ref()
                .map_or(1, |rolling| rolling.missing(nodes)),
        }
    }

    fn is_on_delete(&self) -> bool {
        self.type_.as_deref() == Some("OnDelete")
    }
}

impl RawRollingUpdate {
    /// `maxUnavailable` as a number: 1 if not said, percentages rounded up, as the DaemonSet controller does.
    fn missing(&self, nodes: i32) -> i32 {
        match &self.max_unavailable {
            None => 1,
            Some(IntOrString::Int(number)) => *number,
            Some(IntOrString::String(text)) => {
                let percent = text
                    .strip_suffix('%')
                    .and_then(|number| number.parse::<i64>().ok());
                let share = percent.map_or(1, |percent| (i64::from(nodes) * percent + 99) / 100);
                i32::try_from(share).unwrap_or(nodes)
            }
        }
        .clamp(0, nodes.max(0))
    }
}
