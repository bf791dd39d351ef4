//! A Secret as it stands, without its key.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference};
use serde_json::Value;

use super::intent::{ISSUER_KIND, ISSUER_NAME, LAST_APPLIED};
use super::marks::Marks;
use super::request::IssuerName;
use crate::api::Group;
use crate::api::certificate::{KeyEncoding, OutputFormat};
use crate::pki::chain;
use crate::pki::facts::Fingerprint;
use crate::pki::key::{KeyError, KeySpec, PrivateKey, PublicKey};
use crate::pki::{CertificateDer, Facts};

/// The keys of a TLS Secret's data that we write.
pub mod data {
    /// The certificate, then its chain.
    pub const CERTIFICATE: &str = "tls.crt";
    /// The private key.
    pub const KEY: &str = "tls.key";
    /// What a client trusts to verify the certificate.
    pub const CA: &str = "ca.crt";
    /// The private key in DER.
    pub const KEY_DER: &str = "key.der";
    /// The private key, then the chain.
    pub const COMBINED: &str = "tls-combined.pem";
}

/// A Secret as it stands, reduced to what planning needs. It never holds the private key.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Its type, such as `kubernetes.io/tls`.
    pub type_: String,
    /// Whether Kubernetes refuses changes to its data.
    pub immutable: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, less what `kubectl apply` stores there.
    pub annotations: BTreeMap<String, String>,
    /// Its owners.
    pub owners: Vec<OwnerReference>,
    /// What of it was last applied by us.
    pub applied: Applied,
    /// The other field managers that own anything of it, the latest first.
    pub others: Vec<String>,
    /// Our own marks among the annotations.
    pub marks: Marks,
    /// The certificate and key, if they can be read and belong together.
    pub pair: Result<Pair, PairFlaw>,
    /// The private key's kind and how it is written, if it can be read, whatever the certificate is.
    pub key: Option<(KeySpec, KeyEncoding)>,
    /// The certificates of `ca.crt`; `None` if it is absent or can't be read.
    pub ca: Option<Vec<Fingerprint>>,
    /// Whether `ca.crt` is there at all.
    pub has_ca: bool,
    /// The additional output formats that are there, and whether they hold this key and chain.
    pub formats: BTreeMap<OutputFormat, bool>,
}

/// Metadata and data keys that we applied last, by the API server's own record (`managedFields`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Labels.
    pub labels: BTreeSet<String>,
    /// Annotations.
    pub annotations: BTreeSet<String>,
    /// Keys of the data.
    pub data: BTreeSet<String>,
    /// Whether we set an owner.
    pub owner: bool,
}

/// A certificate and its key's public half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub leaf: CertificateDer,
    /// SHA-256 of its DER.
    pub fingerprint: Fingerprint,
    /// What follows it in `tls.crt`.
    pub above: Vec<Fingerprint>,
}

/// Why a Secret holds no usable pair.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairFlaw {
    /// A key of the data is absent or empty.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// The certificates can't be read.
    #[error("its tls.crt cannot be read: {0}")]
    Certificate(chain::BundleError),
    /// The private key can't be read.
    #[error("its tls.key cannot be read: {0}")]
    Key(KeyError),
    /// Key and certificate don't belong together.
    #[error("its tls.key is not the key of the certificate in tls.crt")]
    KeyDoesNotFit,
}

/// Key and certificates of a Secret just read, for writing them back whole.
#[derive(Debug)]
pub struct Stored {
    /// The private key.
    pub key: Option<PrivateKey>,
    /// `tls.crt`.
    pub chain: Vec<Facts>,
    /// `ca.crt`.
    pub ca: Vec<Facts>,
}

impl Observed {
    /// Reduces a Secret to what planning needs.
    pub fn of(secret: &Secret, group: &Group) -> Self {
        Self::with_contents(secret, group).0
    }

    /// The same, with the contents themselves.
    pub fn with_contents(secret: &Secret, group: &Group) -> (Self, Stored) {
        let empty = BTreeMap::new();
        let bytes = secret.data.as_ref().unwrap_or(&empty);
        let metadata = &secret.metadata;
        let mut annotations = metadata.annotations.clone().unwrap_or_default();
        annotations.remove(LAST_APPLIED);
        let managed = metadata.managed_fields.as_deref().unwrap_or_default();

        let key = field(bytes, data::KEY).map(PrivateKey::from_pem);
        let certificates = field(bytes, data::CERTIFICATE).map(chain::read_pem);
        let ca = field(bytes, data::CA).map(chain::read_pem);
        let observed = Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            deleting: metadata.deletion_timestamp.is_some(),
            type_: secret.type_.clone().unwrap_or_default(),
            immutable: secret.immutable.unwrap_or_default(),
            labels: metadata.labels.clone().unwrap_or_default(),
            marks: Marks::read(&annotations, group),
            annotations,
            owners: metadata.owner_references.clone().unwrap_or_default(),
            applied: applied(managed, group.manager()),
            others: others(managed, group),
            pair: pair(certificates.as_ref(), key.as_ref()),
            key: key
                .as_ref()
                .and_then(|key| key.as_ref().ok())
                .map(|key| (key.spec(), key.read_encoding())),
            ca: ca
                .as_ref()
                .and_then(|ca| ca.as_ref().ok())
                .map(|ca| ca.iter().map(|facts| facts.fingerprint).collect()),
            has_ca: ca.is_some(),
            formats: formats(bytes),
        };
        let stored = Stored {
            key: key.and_then(Result::ok),
            chain: certificates.and_then(Result::ok).unwrap_or_default(),
            ca: ca.and_then(Result::ok).unwrap_or_default(),
        };
        (observed, stored)
    }

    /// Whether it carries our label or our certificate-name annotation.
    pub fn is_ours(&self, group: &Group) -> bool {
        self.labels.contains_key(&group.key(super::marks::MANAGED))
            || self.marks.certificate_name.is_some()
    }

    /// The issuer its certificate came from, by our own record on it.
    pub fn issuer(&self, group: &Group) -> Option<IssuerName> {
        let recorded = |name| self.annotations.get(&group.key(name));
        let cluster = match recorded(ISSUER_KIND)?.as_str() {
            "ClusterIssuer" => true,
            "Issuer" => false,
            _ => return None,
        };
        let name = recorded(ISSUER_NAME)?.clone();
        Some(IssuerName { cluster, name })
    }

    /// When its certificate was issued by us, if we did.
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.marks.issued_at
    }
}

impl Pair {
    /// What the certificate says.
    ///
    /// It was read once already when the Secret was, so this only returns `None` for a `Pair` made by hand.
    pub fn facts(&self) -> Option<Facts> {
        Facts::read(&self.leaf).ok()
    }
}

fn field<'a>(bytes: &'a BTreeMap<String, ByteString>, key: &str) -> Option<&'a [u8]> {
    bytes
        .get(key)
        .map(|bytes| bytes.0.as_slice())
        .filter(|bytes| !bytes.is_empty())
}

fn pair(
    certificates: Option<&Result<Vec<Facts>, chain::BundleError>>,
    key: Option<&Result<PrivateKey, KeyError>>,
) -> Result<Pair, PairFlaw> {
    let certificates = certificates
        .ok_or(PairFlaw::Missing(data::CERTIFICATE))?
        .as_ref()
        .map_err(|problem| PairFlaw::Certificate(problem.clone()))?;
    let key = key
        .ok_or(PairFlaw::Missing(data::KEY))?
        .as_ref()
        .map_err(|problem| PairFlaw::Key(problem.clone()))?;
    let (leaf, above) = certificates
        .split_first()
        .ok_or(PairFlaw::Missing(data::CERTIFICATE))?;
    let public: &PublicKey = key.public();
    if *public != leaf.public_key {
        return Err(PairFlaw::KeyDoesNotFit);
    }
    Ok(Pair {
        leaf: leaf.der.clone(),
        fingerprint: leaf.fingerprint,
        above: above.iter().map(|facts| facts.fingerprint).collect(),
    })
}

/// Which additional formats are there, and whether each is what `tls.key` and `tls.crt` make of it.
fn formats(bytes: &BTreeMap<String, ByteString>) -> BTreeMap<OutputFormat, bool> {
    let mut formats = BTreeMap::new();
    let key = bytes
        .get(data::KEY)
        .map(|bytes| bytes.0.as_slice())
        .unwrap_or_default();
    if let Some(stored) = bytes.get(data::KEY_DER) {
        let fits =
            PrivateKey::from_pem(key).is_ok_and(|key| *key.to_der(key.read_encoding()) == stored.0);
        formats.insert(OutputFormat::Der, fits);
    }
    if let Some(stored) = bytes.get(data::COMBINED) {
        let certificates = bytes
            .get(data::CERTIFICATE)
            .map(|bytes| bytes.0.as_slice())
            .unwrap_or_default();
        let fits = stored.0.len() == key.len() + 1 + certificates.len()
            && stored.0.starts_with(key)
            && stored.0.ends_with(certificates);
        formats.insert(OutputFormat::CombinedPem, fits);
    }
    formats
}

fn applied(managed: &[ManagedFieldsEntry], manager: &str) -> Applied {
    let mut applied = Applied::default();
    for entry in managed {
        let ours = entry.manager.as_deref() == Some(manager)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty();
        let Some(fields) = entry.fields_v1.as_ref().filter(|_| ours) else {
            continue;
        };
        applied
            .labels
            .extend(children(&fields.0, &["f:metadata", "f:labels"]));
        applied
            .annotations
            .extend(children(&fields.0, &["f:metadata", "f:annotations"]));
        applied.data.extend(children(&fields.0, &["f:data"]));
        applied.owner |= fields.0.pointer("/f:metadata/f:ownerReferences").is_some();
    }
    applied
}

/// The names below a path of a FieldsV1 set, without their `f:`.
fn children<'a>(fields: &'a Value, path: &[&str]) -> impl Iterator<Item = String> + use<'a> {
    path.iter()
        .try_fold(fields, |fields, step| fields.get(step))
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|fields| fields.keys())
        .filter_map(|key| key.strip_prefix("f:").map(str::to_owned))
}

fn others(managed: &[ManagedFieldsEntry], group: &Group) -> Vec<String> {
    let mut others: Vec<_> = managed
        .iter()
        .filter_map(|entry| {
            Some((
                entry.time.as_ref().map(|time| time.0),
                entry.manager.clone()?,
            ))
        })
        .filter(|(_, manager)| manager != group.manager())
        .collect();
    others.sort_by(|a, b| b.cmp(a));
    let mut names: Vec<String> = others.into_iter().map(|(_, manager)| manager).collect();
    names.dedup();
    names
}
