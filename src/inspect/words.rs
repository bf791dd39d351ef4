//! Names, keys and spans of time in words.

use std::fmt::Write as _;

use certwright_core::pki::KeySpec;
use certwright_core::pki::profile::{DistinguishedName, KeyUsage, Names, Subtrees};
pub(crate) use certwright_core::pki::text::shown;
use jiff::{SignedDuration, Timestamp};

/// A distinguished name as RFC 4514 writes it.
pub(crate) fn distinguished_name(name: &DistinguishedName) -> String {
    shown(&name.to_string())
}

/// Subject alternative names, each with its kind.
pub(crate) fn names(names: &Names, unknown: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    all.extend(names.dns.iter().map(|name| format!("DNS {}", shown(name))));
    all.extend(names.ip.iter().map(|address| format!("IP {address}")));
    all.extend(names.uri.iter().map(|uri| format!("URI {}", shown(uri))));
    all.extend(
        names
            .email
            .iter()
            .map(|address| format!("e-mail {}", shown(address))),
    );
    all.extend(
        names
            .other
            .iter()
            .map(|(oid, value)| format!("other {} {}", shown(oid), shown(value))),
    );
    all.extend(unknown.iter().map(|name| shown(name)));
    all
}

/// The trees of name constraints, each with its kind.
pub(crate) fn subtrees(trees: &Subtrees) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    all.extend(trees.dns.iter().map(|name| format!("DNS {}", shown(name))));
    all.extend(
        trees
            .ip
            .iter()
            .map(|(address, length)| format!("IP {address}/{length}")),
    );
    all.extend(trees.uri.iter().map(|uri| format!("URI {}", shown(uri))));
    all.extend(
        trees
            .email
            .iter()
            .map(|address| format!("e-mail {}", shown(address))),
    );
    all
}

/// Kind and size of a key.
pub(crate) fn key(spec: KeySpec) -> String {
    match spec {
        KeySpec::Rsa(bits) => format!("RSA {bits} bits"),
        KeySpec::Ecdsa(bits) => format!("ECDSA P-{bits}"),
        KeySpec::Ed25519 => "Ed25519".to_owned(),
    }
}

/// A bit of the key usage extension, as a Certificate's spec names it.
pub(crate) fn key_usage(usage: KeyUsage) -> &'static str {
    match usage {
        KeyUsage::DigitalSignature => "digital signature",
        KeyUsage::ContentCommitment => "content commitment",
        KeyUsage::KeyEncipherment => "key encipherment",
        KeyUsage::DataEncipherment => "data encipherment",
        KeyUsage::KeyAgreement => "key agreement",
        KeyUsage::KeyCertSign => "cert sign",
        KeyUsage::CrlSign => "crl sign",
        KeyUsage::EncipherOnly => "encipher only",
        KeyUsage::DecipherOnly => "decipher only",
    }
}

/// An extended key usage, as a Certificate's spec names it, or its object identifier.
pub(crate) fn extended_key_usage(oid: &str) -> String {
    EXTENDED
        .iter()
        .find(|(known, _)| *known == oid)
        .map_or_else(|| shown(oid), |(_, name)| (*name).to_owned())
}

/// Source: RFC 5280 section 4.2.1.12, RFC 4945 section 5.1.3.12, and the two vendors' own.
const EXTENDED: [(&str, &str); 12] = [
    ("2.5.29.37.0", "any"),
    ("1.3.6.1.5.5.7.3.1", "server auth"),
    ("1.3.6.1.5.5.7.3.2", "client auth"),
    ("1.3.6.1.5.5.7.3.3", "code signing"),
    ("1.3.6.1.5.5.7.3.4", "email protection"),
    ("1.3.6.1.5.5.7.3.5", "ipsec end system"),
    ("1.3.6.1.5.5.7.3.6", "ipsec tunnel"),
    ("1.3.6.1.5.5.7.3.7", "ipsec user"),
    ("1.3.6.1.5.5.7.3.8", "timestamping"),
    ("1.3.6.1.5.5.7.3.9", "ocsp signing"),
    ("1.3.6.1.4.1.311.10.3.3", "microsoft sgc"),
    ("2.16.840.1.113730.4.1", "netscape sgc"),
];

/// Octets as openssl writes them, such as `0a:ff`.
pub(crate) fn octets(octets: &[u8]) -> String {
    let mut text = String::with_capacity(3 * octets.len());
    for (index, octet) in octets.iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        write!(text, "{colon}{octet:02x}").expect("a String takes whatever is written");
    }
    text
}

/// A moment to the second, such as `2026-11-02 10:00:00 UTC`.
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A moment, and how far off it is.
pub(crate) fn when(now: Timestamp, at: Timestamp) -> String {
    format!("{}, {}", moment(at), distance(now, at))
}

/// How far off a moment is: `in 89 days`, `3 hours ago`.
pub(crate) fn distance(from: Timestamp, to: Timestamp) -> String {
    let span = to.duration_since(from);
    if span.is_negative() {
        format!("{} ago", length(span.abs()))
    } else {
        format!("in {}", length(span))
    }
}

/// A span of time in the unit that tells most, rounded down: nobody should believe to have more time than there is.
fn length(span: SignedDuration) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const TWO_DAYS: i64 = 2 * DAY;
    const YEAR: i64 = 365 * DAY + 6 * HOUR;
    let seconds = span.as_secs();
    let (count, unit) = match seconds {
        0..MINUTE => (seconds, "second"),
        MINUTE..HOUR => (seconds / MINUTE, "minute"),
        HOUR..TWO_DAYS => (seconds / HOUR, "hour"),
        _ if seconds < 3 * YEAR => (seconds / DAY, "day"),
        _ => (seconds / YEAR, "year"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_the_unit_that_tells_most() {
        let now: Timestamp = "2026-11-02T10:00:00Z".parse().unwrap();
        for (seconds, words) in [
            (0, "in 0 seconds"),
            (1, "in 1 second"),
            (119, "in 1 minute"),
            (-7200, "2 hours ago"),
            (47 * 3600 + 3599, "in 47 hours"),
            (48 * 3600, "in 2 days"),
            (-90 * 86_400, "90 days ago"),
            (1000 * 86_400, "in 1000 days"),
            (3653 * 86_400, "in 10 years"),
        ] {
            assert_eq!(
                distance(now, now + SignedDuration::from_secs(seconds)),
                words
            );
        }
    }
}
