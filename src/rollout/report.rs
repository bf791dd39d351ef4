//! What users are told by Events.

use certwright_core::api::{Certificate, Group};
use certwright_core::rollout::{Misconfigured, STALE, Skip, UpdateStrategy, Workload};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource as _;

use super::Report;

pub(super) fn rolled(workload: &Workload, secrets: &[String]) -> Report {
    let mut note = format!("{}: its Pods are replaced", news(secrets));
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

pub(super) fn called(workload: &Workload, secrets: &[String]) -> Report {
    let note = format!("{}: its Pods were called", news(secrets));
    Report {
        action: "Call",
        ..report(workload, false, "RolledOut", note)
    }
}

pub(super) fn not_called(workload: &Workload, secrets: &[String], why: &str) -> Report {
    let note = format!("{}: {why}; it is tried again", news(secrets));
    Report {
        action: "Call",
        ..report(workload, true, "Calling", note)
    }
}

pub(super) fn misconfigured(
    workload: &Workload,
    problem: &Misconfigured,
    secrets: &[String],
) -> Report {
    let note = format!("{} is not rolled out: {problem}", news(secrets));
    report(workload, true, "Misconfigured", note)
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
    secrets: &[String],
    until: Option<Timestamp>,
) -> Report {
    let why = match why {
        Skip::Paused => "it is paused; `kubectl rollout resume` it",
        Skip::RollingOut => "another change of its Pods is under way",
        Skip::Unavailable => "not all its Pods are available; it is rolled once they are",
    };
    let mut note = format!("{} is not rolled out: {why}", news(secrets));
    if let Some(until) = until {
        note.push_str(&format!(", or at {until} if none is by then"));
    }
    report(workload, true, "RolloutSkipped", note)
}

fn news(secrets: &[String]) -> String {
    format!("New certificate in Secret {}", secrets.join(", "))
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
