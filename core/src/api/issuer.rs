//! `Issuer` and `ClusterIssuer`: who signs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Condition;

mod acme;
mod solver;

pub use acme::{
    Acme, AcmeStatus, DEFAULT_KEY_ENTRY, ExternalAccountBinding, MacAlgorithm,
    RenewalInformationSource, SecretKeyRef,
};
pub use solver::{
    AnyObject, Http01, Http01GatewayHttpRoute, Http01Ingress, IngressTemplate, ParentRef,
    Placement, Selector, ServiceType, Solver, TemplateMetadata,
};

/// Signs certificates for its own namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Issuer {
    /// Name, namespace and the rest of the standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// How it signs.
    pub spec: IssuerSpec,
    /// What the operator found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<IssuerStatus>,
}

/// Signs certificates for every namespace, or for those that it lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterIssuer {
    /// Name and the rest of the standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// How it signs.
    pub spec: IssuerSpec,
    /// What the operator found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<IssuerStatus>,
}

/// How an issuer signs: exactly one of `selfSigned`, `ca` and `acme` is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerSpec {
    /// Each certificate is signed by its own key: for the root of an internal CA, or for tests. `selfSigned: {}` is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_signed: Option<SelfSigned>,
    /// Certificates are signed by a CA whose certificate and key are in a Secret, such as one that a Certificate with `isCA: true` made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Ca>,
    /// Certificates come from a CA that speaks ACME (RFC 8555), such as Let's Encrypt or a private one, which is shown that the names are yours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<Acme>,
    /// Of a ClusterIssuer: the namespaces whose Certificates it serves, by their names, such as `[shop, billing]`. Without it, it serves all.
    ///
    /// A Certificate of any other namespace is refused, with the reason `IssuerNotAllowed`, also where it names this issuer as a fallback: nothing is issued, renewed, proven or revoked for it. What it holds already stays in its Secret.
    /// An Issuer serves its own namespace only, and has no such list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<Vec<String>>,
}

impl IssuerSpec {
    /// Whether Certificates of this namespace may be signed, where the spec is a ClusterIssuer's. An empty list, which is
    /// refused when it is written, serves nobody.
    pub fn serves(&self, namespace: &str) -> bool {
        let listed = self.allowed_namespaces.as_ref();
        listed.is_none_or(|all| all.iter().any(|one| one == namespace))
    }
}

/// Settings of a self-signed issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SelfSigned {
    /// Where the revocation list is found, written into each certificate: `http`, `https` or `ldap` URLs. The list itself is not made here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crl_distribution_points: Vec<String>,
}

/// Settings of a CA issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ca {
    /// The Secret that holds the CA: `tls.crt` (its certificate, then the chain above it) and `tls.key`.
    ///
    /// For an Issuer in its own namespace, for a ClusterIssuer in the operator's cluster resource namespace. Any Secret with these keys will do.
    pub secret_name: String,
    /// Where the revocation list is found, written into each certificate: `http`, `https` or `ldap` URLs. The list itself is not made here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crl_distribution_points: Vec<String>,
    /// OCSP responders, written into each certificate: `http` or `https` URLs. The responder itself is not run here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ocsp_servers: Vec<String>,
    /// Where the CA's own certificate is found, written into each certificate (RFC 5280 section 4.2.2.1).
    #[serde(
        default,
        rename = "issuingCertificateURLs",
        skip_serializing_if = "Vec::is_empty"
    )]
    /// Where the CA's own certificate can be fetched, written into each certificate: `http` or `https` URLs.
    pub issuing_certificate_urls: Vec<String>,
}

/// What the operator found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerStatus {
    /// The `metadata.generation` this status speaks of; -1 until the operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready` is True while the issuer can sign; otherwise its message says what is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The account with an ACME CA, and what the CA says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<AcmeStatus>,
}
