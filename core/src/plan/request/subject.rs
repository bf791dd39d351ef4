//! The subject, from the fields that say it.

use super::{InvalidSpec, literal_subject};
use crate::api::certificate::{CertificateSpec, Subject};
use crate::pki::profile::{Attribute, DistinguishedName};

/// Object identifiers of attribute types (RFC 4519).
pub(super) mod oid {
    pub(crate) const COMMON_NAME: &str = "2.5.4.3";
    pub(crate) const SERIAL_NUMBER: &str = "2.5.4.5";
    pub(crate) const COUNTRY: &str = "2.5.4.6";
    pub(crate) const LOCALITY: &str = "2.5.4.7";
    pub(crate) const PROVINCE: &str = "2.5.4.8";
    pub(crate) const STREET_ADDRESS: &str = "2.5.4.9";
    pub(crate) const ORGANIZATION: &str = "2.5.4.10";
    pub(crate) const ORGANIZATIONAL_UNIT: &str = "2.5.4.11";
    pub(crate) const POSTAL_CODE: &str = "2.5.4.17";
    pub(crate) const USER_ID: &str = "0.9.2342.19200300.100.1.1";
    pub(crate) const DOMAIN_COMPONENT: &str = "0.9.2342.19200300.100.1.25";
}

/// Characters of a common name (`ub-common-name`, RFC 5280 appendix A.1).
const MAX_COMMON_NAME: usize = 64;

/// The subject of `spec`, from `literalSubject` or from `subject` and `commonName`.
///
/// The latter is encoded as Go does, so that a certificate keeps its subject when it comes from cert-manager: country,
/// organization, organizational unit, locality, province, street, postal code, common name, serial number; several
/// values of one kind are one relative name. As such a name is a set, its values are sorted and said once.
pub(super) fn subject(spec: &CertificateSpec) -> Result<DistinguishedName, InvalidSpec> {
    let common_name = spec.common_name.as_deref().filter(|name| !name.is_empty());
    let given = spec.subject.clone().unwrap_or_default();
    let literal = spec
        .literal_subject
        .as_deref()
        .filter(|literal| !literal.is_empty());
    if let Some(literal) = literal {
        if common_name.is_some() || given != Subject::default() {
            let problem =
                "it is the whole subject; leave out commonName and subject, or write them into it";
            return Err(InvalidSpec::new("spec.literalSubject", problem));
        }
        return literal_subject::parse(literal)
            .map_err(|problem| InvalidSpec::new("spec.literalSubject", problem));
    }
    let serial_number = given.serial_number.filter(|number| !number.is_empty());
    let mut names = Vec::new();
    for (oid, field, values) in [
        (oid::COUNTRY, "countries", given.countries),
        (oid::ORGANIZATION, "organizations", given.organizations),
        (
            oid::ORGANIZATIONAL_UNIT,
            "organizationalUnits",
            given.organizational_units,
        ),
        (oid::LOCALITY, "localities", given.localities),
        (oid::PROVINCE, "provinces", given.provinces),
        (
            oid::STREET_ADDRESS,
            "streetAddresses",
            given.street_addresses,
        ),
        (oid::POSTAL_CODE, "postalCodes", given.postal_codes),
    ] {
        names.push(relative_name(oid, field, values)?);
    }
    names.push(common_name_of_length(common_name)?);
    names.push(
        serial_number
            .map(|value| attribute(oid::SERIAL_NUMBER, value))
            .into_iter()
            .collect(),
    );
    names.retain(|name| !name.is_empty());
    Ok(DistinguishedName(names))
}

fn relative_name(
    oid: &str,
    field: &str,
    values: Vec<String>,
) -> Result<Vec<Attribute>, InvalidSpec> {
    if let Some(empty) = values.iter().position(String::is_empty) {
        let problem = "an attribute has at least one character; leave it out";
        return Err(InvalidSpec::new(
            format!("spec.subject.{field}[{empty}]"),
            problem,
        ));
    }
    Ok(as_set(
        values
            .into_iter()
            .map(|value| attribute(oid, value))
            .collect(),
    ))
}

fn common_name_of_length(name: Option<&str>) -> Result<Vec<Attribute>, InvalidSpec> {
    if name.is_some_and(|name| name.chars().count() > MAX_COMMON_NAME) {
        let problem = format!(
            "a common name has at most {MAX_COMMON_NAME} characters; write longer names under dnsNames"
        );
        return Err(InvalidSpec::new("spec.commonName", problem));
    }
    Ok(name
        .map(|name| attribute(oid::COMMON_NAME, name.to_owned()))
        .into_iter()
        .collect())
}

fn attribute(oid: &str, value: String) -> Attribute {
    Attribute {
        oid: oid.to_owned(),
        value,
    }
}

/// A relative distinguished name is a set: sorted here, each attribute once.
pub(super) fn as_set(mut attributes: Vec<Attribute>) -> Vec<Attribute> {
    attributes.sort();
    attributes.dedup();
    attributes
}
