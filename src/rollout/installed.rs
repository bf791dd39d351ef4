//! Kinds of workload that may not be there: they come with other people's software, before us, after us, or never.

use std::time::Duration;

use certwright_core::rollout::{Object, WorkloadKind};
use futures::{Stream, StreamExt as _, stream};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::time::sleep;

use super::Surroundings;
use super::context::Context;
use super::kinds::Watched;
use crate::cluster::watched::watched;
use crate::cluster::{call, refusal, watch_failed};
use crate::error::CallError;

/// How often it is asked again for what is not there.
const AGAIN: Duration = Duration::from_secs(15);

/// Comes back once it is known how the API server calls workloads of a kind. Until then there are none.
pub(super) async fn found<S: Surroundings>(context: &Context<S>, of_kind: &Watched) {
    let kind = &of_kind.kind;
    while of_kind.resource().is_none() {
        match plural(&context.client, kind).await {
            Ok(Some(plural)) => return of_kind.found(&plural),
            Ok(None) => tracing::debug!(%kind, "Kind is not installed"),
            Err(problem) => tracing::warn!(%kind, %problem, "Failed to look for kind"),
        }
        context.index().list_begins(kind);
        let touched = context.index().list_ends(kind);
        context.touched(&touched);
        sleep(AGAIN).await;
    }
}

/// How the API server calls a kind; `None` if it knows none of that name in namespaces.
async fn plural(client: &Client, kind: &WorkloadKind) -> Result<Option<String>, CallError> {
    let version = kind.api_version();
    let resources = match call(client.list_api_group_resources(&version)).await {
        Ok(list) => list.resources,
        Err(problem) if problem.code() == Some(404) => return Ok(None),
        Err(problem) => return Err(problem),
    };
    let found = resources.into_iter().find(|resource| {
        resource.kind == kind.as_str() && resource.namespaced && !resource.name.contains('/')
    });
    Ok(found.map(|resource| resource.name))
}

/// Watches as [`watched`] does. While the API server doesn't know the kind, or has never let us list it, that is a list
/// without objects, so that nobody waits for it, and it is asked again after a while.
pub(super) fn watched_if_installed(
    api: Api<Object>,
    config: watcher::Config,
    kind: &WorkloadKind,
) -> impl Stream<Item = watcher::Result<Event<Object>>> + Send {
    let begin = move || watched(api.clone(), config.clone()).boxed();
    let state = (begin(), begin, false, kind.clone());
    stream::unfold(state, async |(mut events, begin, mut listed, kind)| {
        let event = match events.next().await? {
            Err(problem) if is_missing(&problem, listed) => {
                if refusal(&problem) == Some(404) {
                    tracing::debug!(%kind, "Kind is not installed");
                } else {
                    watch_failed(kind.as_str(), &problem);
                }
                let again = begin.clone();
                let later = stream::once(sleep(AGAIN)).flat_map(move |()| again());
                events = stream::iter([Ok(Event::InitDone)]).chain(later).boxed();
                Ok(Event::Init)
            }
            event => {
                listed |= matches!(event, Ok(Event::InitDone));
                event
            }
        };
        Some((event, (events, begin, listed, kind)))
    })
}

/// Whether a watch failed since there is nothing to watch.
fn is_missing(problem: &watcher::Error, listed: bool) -> bool {
    match refusal(problem) {
        Some(404) => true,
        Some(403) => !listed,
        _ => false,
    }
}
