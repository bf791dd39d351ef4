//! The only room that knows both plans and issuers: gather, plan, act, write the status, look again.

mod account;
mod act;
mod certificate;
mod gather;
mod issuer;
mod outside;
mod places;
mod previous;
mod renewal;
mod revoke;
mod served_check;
mod tell;
mod terms;
mod untold;
pub mod watches;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use certwright_core::api::Group;
use certwright_core::plan::Settings;
use futures::FutureExt;
use futures::channel::mpsc::UnboundedSender;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::api::ObjectMeta;
use kube::runtime::controller::Action;
use tokio::sync::{Notify, Semaphore};
use tracing::{debug, warn};

pub use certificate::{CONTROLLER as CERTIFICATE, run as run_certificates};
pub use gather::issuer_key;
pub use issuer::{IssuerKind, run as run_issuers};
pub use places::Places;
pub use served_check::{CONTROLLER as SERVED_CHECK, run as run_served_checks};
pub use untold::Untold;

use crate::backoff::Backoff;
use crate::clock::{self, Clock};
use crate::cluster::events::{Events, Kind};
use crate::cluster::leadership::Leadership;
use crate::cluster::secrets::{IssuerKey, Named, Secrets};
use crate::error::{Error, Retry};
use crate::health::{Heartbeats, Readiness};
use crate::issuer::Issuers;
use crate::issuer::acme::{RenewalPolls, Ways};
use crate::metrics::Metrics;
use watches::Certificates;

/// A reconcile that takes longer than this is reported as stuck: each of its calls is bounded, and RSA keys are made in turn.
const PATIENCE: Duration = Duration::from_secs(300);

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
    /// Told of each issuer whose CA wants its account no more.
    pub lost_accounts: UnboundedSender<IssuerKey>,
    /// How ACME CAs find our answers.
    pub ways: Ways,
    /// When CAs are asked when to renew.
    pub renewal_polls: RenewalPolls,
    /// Orders that no status tells of yet.
    pub untold: Untold,
    /// Told when something of an order may be left that nobody comes back for.
    pub left_over: Notify,
    /// Whether this replica may write.
    pub leadership: Leadership,
    /// Where Events go.
    pub events: Events,
    /// What is counted.
    pub metrics: Metrics,
    /// What was read before anything is decided.
    pub readiness: Readiness,
    /// What tells that a task is stuck.
    pub heartbeats: Heartbeats,
    /// Places at what is done outside the cluster.
    pub places: Places,
    /// Places for making RSA keys.
    pub key_makers: Arc<Semaphore>,
    /// The failures in a row of each controller's objects.
    pub backoff: Backoff<(&'static str, Named)>,
}

impl Context {
    /// Publishes the Warning that goes with a condition somebody should look at.
    async fn warn(
        &self,
        now: Timestamp,
        about: ObjectReference,
        reason: &str,
        action: &str,
        message: &str,
    ) {
        self.events
            .publish(now, about, Kind::Warning, reason, action, message)
            .await;
    }

    /// The time of a reconcile, read once, in whole seconds as the API server keeps it.
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    /// An issuer's CA wants its account no more: it is asked anew, and the issuer says at once what came of it.
    fn lost_account(&self, issuer: IssuerKey) {
        self.issuers.forget_account(&issuer);
        // The other end only goes when the process stops.
        let _ = self.lost_accounts.unbounded_send(issuer);
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, controller: &'static str, metadata: &ObjectMeta) {
        let name = Named::of(metadata);
        if controller == CERTIFICATE {
            self.renewal_polls.forget(&name);
            self.untold.forget(&name);
        }
        self.backoff.succeeded(&(controller, name));
    }

    /// Takes an object's next step: counts it, and turns its failure into a wait. A panic is one too, so that an object
    /// that our code stumbles over hurts only itself.
    async fn attend(
        &self,
        controller: &'static str,
        name: Named,
        step: impl Future<Output = Result<Action, Error>>,
    ) -> Action {
        let began = Instant::now();
        let result = AssertUnwindSafe(step).catch_unwind().await;
        self.settle(
            controller,
            name,
            began,
            result.unwrap_or(Err(Error::Panicked)),
        )
    }

    fn settle(
        &self,
        controller: &'static str,
        name: Named,
        began: Instant,
        result: Result<Action, Error>,
    ) -> Action {
        let took = began.elapsed();
        let key = (controller, name);
        let problem = match result {
            Ok(action) => {
                self.backoff.succeeded(&key);
                self.metrics.reconciled(controller, "success", took);
                return action;
            }
            Err(problem) => problem,
        };
        let retry = problem.retry();
        let wait = self.backoff.after(&key, retry);
        if retry == Retry::Soon {
            self.metrics.reconciled(controller, "waiting", took);
        } else {
            self.metrics.reconciled(controller, "error", took);
            self.metrics.failed(controller, problem.reason());
        }
        let (cause, seconds) = (problem.cause(), wait.as_secs_f32());
        match retry {
            Retry::Reread | Retry::Soon | Retry::Gone => {
                debug!(%problem, cause, wait_seconds = seconds, "Gave way")
            }
            Retry::Backoff | Retry::After(_) => {
                warn!(%problem, cause, wait_seconds = seconds, "Reconcile failed")
            }
        }
        Action::requeue(wait)
    }
}

/// Looks again at a moment.
fn at(now: Timestamp, moment: Timestamp) -> Action {
    Action::requeue(clock::wait(now, moment).max(Duration::from_secs(1)))
}
