//! Watches the workloads.

use std::sync::Arc;

use certwright_core::rollout::Observed;
use futures::{Stream, StreamExt};
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event, watcher};

use super::Surroundings;
use super::context::{Context, Kind, named};

/// All workloads of a kind, as they are and whenever they change, with `writer`'s store and the index kept up to date.
pub(super) fn watch<K: Kind, S: Surroundings>(
    context: Arc<Context<S>>,
    writer: Writer<Observed<K>>,
) -> impl Stream<Item = Result<Observed<K>, watcher::Error>> + Send + 'static {
    let workloads: Api<Observed<K>> = Api::all(context.client.clone());
    watcher(workloads, watcher::Config::default())
        .reflect(writer)
        .inspect(move |event| {
            if let Ok(event) = event {
                follow(&context, event);
            }
        })
        .applied_objects()
}

fn follow<K: Kind, S: Surroundings>(context: &Context<S>, event: &Event<Observed<K>>) {
    let touched = match event {
        Event::Init => {
            context.index().list_begins(K::KIND);
            return;
        }
        Event::InitDone => context.index().list_ends(K::KIND),
        Event::InitApply(observed) | Event::Apply(observed) => {
            if let Some(problem) = &observed.workload.problem {
                tracing::warn!(workload = ?named(observed), problem, "Workload can't be read");
            }
            context.index().applied(&observed.workload)
        }
        Event::Delete(observed) => {
            let name = named(observed);
            context.not_skipped(&name);
            context.backoff.succeeded(&name);
            context.index().deleted(&name)
        }
    };
    context.touched(&touched);
}
