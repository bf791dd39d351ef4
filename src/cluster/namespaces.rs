//! What the annotations of namespaces say.
//!
//! Where the whole cluster is looked after, they are watched. Where some namespaces are, with a Role in each as all the rights,
//! nobody may watch them: a Role gives away the one object that its own namespace is, by its name. They are then read at the
//! start, and when [`Namespaces::follow`] is asked to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use certwright_core::api::Group;
use certwright_core::rollout::Policy;
use futures::future::join_all;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt as _};
use tracing::{debug, warn};

use super::scope::Scope;
use super::watched::watched;
use super::{call, is_forbidden, watch_failed};
use crate::backoff::Backoff;

/// After so many refusals in a row the right is taken to be missing. An API server that has just started refuses what it
/// allows a moment later, and a namespace that wants nothing restarted is not to be passed over for that.
const REFUSALS: u32 = 5;

/// How long until it is tried again then.
const REFUSED: Duration = Duration::from_secs(600);

/// How many namespaces are read at a time.
const AT_ONCE: usize = 16;

/// Our annotations on a namespace.
pub type Annotations = BTreeMap<String, String>;

/// Of which namespaces the annotations are others than before, or are known for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Of all.
    All,
    /// Of this one.
    One(String),
}

/// What the annotations of namespaces say.
pub struct Namespaces {
    client: Client,
    group: Group,
    scope: Scope,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Of those that say something, or that were read by themselves.
    said: HashMap<String, Arc<Annotations>>,
    /// Whether all others say nothing, or can't be read.
    whole: bool,
    /// The list that is being read.
    listing: HashMap<String, Arc<Annotations>>,
}

impl Namespaces {
    /// Nothing is known before [`Namespaces::follow`] runs.
    pub fn new(client: Client, group: Group, scope: Scope) -> Self {
        Self {
            client,
            group,
            scope,
            known: Mutex::default(),
        }
    }

    /// What a namespace says, as last seen; `None` as long as that isn't known.
    pub fn annotations(&self, namespace: &str) -> Option<Arc<Annotations>> {
        let known = self.known();
        let said = known.said.get(namespace).map(Arc::clone);
        said.or_else(|| known.whole.then(Arc::default))
    }

    /// Follows the namespaces until the process ends, and tells `changed`. Those that `asked` names are read again, where they
    /// can't be watched. It never comes back.
    pub async fn follow(
        &self,
        asked: impl Stream<Item = String> + Send,
        changed: impl Fn(Changed) + Sync,
    ) {
        match &self.scope {
            Scope::Cluster => {
                let unheard = asked.for_each(|_| std::future::ready(()));
                tokio::join!(self.watch(&changed), unheard);
            }
            Scope::Namespaces(names) => {
                join_all(names.iter().map(|name| self.read(name, &changed))).await;
                let mut asked = pin!(asked.ready_chunks(AT_ONCE));
                while let Some(some) = asked.next().await {
                    let some: BTreeSet<String> = some.into_iter().collect();
                    let some = some.iter().filter(|name| names.contains(*name));
                    join_all(some.map(|name| self.read(name, &changed))).await;
                }
            }
        }
        std::future::pending().await
    }

    async fn watch(&self, changed: &impl Fn(Changed)) {
        loop {
            self.watch_until_refused(changed).await;
            // Once it is known, it stays so.
            if !std::mem::replace(&mut self.known().whole, true) {
                go_without("list and watch");
                changed(Changed::All);
            }
            tokio::time::sleep(REFUSED).await;
        }
    }

    async fn watch_until_refused(&self, changed: &impl Fn(Changed)) {
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(self.client.clone());
        let mut events = pin!(watched(api, watcher::Config::default()));
        let mut refusals = 0;
        while refusals < REFUSALS
            && let Some(event) = events.next().await
        {
            match event {
                Ok(event) => {
                    // Each list begins with this, also one that is refused.
                    if !matches!(event, Event::Init) {
                        refusals = 0;
                    }
                    self.heard(event).into_iter().for_each(changed);
                }
                Err(problem) if is_forbidden(&problem) => refusals += 1,
                Err(problem) => watch_failed("Namespace", &problem),
            }
        }
    }

    fn heard(&self, event: Event<PartialObjectMeta<Namespace>>) -> Vec<Changed> {
        let mut known = self.known();
        match event {
            Event::Init => known.listing.clear(),
            Event::InitApply(namespace) => {
                let said = self.said(&namespace.metadata);
                if !said.is_empty() {
                    known.listing.insert(namespace.name_any(), said);
                }
            }
            Event::InitDone => return known.listed(),
            Event::Apply(namespace) => {
                let said = self.said(&namespace.metadata);
                return known.says(&namespace.name_any(), said);
            }
            Event::Delete(namespace) => return known.says(&namespace.name_any(), Arc::default()),
        }
        Vec::new()
    }

    /// Reads one, however long that takes.
    async fn read(&self, name: &str, changed: &impl Fn(Changed)) {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let (backoff, mut refusals) = (Backoff::default(), 0);
        let said = loop {
            let problem = match call(api.get_metadata_opt(name)).await {
                Ok(Some(namespace)) => break self.said(&namespace.metadata),
                Ok(None) => break Arc::default(),
                Err(problem) => problem,
            };
            let refused = problem.code() == Some(403);
            refusals = if refused { refusals + 1 } else { 0 };
            if refusals == REFUSALS {
                // What it said before still counts.
                if self.annotations(name).is_some() {
                    return;
                }
                go_without("get");
                break Arc::default();
            }
            debug!(name, %problem, "Failed to read Namespace, will try again");
            tokio::time::sleep(backoff.failed(&())).await;
        };
        let before = self.known().said.insert(name.to_owned(), Arc::clone(&said));
        if before != Some(said) {
            changed(Changed::One(name.to_owned()));
        }
    }

    fn said(&self, metadata: &ObjectMeta) -> Arc<Annotations> {
        let annotations = metadata.annotations.iter().flatten();
        Arc::new(Policy::annotations(&self.group, annotations))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// All were listed: those that say something are known, the others say nothing.
    fn listed(&mut self) -> Vec<Changed> {
        let before = std::mem::replace(&mut self.said, std::mem::take(&mut self.listing));
        if !std::mem::replace(&mut self.whole, true) {
            return vec![Changed::All];
        }
        let names: BTreeSet<&String> = before.keys().chain(self.said.keys()).collect();
        let others = names
            .into_iter()
            .filter(|name| before.get(*name) != self.said.get(*name));
        others.cloned().map(Changed::One).collect()
    }

    fn says(&mut self, namespace: &str, said: Arc<Annotations>) -> Vec<Changed> {
        let before = if said.is_empty() {
            self.said.remove(namespace)
        } else {
            self.said.insert(namespace.to_owned(), Arc::clone(&said))
        };
        let changed = before.unwrap_or_default() != said;
        Vec::from_iter(changed.then(|| Changed::One(namespace.to_owned())))
    }
}

fn go_without(right: &str) {
    warn!(
        right,
        "What namespaces say of rollouts is not heeded: the operator's RBAC doesn't let it read them"
    );
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    const GROUP: &str = "certwright.dev";

    fn namespaces() -> Namespaces {
        let service = tower::service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, std::convert::Infallible>>()
        });
        let group = Group::new(GROUP, "certwright");
        Namespaces::new(Client::new(service, "default"), group, Scope::Cluster)
    }

    fn namespace(name: &str, annotations: Value) -> PartialObjectMeta<Namespace> {
        let metadata = json!({ "name": name, "annotations": annotations });
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    fn list(namespaces: &Namespaces, listed: Vec<PartialObjectMeta<Namespace>>) -> Vec<Changed> {
        let listed = listed.into_iter().map(Event::InitApply);
        let events = std::iter::once(Event::Init)
            .chain(listed)
            .chain([Event::InitDone]);
        events.flat_map(|event| namespaces.heard(event)).collect()
    }

    fn said(namespaces: &Namespaces, name: &str) -> Option<Vec<String>> {
        let said = namespaces.annotations(name)?;
        Some(said.values().cloned().collect())
    }

    fn one(name: &str) -> Vec<Changed> {
        vec![Changed::One(name.to_owned())]
    }

    #[tokio::test]
    async fn what_a_namespace_says_is_known_once_all_were_listed() {
        let namespaces = namespaces();
        let quiet = json!({ format!("{GROUP}/rollout"): "None", "theirs": "x" });
        assert_eq!(said(&namespaces, "shop"), None);
        namespaces.heard(Event::Init);
        namespaces.heard(Event::InitApply(namespace("shop", quiet.clone())));
        assert_eq!(said(&namespaces, "shop"), None);
        assert_eq!(namespaces.heard(Event::InitDone), [Changed::All]);
        assert_eq!(said(&namespaces, "shop"), Some(vec!["None".to_owned()]));
        assert_eq!(said(&namespaces, "other"), Some(vec![]));
        // A list that is read anew is news only where it says something else.
        let again = vec![
            namespace("shop", quiet.clone()),
            namespace("other", json!({})),
        ];
        assert_eq!(list(&namespaces, again), []);
        assert_eq!(list(&namespaces, vec![]), one("shop"));
        assert_eq!(list(&namespaces, vec![namespace("new", quiet)]), one("new"));
    }

    #[tokio::test]
    async fn only_what_is_ours_is_news() {
        let namespaces = namespaces();
        list(&namespaces, vec![]);
        let apply =
            |annotations: Value| namespaces.heard(Event::Apply(namespace("shop", annotations)));
        assert_eq!(apply(json!({ "theirs": "x" })), []);
        let key = format!("{GROUP}/rollout-max-concurrent");
        assert_eq!(apply(json!({ &key: "2" })), one("shop"));
        assert_eq!(apply(json!({ &key: "2", "theirs": "x" })), []);
        assert_eq!(apply(json!({ &key: "3" })), one("shop"));
        let gone = namespaces.heard(Event::Delete(namespace("shop", json!({}))));
        assert_eq!(gone, one("shop"));
        assert_eq!(said(&namespaces, "shop"), Some(vec![]));
    }
}
