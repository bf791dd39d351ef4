//! A workload as it comes from the API server.

use std::borrow::Cow;
use std::fmt::{Debug, Formatter};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Workload, WorkloadKind};

/// A workload as it comes from the API server, before anyone has looked at what it is.
///
/// Items of a list don't say of which kind they are: whoever asked knows. It is to become a [`Workload`] at once, since
/// it holds all that the object does but what its field managers are, most of its size.
#[derive(Clone)]
pub struct Object {
    metadata: ObjectMeta,
    object: Value,
}

impl Object {
    /// What is kept of it.
    pub fn workload(&self, kind: &WorkloadKind) -> Workload {
        Workload::from_object(kind.clone(), &self.object)
    }
}

/// It is never undecodable: an object with a field of the wrong type is still an object of its list.
impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Value::deserialize(deserializer)?;
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
        if let Some(metadata) = metadata {
            metadata.remove("managedFields");
        }
        let metadata = object.get("metadata").map(ObjectMeta::deserialize);
        Ok(Self {
            metadata: metadata.and_then(Result::ok).unwrap_or_default(),
            object,
        })
    }
}

/// Names it; what is in it may be nobody's business.
impl Debug for Object {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object")
            .field("namespace", &self.metadata.namespace)
            .field("name", &self.metadata.name)
            .finish_non_exhaustive()
    }
}

impl kube::Resource for Object {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.kind)
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.group)
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.version)
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.plural)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
