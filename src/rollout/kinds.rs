//! The workloads of one kind, as they are watched and looked after.

use std::sync::{Arc, OnceLock};

use certwright_core::rollout::{Workload, WorkloadKind, WorkloadName};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::api::ApiResource;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};

/// The workloads of one kind.
pub(super) struct Watched {
    pub(super) kind: WorkloadKind,
    /// How the API server is asked for them, once that is known.
    resource: OnceLock<ApiResource>,
    pub(super) store: Store<Workload>,
    /// Unbounded, since each message at once becomes an entry of a queue that holds an object only once.
    wake: UnboundedSender<ObjectRef<Workload>>,
}

/// The other ends of a [`Watched`].
pub(super) struct Source {
    pub(super) kind: WorkloadKind,
    pub(super) writer: Writer<Workload>,
    pub(super) wakes: UnboundedReceiver<ObjectRef<Workload>>,
}

/// Both ends, for one kind.
pub(super) fn connect(kind: WorkloadKind) -> (Watched, Source) {
    let writer = Writer::new(kind.clone());
    let (wake, wakes) = unbounded();
    let watched = Watched {
        kind: kind.clone(),
        resource: OnceLock::new(),
        store: writer.as_reader(),
        wake,
    };
    if let Some(plural) = kind.plural() {
        watched.found(plural);
    }
    let source = Source {
        kind,
        writer,
        wakes,
    };
    (watched, source)
}

impl Watched {
    /// The API server calls them so.
    pub(super) fn found(&self, plural: &str) {
        let kind = &self.kind;
        self.resource.get_or_init(|| ApiResource {
            group: kind.group().to_owned(),
            version: kind.version().to_owned(),
            api_version: kind.api_version(),
            kind: kind.as_str().to_owned(),
            plural: plural.to_owned(),
        });
    }

    /// How the API server is asked for them, once that is known.
    pub(super) fn resource(&self) -> Option<&ApiResource> {
        self.resource.get()
    }

    /// One of them, as last seen.
    pub(super) fn get(&self, name: &WorkloadName) -> Option<Arc<Workload>> {
        self.store.get(&self.reference(name))
    }

    /// Has one of them looked at.
    pub(super) fn wake(&self, name: &WorkloadName) {
        // It fails only when the controller has stopped.
        let _ = self.wake.unbounded_send(self.reference(name));
    }

    /// Has all of them looked at.
    pub(super) fn wake_all(&self) {
        for workload in self.store.state() {
            self.wake(&WorkloadName::from(&*workload));
        }
    }

    fn reference(&self, name: &WorkloadName) -> ObjectRef<Workload> {
        ObjectRef::new_with(&name.name, self.kind.clone()).within(&name.namespace)
    }
}
