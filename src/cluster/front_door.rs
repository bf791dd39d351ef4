//! What leads a CA's questions here, written to the API server and taken away again.

use certwright_core::api::Group;
use certwright_core::http01::edit::{added, removed};
use certwright_core::http01::{Edit, Kind, Object as Made, PATH, Record, Reference, SOLVER};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::core::Status;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::{call, listed};
use crate::error::{CallError, Error, Object};

/// A resourceVersion that no object has. An apply that carries it can only create: it conflicts with whatever exists.
const NOTHING: &str = "1";
/// Its users and its controller may write an Ingress at the same time; whoever loses reads again.
const EDIT_TRIES: u32 = 8;

/// All records in the operator's `namespace`.
///
/// # Errors
/// When the API server can't say.
pub async fn records(
    client: &Client,
    group: &Group,
    namespace: &str,
) -> Result<Vec<ConfigMap>, Error> {
    let ours = ListParams::default().labels(&group.key(SOLVER));
    listed(client, namespace, "ConfigMaps", ours, Some).await
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
    match apply(client, group, &made.reference, &made.body).await {
        Err(source) if made.reference.kind == Kind::Ingress && is_about_path_type(&source) => {
            let mut body = made.body.clone();
            loosen(&mut body["spec"]["rules"]);
            apply(client, group, &made.reference, &body).await
        }
        outcome => outcome,
    }
    .map_err(|source| Error::Write {
        object: name(&made.reference),
        source,
    })
}

/// Brings an object that was made before to what it is to be. One that is not there is not made again.
///
/// # Errors
/// When the API server refuses.
pub async fn renew(client: &Client, group: &Group, made: &Made) -> Result<(), Error> {
    let reference = &made.reference;
    let found = match call(api(client, reference).get_metadata(&reference.name)).await {
        Err(source) if source.code() == Some(404) => return Ok(()),
        found => found.map_err(|source| Error::Read {
            object: name(reference),
            source,
        })?,
    };
    let mut body = made.body.clone();
    body["metadata"]["uid"] = found.uid().into();
    match apply(client, group, reference, &body).await {
        // It has gone since, and whoever makes it anew knows better.
        Err(source) if matches!(source.code(), Some(404 | 409)) => Ok(()),
        outcome => outcome.map_err(|source| Error::Write {
            object: name(reference),
            source,
        }),
    }
}

async fn apply(
    client: &Client,
    group: &Group,
    reference: &Reference,
    body: &Value,
) -> Result<(), CallError> {
    let parameters = PatchParams::apply(group.manager()).force();
    call(api(client, reference).patch(&reference.name, &parameters, &Patch::Apply(body)))
        .await
        .map(|_| ())
}

/// Whether an ingress controller's admission takes no path of the type `Exact`: that of ingress-nginx where there is a dot
/// in it, that of Google Cloud never.
fn is_about_path_type(source: &CallError) -> bool {
    let CallError::Refused(refused) = source else {
        return false;
    };
    matches!(refused.as_ref(), kube::Error::Api(status)
        if matches!(status.code, 400 | 403 | 422) && status.message.contains("pathType"))
}

/// Leaves it to the ingress controller how our paths are compared.
fn loosen(rules: &mut Value) {
    let rules = rules.as_array_mut().into_iter().flatten();
    for rule in rules {
        let paths = rule
            .pointer_mut("/http/paths")
            .and_then(Value::as_array_mut);
        for path in paths.into_iter().flatten() {
            let is_ours = path["path"]
                .as_str()
                .is_some_and(|path| path.starts_with(PATH));
            if is_ours && path["pathType"] == "Exact" {
                path["pathType"] = "ImplementationSpecific".into();
            }
        }
    }
}

/// Takes away an object that was made for the Certificate with this uid. One that does not carry its label is left.
///
/// # Errors
/// When the API server refuses, in particular with a conflict if another has its name by now.
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
    // Its controller may be writing its status at this moment, which is no reason to leave it.
    let exactly = DeleteParams::background().preconditions(Preconditions {
        uid: found.uid(),
        resource_version: None,
    });
    let removal = call(api.delete(&reference.name, &exactly)).await;
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
    match rewrite(client, group, edit, added).await {
        Err(Error::Write { source, .. }) if is_about_path_type(&source) => {
            let loosely = |rules: &[Value], edit: &Edit| {
                let mut rules = Value::Array(added(rules, edit)?);
                loosen(&mut rules);
                match rules {
                    Value::Array(rules) => Some(rules),
                    _ => None,
                }
            };
            rewrite(client, group, edit, loosely).await
        }
        outcome => outcome,
    }
    .map(|_| ())
}

/// Takes a path out of an Ingress of the users, if it is still there, and owns nothing of the Ingress any more.
///
/// # Errors
/// When the API server refuses.
pub async fn take_out_path(client: &Client, group: &Group, edit: &Edit) -> Result<(), Error> {
    let left = match rewrite(client, group, edit, removed).await {
        Ok(Some(ingress)) => disown(client, group, edit, &ingress).await,
        outcome => outcome.map(|_| ()),
    };
    match left {
        Err(Error::Read { source, .. } | Error::Write { source, .. })
            if source.code() == Some(404) =>
        {
            Ok(())
        }
        outcome => outcome,
    }
}

/// Takes our own entries out of `managedFields`. With them the users' next server-side apply of other rules would conflict with
/// us, since rules are one field.
///
/// # Errors
/// When the API server refuses. A change that comes in between is no failure: then the entry stays until the next edit.
async fn disown(
    client: &Client,
    group: &Group,
    edit: &Edit,
    ingress: &DynamicObject,
) -> Result<(), Error> {
    let entries = ingress.managed_fields();
    let others: Vec<_> = entries
        .iter()
        .filter(|entry| {
            entry.manager.as_deref() != Some(group.manager())
                || entry.operation.as_deref() != Some("Update")
        })
        .collect();
    if others.len() == entries.len() || others.is_empty() || path_of_ours_left(ingress) {
        return Ok(());
    }
    let body = json!({ "metadata": {
        "resourceVersion": ingress.resource_version(),
        "uid": ingress.uid(),
        "managedFields": others,
    } });
    match write(client, group, edit, &body).await {
        Err(source) if source.code() == Some(409) => Ok(()),
        outcome => outcome.map(|_| ()).map_err(|source| Error::Write {
            object: Object::new("Ingress", &edit.namespace, &edit.ingress),
            source,
        }),
    }
}

/// Whether another Certificate's path is still in it.
fn path_of_ours_left(ingress: &DynamicObject) -> bool {
    let rules = ingress.data["spec"]["rules"].as_array();
    let mut paths = rules
        .into_iter()
        .flatten()
        .filter_map(|rule| rule["http"]["paths"].as_array())
        .flatten();
    paths.any(|path| {
        path["path"]
            .as_str()
            .is_some_and(|path| path.starts_with(PATH))
    })
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

/// Reads the rules, changes them, and writes them back unless they have changed meanwhile. The Ingress as it was written;
/// `None` if there was nothing to change.
///
/// As a merge of the rules alone, so that fields that we don't know stay.
async fn rewrite(
    client: &Client,
    group: &Group,
    edit: &Edit,
    change: impl Fn(&[Value], &Edit) -> Option<Vec<Value>>,
) -> Result<Option<DynamicObject>, Error> {
    let object = || Object::new("Ingress", &edit.namespace, &edit.ingress);
    let mut tries = 1;
    loop {
        let found = call(ingresses(client, edit).get(&edit.ingress)).await;
        let ingress = found.map_err(|source| Error::Read {
            object: object(),
            source,
        })?;
        let rules = ingress.data["spec"]["rules"].as_array();
        let Some(rules) = change(rules.map_or(&[], Vec::as_slice), edit) else {
            return Ok(None);
        };
        let body = json!({
            "metadata": { "resourceVersion": ingress.resource_version(), "uid": ingress.uid() },
            "spec": { "rules": rules },
        });
        match write(client, group, edit, &body).await {
            Ok(written) => return Ok(Some(written)),
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

async fn write(
    client: &Client,
    group: &Group,
    edit: &Edit,
    body: &Value,
) -> Result<DynamicObject, CallError> {
    let parameters = PatchParams {
        field_manager: Some(group.manager().to_owned()),
        ..PatchParams::default()
    };
    let merge = Patch::Merge(body);
    call(ingresses(client, edit).patch(&edit.ingress, &parameters, &merge)).await
}

fn ingresses(client: &Client, edit: &Edit) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), &edit.namespace, &Kind::Ingress.resource())
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
