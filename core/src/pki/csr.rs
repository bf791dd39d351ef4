//! Certificate signing requests (PKCS#10, RFC 2986).

use der::asn1::{Any, AnyRef, ObjectIdentifier, SetOfVec};
use der::{Encode, EncodeValue, Sequence};
use x509_cert::attr::{Attribute, Attributes};

use super::asn1::{self, Reader, Signed};
use super::key::{KeyError, PrivateKey, PublicKey};
use super::profile::Profile;
use super::sign::SignError;
use super::{encode, signature};

/// A signed request for a certificate, in DER. It never holds the private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr(pub Vec<u8>);

impl Csr {
    /// Asks for a certificate of this profile for this key.
    ///
    /// # Errors
    /// `Key` when the key can't sign with the profile's signature algorithm, `Refused` when a value of the profile
    /// can't be written.
    pub fn new(profile: &Profile, key: &PrivateKey) -> Result<Self, SignError> {
        let subject = encode::distinguished_name(&profile.subject).map_err(SignError::Refused)?;
        let info = CertificationRequestInfo {
            version: 0,
            subject: encode::part(&subject).map_err(SignError::Refused)?,
            subject_public_key_info: encode::part(key.public().as_der())
                .map_err(SignError::Refused)?,
            attributes: attributes(profile).map_err(SignError::Refused)?,
        };
        let info = info.to_der().map_err(|problem| {
            SignError::Refused(format!("the request can't be written: {problem}"))
        })?;
        let algorithm = profile
            .signature_algorithm
            .unwrap_or_else(|| key.default_signature());
        encode::signed(&info, algorithm, key)
            .map(Self)
            .map_err(SignError::Key)
    }

    /// The public key, once the request's own signature has been verified.
    ///
    /// # Errors
    /// `Unreadable` when it is no request, or its signature is not one by the key in it.
    pub fn verified_public_key(&self) -> Result<PublicKey, KeyError> {
        let unreadable = |problem: &str| KeyError::Unreadable(problem.to_owned());
        let signed =
            Signed::read(&self.0).ok_or_else(|| unreadable("the request is not PKCS#10"))?;
        let spki =
            public_key(signed.message).ok_or_else(|| unreadable("the request is not PKCS#10"))?;
        if !signature::holds(&signed, spki) {
            return Err(unreadable("the request is not signed by its own key"));
        }
        PublicKey::from_der(spki)
    }
}

/// CertificationRequestInfo (RFC 2986 section 4.1).
#[derive(EncodeValue)]
struct CertificationRequestInfo<'a> {
    version: u8,
    subject: AnyRef<'a>,
    subject_public_key_info: AnyRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    attributes: Attributes,
}

impl<'a> Sequence<'a> for CertificationRequestInfo<'a> {}

/// The extensions asked for, in an `extensionRequest` attribute (RFC 2985 section 5.4.2).
fn attributes(profile: &Profile) -> Result<Attributes, String> {
    const EXTENSION_REQUEST: ObjectIdentifier =
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
    let extensions = encode::request_extensions(profile)?;
    if extensions.is_empty() {
        return Ok(Attributes::default());
    }
    let attribute = Any::encode_from(&extensions)
        .and_then(|extensions| SetOfVec::try_from(vec![extensions]))
        .map(|values| Attribute {
            oid: EXTENSION_REQUEST,
            values,
        });
    attribute
        .and_then(|attribute| SetOfVec::try_from(vec![attribute]))
        .map_err(|problem| format!("the extensions asked for can't be written: {problem}"))
}

/// The SubjectPublicKeyInfo of a CertificationRequestInfo.
fn public_key(info: &[u8]) -> Option<&[u8]> {
    let mut fields = Reader::inside(info, asn1::SEQUENCE)?;
    fields.expect(asn1::INTEGER)?;
    fields.expect(asn1::SEQUENCE)?;
    fields.whole(asn1::SEQUENCE).map(|(_, whole)| whole)
}
