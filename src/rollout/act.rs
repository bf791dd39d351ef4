//! Looks after one workload.

use certwright_core::rollout::{
    Inputs, Marks, Observed, Pod, Pods, RolloutPlan, Skip, UpdateStrategy, Workload, WorkloadKind,
    WorkloadName, apply_body, plan_rollout,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Api;
use kube::api::ListParams;
use kube::runtime::controller::Action;

use super::context::{Context, Kind, named};
use super::error::{self, Error};
use super::{Report, Surroundings};
use crate::clock;
use crate::cluster::{apply, call};

/// How many Pods are read at a time, and how often.
const PAGE: u32 = 500;
const PAGES: u32 = 40;

/// Does what is to be done to a workload, by at most one write.
///
/// What the watch knows decides only whether there is something to do. What is done is decided on the workload as it
/// is then read, and written only if it is still that one.
///
/// # Errors
/// When the API server can't be asked, or refuses; in particular with a conflict when someone else was faster.
pub(super) async fn reconcile<K: Kind, S: Surroundings>(
    observed: &Observed<K>,
    context: &Context<S>,
) -> Result<Action, Error> {
    let now = context.surroundings.now();
    match plan(now, context, &observed.workload, None) {
        RolloutPlan::NeedPods | RolloutPlan::Baseline { .. } | RolloutPlan::Roll { .. } => {}
        nothing_to_write => {
            return Ok(rest(now, context, &observed.workload, &nothing_to_write).await);
        }
    }
    if !context.surroundings.may_write() {
        // It is looked at again once this replica leads.
        return Ok(Action::await_change());
    }
    let name = named(observed);
    let workloads: Api<Observed<K>> = Api::namespaced(context.client.clone(), &name.namespace);
    let live = call(workloads.get_opt(&name.name))
        .await
        .map_err(|source| Error::ReadWorkload {
            workload: error::Workload(name.clone()),
            source,
        })?;
    let Some(Observed { workload, .. }) = live else {
        return Ok(Action::await_change());
    };
    let mut decided = plan(now, context, &workload, None);
    if decided == RolloutPlan::NeedPods {
        let pods = read_pods(context, &workload).await?;
        decided = plan(now, context, &workload, Some(pods));
    }
    match &decided {
        RolloutPlan::Baseline { marks } => {
            mark(&workloads, context, &workload, marks).await?;
            tracing::debug!(workload = %error::Workload(name), "Noted held certificates on workload");
        }
        RolloutPlan::Roll { marks, secrets } => {
            mark(&workloads, context, &workload, marks).await?;
            context.not_skipped(&name);
            tracing::info!(workload = %error::Workload(name), ?secrets, "Rolled out new certificate");
            context
                .surroundings
                .publish(rolled(&workload, secrets))
                .await;
        }
        nothing_to_write => return Ok(rest(now, context, &workload, nothing_to_write).await),
    }
    Ok(Action::await_change())
}

fn plan<S: Surroundings>(
    now: Timestamp,
    context: &Context<S>,
    workload: &Workload,
    pods: Option<Pods>,
) -> RolloutPlan {
    plan_rollout(
        now,
        &Inputs {
            group: &context.group,
            workload,
            held: &context.held(workload),
            pods,
        },
    )
}

/// Nothing is to be written: says so where that is news, and when to look again.
async fn rest<S: Surroundings>(
    now: Timestamp,
    context: &Context<S>,
    workload: &Workload,
    plan: &RolloutPlan,
) -> Action {
    let name = WorkloadName::from(workload);
    match plan {
        RolloutPlan::Wait { until, .. } => return at(now, *until),
        RolloutPlan::Skip {
            why,
            secrets,
            until,
        } => {
            // What is under way passes; the rest stays until someone does something.
            let lasts = matches!(why, Skip::Paused | Skip::Unavailable);
            if lasts && !secrets.is_empty() && context.surroundings.may_write() {
                let report = skipped(workload, *why, secrets, *until);
                if context.is_news(name, &report.note) {
                    context.surroundings.publish(report).await;
                }
            }
            if let Some(until) = until {
                return at(now, *until);
            }
        }
        _ => context.not_skipped(&name),
    }
    Action::await_change()
}

/// Looks again at a moment.
fn at(now: Timestamp, moment: Timestamp) -> Action {
    Action::requeue(clock::wait(now, moment))
}

async fn read_pods<S: Surroundings>(
    context: &Context<S>,
    workload: &Workload,
) -> Result<Pods, Error> {
    let named = || error::Workload(WorkloadName::from(workload));
    let api: Api<Pod> = Api::namespaced(context.client.clone(), workload.namespace());
    let mut page = ListParams::default().labels(&workload.selector).limit(PAGE);
    let mut pods = Pods::default();
    for _ in 0..PAGES {
        let list = call(api.list(&page))
            .await
            .map_err(|source| Error::ListPods {
                workload: named(),
                source,
            })?;
        pods = pods.and(Pods::of(workload, &list.items));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(pods),
        }
    }
    Err(Error::TooManyPods {
        workload: named(),
        most: PAGE * PAGES,
    })
}

async fn mark<K: Kind, S: Surroundings>(
    workloads: &Api<Observed<K>>,
    context: &Context<S>,
    workload: &Workload,
    marks: &Marks,
) -> Result<(), Error> {
    let body = apply_body(workload, marks);
    apply::marks(workloads, &context.group, workload.name(), &body)
        .await
        .map_err(|source| Error::MarkWorkload {
            workload: error::Workload(WorkloadName::from(workload)),
            source,
        })
}

fn rolled(workload: &Workload, secrets: &[String]) -> Report {
    let mut note = format!(
        "New certificate in Secret {}: its Pods are replaced",
        secrets.join(", ")
    );
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

fn skipped(workload: &Workload, why: Skip, secrets: &[String], until: Option<Timestamp>) -> Report {
    let why = match why {
        Skip::Paused => "it is paused; `kubectl rollout resume` it",
        Skip::RollingOut => "another change of its Pods is under way",
        Skip::Unavailable => "not all its Pods are available; it is rolled once they are",
    };
    let mut note = format!(
        "New certificate in Secret {} is not rolled out: {why}",
        secrets.join(", ")
    );
    if let Some(until) = until {
        note.push_str(&format!(", or at {until} if none is by then"));
    }
    report(workload, true, "RolloutSkipped", note)
}

fn report(workload: &Workload, warning: bool, reason: &'static str, note: String) -> Report {
    Report {
        about: ObjectReference {
            api_version: Some(WorkloadKind::API_VERSION.to_owned()),
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
