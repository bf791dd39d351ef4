//! The request: what of a spec shows in a certificate.

use serde::{Deserialize, Serialize};

use crate::api::CertificateSpec;
use crate::pki::Profile;

/// Who is asked to sign.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerName {
    /// Whether it is a `ClusterIssuer`; an `Issuer` of the Certificate's namespace otherwise.
    pub cluster: bool,
    /// Its name.
    pub name: String,
}

/// What of a Certificate's spec shows in the certificate, and who is asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Who is asked.
    pub issuer: IssuerName,
    /// What is asked for.
    pub profile: Profile,
}

/// The version of defaults and form of requests made now. Secrets remember the version they were issued under, and a
/// spec is compared under that one, so that a changed default re-issues nothing.
pub const VERSION: u32 = 1;

/// A spec that the schema lets through and that can't be issued all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidSpec {
    /// The field, such as `spec.literalSubject`.
    pub field: String,
    /// What is wrong with it and what to write instead.
    pub problem: String,
}

impl Request {
    /// What `spec` asks for, under the defaults of `version`.
    ///
    /// # Errors
    /// When a field's value can't be said in a certificate.
    pub fn of(_spec: &CertificateSpec, _version: u32) -> Result<Self, InvalidSpec> { todo!() }
    /// Version and SHA-256 of the canonical JSON, such as `v1-9f86d0…`: equal for equal requests.
    pub fn hash(&self, _version: u32) -> String { todo!() }
    /// The version that a recorded hash was made under; `None` if it is no hash of ours.
    pub fn version_of(_hash: &str) -> Option<u32> { todo!() }
}
