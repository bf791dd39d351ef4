//! A broken object hurts only itself.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;

use certwright_core::api::Group;
use futures::channel::mpsc::UnboundedSender;
use futures::{Stream, StreamExt, future};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::watcher::{self, Event};

/// An object of ours that can't be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    /// Which one.
    pub about: ObjectReference,
    /// What is wrong with it.
    pub problem: String,
}

/// Leaves out of a watch what can't be read, and tells `broken` of it: once, until it can be read again or something
/// else is wrong with it. To the rest of the program an object that has become unreadable is gone.
pub fn readable<K>(
    events: impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>>,
    group: Group,
    broken: UnboundedSender<Broken>,
) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: Resource<DynamicType = Group> + Default + Debug,
{
    let mut judge = Judge {
        group,
        broken,
        told: HashMap::new(),
        listed: HashSet::new(),
    };
    events.filter_map(move |event| {
        future::ready(match event {
            Ok(Event::Apply(guarded)) => Some(Ok(judge
                .read(guarded)
                .map_or_else(Event::Delete, Event::Apply))),
            Ok(Event::Delete(guarded)) => Some(Ok(Event::Delete(judge.gone(guarded)))),
            Ok(Event::InitApply(guarded)) => judge
                .read(guarded)
                .ok()
                .map(|object| Ok(Event::InitApply(object))),
            Ok(Event::Init) => {
                judge.listed.clear();
                Some(Ok(Event::Init))
            }
            Ok(Event::InitDone) => {
                judge.forget_unlisted();
                Some(Ok(Event::InitDone))
            }
            Err(problem) => Some(Err(problem)),
        })
    })
}

/// Tells what can be read from what can't.
struct Judge {
    group: Group,
    broken: UnboundedSender<Broken>,
    /// What was told of each object that can't be read, by uid.
    told: HashMap<String, String>,
    /// Those of them that the present list has shown so far.
    listed: HashSet<String>,
}

impl Judge {
    /// The object, or what remains of it.
    fn read<K>(&mut self, guarded: DeserializeGuard<K>) -> Result<K, K>
    where
        K: Resource<DynamicType = Group> + Default,
    {
        let InvalidObject { error, metadata } = match guarded.0 {
            Ok(object) => {
                self.told.remove(&uid(object.meta()));
                return Ok(object);
            }
            Err(invalid) => invalid,
        };
        let uid = uid(&metadata);
        let problem = error[..error.floor_char_boundary(MAX_PROBLEM)].to_owned();
        let remains = remains::<K>(metadata);
        self.listed.insert(uid.clone());
        if self.told.insert(uid, problem.clone()).as_ref() != Some(&problem) {
            let about = remains.object_ref(&self.group);
            // The other end only goes when the process stops.
            let _ = self.broken.unbounded_send(Broken { about, problem });
        }
        Err(remains)
    }

    /// What remains of an object that was deleted: of that there is nothing to tell any more.
    fn gone<K>(&mut self, guarded: DeserializeGuard<K>) -> K
    where
        K: Resource<DynamicType = Group> + Default,
    {
        let object = guarded
            .0
            .unwrap_or_else(|invalid| remains(invalid.metadata));
        self.told.remove(&uid(object.meta()));
        object
    }

    fn forget_unlisted(&mut self) {
        let listed = std::mem::take(&mut self.listed);
        self.told.retain(|uid, _| listed.contains(uid));
    }
}

/// How much is told of a problem, in bytes: it may quote the object.
const MAX_PROBLEM: usize = 512;

fn remains<K: Resource + Default>(metadata: ObjectMeta) -> K {
    let mut remains = K::default();
    *remains.meta_mut() = metadata;
    remains
}

fn uid(metadata: &ObjectMeta) -> String {
    metadata.uid.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use certwright_core::api::Issuer;
    use futures::channel::mpsc;
    use serde_json::json;

    use super::*;

    fn guarded(name: &str, spec: serde_json::Value) -> DeserializeGuard<Issuer> {
        let metadata =
            json!({ "name": name, "namespace": "shop", "uid": format!("uid of {name}") });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
    }

    fn good() -> DeserializeGuard<Issuer> {
        guarded("good", json!({ "selfSigned": {} }))
    }

    fn bad(self_signed: impl Into<serde_json::Value>) -> DeserializeGuard<Issuer> {
        guarded("bad", json!({ "selfSigned": self_signed.into() }))
    }

    /// What comes through, and what is told.
    async fn through(
        events: impl IntoIterator<Item = Event<DeserializeGuard<Issuer>>>,
    ) -> (Vec<String>, Vec<Broken>) {
        let (sender, receiver) = mpsc::unbounded();
        let events = futures::stream::iter(events.into_iter().map(Ok));
        let name = |issuer: Issuer| issuer.metadata.name.unwrap();
        let seen = readable(events, Group::default(), sender)
            .map(|event| match event.unwrap() {
                Event::Init => "init".to_owned(),
                Event::InitApply(issuer) => format!("listed {}", name(issuer)),
                Event::InitDone => "done".to_owned(),
                Event::Apply(issuer) => format!("changed {}", name(issuer)),
                Event::Delete(issuer) => format!("gone {}", name(issuer)),
            })
            .collect()
            .await;
        (seen, receiver.collect().await)
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_told_of_and_left_out() {
        let (seen, told) = through([
            Event::Init,
            Event::InitApply(good()),
            Event::InitApply(bad(7)),
            Event::InitDone,
            Event::Apply(bad(7)),
        ])
        .await;
        assert_eq!(seen, ["init", "listed good", "done", "gone bad"]);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].about.name.as_deref(), Some("bad"));
        assert_eq!(told[0].about.kind.as_deref(), Some("Issuer"));
    }

    #[tokio::test]
    async fn the_same_is_told_once_however_often_it_is_seen_and_not_when_it_goes() {
        let list = || [Event::Init, Event::InitApply(bad(7)), Event::InitDone];
        let changes = (0..5).map(|_| Event::Apply(bad(7)));
        let events = list().into_iter().chain(list()).chain(changes);
        let (_, told) = through(events.chain([Event::Delete(bad(7))])).await;
        assert_eq!(told.len(), 1);
    }

    #[tokio::test]
    async fn it_is_told_anew_when_something_else_is_wrong_or_it_could_be_read_in_between() {
        let corrected = || guarded("bad", json!({ "selfSigned": {} }));
        let (_, told) = through([
            Event::Apply(bad(7)),
            Event::Apply(bad("7")),
            Event::Apply(corrected()),
            Event::Apply(bad("7")),
        ])
        .await;
        assert_eq!(told.len(), 3);
        // It went while nobody watched, and came back.
        let (_, told) = through([
            Event::Apply(bad(7)),
            Event::Init,
            Event::InitDone,
            Event::Apply(bad(7)),
        ])
        .await;
        assert_eq!(told.len(), 2);
    }

    #[tokio::test]
    async fn what_is_told_is_cut_however_much_the_object_says() {
        let (_, told) = through([Event::Apply(bad("ä".repeat(200_000)))]).await;
        assert!(
            told[0].problem.len() <= MAX_PROBLEM,
            "{}",
            told[0].problem.len()
        );
    }
}
