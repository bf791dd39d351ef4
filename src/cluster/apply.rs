//! Every write of ours but Events, by server-side apply.
//!
//! Each carries what it was decided on: a write that comes late, or that was decided on an old state, is a conflict and
//! not a change.

mod status;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use certwright_core::api::{Certificate, Group};
use certwright_core::plan::Observed;
use certwright_core::plan::intent::Metadata;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::warn;
use zeroize::Zeroizing;

pub use self::status::status;
use super::call;
use crate::error::{CallError, Error, Object};

/// A resourceVersion that no object has. An apply that carries it can only create: it conflicts with whatever exists.
const NOTHING: &str = "1";

/// Writes a Secret whole: all that we own of it.
///
/// `was` is the Secret the write was decided on; without it the Secret can only be created.
///
/// # Errors
/// When the API server refuses, in particular with a conflict if the Secret is no longer as it `was`.
pub async fn secret(
    client: &Client,
    group: &Group,
    (namespace, name): (&str, &str),
    was: Option<&Observed>,
    metadata: &Metadata,
    data: impl IntoIterator<Item = (&'static str, Zeroizing<Vec<u8>>)>,
) -> Result<Secret, Error> {
    let data: serde_json::Map<String, Value> = data
        .into_iter()
        .map(|(key, value)| (key.to_owned(), BASE64_STANDARD.encode(&*value).into()))
        .collect();
    let mut body = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": metadata.labels,
            "annotations": metadata.annotations,
            "resourceVersion": was.map_or(NOTHING, |was| &was.resource_version),
        },
        "type": was.map_or("kubernetes.io/tls", |was| &was.type_),
        "data": data,
    });
    if let Some(was) = was {
        body["metadata"]["uid"] = was.uid.clone().into();
    }
    if let Some(owner) = &metadata.owner {
        body["metadata"]["ownerReferences"] = json!([owner]);
    }
    apply_secret(client, group, (namespace, name), was.is_some(), &body).await
}

/// Applies a Secret. What others changed is only written over where it `is_there`.
async fn apply_secret(
    client: &Client,
    group: &Group,
    (namespace, name): (&str, &str),
    is_there: bool,
    body: &(impl Serialize + std::fmt::Debug),
) -> Result<Secret, Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let parameters = PatchParams {
        force: is_there,
        ..PatchParams::apply(group.manager())
    };
    let patch = Patch::Apply(body);
    let written = call(api.patch(name, &parameters, &patch)).await;
    written.map_err(|source| Error::Write {
        object: Object::new("Secret", namespace, name),
        source,
    })
}

/// Writes a Secret of our own whole, such as the one that keeps the pair before.
///
/// `was` is the one that is there; without it the Secret can only be created.
///
/// # Errors
/// When the API server refuses, in particular with a conflict if it is no longer as it `was`.
pub async fn own_secret(
    client: &Client,
    group: &Group,
    was: Option<&Secret>,
    wanted: &Secret,
) -> Result<(), Error> {
    let mut wanted = wanted.clone();
    let metadata = &mut wanted.metadata;
    metadata.resource_version = match was {
        Some(was) => was.metadata.resource_version.clone(),
        None => Some(NOTHING.to_owned()),
    };
    metadata.uid = was.and_then(|was| was.metadata.uid.clone());
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let name = metadata.name.clone().unwrap_or_default();
    let place = (namespace.as_str(), name.as_str());
    let written = apply_secret(client, group, place, was.is_some(), &wanted).await;
    written.map(drop)
}

/// Gives a workload its marks. `body` says which workload, as it was read, and all of its marks. Returns the workload as it
/// then is.
///
/// # Errors
/// When the API server refuses, in particular with a conflict if the workload is no longer as it was read.
pub async fn marks<K>(
    workloads: &Api<K>,
    group: &Group,
    name: &str,
    body: &Value,
) -> Result<K, CallError>
where
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    let parameters = PatchParams::apply(&group.rollout_manager()).force();
    call(workloads.patch(name, &parameters, &Patch::Apply(body))).await
}

/// Writes the rollout's part of a Certificate's status. `body` says which Certificate, as it was read. Returns the
/// Certificate as it then is.
///
/// Where the definition of Certificates is older than this program, and knows less of a rollout, only the conditions are written.
///
/// # Errors
/// When the API server refuses, in particular with a conflict if the Certificate is no longer as it was read.
pub async fn rollout_status(
    certificates: &Api<Certificate>,
    group: &Group,
    name: &str,
    body: &Value,
) -> Result<Certificate, CallError> {
    let parameters = PatchParams::apply(&group.rollout_manager()).force();
    let patch = Patch::Apply(body);
    let written = call(certificates.patch_status(name, &parameters, &patch)).await;
    let Err(refused) = &written else {
        return written;
    };
    if !refused.is_undeclared() {
        return written;
    }
    warn!(
        name,
        problem = %refused,
        "The CustomResourceDefinition of Certificates is older than this operator: only conditions are told of a rollout"
    );
    let mut conditions = body.clone();
    if let Some(status) = conditions["status"].as_object_mut() {
        status.remove("rollout");
    }
    let patch = Patch::Apply(&conditions);
    call(certificates.patch_status(name, &parameters, &patch)).await
}
