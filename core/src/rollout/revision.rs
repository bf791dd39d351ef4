//! The Pod templates that a workload had, as its controller keeps them.

use serde_json::Value;

use super::{Pod, Source, Workload, WorkloadKind, is_mark, mark_key};
use crate::api::Group;

/// A Pod template that a workload has or had: a ReplicaSet of a Deployment, or a ControllerRevision of a StatefulSet or
/// DaemonSet.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// The higher, the newer; one that is returned to is counted anew.
    number: i64,
    /// What the workload's controller labels the Pods of it with.
    label: String,
    template: Value,
}

/// In what a Pod template differs from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// In the mark of one Secret alone.
    MarkAlone,
    /// In marks of other Secrets or ConfigMaps too.
    OtherMarks,
    /// In what its owner wrote.
    Template,
}

impl Revision {
    /// Reads one of those that `workload` has: a ReplicaSet of a Deployment, a ControllerRevision of a StatefulSet or
    /// DaemonSet, as they come from the API server.
    ///
    /// `None` for one of another's, for one that can't be read, and for workloads of other kinds.
    pub fn of(workload: &Workload, object: &Value) -> Option<Self> {
        let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
        let uid = workload.metadata.uid.as_deref()?;
        owners.iter().find(|owner| {
            owner["controller"] == Value::Bool(true) && owner["uid"].as_str() == Some(uid)
        })?;
        let text = |pointer: &str| object.pointer(pointer)?.as_str();
        let (number, label, template) = match workload.kind {
            WorkloadKind::Deployment => (
                text("/metadata/annotations/deployment.kubernetes.io~1revision")?
                    .parse()
                    .ok()?,
                text("/metadata/labels/pod-template-hash")?,
                object.pointer("/spec/template")?,
            ),
            WorkloadKind::StatefulSet => (
                object.get("revision")?.as_i64()?,
                text("/metadata/name")?,
                object.pointer("/data/spec/template")?,
            ),
            WorkloadKind::DaemonSet => (
                object.get("revision")?.as_i64()?,
                text("/metadata/labels/controller-revision-hash")?,
                object.pointer("/data/spec/template")?,
            ),
            WorkloadKind::Other(_) => return None,
        };
        Some(Self {
            number,
            label: label.to_owned(),
            template: as_written(template),
        })
    }

    /// The newest of them and the one before; `None` if there are less than two.
    pub(super) fn last_two(revisions: &[Self]) -> Option<(&Self, &Self)> {
        let mut newest_first: Vec<&Self> = revisions.iter().collect();
        newest_first.sort_by_key(|revision| std::cmp::Reverse(revision.number));
        let [newest, before, ..] = newest_first[..] else {
            return None;
        };
        Some((newest, before))
    }

    /// The value of its mark for `source`.
    pub(super) fn mark(&self, group: &Group, source: &Source) -> Option<&str> {
        let annotations = self.template.pointer("/metadata/annotations")?;
        annotations.get(mark_key(group, source))?.as_str()
    }

    /// In what it differs from the one before.
    pub(super) fn differs(&self, before: &Self, group: &Group, source: &Source) -> Difference {
        let mark = mark_key(group, source);
        let but = |left_out: &dyn Fn(&str) -> bool| {
            without(&self.template, left_out) == without(&before.template, left_out)
        };
        if but(&|key| key == mark) {
            Difference::MarkAlone
        } else if but(&|key| is_mark(group, key)) {
            Difference::OtherMarks
        } else {
            Difference::Template
        }
    }

    /// Whether a Pod was made from it.
    pub(super) fn is_of(&self, workload: &Workload, pod: &Pod) -> bool {
        let key = match workload.kind {
            WorkloadKind::Deployment => "pod-template-hash",
            _ => "controller-revision-hash",
        };
        pod.label(key) == Some(&self.label)
    }
}

/// A template without what its controller adds.
fn as_written(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(fields) = template.as_object_mut() {
        // How a ControllerRevision is applied.
        fields.remove("$patch");
    }
    if let Some(metadata) = object_at(&mut template, "/metadata") {
        metadata.remove("creationTimestamp");
    }
    if let Some(labels) = object_at(&mut template, "/metadata/labels") {
        labels.remove("pod-template-hash");
    }
    template
}

/// A template without some of its annotations.
fn without(template: &Value, left_out: &dyn Fn(&str) -> bool) -> Value {
    let mut template = template.clone();
    if let Some(annotations) = object_at(&mut template, "/metadata/annotations") {
        annotations.retain(|key, _| !left_out(key));
        if annotations.is_empty()
            && let Some(metadata) = object_at(&mut template, "/metadata")
        {
            metadata.remove("annotations");
        }
    }
    template
}

fn object_at<'a>(
    value: &'a mut Value,
    pointer: &str,
) -> Option<&'a mut serde_json::Map<String, Value>> {
    value.pointer_mut(pointer)?.as_object_mut()
}
