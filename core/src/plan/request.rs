//! The request: what of a spec shows in a certificate.

mod key;
mod literal_subject;
mod names;
mod subject;
mod usages;

use std::fmt;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::api::certificate::{CertificateSpec, IssuerRef};
use crate::api::names::InvalidName;
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

impl IssuerName {
    /// Whom a reference names. What is no kind of issuer is an `Issuer`; a request of such a one can't be said.
    pub fn of(reference: &IssuerRef) -> Self {
        Self {
            cluster: reference.kind() == CLUSTER_ISSUER,
            name: reference.name.clone(),
        }
    }

    /// `Issuer` or `ClusterIssuer`.
    pub fn kind(&self) -> &'static str {
        if self.cluster { CLUSTER_ISSUER } else { ISSUER }
    }
}

impl fmt::Display for IssuerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name)
    }
}

const ISSUER: &str = "Issuer";
const CLUSTER_ISSUER: &str = "ClusterIssuer";

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

/// How long a certificate is valid where the spec doesn't say: 2160 hours, which are 90 days.
const DEFAULT_LIFETIME_SECONDS: i64 = 2160 * 3600;

/// A spec that the schema lets through and that can't be issued all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidSpec {
    /// The field, such as `spec.literalSubject`.
    pub field: String,
    /// What is wrong with it and what to write instead.
    pub problem: String,
}

impl InvalidSpec {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }

    fn name(field: impl Into<String>, problem: &InvalidName) -> Self {
        Self::new(field, problem.to_string())
    }
}

impl Request {
    /// What `spec` asks for, under the defaults of `version`.
    ///
    /// So far there is one version. One that this release doesn't know, as a later release may have left behind before
    /// a downgrade, is read as [`VERSION`].
    ///
    /// The defaults of version 1:
    /// - the issuer is an `Issuer`;
    /// - the key is the one that `signatureAlgorithm` names; RSA where only a `size` of 2048 or more is given; ECDSA
    ///   otherwise. RSA has 2048 bits, ECDSA 256;
    /// - the usages are `digital signature`, with `key encipherment` for RSA keys (RFC 8813 section 3 forbids it to
    ///   others). A CA has `cert sign` beside what the spec says;
    /// - usages go into requests; the lifetime is 2160 hours, and fractions of a second are dropped.
    ///
    /// The common name is not added to the DNS names, as in `cert-manager.io/v1`.
    ///
    /// # Errors
    /// When a field's value can't be said in a certificate, or what is said makes no certificate.
    pub fn of(spec: &CertificateSpec, _version: u32) -> Result<Self, InvalidSpec> {
        let is_ca = spec.is_ca.unwrap_or(false);
        let key = key::key_spec(spec)?;
        let (key_usages, extended_key_usages) = usages::usages(&spec.usages, key, is_ca);
        let profile = Profile {
            subject: subject::subject(spec)?,
            names: names::names(spec)?,
            key_usages,
            extended_key_usages,
            is_ca,
            name_constraints: names::name_constraints(spec, is_ca)?,
            key,
            signature_algorithm: spec.signature_algorithm,
            usages_in_request: spec.encode_usages_in_request.unwrap_or(true),
            lifetime_seconds: lifetime_seconds(spec)?,
        };
        refuse_nameless(&profile)?;
        Ok(Self {
            issuer: issuer_name(&spec.issuer_ref)?,
            profile,
        })
    }

    /// Version and SHA-256 of the canonical JSON, such as `v1-9f86d0…`: equal for equal requests.
    pub fn hash(&self, version: u32) -> String {
        let json =
            serde_json::to_vec(self).expect("a request has only string keys and finite numbers");
        let digest = digest::digest(&digest::SHA256, &json);
        let hex: String = digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("v{version}-{hex}")
    }

    /// The version that a recorded hash was made under; `None` if it is no hash of ours.
    pub fn version_of(hash: &str) -> Option<u32> {
        let (number, hex) = hash.strip_prefix('v')?.split_once('-')?;
        let is_hex = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let version: u32 = number.parse().ok()?;
        (is_hex && version.to_string() == number).then_some(version)
    }
}

fn issuer_name(reference: &IssuerRef) -> Result<IssuerName, InvalidSpec> {
    let cluster = match reference.kind.as_deref() {
        None | Some("" | "Issuer") => false,
        Some("ClusterIssuer") => true,
        Some(kind) => {
            let problem = format!("{kind:?} is no kind of issuer; write Issuer or ClusterIssuer");
            return Err(InvalidSpec::new("spec.issuerRef.kind", problem));
        }
    };
    Ok(IssuerName {
        cluster,
        name: reference.name.clone(),
    })
}

fn lifetime_seconds(spec: &CertificateSpec) -> Result<i64, InvalidSpec> {
    let Some(duration) = &spec.duration else {
        return Ok(DEFAULT_LIFETIME_SECONDS);
    };
    let seconds = duration
        .parse()
        .map_err(|problem| InvalidSpec::new("spec.duration", problem.to_string()))?
        .as_secs();
    if seconds < 1 {
        return Err(InvalidSpec::new(
            "spec.duration",
            "a certificate lives longer than that; write at least 1h",
        ));
    }
    Ok(seconds)
}

/// RFC 5280 section 4.1.2.6: a CA must have a subject, and any other certificate a subject or an alternative name.
fn refuse_nameless(profile: &Profile) -> Result<(), InvalidSpec> {
    if !profile.subject.is_empty() {
        return Ok(());
    }
    if profile.is_ca {
        return Err(InvalidSpec::new(
            "spec.commonName",
            "a CA is known by its subject; give it a commonName",
        ));
    }
    if profile.names.is_empty() {
        let problem = "there is nothing to certify; give at least one of commonName, dnsNames, ipAddresses, uris, \
                       emailAddresses and otherNames";
        return Err(InvalidSpec::new("spec", problem));
    }
    Ok(())
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
