//! Since when a workload's Pods run, and where.

mod container;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{NamespaceResourceScope, SelectorExt as _};
use serde::Deserialize;

use self::container::ContainerStatus;
use super::workload::NONE;
use super::{Workload, WorkloadKind};
use crate::api::certificate::CallPort;

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

/// A Pod that can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callee {
    /// The Pod's name.
    pub pod: String,
    /// Its own address; `None` if it has none of its own: with `hostNetwork`, it is the node's.
    pub address: Option<IpAddr>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The TCP ports of its containers, and what they call them.
    ports: Vec<(Option<String>, u16)>,
}

impl Callee {
    /// Those of `pods`, which may be others' too, that belong to `workload` and are ready.
    pub fn of<'a>(
        workload: &Workload,
        pods: impl IntoIterator<Item = &'a Pod>,
    ) -> impl Iterator<Item = Self> {
        pods.into_iter()
            .filter(|pod| pod.is_current() && pod.is_ready())
            .filter(|pod| pod.belongs_to(workload) && pod.is_selected_by(workload))
            .map(Pod::callee)
    }

    /// The number of a port of it; `None` if no container gives it such a name.
    pub fn port(&self, port: &CallPort) -> Option<u16> {
        match port {
            CallPort::Number(number) => Some(*number),
            CallPort::Name(name) => {
                let is_named = |known: &Option<String>| known.as_ref() == Some(name);
                let named = self.ports.iter().find(|(known, _)| is_named(known));
                named.map(|(_, number)| *number)
            }
        }
    }

    /// The TCP ports that its containers name by number, each once.
    pub fn ports(&self) -> BTreeSet<u16> {
        self.ports.iter().map(|(_, number)| *number).collect()
    }
}

/// The parts of a Pod that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pod {
    metadata: ObjectMeta,
    spec: Option<PodSpec>,
    status: Option<PodStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    host_network: Option<bool>,
    containers: Option<Vec<Container>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    ports: Option<Vec<ContainerPort>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerPort {
    name: Option<String>,
    container_port: Option<u16>,
    protocol: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: Option<String>,
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
    conditions: Option<Vec<PodCondition>>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<PodIp>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodCondition {
    #[serde(rename = "type")]
    type_: Option<String>,
    status: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodIp {
    ip: Option<String>,
}

impl Pod {
    pub(super) fn is_current(&self) -> bool {
        let phase = self
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        self.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
    }

    pub(super) fn is_ready(&self) -> bool {
        let conditions = self.status.iter().flat_map(|status| &status.conditions);
        conditions.flatten().any(|condition| {
            condition.type_.as_deref() == Some("Ready")
                && condition.status.as_deref() == Some("True")
        })
    }

    fn callee(&self) -> Callee {
        let spec = self.spec.as_ref();
        let of_host = spec.and_then(|spec| spec.host_network).unwrap_or(false);
        let addresses = self.status.iter().flat_map(|status| &status.pod_ips);
        let containers = spec.and_then(|spec| spec.containers.as_ref());
        let ports = containers.into_iter().flatten();
        let ports = ports.flat_map(|container| container.ports.iter().flatten());
        Callee {
            pod: self.metadata.name.clone().unwrap_or_default(),
            address: addresses
                .flatten()
                .find_map(|address| address.ip.as_ref()?.parse().ok())
                .filter(|_| !of_host),
            ports: ports
                .filter(|port| port.protocol.as_deref().is_none_or(|name| name == "TCP"))
                .filter_map(|port| Some((port.name.clone(), port.container_port?)))
                .collect(),
            labels: self.metadata.labels.clone().unwrap_or_default(),
        }
    }

    /// A selector may match Pods of others too.
    pub(super) fn belongs_to(&self, workload: &Workload) -> bool {
        let owners = self.metadata.owner_references.iter().flatten();
        owners
            .filter(|owner| owner.controller == Some(true))
            .any(|owner| {
                let is_own = Some(&owner.uid) == workload.metadata.uid.as_ref();
                // Without a selector, these would be those of anybody.
                let of_replica_set = owner.kind == "ReplicaSet" && workload.selector.is_some();
                match workload.kind {
                    WorkloadKind::Deployment => of_replica_set,
                    WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => is_own,
                    WorkloadKind::Other(_) => is_own || of_replica_set,
                }
            })
    }

    fn is_selected_by(&self, workload: &Workload) -> bool {
        let labels = self.metadata.labels.as_ref().unwrap_or(&NONE);
        let selector = workload.selector.as_ref();
        selector.is_none_or(|selector| selector.matches(labels))
    }

    fn earliest_start(&self) -> Option<Timestamp> {
        let status = self.status.as_ref()?;
        let containers = status.container_statuses.iter().flatten();
        containers
            .chain(status.init_container_statuses.iter().flatten())
            .filter_map(|container| container.state.as_ref())
            .flat_map(|state| state.starts())
            .min()
    }

    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn label(&self, key: &str) -> Option<&str> {
        let labels = self.metadata.labels.as_ref()?;
        labels.get(key).map(String::as_str)
    }

    /// What is told of its containers, init containers first.
    pub(super) fn containers(&self) -> impl Iterator<Item = &ContainerStatus> {
        let status = self.status.iter();
        status.flat_map(|status| {
            let first = status.init_container_statuses.iter().flatten();
            first.chain(status.container_statuses.iter().flatten())
        })
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
