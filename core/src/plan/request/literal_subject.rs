//! `literalSubject`: a distinguished name as text (RFC 4514).

use super::subject::{as_set, oid};
use crate::api::names;
use crate::pki::profile::{Attribute, DistinguishedName};

/// Short names of attribute types; those of RFC 4514 section 3, and the ones that cert-manager or Go write beside them.
const TYPES: [(&str, &str); 11] = [
    ("CN", oid::COMMON_NAME),
    ("C", oid::COUNTRY),
    ("O", oid::ORGANIZATION),
    ("OU", oid::ORGANIZATIONAL_UNIT),
    ("L", oid::LOCALITY),
    ("ST", oid::PROVINCE),
    ("STREET", oid::STREET_ADDRESS),
    ("POSTALCODE", oid::POSTAL_CODE),
    ("SERIALNUMBER", oid::SERIAL_NUMBER),
    ("DC", oid::DOMAIN_COMPONENT),
    ("UID", oid::USER_ID),
];

/// Reads `CN=name,OU=team,O=company,C=DE`.
///
/// As RFC 4514 section 2.1 has it, and cert-manager, the text begins with the most particular name, and the encoding
/// with the most general: the order is turned round. Types are short names in any case or dotted object identifiers;
/// others are refused. `;` separates like `,` (RFC 2253 section 4), spaces around types and values don't count unless
/// they are escaped, and values in hexadecimal (`#0C04…`) are not read.
///
/// # Errors
/// What is wrong, and what to write instead.
pub(super) fn parse(text: &str) -> Result<DistinguishedName, String> {
    let mut names: Vec<_> = split(text, |c| matches!(c, ',' | ';'))
        .into_iter()
        .map(|name| {
            split(name, |c| c == '+')
                .into_iter()
                .map(attribute)
                .collect::<Result<Vec<_>, _>>()
                .map(as_set)
        })
        .collect::<Result<_, _>>()?;
    names.reverse();
    Ok(DistinguishedName(names))
}

/// The parts of `text` between unescaped separators.
fn split(text: &str, is_separator: impl Fn(char) -> bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if !escaped && is_separator(c) {
            parts.push(&text[start..at]);
            start = at + c.len_utf8();
        }
        escaped = !escaped && c == '\\';
    }
    parts.push(&text[start..]);
    parts
}

fn attribute(text: &str) -> Result<Attribute, String> {
    let Some((kind, value)) = text.split_once('=') else {
        return Err(format!(
            "{:?} is not an attribute such as CN=name; a comma or plus sign inside a value is written \\, or \\+",
            text.trim()
        ));
    };
    let kind = kind.trim();
    let oid = if kind.starts_with(|c: char| c.is_ascii_digit()) {
        names::object_identifier(kind).map_err(|problem| problem.to_string())?
    } else {
        let known = TYPES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(kind));
        let (_, oid) = known.ok_or_else(|| {
            let known: Vec<_> = TYPES.iter().map(|(name, _)| *name).collect();
            format!(
                "{kind:?} is not a known attribute; write one of {} or a dotted object identifier",
                known.join(", ")
            )
        })?;
        (*oid).to_owned()
    };
    let value = unescape(trim(value)).map_err(|problem| format!("{kind}: {problem}"))?;
    Ok(Attribute { oid, value })
}

/// `value` without the spaces and line ends around it; an escaped one at the end stays.
fn trim(value: &str) -> &str {
    let value = value.trim_ascii_start();
    let trimmed = value.trim_ascii_end();
    let backslashes = trimmed.len() - trimmed.trim_end_matches('\\').len();
    if backslashes % 2 == 1 && trimmed.len() < value.len() {
        &value[..=trimmed.len()]
    } else {
        trimmed
    }
}

/// Takes off the escapes of RFC 4514 section 2.4.
fn unescape(value: &str) -> Result<String, String> {
    if value.is_empty() {
        return Err("an attribute has at least one character; leave it out".into());
    }
    if value.starts_with('#') {
        return Err("values in hexadecimal are not read; write the text itself, with a # at its beginning as \\#".into());
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => return Err("quotation marks don't quote here; write \\\" for the mark itself, and \\, for a comma".into()),
            '\\' => {
                let tail = rest.as_str();
                if let Some(special) = tail.chars().next().filter(|c| " \"#+,;<=>\\".contains(*c)) {
                    bytes.push(special as u8);
                    rest.next();
                } else {
                    let byte = tail.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
                    let byte = byte.and_then(|hex| u8::from_str_radix(hex, 16).ok());
                    bytes.push(byte.ok_or("a backslash comes before a special character or two hexadecimal digits; write \\\\ for the sign itself")?);
                    rest = tail[2..].chars();
                }
            }
            plain => bytes.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    String::from_utf8(bytes).map_err(|_| "the bytes written as \\XX are not UTF-8".into())
}
