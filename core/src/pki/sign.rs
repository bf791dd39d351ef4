//! Making certificates.

use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use der::asn1::{AnyRef, GeneralizedTime, OctetString, UintRef, UtcTime};
use der::{Encode, EncodeValue, Sequence};
use jiff::{SignedDuration, Timestamp};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::DistributionPointName;
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, CrlDistributionPoints,
    SubjectKeyIdentifier,
};
use x509_cert::time::Time;

use super::ca::Authority;
use super::key::{KeyError, PrivateKey};
use super::profile::Profile;
use super::{CertificateDer, PublicKey, constraints, encode, read, signature};
use crate::api::certificate::SignatureAlgorithm;

/// What an issuer adds to a certificate on its own account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locations {
    /// Where the revocation list is found.
    pub crl_distribution_points: Vec<String>,
    /// OCSP responders.
    pub ocsp_servers: Vec<String>,
    /// Where the issuer's certificate is found.
    pub issuing_certificate_urls: Vec<String>,
}

/// Why a certificate was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key failed.
    #[error(transparent)]
    Key(KeyError),
    /// What is asked for can't be written into a certificate, or the CA may not sign it.
    #[error("{0}")]
    Refused(String),
}

/// Signs a certificate with its own key. Valid from `now`, in whole seconds, for the profile's lifetime.
///
/// # Errors
/// `Key` when the key can't sign with the profile's algorithm, `Refused` when a value of the profile can't be written.
pub fn self_signed(
    profile: &Profile,
    locations: &Locations,
    key: &PrivateKey,
    now: Timestamp,
) -> Result<CertificateDer, SignError> {
    let subject = encode::distinguished_name(&profile.subject).map_err(SignError::Refused)?;
    let key_id = key.public().key_identifier();
    let made = Made {
        issuer: &subject,
        // Its authority is itself. Only a CA's could be left out (RFC 5280 section 4.2.1.1).
        authority_key_id: Some(&key_id),
        validity: validity(profile, now, Timestamp::MAX)?,
        algorithm: profile
            .signature_algorithm
            .unwrap_or_else(|| key.default_signature()),
    };
    made.certificate(profile, locations, key.public(), key)
}

/// Signs a certificate by a CA. It never outlives the CA.
///
/// The CA's key signs with its own default algorithm: the profile's is one for requests.
///
/// # Errors
/// `Refused` when the CA isn't valid now, when its own or a superior's name or path length constraints forbid the
/// certificate, and when a value of the profile can't be written; `Key` when the CA's key fails.
pub fn by_authority(
    profile: &Profile,
    locations: &Locations,
    public_key: &PublicKey,
    authority: &Authority,
    now: Timestamp,
) -> Result<CertificateDer, SignError> {
    authority
        .check(now)
        .map_err(|problem| SignError::Refused(problem.to_string()))?;
    constraints::check(profile, &authority.chain).map_err(SignError::Refused)?;
    let ca = authority.certificate();
    let issuer = ca
        .subject_der()
        .ok_or_else(|| SignError::Refused("the CA's name can't be read".to_owned()))?;
    let authority_key_id = ca
        .subject_key_id
        .clone()
        .unwrap_or_else(|| ca.public_key.key_identifier());
    let made = Made {
        issuer,
        authority_key_id: Some(&authority_key_id),
        validity: validity(profile, now, ca.not_after)?,
        algorithm: authority.key.default_signature(),
    };
    made.certificate(profile, locations, public_key, &authority.key)
}

/// What the signer decides.
struct Made<'a> {
    issuer: &'a [u8],
    authority_key_id: Option<&'a [u8]>,
    validity: Validity,
    algorithm: SignatureAlgorithm,
}

impl Made<'_> {
    fn certificate(
        &self,
        profile: &Profile,
        locations: &Locations,
        public_key: &PublicKey,
        key: &PrivateKey,
    ) -> Result<CertificateDer, SignError> {
        let serial = serial_number()?;
        let tbs = self
            .to_be_signed(profile, locations, public_key, &serial)
            .map_err(SignError::Refused)?;
        encode::signed(&tbs, self.algorithm, key)
            .map(CertificateDer::from)
            .map_err(SignError::Key)
    }

    fn to_be_signed(
        &self,
        profile: &Profile,
        locations: &Locations,
        public_key: &PublicKey,
        serial: &[u8],
    ) -> Result<Vec<u8>, String> {
        let subject = encode::distinguished_name(&profile.subject)?;
        let mut extensions = encode::certificate_extensions(profile)?;
        extensions.extend(self.key_identifiers(public_key)?);
        extensions.extend(found_at(locations)?);
        let serial_number =
            UintRef::new(serial).map_err(|problem| format!("the serial number: {problem}"))?;
        let tbs = TbsCertificate {
            version: V3,
            serial_number,
            signature: signature::identifier(self.algorithm),
            issuer: encode::part(self.issuer)
                .map_err(|problem| format!("the issuer's name: {problem}"))?,
            validity: self.validity,
            subject: encode::part(&subject)?,
            subject_public_key_info: encode::part(public_key.as_der())?,
            extensions,
        };
        tbs.to_der()
            .map_err(|problem| format!("the certificate can't be written: {problem}"))
    }

    fn key_identifiers(&self, public_key: &PublicKey) -> Result<Vec<Extension>, String> {
        let octets = |id: &[u8]| {
            OctetString::new(id).map_err(|problem| format!("a key identifier: {problem}"))
        };
        let subject = SubjectKeyIdentifier(octets(&public_key.key_identifier())?);
        let mut extensions = vec![encode::extension("2.5.29.14", false, &subject)?];
        if let Some(id) = self.authority_key_id {
            let authority = AuthorityKeyIdentifier {
                key_identifier: Some(octets(id)?),
                ..Default::default()
            };
            extensions.push(encode::extension("2.5.29.35", false, &authority)?);
        }
        Ok(extensions)
    }
}

/// TBSCertificate (RFC 5280 section 4.1.2). The issuer's name is the CA's own octets: x509-cert's type would parse and
/// write them anew.
#[derive(EncodeValue)]
struct TbsCertificate<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: u8,
    serial_number: UintRef<'a>,
    signature: AlgorithmIdentifierOwned,
    issuer: AnyRef<'a>,
    validity: Validity,
    subject: AnyRef<'a>,
    subject_public_key_info: AnyRef<'a>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

impl<'a> Sequence<'a> for TbsCertificate<'a> {}

const V3: u8 = 2;

#[derive(Clone, Copy, EncodeValue)]
struct Validity {
    not_before: Time,
    not_after: Time,
}

impl<'a> Sequence<'a> for Validity {}

/// From `now` for the profile's lifetime, at most to `end`.
fn validity(profile: &Profile, now: Timestamp, end: Timestamp) -> Result<Validity, SignError> {
    let not_before = now.as_second();
    let not_after = now
        .saturating_add(SignedDuration::from_secs(profile.lifetime_seconds))
        .map_or(end, |wanted| wanted.min(end))
        .as_second();
    if not_after <= not_before {
        return Err(SignError::Refused(format!(
            "a lifetime of {} seconds is over before it starts",
            profile.lifetime_seconds
        )));
    }
    Ok(Validity {
        not_before: time(not_before)?,
        not_after: time(not_after)?,
    })
}

/// UTCTime until 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5).
fn time(second: i64) -> Result<Time, SignError> {
    let since_epoch = u64::try_from(second)
        .map(Duration::from_secs)
        .map_err(|_| SignError::Refused("no certificate begins or ends before 1970".to_owned()))?;
    let time = if second < YEAR_2050 {
        UtcTime::from_unix_duration(since_epoch).map(Time::UtcTime)
    } else {
        GeneralizedTime::from_unix_duration(since_epoch).map(Time::GeneralTime)
    };
    time.map_err(|problem| SignError::Refused(format!("the validity can't be written: {problem}")))
}

/// 2050-01-01T00:00:00Z.
const YEAR_2050: i64 = 2_524_608_000;

/// 126 random bits in 16 octets, the first neither zero nor negative (RFC 5280 section 4.1.2.2).
fn serial_number() -> Result<[u8; 16], SignError> {
    let mut serial = [0; 16];
    SystemRandom::new()
        .fill(&mut serial)
        .map_err(|_| SignError::Key(KeyError::Provider("draw a serial number")))?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(serial)
}

/// CRL distribution points (RFC 5280 section 4.2.1.13) and authority information access (section 4.2.2.1).
fn found_at(locations: &Locations) -> Result<Vec<Extension>, String> {
    let mut extensions = Vec::new();
    if !locations.crl_distribution_points.is_empty() {
        let points = locations.crl_distribution_points.iter().map(|point| {
            let name = DistributionPointName::FullName(vec![encode::uri(point)?]);
            Ok(DistributionPoint {
                distribution_point: Some(name),
                reasons: None,
                crl_issuer: None,
            })
        });
        let points = CrlDistributionPoints(points.collect::<Result<_, String>>()?);
        extensions.push(encode::extension("2.5.29.31", false, &points)?);
    }
    let described = |method: &'static str, places: &[String]| {
        let describe = |place: &String| {
            let access_method = der::oid::ObjectIdentifier::new_unwrap(method);
            Ok(AccessDescription {
                access_method,
                access_location: encode::uri(place)?,
            })
        };
        places
            .iter()
            .map(describe)
            .collect::<Result<Vec<_>, String>>()
    };
    let mut access = described(read::OCSP, &locations.ocsp_servers)?;
    access.extend(described(
        read::CA_ISSUERS,
        &locations.issuing_certificate_urls,
    )?);
    if !access.is_empty() {
        extensions.push(encode::extension(
            "1.3.6.1.5.5.7.1.1",
            false,
            &AuthorityInfoAccessSyntax(access),
        )?);
    }
    Ok(extensions)
}

#[cfg(test)]
mod tests;
