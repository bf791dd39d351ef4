//! The one change that is made to Secrets with account keys: another key takes the place of the one that is there.
//!
//! Both steps are merge patches of what was read, with its uid and resourceVersion: one that comes late is a conflict.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certwright_core::acme::AccountKey;
use certwright_core::api::Group;
use certwright_core::api::certificate::KeyEncoding;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::call;
use crate::error::{Error, Object};

/// The annotation that says for which request the latest change of key was begun.
pub const REQUEST: &str = "roll-account-key-request";

/// The entry that holds the key that is to follow the one in this entry.
pub fn next_entry(entry: &str) -> String {
    format!("{entry}.next")
}

/// Puts the next key beside the present one, with the request that it is for. Returns the Secret as it then is.
///
/// # Errors
/// When the API server refuses, in particular with a conflict if the Secret is no longer as it `was`.
pub async fn keep_next(
    client: &Client,
    group: &Group,
    was: &Secret,
    entry: &str,
    next: &AccountKey,
    request: &str,
) -> Result<Secret, Error> {
    let change = json!({
        "metadata": { "annotations": { group.key(REQUEST): request } },
        "data": { next_entry(entry): encoded(next) },
    });
    patch(client, group, was, change).await
}

/// Puts the next key in the place of the present one, which goes. Returns the Secret as it then is.
///
/// # Errors
/// When the API server refuses, in particular with a conflict if the Secret is no longer as it `was`.
pub async fn follow(
    client: &Client,
    group: &Group,
    was: &Secret,
    entry: &str,
    next: &AccountKey,
) -> Result<Secret, Error> {
    let change = json!({ "data": { entry: encoded(next), next_entry(entry): null } });
    patch(client, group, was, change).await
}

fn encoded(key: &AccountKey) -> String {
    BASE64_STANDARD.encode(key.private_key().to_pem(KeyEncoding::Pkcs8).as_bytes())
}

async fn patch(
    client: &Client,
    group: &Group,
    was: &Secret,
    mut change: Value,
) -> Result<Secret, Error> {
    let namespace = was.metadata.namespace.as_deref().unwrap_or_default();
    let name = was.metadata.name.as_deref().unwrap_or_default();
    change["metadata"]["uid"] = json!(was.metadata.uid);
    change["metadata"]["resourceVersion"] = json!(was.metadata.resource_version);
    let parameters = PatchParams {
        field_manager: Some(group.manager().to_owned()),
        ..PatchParams::default()
    };
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    call(api.patch(name, &parameters, &Patch::Merge(&change)))
        .await
        .map_err(|source| Error::Write {
            object: Object::new("Secret", namespace, name),
            source,
        })
}
