//! How far a certificate has been carried, and whether it is served.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far the held certificate has been carried into the workloads that read it, and whether it is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The fingerprint of the certificate that is being carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// How many workloads read the Secret.
    pub dependents: i32,
    /// How many of them run with this certificate, as far as their own marks say.
    pub up_to_date: i32,
    /// How many of them were seen to serve it.
    #[serde(default)]
    pub served: i32,
    /// How many endpoints were seen to serve another one in its place.
    #[serde(default)]
    pub stale_endpoints: i32,
    /// Which workload refuses this certificate, where `spec.rollout.rollBack` is `Enabled` and one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedStatus>,
    /// The workloads, at most twenty: first those that need somebody, last those that serve the certificate. Left out are those of which nothing is wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<WorkloadStatus>,
    /// The hosts of Ingresses that name the Secret, at most twenty, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostStatus>,
}

/// A workload that can't do with the certificate: nothing but the certificate is new, and its process ends, or doesn't get ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusedStatus {
    /// The fingerprint of the certificate that is refused.
    pub fingerprint: String,
    /// The workload's kind.
    pub kind: String,
    /// The workload's name.
    pub name: String,
    /// How it refuses it.
    pub message: String,
    /// Since when that is known.
    pub since: Time,
}

/// Where a workload stands with the held certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadStatus {
    /// `Deployment`, `StatefulSet` or `DaemonSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `Waiting` for something; `Rolling`: its Pods are being replaced or called; `Healthy`: it runs with the certificate, and was not seen to serve it yet; `Served`: all its ready Pods were seen to serve it; `Stale`: one was seen to serve another one; `Halted`: it did not come up with it in time, or is held back since another one did not.
    pub state: WorkloadState,
    /// Why, in a word, where the state doesn't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was seen, where that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when it is in this state.
    pub since: Time,
}

/// A workload's state, those that need somebody first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum WorkloadState {
    /// It did not come up in time, or is held back since another one did not.
    Halted,
    /// It was seen to serve another certificate.
    Stale,
    /// Its Pods are being replaced or called.
    Rolling,
    /// It waits for something.
    Waiting,
    /// It runs with the certificate, and was not seen to serve it yet.
    Healthy,
    /// All its ready Pods were seen to serve it.
    Served,
}

/// Whether an Ingress's host serves the held certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// The host.
    pub host: String,
    /// The Ingress that names it.
    pub ingress: String,
    /// `Served`, `Stale` or `Unknown`: not reached, or not asked yet.
    pub state: HostState,
    /// What was seen, where that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when it is in this state.
    pub since: Time,
}

/// A host's state, those that need somebody first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum HostState {
    /// It was seen to serve another certificate.
    Stale,
    /// It was not reached, or not asked yet.
    Unknown,
    /// It was seen to serve the certificate.
    Served,
}
