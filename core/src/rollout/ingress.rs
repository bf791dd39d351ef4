//! What leads to a Secret's certificate from outside: the hosts of Ingresses that name it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use serde::{Deserialize, Deserializer};

use super::choice::probed_ports;
use super::referrers::Referrers;
use super::workload::{NONE, ours};
use super::{Misconfigured, Source, SourceName};
use crate::api::Group;
use crate::api::certificate::{CallPort, ProbePort};

/// How many hosts of an Ingress are looked at.
const HOSTS: usize = 100;
/// At how many addresses.
const ADDRESSES: usize = 8;

/// What is kept of an Ingress (`networking.k8s.io/v1`): which hosts are to show which Secrets' certificates, and where it is
/// reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ingress {
    /// Name, namespace, uid, resourceVersion, and of the annotations those that may be ours; the rest is left out.
    pub metadata: ObjectMeta,
    /// The hosts of each Secret, by the Secret's name.
    pub hosts: BTreeMap<String, BTreeSet<String>>,
    /// Where its controller says that it is reached: IP addresses, or host names.
    pub addresses: Vec<String>,
}

impl Ingress {
    fn secrets(&self) -> impl Iterator<Item = SourceName> {
        let namespace = self.metadata.namespace.clone().unwrap_or_default();
        let secrets = self.hosts.keys().map(Source::secret);
        secrets.map(move |secret| secret.within(&namespace))
    }

    fn from_raw(raw: Raw) -> Self {
        let spec = raw.spec.unwrap_or_default();
        let of_rules = || {
            let rules = spec.rules.iter().flatten();
            rules
                .filter_map(|rule| rule.host.clone())
                .collect::<Vec<_>>()
        };
        let mut hosts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for tls in spec.tls.iter().flatten() {
            let Some(secret) = tls.secret_name.clone().filter(|name| !name.is_empty()) else {
                continue;
            };
            // Without hosts, it is for all that have rules.
            let named = match &tls.hosts {
                Some(named) if !named.is_empty() => named.clone(),
                _ => of_rules(),
            };
            let named = named.into_iter().filter(|host| !host.is_empty());
            hosts.entry(secret).or_default().extend(named.take(HOSTS));
        }
        let balancer = raw
            .status
            .unwrap_or_default()
            .load_balancer
            .unwrap_or_default();
        let addresses = balancer.ingress.into_iter().flatten();
        Self {
            metadata: ObjectMeta {
                name: raw.metadata.name,
                namespace: raw.metadata.namespace,
                uid: raw.metadata.uid,
                resource_version: raw.metadata.resource_version,
                annotations: raw.metadata.annotations.map(ours),
                ..ObjectMeta::default()
            },
            hosts,
            addresses: addresses
                .filter_map(|address| address.ip.or(address.hostname))
                .filter(|address| !address.is_empty())
                .take(ADDRESSES)
                .collect(),
        }
    }
}

/// Where the hosts of an Ingress serve TLS, if nobody says otherwise.
const HTTPS: ProbePort = ProbePort {
    port: CallPort::Number(443),
    start_tls: None,
};

impl Ingress {
    /// Where its hosts serve their certificates: as its annotation says, else at port 443; nowhere, if that is not to be looked at.
    ///
    /// # Errors
    /// When the annotation can't be read.
    pub fn ports(&self, group: &Group) -> Result<Vec<ProbePort>, Misconfigured> {
        let said = self.metadata.annotations.as_ref().unwrap_or(&NONE);
        Ok(probed_ports(group, said)?.unwrap_or_else(|| vec![HTTPS]))
    }
}

impl<'de> Deserialize<'de> for Ingress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of a value, so that one that makes no sense hurts only itself.
        let object = serde_json::Value::deserialize(deserializer)?;
        let raw = Raw::deserialize(&object).unwrap_or_else(|_| {
            let metadata = object.get("metadata").map(ObjectMeta::deserialize);
            Raw {
                metadata: metadata.and_then(Result::ok).unwrap_or_default(),
                ..Raw::default()
            }
        });
        Ok(Self::from_raw(raw))
    }
}

impl kube::Resource for Ingress {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Cow::Borrowed("Ingress")
    }

    fn group((): &()) -> Cow<'_, str> {
        Cow::Borrowed("networking.k8s.io")
    }

    fn version((): &()) -> Cow<'_, str> {
        Cow::Borrowed("v1")
    }

    fn plural((): &()) -> Cow<'_, str> {
        Cow::Borrowed("ingresses")
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// Finds the Ingresses that name a Secret. It is fed what the watch says.
///
/// Each change answers with the Secrets it touches.
#[derive(Debug, Default)]
pub struct Ingresses {
    by_secret: Referrers<String>,
    /// The Secrets of each, by namespace and name.
    secrets: BTreeMap<(String, String), BTreeSet<SourceName>>,
    /// Those not seen yet in a list that is being read anew.
    unseen: BTreeSet<(String, String)>,
}

impl Ingresses {
    /// The names of those that name a Secret: they are of its namespace.
    pub fn of(&self, secret: &SourceName) -> impl Iterator<Item = &String> {
        self.by_secret.of(secret).into_iter().flatten()
    }

    /// One is there, in this state.
    pub fn applied(&mut self, ingress: &Ingress) -> BTreeSet<SourceName> {
        let key = key(ingress);
        self.unseen.remove(&key);
        let mut touched = self.forget(&key);
        let secrets: BTreeSet<SourceName> = ingress.secrets().collect();
        self.by_secret.add(&key.1, &secrets);
        touched.extend(secrets.iter().cloned());
        if !secrets.is_empty() {
            self.secrets.insert(key, secrets);
        }
        touched
    }

    /// One has gone.
    pub fn deleted(&mut self, ingress: &Ingress) -> BTreeSet<SourceName> {
        let key = key(ingress);
        self.unseen.remove(&key);
        self.forget(&key)
    }

    /// All are about to be listed anew.
    pub fn list_begins(&mut self) {
        self.unseen = self.secrets.keys().cloned().collect();
    }

    /// All were listed: those that were not among them have gone.
    pub fn list_ends(&mut self) -> BTreeSet<SourceName> {
        let gone = std::mem::take(&mut self.unseen);
        gone.iter().flat_map(|key| self.forget(key)).collect()
    }

    fn forget(&mut self, key: &(String, String)) -> BTreeSet<SourceName> {
        let secrets = self.secrets.remove(key).unwrap_or_default();
        self.by_secret.remove(&key.1, &secrets);
        secrets
    }
}

fn key(ingress: &Ingress) -> (String, String) {
    let ObjectMeta {
        namespace, name, ..
    } = &ingress.metadata;
    (
        namespace.clone().unwrap_or_default(),
        name.clone().unwrap_or_default(),
    )
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Raw {
    metadata: ObjectMeta,
    spec: Option<RawSpec>,
    status: Option<RawStatus>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawSpec {
    tls: Option<Vec<RawTls>>,
    rules: Option<Vec<RawRule>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawTls {
    hosts: Option<Vec<String>>,
    secret_name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawRule {
    host: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawStatus {
    load_balancer: Option<RawBalancer>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawBalancer {
    ingress: Option<Vec<RawAddress>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawAddress {
    ip: Option<String>,
    hostname: Option<String>,
}
