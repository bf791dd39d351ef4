//! The syntax of the names that a certificate can say, and their one canonical form.
//!
//! Each function takes a name as a user writes it and returns it as a certificate carries it, or says what to write
//! instead. The rules are those of RFC 5280 section 4.2.1.6, loosened to what common verifiers accept: what only a
//! style guide would refuse passes.

use std::net::IpAddr;

use const_oid::ObjectIdentifier;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// A text that is not the name it should be. Its message says what is wrong and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(String);

impl InvalidName {
    fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

/// A DNS name in A-labels and lower case, perhaps with a leading `*.`.
///
/// International names are mapped and encoded by UTS #46; a name that is ASCII already is not looked at by those
/// rules, so that it never changes with the Unicode version. A final dot is dropped: the name is the same, and
/// certificates carry none. Underscores pass.
///
/// # Errors
/// For what no verifier would match: other characters, empty or overlong labels, a hyphen at a label's edge, `*`
/// anywhere but as the whole first label; and for addresses, URIs and mailboxes, which have fields of their own.
pub fn dns_name(text: &str) -> Result<String, InvalidName> {
    refuse_other_kinds(text)?;
    let name = match text.strip_prefix("*.") {
        Some(rest) => format!("*.{}", host_name(text, rest)?),
        None => host_name(text, text).and_then(|name| no_address(text, name))?,
    };
    if name.len() > MAX_NAME {
        return Err(too_long(text));
    }
    Ok(name)
}

/// A DNS domain of a name constraint: `example.com` covers itself and everything below, `.example.com` only what is
/// below, and the empty text every name.
///
/// # Errors
/// As for [`dns_name`], and for wildcards.
pub fn dns_constraint(text: &str) -> Result<String, InvalidName> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if let Some(domain) = text.strip_prefix("*.") {
        return Err(InvalidName::new(format!(
            "{text:?} is a wildcard; write {domain:?}, which covers every name below it too"
        )));
    }
    refuse_other_kinds(text)?;
    domain_or_subdomains(text)
}

/// An IP address. An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is that IPv4 address, as in Go.
///
/// # Errors
/// For what is no address, with zone or prefix length included.
pub fn ip_address(text: &str) -> Result<IpAddr, InvalidName> {
    let address: IpAddr = text.parse().map_err(|_| {
        InvalidName::new(if text.contains('/') {
            format!("{text:?} is a range; a certificate names single addresses, such as 192.0.2.1")
        } else {
            format!("{text:?} is not an IP address such as 192.0.2.1 or 2001:db8::1")
        })
    })?;
    Ok(address.to_canonical())
}

/// A range of addresses as its first address and the length of the prefix, such as `10.0.0.0/8`. Host bits are
/// cleared, and a range of IPv4 addresses written as IPv6 becomes that IPv4 range.
///
/// # Errors
/// For what is no such range.
pub fn ip_range(text: &str) -> Result<(IpAddr, u8), InvalidName> {
    let invalid = || {
        InvalidName::new(format!(
            "{text:?} is not a range of addresses such as 10.0.0.0/8 or 2001:db8::/32"
        ))
    };
    let Some((address, prefix)) = text.split_once('/') else {
        return Err(match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => {
                InvalidName::new(format!("{text:?} is a single address; write {text}/32"))
            }
            Ok(IpAddr::V6(_)) => {
                InvalidName::new(format!("{text:?} is a single address; write {text}/128"))
            }
            Err(_) => invalid(),
        });
    };
    let address: IpAddr = address.parse().map_err(|_| invalid())?;
    let digits =
        !prefix.is_empty() && prefix.len() <= 3 && prefix.bytes().all(|b| b.is_ascii_digit());
    let prefix: u8 = if digits {
        prefix.parse().map_err(|_| invalid())?
    } else {
        return Err(invalid());
    };
    let (address, prefix) = match (address, address.to_canonical()) {
        (IpAddr::V6(_), v4 @ IpAddr::V4(_)) if (96..=128).contains(&prefix) => (v4, prefix - 96),
        _ => (address, prefix),
    };
    match address {
        IpAddr::V4(v4) if prefix <= 32 => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ok((IpAddr::V4((v4.to_bits() & mask).into()), prefix))
        }
        IpAddr::V6(v6) if prefix <= 128 => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ok((IpAddr::V6((v6.to_bits() & mask).into()), prefix))
        }
        _ => Err(invalid()),
    }
}

/// An absolute URI (RFC 3986), kept as it is written.
///
/// # Errors
/// For a relative reference, characters that a URI has to escape, a broken escape, or a host that verifiers can't
/// read: Go refuses a whole certificate for one such URI.
pub fn uri(text: &str) -> Result<String, InvalidName> {
    if !text.is_ascii() {
        return Err(InvalidName::new(format!(
            "{text:?} has characters beyond ASCII; write its host as xn--… and percent-encode the rest"
        )));
    }
    let scheme = text
        .split_once(':')
        .map(|(scheme, _)| scheme)
        .filter(|scheme| {
            let mut bytes = scheme.bytes();
            bytes
                .next()
                .is_some_and(|first| first.is_ascii_alphabetic())
                && bytes.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        });
    let Some(scheme) = scheme else {
        return Err(InvalidName::new(format!(
            "{text:?} has no scheme; write an absolute URI such as spiffe://example.org/ns/team"
        )));
    };
    let rest = &text[scheme.len() + 1..];
    if rest.is_empty() {
        return Err(InvalidName::new(format!(
            "{text:?} says nothing after its scheme"
        )));
    }
    if let Some(bad) = rest
        .bytes()
        .find(|b| !b.is_ascii_graphic() || b"\"<>\\^`{|}".contains(b))
    {
        return Err(InvalidName::new(format!(
            "{text:?} has a character that a URI can't hold; write it as %{bad:02X}"
        )));
    }
    let broken_escape = |escape: &str| {
        !escape
            .as_bytes()
            .get(..2)
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    if rest.split('%').skip(1).any(broken_escape) {
        return Err(InvalidName::new(format!(
            "{text:?} has a % that two hexadecimal digits don't follow; write %25 for the sign itself"
        )));
    }
    if let Some(rest) = rest.strip_prefix("//") {
        authority(text, rest.split(['/', '?', '#']).next().unwrap_or_default())?;
    }
    Ok(text.to_owned())
}

/// The host of a URI in a name constraint, or the domain above hosts with a leading dot.
///
/// # Errors
/// As for [`dns_constraint`]; addresses can't be constrained so (RFC 5280 section 4.2.1.10).
pub fn uri_constraint(text: &str) -> Result<String, InvalidName> {
    if text.contains("://") {
        return Err(InvalidName::new(format!(
            "{text:?} is a URI; write only its host, such as example.com"
        )));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(InvalidName::new(format!(
            "{text:?} is an IP address, and only hosts with names can be constrained; leave it out"
        )));
    }
    dns_constraint(text)
}

/// A mailbox such as `ops@example.com`: the domain in A-labels and lower case, the local part as it is.
///
/// # Errors
/// For what is no bare mailbox, and for a local part beyond ASCII, which this kind of name can't carry.
pub fn email_address(text: &str) -> Result<String, InvalidName> {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return Err(InvalidName::new(format!(
            "{text:?} is not an e-mail address such as ops@example.com"
        )));
    };
    if !local.is_ascii() {
        return Err(InvalidName::new(format!(
            "{text:?} has characters beyond ASCII before the @, which RFC 5280 doesn't allow here; write it under \
             otherNames with oid 1.3.6.1.5.5.7.8.9 (RFC 9598)"
        )));
    }
    if !is_local_part(local) {
        return Err(InvalidName::new(format!(
            "{text:?} is not a bare e-mail address such as ops@example.com"
        )));
    }
    Ok(format!("{local}@{}", host_name(text, domain)?))
}

/// What a name constraint says of mailboxes: one mailbox, all of a host, or with a leading dot all of a domain's hosts.
///
/// # Errors
/// As for [`email_address`] and [`dns_constraint`].
pub fn email_constraint(text: &str) -> Result<String, InvalidName> {
    if text.contains('@') {
        email_address(text)
    } else {
        dns_constraint(text)
    }
}

/// A dotted object identifier such as `1.3.6.1.4.1.311.20.2.3`.
///
/// # Errors
/// For what is none, or one whose numbers don't fit 32 bits.
pub fn object_identifier(text: &str) -> Result<String, InvalidName> {
    ObjectIdentifier::new(text)
        .map(|oid| oid.to_string())
        .map_err(|_| {
            InvalidName::new(format!(
                "{text:?} is not an object identifier such as 1.3.6.1.4.1.311.20.2.3"
            ))
        })
}

/// Bytes of a DNS name without its final dot (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;

fn too_long(text: &str) -> InvalidName {
    InvalidName::new(format!(
        "{text:?} is longer than the 63 bytes of a label or the 253 of a name that DNS allows"
    ))
}

/// Names the field that a text which is clearly of another kind belongs in.
fn refuse_other_kinds(text: &str) -> Result<(), InvalidName> {
    if text.parse::<IpAddr>().is_ok() {
        return Err(is_address(text));
    }
    let field = if text.contains("://") {
        "a URI; write it under uris (uriDomains in name constraints)"
    } else if text.contains('@') {
        "an e-mail address; write it under emailAddresses"
    } else {
        return Ok(());
    };
    Err(InvalidName::new(format!("{text:?} is {field}")))
}

/// `example.com` or `.example.com`.
fn domain_or_subdomains(text: &str) -> Result<String, InvalidName> {
    match text.strip_prefix('.') {
        Some(domain) => Ok(format!(".{}", host_name(text, domain)?)),
        None => host_name(text, text).and_then(|name| no_address(text, name)),
    }
}

/// The name, unless its canonical form is an address: a final dot, or digits beyond ASCII, hide it.
fn no_address(text: &str, name: String) -> Result<String, InvalidName> {
    match name.parse::<IpAddr>() {
        Ok(_) => Err(is_address(text)),
        Err(_) => Ok(name),
    }
}

fn is_address(text: &str) -> InvalidName {
    InvalidName::new(format!(
        "{text:?} is an IP address; write it under ipAddresses (ipRanges in name constraints)"
    ))
}

/// A host name without wildcard; `text` is what the user wrote, for the message.
fn host_name(text: &str, host: &str) -> Result<String, InvalidName> {
    let ascii = if host.is_ascii() {
        host.to_ascii_lowercase()
    } else {
        Uts46::new()
            .to_ascii(
                host.as_bytes(),
                AsciiDenyList::EMPTY,
                Hyphens::Allow,
                DnsLength::Ignore,
            )
            .map_err(|_| {
                InvalidName::new(format!(
                    "{text:?} is not an internationalised domain name (UTS #46)"
                ))
            })?
            .into_owned()
    };
    let name = ascii.strip_suffix('.').unwrap_or(&ascii);
    if name.is_empty() {
        return Err(InvalidName::new(format!(
            "{text:?} is no name; write one such as www.example.com"
        )));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(InvalidName::new(format!(
                "{text:?} has an empty label; write single dots between labels"
            )));
        }
        if label.contains('*') {
            return Err(InvalidName::new(format!(
                "{text:?}: a * stands only for the whole first label of a name, as in *.example.com"
            )));
        }
        if let Some(bad) = label
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && *c != '-' && *c != '_')
        {
            return Err(InvalidName::new(format!(
                "{text:?} has {bad:?}; host names hold letters, digits and hyphens"
            )));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(InvalidName::new(format!(
                "{text:?}: the label {label:?} may not begin or end with a hyphen"
            )));
        }
        if label.len() > 63 {
            return Err(too_long(text));
        }
    }
    if name.len() > MAX_NAME {
        return Err(too_long(text));
    }
    Ok(name.to_owned())
}

/// Checks the authority of a URI (RFC 3986 section 3.2) as far as Go reads it.
fn authority(text: &str, authority: &str) -> Result<(), InvalidName> {
    let invalid = || {
        InvalidName::new(format!(
            "{text:?}: {authority:?} is not a host, perhaps with a port, such as example.com:8443"
        ))
    };
    let host_and_port = authority
        .rsplit_once('@')
        .map_or(authority, |(_, rest)| rest);
    let (host, port) = match host_and_port.strip_prefix('[') {
        Some(literal) => {
            let (address, rest) = literal.split_once(']').ok_or_else(invalid)?;
            let port = if rest.is_empty() {
                Some("")
            } else {
                rest.strip_prefix(':')
            };
            if !matches!(address.parse(), Ok(IpAddr::V6(_))) {
                return Err(invalid());
            }
            ("", port.ok_or_else(invalid)?)
        }
        None => host_and_port.split_once(':').unwrap_or((host_and_port, "")),
    };
    let empty_label = !host.is_empty() && host.split('.').any(str::is_empty);
    if empty_label || host.contains(['[', ']', '%']) || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid());
    }
    Ok(())
}

/// A dot-atom or a quoted string (RFC 5321 section 4.1.2), without the length limit that nobody keeps.
fn is_local_part(local: &str) -> bool {
    if let Some(quoted) = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        let mut escaped = false;
        let plain = quoted.bytes().all(|b| {
            let fits = (b == b' ' || b.is_ascii_graphic()) && (escaped || b != b'"');
            escaped = !escaped && b == b'\\';
            fits
        });
        return plain && !escaped;
    }
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    local.split('.').all(is_atom)
}

#[cfg(test)]
mod tests;
