//! Watches the workloads.

use std::collections::BTreeSet;
use std::pin::pin;

use certwright_core::rollout::{Observed, SecretName};
use futures::StreamExt;
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event};
use tokio_util::sync::CancellationToken;

use super::Surroundings;
use super::context::{Context, Kind, named};
use crate::cluster::scope::merged;
use crate::cluster::watch_failed;
use crate::cluster::watched::watched;

/// Follows all workloads of a kind until `stop`: keeps `writer`'s store and the index up to date, and has each one
/// looked at that came or changed, once the store has it.
pub(super) async fn follow<K: Kind, S: Surroundings>(
    context: &Context<S>,
    writer: Writer<Observed<K>>,
    stop: &CancellationToken,
) {
    let client = || context.client.clone();
    let apis = context.scope.apis(
        || Api::all(client()),
        |namespace| Api::namespaced(client(), namespace),
    );
    let watches = apis
        .into_iter()
        .map(|workloads: Api<Observed<K>>| watched(workloads, watcher::Config::default()).boxed());
    let events = merged(watches.collect(), writer.as_reader())
        .reflect(writer)
        .take_until(stop.cancelled());
    let mut events = pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => heard(context, &event),
            Err(problem) => watch_failed(K::KIND.as_str(), &problem),
        }
    }
}

fn heard<K: Kind, S: Surroundings>(context: &Context<S>, event: &Event<Observed<K>>) {
    let touched = match event {
        Event::Init => {
            context.index().list_begins(K::KIND);
            return;
        }
        Event::InitDone => {
            for observed in context.watched::<K>().store.state() {
                context.wake(&named(&observed));
            }
            context.listed(K::KIND);
            context.index().list_ends(K::KIND)
        }
        Event::InitApply(observed) => applied(context, observed),
        Event::Apply(observed) => {
            context.wake(&named(observed));
            applied(context, observed)
        }
        Event::Delete(observed) => {
            let name = named(observed);
            context.not_skipped(&name);
            context.forget(&name);
            context.backoff.succeeded(&name);
            context.index().deleted(&name)
        }
    };
    context.touched(&touched);
}

fn applied<K: Kind, S: Surroundings>(
    context: &Context<S>,
    observed: &Observed<K>,
) -> BTreeSet<SecretName> {
    if let Some(problem) = &observed.workload.problem {
        tracing::warn!(workload = ?named(observed), problem, "Workload can't be read");
    }
    context.saw(&observed.workload);
    context.index().applied(&observed.workload)
}
