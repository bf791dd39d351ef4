//! Watches the workloads.

use std::collections::BTreeSet;
use std::pin::pin;

use certwright_core::rollout::{Object, SourceName, Workload, WorkloadKind, WorkloadName};
use futures::{StreamExt, TryStreamExt};
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event};
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::kinds::Watched;
use super::{Surroundings, error, installed};
use crate::cluster::scope::merged;
use crate::cluster::watched::watched;
use crate::cluster::{mapped, watch_failed};

/// How many workloads are listed at a time: each is held whole until it has been reduced to a [`Workload`].
const PAGE: u32 = 100;

/// Follows all workloads of a kind until `stop`: keeps `writer`'s store and the index up to date, and has each one
/// looked at that came or changed, once the store has it.
pub(super) async fn follow<S: Surroundings>(
    context: &Context<S>,
    of_kind: &Watched,
    writer: Writer<Workload>,
    stop: &CancellationToken,
) {
    let found = installed::found(context, of_kind);
    let found = stop.run_until_cancelled(found).await;
    let (Some(()), Some(resource)) = (found, of_kind.resource()) else {
        return;
    };
    let client = || context.client.clone();
    let apis = context.scope.apis(
        || Api::all_with(client(), resource),
        |namespace| Api::namespaced_with(client(), namespace, resource),
    );
    let config = || watcher::Config::default().page_size(PAGE);
    let kind = &of_kind.kind;
    let watches = apis.into_iter().map(|workloads: Api<Object>| {
        let events = match kind {
            WorkloadKind::Other(_) => {
                installed::watched_if_installed(workloads, config(), kind).boxed()
            }
            _ => watched(workloads, config()).boxed(),
        };
        let reduced = |event| mapped(event, |object: Object| object.workload(kind));
        events.map_ok(reduced).boxed()
    });
    let events = merged(watches.collect(), writer.as_reader())
        .reflect(writer)
        .take_until(stop.cancelled());
    let mut events = pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => heard(context, of_kind, &event),
            Err(problem) => watch_failed(kind.as_str(), &problem),
        }
    }
}

fn heard<S: Surroundings>(context: &Context<S>, of_kind: &Watched, event: &Event<Workload>) {
    let kind = &of_kind.kind;
    let touched = match event {
        Event::Init => {
            context.index().list_begins(kind);
            return;
        }
        Event::InitDone => {
            of_kind.wake_all();
            context.listed(kind);
            context.index().list_ends(kind)
        }
        Event::InitApply(workload) => applied(context, workload),
        Event::Apply(workload) => {
            context.wake(&WorkloadName::from(workload));
            applied(context, workload)
        }
        Event::Delete(workload) => {
            let name = WorkloadName::from(workload);
            context.not_skipped(&name);
            context.forget(&name);
            context.backoff.succeeded(&name);
            context.index().deleted(&name)
        }
    };
    context.touched(&touched);
}

fn applied<S: Surroundings>(context: &Context<S>, workload: &Workload) -> BTreeSet<SourceName> {
    if let Some(problem) = &workload.problem {
        let workload = error::Workload(WorkloadName::from(workload));
        tracing::warn!(%workload, problem, "Workload can't be read");
    }
    context.saw(workload);
    context.index().applied(workload)
}
