//! One watch made of several.

use std::collections::{HashMap, HashSet};

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use kube::runtime::reflector::{Lookup, Store};
use kube::runtime::watcher::{self, Event};

/// One watch made of one for each namespace, into `store`.
///
/// It begins with one list of all of them, once each has been listed. What a later list of one of them shows comes as
/// changes, with what is gone found by the store: it must have taken each event before it asks for the next. A single
/// watch stays as it is.
pub fn merged<'w, K>(
    mut watches: Vec<BoxStream<'w, watcher::Result<Event<K>>>>,
    store: Store<K>,
) -> BoxStream<'w, watcher::Result<Event<K>>>
where
    K: Lookup + Clone + Send + Sync + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone + Send + Sync,
{
    if watches.len() == 1 {
        return watches.remove(0);
    }
    let mut merger = Merger::new(watches.len(), store);
    let numbered = watches
        .into_iter()
        .enumerate()
        .map(|(watch, events)| events.map(move |event| (watch, event)).boxed());
    let events = stream::select_all(numbered).flat_map(move |(watch, event)| {
        stream::iter(match event {
            Ok(event) => merger.take(watch, event).into_iter().map(Ok).collect(),
            Err(problem) => vec![Err(problem)],
        })
    });
    events.boxed()
}

/// Namespace and name.
type Name = (String, String);

struct Merger<K>
where
    K: Lookup + 'static,
    K::DynamicType: Eq + std::hash::Hash,
{
    store: Store<K>,
    watches: Vec<Watch<K>>,
    /// Whether each was listed once, and the store has it all.
    begun: bool,
}

struct Watch<K> {
    /// What it has shown before all have begun.
    first: HashMap<Name, K>,
    listed: bool,
    /// What it has named since.
    known: HashSet<Name>,
    /// What the list names that is being read.
    listing: HashSet<Name>,
}

impl<K> Merger<K>
where
    K: Lookup + Clone + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    fn new(watches: usize, store: Store<K>) -> Self {
        let new = || Watch {
            first: HashMap::new(),
            listed: false,
            known: HashSet::new(),
            listing: HashSet::new(),
        };
        Self {
            store,
            watches: std::iter::repeat_with(new).take(watches).collect(),
            begun: false,
        }
    }

    fn take(&mut self, watch: usize, event: Event<K>) -> Vec<Event<K>> {
        if self.begun {
            self.change(watch, event)
        } else {
            self.watches[watch].begin(event);
            self.all()
        }
    }

    /// The first list, once it is whole.
    fn all(&mut self) -> Vec<Event<K>> {
        if !self.watches.iter().all(|watch| watch.listed) {
            return Vec::new();
        }
        self.begun = true;
        let mut events = vec![Event::Init];
        for watch in &mut self.watches {
            for (name, object) in watch.first.drain() {
                watch.known.insert(name);
                events.push(Event::InitApply(object));
            }
        }
        events.push(Event::InitDone);
        events
    }

    fn change(&mut self, watch: usize, event: Event<K>) -> Vec<Event<K>> {
        let watch = &mut self.watches[watch];
        match event {
            Event::Init => {
                watch.listing.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                watch.listing.insert(name(&object));
                vec![Event::Apply(object)]
            }
            Event::InitDone => {
                let now = std::mem::take(&mut watch.listing);
                let before = std::mem::replace(&mut watch.known, now);
                let gone: HashSet<&Name> = before.difference(&watch.known).collect();
                if gone.is_empty() {
                    return Vec::new();
                }
                let all = self.store.state();
                let gone = all.iter().filter(|object| gone.contains(&name(&***object)));
                gone.map(|object| Event::Delete((**object).clone()))
                    .collect()
            }
            Event::Apply(object) => {
                watch.known.insert(name(&object));
                vec![Event::Apply(object)]
            }
            Event::Delete(object) => {
                watch.known.remove(&name(&object));
                vec![Event::Delete(object)]
            }
        }
    }
}

impl<K: Lookup> Watch<K> {
    fn begin(&mut self, event: Event<K>) {
        match event {
            Event::Init => self.first.clear(),
            Event::InitApply(object) | Event::Apply(object) => {
                self.first.insert(name(&object), object);
            }
            Event::InitDone => self.listed = true,
            Event::Delete(object) => {
                self.first.remove(&name(&object));
            }
        }
    }
}

fn name<K: Lookup>(object: &K) -> Name {
    let text = |part: Option<std::borrow::Cow<'_, str>>| part.unwrap_or_default().into_owned();
    (text(object.namespace()), text(object.name()))
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc::{UnboundedSender, unbounded};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::WatchStreamExt;
    use kube::runtime::reflector;

    use super::*;

    type Sender = UnboundedSender<watcher::Result<Event<ConfigMap>>>;

    fn object(namespace: &str, name: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.namespace = Some(namespace.to_owned());
        object.metadata.name = Some(name.to_owned());
        object
    }

    fn said(event: &Event<ConfigMap>) -> String {
        let (what, object) = match event {
            Event::Init => return "init".to_owned(),
            Event::InitDone => return "done".to_owned(),
            Event::InitApply(object) => ("list", object),
            Event::Apply(object) => ("apply", object),
            Event::Delete(object) => ("delete", object),
        };
        let (namespace, name) = name(object);
        format!("{what} {namespace}/{name}")
    }

    /// Two watches, and what comes of them so far; the store is checked to agree with it.
    struct Both {
        one: Sender,
        two: Sender,
        store: Store<ConfigMap>,
        events: BoxStream<'static, watcher::Result<Event<ConfigMap>>>,
    }

    impl Both {
        fn new() -> Self {
            let (one, first) = unbounded();
            let (two, second) = unbounded();
            let (store, writer) = reflector::store();
            let events = merged(vec![first.boxed(), second.boxed()], store.clone());
            Self {
                one,
                two,
                store,
                events: events.reflect(writer).boxed(),
            }
        }

        fn heard(&mut self) -> Vec<String> {
            let mut heard = Vec::new();
            while let Some(Some(event)) = futures::FutureExt::now_or_never(self.events.next()) {
                heard.push(said(&event.unwrap()));
            }
            heard.sort();
            heard
        }

        fn stored(&self) -> Vec<String> {
            let mut stored: Vec<String> = self
                .store
                .state()
                .iter()
                .map(|object| said(&Event::Apply((**object).clone())).replace("apply ", ""))
                .collect();
            stored.sort();
            stored
        }
    }

    fn list(to: &Sender, objects: &[ConfigMap]) {
        to.unbounded_send(Ok(Event::Init)).unwrap();
        for object in objects {
            to.unbounded_send(Ok(Event::InitApply(object.clone())))
                .unwrap();
        }
        to.unbounded_send(Ok(Event::InitDone)).unwrap();
    }

    fn begun() -> Both {
        let mut both = Both::new();
        list(&both.one, &[object("one", "a"), object("one", "b")]);
        list(&both.two, &[object("two", "a")]);
        assert_eq!(
            both.heard(),
            ["done", "init", "list one/a", "list one/b", "list two/a"]
        );
        both
    }

    #[test]
    fn nothing_is_shown_before_each_namespace_was_listed() {
        let mut both = Both::new();
        list(&both.one, &[object("one", "a"), object("one", "gone")]);
        let changes = [
            Event::Apply(object("one", "new")),
            Event::Delete(object("one", "gone")),
        ];
        for change in changes {
            both.one.unbounded_send(Ok(change)).unwrap();
        }
        assert_eq!(both.heard(), [""; 0]);
        list(&both.two, &[]);
        assert_eq!(both.heard(), ["done", "init", "list one/a", "list one/new"]);
        assert_eq!(both.stored(), ["one/a", "one/new"]);
    }

    #[test]
    fn a_first_list_begun_again_counts_from_there() {
        let mut both = Both::new();
        let (init, gone) = (Event::Init, Event::InitApply(object("one", "gone")));
        both.one.unbounded_send(Ok(init)).unwrap();
        both.one.unbounded_send(Ok(gone)).unwrap();
        list(&both.one, &[object("one", "a")]);
        list(&both.two, &[]);
        assert_eq!(both.heard(), ["done", "init", "list one/a"]);
    }

    #[test]
    fn a_later_list_of_one_namespace_leaves_the_others_alone() {
        let mut both = begun();
        both.one
            .unbounded_send(Ok(Event::Apply(object("one", "c"))))
            .unwrap();
        assert_eq!(both.heard(), ["apply one/c"]);
        list(&both.one, &[object("one", "b"), object("one", "d")]);
        assert_eq!(
            both.heard(),
            ["apply one/b", "apply one/d", "delete one/a", "delete one/c"]
        );
        assert_eq!(both.stored(), ["one/b", "one/d", "two/a"]);
        both.two
            .unbounded_send(Ok(Event::Delete(object("two", "a"))))
            .unwrap();
        list(&both.two, &[]);
        assert_eq!(both.heard(), ["delete two/a"]);
    }

    #[test]
    fn what_fails_is_passed_on() {
        let mut both = begun();
        both.two
            .unbounded_send(Err(watcher::Error::NoResourceVersion))
            .unwrap();
        let event = futures::FutureExt::now_or_never(both.events.next());
        assert!(matches!(
            event,
            Some(Some(Err(watcher::Error::NoResourceVersion)))
        ));
        assert_eq!(both.stored(), ["one/a", "one/b", "two/a"]);
    }
}
