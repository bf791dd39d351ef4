//! Finds out whether a workload that was restarted in vain refuses the certificate.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use certwright_core::rollout::{
    Held, Pod, Refusal, Revision, Source, SourceName, Unclear, Workload, WorkloadKind,
    WorkloadName, has_failed, refusal,
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

/// When those are looked at again whose Pods don't come up, by the Secret that they read: each for one certificate. However often a
/// Deployment's numbers change meanwhile, nothing is asked before.
#[derive(Debug, Default)]
pub(super) struct Looks(Mutex<HashMap<SourceName, Next>>);

#[derive(Debug)]
struct Next {
    fingerprint: String,
    at: Timestamp,
}

impl Looks {
    /// When the next look is due for this certificate, if there was one.
    pub(super) fn next(&self, secret: &SourceName, held: &Held) -> Option<Timestamp> {
        let looks = self.lock();
        let next = looks.get(secret);
        next.filter(|next| next.fingerprint == held.fingerprint)
            .map(|next| next.at)
    }

    pub(super) fn note(&self, now: Timestamp, secret: &SourceName, held: &Held, at: Timestamp) {
        let mut looks = self.lock();
        // Whoever was well, or gone, before the next look was due.
        looks.retain(|_, next| now.duration_since(next.at) < LATE);
        let fingerprint = held.fingerprint.clone();
        looks.insert(secret.clone(), Next { fingerprint, at });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SourceName, Next>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    secret: &SourceName,
    held: &Held,
    readers: &Readers,
) -> Found {
    let wanted = held.policy.as_ref().is_ok_and(|policy| policy.rolls_back);
    if !wanted || readers.pace.failed.is_none() {
        return Found::default();
    }
    let next = context.looks.next(secret, held);
    // One that is further ahead was noted before a clock was set back.
    if let Some(at) = next.filter(|at| *at > now && at.duration_since(now) <= LATE) {
        return Found {
            refused: None,
            again: Some(at),
        };
    }
    let source = &secret.source;
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
    let again = now.saturating_add(wait).ok();
    if let Some(at) = again {
        context.looks.note(now, secret, held, at);
    }
    Found {
        refused: None,
        again,
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
