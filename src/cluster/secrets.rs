//! The Secrets of the cluster, or of the namespaces looked after: ours as summaries, all others by name only.
//!
//! What we wrote ourselves overlays what the watches have shown, until they show something at or past it: nothing is
//! decided on a state older than our own last write.

mod leaves;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::api::Group;
use certwright_core::pki::Authority;
use certwright_core::plan::marks::MANAGED;
use certwright_core::plan::{Observed, OldLeaves, older_until};
use futures::future::join_all;
use futures::{Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use tokio::sync::watch;

use super::scope::Scope;
use super::watched::watched;
use super::{call, mapped, version, watch_failed};
use crate::error::{CallError, Error, Object};
pub use leaves::IssuerKey;
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

/// What a watch showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The Secret that changed.
    pub secret: Named,
    /// Whether it is no more than what we wrote ourselves, and so know already.
    pub own: bool,
}

/// The Secrets of the cluster, or of the namespaces that are looked after.
pub struct Secrets {
    client: Client,
    group: Group,
    scope: Scope,
    /// What is known of each namespace that is watched by itself: each watch counts its own resourceVersions.
    namespaces: BTreeMap<String, Mutex<State>>,
    /// What is known of all others: the whole cluster, where no namespace is watched by itself; nothing otherwise.
    rest: Mutex<State>,
    /// How many of the watches have not been listed yet.
    awaited: watch::Sender<usize>,
}

impl Secrets {
    /// No Secrets are known before [`Secrets::watch`] runs.
    pub fn new(client: Client, group: Group, scope: Scope) -> Self {
        let state = || Mutex::new(State::new(group.clone()));
        let namespaces: BTreeMap<_, _> = match &scope {
            Scope::Cluster => BTreeMap::new(),
            Scope::Namespaces(names) => names.iter().map(|name| (name.clone(), state())).collect(),
        };
        Self {
            client,
            awaited: watch::Sender::new(2 * namespaces.len().max(1)),
            scope,
            rest: state(),
            namespaces,
            group,
        }
    }

    /// Comes back once all Secrets have been listed.
    pub async fn synced(&self) {
        // The sender lives in `self`, so waiting can't fail.
        let _ = self
            .awaited
            .subscribe()
            .wait_for(|awaited| *awaited == 0)
            .await;
    }

    /// The Secret with our label, as last seen or written.
    pub fn held(&self, name: &Named) -> Option<Arc<Observed>> {
        self.state(&name.namespace).held(name)
    }

    /// Whether Secrets of this issuer hold older certificates than its present CA makes. `Held` as long as not all of them
    /// were read: each call reads only so many.
    pub fn old_leaves(&self, now: Timestamp, issuer: &IssuerKey, ca: &Authority) -> OldLeaves {
        let fingerprint = ca.certificate().fingerprint;
        let read = |mut state: MutexGuard<'_, State>| {
            state.old_leaves(now, issuer, fingerprint, |secret| {
                older_until(now, secret, ca)
            })
        };
        let (_, namespace) = issuer;
        if !namespace.is_empty() {
            return read(self.state(namespace));
        }
        // A ClusterIssuer's Secrets are in all namespaces.
        let rest = read(lock(&self.rest));
        self.namespaces.values().fold(rest, |rest, namespace| {
            match (rest, read(lock(namespace))) {
                (OldLeaves::GoneSince(one), OldLeaves::GoneSince(other)) => {
                    OldLeaves::GoneSince(one.max(other))
                }
                _ => OldLeaves::Held,
            }
        })
    }

    /// The resourceVersion the Secret was last seen with, whoever's it is.
    pub fn version(&self, name: &Named) -> Option<u64> {
        self.state(&name.namespace).version(name)
    }

    /// The Secret of this name, whoever's it is. It is read live where the watches don't hold it or are known to be behind.
    ///
    /// # Errors
    /// When a live read fails.
    pub async fn find(&self, name: &Named) -> Result<Option<Arc<Observed>>, Error> {
        let look = self.state(&name.namespace).look(name);
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
                // That it isn't there was understood by then, if the API server said so.
                source: if source.code() == Some(404) {
                    CallError::Garbled
                } else {
                    source
                },
            })
    }

    /// Takes note of what we wrote, or read live, ahead of the watch.
    pub fn wrote(&self, secret: &Secret) -> Arc<Observed> {
        let secret = Arc::new(Observed::of(secret, &self.group));
        self.state(&secret.namespace).wrote(&secret);
        secret
    }

    /// Takes note that the watches were found to be behind for this Secret, or may be.
    pub fn doubt(&self, name: &Named) {
        self.state(&name.namespace).doubt(name);
    }

    /// Watches Secrets until the process ends, and tells `changed` which ones changed. It never comes back.
    pub async fn watch(&self, changed: impl Fn(Change)) {
        let client = || self.client.clone();
        let whole = self.scope.apis(
            || Api::all(client()),
            |namespace| Api::namespaced(client(), namespace),
        );
        let named = self.scope.apis(
            || Api::all(client()),
            |namespace| Api::namespaced(client(), namespace),
        );
        let both = whole.into_iter().zip(named);
        join_all(both.map(|(whole, named)| self.watch_part(whole, named, &changed))).await;
    }

    /// Watches the Secrets of the cluster, or of a namespace.
    async fn watch_part(
        &self,
        whole: Api<Secret>,
        named: Api<PartialObjectMeta<Secret>>,
        changed: &impl Fn(Change),
    ) {
        let namespace = whole.namespace().unwrap_or_default().to_owned();
        let label = self.group.key(MANAGED);
        let config = watcher::Config::default().labels(&label).page_size(100);
        // Reduced before anything is kept.
        let ours =
            watched(whole, config).map_ok(|event| mapped(event, |secret| self.observed(&secret)));
        let others = watched(
            named,
            watcher::Config::default().labels(&format!("!{label}")),
        )
        .map_ok(|event| mapped(event, sighted));
        tokio::join!(
            self.follow(&namespace, ours, State::is_own, State::follow_ours, changed),
            self.follow(
                &namespace,
                others,
                |_, _| false,
                State::follow_others,
                changed
            )
        );
    }

    async fn follow<T>(
        &self,
        namespace: &str,
        events: impl Stream<Item = watcher::Result<Event<T>>>,
        is_own: impl Fn(&State, &Event<T>) -> bool,
        follow: impl Fn(&mut State, Event<T>) -> Vec<Named>,
        changed: impl Fn(Change),
    ) {
        let mut awaited = true;
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
            let (own, names) = {
                let mut state = self.state(namespace);
                (is_own(&state, &event), follow(&mut state, event))
            };
            if listed && std::mem::take(&mut awaited) {
                self.awaited.send_modify(|awaited| *awaited -= 1);
            }
            names
                .into_iter()
                .for_each(|secret| changed(Change { secret, own }));
        }
    }

    /// A Secret reduced to what planning needs. One that we wrote was so already when the answer came.
    fn observed(&self, secret: &Secret) -> Arc<Observed> {
        let (name, version) = (
            Named::of(&secret.metadata),
            &secret.metadata.resource_version,
        );
        let own = self
            .state(&name.namespace)
            .own(&name, version.as_deref().unwrap_or_default());
        own.unwrap_or_else(|| Arc::new(Observed::of(secret, &self.group)))
    }

    fn state(&self, namespace: &str) -> MutexGuard<'_, State> {
        lock(self.namespaces.get(namespace).unwrap_or(&self.rest))
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
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
