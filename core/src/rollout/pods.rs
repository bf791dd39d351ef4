//! Since when a workload's Pods run.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::core::NamespaceResourceScope;
use serde::Deserialize;

use super::{Workload, WorkloadKind};

/// What is read of the current Pods of a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    /// The earliest start of a container in one of them, init containers included; `None` if none has started.
    ///
    /// Never `status.startTime`: a Pod that waited for its Secret read the new one.
    pub earliest_start: Option<Timestamp>,
}

impl Pods {
    /// Takes those of `pods` that belong to `workload`, are not on their way out and have not ended.
    pub fn of<'a>(workload: &Workload, pods: impl IntoIterator<Item = &'a Pod>) -> Self {
        let starts = pods
            .into_iter()
            .filter(|pod| pod.is_current() && pod.belongs_to(workload))
            .filter_map(Pod::earliest_start);
        Self {
            earliest_start: starts.min(),
        }
    }

    /// What both say.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let starts = self.earliest_start.into_iter().chain(other.earliest_start);
        Self {
            earliest_start: starts.min(),
        }
    }
}

/// The parts of a Pod that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pod {
    metadata: ObjectMeta,
    status: Option<PodStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: Option<String>,
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    state: Option<ContainerState>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    running: Option<Start>,
    terminated: Option<Start>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Start {
    started_at: Option<Time>,
}

impl Pod {
    fn is_current(&self) -> bool {
        let phase = self
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        self.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
    }

    /// A selector may match Pods of others too.
    fn belongs_to(&self, workload: &Workload) -> bool {
        let owners = self.metadata.owner_references.iter().flatten();
        owners
            .filter(|owner| owner.controller == Some(true))
            .any(|owner| match workload.kind {
                WorkloadKind::Deployment => owner.kind == "ReplicaSet",
                WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => {
                    Some(&owner.uid) == workload.metadata.uid.as_ref()
                }
            })
    }

    fn earliest_start(&self) -> Option<Timestamp> {
        let status = self.status.as_ref()?;
        let containers = status.container_statuses.iter().flatten();
        containers
            .chain(status.init_container_statuses.iter().flatten())
            .filter_map(|container| container.state.as_ref())
            .flat_map(|state| state.running.iter().chain(&state.terminated))
            .filter_map(|start| start.started_at.as_ref())
            .map(|time| time.0)
            // A container that never came to run may carry the epoch.
            .filter(|start| *start > Timestamp::UNIX_EPOCH)
            .min()
    }
}

impl kube::Resource for Pod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Cow::Borrowed("Pod")
    }

    fn group((): &()) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn version((): &()) -> Cow<'_, str> {
        Cow::Borrowed("v1")
    }

    fn plural((): &()) -> Cow<'_, str> {
        Cow::Borrowed("pods")
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
