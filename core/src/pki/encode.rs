//! Writing what a profile says: names and extensions, as certificates and requests both carry them.
//!
//! Errors are words: what can't be written, and why.

use std::net::IpAddr;

use der::asn1::{
    Any, AnyRef, BitStringRef, Ia5String, ObjectIdentifier, OctetString, PrintableStringRef,
    SetOfVec,
};
use der::{Decode, Encode, EncodeValue, Sequence, Tag};
use spki::AlgorithmIdentifierOwned;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::{GeneralName, OtherName};
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsages, NameConstraints, SubjectAltName,
};

use super::key::{KeyError, PrivateKey};
use super::profile::{Attribute, DistinguishedName, KeyUsage, Names, Profile, Subtrees};
use super::signature;
use crate::api::certificate::SignatureAlgorithm;

/// The DER of a name. The values of a multi-valued RDN are sorted, as DER wants of a set.
pub(super) fn distinguished_name(name: &DistinguishedName) -> Result<Vec<u8>, String> {
    let rdns = name.0.iter().map(|attributes| {
        let attributes = attributes
            .iter()
            .map(attribute)
            .collect::<Result<Vec<_>, _>>()?;
        let set = SetOfVec::try_from(attributes)
            .map_err(|_| "an attribute of the subject stands twice in one RDN")?;
        Ok(set)
    });
    let rdns = rdns.collect::<Result<Vec<SetOfVec<AttributeTypeAndValue>>, String>>()?;
    rdns.to_der()
        .map_err(|problem| format!("the subject can't be written: {problem}"))
}

/// The extensions that a certificate has for its profile's sake.
pub(super) fn certificate_extensions(profile: &Profile) -> Result<Vec<Extension>, String> {
    let mut extensions = usages(profile)?;
    extensions.push(basic_constraints(profile)?);
    extensions.extend(name_constraints(profile)?);
    extensions.extend(subject_alternative_names(profile)?);
    Ok(extensions)
}

/// The extensions that a request asks for.
pub(super) fn request_extensions(profile: &Profile) -> Result<Vec<Extension>, String> {
    let mut extensions = if profile.usages_in_request {
        usages(profile)?
    } else {
        Vec::new()
    };
    if profile.is_ca {
        extensions.push(basic_constraints(profile)?);
    }
    extensions.extend(name_constraints(profile)?);
    extensions.extend(subject_alternative_names(profile)?);
    Ok(extensions)
}

/// One extension.
pub(super) fn extension(
    oid: &'static str,
    critical: bool,
    value: &impl Encode,
) -> Result<Extension, String> {
    value
        .to_der()
        .and_then(OctetString::new)
        .map(|extn_value| Extension {
            extn_id: ObjectIdentifier::new_unwrap(oid),
            critical,
            extn_value,
        })
        .map_err(|problem| format!("extension {oid} can't be written: {problem}"))
}

/// A URI as a general name.
pub(super) fn uri(uri: &str) -> Result<GeneralName, String> {
    ia5(uri, "URI").map(GeneralName::UniformResourceIdentifier)
}

/// A DER structure of our own making, or one read before, as a part of another.
pub(super) fn part(der: &[u8]) -> Result<AnyRef<'_>, String> {
    AnyRef::from_der(der).map_err(|problem| format!("it is not DER: {problem}"))
}

/// A signed structure: what is signed, how, and the signature (RFC 5280 section 4.1.1, RFC 2986 section 4.2).
pub(super) fn signed(
    message: &[u8],
    algorithm: SignatureAlgorithm,
    key: &PrivateKey,
) -> Result<Vec<u8>, KeyError> {
    let signature = key.sign(algorithm, message)?;
    let failed = |_| KeyError::Provider("write what was signed");
    Signed {
        message: AnyRef::from_der(message).map_err(failed)?,
        algorithm: signature::identifier(algorithm),
        signature: BitStringRef::from_bytes(&signature).map_err(failed)?,
    }
    .to_der()
    .map_err(failed)
}

#[derive(EncodeValue)]
struct Signed<'a> {
    message: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitStringRef<'a>,
}

impl<'a> Sequence<'a> for Signed<'a> {}

/// An attribute, in the string type that RFC 5280 appendix A.1 names for it, UTF-8 where it leaves the choice.
fn attribute(attribute: &Attribute) -> Result<AttributeTypeAndValue, String> {
    let Attribute { oid, value } = attribute;
    let refused = |why: &str| {
        format!(
            "the subject's attribute {oid} can't be \"{}\": {why}",
            value.escape_debug()
        )
    };
    let tag = match oid.as_str() {
        COUNTRY | SERIAL_NUMBER | DN_QUALIFIER => {
            PrintableStringRef::new(value).map_err(|_| {
                refused("only letters, digits, space and '()+,-./:=? may stand there")
            })?;
            Tag::PrintableString
        }
        EMAIL_ADDRESS | DOMAIN_COMPONENT => {
            if !value.is_ascii() {
                return Err(refused("only ASCII may stand there"));
            }
            Tag::Ia5String
        }
        _ => Tag::Utf8String,
    };
    let oid =
        ObjectIdentifier::new(oid).map_err(|_| refused("its type is not an object identifier"))?;
    let value = Any::new(tag, value.as_bytes()).map_err(|problem| refused(&problem.to_string()))?;
    Ok(AttributeTypeAndValue { oid, value })
}

const COUNTRY: &str = "2.5.4.6";
const SERIAL_NUMBER: &str = "2.5.4.5";
const DN_QUALIFIER: &str = "2.5.4.46";
/// `emailAddress` (PKCS#9).
pub(super) const EMAIL_ADDRESS: &str = "1.2.840.113549.1.9.1";
const DOMAIN_COMPONENT: &str = "0.9.2342.19200300.100.1.25";

fn usages(profile: &Profile) -> Result<Vec<Extension>, String> {
    let mut extensions = Vec::new();
    if !profile.key_usages.is_empty() {
        let bits = profile
            .key_usages
            .iter()
            .fold(Default::default(), |bits, usage| bits | key_usage(*usage));
        extensions.push(extension(
            "2.5.29.15",
            true,
            &x509_cert::ext::pkix::KeyUsage(bits),
        )?);
    }
    if !profile.extended_key_usages.is_empty() {
        let oids = profile.extended_key_usages.iter().map(|oid| {
            ObjectIdentifier::new(oid)
                .map_err(|_| format!("extended key usage {oid} is not an object identifier"))
        });
        extensions.push(extension(
            "2.5.29.37",
            false,
            &ExtendedKeyUsage(oids.collect::<Result<_, _>>()?),
        )?);
    }
    Ok(extensions)
}

fn key_usage(usage: KeyUsage) -> KeyUsages {
    match usage {
        KeyUsage::DigitalSignature => KeyUsages::DigitalSignature,
        KeyUsage::ContentCommitment => KeyUsages::NonRepudiation,
        KeyUsage::KeyEncipherment => KeyUsages::KeyEncipherment,
        KeyUsage::DataEncipherment => KeyUsages::DataEncipherment,
        KeyUsage::KeyAgreement => KeyUsages::KeyAgreement,
        KeyUsage::KeyCertSign => KeyUsages::KeyCertSign,
        KeyUsage::CrlSign => KeyUsages::CRLSign,
        KeyUsage::EncipherOnly => KeyUsages::EncipherOnly,
        KeyUsage::DecipherOnly => KeyUsages::DecipherOnly,
    }
}

/// Written for leaves too, as an empty sequence: nobody has to guess.
fn basic_constraints(profile: &Profile) -> Result<Extension, String> {
    extension(
        "2.5.29.19",
        true,
        &BasicConstraints {
            ca: profile.is_ca,
            path_len_constraint: None,
        },
    )
}

fn name_constraints(profile: &Profile) -> Result<Option<Extension>, String> {
    let Some(constraints) = &profile.name_constraints else {
        return Ok(None);
    };
    let permitted_subtrees = subtrees(&constraints.permitted)?;
    let excluded_subtrees = subtrees(&constraints.excluded)?;
    if permitted_subtrees.is_none() && excluded_subtrees.is_none() {
        return Ok(None);
    }
    let value = NameConstraints {
        permitted_subtrees,
        excluded_subtrees,
    };
    extension("2.5.29.30", constraints.critical, &value).map(Some)
}

fn subtrees(subtrees: &Subtrees) -> Result<Option<Vec<GeneralSubtree>>, String> {
    let Subtrees {
        dns,
        ip,
        email,
        uri,
    } = subtrees;
    let mut bases = Vec::new();
    for domain in dns {
        bases.push(GeneralName::DnsName(ia5(domain, "DNS domain")?));
    }
    for (base, length) in ip {
        bases.push(GeneralName::IpAddress(network(*base, *length)?));
    }
    for mailbox in email {
        bases.push(GeneralName::Rfc822Name(ia5(mailbox, "e-mail domain")?));
    }
    for host in uri {
        bases.push(GeneralName::UniformResourceIdentifier(ia5(
            host,
            "URI domain",
        )?));
    }
    let subtrees: Vec<_> = bases
        .into_iter()
        .map(|base| GeneralSubtree {
            base,
            minimum: 0,
            maximum: None,
        })
        .collect();
    Ok(if subtrees.is_empty() {
        None
    } else {
        Some(subtrees)
    })
}

/// Address and mask, each as many octets as the address (RFC 5280 section 4.2.1.10).
fn network(base: IpAddr, length: u8) -> Result<OctetString, String> {
    let refused = || format!("the network {base}/{length} can't be written");
    let mut octets = match base {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let bits = octets.len() * 8;
    if usize::from(length) > bits {
        return Err(refused());
    }
    for octet in 0..octets.len() {
        let ones = usize::from(length).saturating_sub(octet * 8).min(8);
        octets.push(!u8::try_from(0xff_usize >> ones).unwrap_or(0));
    }
    OctetString::new(octets).map_err(|_| refused())
}

/// Critical exactly when the subject is empty (RFC 5280 section 4.2.1.6).
fn subject_alternative_names(profile: &Profile) -> Result<Option<Extension>, String> {
    let Names {
        dns,
        ip,
        uri,
        email,
        other,
    } = &profile.names;
    let mut names = Vec::new();
    for name in dns {
        names.push(GeneralName::DnsName(ia5(name, "DNS name")?));
    }
    for mailbox in email {
        names.push(GeneralName::Rfc822Name(ia5(mailbox, "e-mail address")?));
    }
    names.extend(ip.iter().copied().map(GeneralName::from));
    for identifier in uri {
        names.push(self::uri(identifier)?);
    }
    for (oid, value) in other {
        let type_id = ObjectIdentifier::new(oid)
            .map_err(|_| format!("otherName {oid} is not an object identifier"))?;
        let value = Any::new(Tag::Utf8String, value.as_bytes())
            .map_err(|problem| format!("otherName {oid}: {problem}"))?;
        names.push(GeneralName::OtherName(OtherName { type_id, value }));
    }
    if names.is_empty() {
        return Ok(None);
    }
    extension(
        "2.5.29.17",
        profile.subject.is_empty(),
        &SubjectAltName(names),
    )
    .map(Some)
}

fn ia5(text: &str, kind: &str) -> Result<Ia5String, String> {
    Ia5String::new(text).map_err(|_| {
        format!(
            "the {kind} \"{}\" can't be written: it is not ASCII",
            text.escape_debug()
        )
    })
}
