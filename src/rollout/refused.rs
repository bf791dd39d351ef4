//! Finds out whether a workload that was restarted in vain refuses the certificate.

use certwright_core::rollout::{
    Held, Pod, Refusal, Revision, Source, Unclear, Workload, WorkloadKind, WorkloadName,
    has_failed, refusal,
};
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use serde_json::json;

use super::context::Context;
use super::error::{self, Error};
use super::paced::Readers;
use super::{Surroundings, pages};

/// So many of those that failed are looked at.
const LOOKED_AT: usize = 5;
/// How soon to look again at the earliest, and at the latest.
const SOON: SignedDuration = SignedDuration::from_secs(15);
const LATE: SignedDuration = SignedDuration::from_mins(10);

/// What became of a look.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Who refuses the certificate, and how.
    pub(super) refused: Option<(WorkloadName, String)>,
    /// When to look again, where some failed and that can't be said of them yet: containers have to end more than once.
    pub(super) again: Option<Timestamp>,
}

/// Looks at those of the `readers` of a Certificate's Secret that were restarted for what it holds and did not come up, where roll
/// back is wanted: two calls for each, one for its Pods and one for what they were made from. Where the API server can't be asked, they
/// are looked at again later: how they stand is told all the same.
pub(super) async fn look<S: Surroundings>(
    now: Timestamp,
    context: &Context<S>,
    source: &Source,
    held: &Held,
    readers: &Readers,
) -> Found {
    let wanted = held.policy.as_ref().is_ok_and(|policy| policy.rolls_back);
    if !wanted || readers.pace.failed.is_none() {
        return Found::default();
    }
    let failed = readers
        .workloads()
        .filter(|workload| has_failed(now, &context.group, workload, source, held))
        .take(LOOKED_AT);
    for workload in failed {
        let name = WorkloadName::from(&**workload);
        match judge(context, workload, (source, &held.fingerprint)).await {
            Ok(Ok(refusal)) => {
                tracing::info!(workload = %error::Workload(name.clone()), how = %refusal, "Workload refuses the certificate");
                return Found {
                    refused: Some((name, refusal.to_string())),
                    again: None,
                };
            }
            Ok(Err(why)) => {
                tracing::debug!(workload = %error::Workload(name), %why, "Workload failed for another reason, or that is not clear yet");
            }
            Err(problem) => {
                let cause = problem.cause();
                tracing::warn!(workload = %error::Workload(name), %problem, cause, "Could not find out why a workload failed");
            }
        }
    }
    let since = held.issued_at.map_or(SOON, |at| now.duration_since(at));
    let wait = (since / 4).clamp(SOON, LATE);
    Found {
        refused: None,
        again: now.saturating_add(wait).ok(),
    }
}

async fn judge<S: Surroundings>(
    context: &Context<S>,
    workload: &Workload,
    certificate: (&Source, &str),
) -> Result<Result<Refusal, Unclear>, Error> {
    let Some(kind) = revisions(&workload.kind) else {
        // Nobody knows where others keep theirs.
        return Ok(refusal(&context.group, workload, certificate, &[], []));
    };
    let kept: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), workload.namespace(), &kind);
    let kept = pages::all(workload, &kept).await?;
    let revisions: Vec<Revision> = kept
        .iter()
        .filter_map(|object| Revision::of(workload, &json!(object)))
        .collect();
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), workload.namespace());
    let pods = pages::all(workload, &pods).await?;
    Ok(refusal(
        &context.group,
        workload,
        certificate,
        &revisions,
        &pods,
    ))
}

/// In what a workload's controller keeps the templates of its Pods.
fn revisions(kind: &WorkloadKind) -> Option<ApiResource> {
    let (kind, plural) = match kind {
        WorkloadKind::Deployment => ("ReplicaSet", "replicasets"),
        WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => {
            ("ControllerRevision", "controllerrevisions")
        }
        WorkloadKind::Other(_) => return None,
    };
    Some(ApiResource {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        api_version: "apps/v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    })
}
