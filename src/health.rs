//! Whether the process is alive and ready, as its own tasks tell.
//!
//! Alive means that no task is stuck: each one that could hang promises to report again within a time that it names.
//! Ready means that each watch has been read once; that stays true while the API server is away, because what
//! was read is still served.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The promises of all tasks.
#[derive(Clone, Debug, Default)]
pub struct Heartbeats(Arc<Mutex<Promises>>);

#[derive(Debug, Default)]
struct Promises {
    next: u64,
    open: BTreeMap<u64, Promise>,
}

#[derive(Debug)]
struct Promise {
    task: String,
    due: Instant,
}

impl Heartbeats {
    /// Promises that `task` reports within `patience`: by a beat, or by ending (dropping the heartbeat).
    ///
    /// A loop keeps one heartbeat and beats at each turn; a single piece of work takes one for its length.
    #[must_use = "dropping it says that the task has ended"]
    pub fn promise(&self, task: impl Into<String>, patience: Duration) -> Heartbeat {
        let mut promises = self.lock();
        let id = promises.next;
        promises.next += 1;
        promises.open.insert(
            id,
            Promise {
                task: task.into(),
                due: Instant::now() + patience,
            },
        );
        drop(promises);
        Heartbeat {
            all: self.clone(),
            id,
            patience,
        }
    }

    /// The tasks whose promise is broken, oldest first.
    pub fn stuck(&self) -> Vec<Stuck> {
        let now = Instant::now();
        let mut stuck: Vec<Stuck> = self
            .lock()
            .open
            .values()
            .filter(|promise| promise.due < now)
            .map(|promise| Stuck {
                task: promise.task.clone(),
                overdue: now - promise.due,
            })
            .collect();
        stuck.sort_by_key(|stuck| std::cmp::Reverse(stuck.overdue));
        stuck
    }

    fn lock(&self) -> MutexGuard<'_, Promises> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One task's promise. Dropping it keeps the promise.
#[derive(Debug)]
pub struct Heartbeat {
    all: Heartbeats,
    id: u64,
    patience: Duration,
}

impl Heartbeat {
    /// Reports progress, and promises to do so again within the same time.
    pub fn beat(&self) {
        if let Some(promise) = self.all.lock().open.get_mut(&self.id) {
            promise.due = Instant::now() + self.patience;
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.all.lock().open.remove(&self.id);
    }
}

/// A task that did not report in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Which one.
    pub task: String,
    /// For how long its report has been due.
    pub overdue: Duration,
}

impl Display for Stuck {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} should have reported {} s ago",
            self.task,
            self.overdue.as_secs()
        )
    }
}

/// What has to happen before the process is ready.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<watch::Sender<BTreeSet<&'static str>>>);

impl Readiness {
    /// Not ready before each of `steps` has been reached.
    pub fn after(steps: impl IntoIterator<Item = &'static str>) -> Self {
        Self(Arc::new(watch::Sender::new(steps.into_iter().collect())))
    }

    /// Says that a step was reached. There is no way back.
    pub fn reached(&self, step: &str) {
        self.0.send_if_modified(|missing| missing.remove(step));
    }

    /// Comes back once every step has been reached.
    pub async fn complete(&self) {
        // The sender lives in `self`, so waiting can't fail.
        let _ = self.0.subscribe().wait_for(BTreeSet::is_empty).await;
    }

    /// The steps that are missing, in alphabetical order; ready when there is none.
    pub fn missing(&self) -> Vec<&'static str> {
        self.0.borrow().iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_task_is_stuck_when_it_stays_silent_for_longer_than_it_promised() {
        let heartbeats = Heartbeats::default();
        let watch = heartbeats.promise("watch of certificates", MINUTE);
        let _timer = heartbeats.promise("timer", 3 * MINUTE);
        tokio::time::advance(MINUTE).await;
        assert_eq!(heartbeats.stuck(), []);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(
            heartbeats.stuck(),
            [Stuck {
                task: "watch of certificates".into(),
                overdue: Duration::from_secs(1)
            }]
        );
        watch.beat();
        assert_eq!(heartbeats.stuck(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_silence_comes_first() {
        let heartbeats = Heartbeats::default();
        let _second = heartbeats.promise("second", 2 * MINUTE);
        let _first = heartbeats.promise("first", MINUTE);
        tokio::time::advance(10 * MINUTE).await;
        let names: Vec<String> = heartbeats
            .stuck()
            .into_iter()
            .map(|stuck| stuck.task)
            .collect();
        assert_eq!(names, ["first", "second"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ended_is_not_stuck() {
        let heartbeats = Heartbeats::default();
        drop(heartbeats.promise("reconcile of shop/web", MINUTE));
        tokio::time::advance(2 * MINUTE).await;
        assert_eq!(heartbeats.stuck(), []);
    }

    #[test]
    fn ready_comes_with_the_last_step_and_stays() {
        let readiness = Readiness::after(["secrets", "certificates"]);
        assert_eq!(readiness.missing(), ["certificates", "secrets"]);
        readiness.reached("secrets");
        assert_eq!(readiness.missing(), ["certificates"]);
        readiness.reached("certificates");
        readiness.reached("certificates");
        assert_eq!(readiness.missing(), Vec::<&str>::new());
    }
}
