//! What can go wrong while rolling out.

use std::error::Error as _;
use std::fmt::{self, Display};

use certwright_core::rollout::WorkloadName;

use crate::error::{CallError, Retry};

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
    /// Its Pods, or what they were made from, were not read.
    #[error("failed to list what belongs to {workload}")]
    List {
        /// Which.
        workload: Workload,
        /// Why.
        #[source]
        source: CallError,
    },
    /// There is more of that than is read.
    #[error("failed to list what belongs to {workload}: more than {most}")]
    TooMany {
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
    /// Its Pods were not all called.
    #[error("failed to call the Pods of {workload}: {why}")]
    CallPods {
        /// Which.
        workload: Workload,
        /// Why.
        why: String,
    },
    /// What may serve a certificate was not found.
    #[error("failed to find what serves certificates in namespace {namespace}")]
    FindServed {
        /// The namespace.
        namespace: String,
        /// Why.
        #[source]
        source: crate::error::Error,
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
    /// When to try again.
    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::ReadWorkload { source, .. }
            | Self::List { source, .. }
            | Self::MarkWorkload { source, .. }
            | Self::WriteStatus { source, .. } => source.retry(),
            Self::FindServed { source, .. } => source.retry(),
            Self::TooMany { .. } | Self::CallPods { .. } => Retry::Backoff,
        }
    }

    /// What is behind it, for the log.
    pub(super) fn cause(&self) -> String {
        self.source().map(ToString::to_string).unwrap_or_default()
    }
}
