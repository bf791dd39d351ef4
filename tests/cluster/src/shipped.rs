//! What the operator may do, as the shipped manifests say.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use serde::Deserialize as _;
use serde_json::Value;

/// The kinds that say what the operator may do.
const KINDS: [&str; 7] = [
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// The documents of a file of manifests that say what the operator may do; the first that is no YAML fails.
pub fn permissions(manifests: &str) -> anyhow::Result<Vec<Value>> {
    let mut wanted = Vec::new();
    for document in serde_yaml::Deserializer::from_str(manifests) {
        let document = Value::deserialize(document)?;
        if KINDS.contains(&document["kind"].as_str().unwrap_or_default()) {
            wanted.push(document);
        }
    }
    Ok(wanted)
}

/// Whether the API server goes by the admission policies by now, which it reads a moment after they were written; the error
/// says what it did instead. `secrets` are reached by the operator's account; nothing is written.
pub async fn policies_hold(secrets: &Api<Secret>) -> Result<(), String> {
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let mut unmarked = Secret::default();
    unmarked.metadata.name = Some("unmarked".to_owned());
    match secrets.create(&dry, &unmarked).await {
        Err(kube::Error::Api(status)) if status.message.contains("managed") => Ok(()),
        answer => Err(format!("{answer:?}")),
    }
}
