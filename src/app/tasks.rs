//! The tasks of the process: started and awaited here, and nowhere else.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::bail;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How long tasks may take to end once they were told to.
const GRACE: Duration = Duration::from_secs(20);

/// The tasks of the process. Each ends only when it is told to.
pub(super) struct Tasks {
    /// Tells all of them to end.
    pub(super) stop: CancellationToken,
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            running: JoinSet::new(),
            names: HashMap::new(),
        }
    }

    /// Starts a task that sees to its own end at `stop`.
    pub(super) fn serving(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let started = self.running.spawn(task);
        self.names.insert(started.id(), name);
    }

    /// Starts a task that has nothing to finish: it is dropped at `stop`.
    pub(super) fn following(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = self.stop.clone();
        self.serving(name, async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Waits for all tasks. One that ends early ends them all.
    pub(super) async fn join(mut self) -> anyhow::Result<()> {
        let mut failure = None;
        if let Some(ended) = self.running.join_next_with_id().await {
            failure = failure_of(&self.names, ended, self.stop.is_cancelled());
            self.stop.cancel();
        }
        let rest = async {
            while let Some(ended) = self.running.join_next_with_id().await {
                let failed = failure_of(&self.names, ended, true);
                failure = failure.take().or(failed);
            }
        };
        if tokio::time::timeout(GRACE, rest).await.is_err() {
            warn!("Some work did not end in time and is given up");
        }
        match failure {
            Some(failure) => bail!(failure),
            None => Ok(()),
        }
    }
}

/// Why a task should not have ended so, if it should not.
fn failure_of(
    names: &HashMap<Id, &'static str>,
    ended: Result<(Id, ()), JoinError>,
    told_to: bool,
) -> Option<String> {
    let name = |id| names.get(&id).copied().unwrap_or("unnamed task");
    match ended {
        Ok((id, ())) => (!told_to).then(|| format!("the {} ended by itself", name(id))),
        Err(problem) => Some(format!("the {} failed: {problem}", name(problem.id()))),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    async fn joined(tasks: Tasks) -> String {
        tasks
            .join()
            .await
            .map_or_else(|failure| failure.to_string(), |()| "well".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn all_end_well_when_told_to() {
        let mut tasks = Tasks::new(CancellationToken::new());
        let stop = tasks.stop.clone();
        let finished = Arc::new(AtomicBool::new(false));
        let (told, work) = (stop.clone(), Arc::clone(&finished));
        tasks.serving("server", async move {
            told.cancelled().await;
            tokio::time::sleep(GRACE / 2).await;
            work.store(true, Ordering::SeqCst);
        });
        tasks.following("watch", pending());
        stop.cancel();
        assert_eq!(joined(tasks).await, "well");
        assert!(
            finished.load(Ordering::SeqCst),
            "what is under way is awaited"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_ends_by_itself_ends_the_others() {
        let mut tasks = Tasks::new(CancellationToken::new());
        let stop = tasks.stop.clone();
        tasks.following("watch", async {});
        let told = stop.clone();
        tasks.serving("server", async move { told.cancelled().await });
        assert_eq!(joined(tasks).await, "the watch ended by itself");
        assert!(stop.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_panics_is_named_also_at_the_end() {
        for early in [true, false] {
            let mut tasks = Tasks::new(CancellationToken::new());
            let stop = tasks.stop.clone();
            let told = stop.clone();
            tasks.serving("controller", async move {
                if !early {
                    told.cancelled().await;
                }
                panic!("oh");
            });
            tasks.following("watch", pending());
            if !early {
                stop.cancel();
            }
            let failure = joined(tasks).await;
            assert!(
                failure.starts_with("the controller failed: ") && failure.contains("oh"),
                "{failure}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_end_in_time_is_given_up() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.serving("server", pending());
        tasks.following("watch", pending());
        tasks.stop.cancel();
        let began = tokio::time::Instant::now();
        assert_eq!(joined(tasks).await, "well");
        assert_eq!(began.elapsed().as_secs(), GRACE.as_secs());
    }
}
