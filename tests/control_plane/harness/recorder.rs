//! Every state that a Certificate goes through.

use std::sync::{Arc, Mutex};

use certwright_core::api::Certificate;
use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, watcher};
use tokio::task::JoinHandle;

use super::{Scene, eventually};

/// Writes down each state of a Certificate that a watch shows.
pub(crate) struct Recorder {
    seen: Arc<Mutex<Vec<Certificate>>>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Begins with the state as it is.
    pub(crate) async fn start(scene: &Scene<'_>, name: &str) -> Self {
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let config = Config::default().fields(&format!("metadata.name={name}"));
        let mut changes = watcher(scene.certificates(), config)
            .applied_objects()
            .boxed();
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while let Some(change) = changes.next().await {
                    seen.lock().unwrap().push(change.unwrap());
                }
            }
        });
        eventually("the recorder has seen something", async || {
            let empty = seen.lock().unwrap().is_empty();
            if empty { Err(String::new()) } else { Ok(()) }
        })
        .await;
        Self { seen, task }
    }

    /// All states so far.
    pub(crate) fn stop(self) -> Vec<Certificate> {
        self.task.abort();
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}
