//! What leads a CA's questions here, written to the API server and taken away again.

use certwright_core::api::Group;
use certwright_core::http01::edit::{added, removed};
use certwright_core::http01::{Edit, Kind, Object as Made, Record, Reference, SOLVER};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::core::Status;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::call;
use crate::error::{CallError, Error, Object};

/// A resourceVersion that no object has. An apply that carries it can only create: it conflicts with whatever exists.
const NOTHING: &str = "1";
/// Several Certificates may edit one Ingress at once; whoever loses reads again.
const EDIT_TRIES: u32 = 8;
/// The most records that one answer of the API server carries.
const PAGE: u32 = 500;

/// All records in the operator's `namespace`.
///
/// # Errors
/// When the API server can't say.
pub async fn records(
    client: &Client,
    group: &Group,
    namespace: &str,
) -> Result<Vec<ConfigMap>, Error> {
    let records: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let mut asked = ListParams::default().labels(&group.key(SOLVER)).limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = call(records.list(&asked)).await.map_err(|source| {
            let object = Object::new("ConfigMaps", "", namespace);
            Error::Read { object, source }
        })?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => asked.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

/// The record of the Certificate with this uid, if there is one.
///
/// # Errors
/// When the API server can't say.
pub async fn record(
    client: &Client,
    namespace: &str,
    uid: &str,
) -> Result<Option<ConfigMap>, Error> {
    let records: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let name = Record::name(uid);
    call(records.get_opt(&name))
        .await
        .map_err(|source| Error::Read {
            object: Object::new("ConfigMap", namespace, &name),
            source,
        })
}

/// Writes a record, in place of the one it `was`; without that it can only be created.
///
/// # Errors
/// When the API server refuses, in particular with a conflict if the record is no longer as it `was`.
pub async fn write_record(
    client: &Client,
    group: &Group,
    namespace: &str,
    record: &Record,
    was: Option<&ConfigMap>,
) -> Result<ConfigMap, Error> {
    let mut body = record.body(group, namespace);
    let metadata = &mut body["metadata"];
    metadata["resourceVersion"] = NOTHING.into();
    if let Some(was) = was {
        metadata["resourceVersion"] = was.resource_version().into();
        metadata["uid"] = was.uid().into();
    }
    let records: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let name = Record::name(&record.certificate.uid);
    let parameters = PatchParams {
        force: was.is_some(),
        ..PatchParams::apply(group.manager())
    };
    call(records.patch(&name, &parameters, &Patch::Apply(&body)))
        .await
        .map_err(|source| Error::Write {
            object: Object::new("ConfigMap", namespace, &name),
            source,
        })
}

/// Removes a record as it was read.
///
/// # Errors
/// When the API server refuses, in particular with a conflict if it has changed.
pub async fn remove_record(client: &Client, was: &ConfigMap) -> Result<(), Error> {
    let namespace = was.namespace().unwrap_or_default();
    let records: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let removal = call(records.delete(&was.name_any(), &only(&was.metadata))).await;
    forgive_absence(removal).map_err(|source| Error::Write {
        object: Object::of("ConfigMap", &was.metadata),
        source,
    })
}

/// Makes an object as it is to be.
///
/// # Errors
/// When the API server refuses.
pub async fn make(client: &Client, group: &Group, made: &Made) -> Result<(), Error> {
    let parameters = PatchParams::apply(group.manager()).force();
    let reference = &made.reference;
    call(api(client, reference).patch(&reference.name, &parameters, &Patch::Apply(&made.body)))
        .await
        .map_err(|source| Error::Write {
            object: name(reference),
            source,
        })?;
    Ok(())
}

/// Takes away an object that was made for the Certificate with this uid. One that does not carry its label is left.
///
/// # Errors
/// When the API server refuses, in particular with a conflict if the object has just changed.
pub async fn take_away(
    client: &Client,
    group: &Group,
    reference: &Reference,
    uid: &str,
) -> Result<(), Error> {
    let api = api(client, reference);
    let found = match call(api.get_metadata(&reference.name)).await {
        Err(source) if source.code() == Some(404) => return Ok(()),
        found => found.map_err(|source| Error::Read {
            object: name(reference),
            source,
        })?,
    };
    if found.labels().get(&group.key(SOLVER)).map(String::as_str) != Some(uid) {
        return Ok(());
    }
    let removal = call(api.delete(&reference.name, &only(&found.metadata))).await;
    forgive_absence(removal).map_err(|source| Error::Write {
        object: name(reference),
        source,
    })
}

/// Adds a path to an Ingress of the users.
///
/// # Errors
/// When there is no such Ingress, or the API server refuses.
pub async fn add_path(client: &Client, group: &Group, edit: &Edit) -> Result<(), Error> {
    rewrite(client, group, edit, added).await
}

/// Takes a path out of an Ingress of the users, if it is still there.
///
/// # Errors
/// When the API server refuses.
pub async fn take_out_path(client: &Client, group: &Group, edit: &Edit) -> Result<(), Error> {
    match rewrite(client, group, edit, removed).await {
        Err(Error::Read { source, .. } | Error::Write { source, .. })
            if source.code() == Some(404) =>
        {
            Ok(())
        }
        outcome => outcome,
    }
}

/// Whether the API server knows no objects of this kind, to which a write failed.
pub fn is_unserved(source: &CallError) -> bool {
    let CallError::Refused(refused) = source else {
        return false;
    };
    // An object or a namespace that is not there is named.
    let names_something = |status: &Status| {
        let details = status.details.as_ref();
        details.is_some_and(|details| !details.name.is_empty())
    };
    matches!(refused.as_ref(), kube::Error::Api(status) if status.code == 404 && !names_something(status))
}

/// Reads the rules, changes them, and writes them back unless they have changed meanwhile.
///
/// As a merge of the rules alone, so that fields that we don't know stay, and that nothing of it is owned by us later.
async fn rewrite(
    client: &Client,
    group: &Group,
    edit: &Edit,
    change: impl Fn(&[Value], &Edit) -> Option<Vec<Value>>,
) -> Result<(), Error> {
    let ingresses: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &edit.namespace, &Kind::Ingress.resource());
    let object = || Object::new("Ingress", &edit.namespace, &edit.ingress);
    let mut tries = 1;
    loop {
        let ingress = call(ingresses.get(&edit.ingress))
            .await
            .map_err(|source| Error::Read {
                object: object(),
                source,
            })?;
        let rules = ingress.data["spec"]["rules"].as_array();
        let Some(rules) = change(rules.map_or(&[], Vec::as_slice), edit) else {
            return Ok(());
        };
        let body = json!({
            "metadata": { "resourceVersion": ingress.resource_version(), "uid": ingress.uid() },
            "spec": { "rules": rules },
        });
        let parameters = PatchParams {
            field_manager: Some(group.manager().to_owned()),
            ..PatchParams::default()
        };
        match call(ingresses.patch(&edit.ingress, &parameters, &Patch::Merge(&body))).await {
            Ok(_) => return Ok(()),
            Err(source) if source.code() == Some(409) && tries < EDIT_TRIES => tries += 1,
            Err(source) => {
                return Err(Error::Write {
                    object: object(),
                    source,
                });
            }
        }
    }
}

fn api(client: &Client, reference: &Reference) -> Api<DynamicObject> {
    Api::namespaced_with(
        client.clone(),
        &reference.namespace,
        &reference.kind.resource(),
    )
}

fn name(reference: &Reference) -> Object {
    Object::new(reference.kind.name(), &reference.namespace, &reference.name)
}

/// The object as it was read and no other.
fn only(metadata: &kube::api::ObjectMeta) -> DeleteParams {
    DeleteParams::background().preconditions(Preconditions {
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
    })
}

fn forgive_absence<T>(removal: Result<T, CallError>) -> Result<(), CallError> {
    match removal {
        Err(source) if source.code() == Some(404) => Ok(()),
        removal => removal.map(|_| ()),
    }
}
