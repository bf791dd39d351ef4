//! How far a certificate has been carried into its dependents, and whether it is served, for its Certificate's status.

mod rolled_out;
mod served;
mod standing;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::{Dependent, Held, Outcome, Pace, Source, Turn, Verdict, Workload, WorkloadName};
use crate::api::certificate::{
    HostState, HostStatus, ProbePolicy, RefusedStatus, RolloutStatus, RolloutStrategy,
    WorkloadState, WorkloadStatus,
};
use crate::api::{Certificate, Condition, ConditionStatus, Group};

pub use standing::{Standing, standing};

/// The type of the condition that tells whether all dependents run with the held certificate.
pub const ROLLED_OUT: &str = "RolledOut";

/// The type of the condition that tells whether all dependents were seen to serve the held certificate.
pub const SERVED: &str = "Served";

/// The reason of [`ROLLED_OUT`] where a workload that was restarted is not well, and so no other is.
pub const HALTED: &str = "Halted";

/// The reason of [`SERVED`] where another certificate is served.
pub const STALE: &str = "Stale";

/// The reason where a server leaves out what leads to the CA.
const INCOMPLETE: &str = "IncompleteChain";

/// How many workloads, and how many hosts, `status.rollout` names.
const NAMED: usize = 20;
/// How many of them a condition's message names.
const TOLD: usize = 3;
/// How long what was seen may be told, in bytes.
const SEEN: usize = 512;

/// What a Certificate's status says of its dependents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// `status.rollout`.
    pub status: RolloutStatus,
    /// The conditions [`ROLLED_OUT`], where there are workloads, and [`SERVED`], where something is to be seen.
    pub conditions: Vec<Condition>,
}

/// What was found out about what is served; what is not among it was not looked at yet.
#[derive(Clone, Debug, Default)]
pub struct Proven {
    /// Of workloads.
    pub workloads: BTreeMap<WorkloadName, Verdict>,
    /// Of hosts that Ingresses name with the Secret.
    pub hosts: Vec<Host>,
    /// A workload that was just found to refuse the certificate, and how.
    pub refused: Option<(WorkloadName, String)>,
}

/// A host that an Ingress names with the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The host.
    pub name: String,
    /// The Ingress.
    pub ingress: String,
    /// What was found out about it.
    pub verdict: Option<Verdict>,
}

/// A dependent as it is told.
struct Told<'a> {
    workload: &'a Workload,
    standing: Standing,
    verdict: Option<&'a Verdict>,
    /// Whether it is looked at what it serves.
    probed: bool,
    /// `None` where nothing is wanted of it.
    status: Option<WorkloadStatus>,
}

/// Says how far the certificate held in a Certificate's Secret has been carried into its `dependents`, of which `pace` tells
/// how they are taken up, and `full` whether as many are under way in the cluster as may be; and whether it is served, as
/// far as `proven` says.
///
/// `None` if none of them is to be given it, and no host is to serve it: there is nothing to tell then. What was seen for this
/// certificate and is not among `proven` is told as before: whoever comes to lead has seen nothing yet.
pub fn carried<'a>(
    now: Timestamp,
    group: &Group,
    certificate: &Certificate,
    held: &Held,
    dependents: impl IntoIterator<Item = Dependent<'a>>,
    (pace, full): (&Pace, bool),
    proven: &Proven,
) -> Option<Carried> {
    let secret = &Source::secret(&certificate.spec.secret_name);
    let before = Before::of(certificate, held);
    let tell = |Dependent { workload, begun }| {
        let turn = if begun {
            Turn::Now
        } else {
            pace.turn(now, group, workload, held, full)
        };
        let standing = standing(now, group, workload, secret, held, turn);
        let verdict = proven.workloads.get(&WorkloadName::from(workload));
        let verdict = verdict.filter(|_| standing == Standing::UpToDate);
        Told {
            workload,
            standing,
            verdict,
            probed: is_probed(group, held, workload),
            status: before.workload(now, workload, standing, verdict),
        }
    };
    let mut dependents: Vec<Told<'_>> = dependents
        .into_iter()
        .filter(|dependent| !dependent.workload.deleting())
        .map(tell)
        .collect();
    dependents.sort_by(|one, other| {
        let key = |told: &Told<'_>| (told.workload.kind.clone(), told.workload.name().to_owned());
        key(one).cmp(&key(other))
    });
    let followed = dependents.iter().any(|told| {
        let choice = held.choice(group, told.workload);
        !matches!(choice, Ok(choice) if choice.strategy == RolloutStrategy::None)
    });
    let mut hosts: Vec<HostStatus> = proven
        .hosts
        .iter()
        .map(|host| before.host(now, host))
        .collect();
    hosts.sort_by_key(|host| host.state);
    if !followed && hosts.is_empty() {
        return None;
    }
    let refused = pace
        .failed
        .as_ref()
        .and_then(|_| before.refused(now, held, proven));
    let rolled_out = followed
        .then(|| rolled_out::condition(now, certificate, &dependents, (pace, refused.as_ref())));
    let served = served::condition(now, certificate, &dependents, &hosts, proven);
    Some(Carried {
        status: RolloutStatus {
            refused,
            ..rollout_status(held, &dependents, hosts, proven)
        },
        conditions: rolled_out.into_iter().chain(served).collect(),
    })
}

fn is_probed(group: &Group, held: &Held, workload: &Workload) -> bool {
    let policy = held.policy.as_ref().ok();
    let probe = policy.and_then(|policy| policy.probe(group, workload).ok());
    !probe.is_some_and(|probe| probe.policy == Some(ProbePolicy::Disabled))
}

/// What was told before of the held certificate.
struct Before<'a>(Option<&'a RolloutStatus>);

impl<'a> Before<'a> {
    fn of(certificate: &'a Certificate, held: &Held) -> Self {
        let status = certificate.status.as_ref();
        let rollout = status.and_then(|status| status.rollout.as_ref());
        Self(rollout.filter(|told| told.fingerprint.as_ref() == Some(&held.fingerprint)))
    }

    fn workload(
        &self,
        now: Timestamp,
        workload: &Workload,
        standing: Standing,
        verdict: Option<&Verdict>,
    ) -> Option<WorkloadStatus> {
        let (kind, name) = (workload.kind.as_str(), workload.name());
        let mut told = self.0.iter().flat_map(|told| &told.workloads);
        let told = told.find(|told| told.kind == kind && told.name == name);
        let standing_state = standing.state()?;
        let seen = |state: WorkloadState| {
            (standing == Standing::UpToDate
                && matches!(state, WorkloadState::Served | WorkloadState::Stale))
            .then_some(state)
        };
        let (state, reason, message) = match verdict {
            Some(verdict) => {
                let message = verdict.message.as_deref().map(cut);
                match verdict.outcome {
                    Outcome::Served => (WorkloadState::Served, None, None),
                    Outcome::Stale => (WorkloadState::Stale, None, message),
                    Outcome::Incomplete => (WorkloadState::Healthy, Some(INCOMPLETE), message),
                    Outcome::Unknown | Outcome::Silent => {
                        (WorkloadState::Healthy, Some("NotSeen"), message)
                    }
                }
            }
            None => match told.and_then(|told| Some((seen(told.state)?, told))) {
                Some((state, told)) => (state, None, told.message.clone()),
                None if standing == Standing::UpToDate => (standing_state, None, None),
                None => (standing_state, Some(standing.as_str()), None),
            },
        };
        let since = told
            .filter(|told| told.state == state)
            .map_or(Time(now), |told| told.since.clone());
        Some(WorkloadStatus {
            kind: kind.to_owned(),
            name: name.to_owned(),
            state,
            reason: reason.map(str::to_owned),
            message,
            since,
        })
    }

    /// Who refuses the certificate: as just found, or as told before.
    fn refused(&self, now: Timestamp, held: &Held, proven: &Proven) -> Option<RefusedStatus> {
        let told = self.0.and_then(|told| told.refused.as_ref());
        let told = told.filter(|told| told.fingerprint == held.fingerprint);
        match (&proven.refused, told) {
            (_, Some(told)) => Some(told.clone()),
            (Some((workload, how)), None) => Some(RefusedStatus {
                fingerprint: held.fingerprint.clone(),
                kind: workload.kind.as_str().to_owned(),
                name: workload.name.clone(),
                message: cut(how),
                since: Time(now),
            }),
            (None, None) => None,
        }
    }

    fn host(&self, now: Timestamp, host: &Host) -> HostStatus {
        let mut told = self.0.iter().flat_map(|told| &told.hosts);
        let told = told.find(|told| told.host == host.name && told.ingress == host.ingress);
        let (state, message) = match (&host.verdict, told) {
            (Some(verdict), _) => {
                let state = match verdict.outcome {
                    // What leads to the CA is told by the condition.
                    Outcome::Served | Outcome::Incomplete => HostState::Served,
                    Outcome::Stale => HostState::Stale,
                    Outcome::Unknown | Outcome::Silent => HostState::Unknown,
                };
                (state, verdict.message.as_deref().map(cut))
            }
            (None, Some(told)) => (told.state, told.message.clone()),
            (None, None) => (HostState::Unknown, None),
        };
        let since = told
            .filter(|told| told.state == state)
            .map_or(Time(now), |told| told.since.clone());
        HostStatus {
            host: host.name.clone(),
            ingress: host.ingress.clone(),
            state,
            message,
            since,
        }
    }
}

fn cut(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(SEEN)];
    if kept.len() < text.len() {
        format!("{kept}…")
    } else {
        kept.to_owned()
    }
}

fn rollout_status(
    held: &Held,
    dependents: &[Told<'_>],
    mut hosts: Vec<HostStatus>,
    proven: &Proven,
) -> RolloutStatus {
    hosts.truncate(NAMED);
    let mut workloads: Vec<WorkloadStatus> = dependents
        .iter()
        .filter_map(|told| told.status.clone())
        .collect();
    workloads.sort_by_key(|told| told.state);
    let served = workloads
        .iter()
        .filter(|told| told.state == WorkloadState::Served)
        .count();
    workloads.truncate(NAMED);
    let verdicts = dependents.iter().filter_map(|told| told.verdict);
    let of_hosts = proven.hosts.iter().filter_map(|host| host.verdict.as_ref());
    let stale = verdicts.chain(of_hosts).map(|verdict| verdict.stale).sum();
    RolloutStatus {
        fingerprint: Some(held.fingerprint.clone()),
        dependents: number(dependents.len()),
        up_to_date: count(dependents, |standing| standing == Standing::UpToDate),
        served: number(served),
        stale_endpoints: number(stale),
        refused: None,
        workloads,
        hosts,
    }
}

fn count(dependents: &[Told<'_>], which: impl Fn(Standing) -> bool) -> i32 {
    number(
        dependents
            .iter()
            .filter(|told| which(told.standing))
            .count(),
    )
}

fn number(of: usize) -> i32 {
    i32::try_from(of).unwrap_or(i32::MAX)
}

/// A condition, since when its status is what it is: as told before, if it had it before.
fn condition(
    now: Timestamp,
    certificate: &Certificate,
    type_: &str,
    (status, reason): (ConditionStatus, &str),
    message: String,
) -> Condition {
    let since = told_condition(certificate, type_)
        .filter(|told| told.status == status)
        .map_or(now, |told| told.last_transition_time.0);
    Condition {
        type_: type_.to_owned(),
        status,
        observed_generation: certificate.metadata.generation,
        last_transition_time: Time(since),
        reason: reason.to_owned(),
        message,
    }
}

fn told_condition<'a>(certificate: &'a Certificate, type_: &str) -> Option<&'a Condition> {
    let conditions = &certificate.status.as_ref()?.conditions;
    conditions.iter().find(|condition| condition.type_ == type_)
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
    let conditions = carried.map_or(&[][..], |carried| &carried.conditions);
    let same_conditions = [ROLLED_OUT, SERVED].iter().all(|type_| {
        let wanted = conditions
            .iter()
            .find(|condition| condition.type_ == *type_);
        told_condition(certificate, type_) == wanted
    });
    if same_conditions && told_rollout == carried.map(|carried| &carried.status) {
        return None;
    }
    let status = match carried {
        Some(Carried { status, conditions }) => {
            json!({ "rollout": status, "conditions": conditions })
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
