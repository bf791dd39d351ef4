//! The pair before, in a Secret of its own, to go back to.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::intent::{ISSUER_KIND, ISSUER_NAME, owner};
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
        previous: None,
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
    secret.metadata.owner_references = Some(vec![owner(group, certificate)]);
    secret
}

/// The pair that a Secret holds, as it is, and what verifies it.
pub fn pair(secret: &Secret) -> BTreeMap<String, ByteString> {
    let held = secret.data.iter().flatten();
    held.filter(|(key, _)| [data::CERTIFICATE, data::KEY, data::CA].contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_pair_and_how_it_came_to_be_and_nothing_else() {
        let group = Group::default();
        let mut certificate = Certificate::default();
        certificate.metadata.name = Some("web".to_owned());
        certificate.metadata.namespace = Some("shop".to_owned());
        certificate.metadata.uid = Some("u1".to_owned());
        let mut held = Secret::default();
        let text = |text: &str| ByteString(text.as_bytes().to_vec());
        held.data = Some(
            ["tls.crt", "tls.key", "ca.crt", "key.der", "theirs"]
                .map(|key| (key.to_owned(), text(key)))
                .into(),
        );
        let noted = [
            ("issuer-name", "ca"),
            ("issuer-kind", "Issuer"),
            ("request", "v1:x"),
            (
                "previous",
                r#"{"fingerprint":"x","serialNumber":"y","usableUntil":"2026-11-02T00:00:00Z"}"#,
            ),
        ];
        let mut annotations: BTreeMap<String, String> = noted
            .map(|(key, value)| (group.key(key), value.to_owned()))
            .into();
        annotations.insert("theirs".to_owned(), "x".to_owned());
        held.metadata.annotations = Some(annotations);
        held.metadata.labels = Some([(group.key("managed"), "true".to_owned())].into());

        let kept = keeping(&group, &certificate, &held);
        assert!(is_of(&kept, &group, "web", "u1"));
        assert!(!is_of(&kept, &group, "web", "u2"));
        assert!(!is_of(&held, &group, "web", "u1"));
        let name = kept.metadata.name.as_deref().unwrap();
        assert!(name.starts_with("previous-") && name != next_key::name("u1"));
        let keys: Vec<_> = kept.data.as_ref().unwrap().keys().collect();
        assert_eq!(keys, ["ca.crt", "tls.crt", "tls.key"]);
        let noted: Vec<_> = kept.metadata.annotations.as_ref().unwrap().keys().collect();
        let wanted = ["certificate-name", "issuer-kind", "issuer-name", "request"];
        assert_eq!(noted, wanted.map(|key| group.key(key)).each_ref());
        let labels: Vec<_> = kept.metadata.labels.as_ref().unwrap().keys().collect();
        assert_eq!(labels, [&group.key(LABEL)]);
        // Somebody who has but the name of it has made another.
        let mut theirs = kept.clone();
        theirs.metadata.labels = None;
        assert!(!is_of(&theirs, &group, "web", "u1"));
    }
}
