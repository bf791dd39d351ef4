//! Reading certificates: from DER to [`Facts`].

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use jiff::Timestamp;
use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{
    DistributionPointName, GeneralName, GeneralSubtree, ParsedExtension, X509Extension,
};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use super::asn1::{self, Reader, Signed};
use super::facts::{Facts, Fingerprint, hex};
use super::key::PublicKey;
use super::profile::{Attribute, DistinguishedName, KeyUsage, NameConstraints, Names, Subtrees};
use super::{CertificateDer, signature};

/// Reads a certificate; the error says where reading stopped.
pub(super) fn certificate(der: &CertificateDer) -> Result<Facts, String> {
    let (rest, parsed) = X509Certificate::from_der(der).map_err(|problem| problem.to_string())?;
    if !rest.is_empty() {
        return Err("something follows it".to_owned());
    }
    let signed = Signed::read(der).ok_or("its frame is not DER")?;
    let public_key =
        PublicKey::from_der(parsed.public_key().raw).map_err(|_| "its public key can't be read")?;
    let mut facts = Facts {
        der: der.clone(),
        fingerprint: Fingerprint::of(der),
        serial: parsed.raw_serial().to_vec(),
        subject: distinguished_name(parsed.subject()),
        issuer: distinguished_name(parsed.issuer()),
        names: Names::default(),
        unknown_names: Vec::new(),
        key_usages: None,
        extended_key_usages: BTreeSet::new(),
        is_ca: false,
        path_length: None,
        name_constraints: None,
        unknown_constraints: Vec::new(),
        key: public_key.spec(),
        public_key,
        signature_algorithm: signature::name(signed.algorithm)
            .ok_or("its signature algorithm can't be read")?,
        not_before: timestamp(parsed.validity().not_before),
        not_after: timestamp(parsed.validity().not_after),
        subject_key_id: None,
        authority_key_id: None,
        crl_distribution_points: Vec::new(),
        ocsp_servers: Vec::new(),
        issuing_certificate_urls: Vec::new(),
    };
    let mut seen = HashSet::new();
    for extension in parsed.extensions() {
        if !seen.insert(&extension.oid) {
            return Err(format!("extension {} stands twice", extension.oid));
        }
        read_extension(&mut facts, extension)?;
    }
    Ok(facts)
}

/// The name constraints of a certificate, as the parser gives them.
pub(super) fn with_name_constraints<T>(
    der: &CertificateDer,
    visit: impl FnOnce(&[GeneralSubtree<'_>], &[GeneralSubtree<'_>]) -> T,
) -> Option<T> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let constraints = parsed.name_constraints().ok()??.value;
    let permitted = constraints
        .permitted_subtrees
        .as_deref()
        .unwrap_or_default();
    let excluded = constraints.excluded_subtrees.as_deref().unwrap_or_default();
    Some(visit(permitted, excluded))
}

/// A distinguished name as text. Values that are no text are written as `#` and their octets in hexadecimal.
pub(super) fn distinguished_name(name: &X509Name<'_>) -> DistinguishedName {
    let attributes = |rdn: &x509_parser::x509::RelativeDistinguishedName<'_>| {
        rdn.iter()
            .map(|attribute| Attribute {
                oid: attribute.attr_type().to_id_string(),
                value: text(attribute.attr_value()),
            })
            .collect()
    };
    DistinguishedName(name.iter_rdn().map(attributes).collect())
}

fn read_extension(facts: &mut Facts, extension: &X509Extension<'_>) -> Result<(), String> {
    match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => {
            for name in &names.general_names {
                read_name(facts, name);
            }
        }
        ParsedExtension::KeyUsage(usage) => facts.key_usages = Some(key_usages(usage.flags)),
        ParsedExtension::ExtendedKeyUsage(_) => {
            facts.extended_key_usages = extended_key_usages(extension.value)?
        }
        ParsedExtension::BasicConstraints(constraints) => {
            facts.is_ca = constraints.ca;
            // More than 255 CAs in a chain are as good as any number.
            facts.path_length = constraints
                .path_len_constraint
                .map(|length| u8::try_from(length).unwrap_or(u8::MAX));
        }
        ParsedExtension::NameConstraints(constraints) => {
            let read = [
                constraints.permitted_subtrees.is_some(),
                constraints.excluded_subtrees.is_some(),
            ];
            if subtrees_present(extension.value) != Some(read) {
                return Err("its name constraints can't be read".to_owned());
            }
            let permitted = constraints
                .permitted_subtrees
                .as_deref()
                .unwrap_or_default();
            let excluded = constraints.excluded_subtrees.as_deref().unwrap_or_default();
            facts.name_constraints = Some(NameConstraints {
                critical: extension.critical,
                permitted: subtrees(permitted, "permitted", &mut facts.unknown_constraints),
                excluded: subtrees(excluded, "excluded", &mut facts.unknown_constraints),
            });
        }
        ParsedExtension::SubjectKeyIdentifier(id) => facts.subject_key_id = Some(id.0.to_vec()),
        ParsedExtension::AuthorityKeyIdentifier(id) => {
            facts.authority_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
        }
        ParsedExtension::CRLDistributionPoints(points) => {
            for point in &points.points {
                if let Some(DistributionPointName::FullName(names)) = &point.distribution_point {
                    facts
                        .crl_distribution_points
                        .extend(names.iter().filter_map(uri));
                }
            }
        }
        ParsedExtension::AuthorityInfoAccess(access) => {
            for description in &access.accessdescs {
                let Some(uri) = uri(&description.access_location) else {
                    continue;
                };
                match description.access_method.to_id_string().as_str() {
                    OCSP => facts.ocsp_servers.push(uri),
                    CA_ISSUERS => facts.issuing_certificate_urls.push(uri),
                    _ => {}
                }
            }
        }
        ParsedExtension::ParseError { .. } => {
            let oid = extension.oid.to_id_string();
            if UNDERSTOOD.contains(&oid.as_str()) {
                return Err(format!("extension {oid} can't be read"));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether name constraints have permitted and excluded subtrees; `None` if there is something else. The parser passes over
/// what it can't read, as if it were not there.
fn subtrees_present(value: &[u8]) -> Option<[bool; 2]> {
    let mut subtrees = Reader::inside(value, asn1::SEQUENCE)?;
    let present = [asn1::CONTEXT_0, asn1::CONTEXT_1].map(|tag| subtrees.optional(tag).is_some());
    subtrees.is_empty().then_some(present)
}

/// `id-ad-ocsp` (RFC 5280 section 4.2.2.1).
pub(super) const OCSP: &str = "1.3.6.1.5.5.7.48.1";
/// `id-ad-caIssuers`.
pub(super) const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

/// Extensions without which [`Facts`] would say something wrong.
const UNDERSTOOD: [&str; 9] = [
    "2.5.29.14",
    "2.5.29.15",
    "2.5.29.17",
    "2.5.29.19",
    "2.5.29.30",
    "2.5.29.31",
    "2.5.29.35",
    "2.5.29.37",
    "1.3.6.1.5.5.7.1.1",
];

fn read_name(facts: &mut Facts, name: &GeneralName<'_>) {
    let names = &mut facts.names;
    match name {
        GeneralName::DNSName(dns) if dns.is_ascii() => names.dns.extend([dns.to_ascii_lowercase()]),
        GeneralName::RFC822Name(email) if email.is_ascii() => {
            names.email.extend([(*email).to_owned()])
        }
        GeneralName::URI(uri) if uri.is_ascii() => names.uri.extend([(*uri).to_owned()]),
        GeneralName::IPAddress(octets) if address(octets).is_some() => {
            names.ip.extend(address(octets))
        }
        GeneralName::OtherName(oid, value) if utf8_value(value).is_some() => {
            names
                .other
                .extend(utf8_value(value).map(|value| (oid.to_id_string(), value)));
        }
        other => facts.unknown_names.push(describe(other)),
    }
}

/// The text of an otherName whose value is a UTF8String, which stands under an explicit `[0]`.
fn utf8_value(value: &[u8]) -> Option<String> {
    const UTF8_STRING: u8 = 0x0c;
    let mut explicit = Reader::inside(value, asn1::CONTEXT_0)?;
    let text = explicit.expect(UTF8_STRING)?;
    if !explicit.is_empty() {
        return None;
    }
    str::from_utf8(text).ok().map(str::to_owned)
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}

fn uri(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    }
}

/// A name that [`Names`] can't say, as text.
pub(super) fn describe(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::OtherName(oid, value) => format!("otherName:{oid}:#{}", hex(value)),
        GeneralName::RFC822Name(email) => format!("email:{}", email.escape_debug()),
        GeneralName::DNSName(dns) => format!("DNS:{}", dns.escape_debug()),
        GeneralName::URI(uri) => format!("URI:{}", uri.escape_debug()),
        GeneralName::DirectoryName(name) => format!("dirName:{name}"),
        GeneralName::IPAddress(octets) => format!("IP:#{}", hex(octets)),
        GeneralName::RegisteredID(oid) => format!("registeredID:{oid}"),
        GeneralName::X400Address(_) => "x400Address".to_owned(),
        GeneralName::EDIPartyName(_) => "ediPartyName".to_owned(),
        GeneralName::Invalid(tag, octets) => format!("[{}]:#{}", tag.0, hex(octets)),
    }
}

fn key_usages(flags: u16) -> BTreeSet<KeyUsage> {
    KEY_USAGES
        .into_iter()
        .enumerate()
        .filter(|(bit, _)| flags >> bit & 1 == 1)
        .map(|(_, usage)| usage)
        .collect()
}

/// The bits of the extension, from bit 0 on (RFC 5280 section 4.2.1.3).
pub(super) const KEY_USAGES: [KeyUsage; 9] = [
    KeyUsage::DigitalSignature,
    KeyUsage::ContentCommitment,
    KeyUsage::KeyEncipherment,
    KeyUsage::DataEncipherment,
    KeyUsage::KeyAgreement,
    KeyUsage::KeyCertSign,
    KeyUsage::CrlSign,
    KeyUsage::EncipherOnly,
    KeyUsage::DecipherOnly,
];

fn extended_key_usages(value: &[u8]) -> Result<BTreeSet<String>, String> {
    let unreadable = || "its extended key usage can't be read".to_owned();
    let mut usages = BTreeSet::new();
    let mut reader = Reader::inside(value, asn1::SEQUENCE).ok_or_else(unreadable)?;
    while !reader.is_empty() {
        usages.insert(reader.oid().ok_or_else(unreadable)?.to_string());
    }
    Ok(usages)
}

fn subtrees(bases: &[GeneralSubtree<'_>], kind: &str, unknown: &mut Vec<String>) -> Subtrees {
    let mut subtrees = Subtrees::default();
    for base in bases.iter().map(|subtree| &subtree.base) {
        match base {
            GeneralName::DNSName(dns) if dns.is_ascii() => {
                subtrees.dns.extend([dns.to_ascii_lowercase()])
            }
            GeneralName::RFC822Name(email) if email.is_ascii() => {
                subtrees.email.extend([(*email).to_owned()])
            }
            GeneralName::URI(uri) if uri.is_ascii() => subtrees.uri.extend([(*uri).to_owned()]),
            GeneralName::IPAddress(octets) if network(octets).is_some() => {
                subtrees.ip.extend(network(octets))
            }
            other => unknown.push(format!("{kind} {}", describe(other))),
        }
    }
    subtrees
}

/// Address and mask (RFC 5280 section 4.2.1.10) as address and prefix length, where the mask is one.
fn network(octets: &[u8]) -> Option<(IpAddr, u8)> {
    if octets.len() != 8 && octets.len() != 32 {
        return None;
    }
    let (base, mask) = octets.split_at(octets.len() / 2);
    let ones: u32 = mask.iter().map(|octet| octet.leading_ones()).sum();
    let set: u32 = mask.iter().map(|octet| octet.count_ones()).sum();
    let first_zero = mask
        .iter()
        .position(|octet| *octet != 0xff)
        .unwrap_or(mask.len());
    let gap = ones != set || mask.iter().skip(first_zero + 1).any(|octet| *octet != 0);
    let host: Vec<u8> = base
        .iter()
        .zip(mask)
        .map(|(octet, mask)| octet & mask)
        .collect();
    if gap {
        None
    } else {
        Some((address(&host)?, u8::try_from(ones).ok()?))
    }
}

fn timestamp(time: ASN1Time) -> Timestamp {
    // 9999-12-31T23:59:59Z, which RFC 5280 section 4.1.2.5 takes for "no end", lies beyond what a Timestamp can say.
    let seconds = time
        .timestamp()
        .clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

fn text(value: &Any<'_>) -> String {
    let octets = value.data;
    let text = match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString => str::from_utf8(octets).ok().map(str::to_owned),
        // Latin-1 in practice.
        Tag::T61String => Some(octets.iter().map(|octet| char::from(*octet)).collect()),
        Tag::BmpString if octets.len().is_multiple_of(2) => {
            let units: Vec<u16> = octets
                .chunks_exact(2)
                .map(|unit| u16::from_be_bytes([unit[0], unit[1]]))
                .collect();
            String::from_utf16(&units).ok()
        }
        Tag::UniversalString if octets.len().is_multiple_of(4) => octets
            .chunks_exact(4)
            .map(|unit| char::from_u32(u32::from_be_bytes([unit[0], unit[1], unit[2], unit[3]])))
            .collect(),
        _ => None,
    };
    text.unwrap_or_else(|| format!("#{}", hex(octets)))
}

/// An address for people; its octets where it is none.
pub(super) fn address_text(octets: &[u8]) -> String {
    address(octets).map_or_else(
        || format!("#{}", hex(octets)),
        |address| address.to_string(),
    )
}
