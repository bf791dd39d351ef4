//! `Certificate`: what the user wants.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationText;

mod key;
mod names;
mod renewal;
mod rollout;
mod secret;
mod status;

pub use key::{KeyAlgorithm, KeyEncoding, PrivateKey, RotationPolicy, SignatureAlgorithm, Usage};
pub use names::{NameConstraintItems, NameConstraints, OtherName, Subject};
pub use renewal::{Renewal, RenewalPolicy, RenewalWindow};
pub use rollout::{Rollout, RolloutStatus, RolloutStrategy, WaitingWorkload};
pub use secret::{AdditionalOutputFormat, OutputFormat, SecretDeletionPolicy, SecretTemplate};
pub use status::{CertificateStatus, LastFailure};

/// A certificate that is issued, stored in a Secret, renewed in time and rolled out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Name, namespace and the rest of the standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: CertificateSpec,
    /// What is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CertificateStatus>,
}

/// What is wanted: names, key, issuer, Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSpec {
    /// The Secret the certificate is stored in.
    pub secret_name: String,
    /// Who signs.
    pub issuer_ref: IssuerRef,
    /// The subject's common name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// The rest of the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// The whole subject in RFC 4514 form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub literal_subject: Option<String>,
    /// DNS names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// IP addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_addresses: Vec<String>,
    /// URIs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uris: Vec<String>,
    /// E-mail addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub email_addresses: Vec<String>,
    /// Names of other kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_names: Vec<OtherName>,
    /// How long the certificate is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationText>,
    /// How long before its end it is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<DurationText>,
    /// The same as a percentage of its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before_percentage: Option<i32>,
    /// When renewals may happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
    /// What the key may be used for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usages: Vec<Usage>,
    /// Whether the usages are put into the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encode_usages_in_request: Option<bool>,
    /// Whether the certificate may sign others.
    #[serde(default, rename = "isCA", skip_serializing_if = "Option::is_none")]
    pub is_ca: Option<bool>,
    /// Which names a CA may sign for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_constraints: Option<NameConstraints>,
    /// The private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<PrivateKey>,
    /// How the request is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_algorithm: Option<SignatureAlgorithm>,
    /// Labels and annotations of the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_template: Option<SecretTemplate>,
    /// Further forms the key and certificate are stored in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_output_formats: Vec<AdditionalOutputFormat>,
    /// What becomes of the Secret when the Certificate is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_deletion_policy: Option<SecretDeletionPolicy>,
    /// How the workloads that read the Secret get a new certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Accepted, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
}

/// Who signs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerRef {
    /// The issuer's name.
    pub name: String,
    /// `Issuer` (default) or `ClusterIssuer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The issuer's API group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl CertificateSpec {
    /// `Issuer` or `ClusterIssuer`: the kind of `issuerRef`, `Issuer` if it names none.
    pub fn issuer_kind(&self) -> &str {
        match self.issuer_ref.kind.as_deref() {
            None | Some("") => "Issuer",
            Some(kind) => kind,
        }
    }

    /// What is done to the workloads that read the Secret: `Restart` if the spec doesn't say.
    pub fn rollout_strategy(&self) -> RolloutStrategy {
        self.rollout
            .as_ref()
            .and_then(|rollout| rollout.strategy)
            .unwrap_or_default()
    }

    /// What becomes of the Secret when the Certificate is deleted: `Retain` if the spec doesn't say.
    pub fn secret_deletion_policy(&self) -> SecretDeletionPolicy {
        self.secret_deletion_policy.unwrap_or_default()
    }

    /// Whether each issuance makes a new key: if the spec doesn't say, `Never` for a CA, whose key others rely on, and
    /// `Always` for all others.
    pub fn rotation_policy(&self) -> RotationPolicy {
        let default = if self.is_ca() {
            RotationPolicy::Never
        } else {
            RotationPolicy::Always
        };
        self.private_key
            .as_ref()
            .and_then(|key| key.rotation_policy)
            .unwrap_or(default)
    }

    /// How the private key is written: PKCS#8 if the spec doesn't say.
    pub fn key_encoding(&self) -> KeyEncoding {
        self.private_key
            .as_ref()
            .and_then(|key| key.encoding)
            .unwrap_or(KeyEncoding::Pkcs8)
    }

    /// Whether the certificate may sign others.
    pub fn is_ca(&self) -> bool {
        self.is_ca.unwrap_or(false)
    }

    /// Fields that are given, accepted so that manifests carry over, and without effect; as paths for the user to read.
    pub fn ignored_fields(&self) -> Vec<&'static str> {
        self.revision_history_limit
            .map(|_| "spec.revisionHistoryLimit")
            .into_iter()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_spec_has_the_documented_defaults() {
        let spec = CertificateSpec::default();
        assert_eq!(spec.issuer_kind(), "Issuer");
        assert_eq!(spec.rollout_strategy(), RolloutStrategy::Restart);
        assert_eq!(spec.secret_deletion_policy(), SecretDeletionPolicy::Retain);
        assert_eq!(spec.rotation_policy(), RotationPolicy::Always);
        assert_eq!(spec.key_encoding(), KeyEncoding::Pkcs8);
        assert!(!spec.is_ca());
        assert!(spec.ignored_fields().is_empty());
    }

    #[test]
    fn what_is_written_wins_over_defaults() {
        let spec = CertificateSpec {
            issuer_ref: IssuerRef {
                kind: Some("ClusterIssuer".into()),
                ..IssuerRef::default()
            },
            rollout: Some(Rollout {
                strategy: Some(RolloutStrategy::None),
            }),
            secret_deletion_policy: Some(SecretDeletionPolicy::Delete),
            private_key: Some(PrivateKey {
                rotation_policy: Some(RotationPolicy::Never),
                encoding: Some(KeyEncoding::Pkcs1),
                ..PrivateKey::default()
            }),
            revision_history_limit: Some(1),
            ..CertificateSpec::default()
        };
        assert_eq!(spec.issuer_kind(), "ClusterIssuer");
        assert_eq!(spec.rollout_strategy(), RolloutStrategy::None);
        assert_eq!(spec.secret_deletion_policy(), SecretDeletionPolicy::Delete);
        assert_eq!(spec.rotation_policy(), RotationPolicy::Never);
        assert_eq!(spec.key_encoding(), KeyEncoding::Pkcs1);
        assert_eq!(spec.ignored_fields(), ["spec.revisionHistoryLimit"]);
    }

    #[test]
    fn a_ca_keeps_its_key_unless_told_otherwise() {
        let mut spec = CertificateSpec {
            is_ca: Some(true),
            ..CertificateSpec::default()
        };
        assert_eq!(spec.rotation_policy(), RotationPolicy::Never);
        spec.private_key = Some(PrivateKey {
            rotation_policy: Some(RotationPolicy::Always),
            ..PrivateKey::default()
        });
        assert_eq!(spec.rotation_policy(), RotationPolicy::Always);
    }

    #[test]
    fn an_empty_issuer_kind_is_an_issuer() {
        let issuer_ref = IssuerRef {
            kind: Some(String::new()),
            ..IssuerRef::default()
        };
        assert_eq!(
            CertificateSpec {
                issuer_ref,
                ..CertificateSpec::default()
            }
            .issuer_kind(),
            "Issuer"
        );
    }
}
