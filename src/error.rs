//! What can go wrong between us and the cluster, and when to try again.

use std::time::Duration;

use kube::api::ObjectMeta;
use kube::core::Status;

use crate::cluster::leadership::NotLeading;

/// How much of what somebody else says reaches a status, in bytes.
const MAX_FOREIGN: usize = 1024;

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
    /// The CA of this issuer is slow, and somebody else waits for it.
    #[error("the CA of {0} is being asked by somebody else")]
    NotInTurn(Object),
    /// A background thread died.
    #[error("failed to make a private key")]
    MakeKey(#[source] tokio::task::JoinError),
    /// Our code stumbled. The thread's own message, with the place, is on standard error.
    #[error("stumbled over a defect of Certwright; please report it")]
    Panicked,
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
    /// That something isn't there was answered, and not in the API server's own words: it may have been cut off, or be of
    /// somebody in between.
    #[error("its answer can't be read")]
    Garbled,
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
    /// Nothing failed: after a moment.
    Soon,
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
            Self::NotInTurn(_) => "NotInTurn",
            Self::MakeKey(_) => "MakeKey",
            Self::Panicked => "Panicked",
        }
    }

    /// Why the API server will not take this write however often it is tried, for the user; `None` if it may yet.
    pub fn refusal(&self) -> Option<String> {
        let Self::Write { object, source } = self else {
            return None;
        };
        let status = source.status()?;
        let lasting = matches!(status.code, 400..=499)
            && source.retry() == Retry::Backoff
            && !matches!(status.code, 401 | 408 | 429);
        lasting.then(|| {
            let said = &status.message[..status.message.floor_char_boundary(MAX_FOREIGN)];
            format!("The API server refuses to store {object}: {said}")
        })
    }

    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => source.retry(),
            Self::NotInTurn(_) => Retry::Soon,
            Self::MakeKey(_) | Self::Panicked => Retry::Backoff,
        }
    }

    /// Whether a write may have been done although it failed, or was decided on something old: what is there has to be
    /// looked at before the next try.
    pub fn leaves_doubt(&self) -> bool {
        let status = match self {
            Self::Write { source, .. } => source.status(),
            _ => return false,
        };
        status.is_none_or(|status| !matches!(status.code, 400..=499) || status.code == 409)
    }

    /// What is behind it, for the log.
    pub fn cause(&self) -> String {
        let source = std::error::Error::source(self);
        source.map(ToString::to_string).unwrap_or_default()
    }

    /// What went wrong, for the user.
    pub fn told(&self) -> String {
        let cause = self.cause();
        let cause = &cause[..cause.floor_char_boundary(MAX_FOREIGN)];
        match cause {
            "" => self.to_string(),
            cause => format!("{self}: {cause}"),
        }
    }
}

impl CallError {
    /// When to try again.
    pub fn retry(&self) -> Retry {
        if matches!(self, Self::Changed) {
            return Retry::Reread;
        }
        let Some(status) = self.status() else {
            // Whoever leads next looks at it anew.
            return if self.is_not_leading() {
                Retry::Reread
            } else {
                Retry::Backoff
            };
        };
        let terminating = || status.message.contains("because it is being terminated");
        let named = status
            .details
            .as_ref()
            .map(|details| u64::from(details.retry_after_seconds))
            .filter(|s| *s > 0);
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

    /// The HTTP status code of the API server's answer, if it is what failed the call.
    pub fn code(&self) -> Option<u16> {
        self.status().map(|status| status.code)
    }

    /// Whether what was applied has a field that the API server knows nothing of: its definition is older than this program.
    pub fn is_undeclared(&self) -> bool {
        let said = self.status().map(|status| status.message.as_str());
        said.is_some_and(|message| message.contains("field not declared in schema"))
    }

    /// Whether the call was held back because this replica does not lead.
    pub fn is_not_leading(&self) -> bool {
        let Self::Refused(refused) = self else {
            return false;
        };
        matches!(refused.as_ref(), kube::Error::Service(source) if source.is::<NotLeading>())
    }

    /// What the API server said, if it is what failed the call.
    fn status(&self) -> Option<&Status> {
        let Self::Refused(refused) = self else {
            return None;
        };
        match refused.as_ref() {
            kube::Error::Api(status) => Some(status),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refused(code: u16, message: &str, details: &Value) -> CallError {
        let status =
            json!({ "status": "Failure", "code": code, "message": message, "details": details });
        let status: Status = serde_json::from_value(status).unwrap();
        Box::new(kube::Error::Api(Box::new(status))).into()
    }

    fn answered(code: u16) -> CallError {
        refused(code, "no", &Value::Null)
    }

    fn write(source: CallError) -> Error {
        let object = Object::new("Secret", "shop", "web-tls");
        Error::Write { object, source }
    }

    #[test]
    fn each_answer_has_its_time_to_try_again() {
        let cases = [
            (CallError::Changed, Retry::Reread),
            (CallError::Garbled, Retry::Backoff),
            (CallError::TimedOut(Duration::from_secs(10)), Retry::Backoff),
            (answered(401), Retry::Backoff),
            (answered(403), Retry::Backoff),
            (answered(404), Retry::Gone),
            (answered(409), Retry::Reread),
            (answered(422), Retry::Backoff),
            (answered(429), Retry::Backoff),
            (answered(500), Retry::Backoff),
        ];
        for (source, retry) in cases {
            assert_eq!(source.retry(), retry, "{source}");
        }
        let message =
            "unable to create new content in namespace shop because it is being terminated";
        assert_eq!(refused(403, message, &Value::Null).retry(), Retry::Gone);
    }

    #[test]
    fn the_servers_own_time_counts_where_it_is_about_load_and_within_bounds() {
        let after = |code, seconds: u32| {
            refused(code, "busy", &json!({ "retryAfterSeconds": seconds })).retry()
        };
        assert_eq!(after(429, 7), Retry::After(Duration::from_secs(7)));
        assert_eq!(after(504, 7), Retry::After(Duration::from_secs(7)));
        assert_eq!(after(429, 86_400), Retry::After(Duration::from_secs(300)));
        assert_eq!(after(429, 0), Retry::Backoff);
        assert_eq!(after(422, 7), Retry::Backoff);
    }

    #[test]
    fn only_a_lasting_no_is_a_refusal_and_it_is_cut() {
        let told = write(refused(422, &"x".repeat(5000), &Value::Null)).refusal();
        assert!(told.is_some_and(|told| told.len() < 1200 && told.contains("Secret shop/web-tls")));
        assert!(write(answered(403)).refusal().is_some());
        for code in [401, 404, 408, 409, 429, 500] {
            assert_eq!(write(answered(code)).refusal(), None, "{code}");
        }
        assert_eq!(write(CallError::Changed).refusal(), None);
    }

    #[test]
    fn a_write_is_in_doubt_unless_the_server_said_that_it_was_not_done() {
        for code in [409, 500, 504] {
            assert!(write(answered(code)).leaves_doubt(), "{code}");
        }
        assert!(write(CallError::TimedOut(Duration::from_secs(10))).leaves_doubt());
        for code in [403, 404, 422, 429] {
            assert!(!write(answered(code)).leaves_doubt(), "{code}");
        }
    }
}
