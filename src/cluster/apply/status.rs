//! Writes of a status.

use certwright_core::api::Group;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicResourceScope;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::super::call;
use crate::error::CallError;

/// What other writers have a part in.
const SHARED: [&str; 2] = ["conditions", "rollout"];

/// Writes an object's status whole: what is not in `status` is not there afterwards, but for what is shared. Returns the
/// object as it then is.
///
/// An apply leaves alone what another field manager wrote, also within what we leave out; and if the schema requires more
/// of that than is left, the API server refuses each further write. So what was not to be there is taken away apart: one
/// write more, or two, and only then.
///
/// # Errors
/// When the API server refuses, in particular with a conflict if the object is no longer as it `was`.
pub async fn status<K>(
    client: &Client,
    group: &Group,
    was: &K,
    status: &impl Serialize,
) -> Result<K, CallError>
where
    K: Resource<DynamicType = Group, Scope = DynamicResourceScope>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let wanted = json!(status);
    let written = apply(client, group, was, &wanted).await;
    match written {
        Ok(written) => match surplus(&held(&written), &wanted) {
            None => Ok(written),
            Some(surplus) => take_away(client, group, &written, surplus).await,
        },
        Err(refused) if refused.code() == Some(422) => match surplus(&held(was), &wanted) {
            None => Err(refused),
            Some(surplus) => {
                let now = take_away(client, group, was, surplus).await?;
                apply(client, group, &now, &wanted).await
            }
        },
        Err(problem) => Err(problem),
    }
}

async fn apply<K>(client: &Client, group: &Group, was: &K, status: &Value) -> Result<K, CallError>
where
    K: Resource<DynamicType = Group, Scope = DynamicResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let metadata = was.meta();
    let body = json!({
        "apiVersion": group.api_version(),
        "kind": K::kind(group),
        "metadata": {
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
        },
        "status": status,
    });
    let parameters = PatchParams::apply(group.manager()).force();
    patch(client, group, was, &parameters, &Patch::Apply(&body)).await
}

async fn take_away<K>(
    client: &Client,
    group: &Group,
    was: &K,
    surplus: Value,
) -> Result<K, CallError>
where
    K: Resource<DynamicType = Group, Scope = DynamicResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let metadata = was.meta();
    let body = json!({
        "metadata": { "uid": metadata.uid, "resourceVersion": metadata.resource_version },
        "status": surplus,
    });
    let parameters = PatchParams {
        field_manager: Some(group.manager().to_owned()),
        ..PatchParams::default()
    };
    patch(client, group, was, &parameters, &Patch::Merge(&body)).await
}

async fn patch<K>(
    client: &Client,
    group: &Group,
    was: &K,
    parameters: &PatchParams,
    patch: &Patch<&Value>,
) -> Result<K, CallError>
where
    K: Resource<DynamicType = Group, Scope = DynamicResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let metadata = was.meta();
    let name = metadata.name.as_deref().unwrap_or_default();
    let api: Api<K> = match metadata.namespace.as_deref() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, group),
        None => Api::all_with(client.clone(), group),
    };
    call(api.patch_status(name, parameters, patch)).await
}

/// The part of a status that is ours alone.
fn held(object: &impl Serialize) -> Value {
    let mut held = json!(object)["status"].take();
    if let Some(fields) = held.as_object_mut() {
        fields.retain(|field, _| !SHARED.contains(&field.as_str()));
    }
    held
}

/// The merge patch (RFC 7396) that takes away what is not wanted; `None` if that is nothing.
fn surplus(held: &Value, wanted: &Value) -> Option<Value> {
    let (Value::Object(held), Value::Object(wanted)) = (held, wanted) else {
        return None;
    };
    let away: Map<_, _> = held
        .iter()
        .filter_map(|(field, value)| {
            let away = match wanted.get(field) {
                None => Value::Null,
                Some(wanted) => surplus(value, wanted)?,
            };
            Some((field.clone(), away))
        })
        .collect();
    (!away.is_empty()).then_some(Value::Object(away))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_wanted_is_taken_away_field_by_field() {
        let held = json!({
            "revision": 1,
            "order": { "url": "a", "challenges": [{ "token": "t" }], "waitsFor": "x" },
            "lastFailure": { "reason": "Contested" },
            "serialNumber": null,
        });
        for (wanted, away) in [
            (
                json!({ "revision": 2, "order": { "url": "b", "challenges": [] }, "serialNumber": "1" }),
                Some(json!({ "order": { "waitsFor": null }, "lastFailure": null })),
            ),
            (
                json!({ "revision": 1, "order": held["order"] }),
                Some(json!({ "lastFailure": null, "serialNumber": null })),
            ),
            (held.clone(), None),
        ] {
            assert_eq!(surplus(&held, &wanted), away, "{wanted}");
        }
        assert_eq!(surplus(&Value::Null, &held), None);
    }

    #[test]
    fn what_others_have_a_part_in_is_left_alone() {
        let object = json!({ "status": { "conditions": [], "rollout": { "phase": "Done" }, "revision": 1 } });
        assert_eq!(held(&object), json!({ "revision": 1 }));
    }
}
