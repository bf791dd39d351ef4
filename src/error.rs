//! What can go wrong between us and the cluster, and when to try again.

use std::time::Duration;

use kube::api::ObjectMeta;

/// An object's kind, namespace and name, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    kind: &'static str,
    name: String,
}

impl Object {
    /// Names an object; `namespace` is empty for cluster-wide kinds.
    pub fn new(kind: &'static str, namespace: &str, name: &str) -> Self {
        let name = if namespace.is_empty() {
            name.to_owned()
        } else {
            format!("{namespace}/{name}")
        };
        Self { kind, name }
    }

    /// Names the object this metadata is of.
    pub fn of(kind: &'static str, metadata: &ObjectMeta) -> Self {
        Self::new(
            kind,
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default(),
        )
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Why a reconcile did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A read failed.
    #[error("failed to read {object}")]
    Read {
        /// Of what.
        object: Object,
        /// Why.
        #[source]
        source: CallError,
    },
    /// A write failed.
    #[error("failed to write {object}")]
    Write {
        /// Of what.
        object: Object,
        /// Why.
        #[source]
        source: CallError,
    },
    /// A background thread died.
    #[error("failed to make a private key")]
    MakeKey(#[source] tokio::task::JoinError),
}

/// Why one call to the API server failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It did not answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// What was read is not what was planned with any more.
    #[error("it has changed meanwhile")]
    Changed,
    /// It said no, or could not be reached.
    #[error(transparent)]
    Refused(#[from] Box<kube::Error>),
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Somebody else was faster: at once, with what is there now.
    Reread,
    /// After a while that grows.
    Backoff,
    /// After the time the server named.
    After(Duration),
    /// The object or its namespace is going: no more than a last look.
    Gone,
}

impl Error {
    /// One word of a closed set, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Read { .. } => "Read",
            Self::Write { source, .. } if source.retry() == Retry::Reread => "Conflict",
            Self::Write { .. } => "Write",
            Self::MakeKey(_) => "MakeKey",
        }
    }

    /// Why the API server will not take this write however often it is tried, for the user; `None` if it may yet.
    pub fn refusal(&self) -> Option<String> {
        let Self::Write { object, source } = self else {
            return None;
        };
        let CallError::Refused(refused) = source else {
            return None;
        };
        let kube::Error::Api(status) = refused.as_ref() else {
            return None;
        };
        let lasting = matches!(status.code, 400..=499)
            && source.retry() == Retry::Backoff
            && !matches!(status.code, 401 | 408 | 429);
        lasting.then(|| {
            format!(
                "The API server refuses to store {object}: {}",
                status.message
            )
        })
    }

    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => source.retry(),
            Self::MakeKey(_) => Retry::Backoff,
        }
    }
}

impl CallError {
    /// When to try again.
    pub fn retry(&self) -> Retry {
        let source = match self {
            Self::Refused(source) => source,
            Self::Changed => return Retry::Reread,
            Self::TimedOut(_) => return Retry::Backoff,
        };
        let kube::Error::Api(status) = source.as_ref() else {
            return Retry::Backoff;
        };
        let terminating = || status.message.contains("because it is being terminated");
        let named = status
            .details
            .as_ref()
            .map(|details| u64::from(details.retry_after_seconds))
            .filter(|seconds| *seconds > 0);
        match status.code {
            409 => Retry::Reread,
            404 => Retry::Gone,
            403 if terminating() => Retry::Gone,
            429 | 500..=599 => named.map_or(Retry::Backoff, |seconds| {
                Retry::After(Duration::from_secs(seconds.min(300)))
            }),
            _ => Retry::Backoff,
        }
    }

    /// Whether the server says that there is no such object.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(source) if matches!(source.as_ref(), kube::Error::Api(status) if status.code == 404))
    }
}
