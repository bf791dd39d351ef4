//! ACME's objects, as they are sent (RFC 8555 section 7.1).
//!
//! Fields that we don't use are left out; fields that we don't know are passed over, as section 7.1 wants.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pki::Facts;

/// Where a CA's services are (section 7.1.1).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    /// Where nonces come from.
    pub new_nonce: String,
    /// Where accounts are made and found.
    pub new_account: String,
    /// Where orders are made.
    pub new_order: String,
    /// Where certificates are revoked.
    #[serde(default)]
    pub revoke_cert: Option<String>,
    /// Where an account gets another key.
    #[serde(default)]
    pub key_change: Option<String>,
    /// Where the CA suggests when to renew (RFC 9773 section 4.1).
    #[serde(default)]
    pub renewal_info: Option<String>,
    /// What the CA says of itself.
    #[serde(default)]
    pub meta: Meta,
}

/// What a CA says of itself (section 9.7.6).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The terms that an account agrees to.
    #[serde(default)]
    pub terms_of_service: Option<String>,
    /// What a CAA record may name this CA.
    #[serde(default)]
    pub caa_identities: Vec<String>,
    /// Whether an account must be bound to one that exists elsewhere.
    #[serde(default)]
    pub external_account_required: bool,
    /// The kinds of certificate there are, each with a text (draft-ietf-acme-profiles).
    #[serde(default)]
    pub profiles: BTreeMap<String, Value>,
}

/// An account (section 7.1.2), as asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewAccount {
    /// `mailto:` URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Vec<String>>,
    /// Said only when an account is made.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub terms_of_service_agreed: bool,
    /// Whether only an account that exists is wanted (section 7.3.1).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub only_return_existing: bool,
    /// The proof of an account elsewhere (section 7.3.4): a JWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_account_binding: Option<Value>,
}

/// An account (section 7.1.2), as found.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Whether it may be used.
    pub status: AccountStatus,
    /// `mailto:` URLs.
    #[serde(default)]
    pub contact: Vec<String>,
}

/// Whether an account may be used (section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AccountStatus {
    /// It may.
    Valid,
    /// Its owner gave it up.
    Deactivated,
    /// The CA took it away.
    Revoked,
}

impl AccountStatus {
    /// As the wire has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Deactivated => "deactivated",
            Self::Revoked => "revoked",
        }
    }
}

/// What a certificate is to be for (section 9.7.7, RFC 8738).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "camelCase")]
pub enum Identifier {
    /// A DNS name in lower-case ASCII, without a dot at its end; with `*.` in an order only.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl Identifier {
    /// Whether a certificate is for this name.
    pub fn is_in(&self, certificate: &Facts) -> bool {
        match self {
            Self::Dns(name) => certificate.names.dns.contains(name),
            Self::Ip(address) => certificate.names.ip.contains(address),
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// What is asked for (section 7.4).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewOrder {
    /// For what.
    pub identifiers: Vec<Identifier>,
    /// Until when it shall be valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// Which kind of certificate (draft-ietf-acme-profiles).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The certificate that it replaces (RFC 9773 section 5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

/// A certificate being made (section 7.1.3).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// How far it is.
    pub status: OrderStatus,
    /// Until when the CA keeps it.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// For what.
    pub identifiers: Vec<Identifier>,
    /// URLs of what has to be shown.
    pub authorizations: Vec<String>,
    /// Where the request for the certificate goes.
    pub finalize: String,
    /// Where the certificate is.
    #[serde(default)]
    pub certificate: Option<String>,
    /// Why there is none.
    #[serde(default)]
    pub error: Option<Problem>,
}

/// How far an order is (section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderStatus {
    /// Something has to be shown yet.
    Pending,
    /// The request may be sent.
    Ready,
    /// The certificate is being made.
    Processing,
    /// It is there.
    Valid,
    /// There will be none.
    Invalid,
}

/// That an account may have certificates for something (section 7.1.4).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    /// For what; without `*.`, which `wildcard` says.
    pub identifier: Identifier,
    /// How far it is.
    pub status: AuthorizationStatus,
    /// Until when it holds.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// How it can be shown.
    pub challenges: Vec<Challenge>,
    /// Whether it is for all names below the identifier.
    #[serde(default)]
    pub wildcard: bool,
}

/// How far an authorization is (section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuthorizationStatus {
    /// It has to be shown yet.
    Pending,
    /// It holds.
    Valid,
    /// It was tried and not shown.
    Invalid,
    /// Its owner gave it up.
    Deactivated,
    /// It held once.
    Expired,
    /// The CA took it away.
    Revoked,
}

/// One way to show an authorization (section 8).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Challenge {
    /// Which way, such as `http-01`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where the CA is told to look.
    pub url: String,
    /// How far it is.
    pub status: ChallengeStatus,
    /// What the CA wants to find; kinds unknown to us may have none.
    #[serde(default)]
    pub token: Option<String>,
    /// Why it was not shown.
    #[serde(default)]
    pub error: Option<Problem>,
}

/// How far a challenge is (section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ChallengeStatus {
    /// The CA was not told to look.
    Pending,
    /// It looks.
    Processing,
    /// It found it.
    Valid,
    /// It did not.
    Invalid,
}

/// What went wrong (section 6.7, RFC 9457).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A URN such as `urn:ietf:params:acme:error:rateLimited`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// For people.
    #[serde(default)]
    pub detail: String,
    /// The HTTP status that goes with it.
    #[serde(default)]
    pub status: Option<u16>,
    /// What it is about.
    #[serde(default)]
    pub identifier: Option<Identifier>,
    /// Its parts, one for each identifier.
    #[serde(default)]
    pub subproblems: Vec<Self>,
}

/// When a CA suggests to renew (RFC 9773 section 4.2).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenewalInfo {
    /// Between these moments.
    pub suggested_window: Window,
    /// Why, as a page for people.
    #[serde(default, rename = "explanationURL")]
    pub explanation_url: Option<String>,
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its beginning.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn identifiers_are_written_as_the_wire_has_them() {
        let order = NewOrder {
            identifiers: vec![
                Identifier::Dns("*.example.com".to_owned()),
                Identifier::Ip("2001:db8::1".parse().unwrap()),
            ],
            not_after: None,
            profile: Some("shortlived".to_owned()),
            replaces: None,
        };
        assert_eq!(
            serde_json::to_value(order).unwrap(),
            json!({
                "identifiers": [
                    { "type": "dns", "value": "*.example.com" },
                    { "type": "ip", "value": "2001:db8::1" },
                ],
                "profile": "shortlived",
            })
        );
    }

    #[test]
    fn what_is_not_known_is_passed_over_and_what_is_missing_is_an_error() {
        let order = json!({
            "status": "pending", "identifiers": [{ "type": "dns", "value": "a.example" }],
            "authorizations": ["https://ca/authz/1"], "finalize": "https://ca/f", "new": { "field": 1 },
        });
        let read: Order = serde_json::from_value(order.clone()).unwrap();
        assert_eq!(
            (read.status, read.certificate),
            (OrderStatus::Pending, None)
        );
        for field in ["status", "identifiers", "authorizations", "finalize"] {
            let mut order = order.clone();
            order.as_object_mut().unwrap().remove(field);
            assert!(serde_json::from_value::<Order>(order).is_err(), "{field}");
        }
    }
}
