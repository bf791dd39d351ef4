//! The write that marks a workload.

use serde_json::{Value, json};

use super::{Marks, Workload, WorkloadKind};

/// The server-side apply that gives `workload` these marks, under the rollout manager and with force.
///
/// It carries uid and resourceVersion: a late or stale one is a conflict (409), and it never creates. Without marks
/// on the template it doesn't mention the template.
pub fn apply_body(workload: &Workload, marks: &Marks) -> Value {
    let mut body = json!({
        "apiVersion": WorkloadKind::API_VERSION,
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
        body["spec"] = json!({ "template": { "metadata": { "annotations": marks.template } } });
    }
    body
}
