//! A broken object hurts only itself.

use std::fmt::Debug;

use certwright_core::api::Group;
use futures::channel::mpsc::UnboundedSender;
use futures::{Stream, StreamExt, future};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event};

/// An object of ours that can't be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    /// Which one.
    pub about: ObjectReference,
    /// What is wrong with it.
    pub problem: String,
}

/// Leaves out of a watch what can't be read, and tells `broken` of it. To the rest of the program an object that has
/// become unreadable is gone.
pub fn readable<K>(
    events: impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>>,
    group: Group,
    broken: UnboundedSender<Broken>,
) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: Resource<DynamicType = Group> + Default + Debug,
{
    let judge = move |guarded: DeserializeGuard<K>| {
        guarded.0.map_err(|invalid| {
            let mut remains = K::default();
            *remains.meta_mut() = invalid.metadata;
            let report = Broken {
                about: remains.object_ref(&group),
                problem: invalid.error,
            };
            // The other end only goes when the process stops.
            let _ = broken.unbounded_send(report);
            remains
        })
    };
    events.filter_map(move |event| {
        future::ready(match event {
            Ok(Event::Apply(guarded)) => {
                Some(Ok(judge(guarded).map_or_else(Event::Delete, Event::Apply)))
            }
            Ok(Event::Delete(guarded)) => Some(Ok(Event::Delete(
                judge(guarded).unwrap_or_else(|remains| remains),
            ))),
            Ok(Event::InitApply(guarded)) => judge(guarded)
                .ok()
                .map(|object| Ok(Event::InitApply(object))),
            Ok(Event::Init) => Some(Ok(Event::Init)),
            Ok(Event::InitDone) => Some(Ok(Event::InitDone)),
            Err(problem) => Some(Err(problem)),
        })
    })
}

#[cfg(test)]
mod tests {
    use certwright_core::api::Issuer;
    use futures::channel::mpsc;
    use serde_json::json;

    use super::*;

    fn guarded(name: &str, spec: serde_json::Value) -> DeserializeGuard<Issuer> {
        serde_json::from_value(
            json!({ "metadata": { "name": name, "namespace": "shop" }, "spec": spec }),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_told_of_and_left_out() {
        let good = || guarded("good", json!({ "selfSigned": {} }));
        let bad = || guarded("bad", json!({ "selfSigned": 7 }));
        let events = [
            Event::Init,
            Event::InitApply(good()),
            Event::InitApply(bad()),
            Event::InitDone,
            Event::Apply(bad()),
        ];
        let (sender, receiver) = mpsc::unbounded();
        let seen: Vec<_> = readable(
            futures::stream::iter(events.map(Ok)),
            Group::default(),
            sender,
        )
        .map(|event| match event.unwrap() {
            Event::Init => "init".to_owned(),
            Event::InitApply(issuer) => format!("listed {}", issuer.metadata.name.unwrap()),
            Event::InitDone => "done".to_owned(),
            Event::Apply(issuer) => format!("changed {}", issuer.metadata.name.unwrap()),
            Event::Delete(issuer) => format!("gone {}", issuer.metadata.name.unwrap()),
        })
        .collect()
        .await;
        assert_eq!(seen, ["init", "listed good", "done", "gone bad"]);
        let told: Vec<_> = receiver.collect().await;
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].about.name.as_deref(), Some("bad"));
        assert_eq!(told[0].about.kind.as_deref(), Some("Issuer"));
    }
}
