//! The annotations on workloads.

use std::fmt::Write;

use aws_lc_rs::digest;

use super::{Source, SourceKind};
use crate::api::Group;

/// The annotation by which a workload chooses for itself, such as `certwright.dev/rollout`, without the group.
///
/// It stands in the workload's own `metadata.annotations` and wins over all that its Certificate says: a strategy.
pub const CHOICE: &str = "rollout";

/// The annotation that says when a workload was last restarted or called for a certificate, without the group.
pub(super) const ROLLED_AT: &str = "rolled-at";
/// The annotation that says until when all certificates are valid that a workload runs with, without the group.
pub(super) const RUNS_UNTIL: &str = "runs-until";

const KINDS: [SourceKind; 2] = [SourceKind::Secret, SourceKind::ConfigMap];
/// What the name part of an annotation's key may hold (Kubernetes, "Labels and annotations: syntax").
const LONGEST: usize = 63;

/// The annotation that marks with what of a Secret or ConfigMap a workload runs; its value is the fingerprint.
///
/// The key is the same on the Pod template, where it rolls, and on the workload itself, where it doesn't. Names
/// that don't fit are hashed (160 bits of SHA-256).
pub fn mark_key(group: &Group, source: &Source) -> String {
    let word = word(source.kind);
    if word.len() + 1 + source.name.len() <= LONGEST {
        return group.key(&format!("{word}-{}", source.name));
    }
    let digest = digest::digest(&digest::SHA256, source.name.as_bytes());
    // No name of either holds an underscore, so that a hashed key never meets a plain one.
    let mut name = format!("{word}_");
    name.push_str(&hexadecimal(&digest.as_ref()[..20]));
    group.key(&name)
}

/// In lower case.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes whatever is written");
    }
    text
}

/// Whether an annotation's key is a mark of `group`.
pub fn is_mark(group: &Group, key: &str) -> bool {
    key.strip_prefix(group.name())
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(is_mark_name)
}

/// Whether an annotation may be one of ours, whatever the group: what is decoded does not know the group.
pub(super) fn may_be_ours(key: &str) -> bool {
    key.split_once('/').is_some_and(|(_, name)| {
        name.starts_with(CHOICE) || [ROLLED_AT, RUNS_UNTIL].contains(&name) || is_mark_name(name)
    })
}

fn word(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Secret => "secret",
        SourceKind::ConfigMap => "configmap",
    }
}

fn is_mark_name(name: &str) -> bool {
    KINDS.into_iter().any(|kind| {
        let rest = name.strip_prefix(word(kind));
        rest.is_some_and(|rest| rest.starts_with(['-', '_']))
    })
}
