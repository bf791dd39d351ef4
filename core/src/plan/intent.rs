//! What a Secret shall hold.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use zeroize::Zeroizing;

use super::marks::{MANAGED, Marks};
use super::observed::{Observed, data};
use crate::api::certificate::{KeyEncoding, OutputFormat, SecretDeletionPolicy};
use crate::api::{Certificate, Group};
use crate::pki::{CertificateDer, Facts, PrivateKey, chain};

/// What `kubectl apply` stores: the object whole, its data included.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The annotations that name the issuer on a Secret.
pub(super) const ISSUER_NAME: &str = "issuer-name";
pub(super) const ISSUER_KIND: &str = "issuer-kind";

/// Names are left out of an annotation that would be longer than this, in bytes.
const MAX_NAMES: usize = 16 * 1024;

/// Labels, annotations and owner that we apply to a Secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// Our label and those of the template.
    pub labels: BTreeMap<String, String>,
    /// Our annotations and those of the template.
    pub annotations: BTreeMap<String, String>,
    /// The Certificate, where the Secret goes with it.
    pub owner: Option<OwnerReference>,
}

/// Key and certificates that go into a Secret.
#[derive(Debug)]
pub struct Contents {
    /// The private key.
    pub key: PrivateKey,
    /// `tls.crt`: the certificate, then its chain.
    pub chain: Vec<CertificateDer>,
    /// `ca.crt`; absent if empty.
    pub ca: Vec<CertificateDer>,
}

impl Metadata {
    /// What a Secret of this Certificate that holds `leaf` shall carry.
    pub fn of(group: &Group, certificate: &Certificate, leaf: &Facts, marks: &Marks) -> Self {
        let template = certificate.spec.secret_template.clone().unwrap_or_default();
        let mut labels = template.labels;
        labels.insert(group.key(MANAGED), "true".to_owned());

        let mut annotations = template.annotations;
        // It is kubectl's own record, and not among what we see of a Secret.
        annotations.remove(LAST_APPLIED);
        let spec = &certificate.spec;
        annotations.insert(group.key(ISSUER_NAME), spec.issuer_ref.name.clone());
        annotations.insert(group.key(ISSUER_KIND), spec.issuer_kind().to_owned());
        annotations.insert(group.key("issuer-group"), group.name().to_owned());
        annotations.insert(
            group.key("common-name"),
            certificate.spec.common_name.clone().unwrap_or_default(),
        );
        annotations.insert(group.key("alt-names"), joined(&leaf.names.dns));
        annotations.insert(group.key("ip-sans"), joined(&leaf.names.ip));
        annotations.insert(group.key("uri-sans"), joined(&leaf.names.uri));
        marks.write(&mut annotations, group);

        let goes_with = certificate.spec.secret_deletion_policy() == SecretDeletionPolicy::Delete;
        Self {
            labels,
            annotations,
            owner: goes_with.then(|| owner(group, certificate)),
        }
    }

    /// In which respects `secret` is not so, and whether another field manager made it so: it changed or removed what
    /// we had applied, and so owns it now, or nobody does.
    pub fn flaws(&self, secret: &Observed) -> (BTreeSet<Flaw>, bool) {
        let mut flaws = BTreeSet::new();
        let mut taken_over = false;
        let kinds = [
            (
                Flaw::Labels,
                &self.labels,
                &secret.labels,
                &secret.applied.labels,
            ),
            (
                Flaw::Annotations,
                &self.annotations,
                &secret.annotations,
                &secret.applied.annotations,
            ),
        ];
        for (flaw, wanted, held, applied) in kinds {
            let other: Vec<_> = wanted
                .iter()
                .filter(|(key, value)| held.get(*key) != Some(value))
                .collect();
            if !other.is_empty() || applied.iter().any(|key| !wanted.contains_key(key)) {
                flaws.insert(flaw);
            }
            taken_over |= other.iter().any(|(key, _)| !applied.contains(*key));
        }
        let owned = match &self.owner {
            Some(owner) => secret.owners.iter().any(|held| held.uid == owner.uid),
            None => !secret.applied.owner,
        };
        if !owned {
            flaws.insert(Flaw::Owner);
            taken_over |= self.owner.is_some() && !secret.applied.owner;
        }
        (flaws, taken_over)
    }
}

/// In which respect a Secret with a good certificate is not as it shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flaw {
    /// Labels.
    Labels,
    /// Annotations.
    Annotations,
    /// The owner reference.
    Owner,
    /// The private key's encoding.
    Encoding,
    /// The additional output formats.
    Formats,
    /// The certificates after the first in `tls.crt`.
    Chain,
    /// `ca.crt`.
    Ca,
    /// The issuer's CA was replaced, and its new root is not in `ca.crt` yet.
    NewRoot,
}

impl Flaw {
    /// What it is called in a message.
    pub fn words(self) -> &'static str {
        match self {
            Self::Labels => "labels",
            Self::Annotations => "annotations",
            Self::Owner => "owner reference",
            Self::Encoding => "encoding of the private key",
            Self::Formats => "additional output formats",
            Self::Chain => "chain in tls.crt",
            Self::Ca => "ca.crt",
            Self::NewRoot => "ca.crt (the issuer's new root is added)",
        }
    }
}

impl Contents {
    /// The Secret's data, each value in the clear.
    pub fn data(&self, certificate: &Certificate) -> BTreeMap<&'static str, Zeroizing<Vec<u8>>> {
        let encoding = certificate.spec.key_encoding();
        let key = self.key.to_pem(encoding);
        let certificates = chain::to_pem(&self.chain);
        let mut bytes = BTreeMap::new();
        for format in output_formats(certificate) {
            match format {
                OutputFormat::Der => bytes.insert(data::KEY_DER, self.key.to_der(encoding)),
                OutputFormat::CombinedPem => {
                    let combined = [key.as_bytes(), b"\n", certificates.as_bytes()].concat();
                    bytes.insert(data::COMBINED, Zeroizing::new(combined))
                }
            };
        }
        bytes.insert(data::KEY, Zeroizing::new(key.as_bytes().to_vec()));
        bytes.insert(data::CERTIFICATE, Zeroizing::new(certificates.into_bytes()));
        if !self.ca.is_empty() {
            bytes.insert(
                data::CA,
                Zeroizing::new(chain::to_pem(&self.ca).into_bytes()),
            );
        }
        bytes
    }
}

/// The additional formats a Certificate asks for.
pub fn output_formats(certificate: &Certificate) -> BTreeSet<OutputFormat> {
    certificate
        .spec
        .additional_output_formats
        .iter()
        .map(|format| format.type_)
        .collect()
}

/// How the key is written that a Certificate asks for, for a key of this kind: Ed25519 only has one form.
pub fn key_encoding(certificate: &Certificate, key: crate::pki::KeySpec) -> KeyEncoding {
    match key {
        crate::pki::KeySpec::Ed25519 => KeyEncoding::Pkcs8,
        _ => certificate.spec.key_encoding(),
    }
}

/// What makes a Secret go with a Certificate.
pub fn owner(group: &Group, certificate: &Certificate) -> OwnerReference {
    OwnerReference {
        api_version: group.api_version(),
        kind: "Certificate".to_owned(),
        name: certificate.metadata.name.clone().unwrap_or_default(),
        uid: certificate.metadata.uid.clone().unwrap_or_default(),
        controller: None,
        block_owner_deletion: Some(false),
    }
}

fn joined<T: ToString>(names: &BTreeSet<T>) -> String {
    let joined = names.iter().map(T::to_string).collect::<Vec<_>>().join(",");
    if joined.len() > MAX_NAMES {
        String::new()
    } else {
        joined
    }
}
