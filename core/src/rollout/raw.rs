//! The parts of a workload that are read, as they come from the API server.
//!
//! All of it is optional: a field that is missing or `null` is no reason to lose the object.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;

use super::Source;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawWorkload {
    pub(super) metadata: ObjectMeta,
    pub(super) spec: Option<RawSpec>,
    pub(super) status: Option<RawStatus>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawSpec {
    pub(super) replicas: Option<i32>,
    pub(super) paused: Option<bool>,
    pub(super) selector: Option<LabelSelector>,
    pub(super) update_strategy: Option<RawUpdateStrategy>,
    pub(super) template: Option<RawTemplate>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawUpdateStrategy {
    #[serde(rename = "type")]
    pub(super) type_: Option<String>,
    pub(super) rolling_update: Option<RawRollingUpdate>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawRollingUpdate {
    pub(super) partition: Option<i32>,
    pub(super) max_unavailable: Option<IntOrString>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawTemplate {
    pub(super) metadata: Option<RawTemplateMeta>,
    pub(super) spec: Option<RawPodSpec>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawTemplateMeta {
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawStatus {
    pub(super) observed_generation: Option<i64>,
    pub(super) replicas: Option<i32>,
    pub(super) updated_replicas: Option<i32>,
    pub(super) available_replicas: Option<i32>,
    pub(super) ready_replicas: Option<i32>,
    pub(super) desired_number_scheduled: Option<i32>,
    pub(super) current_number_scheduled: Option<i32>,
    pub(super) updated_number_scheduled: Option<i32>,
    pub(super) number_available: Option<i32>,
    pub(super) current_revision: Option<String>,
    pub(super) update_revision: Option<String>,
    pub(super) conditions: Option<Vec<RawCondition>>,
    /// Read of other kinds only: a field of that name may be anything.
    #[serde(skip)]
    pub(super) phase: Option<Phase>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawCondition {
    #[serde(rename = "type")]
    type_: Option<String>,
    status: Option<String>,
    reason: Option<String>,
}

/// How a Rollout of Argo sums up its state (`status.phase`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Phase {
    Healthy,
    Progressing,
    Paused,
    Degraded,
}

impl RawStatus {
    /// Whether a condition is `True`, `False` or neither.
    pub(super) fn condition(&self, type_: &str) -> Option<bool> {
        let mut conditions = self.conditions.iter().flatten();
        let condition = conditions.find(|condition| condition.type_.as_deref() == Some(type_))?;
        match condition.status.as_deref()? {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        }
    }

    /// Why a Deployment's last change goes on, has ended or hangs.
    pub(super) fn progress(&self) -> Option<&str> {
        let conditions = self.conditions.iter().flatten();
        conditions
            .filter(|condition| condition.type_.as_deref() == Some("Progressing"))
            .find_map(|condition| condition.reason.as_deref())
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawPodSpec {
    volumes: Option<Vec<RawVolume>>,
    containers: Option<Vec<RawContainer>>,
    init_containers: Option<Vec<RawContainer>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawVolume {
    secret: Option<RawSecretVolume>,
    config_map: Option<RawReference>,
    projected: Option<RawProjected>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawSecretVolume {
    secret_name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawProjected {
    sources: Option<Vec<RawProjectedSource>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawProjectedSource {
    secret: Option<RawReference>,
    config_map: Option<RawReference>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawContainer {
    env: Option<Vec<RawEnv>>,
    env_from: Option<Vec<RawEnvFrom>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawEnv {
    value_from: Option<RawEnvSource>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawEnvSource {
    secret_key_ref: Option<RawReference>,
    config_map_key_ref: Option<RawReference>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawEnvFrom {
    secret_ref: Option<RawReference>,
    config_map_ref: Option<RawReference>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawReference {
    name: Option<String>,
}

impl RawPodSpec {
    /// The Secrets and ConfigMaps whose content reaches the Pods' containers, optional ones included.
    ///
    /// Not `imagePullSecrets` and a CSI volume's `nodePublishSecretRef`: kubelet and driver read those, the
    /// containers never do.
    pub(super) fn reads(self) -> BTreeSet<Source> {
        let mounted = all(self.volumes).flat_map(RawVolume::reads);
        let in_environment = all(self.containers)
            .chain(all(self.init_containers))
            .flat_map(RawContainer::reads);
        mounted
            .chain(in_environment)
            .filter(|source| !source.name.is_empty())
            .collect()
    }
}

impl RawVolume {
    fn reads(self) -> impl Iterator<Item = Source> {
        let secret = self.secret.and_then(|secret| secret.secret_name);
        let secret = secret.map(Source::secret);
        let projected = self.projected.and_then(|projected| projected.sources);
        let projected = all(projected).flat_map(|source| either(source.secret, source.config_map));
        secret
            .into_iter()
            .chain(either(None, self.config_map))
            .chain(projected)
    }
}

impl RawContainer {
    fn reads(self) -> impl Iterator<Item = Source> {
        let single = all(self.env)
            .filter_map(|env| env.value_from)
            .flat_map(|from| either(from.secret_key_ref, from.config_map_key_ref));
        let whole =
            all(self.env_from).flat_map(|from| either(from.secret_ref, from.config_map_ref));
        single.chain(whole)
    }
}

fn either(
    secret: Option<RawReference>,
    config_map: Option<RawReference>,
) -> impl Iterator<Item = Source> {
    let name = |reference: RawReference| reference.name;
    let secret = secret.and_then(name).map(Source::secret);
    let config_map = config_map.and_then(name).map(Source::config_map);
    secret.into_iter().chain(config_map)
}

fn all<T>(list: Option<Vec<T>>) -> impl Iterator<Item = T> {
    list.into_iter().flatten()
}
