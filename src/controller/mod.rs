//! The only room that knows both plans and issuers: gather, plan, act, write the status, look again.

mod act;
mod certificate;
mod gather;
mod issuer;
pub mod watches;

use std::sync::Arc;
use std::time::{Duration, Instant};

use certwright_core::api::Group;
use certwright_core::plan::Settings;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::runtime::controller::Action;
use tokio::sync::Semaphore;
use tracing::{info, warn};

pub use certificate::run as run_certificates;
pub use issuer::{IssuerKind, run as run_issuers};

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::cluster::events::Events;
use crate::cluster::secrets::{Named, Secrets};
use crate::error::{Error, Retry};
use crate::health::{Heartbeats, Readiness};
use crate::issuer::Issuers;
use crate::metrics::Metrics;
use watches::Certificates;

/// A reconcile that takes longer than this is reported as stuck: each of its calls is bounded, and RSA keys are made in turn.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long to wait when somebody else was faster: the watch has usually caught up by then.
const REREAD: Duration = Duration::from_millis(200);
/// Objects that are going are looked at once more after this, should they stay after all.
const GONE: Duration = Duration::from_secs(300);

/// What the controllers share.
pub struct Context {
    /// The client all calls go through.
    pub client: Client,
    /// Our API group.
    pub group: Group,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The operator's settings.
    pub settings: Settings,
    /// How many objects each controller works on at once.
    pub concurrency: u16,
    /// The Secrets.
    pub secrets: Arc<Secrets>,
    /// The Certificates.
    pub certificates: Arc<Certificates>,
    /// The issuers.
    pub issuers: Arc<Issuers>,
    /// Where Events go.
    pub events: Events,
    /// What is counted.
    pub metrics: Metrics,
    /// What was read before anything is decided.
    pub readiness: Readiness,
    /// What tells that a task is stuck.
    pub heartbeats: Heartbeats,
    /// Places for making RSA keys.
    pub key_makers: Arc<Semaphore>,
}

impl Context {
    /// The time of a reconcile, read once, in whole seconds as the API server keeps it.
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    /// Counts a reconcile, and turns its failure into a wait.
    fn settle(
        &self,
        controller: &'static str,
        backoff: &Backoff<Named>,
        name: &Named,
        began: Instant,
        result: Result<Action, Error>,
    ) -> Action {
        let took = began.elapsed();
        match result {
            Ok(action) => {
                backoff.succeeded(name);
                self.metrics.reconciled(controller, "success", took);
                action
            }
            Err(problem) => {
                self.metrics.reconciled(controller, "error", took);
                self.metrics.failed(controller, problem.reason());
                let source = std::error::Error::source(&problem)
                    .map(ToString::to_string)
                    .unwrap_or_default();
                let wait = match problem.retry() {
                    Retry::Reread => REREAD,
                    Retry::After(wait) => wait,
                    Retry::Gone => GONE,
                    Retry::Backoff => backoff.failed(name),
                };
                if matches!(problem.retry(), Retry::Backoff | Retry::After(_)) {
                    warn!(%problem, source, wait_seconds = wait.as_secs_f32(), "Reconcile failed");
                } else {
                    info!(%problem, source, "Reconcile gave way");
                }
                Action::requeue(wait)
            }
        }
    }
}

/// Looks again at a moment.
fn at(now: Timestamp, moment: Timestamp) -> Action {
    let wait = moment.duration_since(now).max(SignedDuration::from_secs(1));
    Action::requeue(wait.try_into().unwrap_or(REREAD))
}
