//! What a certificate shall say.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::key::KeySpec;
use crate::api::certificate::SignatureAlgorithm;

/// What of a Certificate's spec shows in the certificate; every value is valid, every default filled in.
///
/// Its JSON is canonical: sets are sorted, absent is left out. The request's hash stands on it, so a change of
/// this form needs a new request version (see `plan::request`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// The subject; empty if nobody asked for one.
    #[serde(default, skip_serializing_if = "DistinguishedName::is_empty")]
    pub subject: DistinguishedName,
    /// The subject alternative names.
    pub names: Names,
    /// Bits of the key usage extension.
    pub key_usages: BTreeSet<KeyUsage>,
    /// Extended key usages, as dotted object identifiers.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub extended_key_usages: BTreeSet<String>,
    /// Whether the certificate may sign others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_ca: bool,
    /// Which names a CA may sign for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_constraints: Option<NameConstraints>,
    /// The kind of key.
    pub key: KeySpec,
    /// How a request, or a self-signed certificate, is signed; the key's own default otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_algorithm: Option<SignatureAlgorithm>,
    /// Whether a certificate signing request carries the usages.
    pub usages_in_request: bool,
    /// How long the certificate is valid, in seconds; an issuer may give less.
    pub lifetime_seconds: i64,
}

/// A distinguished name: its relative names in the order of the encoding (RFC 5280 section 4.1.2.4), most general first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DistinguishedName(pub Vec<Vec<Attribute>>);

impl DistinguishedName {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its common names (RFC 5280 appendix A.1), most general first: mostly one, or none.
    pub fn common_names(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .flatten()
            .filter(|attribute| attribute.oid == "2.5.4.3")
            .map(|attribute| attribute.value.as_str())
    }
}

/// As RFC 4514 writes it: the most particular part first. What can't be seen stands there as it is.
impl fmt::Display for DistinguishedName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, attributes) in self.0.iter().rev().enumerate() {
            if index > 0 {
                formatter.write_char(',')?;
            }
            for (index, attribute) in attributes.iter().enumerate() {
                if index > 0 {
                    formatter.write_char('+')?;
                }
                attribute.fmt(formatter)?;
            }
        }
        Ok(())
    }
}

/// One attribute of a relative distinguished name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// Its type, as a dotted object identifier, such as `2.5.4.3` for the common name.
    pub oid: String,
    /// Its value.
    pub value: String,
}

impl fmt::Display for Attribute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = ATTRIBUTES.iter().find(|(oid, _)| *oid == self.oid);
        let name = known.map_or(self.oid.as_str(), |(_, name)| name);
        write!(formatter, "{name}=")?;
        let last = self.value.chars().count().saturating_sub(1);
        for (index, character) in self.value.chars().enumerate() {
            let escaped = matches!(character, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
                || (character == '#' && index == 0)
                || (character == ' ' && (index == 0 || index == last));
            if escaped {
                formatter.write_char('\\')?;
            }
            formatter.write_char(character)?;
        }
        Ok(())
    }
}

/// Source: RFC 4514 section 3; `emailAddress` as OpenSSL writes it; the others by their names in X.520.
const ATTRIBUTES: [(&str, &str); 13] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.17", "postalCode"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// Subject alternative names (RFC 5280 section 4.2.1.6), each set sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Names {
    /// DNS names in ASCII (A-labels) and lower case, perhaps with a leading `*.`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub dns: BTreeSet<String>,
    /// IP addresses.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ip: BTreeSet<IpAddr>,
    /// URIs.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub uri: BTreeSet<String>,
    /// E-mail addresses.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub email: BTreeSet<String>,
    /// Names of other kinds: object identifier and UTF-8 text.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub other: BTreeSet<(String, String)>,
}

impl Names {
    /// Whether there is no name at all.
    pub fn is_empty(&self) -> bool {
        self.dns.is_empty()
            && self.ip.is_empty()
            && self.uri.is_empty()
            && self.email.is_empty()
            && self.other.is_empty()
    }
}

/// A bit of the key usage extension (RFC 5280 section 4.2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum KeyUsage {
    DigitalSignature,
    ContentCommitment,
    KeyEncipherment,
    DataEncipherment,
    KeyAgreement,
    KeyCertSign,
    CrlSign,
    EncipherOnly,
    DecipherOnly,
}

/// Which names a CA may sign for (RFC 5280 section 4.2.1.10).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NameConstraints {
    /// Whether software that doesn't know the extension must refuse the CA.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub critical: bool,
    /// Only names within these.
    #[serde(default, skip_serializing_if = "Subtrees::is_empty")]
    pub permitted: Subtrees,
    /// No name within these.
    #[serde(default, skip_serializing_if = "Subtrees::is_empty")]
    pub excluded: Subtrees,
}

/// Subtrees of names, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subtrees {
    /// DNS domains in ASCII.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub dns: BTreeSet<String>,
    /// Address and prefix length, host bits zero.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ip: BTreeSet<(IpAddr, u8)>,
    /// Mailboxes, hosts, or domains with a leading dot.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub email: BTreeSet<String>,
    /// Hosts, or domains with a leading dot.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub uri: BTreeSet<String>,
}

impl Subtrees {
    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.ip.is_empty() && self.email.is_empty() && self.uri.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_as_rfc_4514_has_it() {
        let one = |oid: &str, value: &str| Attribute {
            oid: oid.into(),
            value: value.into(),
        };
        let name = DistinguishedName(vec![
            vec![one("2.5.4.6", "DE")],
            vec![one("2.5.4.10", "Sues, \"Grabbit\" + Runn")],
            vec![one("2.5.4.3", " #web "), one("1.2.3", "x")],
        ]);
        assert_eq!(
            name.to_string(),
            r#"CN=\ #web\ +1.2.3=x,O=Sues\, \"Grabbit\" \+ Runn,C=DE"#
        );
    }
}
