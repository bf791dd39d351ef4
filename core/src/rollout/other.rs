//! What workloads of other kinds say, as far as kinds agree on how to say it.
//!
//! Their numbers are those of a Deployment, as most that have the subresource `scale` call them; `observedGeneration` and the
//! conditions are read as kstatus does (sigs.k8s.io/cli-utils, `pkg/kstatus`), `phase` as Argo Rollouts writes it. What a kind
//! doesn't say, or says as something else, counts as not said.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::raw::{Phase, RawCondition, RawSpec, RawStatus, RawTemplate, RawWorkload};
use super::{Health, OtherKind, Progress, Replicas, WorkloadKind, WorkloadName};

/// Reads what is there.
///
/// # Errors
/// When the Pod template is not where it should be, or is none.
pub(super) fn read(kind: &OtherKind, object: &Value) -> Result<RawWorkload, String> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let metadata: ObjectMeta = said(object, "metadata").unwrap_or_default();
    let observed_generation = said::<i64>(status, "observedGeneration")
        .or_else(|| said::<String>(status, "observedGeneration")?.parse().ok())
        .or(metadata.generation);
    Ok(RawWorkload {
        metadata,
        spec: Some(RawSpec {
            replicas: said(spec, "replicas"),
            paused: said(spec, "paused"),
            // One that selects everything would take the Pods of others for its own.
            selector: said::<LabelSelector>(spec, "selector")
                .filter(|selector| *selector != LabelSelector::default()),
            update_strategy: None,
            template: Some(template(kind, object)?),
        }),
        status: Some(RawStatus {
            observed_generation,
            replicas: said(status, "replicas"),
            updated_replicas: said(status, "updatedReplicas"),
            available_replicas: said(status, "availableReplicas"),
            ready_replicas: said(status, "readyReplicas"),
            conditions: said::<Vec<RawCondition>>(status, "conditions"),
            phase: said(status, "phase"),
            ..RawStatus::default()
        }),
    })
}

fn said<T: DeserializeOwned>(object: &Value, field: &str) -> Option<T> {
    T::deserialize(object.get(field)?).ok()
}

fn template(kind: &OtherKind, object: &Value) -> Result<RawTemplate, String> {
    let path = &kind.template;
    let Some(template) = path.of(object).filter(|template| !template.is_null()) else {
        let whose = lender(object).map(|lender| {
            let (kind, name) = (lender.kind, lender.name);
            format!(" but that of {kind} {name} (workloadRef), and is left alone: give it one of its own")
        });
        let whose = whose.unwrap_or_default();
        return Err(format!("it has no Pod template at {path}{whose}"));
    };
    RawTemplate::deserialize(template)
        .map_err(|problem| format!("the Pod template at {path} can't be read: {problem}"))
}

/// Whose Pod template it has, where that is another workload's (`spec.workloadRef`, as a Rollout of Argo may say).
pub(super) fn lender(object: &Value) -> Option<WorkloadName> {
    let reference = object.get("spec")?.get("workloadRef")?;
    let version: String = said(reference, "apiVersion")?;
    let kind: String = said(reference, "kind")?;
    let kind = WorkloadKind::BUILT_IN
        .into_iter()
        .find(|known| known.as_str() == kind && known.api_version() == version)?;
    Some(WorkloadName {
        kind,
        namespace: said(object.get("metadata")?, "namespace")?,
        name: said(reference, "name")?,
    })
}

/// How many Pods there are to be, and are.
pub(super) fn replicas(spec: &RawSpec, status: &RawStatus) -> Replicas {
    let desired = spec.replicas.or(status.replicas).unwrap_or(1);
    // Argo leaves out what is zero. It also keeps Pods of the one before for a while, and says itself when that matters.
    let complete = status.phase.is_some() && (spec.replicas.is_some() || status.replicas.is_some());
    let total = status.replicas.filter(|_| !complete).unwrap_or(desired);
    let not_said = if complete { 0 } else { total };
    Replicas {
        desired,
        total,
        updated: status.updated_replicas.unwrap_or(not_said),
        available: status
            .available_replicas
            .or(status.ready_replicas)
            .unwrap_or(not_said),
    }
}

/// What it says of its health besides its numbers.
pub(super) fn word(status: &RawStatus) -> Health {
    match status.phase {
        Some(Phase::Healthy | Phase::Paused) => return Health::Healthy,
        Some(Phase::Progressing) => return Health::RollingOut,
        Some(Phase::Degraded) => return Health::Unavailable,
        None => {}
    }
    let is = |type_| status.condition(type_);
    if is("Reconciling") == Some(true) {
        Health::RollingOut
    } else if is("Stalled") == Some(true)
        || is("Available") == Some(false)
        || is("Ready") == Some(false)
    {
        Health::Unavailable
    } else {
        Health::Healthy
    }
}

/// How the last change of its Pod template goes.
pub(super) fn progress(status: &RawStatus) -> Progress {
    let is_late = status.progress() == Some("ProgressDeadlineExceeded");
    match status.phase {
        Some(Phase::Healthy) => Progress::Complete,
        Some(Phase::Degraded) => Progress::Stuck,
        _ if is_late || status.condition("Stalled") == Some(true) => Progress::Stuck,
        _ => Progress::Unknown,
    }
}
