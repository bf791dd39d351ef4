//! What users are told by Events.

use std::collections::BTreeMap;

use certwright_core::api::{Certificate, Group};
use certwright_core::rollout::{
    Foreign, HALTED, Held, Misconfigured, STALE, Skip, Source, UpdateStrategy, Workload,
    WorkloadKind, WorkloadName,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource as _;

use super::Report;

pub(super) fn rolled(workload: &Workload, news: &str) -> Report {
    let mut note = format!("{news}: its Pods are replaced");
    match workload.update {
        UpdateStrategy::OnDelete => note.push_str(" as they are deleted (updateStrategy OnDelete)"),
        UpdateStrategy::From { partition } => {
            note.push_str(&format!(
                ", but the first {partition} (updateStrategy rollingUpdate.partition)"
            ));
        }
        UpdateStrategy::All | UpdateStrategy::Nodes { .. } => {}
    }
    report(workload, false, "RolledOut", note)
}

pub(super) fn called(workload: &Workload, news: &str) -> Report {
    let note = format!("{news}: its Pods were called");
    Report {
        action: "Call",
        ..report(workload, false, "RolledOut", note)
    }
}

pub(super) fn not_called(workload: &Workload, news: &str, why: &str) -> Report {
    let note = format!("{news}: {why}; it is tried again");
    Report {
        action: "Call",
        ..report(workload, true, "Calling", note)
    }
}

pub(super) fn misconfigured(workload: &Workload, problem: &Misconfigured, news: &str) -> Report {
    let note = format!("{news} is not rolled out: {problem}");
    report(workload, true, "Misconfigured", note)
}

/// It reads what is held by the Pod template of another workload, if anything.
pub(super) fn borrows(workload: &Workload, held: &BTreeMap<Source, Held>) -> Option<Report> {
    let problem = workload.problem.as_ref().filter(|_| !held.is_empty())?;
    let sources: Vec<Source> = held.keys().cloned().collect();
    let note = format!("{} is not rolled out: {problem}", news(&sources, held));
    Some(report(workload, true, "Misconfigured", note))
}

/// What a Certificate's condition says that somebody should look at: its rollout has come to a halt, or another certificate is
/// served.
pub(super) fn of_certificate(
    group: &Group,
    certificate: &Certificate,
    reason: &'static str,
    message: &str,
) -> Report {
    Report {
        about: ObjectReference {
            resource_version: certificate.metadata.resource_version.clone(),
            ..certificate.object_ref(group)
        },
        warning: true,
        reason,
        action: if reason == STALE { "Probe" } else { "Restart" },
        note: message.to_owned(),
    }
}

pub(super) fn skipped(
    workload: &Workload,
    why: Skip,
    news: &str,
    until: Option<Timestamp>,
) -> Report {
    let why = match why {
        Skip::Paused => match workload.kind {
            WorkloadKind::Other(_) => "it is paused, by its spec or by itself; let it go on",
            _ => "it is paused; `kubectl rollout resume` it",
        },
        Skip::RollingOut => "another change of its Pods is under way",
        Skip::Unavailable => "not all its Pods are available; it is rolled once they are",
    };
    let mut note = format!("{news} is not rolled out: {why}");
    if let Some(until) = until {
        note.push_str(&format!(", or at {until} if none is by then"));
    }
    report(workload, true, "RolloutSkipped", note)
}

/// What is new in these, of which `held` says whether they are ours.
pub(super) fn news(sources: &[Source], held: &BTreeMap<Source, Held>) -> String {
    let is_ours = |source: &&Source| {
        let held = held.get(*source);
        held.is_none_or(|held| held.certificate.is_some())
    };
    let (ours, others): (Vec<_>, Vec<_>) = sources.iter().partition(is_ours);
    let ours: Vec<&str> = ours.iter().map(|source| source.name.as_str()).collect();
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    match (ours.join(", "), others.join(", ")) {
        (ours, others) if others.is_empty() => format!("New certificate in Secret {ours}"),
        (ours, others) if ours.is_empty() => format!("New data in {others}"),
        (ours, others) => format!("New certificate in Secret {ours}, new data in {others}"),
    }
}

/// What somebody wrote on a Secret or ConfigMap can't be read.
pub(super) fn unread(foreign: &Foreign, problem: &Misconfigured) -> Report {
    let note = format!("Nothing is done to its readers: {problem}");
    about_foreign(foreign, "Misconfigured", note)
}

/// The rollout of what a Secret or ConfigMap holds has come to a halt.
pub(super) fn halted_by(foreign: &Foreign, failed: &WorkloadName) -> Report {
    let note = format!(
        "No other reader is taken up, since the Pods of {} {} did not come up in time",
        failed.kind.as_str(),
        failed.name
    );
    about_foreign(foreign, HALTED, note)
}

fn about_foreign(foreign: &Foreign, reason: &'static str, note: String) -> Report {
    Report {
        about: ObjectReference {
            resource_version: foreign.metadata.resource_version.clone(),
            ..foreign.object_ref(&foreign.kind)
        },
        warning: true,
        reason,
        action: "Restart",
        note,
    }
}

fn report(workload: &Workload, warning: bool, reason: &'static str, note: String) -> Report {
    Report {
        about: ObjectReference {
            api_version: Some(workload.kind.api_version()),
            kind: Some(workload.kind.as_str().to_owned()),
            name: Some(workload.name().to_owned()),
            namespace: Some(workload.namespace().to_owned()),
            resource_version: workload.metadata.resource_version.clone(),
            uid: workload.metadata.uid.clone(),
            ..ObjectReference::default()
        },
        warning,
        reason,
        action: "Restart",
        note,
    }
}
