//! The Ingresses, which name hosts that are to show Secrets' certificates.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::rollout::{Ingress, Ingresses, SourceName};
use futures::StreamExt;
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use tokio_util::sync::CancellationToken;

use super::Surroundings;
use super::context::Context;
use crate::cluster::scope::merged;
use crate::cluster::watched::watched;
use crate::cluster::{is_forbidden, watch_failed};

/// The Ingresses as the watch last showed them.
pub(super) struct KnownIngresses {
    store: Store<Ingress>,
    index: Mutex<Ingresses>,
    listed: AtomicBool,
}

impl KnownIngresses {
    /// None, which are to be `watched`, or never will be.
    pub(super) fn new(watched: bool) -> (Self, Writer<Ingress>) {
        let (store, writer) = reflector::store();
        let known = Self {
            store,
            index: Mutex::default(),
            listed: AtomicBool::new(!watched),
        };
        (known, writer)
    }

    /// Whether all were listed at least once, or can't be: before, what is not found may still be there.
    pub(super) fn are_listed(&self) -> bool {
        self.listed.load(Ordering::Acquire)
    }

    /// Those that name a Secret.
    pub(super) fn of(&self, secret: &SourceName) -> Vec<Arc<Ingress>> {
        let index = self.index();
        let named = index.of(secret).filter_map(|name| {
            let ingress = ObjectRef::new(name).within(&secret.namespace);
            self.store.get(&ingress)
        });
        named.collect()
    }

    fn index(&self) -> MutexGuard<'_, Ingresses> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the watch shows, once the store has it.
    fn heard(&self, event: &Event<Ingress>) -> BTreeSet<SourceName> {
        let mut index = self.index();
        match event {
            Event::Init => {
                index.list_begins();
                BTreeSet::new()
            }
            Event::InitApply(ingress) | Event::Apply(ingress) => index.applied(ingress),
            Event::InitDone => {
                self.listed.store(true, Ordering::Release);
                index.list_ends()
            }
            Event::Delete(ingress) => index.deleted(ingress),
        }
    }
}

/// Follows all Ingresses until `stop`, and has the Certificates looked at whose Ingresses came, changed or went.
pub(super) async fn follow<S: Surroundings>(
    context: &Context<S>,
    writer: Writer<Ingress>,
    stop: &CancellationToken,
) {
    if context.probing.is_none() {
        return;
    }
    let client = || context.client.clone();
    let apis = context.scope.apis(
        || Api::all(client()),
        |namespace| Api::namespaced(client(), namespace),
    );
    let watches = apis
        .into_iter()
        .map(|ingresses: Api<Ingress>| watched(ingresses, watcher::Config::default()).boxed());
    let events = merged(watches.collect(), writer.as_reader())
        .reflect(writer)
        .take_until(stop.cancelled());
    let mut events = pin!(events);
    let mut touched = BTreeSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                touched.append(&mut context.ingresses.heard(&event));
                // The store has what was listed only once the list has ended.
                if !matches!(event, Event::Init | Event::InitApply(_)) {
                    context.touched(&std::mem::take(&mut touched));
                }
            }
            Err(problem) => {
                // Who may not read them tells nothing of hosts, and everything else all the same.
                if is_forbidden(&problem) {
                    context.ingresses.listed.store(true, Ordering::Release);
                }
                watch_failed("Ingresses", &problem);
            }
        }
    }
}
