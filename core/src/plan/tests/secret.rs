//! A Secret as the API server keeps it: what each manager applied or wrote is recorded in `managedFields`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, Time};
use serde_json::{Map, Value, json};

use crate::api::{Certificate, Group};
use crate::plan::intent::{Contents, Metadata};

/// A path of one label, annotation or key of the data.
type Field = (&'static str, String);

/// Applies the whole intent by force, as the shell does.
pub(super) fn apply(
    was: Option<&Secret>,
    certificate: &Certificate,
    group: &Group,
    metadata: &Metadata,
    contents: &Contents,
    now: Timestamp,
) -> Secret {
    let mut secret = was.cloned().unwrap_or_else(|| created(certificate));
    let before = owned(&secret, group.manager());
    let data: BTreeMap<String, ByteString> = contents
        .data(certificate)
        .into_iter()
        .map(|(key, value)| (key.to_owned(), ByteString(value.to_vec())))
        .collect();
    let mut wanted: BTreeSet<Field> = BTreeSet::new();
    wanted.extend(metadata.labels.keys().map(|key| ("labels", key.clone())));
    wanted.extend(
        metadata
            .annotations
            .keys()
            .map(|key| ("annotations", key.clone())),
    );
    wanted.extend(data.keys().map(|key| ("data", key.clone())));
    let others: BTreeSet<Field> = managers(&secret)
        .iter()
        .filter(|name| *name != group.manager())
        .flat_map(|name| owned(&secret, name))
        .collect();
    for field in before.difference(&wanted) {
        if !others.contains(field) {
            remove(&mut secret, field);
        }
    }
    labels(&mut secret).extend(metadata.labels.clone());
    annotations(&mut secret).extend(metadata.annotations.clone());
    secret.data.get_or_insert_default().extend(data);
    if let Some(owner) = &metadata.owner {
        let owners = secret.metadata.owner_references.get_or_insert_default();
        owners.retain(|held| held.uid != owner.uid);
        owners.push(owner.clone());
    } else if owns_reference(&secret, group.manager()) {
        secret.metadata.owner_references = None;
    }
    for manager in managers(&secret) {
        let kept = owned(&secret, &manager)
            .difference(&wanted)
            .cloned()
            .collect();
        record(&mut secret, &manager, "Update", &kept, false, None);
    }
    let owner = metadata.owner.is_some();
    record(
        &mut secret,
        group.manager(),
        "Apply",
        &wanted,
        owner,
        Some(now),
    );
    secret
}

/// A change by somebody else, by update: what it changes or adds is theirs from then on.
pub(super) fn edit(
    secret: &mut Secret,
    manager: &str,
    now: Timestamp,
    change: impl FnOnce(&mut Secret),
) {
    let before = fields(secret);
    change(secret);
    let after = fields(secret);
    let touched: BTreeSet<Field> = before
        .keys()
        .chain(after.keys())
        .filter(|field| before.get(*field) != after.get(*field))
        .cloned()
        .collect();
    for held_by in managers(secret) {
        let operation = operation(secret, &held_by);
        let owner = owns_reference(secret, &held_by);
        let kept = owned(secret, &held_by)
            .difference(&touched)
            .cloned()
            .collect();
        record(secret, &held_by, &operation, &kept, owner, None);
    }
    let mut theirs = owned(secret, manager);
    theirs.extend(
        touched
            .into_iter()
            .filter(|field| after.contains_key(field)),
    );
    record(secret, manager, "Update", &theirs, false, Some(now));
}

pub(super) fn labels(secret: &mut Secret) -> &mut BTreeMap<String, String> {
    secret.metadata.labels.get_or_insert_default()
}

pub(super) fn annotations(secret: &mut Secret) -> &mut BTreeMap<String, String> {
    secret.metadata.annotations.get_or_insert_default()
}

pub(super) fn data(secret: &mut Secret) -> &mut BTreeMap<String, ByteString> {
    secret.data.get_or_insert_default()
}

fn created(certificate: &Certificate) -> Secret {
    let mut secret = Secret {
        type_: Some("kubernetes.io/tls".to_owned()),
        ..Secret::default()
    };
    secret.metadata.name = Some(certificate.spec.secret_name.clone());
    secret.metadata.namespace = certificate.metadata.namespace.clone();
    secret.metadata.uid = Some("secret-uid".to_owned());
    secret
}

fn fields(secret: &Secret) -> BTreeMap<Field, Vec<u8>> {
    let texts = |kind: &'static str, map: &Option<BTreeMap<String, String>>| {
        let map = map.clone().unwrap_or_default();
        map.into_iter()
            .map(move |(key, value)| ((kind, key), value.into_bytes()))
    };
    let data = secret.data.clone().unwrap_or_default();
    texts("labels", &secret.metadata.labels)
        .chain(texts("annotations", &secret.metadata.annotations))
        .chain(
            data.into_iter()
                .map(|(key, value)| (("data", key), value.0)),
        )
        .collect()
}

fn remove(secret: &mut Secret, (kind, key): &Field) {
    match *kind {
        "labels" => drop(labels(secret).remove(key)),
        "annotations" => drop(annotations(secret).remove(key)),
        _ => drop(data(secret).remove(key)),
    }
}

fn entry<'a>(secret: &'a Secret, manager: &str) -> Option<&'a ManagedFieldsEntry> {
    let entries = secret.metadata.managed_fields.as_ref()?;
    entries
        .iter()
        .find(|entry| entry.manager.as_deref() == Some(manager))
}

fn managers(secret: &Secret) -> Vec<String> {
    let entries = secret.metadata.managed_fields.iter().flatten();
    entries.filter_map(|entry| entry.manager.clone()).collect()
}

fn operation(secret: &Secret, manager: &str) -> String {
    entry(secret, manager)
        .and_then(|entry| entry.operation.clone())
        .unwrap_or_default()
}

fn pointer(kind: &str) -> &'static str {
    match kind {
        "labels" => "/f:metadata/f:labels",
        "annotations" => "/f:metadata/f:annotations",
        _ => "/f:data",
    }
}

fn owned(secret: &Secret, manager: &str) -> BTreeSet<Field> {
    let Some(fields) = entry(secret, manager).and_then(|entry| entry.fields_v1.as_ref()) else {
        return BTreeSet::new();
    };
    let of = |kind: &'static str| {
        let map = fields.0.pointer(pointer(kind)).and_then(Value::as_object);
        map.into_iter()
            .flat_map(|map| map.keys())
            .filter_map(|key| key.strip_prefix("f:"))
            .map(move |key| (kind, key.to_owned()))
    };
    of("labels")
        .chain(of("annotations"))
        .chain(of("data"))
        .collect()
}

fn owns_reference(secret: &Secret, manager: &str) -> bool {
    entry(secret, manager)
        .and_then(|entry| entry.fields_v1.as_ref())
        .is_some_and(|fields| fields.0.pointer("/f:metadata/f:ownerReferences").is_some())
}

/// Puts down what a manager owns; the time stays where none is given, and an entry without fields goes.
fn record(
    secret: &mut Secret,
    manager: &str,
    operation: &str,
    fields: &BTreeSet<Field>,
    owner: bool,
    now: Option<Timestamp>,
) {
    let time = now
        .map(Time)
        .or_else(|| entry(secret, manager).and_then(|entry| entry.time.clone()));
    let entries = secret.metadata.managed_fields.get_or_insert_default();
    entries.retain(|entry| entry.manager.as_deref() != Some(manager));
    if fields.is_empty() && !owner {
        return;
    }
    let names = |kind: &str| {
        let keys = fields.iter().filter(|(of, _)| *of == kind);
        let mut names: Map<String, Value> = keys
            .map(|(_, key)| (format!("f:{key}"), json!({})))
            .collect();
        names.insert(".".to_owned(), json!({}));
        names
    };
    let mut set = json!({
        "f:metadata": {"f:labels": names("labels"), "f:annotations": names("annotations")},
        "f:data": names("data"),
    });
    if owner {
        set["f:metadata"]["f:ownerReferences"] = json!({"k:{\"uid\":\"certificate-uid\"}": {}});
    }
    entries.push(ManagedFieldsEntry {
        manager: Some(manager.to_owned()),
        operation: Some(operation.to_owned()),
        api_version: Some("v1".to_owned()),
        fields_type: Some("FieldsV1".to_owned()),
        fields_v1: Some(FieldsV1(set)),
        time,
        ..ManagedFieldsEntry::default()
    });
}
