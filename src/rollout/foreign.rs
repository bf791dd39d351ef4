//! Secrets and ConfigMaps that aren't ours, and whose readers are rolled because somebody labelled them.
//!
//! They have no status: what goes wrong is told by Events. How far they are carried stands on the workloads, as always.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::fmt::Debug;
use std::future::ready;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::api::Group;
use certwright_core::plan::marks::MANAGED;
use certwright_core::rollout::{CHOICE, Foreign, Held, SourceKind, SourceName};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::status::{GATHER, UNLISTED, take_up};
use super::{CONCURRENCY, Notice, Report, Surroundings, report};
use crate::cluster::scope::merged;
use crate::cluster::watched::watched;
use crate::cluster::{is_forbidden, mapped, watch_failed};

/// How many are read at a time: each may be as large as 1 MiB, and only a summary of it is kept.
const PAGE: u32 = 50;

/// Those that are known.
pub(super) struct Foreigners {
    secrets: Known,
    config_maps: Known,
    seen: Mutex<HashMap<SourceName, Seen>>,
    /// What was last told of one: an Event is published once, not at each look.
    told: Mutex<HashMap<SourceName, String>>,
}

/// Those of one kind.
struct Known {
    store: Store<Foreign>,
    /// Unbounded, since each message at once becomes an entry of a queue that holds an object only once.
    wake: UnboundedSender<ObjectRef<Foreign>>,
    /// Whether all were listed at least once, or can't be.
    listed: AtomicBool,
}

/// What the watch has shown of one.
struct Seen {
    fingerprint: String,
    /// When it was seen to become another.
    changed_at: Option<Timestamp>,
}

/// The other ends.
pub(super) struct Sources {
    secrets: Ends,
    pub(super) config_maps: Ends,
}

pub(super) struct Ends {
    kind: SourceKind,
    pub(super) writer: Writer<Foreign>,
    wakes: UnboundedReceiver<ObjectRef<Foreign>>,
}

fn connect(kind: SourceKind) -> (Known, Ends) {
    let writer = Writer::new(kind);
    let (wake, wakes) = unbounded();
    let store = writer.as_reader();
    let ends = Ends {
        kind,
        writer,
        wakes,
    };
    let known = Known {
        store,
        wake,
        listed: AtomicBool::new(false),
    };
    (known, ends)
}

impl Foreigners {
    pub(super) fn new() -> (Self, Sources) {
        let (secrets, secrets_source) = connect(SourceKind::Secret);
        let (config_maps, config_maps_source) = connect(SourceKind::ConfigMap);
        let foreigners = Self {
            secrets,
            config_maps,
            seen: Mutex::default(),
            told: Mutex::default(),
        };
        let sources = Sources {
            secrets: secrets_source,
            config_maps: config_maps_source,
        };
        (foreigners, sources)
    }

    /// What one holds, if its readers are to be given it.
    pub(super) fn held<S: Surroundings>(
        &self,
        group: &Group,
        surroundings: &S,
        name: &SourceName,
    ) -> Option<Held> {
        let foreign = self.of(name.source.kind).store.get(&reference(name))?;
        let wanted = foreign.is_wanted(group).is_ok_and(|wanted| wanted);
        if !wanted || foreign.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let changed_at = self
            .seen()
            .get(name)
            .filter(|seen| seen.fingerprint == foreign.fingerprint)
            .and_then(|seen| seen.changed_at);
        Some(Held {
            certificate: None,
            fingerprint: foreign.fingerprint.clone(),
            issued_at: changed_at.or(foreign.written_at),
            first_seen: changed_at.is_none(),
            not_after: None,
            replaces_refused: None,
            replaces_revoked: false,
            policy: surroundings.policy(&foreign)?,
            issuing: false,
            names: BTreeSet::new(),
            above: Vec::new(),
        })
    }

    /// Whether all were listed at least once, or can't be: before, a workload would be rolled for one, and a moment later for
    /// another that changed meanwhile too.
    pub(super) fn are_listed(&self) -> bool {
        let all = [&self.secrets, &self.config_maps];
        all.iter().all(|known| known.listed.load(Ordering::Acquire))
    }

    /// All of a kind were listed, or can't be. Answers whether that is all that was to be waited for.
    pub(super) fn has_listed(&self, kind: SourceKind) -> bool {
        let before = self.of(kind).listed.swap(true, Ordering::AcqRel);
        !before && self.are_listed()
    }

    /// Has one looked at.
    pub(super) fn wake(&self, name: &SourceName) {
        // It fails only when the controller has stopped.
        let _ = self
            .of(name.source.kind)
            .wake
            .unbounded_send(reference(name));
    }

    /// Has all of these looked at.
    pub(super) fn wake_all(&self, which: impl Fn(&SourceName) -> bool) {
        for known in [&self.secrets, &self.config_maps] {
            let names = known
                .store
                .state()
                .into_iter()
                .map(|foreign| foreign.name());
            names
                .filter(|name| which(name))
                .for_each(|name| self.wake(&name));
        }
    }

    /// The watch shows one; whether it holds something else than before.
    fn saw(&self, now: Timestamp, foreign: &Foreign) -> bool {
        let mut seen = self.seen();
        let before = seen.get(&foreign.name());
        let (changed, changed_at) = match before {
            Some(before) if before.fingerprint == foreign.fingerprint => return false,
            Some(_) => (true, Some(now)),
            None => (false, None),
        };
        let now = Seen {
            fingerprint: foreign.fingerprint.clone(),
            changed_at,
        };
        seen.insert(foreign.name(), now);
        changed
    }

    fn forget(&self, name: &SourceName) {
        self.seen().remove(name);
        self.told().remove(name);
    }

    /// All of a kind were listed: those that were not among them have gone.
    fn listed(&self, kind: SourceKind) {
        let store = &self.of(kind).store;
        let gone =
            |name: &SourceName| name.source.kind == kind && store.get(&reference(name)).is_none();
        self.seen().retain(|name, _| !gone(name));
        self.told().retain(|name, _| !gone(name));
    }

    fn of(&self, kind: SourceKind) -> &Known {
        match kind {
            SourceKind::Secret => &self.secrets,
            SourceKind::ConfigMap => &self.config_maps,
        }
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<SourceName, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, HashMap<SourceName, String>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reference(name: &SourceName) -> ObjectRef<Foreign> {
    let SourceName { namespace, source } = name;
    ObjectRef::new_with(&source.name, source.kind).within(namespace)
}

/// Follows all that are labelled until `stop`, and has their readers given what they hold.
pub(super) async fn follow<S: Surroundings>(
    context: &Arc<Context<S>>,
    sources: Sources,
    stop: &CancellationToken,
) {
    let group = &context.group;
    let secret = |secret: Secret| Foreign::of_secret(group, &secret);
    let config_map = |config_map: ConfigMap| Foreign::of_config_map(group, &config_map);
    futures::join!(
        follow_kind(context, sources.secrets, secret, stop),
        follow_kind(context, sources.config_maps, config_map, stop),
    );
}

async fn follow_kind<K, S: Surroundings>(
    context: &Arc<Context<S>>,
    ends: Ends,
    reduce: impl Fn(K) -> Foreign + Copy + Send,
    stop: &CancellationToken,
) where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let Ends {
        kind,
        writer,
        wakes,
    } = ends;
    let store = writer.as_reader();
    let looked_at = applier(
        |foreign, context| {
            let look = async move { Ok::<_, Infallible>(reconcile::<S>(&foreign, &context).await) };
            look.boxed()
        },
        |_, error, _| match *error {},
        Arc::clone(context),
        store.clone(),
        wakes.take_until(stop.cancelled()).map(Ok::<_, Infallible>),
        Config::default().concurrency(CONCURRENCY).debounce(GATHER),
    );
    let client = || context.client.clone();
    let apis: Vec<Api<K>> = context.scope.apis(
        || Api::all(client()),
        |namespace| Api::namespaced(client(), namespace),
    );
    // What is ours is looked after as ours.
    let labels = format!(
        "{},!{}",
        context.group.key(CHOICE),
        context.group.key(MANAGED)
    );
    let config = watcher::Config::default().labels(&labels).page_size(PAGE);
    // Reduced before anything is kept.
    let watches = apis.into_iter().map(|api| {
        watched(api, config.clone())
            .map_ok(move |event| mapped(event, reduce))
            .boxed()
    });
    let watch = async {
        let events = merged(watches.collect(), store.clone())
            // Before the store has it: nobody is to take what is new for what was there.
            .inspect_ok(|event| note(context, event))
            .reflect(writer)
            .take_until(stop.cancelled());
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => heard(context, kind, &store, &event),
                Err(problem) => {
                    // Who may not read them rolls out everything else all the same.
                    if is_forbidden(&problem) {
                        has_listed(context, kind);
                    }
                    watch_failed(kind.as_str(), &problem);
                }
            }
        }
    };
    futures::join!(watch, looked_at.for_each(|_| ready(())));
}

pub(super) fn note<S: Surroundings>(context: &Context<S>, event: &Event<Foreign>) {
    if let Event::InitApply(foreign) | Event::Apply(foreign) = event
        && context.foreign.saw(context.surroundings.now(), foreign)
    {
        context.surroundings.changed(&foreign.name());
    }
}

fn heard<S: Surroundings>(
    context: &Context<S>,
    kind: SourceKind,
    store: &Store<Foreign>,
    event: &Event<Foreign>,
) {
    match event {
        Event::Init | Event::InitApply(_) => {}
        Event::InitDone => {
            context.foreign.listed(kind);
            for foreign in store.state() {
                changed(context, foreign.name());
            }
            has_listed(context, kind);
        }
        Event::Apply(foreign) => changed(context, foreign.name()),
        Event::Delete(foreign) => {
            context.foreign.forget(&foreign.name());
            context.notice(&Notice::Source(foreign.name()));
        }
    }
}

fn has_listed<S: Surroundings>(context: &Context<S>, kind: SourceKind) {
    if context.foreign.has_listed(kind) {
        context.wake_all();
    }
}

fn changed<S: Surroundings>(context: &Context<S>, name: SourceName) {
    // Also one whose label can't be read, and that nobody is given.
    context.foreign.wake(&name);
    context.notice(&Notice::Source(name));
}

/// Has those of its readers looked at whose turn it is, and tells what keeps the others from it.
pub(super) async fn reconcile<S: Surroundings>(foreign: &Foreign, context: &Context<S>) -> Action {
    let name = foreign.name();
    if let Err(problem) = foreign.is_wanted(&context.group) {
        tell(context, &name, report::unread(foreign, &problem)).await;
        return Action::await_change();
    }
    if !context.index().is_complete() {
        return Action::requeue(UNLISTED);
    }
    let held = context.held_in(&name);
    let Some(held) = held.filter(|held| held.certificate.is_none()) else {
        return Action::await_change();
    };
    let now = context.surroundings.now();
    let readers = context.readers(now, &name, &held);
    let again = take_up(now, context, &name.source, &held, &readers, None);
    match (&held.policy, &readers.pace.failed) {
        (Err(problem), _) => tell(context, &name, report::unread(foreign, problem)).await,
        (Ok(_), Some(failed)) => tell(context, &name, report::halted_by(foreign, failed)).await,
        (Ok(_), None) => {
            context.foreign.told().remove(&name);
        }
    }
    again
}

/// Tells it once.
async fn tell<S: Surroundings>(context: &Context<S>, name: &SourceName, report: Report) {
    if !context.surroundings.may_write() {
        // It is looked at again once this replica leads.
        return;
    }
    let before = context
        .foreign
        .told()
        .insert(name.clone(), report.note.clone());
    if before.as_ref() != Some(&report.note) {
        context.surroundings.publish(report).await;
    }
}
