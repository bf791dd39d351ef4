//! The API server's audit log: who really asked for what.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

/// One line of the audit log (`audit.k8s.io/v1` `Event`), as far as tests read it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AuditEvent {
    /// Unique per request; a watch has one event at its start and one at its end.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// `ResponseComplete`, or `ResponseStarted` for a watch that goes on.
    pub stage: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`; the HTTP method in lower case for other paths.
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// Who asked.
    pub user: AuditUser,
    /// The client's `User-Agent`.
    #[serde(default)]
    pub user_agent: String,
    /// The object asked for; none for paths such as `/readyz`.
    #[serde(default)]
    pub object_ref: Option<AuditObject>,
    /// The answer's status.
    #[serde(default)]
    pub response_status: Option<AuditStatus>,
    /// The request's body; at [`AuditLevel::RequestResponse`](crate::AuditLevel::RequestResponse) only.
    #[serde(default)]
    pub request_object: Option<Value>,
    /// The response's body; at [`AuditLevel::RequestResponse`](crate::AuditLevel::RequestResponse) only.
    #[serde(default)]
    pub response_object: Option<Value>,
    /// When the request came in, RFC 3339 with microseconds.
    pub request_received_timestamp: String,
    /// When it came to its stage, RFC 3339 with microseconds; for `ResponseComplete`, when it was answered.
    #[serde(default)]
    pub stage_timestamp: String,
    /// What authorization and admission noted.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

impl AuditEvent {
    /// Whether the request could change something.
    pub fn is_write(&self) -> bool {
        !matches!(
            self.verb.as_str(),
            "get" | "list" | "watch" | "head" | "options"
        )
    }

    /// The HTTP status code of the answer, 0 if there was none.
    pub fn code(&self) -> u16 {
        self.response_status
            .as_ref()
            .map_or(0, |status| status.code)
    }

    /// Whether it was about an object of this resource, such as `secrets`, and not about a subresource of one.
    pub fn is_about(&self, resource: &str) -> bool {
        self.object_ref
            .as_ref()
            .is_some_and(|object| object.resource == resource && object.subresource.is_empty())
    }
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct AuditUser {
    /// Such as `admin` or `system:serviceaccount:NAMESPACE:NAME`.
    #[serde(default)]
    pub username: String,
    /// All groups, `system:authenticated` included.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
#[non_exhaustive]
pub struct AuditObject {
    /// The resource in the plural, such as `secrets`.
    pub resource: String,
    /// Empty for cluster-wide objects and for lists over all namespaces.
    pub namespace: String,
    /// Empty for lists, and for creations (the name is in the body).
    pub name: String,
    /// Empty for the core group.
    pub api_group: String,
    /// Such as `v1`.
    pub api_version: String,
    /// Such as `status`, or empty.
    pub subresource: String,
}

/// How the API server answered.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct AuditStatus {
    /// The HTTP status code.
    #[serde(default)]
    pub code: u16,
    /// The reason of a failure, such as `Forbidden`.
    #[serde(default)]
    pub reason: String,
}

/// Reads a log that may still be written to: a last line without an end is left for the next time.
pub(crate) fn read(log: &Path) -> anyhow::Result<Vec<AuditEvent>> {
    let content = fs::read(log).with_context(|| format!("failed to read {}", log.display()))?;
    parse(&content)
}

fn parse(content: &[u8]) -> anyhow::Result<Vec<AuditEvent>> {
    let whole_lines = content
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    content[..whole_lines]
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).context("failed to parse a line of the audit log"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_a_line_that_is_still_being_written() {
        let line = r#"{"auditID":"1","stage":"ResponseComplete","verb":"create","requestURI":"/api/v1/namespaces/a/secrets",
            "user":{"username":"admin"},"objectRef":{"resource":"secrets","namespace":"a","apiVersion":"v1"},
            "responseStatus":{"metadata":{},"code":201},"requestReceivedTimestamp":"2026-11-02T00:00:00.000000Z"}"#
            .replace('\n', "");
        let events = parse(format!("{line}\n{}", &line[..20]).as_bytes()).unwrap();

        assert_eq!(events.len(), 1);
        assert!(
            events[0].is_write()
                && events[0].is_about("secrets")
                && !events[0].is_about("configmaps")
        );
        assert_eq!(events[0].code(), 201);
    }
}
