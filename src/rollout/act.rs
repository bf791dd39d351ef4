//! Looks after one workload.

use std::sync::Arc;

use certwright_core::api::certificate::{RolloutCall, RolloutStrategy};
use certwright_core::rollout::{
    Callee, Inputs, Marks, Object, Pod, Pods, RolloutPlan, Skip, Source, Workload, WorkloadName,
    apply_body, plan_rollout,
};
use jiff::Timestamp;
use kube::Api;
use kube::runtime::controller::Action;

use super::context::Context;
use super::error::{self, Error};
use super::paced::Begun;
use super::{Report, Surroundings, call, pages, report};
use crate::clock;
use crate::cluster::{self, apply};

/// Does what is to be done to a workload, by at most one write.
///
/// What is done is decided on the workload as last seen or written, and written only if it is still that one: the API server
/// answers with a conflict otherwise. After a failure it is read first, since the watch may be behind.
///
/// # Errors
/// When the API server can't be asked, or refuses; in particular with a conflict when someone else was faster.
pub(super) async fn reconcile<S: Surroundings>(
    observed: &Workload,
    context: &Context<S>,
) -> Result<Action, Error> {
    if !context.foreign.are_listed() {
        // It is looked at again once they are.
        return Ok(Action::await_change());
    }
    let now = context.surroundings.now();
    // Without its turn it is not even read. It is woken when it may be its turn.
    let mut begun = None;
    match plan(now, context, observed, None) {
        RolloutPlan::NeedPods { paced: true } => {
            begun = begin(now, context, observed);
            if begun.is_none() {
                return Ok(Action::await_change());
            }
        }
        RolloutPlan::NeedPods { paced: false }
        | RolloutPlan::Baseline { .. }
        | RolloutPlan::Roll { .. }
        | RolloutPlan::Call { .. } => {}
        nothing_to_write => {
            return Ok(rest(now, context, observed, &nothing_to_write).await);
        }
    }
    if !context.surroundings.may_write() {
        // It is looked at again once this replica leads.
        return Ok(Action::await_change());
    }
    let name = WorkloadName::from(observed);
    let Some(workloads) = api(context, &name) else {
        return Ok(Action::await_change());
    };
    let Some(workload) = newest(context, &workloads, observed).await? else {
        return Ok(Action::await_change());
    };
    let mut decided = plan(now, context, &workload, None);
    let mut callees = Vec::new();
    if matches!(decided, RolloutPlan::NeedPods { .. }) {
        let pods;
        (pods, callees) = read_pods(context, &workload).await?;
        decided = plan(now, context, &workload, Some(pods));
    }
    let needs_turn = matches!(
        decided,
        RolloutPlan::Roll { paced: true, .. } | RolloutPlan::Call { .. }
    );
    if needs_turn && begun.is_none() {
        begun = begin(now, context, &workload);
        if begun.is_none() {
            return Ok(Action::await_change());
        }
    }
    match &decided {
        RolloutPlan::Baseline { marks } => {
            mark(&workloads, context, &workload, marks).await?;
            tracing::debug!(workload = %error::Workload(name), "Noted held certificates on workload");
        }
        RolloutPlan::Roll { marks, sources, .. } => {
            mark(&workloads, context, &workload, marks).await?;
            context.not_skipped(&name);
            context.surroundings.carried(RolloutStrategy::Restart);
            tracing::info!(workload = %error::Workload(name), ?sources, "Rolled out new certificate");
            let report = report::rolled(&workload, &news(context, &workload, sources));
            context.surroundings.publish(report).await;
        }
        RolloutPlan::Call {
            call,
            marks,
            sources,
        } => {
            call_pods(context, &workload, call, callees, sources).await?;
            mark(&workloads, context, &workload, marks).await?;
            context.not_skipped(&name);
            context.surroundings.carried(RolloutStrategy::Call);
            tracing::info!(workload = %error::Workload(name), ?sources, "Called Pods for new certificate");
            let report = report::called(&workload, &news(context, &workload, sources));
            context.surroundings.publish(report).await;
        }
        nothing_to_write => return Ok(rest(now, context, &workload, nothing_to_write).await),
    }
    drop(begun);
    Ok(Action::await_change())
}

/// What is asked to read and write a workload; `None` if nobody knows yet.
fn api<S: Surroundings>(context: &Context<S>, name: &WorkloadName) -> Option<Api<Object>> {
    let resource = context.watched(&name.kind)?.resource()?;
    let client = context.client.clone();
    Some(Api::namespaced_with(client, &name.namespace, resource))
}

/// A workload as last seen or written, or as it is now; `None` if it has gone.
async fn newest<S: Surroundings>(
    context: &Context<S>,
    workloads: &Api<Object>,
    observed: &Workload,
) -> Result<Option<Arc<Workload>>, Error> {
    let name = WorkloadName::from(observed);
    if context.backoff.failures(&name) == 0 {
        return Ok(Some(context.newest(observed)));
    }
    let live = cluster::call(workloads.get_opt(&name.name))
        .await
        .map_err(|source| Error::ReadWorkload {
            workload: error::Workload(name.clone()),
            source,
        })?;
    Ok(live.map(|object| Arc::new(object.workload(&name.kind))))
}

/// Calls all of a workload's Pods. If one doesn't say yes, that is told once.
async fn call_pods<S: Surroundings>(
    context: &Context<S>,
    workload: &Workload,
    call: &RolloutCall,
    callees: Vec<Callee>,
    sources: &[Source],
) -> Result<(), Error> {
    let Err(problem) = call::call_all(&context.allowed, call, callees).await else {
        return Ok(());
    };
    let (name, why) = (WorkloadName::from(workload), format!("{problem:#}"));
    let report = report::not_called(workload, &news(context, workload, sources), &why);
    if context.is_news(name.clone(), &report.note) {
        context.surroundings.publish(report).await;
    }
    let workload = error::Workload(name);
    Err(Error::CallPods { workload, why })
}

fn begin<'c, S: Surroundings>(
    now: Timestamp,
    context: &'c Context<S>,
    workload: &Workload,
) -> Option<Begun<'c, S>> {
    // Who doesn't lead takes nothing up.
    let leads = context.surroundings.may_write();
    leads.then(|| context.begin(now, workload, &context.held(workload)))?
}

/// What is to be done to a workload, as far as these Pods tell.
pub(super) fn plan<S: Surroundings>(
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
        RolloutPlan::Misconfigured { problem, sources } => {
            let report =
                report::misconfigured(workload, problem, &news(context, workload, sources));
            tell_once(context, name, report).await;
        }
        RolloutPlan::Nothing if workload.lender.is_some() => {
            if let Some(report) = report::borrows(workload, &context.borrowed(&name)) {
                tell_once(context, name, report).await;
            }
        }
        RolloutPlan::Skip {
            why,
            sources,
            until,
        } => {
            // What is under way passes; the rest stays until someone does something.
            let lasts = matches!(why, Skip::Paused | Skip::Unavailable);
            if lasts && !sources.is_empty() {
                let report =
                    report::skipped(workload, *why, &news(context, workload, sources), *until);
                tell_once(context, name, report).await;
            }
            if let Some(until) = until {
                return at(now, *until);
            }
        }
        _ => context.not_skipped(&name),
    }
    Action::await_change()
}

/// Tells of a workload what was not told of it yet, while this replica leads.
async fn tell_once<S: Surroundings>(context: &Context<S>, name: WorkloadName, report: Report) {
    if context.surroundings.may_write() && context.is_news(name, &report.note) {
        context.surroundings.publish(report).await;
    }
}

/// What is new for a workload.
fn news<S: Surroundings>(context: &Context<S>, workload: &Workload, sources: &[Source]) -> String {
    report::news(sources, &context.held(workload))
}

/// Looks again at a moment.
fn at(now: Timestamp, moment: Timestamp) -> Action {
    Action::requeue(clock::wait(now, moment))
}

async fn read_pods<S: Surroundings>(
    context: &Context<S>,
    workload: &Workload,
) -> Result<(Pods, Vec<Callee>), Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), workload.namespace());
    let (mut pods, mut callees) = (Pods::default(), Vec::new());
    pages::each(workload, &api, |page| {
        pods = pods.and(Pods::of(workload, &page));
        callees.extend(Callee::of(workload, &page));
    })
    .await?;
    Ok((pods, callees))
}

async fn mark<S: Surroundings>(
    workloads: &Api<Object>,
    context: &Context<S>,
    workload: &Workload,
    marks: &Marks,
) -> Result<(), Error> {
    let body = apply_body(workload, marks);
    let marked = apply::marks(workloads, &context.group, workload.name(), &body)
        .await
        .map_err(|source| Error::MarkWorkload {
            workload: error::Workload(WorkloadName::from(workload)),
            source,
        })?;
    context.wrote(Arc::new(marked.workload(&workload.kind)));
    Ok(())
}
