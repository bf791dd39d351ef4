//! The pair before, in a Secret of its own, to go back to.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::intent::{ISSUER_KIND, ISSUER_NAME};
use super::marks::{CERTIFICATE_NAME, Marks};
use super::next_key;
use super::observed::data;
use crate::api::{Certificate, Group};

/// The label of such a Secret. It is another than that of Secrets of Certificates: nobody takes it for one, and no workload
/// is rolled for it.
pub const LABEL: &str = "previous-pair";

/// The name of the Secret for a Certificate with this uid.
pub fn name(uid: &str) -> String {
    next_key::name_of("previous", uid)
}

/// Whether a Secret is one that we made for this Certificate: it is labelled so, names it and goes with it.
pub fn is_of(secret: &Secret, group: &Group, certificate: &str, uid: &str) -> bool {
    let labels = secret.metadata.labels.as_ref();
    labels.is_some_and(|labels| labels.contains_key(&group.key(LABEL)))
        && next_key::is_of(secret, group, certificate, uid)
}

/// The Secret that keeps what a Certificate's own, as just read, holds: `tls.crt`, `tls.key` and `ca.crt` as they are, with our
/// record of how the certificate came to be.
pub fn keeping(group: &Group, certificate: &Certificate, held: &Secret) -> Secret {
    let none = BTreeMap::new();
    let noted = held.metadata.annotations.as_ref().unwrap_or(&none);
    let mut annotations = BTreeMap::new();
    let marks = Marks {
        held_back: None,
        ..Marks::read(noted, group)
    };
    marks.write(&mut annotations, group);
    let issuer = [ISSUER_NAME, ISSUER_KIND].map(|name| group.key(name));
    annotations.extend(
        noted
            .iter()
            .filter(|(key, _)| issuer.contains(key))
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    let metadata = &certificate.metadata;
    annotations.insert(
        group.key(CERTIFICATE_NAME),
        metadata.name.clone().unwrap_or_default(),
    );
    let mut secret = Secret {
        type_: Some("Opaque".to_owned()),
        data: Some(pair(held)),
        ..Secret::default()
    };
    secret.metadata.name = Some(name(metadata.uid.as_deref().unwrap_or_default()));
    secret.metadata.namespace = metadata.namespace.clone();
    secret.metadata.labels = Some([(group.key(LABEL), "true".to_owned())].into());
    secret.metadata.annotations = Some(annotations);
    secret.metadata.owner_references = Some(vec![next_key::owner(group, certificate)]);
    secret
}

/// The pair that a Secret holds, as it is, and what verifies it.
pub fn pair(secret: &Secret) -> BTreeMap<String, ByteString> {
    let held = secret.data.iter().flatten();
    held.filter(|(key, _)| [data::CERTIFICATE, data::KEY, data::CA].contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
