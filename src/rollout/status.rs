//! Tells a Certificate how far it has been carried.

use std::sync::Arc;
use std::time::Duration;

use certwright_core::api::{Certificate, Condition, ConditionStatus, condition};
use certwright_core::rollout::{
    Carried, Dependent, HALTED, Held, Proven, ROLLED_OUT, RolloutPlan, SERVED, STALE, Source, Turn,
    Workload, WorkloadName, carried, is_due, status_body,
};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};

use super::context::Context;
use super::error::Error;
use super::paced::Readers;
use super::{Report, Surroundings, act, refused, report};
use crate::clock;
use crate::cluster::apply;

/// How long changes are gathered before they are told: several dependents that move together cost one write.
pub(super) const GATHER: Duration = Duration::from_secs(1);

/// How soon to look again while not all workloads were listed.
pub(super) const UNLISTED: Duration = Duration::from_secs(1);

/// Writes `status.rollout` and the condition `RolledOut`, if what they say has changed.
///
/// # Errors
/// When the API server refuses, in particular with a conflict when the Certificate has changed meanwhile.
pub(super) async fn reconcile<S: Surroundings>(
    certificate: Arc<Certificate>,
    context: &Context<S>,
) -> Result<Action, Error> {
    let namespace = certificate.namespace().unwrap_or_default();
    let name = certificate.name_any();
    // What the rest of us wrote since counts: on anything older, this write would be a conflict.
    let newest = context.surroundings.certificate(&namespace, &name);
    let certificate = &*newest.unwrap_or(certificate);
    if certificate.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    if !context.index().is_complete() || !context.ingresses.are_listed() {
        return Ok(Action::requeue(UNLISTED));
    }
    let Some((secret, held)) = context.secret_of(certificate) else {
        return Ok(Action::await_change());
    };
    let now = context.surroundings.now();
    let readers = context.readers(now, &secret, &held);
    let found = if context.surroundings.may_write() && !is_told_refused(certificate, &held) {
        refused::look(now, context, &secret, &held, &readers).await
    } else {
        refused::Found::default()
    };
    let again = take_up(now, context, &secret.source, &held, &readers, found.again);
    // Somebody may serve it by now.
    context.wake_proof(certificate);
    let by = (&readers.pace, readers.full);
    let proven = Proven {
        refused: found.refused,
        ..context.proven(&secret, &held, &readers)
    };
    let carried = carried(
        now,
        &context.group,
        certificate,
        &held,
        readers.iter(),
        by,
        &proven,
    );
    let Some(body) = status_body(&context.group, certificate, carried.as_ref()) else {
        return Ok(again);
    };
    if !context.surroundings.may_write() {
        // It is looked at again once this replica leads.
        return Ok(Action::await_change());
    }
    let certificates: Api<Certificate> =
        Api::namespaced_with(context.client.clone(), &namespace, &context.group);
    let written = apply::rollout_status(&certificates, &context.group, &name, &body)
        .await
        .map_err(|source| Error::WriteStatus {
            name: format!("{namespace}/{name}"),
            source,
        })?;
    let news = carried
        .as_ref()
        .map(|carried| news(context, certificate, carried));
    let told = told_served(certificate, &held);
    if carried.is_some_and(|carried| is_served(&carried.conditions))
        && context.proofs().all_serve(&secret, &held.fingerprint)
        && !told
        && let Some(issued_at) = held.issued_at
    {
        let after = now.duration_since(issued_at);
        context.surroundings.served(after.max(SignedDuration::ZERO));
    }
    let refused = is_told_refused(&written, &held);
    context.surroundings.wrote(written);
    if refused {
        context.surroundings.refused(&namespace, &name);
    }
    for report in news.into_iter().flatten() {
        context.surroundings.publish(report).await;
    }
    Ok(again)
}

/// What somebody should look at, and was not told yet.
fn news<S>(context: &Context<S>, certificate: &Certificate, carried: &Carried) -> Vec<Report> {
    let is = |conditions: &[Condition], type_: &str, reason: &str| {
        condition::find(conditions, type_).is_some_and(|condition| condition.reason == reason)
    };
    let told = certificate.status.as_ref();
    let told = told.map_or(&[][..], |status| &status.conditions);
    let bad = [(ROLLED_OUT, HALTED), (SERVED, STALE)].into_iter();
    let new = bad.filter(|(type_, reason)| {
        is(&carried.conditions, type_, reason) && !is(told, type_, reason)
    });
    new.filter_map(|(type_, reason)| {
        let message = &condition::find(&carried.conditions, type_)?.message;
        Some(report::of_certificate(
            &context.group,
            certificate,
            reason,
            message,
        ))
    })
    .collect()
}

/// Whether a Certificate says that a workload refuses what it holds.
fn is_told_refused(certificate: &Certificate, held: &Held) -> bool {
    let rollout = certificate
        .status
        .as_ref()
        .and_then(|status| status.rollout.as_ref());
    let refused = rollout.and_then(|rollout| rollout.refused.as_ref());
    refused.is_some_and(|refused| refused.fingerprint == held.fingerprint)
}

/// Whether it was told already that all serve the certificate.
fn told_served(certificate: &Certificate, held: &Held) -> bool {
    certificate.status.as_ref().is_some_and(|status| {
        let rollout = status.rollout.as_ref();
        let of = rollout.and_then(|rollout| rollout.fingerprint.as_ref());
        of == Some(&held.fingerprint) && is_served(&status.conditions)
    })
}

fn is_served(conditions: &[Condition]) -> bool {
    let served = condition::find(conditions, SERVED);
    served.is_some_and(|condition| condition.status == ConditionStatus::True)
}

/// Has those workloads looked at whose turn it is, as many as may be taken up, and says when it may be another's, or `again` if
/// that is earlier.
///
/// Those that failed are left to their own next try.
pub(super) fn take_up<S: Surroundings>(
    now: Timestamp,
    context: &Context<S>,
    source: &Source,
    held: &Held,
    readers: &Readers,
    again: Option<Timestamp>,
) -> Action {
    context.fill(now);
    let pace = &readers.pace;
    let room = pace.room(held);
    let mut ready = Vec::new();
    let mut moments = Vec::from_iter(pace.fails_at.into_iter().chain(again));
    for Dependent { workload, begun } in readers.iter() {
        if begun || !is_due(&context.group, workload, source, held) {
            continue;
        }
        // Whether there is room in the cluster it asks itself, and waits for it.
        match pace.turn(now, &context.group, workload, held, false) {
            Turn::Now if ready.len() < room && is_ready(now, context, workload) => {
                ready.push(WorkloadName::from(workload));
            }
            Turn::Now => {}
            Turn::Later { until, .. } => moments.extend(until),
        }
    }
    for name in &ready {
        context.wake(name);
    }
    match moments.into_iter().min() {
        Some(moment) => Action::requeue(clock::wait(now, moment)),
        None => Action::await_change(),
    }
}

/// Whether nothing but its turn has to come.
fn is_ready<S: Surroundings>(now: Timestamp, context: &Context<S>, workload: &Workload) -> bool {
    let failed = context.backoff.failures(&WorkloadName::from(workload)) > 0;
    let due = || {
        matches!(
            act::plan(now, context, workload, None),
            RolloutPlan::NeedPods { .. }
        )
    };
    !failed && due() && context.may_begin(now, workload)
}
