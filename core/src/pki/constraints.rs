//! What CAs may sign: path length and name constraints (RFC 5280 sections 4.2.1.9 and 4.2.1.10).
//!
//! Clients enforce these. A certificate that they would refuse is better not made, and the reason said.

use std::net::IpAddr;

use x509_parser::extensions::{GeneralName, GeneralSubtree};

use super::encode::EMAIL_ADDRESS;
use super::profile::{DistinguishedName, Profile};
use super::{Facts, read};

/// Every name is held against every subtree: a CA with more of them signs nothing.
const MAX_SUBTREES: usize = 4096;

/// Whether each CA of the chain allows the certificate; the CA that signs comes first. The error names the CA, what is
/// forbidden, and the constraint.
pub(super) fn check(profile: &Profile, chain: &[Facts]) -> Result<(), String> {
    check_path_length(profile, chain)?;
    for ca in chain {
        if ca.name_constraints.is_none() {
            continue;
        }
        let refused =
            |problem: String| format!("the CA {} may not sign this: {problem}", title(ca));
        read::with_name_constraints(&ca.der, |permitted, excluded| {
            check_names(profile, permitted, excluded)
        })
        .unwrap_or_else(|| Err("its name constraints can't be read".to_owned()))
        .map_err(refused)?;
    }
    Ok(())
}

/// A path length says how many CAs that aren't self-issued may stand between a CA and the leaf.
fn check_path_length(profile: &Profile, chain: &[Facts]) -> Result<(), String> {
    let mut below = usize::from(profile.is_ca);
    for ca in chain {
        if let Some(allowed) = ca.path_length
            && below > usize::from(allowed)
        {
            return Err(format!(
                "the CA {} may not sign this: its path length allows {allowed} CAs below it, this would be number {below}",
                title(ca)
            ));
        }
        below += usize::from(!ca.is_self_issued());
    }
    Ok(())
}

/// A name of the certificate to be, as constraints see it.
enum Name<'a> {
    Dns(&'a str),
    Ip(IpAddr),
    Uri(&'a str),
    Email(&'a str),
    Other(&'a str),
    Directory(&'a DistinguishedName),
}

fn check_names(
    profile: &Profile,
    permitted: &[GeneralSubtree<'_>],
    excluded: &[GeneralSubtree<'_>],
) -> Result<(), String> {
    let subtrees = permitted.len() + excluded.len();
    if subtrees > MAX_SUBTREES {
        return Err(format!(
            "it has {subtrees} name constraints, and no more than {MAX_SUBTREES} are held against names"
        ));
    }
    let names = &profile.names;
    let mut all: Vec<Name<'_>> = names.dns.iter().map(|name| Name::Dns(name)).collect();
    all.extend(names.ip.iter().map(|address| Name::Ip(*address)));
    all.extend(names.uri.iter().map(|uri| Name::Uri(uri)));
    all.extend(names.email.iter().map(|mailbox| Name::Email(mailbox)));
    all.extend(names.other.iter().map(|(oid, _)| Name::Other(oid)));
    let attributes = profile.subject.0.iter().flatten();
    all.extend(
        attributes
            .filter(|attribute| attribute.oid == EMAIL_ADDRESS)
            .map(|attribute| Name::Email(&attribute.value)),
    );
    if !profile.subject.is_empty() {
        all.push(Name::Directory(&profile.subject));
    }
    for name in &all {
        check_name(name, permitted, excluded)?;
    }
    Ok(())
}

fn check_name(
    name: &Name<'_>,
    permitted: &[GeneralSubtree<'_>],
    excluded: &[GeneralSubtree<'_>],
) -> Result<(), String> {
    for base in excluded
        .iter()
        .map(|subtree| &subtree.base)
        .filter(|base| name.is_kind_of(base))
    {
        match name.within(base, Side::Excluded) {
            Some(false) => {}
            Some(true) => {
                return Err(format!(
                    "it excludes {}, and {} is within that",
                    text(base),
                    name.text()
                ));
            }
            None => {
                return Err(format!(
                    "{} can't be held against its excluded {}",
                    name.text(),
                    text(base)
                ));
            }
        }
    }
    let bases: Vec<_> = permitted
        .iter()
        .map(|subtree| &subtree.base)
        .filter(|base| name.is_kind_of(base))
        .collect();
    if bases.is_empty()
        || bases
            .iter()
            .any(|base| name.within(base, Side::Permitted) == Some(true))
    {
        return Ok(());
    }
    let allowed: Vec<_> = bases.into_iter().map(text).collect();
    Err(format!(
        "it permits only {}, and {} is outside",
        allowed.join(", "),
        name.text()
    ))
}

/// Which list a subtree is in: a name that may or may not be within one counts as excluded, and not as permitted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Permitted,
    Excluded,
}

impl Name<'_> {
    /// Constraints apply to names of their own kind only. One whose value can't be read says by its tag of which kind it
    /// is (RFC 5280 section 4.2.1.6).
    fn is_kind_of(&self, base: &GeneralName<'_>) -> bool {
        if let GeneralName::Invalid(tag, _) = base {
            return tag.0 == self.tag();
        }
        match self {
            Self::Dns(_) => matches!(base, GeneralName::DNSName(_)),
            Self::Ip(_) => matches!(base, GeneralName::IPAddress(_)),
            Self::Uri(_) => matches!(base, GeneralName::URI(_)),
            Self::Email(_) => matches!(base, GeneralName::RFC822Name(_)),
            Self::Other(_) => matches!(base, GeneralName::OtherName(..)),
            Self::Directory(_) => matches!(base, GeneralName::DirectoryName(_)),
        }
    }

    fn tag(&self) -> u32 {
        match self {
            Self::Other(_) => 0,
            Self::Email(_) => 1,
            Self::Dns(_) => 2,
            Self::Directory(_) => 4,
            Self::Uri(_) => 6,
            Self::Ip(_) => 7,
        }
    }

    /// Whether the name is within the subtree; `None` where that can't be told.
    fn within(&self, base: &GeneralName<'_>, side: Side) -> Option<bool> {
        match (self, base) {
            (Self::Dns(name), GeneralName::DNSName(domain)) => Some(dns_within(name, domain, side)),
            (Self::Ip(address), GeneralName::IPAddress(network)) => ip_within(*address, network),
            (Self::Uri(uri), GeneralName::URI(domain)) => {
                uri_host(uri).map(|host| host_within(host, domain))
            }
            (Self::Email(mailbox), GeneralName::RFC822Name(base)) => email_within(mailbox, base),
            (Self::Directory(name), GeneralName::DirectoryName(base)) => {
                Some(directory_within(name, &read::distinguished_name(base)))
            }
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Dns(name) => format!("DNS:{name}"),
            Self::Ip(address) => format!("IP:{address}"),
            Self::Uri(uri) => format!("URI:{uri}"),
            Self::Email(mailbox) => format!("email:{mailbox}"),
            Self::Other(oid) => format!("otherName:{oid}"),
            Self::Directory(_) => "the subject".to_owned(),
        }
    }
}

/// Labels may be added in front. A leading dot, which RFC 5280 doesn't know and others write, asks for at least one.
fn dns_within(name: &str, domain: &str, side: Side) -> bool {
    if domain_within(name, domain) {
        return true;
    }
    // `*.example.com` stands for hosts of which one may be the excluded.
    side == Side::Excluded
        && name.strip_prefix("*.").is_some_and(|parent| {
            domain
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent))
        })
}

fn domain_within(name: &str, domain: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let domain = domain.to_ascii_lowercase();
    if domain.is_empty() {
        return true;
    }
    match domain.strip_prefix('.') {
        Some(_) => name.ends_with(&domain) && name.len() > domain.len(),
        None => {
            name == domain
                || name
                    .strip_suffix(&domain)
                    .is_some_and(|labels| labels.ends_with('.'))
        }
    }
}

/// A host exactly, or with a leading dot anything below it.
fn host_within(host: &str, domain: &str) -> bool {
    if domain.is_empty() || domain.starts_with('.') {
        domain_within(host, domain)
    } else {
        host.eq_ignore_ascii_case(domain)
    }
}

/// The host of a URI where it is a DNS name: constraints can say nothing else (RFC 5280 section 4.2.1.10).
fn uri_host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    if host.starts_with('[') {
        return None;
    }
    let host = host.split(':').next()?;
    (!host.is_empty() && host.parse::<IpAddr>().is_err()).then_some(host)
}

/// One mailbox, all of a host, or with a leading dot all hosts below it. Local parts are told apart by case, as RFC
/// 5280 section 7.5 has it.
fn email_within(mailbox: &str, base: &str) -> Option<bool> {
    let (local, host) = mailbox.rsplit_once('@')?;
    Some(match base.rsplit_once('@') {
        Some((base_local, base_host)) => {
            local == base_local && host.eq_ignore_ascii_case(base_host)
        }
        None => host_within(host, base),
    })
}

/// The network is address and mask.
fn ip_within(address: IpAddr, network: &[u8]) -> Option<bool> {
    if network.len() != 8 && network.len() != 32 {
        return None;
    }
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let (base, mask) = network.split_at(network.len() / 2);
    let masked = |octets: &[u8]| -> Vec<u8> {
        octets
            .iter()
            .zip(mask)
            .map(|(octet, mask)| octet & mask)
            .collect()
    };
    Some(octets.len() == base.len() && masked(&octets) == masked(base))
}

/// The base's relative names come first. Values are compared without case and runs of spaces (RFC 5280 section 7.1).
fn directory_within(name: &DistinguishedName, base: &DistinguishedName) -> bool {
    let folded = |name: &DistinguishedName| -> Vec<Vec<(String, String)>> {
        let fold = |value: &str| {
            value
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .to_lowercase()
        };
        let rdn = |rdn: &Vec<super::profile::Attribute>| {
            let mut rdn: Vec<_> = rdn
                .iter()
                .map(|attribute| (attribute.oid.clone(), fold(&attribute.value)))
                .collect();
            rdn.sort();
            rdn
        };
        name.0.iter().map(rdn).collect()
    };
    folded(name).starts_with(&folded(base))
}

fn text(base: &GeneralName<'_>) -> String {
    if let GeneralName::IPAddress(network) = base
        && let 8 | 32 = network.len()
    {
        let (address, mask) = network.split_at(network.len() / 2);
        return format!(
            "IP:{}/{}",
            read::address_text(address),
            read::address_text(mask)
        );
    }
    read::describe(base)
}

fn title(ca: &Facts) -> String {
    let mut attributes = ca.subject.0.iter().flatten();
    let common_name = attributes.rfind(|attribute| attribute.oid == "2.5.4.3");
    match common_name {
        Some(name) => format!("\"{}\"", name.value.escape_debug()),
        None => ca.fingerprint.to_string(),
    }
}

#[cfg(test)]
mod tests;
