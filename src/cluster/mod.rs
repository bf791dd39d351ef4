//! What we read from the API server and write to it.

pub mod account_secret;
pub mod api_server;
pub mod apply;
pub mod events;
pub mod front_door;
pub mod leadership;
mod listed;
pub mod namespaces;
pub mod new_secret;
pub mod own_addresses;
pub mod readable;
pub mod retry_after;
pub mod scope;
pub mod secrets;
pub mod watched;

use std::future::Future;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Config};
use tracing::warn;

use crate::error::CallError;
pub(crate) use listed::listed;
use retry_after::RetryAfter;

/// No call takes longer than this.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The client that all calls go through.
///
/// # Errors
/// When certificates, keys or tokens of the configuration can't be used.
pub fn client(config: Config) -> kube::Result<Client> {
    Ok(ClientBuilder::try_from(config)?
        .with_layer(&RetryAfter)
        .build())
}

/// Bounds a call to the API server.
///
/// # Errors
/// When it fails, or has not answered within [`CALL_TIMEOUT`].
pub async fn call<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
    call_within(CALL_TIMEOUT, call).await
}

/// Bounds a call to the API server more narrowly.
///
/// # Errors
/// When it fails, or has not answered within `patience`.
pub async fn call_within<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(patience, call).await {
        Ok(answer) => answer.map_err(|source| CallError::Refused(Box::new(source))),
        Err(_) => Err(CallError::TimedOut(patience)),
    }
}

/// The same event about something else.
pub fn mapped<A, B>(event: Event<A>, change: impl FnOnce(A) -> B) -> Event<B> {
    match event {
        Event::Apply(object) => Event::Apply(change(object)),
        Event::Delete(object) => Event::Delete(change(object)),
        Event::InitApply(object) => Event::InitApply(change(object)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}

/// The HTTP status code with which the API server refused a list, or the watch that was to follow it; `None` if a watch failed
/// otherwise.
pub fn refusal(problem: &watcher::Error) -> Option<u16> {
    match problem {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

/// Whether a watch failed because its list is not allowed.
pub fn is_forbidden(problem: &watcher::Error) -> bool {
    matches!(problem, watcher::Error::InitialListFailed(_)) && refusal(problem) == Some(403)
}

/// Logs that a watch failed. It is taken up again by itself, from where it was; what it has shown so far still counts.
pub fn watch_failed(kind: &str, problem: &watcher::Error) {
    let advice = match refusal(problem) {
        Some(403) => "the operator's RBAC must allow list and watch",
        Some(404) => "the CRDs must be installed: certwright crds | kubectl apply -f -",
        _ => "it is taken up again",
    };
    warn!(kind, %problem, advice, "Watch failed");
}

/// A resourceVersion as a number, to tell older from newer.
///
/// Kubernetes 1.35 promises that they compare as integers; its storage has always made them so.
pub fn version(resource_version: &str) -> u64 {
    resource_version.parse().unwrap_or_default()
}
