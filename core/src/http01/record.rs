//! What is written down before anything is made for a Certificate's challenges.
//!
//! It lies in the operator's own namespace and not in the Certificate, so that what was made is found and taken away
//! even when the Certificate is gone.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::ApiResource;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::objects::{Owner, SOLVER};
use crate::api::Group;

const ENTRY: &str = "record.json";

/// What may be there for a Certificate's challenges. Empty, it can go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// For which Certificate.
    pub certificate: Owner,
    /// Objects that were made, or were about to be.
    #[serde(default)]
    pub objects: BTreeSet<Reference>,
    /// Ingresses of the users that were edited, or were about to be.
    #[serde(default)]
    pub edits: BTreeSet<Edit>,
}

/// An object that we make.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// Of which kind.
    pub kind: Kind,
    /// Where.
    pub namespace: String,
    /// What it is called.
    pub name: String,
}

/// The kinds of what we make, in the order in which they are made: whatever leads somewhere comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// That which the Ingress or HTTPRoute leads to.
    Service,
    /// The operator's addresses.
    EndpointSlice,
    /// One way to the Service.
    Ingress,
    /// The other one.
    #[serde(rename = "HTTPRoute")]
    HttpRoute,
}

/// A path that is added to an Ingress of the users.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Edit {
    /// Where the Ingress is.
    pub namespace: String,
    /// What it is called.
    pub ingress: String,
    /// The name that the path is for; an address has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The path.
    pub path: String,
    /// The Service that it leads to, by which it is known again.
    pub service: String,
}

/// Why a record can't be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordProblem {
    /// It holds nothing.
    #[error("it has no entry {ENTRY}")]
    Empty,
    /// It holds something else.
    #[error("its entry {ENTRY} is not what Certwright writes")]
    Unreadable(#[from] serde_json::Error),
    /// It lies under another Certificate's name.
    #[error("it is not called after the Certificate that it is for")]
    Misplaced,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Service,
        Self::EndpointSlice,
        Self::Ingress,
        Self::HttpRoute,
    ];

    /// How the API server calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Ingress => "Ingress",
            Self::HttpRoute => "HTTPRoute",
        }
    }

    /// Where the API server serves it.
    pub fn resource(self) -> ApiResource {
        let (group, plural) = match self {
            Self::Service => ("", "services"),
            Self::EndpointSlice => ("discovery.k8s.io", "endpointslices"),
            Self::Ingress => ("networking.k8s.io", "ingresses"),
            Self::HttpRoute => ("gateway.networking.k8s.io", "httproutes"),
        };
        let api_version = match group {
            "" => "v1".to_owned(),
            group => format!("{group}/v1"),
        };
        ApiResource {
            group: group.to_owned(),
            version: "v1".to_owned(),
            api_version,
            kind: self.name().to_owned(),
            plural: plural.to_owned(),
        }
    }
}

impl Record {
    /// That of a Certificate for which nothing has been made.
    pub fn of(certificate: Owner) -> Self {
        Self {
            certificate,
            objects: BTreeSet::new(),
            edits: BTreeSet::new(),
        }
    }

    /// What the record of a Certificate is called.
    pub fn name(uid: &str) -> String {
        format!("http01-{uid}")
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When it is none of ours, or that of another Certificate.
    pub fn read(object: &ConfigMap) -> Result<Self, RecordProblem> {
        let entry = object.data.as_ref().and_then(|data| data.get(ENTRY));
        let record: Self = serde_json::from_str(entry.ok_or(RecordProblem::Empty)?)?;
        if object.metadata.name != Some(Self::name(&record.certificate.uid)) {
            return Err(RecordProblem::Misplaced);
        }
        Ok(record)
    }

    /// The record as it is applied in the operator's `namespace`.
    pub fn body(&self, group: &Group, namespace: &str) -> Value {
        let text = serde_json::to_string(self).expect("texts can be written as JSON");
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": Self::name(&self.certificate.uid),
                "namespace": namespace,
                "labels": { group.key(SOLVER): self.certificate.uid },
            },
            "data": { ENTRY: text },
        })
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.edits.is_empty()
    }

    /// Both: what may be there while one follows the other.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            certificate: self.certificate.clone(),
            objects: &self.objects | &other.objects,
            edits: &self.edits | &other.edits,
        }
    }

    /// What is there and not `wanted`.
    #[must_use]
    pub fn without(&self, wanted: &Self) -> Self {
        Self {
            certificate: self.certificate.clone(),
            objects: &self.objects - &wanted.objects,
            edits: &self.edits - &wanted.edits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let owner = Owner {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            uid: "5ad4".to_owned(),
        };
        let mut record = Record::of(owner);
        for kind in Kind::ALL {
            record.objects.insert(Reference {
                kind,
                namespace: "shop".to_owned(),
                name: "http01-a".to_owned(),
            });
        }
        record.edits.insert(Edit {
            namespace: "shop".to_owned(),
            ingress: "web".to_owned(),
            host: Some("shop.example".to_owned()),
            path: "/.well-known/acme-challenge/abc".to_owned(),
            service: "http01-a".to_owned(),
        });
        record
    }

    #[test]
    fn what_is_written_down_is_read_again() {
        let body = record().body(&Group::default(), "certwright");
        let object: ConfigMap = serde_json::from_value(body).unwrap();
        assert_eq!(Record::read(&object).unwrap(), record());
        assert!(!record().is_empty());
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let body = record().body(&Group::default(), "certwright");
        let object: ConfigMap = serde_json::from_value(body).unwrap();
        let mut empty = object.clone();
        empty.data = None;
        assert!(matches!(Record::read(&empty), Err(RecordProblem::Empty)));
        let mut foreign = object.clone();
        foreign.data = Some([(ENTRY.to_owned(), "[]".to_owned())].into());
        assert!(matches!(
            Record::read(&foreign),
            Err(RecordProblem::Unreadable(_))
        ));
        let mut misplaced = object;
        misplaced.metadata.name = Some(Record::name("other"));
        assert!(matches!(
            Record::read(&misplaced),
            Err(RecordProblem::Misplaced)
        ));
    }

    #[test]
    fn whatever_leads_somewhere_is_made_after_it() {
        let kinds: Vec<Kind> = record().objects.iter().map(|object| object.kind).collect();
        assert_eq!(kinds, Kind::ALL);
    }

    #[test]
    fn what_is_left_over_is_what_is_not_wanted() {
        let nothing = Record::of(record().certificate);
        assert_eq!(record().without(&nothing), record());
        assert!(record().without(&record()).is_empty());
        assert_eq!(nothing.and(&record()), record());
    }
}
