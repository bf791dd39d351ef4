//! Alternative names and name constraints.

use std::collections::BTreeSet;

use super::InvalidSpec;
use crate::api::certificate::{CertificateSpec, NameConstraintItems, OtherName};
use crate::api::names::{self, InvalidName};
use crate::pki::profile::{NameConstraints, Names, Subtrees};

/// The alternative names of `spec`.
pub(super) fn names(spec: &CertificateSpec) -> Result<Names, InvalidSpec> {
    Ok(Names {
        dns: each("spec.dnsNames", &spec.dns_names, names::dns_name)?,
        ip: each("spec.ipAddresses", &spec.ip_addresses, names::ip_address)?,
        uri: each("spec.uris", &spec.uris, names::uri)?,
        email: each(
            "spec.emailAddresses",
            &spec.email_addresses,
            names::email_address,
        )?,
        other: spec
            .other_names
            .iter()
            .enumerate()
            .map(other_name)
            .collect::<Result<_, _>>()?,
    })
}

/// The name constraints of `spec`; only a CA has them (RFC 5280 section 4.2.1.10).
pub(super) fn name_constraints(
    spec: &CertificateSpec,
    is_ca: bool,
) -> Result<Option<NameConstraints>, InvalidSpec> {
    let Some(given) = &spec.name_constraints else {
        return Ok(None);
    };
    let constraints = NameConstraints {
        critical: given.critical.unwrap_or(false),
        permitted: subtrees("permitted", given.permitted.as_ref())?,
        excluded: subtrees("excluded", given.excluded.as_ref())?,
    };
    let problem = if !is_ca {
        "only a CA has name constraints; set isCA: true or leave them out"
    } else if constraints.permitted.is_empty() && constraints.excluded.is_empty() {
        "nothing is constrained; name something under permitted or excluded, or leave them out"
    } else {
        return Ok(Some(constraints));
    };
    Err(InvalidSpec::new("spec.nameConstraints", problem))
}

fn subtrees(part: &str, items: Option<&NameConstraintItems>) -> Result<Subtrees, InvalidSpec> {
    let Some(items) = items else {
        return Ok(Subtrees::default());
    };
    let field = |name: &str| format!("spec.nameConstraints.{part}.{name}");
    Ok(Subtrees {
        dns: each(
            &field("dnsDomains"),
            &items.dns_domains,
            names::dns_constraint,
        )?,
        ip: each(&field("ipRanges"), &items.ip_ranges, names::ip_range)?,
        email: each(
            &field("emailAddresses"),
            &items.email_addresses,
            names::email_constraint,
        )?,
        uri: each(
            &field("uriDomains"),
            &items.uri_domains,
            names::uri_constraint,
        )?,
    })
}

fn each<T: Ord>(
    field: &str,
    texts: &[String],
    read: fn(&str) -> Result<T, InvalidName>,
) -> Result<BTreeSet<T>, InvalidSpec> {
    let read = |(at, text): (usize, &String)| {
        read(text).map_err(|problem| InvalidSpec::name(format!("{field}[{at}]"), &problem))
    };
    texts.iter().enumerate().map(read).collect()
}

fn other_name((at, name): (usize, &OtherName)) -> Result<(String, String), InvalidSpec> {
    let field = format!("spec.otherNames[{at}]");
    if name.utf8_value.is_empty() {
        return Err(InvalidSpec::new(
            format!("{field}.utf8Value"),
            "a name has at least one character; write one or leave the entry out",
        ));
    }
    let oid = names::object_identifier(&name.oid)
        .map_err(|problem| InvalidSpec::name(format!("{field}.oid"), &problem))?;
    Ok((oid, name.utf8_value.clone()))
}
