//! The condition `Served`.

use jiff::Timestamp;

use super::{INCOMPLETE, Proven, SERVED, STALE, TOLD, Told};
use crate::api::certificate::{HostState, HostStatus, WorkloadState};
use crate::api::{Certificate, Condition, ConditionStatus};
use crate::rollout::Outcome;

/// Whether all that is looked at was seen to serve the held certificate; `None` if nothing is looked at.
///
/// A host that can't be reached says nothing where something else was seen to serve it.
pub(super) fn condition(
    now: Timestamp,
    certificate: &Certificate,
    dependents: &[Told<'_>],
    hosts: &[HostStatus],
    proven: &Proven,
) -> Option<Condition> {
    let workloads: Vec<_> = dependents
        .iter()
        .filter(|told| told.probed)
        .filter_map(|told| told.status.as_ref())
        .collect();
    if workloads.is_empty() && hosts.is_empty() {
        return None;
    }
    let of_workloads = workloads.iter().map(|told| {
        let name = format!("{} {}", told.kind, told.name);
        (name, told.message.as_deref())
    });
    let of_workloads: Vec<_> = of_workloads
        .zip(workloads.iter().map(|told| told.state))
        .collect();
    let of_hosts = hosts.iter().map(|told| {
        let name = format!("host {}", told.host);
        (name, told.message.as_deref())
    });
    let of_hosts: Vec<_> = of_hosts.zip(hosts.iter().map(|told| told.state)).collect();
    let workloads_are = |state| names(of_workloads.iter().filter(move |(_, is)| *is == state));
    let hosts_are = |state| names(of_hosts.iter().filter(move |(_, is)| *is == state));

    let stale: Vec<String> = workloads_are(WorkloadState::Stale)
        .into_iter()
        .chain(hosts_are(HostState::Stale))
        .collect();
    let incomplete = |verdict: &&crate::rollout::Verdict| verdict.outcome == Outcome::Incomplete;
    let incomplete: Vec<String> = dependents
        .iter()
        .filter_map(|told| told.verdict)
        .chain(proven.hosts.iter().filter_map(|host| host.verdict.as_ref()))
        .filter(incomplete)
        .filter_map(|verdict| verdict.message.as_deref().map(super::cut))
        .collect();
    let seen = workloads_are(WorkloadState::Served).len() + hosts_are(HostState::Served).len();
    let not_seen = workloads_are(WorkloadState::Healthy);
    let unreached = hosts_are(HostState::Unknown);
    let under_way = of_workloads.iter().any(|(_, state)| {
        !matches!(
            state,
            WorkloadState::Served | WorkloadState::Stale | WorkloadState::Healthy
        )
    });
    let all = workloads.len() + hosts.len();
    let so_far = format!("{seen} of {all} were seen to serve the held certificate");
    let (verdict, message) = if !stale.is_empty() {
        let remedy = "whoever serves another certificate has not read the Secret again: restart it, or see how it reloads";
        (
            (ConditionStatus::False, STALE),
            format!("{}; {remedy}", list(&stale)),
        )
    } else if !incomplete.is_empty() {
        ((ConditionStatus::False, INCOMPLETE), list(&incomplete))
    } else if under_way {
        ((ConditionStatus::Unknown, "RollingOut"), so_far)
    } else if !not_seen.is_empty() || seen == 0 {
        let silent: Vec<String> = not_seen.into_iter().chain(unreached).collect();
        (
            (ConditionStatus::Unknown, "NotSeen"),
            format!("{so_far}; {}", list(&silent)),
        )
    } else if unreached.is_empty() {
        ((ConditionStatus::True, SERVED), so_far)
    } else {
        (
            (ConditionStatus::True, SERVED),
            format!("{so_far}; {}", list(&unreached)),
        )
    };
    Some(super::condition(now, certificate, SERVED, verdict, message))
}

fn names<'a, S: 'a>(of: impl Iterator<Item = &'a ((String, Option<&'a str>), S)>) -> Vec<String> {
    of.map(|((name, message), _)| match message {
        Some(message) => format!("{name}: {message}"),
        None => name.clone(),
    })
    .collect()
}

fn list(what: &[String]) -> String {
    let more = match what.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!(
        "{}{more}",
        what.iter()
            .take(TOLD)
            .cloned()
            .collect::<Vec<_>>()
            .join("; ")
    )
}
