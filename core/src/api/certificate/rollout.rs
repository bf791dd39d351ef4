//! How workloads get a new certificate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the workloads that read the Secret get a new certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// What is done to the Deployments, StatefulSets and DaemonSets that read the Secret: `Restart` (default) replaces their Pods as `kubectl rollout restart` does, once for each new certificate; `None` leaves them alone, for software that reloads by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RolloutStrategy>,
}

/// What is done to workloads that read the Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutStrategy {
    /// Their Pods are replaced, as `kubectl rollout restart` does.
    #[default]
    Restart,
    /// Nothing.
    None,
}

/// How far the held certificate has been carried into the workloads that read it.
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
    /// The others by name, at most twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<WaitingWorkload>,
}

/// A workload that does not run with the held certificate yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitingWorkload {
    /// `Deployment`, `StatefulSet` or `DaemonSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Why it doesn't run with the certificate yet.
    pub reason: String,
}
