//! `Certificate`: what the user wants.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationText;

mod carried;
mod fallback;
mod held_back;
mod key;
mod names;
mod order;
mod renewal;
mod revocation;
mod rollout;
mod secret;
mod status;

pub use carried::{
    HostState, HostStatus, RefusedStatus, RolloutStatus, WorkloadState, WorkloadStatus,
};
pub use fallback::{FallbackStatus, SignedBy};
pub use held_back::{HeldBackStatus, PreviousStatus};
pub use key::{KeyAlgorithm, KeyEncoding, PrivateKey, RotationPolicy, SignatureAlgorithm, Usage};
pub use names::{NameConstraintItems, NameConstraints, OtherName, Subject};
pub use order::{OrderStatus, PresentedChallenge};
pub use renewal::{Renewal, RenewalPolicy, RenewalWindow};
pub use revocation::{RevocationState, RevocationStatus};
pub use rollout::{
    CallMethod, CallPort, LabelOperator, LabelRequirement, ProbePolicy, ProbePort, RollBackPolicy,
    Rollout, RolloutCall, RolloutProbe, RolloutRule, RolloutStrategy, StartTlsProtocol,
    WorkloadSelector,
};
pub use secret::{AdditionalOutputFormat, OutputFormat, SecretDeletionPolicy, SecretTemplate};
pub use status::{CertificateStatus, LastFailure, SuggestedWindow};

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
    /// Name of the Secret the certificate is stored in, in the Certificate's own namespace.
    ///
    /// It is made with type `kubernetes.io/tls` and holds `tls.crt` (the certificate, then its intermediates), `tls.key` and, if the issuer has one, `ca.crt`.
    /// A Secret that is there already and wasn't made by us is left alone; a condition then says how to hand it over. Each Secret belongs to one Certificate.
    pub secret_name: String,
    /// Who signs: an Issuer of the same namespace, or a ClusterIssuer.
    pub issuer_ref: IssuerRef,
    /// Who signs instead while `issuerRef` can't, in this order: at most four.
    ///
    /// One is asked once the one before it has failed for `fallbackAfter`. What a fallback signed is as good as what the first one would have: it stays until its renewal, which begins with `issuerRef` again. The status says who signed and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback_issuer_refs: Vec<IssuerRef>,
    /// How long an issuer may fail before the next of `fallbackIssuerRefs` is asked, such as `30m`: at least `1m`. Defaults to `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_after: Option<DurationText>,
    /// The subject's common name, such as `example.com`: at most 64 characters.
    ///
    /// Servers don't need it: clients look at `dnsNames` only, and it isn't added there. A CA is known by it. Not together with `literalSubject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// Further attributes of the subject, such as the organization; most certificates need none.
    ///
    /// For several attributes in an order of your own use `literalSubject`, which excludes this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// The whole subject as text in RFC 4514 form, such as `CN=web,OU=Shop,O=Example,C=DE`: the most specific name first.
    ///
    /// For subjects that must come out exactly so, in order and kind. Not together with `commonName` or `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub literal_subject: Option<String>,
    /// DNS names the certificate is valid for, such as `example.com` or `*.example.com`.
    ///
    /// `*` stands for exactly one label and only at the beginning. International names (`bücher.example`) are converted. No scheme, port, path or final dot.
    /// At least one name is needed here or in another field of names, `commonName` or `literalSubject`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// IP addresses the certificate is valid for, such as `192.0.2.1` or `2001:db8::1`; no ranges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_addresses: Vec<String>,
    /// URIs the certificate is valid for, such as `spiffe://example.org/ns/shop/sa/web`.
    ///
    /// Absolute and in ASCII: write an international host as `xn--...`, escape other characters with `%`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uris: Vec<String>,
    /// E-mail addresses the certificate is valid for, such as `ops@example.com`, without a display name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub email_addresses: Vec<String>,
    /// Names of other kinds (`otherName` of RFC 5280), such as a Microsoft user principal name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_names: Vec<OtherName>,
    /// How long the certificate is valid, such as `2160h`: at least `1h`. Defaults to `2160h` (90 days).
    ///
    /// Hours, minutes and seconds; days are not a unit. An issuer may give less: a certificate never outlives the CA that signs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationText>,
    /// How long before its end the certificate is renewed, such as `720h`: at least `5m` and less than `duration`.
    ///
    /// Defaults to one third of the certificate's life. The moment is moved forward a little, and differently for each certificate, so that many don't come due at once. Not together with `renewBeforePercentage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<DurationText>,
    /// The same as a percentage of the certificate's life: 25 renews when a quarter of it is left.
    ///
    /// 1 to 99, and not less than 5 minutes. Not together with `renewBefore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before_percentage: Option<i32>,
    /// Whether the certificate renews by itself, and at which times of the week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
    /// What the key may be used for, such as `server auth` and `client auth`.
    ///
    /// Defaults to `digital signature`, for RSA keys also `key encipherment`. `isCA` adds `cert sign`. Many clients want `server auth` of a server and `client auth` of a client.
    /// `signing` is `digital signature`, and `s/mime` is `email protection`, by another name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usages: Vec<Usage>,
    /// Whether `usages` are written into the signing request too. Defaults to true; some outside CAs refuse requests that carry them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encode_usages_in_request: Option<bool>,
    /// Whether the certificate may sign others. Defaults to false.
    ///
    /// A CA needs a subject, best a `commonName`. Use its Secret in an Issuer's `ca.secretName`.
    #[serde(default, rename = "isCA", skip_serializing_if = "Option::is_none")]
    pub is_ca: Option<bool>,
    /// Which names a CA may sign for. Only together with `isCA: true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_constraints: Option<NameConstraints>,
    /// The private key: its kind, its size, how it is written, and whether renewals make a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<PrivateKey>,
    /// How the signing request, or a self-signed certificate, is signed. Defaults to what suits the key.
    ///
    /// Must fit `privateKey.algorithm`; where that isn't given, it follows from this. What a CA signs with is the CA's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_algorithm: Option<SignatureAlgorithm>,
    /// Labels and annotations that the Secret carries. What is taken out here goes from the Secret too; what others added stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_template: Option<SecretTemplate>,
    /// Further forms in which key and certificate are stored in the Secret, for software that can't read PEM pairs. Each at most once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_output_formats: Vec<AdditionalOutputFormat>,
    /// What becomes of the Secret when the Certificate is deleted: `Retain` (default) keeps it, so that what uses it runs on; `Delete` removes it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_deletion_policy: Option<SecretDeletionPolicy>,
    /// How the workloads that read the Secret get a new certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Accepted so that manifests carry over, and without effect: nothing is kept for past issuances that would have to be limited. At least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
}

/// Who signs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerRef {
    /// The name of the Issuer or ClusterIssuer.
    pub name: String,
    /// `Issuer` (default), which lives in the Certificate's namespace, or `ClusterIssuer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The API group of the issuer. May be left out; issuers of other groups are not served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl IssuerRef {
    /// `Issuer` or `ClusterIssuer`: `Issuer` if it names none.
    pub fn kind(&self) -> &str {
        match self.kind.as_deref() {
            None | Some("") => "Issuer",
            Some(kind) => kind,
        }
    }
}

impl CertificateSpec {
    /// `Issuer` or `ClusterIssuer`: the kind of `issuerRef`, `Issuer` if it names none.
    pub fn issuer_kind(&self) -> &str {
        self.issuer_ref.kind()
    }

    /// How long an issuer may fail before the next one is asked: an hour if the spec doesn't say, or not readably.
    pub fn fallback_after(&self) -> SignedDuration {
        self.fallback_after
            .as_ref()
            .and_then(|text| text.parse().ok())
            .unwrap_or(SignedDuration::from_hours(1))
    }

    /// What becomes of the Secret when the Certificate is deleted: `Retain` if the spec doesn't say.
    pub fn secret_deletion_policy(&self) -> SecretDeletionPolicy {
        self.secret_deletion_policy.unwrap_or_default()
    }

    /// Whether the pair before comes back if workloads refuse the held one.
    pub fn rolls_back(&self) -> bool {
        self.rollout.as_ref().is_some_and(Rollout::rolls_back)
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
        assert_eq!(spec.secret_deletion_policy(), SecretDeletionPolicy::Retain);
        assert_eq!(spec.rotation_policy(), RotationPolicy::Always);
        assert_eq!(spec.key_encoding(), KeyEncoding::Pkcs8);
        assert_eq!(spec.fallback_after(), SignedDuration::from_hours(1));
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
            secret_deletion_policy: Some(SecretDeletionPolicy::Delete),
            private_key: Some(PrivateKey {
                rotation_policy: Some(RotationPolicy::Never),
                encoding: Some(KeyEncoding::Pkcs1),
                ..PrivateKey::default()
            }),
            revision_history_limit: Some(1),
            fallback_after: Some("30m".into()),
            ..CertificateSpec::default()
        };
        assert_eq!(spec.issuer_kind(), "ClusterIssuer");
        assert_eq!(spec.secret_deletion_policy(), SecretDeletionPolicy::Delete);
        assert_eq!(spec.rotation_policy(), RotationPolicy::Never);
        assert_eq!(spec.key_encoding(), KeyEncoding::Pkcs1);
        assert_eq!(spec.fallback_after(), SignedDuration::from_mins(30));
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
