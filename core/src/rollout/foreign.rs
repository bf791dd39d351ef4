//! Secrets and ConfigMaps that are not ours, and whose readers are rolled because somebody labelled them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::Resource;
use kube::core::NamespaceResourceScope;

use super::choice::{self, CALL, MAX_CONCURRENT, MIN_GAP};
use super::mark::hexadecimal;
use super::workload::NONE;
use super::{CHOICE, Defaults, Misconfigured, Policy, Source, SourceKind, SourceName};
use crate::api::Group;
use crate::api::certificate::Rollout;
use crate::pki::chain;

const TLS: &str = "kubernetes.io/tls";

/// What is kept of a Secret or ConfigMap that isn't ours. Nothing of its data is.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreign {
    /// Which of the two.
    pub kind: SourceKind,
    /// Name, namespace, uid, resourceVersion and deletion timestamp, our label, and of the annotations those that say how its
    /// readers are rolled.
    pub metadata: ObjectMeta,
    /// What its data is, in lower-case hexadecimal: SHA-256 of the leaf's DER where it is of type `kubernetes.io/tls` and holds
    /// a certificate that can be read, as with ours; else of all its data.
    pub fingerprint: String,
    /// When its data was last written, or a moment later: whoever writes data and labels together leaves one time for both.
    pub written_at: Option<Timestamp>,
}

impl Foreign {
    /// Keeps what is needed of a Secret.
    pub fn of_secret(group: &Group, secret: &Secret) -> Self {
        let data = secret.data.iter().flatten();
        let data: BTreeMap<&str, &[u8]> = data
            .map(|(key, value)| (key.as_str(), value.0.as_slice()))
            .collect();
        let leaf = data
            .get("tls.crt")
            .filter(|_| secret.type_.as_deref() == Some(TLS))
            .and_then(|pem| chain::read_pem(pem).ok());
        let leaf = leaf.and_then(|chain| Some(chain.first()?.fingerprint.to_string()));
        Self {
            kind: SourceKind::Secret,
            fingerprint: leaf.unwrap_or_else(|| fingerprint(&data)),
            written_at: written_at(&secret.metadata),
            metadata: reduce(group, &secret.metadata),
        }
    }

    /// Keeps what is needed of a ConfigMap.
    pub fn of_config_map(group: &Group, config_map: &ConfigMap) -> Self {
        let texts = config_map.data.iter().flatten();
        let texts = texts.map(|(key, text)| (key.as_str(), text.as_bytes()));
        let bytes = config_map.binary_data.iter().flatten();
        let bytes = bytes.map(|(key, value)| (key.as_str(), value.0.as_slice()));
        Self {
            kind: SourceKind::ConfigMap,
            fingerprint: fingerprint(&texts.chain(bytes).collect()),
            written_at: written_at(&config_map.metadata),
            metadata: reduce(group, &config_map.metadata),
        }
    }

    /// Which it is.
    pub fn name(&self) -> SourceName {
        let source = Source {
            kind: self.kind,
            name: self.metadata.name.clone().unwrap_or_default(),
        };
        source.within(self.metadata.namespace.as_deref().unwrap_or_default())
    }

    /// Whether its readers are to be rolled.
    ///
    /// # Errors
    /// When its label says neither `true` nor `false`.
    pub fn is_wanted(&self, group: &Group) -> Result<bool, Misconfigured> {
        let key = group.key(CHOICE);
        let labels = self.metadata.labels.as_ref();
        match labels
            .and_then(|labels| labels.get(&key))
            .map(String::as_str)
        {
            Some("true") => Ok(true),
            Some("false") | None => Ok(false),
            Some(text) => Err(Misconfigured::new(
                format!("label {key}"),
                format!(
                    "{text:?} is neither true nor false; what is to be done to its readers is said by an annotation of the same name"
                ),
            )),
        }
    }

    /// What it says in its annotations of the rollouts to its readers, else its namespace, else the operator's `defaults`.
    ///
    /// # Errors
    /// For the first that can't be read.
    pub fn policy(
        &self,
        group: &Group,
        namespace: &BTreeMap<String, String>,
        defaults: &Defaults,
    ) -> Result<Policy, Misconfigured> {
        let own = self.metadata.annotations.as_ref().unwrap_or(&NONE);
        let said = |name: &str| {
            let key = group.key(name);
            let text = own.get(&key)?;
            let what = format!("annotation {key} of the {}", self.kind.as_str());
            Some((what, text.as_str()))
        };
        let strategy = said(CHOICE).map(|(what, text)| {
            let read = text.parse();
            read.map_err(|problem: String| Misconfigured::new(what, problem))
        });
        let call = said(CALL).map(|(what, text)| {
            choice::call(text).map_err(|problem| Misconfigured::new(what, problem))
        });
        let rollout = Rollout {
            strategy: strategy.transpose()?,
            call: call.transpose()?,
            ..Rollout::default()
        };
        let max_concurrent = said(MAX_CONCURRENT).map(|(what, text)| choice::at_once(&what, text));
        let min_gap = said(MIN_GAP).map(|(what, text)| choice::duration(&what, &text.into()));
        // What it says itself nobody else has to be asked for.
        let mut namespace = namespace.clone();
        namespace.retain(|key, _| !own.contains_key(key));
        let mut policy = Policy::of(group, Some(&rollout), &namespace, defaults)?;
        if let Some(number) = max_concurrent.transpose()? {
            policy.max_concurrent = number;
        }
        if let Some(gap) = min_gap.transpose()? {
            policy.min_gap = gap;
        }
        Ok(policy)
    }
}

/// SHA-256 of all keys and values, each with its length before it.
fn fingerprint(data: &BTreeMap<&str, &[u8]>) -> String {
    let mut digest = Context::new(&SHA256);
    for (key, value) in data {
        for part in [key.as_bytes(), value] {
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    hexadecimal(digest.finish().as_ref())
}

/// The last write of one of those who own some of its data (Kubernetes, "Server-Side Apply: Field management": a manager's
/// time is that of the last change of a field it owns).
fn written_at(metadata: &ObjectMeta) -> Option<Timestamp> {
    let owns_data = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref();
        fields.is_some_and(|fields| {
            ["f:data", "f:binaryData", "f:stringData"]
                .iter()
                .any(|field| fields.0.get(field).is_some())
        })
    };
    let entries = metadata.managed_fields.iter().flatten();
    let times = entries
        .filter(owns_data)
        .filter_map(|entry| entry.time.as_ref());
    times.map(|time| time.0).max()
}

fn reduce(group: &Group, metadata: &ObjectMeta) -> ObjectMeta {
    let label = group.key(CHOICE);
    let labels = metadata.labels.iter().flatten();
    ObjectMeta {
        annotations: Some(Policy::annotations(
            group,
            metadata.annotations.iter().flatten(),
        )),
        deletion_timestamp: metadata.deletion_timestamp.clone(),
        labels: Some(
            labels
                .filter(|(key, _)| **key == label)
                .map(|(key, text)| (key.clone(), text.clone()))
                .collect(),
        ),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        resource_version: metadata.resource_version.clone(),
        uid: metadata.uid.clone(),
        ..ObjectMeta::default()
    }
}

impl Resource for Foreign {
    type DynamicType = SourceKind;
    type Scope = NamespaceResourceScope;

    fn kind(kind: &SourceKind) -> Cow<'_, str> {
        Cow::Borrowed(kind.as_str())
    }

    fn group(_: &SourceKind) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn version(_: &SourceKind) -> Cow<'_, str> {
        Cow::Borrowed("v1")
    }

    fn plural(kind: &SourceKind) -> Cow<'_, str> {
        Cow::Borrowed(kind.plural())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
