//! How far a certificate has been carried into its dependents, for its Certificate's status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::pace::{Restart, is_held_back, restart};
use super::plan::is_up_to_date;
use super::{Dependent, Health, Held, Hold, Pace, Turn, UpdateStrategy, Workload};
use crate::api::certificate::{RolloutStatus, RolloutStrategy, WaitingWorkload};
use crate::api::{Certificate, Condition, ConditionStatus, Group};

/// The type of the condition that tells whether all dependents run with the held certificate.
pub const ROLLED_OUT: &str = "RolledOut";

/// The reason of [`ROLLED_OUT`] where a workload that was restarted is not well, and so no other is.
pub const HALTED: &str = "Halted";

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
            Self::Halted => HALTED,
            Self::NextWave => "NextWave",
            Self::Window(_) => "Window",
            Self::Busy => "Busy",
            Self::Calling => "Calling",
            Self::Misconfigured => "Misconfigured",
            Self::Unreadable => "Unreadable",
        }
    }

    /// Whether it goes on without anyone's help.
    fn passes(self) -> bool {
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

/// Says where `workload` stands with the certificate held in `secret`, if it is or is not its `turn`.
pub fn standing(
    now: Timestamp,
    group: &Group,
    workload: &Workload,
    secret: &str,
    held: &Held,
    turn: Turn,
) -> Standing {
    if workload.problem.is_some() {
        return Standing::Unreadable;
    }
    if is_up_to_date(group, workload, secret, &held.fingerprint) {
        if is_held_back(group, workload, secret, &held.fingerprint) {
            return match workload.update {
                UpdateStrategy::OnDelete => Standing::OnDelete,
                _ => Standing::Partition,
            };
        }
        return match restart(now, group, workload, secret, held) {
            None => Standing::UpToDate,
            Some(Restart::UnderWay) => Standing::RollingOut,
            Some(Restart::Failed) => Standing::Unavailable,
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

/// What a Certificate's status says of its dependents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// `status.rollout`.
    pub status: RolloutStatus,
    /// The condition [`ROLLED_OUT`].
    pub condition: Condition,
}

/// Says how far the certificate held in a Certificate's Secret has been carried into its `dependents`, of which `pace` tells
/// how they are taken up, and `full` whether as many are under way in the cluster as may be.
///
/// `None` if none of them is to be given it: there is nothing to tell then. Nothing is said of whether the
/// Pods serve it: the marks and the workloads' own status are what is judged.
pub fn carried<'a>(
    now: Timestamp,
    group: &Group,
    certificate: &Certificate,
    held: &Held,
    dependents: impl IntoIterator<Item = Dependent<'a>>,
    (pace, full): (&Pace, bool),
) -> Option<Carried> {
    let secret = &certificate.spec.secret_name;
    let stands = |Dependent { workload, begun }| {
        let turn = if begun {
            Turn::Now
        } else {
            pace.turn(now, group, workload, held, full)
        };
        let standing = standing(now, group, workload, secret, held, turn);
        (workload, standing)
    };
    let mut dependents: Vec<(&Workload, Standing)> = dependents
        .into_iter()
        .filter(|dependent| !dependent.workload.deleting())
        .map(stands)
        .collect();
    dependents.sort_by_key(|(workload, _)| (workload.kind, workload.name()));
    let followed = dependents.iter().any(|(workload, _)| {
        let choice = held.choice(group, workload);
        !matches!(choice, Ok(choice) if choice.strategy == RolloutStrategy::None)
    });
    followed.then(|| Carried {
        status: rollout_status(held, &dependents),
        condition: condition(now, certificate, &dependents, pace),
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
    pace: &Pace,
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
    } else if pace.failed.is_some() {
        (ConditionStatus::False, HALTED)
    } else if waiting.iter().all(|(_, standing)| standing.passes()) {
        (ConditionStatus::False, "RollingOut")
    } else {
        (ConditionStatus::False, "Waiting")
    };
    let mut message = format!("{done} of {all} workloads run with the held certificate");
    if let Some(failed) = &pace.failed {
        message.push_str(&format!(
            "; no other is taken up, since the Pods of {} {} did not come up in time",
            failed.kind.as_str(),
            failed.name
        ));
    }
    let told: Vec<String> = waiting
        .iter()
        .take(TOLD)
        .map(|(workload, standing)| {
            let (kind, name, reason) = (workload.kind.as_str(), workload.name(), standing.as_str());
            match standing {
                Standing::Window(Some(until)) => format!("{kind} {name} ({reason} until {until})"),
                _ => format!("{kind} {name} ({reason})"),
            }
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
