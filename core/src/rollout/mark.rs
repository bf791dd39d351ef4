//! The annotations on workloads.

use std::fmt::Write;

use aws_lc_rs::digest;

use crate::api::Group;

/// The annotation by which a workload chooses for itself, such as `certwright.dev/rollout`, without the group.
///
/// It stands in the workload's own `metadata.annotations` and wins over all that its Certificate says: a strategy.
pub const CHOICE: &str = "rollout";

/// The annotation that says when a workload was last restarted or called for a certificate, without the group.
pub(super) const ROLLED_AT: &str = "rolled-at";
/// The annotation that says until when all certificates are valid that a workload runs with, without the group.
pub(super) const RUNS_UNTIL: &str = "runs-until";

const PLAIN: &str = "secret-";
/// No Secret's name holds an underscore, so that a hashed key never meets a plain one.
const HASHED: &str = "secret_";
/// What the name part of an annotation's key may hold (Kubernetes, "Labels and annotations: syntax").
const LONGEST: usize = 63;

/// The annotation that marks which certificate of a Secret a workload runs with; its value is the fingerprint.
///
/// The key is the same on the Pod template, where it rolls, and on the workload itself, where it doesn't. Names
/// that don't fit are hashed (160 bits of SHA-256).
pub fn mark_key(group: &Group, secret: &str) -> String {
    if PLAIN.len() + secret.len() <= LONGEST {
        return group.key(&format!("{PLAIN}{secret}"));
    }
    let digest = digest::digest(&digest::SHA256, secret.as_bytes());
    let mut name = String::from(HASHED);
    for byte in digest.as_ref().iter().take(20) {
        write!(name, "{byte:02x}").expect("a String takes whatever is written");
    }
    group.key(&name)
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

fn is_mark_name(name: &str) -> bool {
    name.starts_with(PLAIN) || name.starts_with(HASHED)
}
