//! Events: what happened, beside the object it happened to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};
use tracing::warn;

use super::call;

/// The API server's bound on an Event's note, in bytes.
const MAX_NOTE: usize = 1024;

/// Whether an Event tells of something good or bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Publishes Events. They are a courtesy: one that fails is logged, and nothing else.
#[derive(Clone)]
pub struct Events {
    client: Client,
    controller: String,
    instance: String,
    count: Arc<AtomicU64>,
}

impl Events {
    /// Events reported by `controller`, of which `instance` is one.
    pub fn new(client: Client, controller: impl Into<String>, instance: impl Into<String>) -> Self {
        Self {
            client,
            controller: controller.into(),
            instance: instance.into(),
            count: Arc::default(),
        }
    }

    /// Publishes one Event about an object, in its namespace (`default` for cluster-wide kinds).
    pub async fn publish(
        &self,
        now: Timestamp,
        about: ObjectReference,
        kind: Kind,
        reason: &str,
        action: &str,
        note: &str,
    ) {
        let namespace = about
            .namespace
            .clone()
            .unwrap_or_else(|| "default".to_owned());
        // Two Events of one moment need two names; the object's name is cut so that the whole stays a valid one.
        let unique = now.as_nanosecond() + i128::from(self.count.fetch_add(1, Ordering::Relaxed));
        let name = format!("{}.{unique:x}", stem(about.name.as_deref()));
        let event = Event {
            metadata: ObjectMeta {
                namespace: Some(namespace.clone()),
                name: Some(name),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(self.controller.clone()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(format!("{kind:?}")),
            reason: Some(reason.to_owned()),
            action: Some(action.to_owned()),
            note: Some(cut(note).to_owned()),
            regarding: Some(about),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        if let Err(problem) = call(api.create(&PostParams::default(), &event)).await {
            warn!(reason, %problem, "Event could not be published");
        }
    }
}

/// As much of a name as leaves room for what makes an Event's own unique. Before a dot it must not end in a hyphen.
fn stem(name: Option<&str>) -> &str {
    let name = name.unwrap_or_default();
    name[..name.floor_char_boundary(220)].trim_end_matches(['-', '.'])
}

fn cut(note: &str) -> &str {
    &note[..note.floor_char_boundary(MAX_NOTE)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_where_a_valid_one_can_go_on() {
        assert_eq!(stem(Some("web")), "web");
        let long = format!("{}-.b", "a".repeat(218));
        assert_eq!(stem(Some(&long)), "a".repeat(218));
    }

    #[test]
    fn notes_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "ä".repeat(600);
        assert_eq!(cut(&format!("x{long}")).len(), 1023);
    }
}
