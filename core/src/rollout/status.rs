//! How far a certificate has been carried into its dependents, for its Certificate's status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::plan::{is_up_to_date, strategy};
use super::{Health, Held, UpdateStrategy, Workload, mark_key};
use crate::api::certificate::{RolloutStatus, RolloutStrategy, WaitingWorkload};
use crate::api::{Certificate, Condition, ConditionStatus, Group};

/// The type of the condition that tells whether all dependents run with the held certificate.
pub const ROLLED_OUT: &str = "RolledOut";

/// How many workloads `status.rollout.waiting` names.
const NAMED: usize = 20;
/// How many workloads the condition's message names.
const TOLD: usize = 3;

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
    /// Its Deployment is paused.
    Paused,
    /// Another change of its Pods is still under way.
    RollingOut,
    /// Not all its Pods are available.
    Unavailable,
    /// It could not be read.
    Unreadable,
}

impl Standing {
    /// One word, for `status.rollout.waiting[].reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "UpToDate",
            Self::OptedOut => "OptedOut",
            Self::OnDelete => "OnDelete",
            Self::Partition => "Partition",
            Self::Pending => "Pending",
            Self::Paused => "Paused",
            Self::RollingOut => "RollingOut",
            Self::Unavailable => "Unavailable",
            Self::Unreadable => "Unreadable",
        }
    }

    /// Whether it goes on without anyone's help.
    fn passes(self) -> bool {
        matches!(
            self,
            Self::UpToDate | Self::OptedOut | Self::Pending | Self::RollingOut
        )
    }
}

/// Says where `workload` stands with the certificate held in `secret`.
pub fn standing(group: &Group, workload: &Workload, secret: &str, held: &Held) -> Standing {
    if workload.problem.is_some() {
        return Standing::Unreadable;
    }
    if is_up_to_date(group, workload, secret, &held.fingerprint) {
        return held_back(group, workload, secret, held).unwrap_or(Standing::UpToDate);
    }
    if strategy(group, workload, held.strategy) == RolloutStrategy::None {
        return Standing::OptedOut;
    }
    match workload.health() {
        Health::Healthy => Standing::Pending,
        Health::Paused => Standing::Paused,
        Health::RollingOut => Standing::RollingOut,
        Health::Unavailable => Standing::Unavailable,
    }
}

/// A template that was marked, and whose Pods its update strategy leaves as they are.
///
/// A later change of the template by its owner looks the same; it is told the same way, since those Pods wait too.
fn held_back(group: &Group, workload: &Workload, secret: &str, held: &Held) -> Option<Standing> {
    let standing = match workload.update {
        UpdateStrategy::OnDelete => Standing::OnDelete,
        UpdateStrategy::From { .. } => Standing::Partition,
        UpdateStrategy::All | UpdateStrategy::Nodes { .. } => return None,
    };
    let mark = workload.template_annotations.get(&mark_key(group, secret));
    let marked = mark.is_some_and(|mark| *mark == held.fingerprint);
    (marked && workload.replicas.updated < workload.replicas.desired).then_some(standing)
}

/// What a Certificate's status says of its dependents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// `status.rollout`.
    pub status: RolloutStatus,
    /// The condition [`ROLLED_OUT`].
    pub condition: Condition,
}

/// Says how far the certificate held in a Certificate's Secret has been carried into its `dependents`.
///
/// `None` if none of them is to be restarted for it: there is nothing to tell then. Nothing is said of whether the
/// Pods serve it: the marks are what is judged.
pub fn carried<'a>(
    now: Timestamp,
    group: &Group,
    certificate: &Certificate,
    held: &Held,
    dependents: impl IntoIterator<Item = &'a Workload>,
) -> Option<Carried> {
    let secret = &certificate.spec.secret_name;
    let mut dependents: Vec<(&Workload, Standing)> = dependents
        .into_iter()
        .filter(|workload| !workload.deleting())
        .map(|workload| (workload, standing(group, workload, secret, held)))
        .collect();
    dependents.sort_by_key(|(workload, _)| (workload.kind, workload.name()));
    let followed = dependents
        .iter()
        .any(|(workload, _)| strategy(group, workload, held.strategy) == RolloutStrategy::Restart);
    followed.then(|| Carried {
        status: rollout_status(held, &dependents),
        condition: condition(now, certificate, &dependents),
    })
}

fn rollout_status(held: &Held, dependents: &[(&Workload, Standing)]) -> RolloutStatus {
    RolloutStatus {
        fingerprint: Some(held.fingerprint.clone()),
        dependents: count(dependents, |_| true),
        up_to_date: count(dependents, |standing| standing == Standing::UpToDate),
        waiting: dependents
            .iter()
            .filter(|(_, standing)| *standing != Standing::UpToDate)
            .take(NAMED)
            .map(|(workload, standing)| WaitingWorkload {
                kind: workload.kind.as_str().to_owned(),
                name: workload.name().to_owned(),
                reason: standing.as_str().to_owned(),
            })
            .collect(),
    }
}

fn condition(
    now: Timestamp,
    certificate: &Certificate,
    dependents: &[(&Workload, Standing)],
) -> Condition {
    let opted_out = count(dependents, |standing| standing == Standing::OptedOut);
    let waiting: Vec<&(&Workload, Standing)> = dependents
        .iter()
        .filter(|(_, standing)| !matches!(standing, Standing::UpToDate | Standing::OptedOut))
        .collect();
    let done = count(dependents, |standing| standing == Standing::UpToDate);
    let all = count(dependents, |standing| standing != Standing::OptedOut);
    let (status, reason) = if waiting.is_empty() {
        (ConditionStatus::True, "RolledOut")
    } else if waiting.iter().all(|(_, standing)| standing.passes()) {
        (ConditionStatus::False, "RollingOut")
    } else {
        (ConditionStatus::False, "Waiting")
    };
    let mut message = format!("{done} of {all} workloads run with the held certificate");
    let told: Vec<String> = waiting
        .iter()
        .take(TOLD)
        .map(|(workload, standing)| {
            format!(
                "{} {} ({})",
                workload.kind.as_str(),
                workload.name(),
                standing.as_str()
            )
        })
        .collect();
    if !told.is_empty() {
        let more = if waiting.len() > TOLD { ", …" } else { "" };
        message.push_str(&format!("; waiting: {}{more}", told.join(", ")));
    }
    if opted_out > 0 {
        message.push_str(&format!("; {opted_out} opted out"));
    }
    Condition {
        type_: ROLLED_OUT.to_owned(),
        status,
        observed_generation: certificate.metadata.generation,
        last_transition_time: Time(since(now, certificate, status)),
        reason: reason.to_owned(),
        message,
    }
}

fn count(dependents: &[(&Workload, Standing)], which: impl Fn(Standing) -> bool) -> i32 {
    let number = dependents
        .iter()
        .filter(|(_, standing)| which(*standing))
        .count();
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Since when the condition has this status: as told before, if it had it before.
fn since(now: Timestamp, certificate: &Certificate, status: ConditionStatus) -> Timestamp {
    told_condition(certificate)
        .filter(|told| told.status == status)
        .map_or(now, |told| told.last_transition_time.0)
}

fn told_condition(certificate: &Certificate) -> Option<&Condition> {
    let conditions = &certificate.status.as_ref()?.conditions;
    conditions
        .iter()
        .find(|condition| condition.type_ == ROLLED_OUT)
}

/// The server-side apply, on the status subresource and under the rollout manager, that makes a Certificate say
/// `carried`; `None` if it already does.
///
/// Where there is nothing to tell, what was told before goes. It carries uid and resourceVersion, so a late one is
/// a conflict (409).
pub fn status_body(
    group: &Group,
    certificate: &Certificate,
    carried: Option<&Carried>,
) -> Option<Value> {
    let told_rollout = certificate
        .status
        .as_ref()
        .and_then(|status| status.rollout.as_ref());
    let told_condition = told_condition(certificate);
    let same = told_rollout == carried.map(|carried| &carried.status)
        && told_condition == carried.map(|carried| &carried.condition);
    if same {
        return None;
    }
    let status = match carried {
        Some(Carried { status, condition }) => {
            json!({ "rollout": status, "conditions": [condition] })
        }
        None => json!({}),
    };
    Some(json!({
        "apiVersion": group.api_version(),
        "kind": "Certificate",
        "metadata": {
            "name": certificate.metadata.name,
            "namespace": certificate.metadata.namespace,
            "uid": certificate.metadata.uid,
            "resourceVersion": certificate.metadata.resource_version,
        },
        "status": status,
    }))
}
