//! Carries new certificates into the workloads that read them.
//!
//! Everything is decided in [`certwright_core::rollout`]. Here the workloads are watched (`discover`), one of them
//! is read, judged and marked (`act`) or has its Pods called (`call`), once it is its turn (`turns`), and a Certificate is
//! told how far its own has come (`status`).

mod act;
mod call;
mod context;
mod discover;
mod error;
mod foreign;
mod ingresses;
mod installed;
mod kinds;
mod paced;
mod pages;
mod proofs;
mod prove;
mod refused;
mod report;
mod status;
#[cfg(test)]
mod tests;
mod turns;

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::ready;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use certwright_core::api::certificate::RolloutStrategy;
use certwright_core::api::{Certificate, Group};
use certwright_core::rollout::{
    Foreign, Held, Misconfigured, OtherKinds, Policy, SourceName, Workload, WorkloadName,
};
use futures::future::join_all;
use futures::stream::pending;
use futures::{Stream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::controller::{Action, Config, Controller, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use tokio_util::sync::CancellationToken;

use crate::cluster::scope::Scope;
use crate::error::Retry;
use crate::outside::{Allowed, Outside};
use context::Context;

/// How many workloads of a kind, or Certificates, are worked on at a time.
const CONCURRENCY: u16 = 8;

/// What the rollout has to know of the rest of the operator.
pub trait Surroundings: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Whether this replica may write: whether it holds the lease, now.
    fn may_write(&self) -> bool;

    /// Comes back once this replica may write, with what is cancelled when it may no more.
    fn term(&self) -> impl Future<Output = CancellationToken> + Send;

    /// The certificate held in a Secret, if the Secret is ours and holds one.
    ///
    /// Never older than our own last write: a workload would be rolled back to the certificate before. `None` as
    /// long as nothing is known is fine.
    fn held(&self, source: &SourceName) -> Option<Held>;

    /// What is to be done to the readers of a Secret or ConfigMap that isn't ours, or why that can't be read; `None` as long as
    /// it isn't known what its namespace says.
    fn policy(&self, foreign: &Foreign) -> Option<Result<Policy, Misconfigured>>;

    /// Takes note that what a Secret or ConfigMap holds has changed that isn't ours.
    fn changed(&self, foreign: &SourceName);

    /// A Certificate as last seen or written by anybody of us, where that may be ahead of [`Rollout::certificates`].
    fn certificate(&self, namespace: &str, name: &str) -> Option<Arc<Certificate>>;

    /// Takes note of a Certificate whose status was written, ahead of the watch.
    fn wrote(&self, certificate: Certificate);

    /// Takes note of a workload that was restarted or called.
    fn carried(&self, strategy: RolloutStrategy);

    /// Takes note that the status of a Certificate, just written, says that a workload refuses what it holds.
    fn refused(&self, namespace: &str, name: &str);

    /// Takes note of a certificate that all dependents were seen to serve, so long after it was issued.
    fn served(&self, after: SignedDuration);

    /// Publishes an Event. It may fail in silence.
    fn publish(&self, report: Report) -> impl Future<Output = ()> + Send;
}

/// An Event about a workload or a Certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The object.
    pub about: ObjectReference,
    /// Whether someone should look.
    pub warning: bool,
    /// One word for what happened, such as `RolledOut`.
    pub reason: &'static str,
    /// What was done, or was to be done.
    pub action: &'static str,
    /// The same in a sentence; cut it to what the API server takes.
    pub note: String,
}

/// Something to look at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// What [`Surroundings::held`] says of this Secret or ConfigMap has changed, or is known for the first time.
    Source(SourceName),
    /// A Certificate has changed, or is known for the first time.
    Certificate {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// What [`Surroundings::held`] says of all Secrets of this namespace may have changed.
    Namespace(String),
    /// The same of all Secrets.
    Everything,
}

/// What the rollout works with.
pub struct Rollout<S> {
    /// The API server. It must not retry by itself: that is decided here.
    pub client: Client,
    /// Under which group and manager marks are written.
    pub group: Group,
    /// The rest of the operator.
    pub surroundings: Arc<S>,
    /// The Certificates, kept up to date by someone else.
    pub certificates: Store<Certificate>,
    /// Which namespaces' workloads are watched.
    pub scope: Scope,
    /// Which kinds of them, besides Deployments, StatefulSets and DaemonSets.
    pub kinds: OtherKinds,
    /// Which addresses are never called.
    pub allowed: Allowed,
    /// How many workloads are taken up at once, whichever Certificates they are of.
    pub limits: Limits,
    /// How it is proven that certificates are served; `None` if it is not.
    pub probing: Option<Probing>,
}

/// How it is proven that certificates are served.
#[derive(Clone)]
pub struct Probing {
    /// The way to hosts.
    pub outside: Arc<Outside>,
    /// How long after something was seen to be served it is looked at again.
    pub interval: SignedDuration,
}

/// How many workloads of the cluster may be under way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many.
    pub in_cluster: usize,
    /// How long one counts that does not come up.
    pub counted_for: SignedDuration,
}

/// Rolls out until `stop` is cancelled, and comes back when what was under way has ended.
///
/// Workloads are watched here; `notices` says what else has changed. None of them is needed twice, and one about
/// something unknown does no harm. Comes back early only if a watch's own task ends, which is an error of ours.
pub async fn run<S: Surroundings>(
    rollout: Rollout<S>,
    notices: impl Stream<Item = Notice> + Send,
    stop: CancellationToken,
) {
    let (context, sources) = Context::new(rollout);
    let context = &Arc::new(context);
    let kinds = sources.workloads.into_iter();
    futures::join!(
        join_all(kinds.map(|source| workloads(context, source, &stop))),
        certificates(context, sources.certificates, &stop),
        proofs(context, sources.proofs, &stop),
        ingresses::follow(context, sources.ingresses, &stop),
        foreign::follow(context, sources.foreign, &stop),
        forward(context, notices, &stop),
        terms(context, &stop),
    );
}

/// Has everything looked at whenever this replica comes to lead: until then nothing was done about it.
async fn terms<S: Surroundings>(context: &Context<S>, stop: &CancellationToken) {
    let lead = async {
        loop {
            let term = context.surroundings.term().await;
            context.begin_term();
            term.cancelled().await;
        }
    };
    stop.run_until_cancelled(lead).await;
}

async fn forward<S: Surroundings>(
    context: &Context<S>,
    notices: impl Stream<Item = Notice> + Send,
    stop: &CancellationToken,
) {
    let mut notices = pin!(notices.take_until(stop.cancelled()));
    while let Some(notice) = notices.next().await {
        context.notice(&notice);
    }
}

async fn workloads<S: Surroundings>(
    context: &Arc<Context<S>>,
    source: kinds::Source,
    stop: &CancellationToken,
) {
    let Some(of_kind) = context.watched(&source.kind) else {
        return;
    };
    let watch = discover::follow(context, of_kind, source.writer, stop);
    // The watch does not trigger it: objects of a new list are looked at only once the store has them.
    let wakes = source.wakes.map(Ok::<_, Infallible>);
    let results = applier(
        |workload: Arc<Workload>, context: Arc<Context<S>>| {
            Box::pin(async move {
                let action = act::reconcile(&workload, &context).await?;
                context.backoff.succeeded(&WorkloadName::from(&*workload));
                Ok(action)
            })
        },
        |workload, error, context| again(&context.backoff, &WorkloadName::from(&*workload), error),
        Arc::clone(context),
        of_kind.store.clone(),
        wakes.take_until(stop.clone().cancelled_owned()),
        Config::default().concurrency(CONCURRENCY),
    );
    futures::join!(watch, results.for_each(|_| ready(())));
}

async fn certificates<S: Surroundings>(
    context: &Arc<Context<S>>,
    wakes: impl Stream<Item = ObjectRef<Certificate>> + Send + 'static,
    stop: &CancellationToken,
) {
    let results = of_certificates(context, wakes, status::GATHER, stop).run(
        |certificate, context| async move {
            let action = status::reconcile(Arc::clone(&certificate), &context).await?;
            context
                .status_backoff
                .succeeded(&context.certificate_ref(&certificate));
            Ok(action)
        },
        |certificate, error, context| {
            let certificate = context.certificate_ref(&certificate);
            again(&context.status_backoff, &certificate, error)
        },
        Arc::clone(context),
    );
    results.for_each(|_| ready(())).await;
}

async fn proofs<S: Surroundings>(
    context: &Arc<Context<S>>,
    wakes: impl Stream<Item = ObjectRef<Certificate>> + Send + 'static,
    stop: &CancellationToken,
) {
    let results = of_certificates(context, wakes, prove::GATHER, stop).run(
        |certificate, context| async move {
            let action = prove::reconcile(Arc::clone(&certificate), &context).await?;
            context
                .proof_backoff
                .succeeded(&context.certificate_ref(&certificate));
            Ok(action)
        },
        |certificate, error, context| {
            let certificate = context.certificate_ref(&certificate);
            again(&context.proof_backoff, &certificate, error)
        },
        Arc::clone(context),
    );
    results.for_each(|_| ready(())).await;
}

/// A controller of Certificates that are named by `wakes`: someone else watches them.
fn of_certificates<S: Surroundings>(
    context: &Context<S>,
    wakes: impl Stream<Item = ObjectRef<Certificate>> + Send + 'static,
    gather: Duration,
    stop: &CancellationToken,
) -> Controller<Certificate> {
    let config = Config::default().concurrency(CONCURRENCY).debounce(gather);
    let (store, group) = (context.certificates.clone(), context.group.clone());
    Controller::for_stream_with(pending(), store, group)
        .reconcile_on(wakes)
        .with_config(config)
        .graceful_shutdown_on(stop.clone().cancelled_owned())
}

fn again<K: Eq + Hash + Clone + Debug>(
    backoff: &crate::backoff::Backoff<K>,
    object: &K,
    error: &error::Error,
) -> Action {
    let retry = error.retry();
    let wait = backoff.after(object, retry);
    let cause = error.cause();
    match retry {
        Retry::Reread | Retry::Soon | Retry::Gone => {
            tracing::debug!(?object, %error, cause, ?wait, "Gave way")
        }
        Retry::Backoff | Retry::After(_) => {
            tracing::warn!(?object, %error, cause, ?wait, "Rollout failed, will try again");
        }
    }
    Action::requeue(wait)
}
