//! Who a certificate speaks of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Attributes of the subject beside the common name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Organizations (O).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub organizations: Vec<String>,
    /// Countries (C), by their two-letter codes, such as `DE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<String>,
    /// Units of the organization (OU).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub organizational_units: Vec<String>,
    /// Cities or the like (L).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub localities: Vec<String>,
    /// States or provinces (ST).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provinces: Vec<String>,
    /// Street addresses (STREET).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub street_addresses: Vec<String>,
    /// Postal codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub postal_codes: Vec<String>,
    /// A serial number of the subject, such as that of a device; not that of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
}

/// A name of a kind of its own (RFC 5280 section 4.2.1.6, `otherName`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtherName {
    /// The kind of name as a dotted object identifier, such as `1.3.6.1.4.1.311.20.2.3` for a user principal name.
    pub oid: String,
    /// The name itself, such as `web@example.org`; stored as a UTF8String.
    #[serde(rename = "utf8Value")]
    pub utf8_value: String,
}

/// Which names a CA may sign for (RFC 5280 section 4.2.1.10).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameConstraints {
    /// Whether software that doesn't know name constraints must refuse the CA. Defaults to false; RFC 5280 asks for true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<bool>,
    /// Only these names may be signed for. Kinds of names that aren't listed stay free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permitted: Option<NameConstraintItems>,
    /// None of these names may be signed for. Wins over `permitted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded: Option<NameConstraintItems>,
}

/// Subtrees of names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameConstraintItems {
    /// DNS domains: `example.com` is that name and all below it, `.example.com` only those below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_domains: Vec<String>,
    /// Ranges of IP addresses, such as `10.0.0.0/8` or `2001:db8::/32`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_ranges: Vec<String>,
    /// Mailboxes: `ops@example.com` is one, `example.com` all at that host, `.example.com` all at hosts below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub email_addresses: Vec<String>,
    /// Hosts of URIs: `example.com` is that host, `.example.com` all hosts below it. No scheme, no addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uri_domains: Vec<String>,
}
