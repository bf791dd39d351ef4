//! What can go wrong while rolling out.

use std::error::Error as _;
use std::fmt::{self, Display};
use std::future::Future;
use std::time::Duration;

use certwright_core::rollout::WorkloadName;
use kube::Resource;
use kube::runtime::controller;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a workload was not looked after, or a status not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The workload was not read.
    #[error("failed to read {workload}")]
    ReadWorkload {
        /// Which.
        workload: Workload,
        /// Why.
        #[source]
        source: CallError,
    },
    /// Its Pods were not read.
    #[error("failed to list the Pods of {workload}")]
    ListPods {
        /// Which.
        workload: Workload,
        /// Why.
        #[source]
        source: CallError,
    },
    /// It has more Pods than are read.
    #[error("failed to list the Pods of {workload}: more than {most}")]
    TooManyPods {
        /// Which.
        workload: Workload,
        /// How many are read.
        most: u32,
    },
    /// It was not marked.
    #[error("failed to mark {workload}")]
    MarkWorkload {
        /// Which.
        workload: Workload,
        /// Why.
        #[source]
        source: CallError,
    },
    /// A Certificate's status was not written.
    #[error("failed to write the rollout of Certificate {name}")]
    WriteStatus {
        /// Namespace and name.
        name: String,
        /// Why.
        #[source]
        source: CallError,
    },
}

/// Why a call to the API server failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// It took too long.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// It was refused, or did not get through.
    #[error(transparent)]
    Refused(Box<kube::Error>),
}

/// A workload, as it is named in messages.
#[derive(Debug)]
pub(super) struct Workload(pub(super) WorkloadName);

impl Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WorkloadName {
            kind,
            namespace,
            name,
        } = &self.0;
        write!(f, "{} {namespace}/{name}", kind.as_str())
    }
}

impl Error {
    /// Whether what was written to had changed since it was read.
    pub(super) fn is_conflict(&self) -> bool {
        let (Self::MarkWorkload { source, .. } | Self::WriteStatus { source, .. }) = self else {
            return false;
        };
        matches!(source, CallError::Refused(refused)
            if matches!(&**refused, kube::Error::Api(status) if status.is_conflict()))
    }

    /// What is behind it, for the log.
    pub(super) fn cause(&self) -> String {
        self.source().map(ToString::to_string).unwrap_or_default()
    }
}

/// Makes a call to the API server, for as long as one may take.
pub(super) async fn call<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(answer) => answer.map_err(|error| CallError::Refused(Box::new(error))),
        Err(_) => Err(CallError::TimedOut(TIMEOUT)),
    }
}

/// Logs what a controller's own machinery met; what a reconcile met was logged where its retry was decided.
pub(super) async fn log_watch<K: Resource>(
    result: Result<(ObjectRef<K>, controller::Action), controller::Error<Error, watcher::Error>>,
) where
    K::DynamicType: Eq + std::hash::Hash,
{
    if let Err(controller::Error::QueueError(error)) = result {
        tracing::warn!(%error, "Watch broke off, will be begun anew");
    }
}
