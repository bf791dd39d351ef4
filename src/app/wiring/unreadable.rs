//! Telling of objects that can't be read: once for each time they are seen so, by the replica that leads.

use std::collections::BTreeMap;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use k8s_openapi::api::core::v1::ObjectReference;
use tracing::warn;

use crate::app::tasks::Tasks;
use crate::cluster::events::Kind;
use crate::cluster::readable::Broken;
use crate::controller::Context;

/// Starts the task that tells of them.
pub(super) fn start(tasks: &mut Tasks, context: &Arc<Context>, broken: UnboundedReceiver<Broken>) {
    let context = Arc::clone(context);
    tasks.following("reporter of unreadable objects", async move {
        let mut found = Found::new(broken);
        loop {
            let leading = async { drop(context.leadership.term().await) };
            for broken in found.next(leading).await {
                tell(&context, broken).await;
            }
        }
    });
}

/// What was found, and not told of yet.
struct Found {
    broken: UnboundedReceiver<Broken>,
    untold: BTreeMap<ObjectName, Broken>,
}

/// Kind, namespace and name.
type ObjectName = (Option<String>, Option<String>, Option<String>);

impl Found {
    fn new(broken: UnboundedReceiver<Broken>) -> Self {
        Self {
            broken,
            untold: BTreeMap::new(),
        }
    }

    /// Each object that was found since the last time, as it was last seen, once this replica is `leading`. Where nobody is
    /// left to find any, because the process stops, it never comes back.
    async fn next(&mut self, leading: impl Future<Output = ()>) -> Vec<Broken> {
        let mut leading = pin!(leading);
        loop {
            tokio::select! {
                found = self.broken.next() => {
                    let Some(found) = found else { return pending().await };
                    let ObjectReference { kind, namespace, name, .. } = found.about.clone();
                    self.untold.insert((kind, namespace, name), found);
                }
                () = &mut leading, if !self.untold.is_empty() => {
                    return std::mem::take(&mut self.untold).into_values().collect();
                }
            }
        }
    }
}

async fn tell(context: &Context, Broken { about, problem }: Broken) {
    warn!(
        kind = about.kind,
        namespace = about.namespace,
        name = about.name,
        problem,
        "Object can't be read"
    );
    let note = format!(
        "It can't be read, and is left alone: {problem}. Was it written for another version of Certwright? Apply it anew."
    );
    let (now, events) = (context.clock.now(), &context.events);
    events
        .publish(now, about, Kind::Warning, "Unreadable", "Read", &note)
        .await;
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::channel::mpsc::unbounded;

    use super::*;

    #[test]
    fn that_nobody_is_left_to_find_any_is_no_failure() {
        let (to, from) = unbounded();
        drop(to);
        assert!(Found::new(from).next(pending()).now_or_never().is_none());
    }

    #[test]
    fn what_was_found_waits_until_this_replica_leads() {
        let (to, from) = unbounded();
        to.unbounded_send(Broken {
            about: ObjectReference::default(),
            problem: "it is no Certificate".to_owned(),
        })
        .unwrap();
        let mut found = Found::new(from);
        assert!(found.next(pending()).now_or_never().is_none());
        let told = found.next(async {}).now_or_never().unwrap();
        assert_eq!(told[0].problem, "it is no Certificate");
        assert!(found.next(async {}).now_or_never().is_none());
    }
}
