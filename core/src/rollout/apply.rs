//! The write that marks a workload.

use serde_json::{Value, json};

use super::{Marks, Workload};

/// The server-side apply that gives `workload` these marks, under the rollout manager and with force.
///
/// It carries uid and resourceVersion: a late or stale one is a conflict (409), and it never creates. Without marks
/// on the template it doesn't mention the template.
pub fn apply_body(workload: &Workload, marks: &Marks) -> Value {
    let mut body = json!({
        "apiVersion": workload.kind.api_version(),
        "kind": workload.kind.as_str(),
        "metadata": {
            "name": workload.name(),
            "namespace": workload.namespace(),
            "uid": workload.metadata.uid,
            "resourceVersion": workload.metadata.resource_version,
        },
    });
    if !marks.baseline.is_empty() {
        body["metadata"]["annotations"] = json!(marks.baseline);
    }
    if !marks.template.is_empty() {
        let marked = json!({ "metadata": { "annotations": marks.template } });
        let fields = workload.kind.template();
        body["spec"] = fields
            .rev()
            .fold(marked, |inner, field| json!({ field: inner }));
    }
    body
}
