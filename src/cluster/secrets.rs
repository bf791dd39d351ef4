//! The Secrets of the cluster: ours as summaries, all others by name only.
//!
//! What we wrote ourselves overlays what the watches have shown, until they show something at or past it: nothing is
//! decided on a state older than our own last write.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::api::Group;
use certwright_core::plan::Observed;
use certwright_core::plan::marks::MANAGED;
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use tokio::sync::{mpsc, watch};
use tracing::warn;

use super::{call, version};
use crate::error::{Error, Object};

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Named {
    /// The namespace; empty for cluster-wide kinds.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Named {
    /// Namespace and name of an object.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Those that stand in this metadata.
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self::new(
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default(),
        )
    }
}

/// The Secrets of the cluster.
pub struct Secrets {
    client: Client,
    group: Group,
    state: Mutex<State>,
    synced: watch::Sender<[bool; 2]>,
}

#[derive(Default)]
struct State {
    /// Secrets with our label.
    ours: HashMap<Named, Arc<Observed>>,
    /// The resourceVersions of all others.
    others: HashMap<Named, u64>,
    /// Our own last writes that `ours` may not show yet.
    written: HashMap<Named, Written>,
    /// Secrets of which the watches were found to be behind: the next look is a live one.
    doubted: HashSet<Named>,
    /// Counts relists of `ours`: a list that was begun after a write is newer than it.
    lists: u64,
}

struct Written {
    secret: Arc<Observed>,
    /// [`State::lists`] at the time of the write.
    list: u64,
}

impl Secrets {
    /// No Secrets are known before [`Secrets::watch`] runs.
    pub fn new(client: Client, group: Group) -> Self {
        Self {
            client,
            group,
            state: Mutex::default(),
            synced: watch::Sender::new([false; 2]),
        }
    }

    /// Comes back once all Secrets of the cluster have been listed.
    pub async fn synced(&self) {
        // The sender lives in `self`, so waiting can't fail.
        let _ = self
            .synced
            .subscribe()
            .wait_for(|synced| *synced == [true; 2])
            .await;
    }

    /// The Secret with our label, as last seen or written.
    pub fn held(&self, name: &Named) -> Option<Arc<Observed>> {
        self.state().newest(name)
    }

    /// The resourceVersion the Secret was last seen with, whoever's it is.
    pub fn version(&self, name: &Named) -> Option<u64> {
        let state = self.state();
        let ours = state
            .newest(name)
            .map(|secret| version(&secret.resource_version));
        ours.max(state.others.get(name).copied())
    }

    /// The Secret of this name, whoever's it is. It is read live where the watches don't hold it or are known to be behind.
    ///
    /// # Errors
    /// When a live read fails.
    pub async fn find(&self, name: &Named) -> Result<Option<Arc<Observed>>, Error> {
        {
            let state = self.state();
            if !state.doubted.contains(name) {
                match state.newest(name) {
                    Some(secret) => return Ok(Some(secret)),
                    None if !state.others.contains_key(name) => return Ok(None),
                    None => {}
                }
            }
        }
        let secret = self.read(name).await?;
        self.state().doubted.remove(name);
        Ok(secret.map(|secret| {
            if secret.labels().contains_key(&self.group.key(MANAGED)) {
                self.wrote(&secret)
            } else {
                Arc::new(Observed::of(&secret, &self.group))
            }
        }))
    }

    /// Reads a Secret live and whole; `None` if there is none.
    ///
    /// # Errors
    /// When the read fails.
    pub async fn read(&self, name: &Named) -> Result<Option<Secret>, Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &name.namespace);
        call(api.get_opt(&name.name))
            .await
            .map_err(|source| Error::Read {
                object: Object::new("Secret", &name.namespace, &name.name),
                source,
            })
    }

    /// Takes note of what we wrote, or read live, ahead of the watch.
    pub fn wrote(&self, secret: &Secret) -> Arc<Observed> {
        let name = Named::of(&secret.metadata);
        let secret = Arc::new(Observed::of(secret, &self.group));
        let mut state = self.state();
        let list = state.lists;
        if state
            .newest(&name)
            .is_none_or(|held| version(&held.resource_version) <= version(&secret.resource_version))
        {
            state.written.insert(
                name,
                Written {
                    secret: Arc::clone(&secret),
                    list,
                },
            );
        }
        secret
    }

    /// Takes note that the watches were found to be behind for this Secret.
    pub fn doubt(&self, name: &Named) {
        self.state().doubted.insert(name.clone());
    }

    /// Whether any Secret of ours satisfies `predicate`.
    pub fn any(&self, predicate: impl Fn(&Observed) -> bool) -> bool {
        self.state().ours.values().any(|secret| predicate(secret))
    }

    /// Watches Secrets until the process ends, and tells `changed` which ones changed. It never comes back.
    pub async fn watch(&self, changed: mpsc::UnboundedSender<Named>) {
        let label = self.group.key(MANAGED);
        let all = Api::<Secret>::all(self.client.clone());
        let config = watcher::Config::default().labels(&label).page_size(100);
        let ours = watcher(all, config)
            .default_backoff()
            .map_ok(|event| summarised(event, &self.group))
            .boxed();
        let all = Api::<PartialObjectMeta<Secret>>::all(self.client.clone());
        let others = watcher(all, watcher::Config::default().labels(&format!("!{label}")))
            .default_backoff()
            .boxed();
        tokio::join!(
            self.follow_ours(ours, &changed),
            self.follow_others(others, &changed)
        );
    }

    async fn follow_ours(
        &self,
        mut events: impl Stream<Item = watcher::Result<Event<Observed>>> + Unpin,
        changed: &mpsc::UnboundedSender<Named>,
    ) {
        let mut listed = HashMap::new();
        while let Some(event) = events.next().await {
            let names = match event {
                Ok(Event::Init) => {
                    listed.clear();
                    self.state().lists += 1;
                    continue;
                }
                Ok(Event::InitApply(secret)) => {
                    listed.insert(name_of(&secret), Arc::new(secret));
                    continue;
                }
                Ok(Event::InitDone) => {
                    let names = self.state().relist(std::mem::take(&mut listed));
                    self.synced.send_modify(|synced| synced[0] = true);
                    names
                }
                Ok(Event::Apply(secret)) => vec![self.state().applied(secret)],
                Ok(Event::Delete(secret)) => vec![self.state().deleted(&secret)],
                Err(problem) => {
                    warn!(%problem, "Watch of our Secrets failed; it is taken up again");
                    continue;
                }
            };
            for name in names {
                // The receiver only goes when the process ends.
                let _ = changed.send(name);
            }
        }
    }

    async fn follow_others(
        &self,
        mut events: impl Stream<Item = watcher::Result<Event<PartialObjectMeta<Secret>>>> + Unpin,
        changed: &mpsc::UnboundedSender<Named>,
    ) {
        let mut listed = HashMap::new();
        while let Some(event) = events.next().await {
            let seen = |secret: &PartialObjectMeta<Secret>| {
                (
                    Named::of(&secret.metadata),
                    version(
                        secret
                            .metadata
                            .resource_version
                            .as_deref()
                            .unwrap_or_default(),
                    ),
                )
            };
            let names = match event {
                Ok(Event::Init) => {
                    listed.clear();
                    continue;
                }
                Ok(Event::InitApply(secret)) => {
                    let (name, version) = seen(&secret);
                    listed.insert(name, version);
                    continue;
                }
                Ok(Event::InitDone) => {
                    let before =
                        std::mem::replace(&mut self.state().others, std::mem::take(&mut listed));
                    self.synced.send_modify(|synced| synced[1] = true);
                    let state = self.state();
                    let gone = before
                        .keys()
                        .filter(|name| !state.others.contains_key(*name));
                    let new = state
                        .others
                        .iter()
                        .filter(|(name, version)| before.get(*name) != Some(version))
                        .map(|(name, _)| name);
                    gone.chain(new).cloned().collect()
                }
                Ok(Event::Apply(secret)) => {
                    let (name, version) = seen(&secret);
                    self.state().others.insert(name.clone(), version);
                    vec![name]
                }
                Ok(Event::Delete(secret)) => {
                    let (name, _) = seen(&secret);
                    self.state().others.remove(&name);
                    vec![name]
                }
                Err(problem) => {
                    warn!(%problem, "Watch of other Secrets failed; it is taken up again");
                    continue;
                }
            };
            for name in names {
                // The receiver only goes when the process ends.
                let _ = changed.send(name);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn newest(&self, name: &Named) -> Option<Arc<Observed>> {
        let seen = self.ours.get(name);
        let written = self.written.get(name).map(|written| &written.secret);
        let newest = match (seen, written) {
            (Some(seen), Some(written))
                if version(&seen.resource_version) > version(&written.resource_version) =>
            {
                Some(seen)
            }
            (_, Some(written)) => Some(written),
            (seen, None) => seen,
        };
        newest.cloned()
    }

    fn applied(&mut self, secret: Observed) -> Named {
        let name = name_of(&secret);
        self.forget_written(&name, version(&secret.resource_version));
        self.ours.insert(name.clone(), Arc::new(secret));
        name
    }

    fn deleted(&mut self, secret: &Observed) -> Named {
        let name = name_of(secret);
        self.forget_written(&name, version(&secret.resource_version));
        self.ours.remove(&name);
        name
    }

    /// Forgets what we wrote once the watch shows something at or past it.
    fn forget_written(&mut self, name: &Named, seen: u64) {
        if self
            .written
            .get(name)
            .is_some_and(|written| version(&written.secret.resource_version) <= seen)
        {
            self.written.remove(name);
        }
    }

    /// Takes a fresh list, and says what changed by it.
    fn relist(&mut self, listed: HashMap<Named, Arc<Observed>>) -> Vec<Named> {
        // A write made before the list was begun is in the list, or undone since.
        let lists = self.lists;
        self.written.retain(|_, written| written.list >= lists);
        let before = std::mem::replace(&mut self.ours, listed);
        let gone = before.keys().filter(|name| !self.ours.contains_key(*name));
        let new = self.ours.iter().filter(|(name, secret)| {
            before
                .get(*name)
                .is_none_or(|before| before.resource_version != secret.resource_version)
        });
        gone.chain(new.map(|(name, _)| name)).cloned().collect()
    }
}

fn name_of(secret: &Observed) -> Named {
    Named::new(&secret.namespace, &secret.name)
}

/// Reduces the Secrets of an event before anything is kept.
fn summarised(event: Event<Secret>, group: &Group) -> Event<Observed> {
    match event {
        Event::Apply(secret) => Event::Apply(Observed::of(&secret, group)),
        Event::Delete(secret) => Event::Delete(Observed::of(&secret, group)),
        Event::InitApply(secret) => Event::InitApply(Observed::of(&secret, group)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}
