//! The Secrets of the cluster: ours as summaries, all others by name only.
//!
//! What we wrote ourselves overlays what the watches have shown, until they show something at or past it: nothing is
//! decided on a state older than our own last write.

mod state;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::api::Group;
use certwright_core::plan::Observed;
use certwright_core::plan::marks::MANAGED;
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use tokio::sync::watch;

use super::watched::watched;
use super::{call, version, watch_failed};
use crate::error::{Error, Object};
use state::{Look, State};

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
        self.state().held(name)
    }

    /// All Secrets with our label, as last seen or written.
    pub fn all_held(&self) -> Vec<Arc<Observed>> {
        self.state().all()
    }

    /// The resourceVersion the Secret was last seen with, whoever's it is.
    pub fn version(&self, name: &Named) -> Option<u64> {
        self.state().version(name)
    }

    /// The Secret of this name, whoever's it is. It is read live where the watches don't hold it or are known to be behind.
    ///
    /// # Errors
    /// When a live read fails.
    pub async fn find(&self, name: &Named) -> Result<Option<Arc<Observed>>, Error> {
        let look = self.state().look(name);
        let doubted = match look {
            Look::Held(secret) => return Ok(Some(secret)),
            Look::Nothing => return Ok(None),
            Look::Live { doubted } => doubted,
        };
        let read = self.read(name).await.inspect_err(|_| {
            if doubted {
                self.doubt(name);
            }
        })?;
        Ok(read.map(|secret| {
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
        let secret = Arc::new(Observed::of(secret, &self.group));
        self.state().wrote(&secret);
        secret
    }

    /// Takes note that the watches were found to be behind for this Secret, or may be.
    pub fn doubt(&self, name: &Named) {
        self.state().doubt(name);
    }

    /// Watches Secrets until the process ends, and tells `changed` which ones changed. It never comes back.
    pub async fn watch(&self, changed: impl Fn(Named)) {
        let label = self.group.key(MANAGED);
        let all = Api::<Secret>::all(self.client.clone());
        let config = watcher::Config::default().labels(&label).page_size(100);
        // Reduced before anything is kept.
        let ours = watched(all, config)
            .default_backoff()
            .map_ok(|event| state::map(event, |secret| Observed::of(&secret, &self.group)));
        let all = Api::<PartialObjectMeta<Secret>>::all(self.client.clone());
        let others = watched(all, watcher::Config::default().labels(&format!("!{label}")))
            .default_backoff()
            .map_ok(|event| state::map(event, sighted));
        tokio::join!(
            self.follow(0, ours, State::follow_ours, &changed),
            self.follow(1, others, State::follow_others, &changed)
        );
    }

    async fn follow<T>(
        &self,
        watch: usize,
        events: impl Stream<Item = watcher::Result<Event<T>>>,
        follow: impl Fn(&mut State, Event<T>) -> Vec<Named>,
        changed: impl Fn(Named),
    ) {
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(problem) => {
                    watch_failed("Secret", &problem);
                    continue;
                }
            };
            let listed = matches!(event, Event::InitDone);
            let names = follow(&mut self.state(), event);
            if listed {
                self.synced.send_modify(|synced| synced[watch] = true);
            }
            names.into_iter().for_each(&changed);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sighted(secret: PartialObjectMeta<Secret>) -> (Named, u64) {
    let seen = secret.metadata.resource_version.as_deref();
    (
        Named::of(&secret.metadata),
        version(seen.unwrap_or_default()),
    )
}

fn version_of(secret: &Observed) -> u64 {
    version(&secret.resource_version)
}
