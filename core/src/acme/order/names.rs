//! Which names an ACME CA is asked for.

use std::collections::BTreeSet;

use super::super::wire::Identifier;
use crate::pki::Profile;

/// More names than this are not asked for at once: public CAs take no more, and a status could not hold what is shown.
pub const MAX_NAMES: usize = 100;

/// Why a request can't go to an ACME CA: what it asks for, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unservable {
    /// ACME proves only DNS names and addresses.
    #[error(
        "an ACME CA signs DNS names and IP addresses only: leave {0} out, or use another issuer"
    )]
    OtherKind(&'static str),
    /// It is for a CA.
    #[error("an ACME CA signs no CAs: leave isCA out, or use another issuer")]
    IsCa,
    /// There are none.
    #[error(
        "an ACME CA signs DNS names and IP addresses: write at least one under dnsNames or ipAddresses"
    )]
    None,
    /// There are too many.
    #[error(
        "an ACME CA signs at most {MAX_NAMES} names at once: write the {0} into several Certificates"
    )]
    TooMany(usize),
    /// The common name is none of them.
    #[error(
        "an ACME CA signs a common name only if it is one of the names: write {0:?} under dnsNames too, or leave commonName out"
    )]
    CommonName(String),
}

/// What an order for this request names.
///
/// # Errors
/// When an ACME CA could not sign what is asked for.
pub fn identifiers(profile: &Profile) -> Result<BTreeSet<Identifier>, Unservable> {
    let names = &profile.names;
    for (is_empty, field) in [
        (names.uri.is_empty(), "uris"),
        (names.email.is_empty(), "emailAddresses"),
        (names.other.is_empty(), "otherNames"),
    ] {
        if !is_empty {
            return Err(Unservable::OtherKind(field));
        }
    }
    if profile.is_ca {
        return Err(Unservable::IsCa);
    }
    let dns = names.dns.iter().cloned().map(Identifier::Dns);
    let identifiers: BTreeSet<_> = dns
        .chain(names.ip.iter().copied().map(Identifier::Ip))
        .collect();
    match identifiers.len() {
        0 => return Err(Unservable::None),
        1..=MAX_NAMES => {}
        more => return Err(Unservable::TooMany(more)),
    }
    for common_name in profile.subject.common_names() {
        let value = common_name.to_ascii_lowercase();
        if !identifiers.iter().any(|known| known.to_string() == value) {
            return Err(Unservable::CommonName(common_name.to_owned()));
        }
    }
    Ok(identifiers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::KeySpec;
    use crate::pki::profile::{Attribute, DistinguishedName, Names};

    fn profile(dns: &[&str], ip: &[&str]) -> Profile {
        Profile {
            subject: DistinguishedName::default(),
            names: Names {
                dns: dns.iter().map(|name| (*name).to_owned()).collect(),
                ip: ip.iter().map(|address| address.parse().unwrap()).collect(),
                ..Names::default()
            },
            key_usages: BTreeSet::new(),
            extended_key_usages: BTreeSet::new(),
            is_ca: false,
            name_constraints: None,
            key: KeySpec::Ecdsa(256),
            signature_algorithm: None,
            usages_in_request: true,
            lifetime_seconds: 7_776_000,
        }
    }

    fn named(common_name: &str) -> DistinguishedName {
        DistinguishedName(vec![vec![Attribute {
            oid: "2.5.4.3".to_owned(),
            value: common_name.to_owned(),
        }]])
    }

    #[test]
    fn names_and_addresses_are_asked_for() {
        let mut profile = profile(&["*.a.example", "a.example"], &["192.0.2.1"]);
        profile.subject = named("A.example");
        let asked: Vec<_> = identifiers(&profile)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(asked, ["*.a.example", "a.example", "192.0.2.1"]);
    }

    #[test]
    fn what_no_acme_ca_signs_is_refused_with_a_way_out() {
        let plain = || profile(&["a.example"], &[]);
        let mut uri = plain();
        uri.names.uri.insert("spiffe://a.example/x".to_owned());
        let mut email = plain();
        email.names.email.insert("ops@a.example".to_owned());
        let mut ca = plain();
        ca.is_ca = true;
        let mut common_name = plain();
        common_name.subject = named("b.example");
        let many: Vec<_> = (0..=MAX_NAMES).map(|n| format!("{n}.example")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        for (profile, expected) in [
            (uri, Unservable::OtherKind("uris")),
            (email, Unservable::OtherKind("emailAddresses")),
            (ca, Unservable::IsCa),
            (profile(&[], &[]), Unservable::None),
            (profile(&many, &[]), Unservable::TooMany(MAX_NAMES + 1)),
            (common_name, Unservable::CommonName("b.example".to_owned())),
        ] {
            assert_eq!(identifiers(&profile), Err(expected));
        }
        assert!(identifiers(&profile(&many[1..], &[])).is_ok());
    }
}
