//! Where a certificate is not what was asked for.

use std::collections::BTreeSet;
use std::fmt::Display;

use jiff::SignedDuration;

use crate::pki::profile::{Attribute, DistinguishedName, Names};
use crate::pki::{Facts, Profile};

/// How much longer than asked a certificate may be valid before it counts as another one.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(1);

/// Names shown of each set before the rest is only counted.
const SHOWN: usize = 3;

/// Where `certificate` differs from `profile`, each in words; empty if nowhere.
///
/// This is the exact comparison, for issuers inside the cluster. A shorter life is no difference: a certificate never
/// outlives the CA that signed it.
pub fn differences(profile: &Profile, certificate: &Facts) -> Vec<String> {
    let mut found = differences_outside(profile, certificate);
    if as_sets(&profile.subject) != as_sets(&certificate.subject) {
        found.push("the subject is another".to_owned());
    }
    if profile.is_ca != certificate.is_ca {
        found.push(
            if profile.is_ca {
                "it is not a CA"
            } else {
                "it is a CA"
            }
            .to_owned(),
        );
    }
    if certificate.key_usages.as_ref() != Some(&profile.key_usages)
        && !(certificate.key_usages.is_none() && profile.key_usages.is_empty())
    {
        found.push("the key usages are others".to_owned());
    }
    if profile.extended_key_usages != certificate.extended_key_usages {
        found.push("the extended key usages are others".to_owned());
    }
    if profile.name_constraints != certificate.name_constraints {
        found.push("the name constraints are others".to_owned());
    }
    let life = certificate.not_after.duration_since(certificate.not_before);
    if life > SignedDuration::from_secs(profile.lifetime_seconds) + TOLERANCE {
        found.push("it is valid for longer".to_owned());
    }
    found
}

/// The same for issuers outside the cluster, which choose usages, subject and lifetime: names and key alone are compared.
pub fn differences_outside(profile: &Profile, certificate: &Facts) -> Vec<String> {
    let mut found = names(&profile.names, &certificate.names);
    if !certificate.unknown_names.is_empty() {
        found.push(format!(
            "it has other names that were not asked for: {}",
            listed(&certificate.unknown_names)
        ));
    }
    if certificate.key != Some(profile.key) {
        found.push(match certificate.key {
            Some(held) => format!("the key is {held} instead of {}", profile.key),
            None => format!("the key is of an unknown kind instead of {}", profile.key),
        });
    }
    found
}

/// Each relative name as the set it is (RFC 5280 section 4.1.2.4): DER sorts by the encoding, a request by the text.
fn as_sets(name: &DistinguishedName) -> Vec<BTreeSet<&Attribute>> {
    name.0.iter().map(|name| name.iter().collect()).collect()
}

fn names(asked: &Names, held: &Names) -> Vec<String> {
    fn compare<T: Ord + Display>(
        asked: &BTreeSet<T>,
        held: &BTreeSet<T>,
        kind: &str,
        found: &mut Vec<String>,
    ) {
        let missing: Vec<_> = asked.difference(held).collect();
        if !missing.is_empty() {
            found.push(format!("it lacks the {kind} {}", listed(&missing)));
        }
        let extra: Vec<_> = held.difference(asked).collect();
        if !extra.is_empty() {
            found.push(format!(
                "it has the {kind} {} that was not asked for",
                listed(&extra)
            ));
        }
    }
    let mut found = Vec::new();
    compare(&asked.dns, &held.dns, "DNS name", &mut found);
    compare(&asked.ip, &held.ip, "IP address", &mut found);
    compare(&asked.uri, &held.uri, "URI", &mut found);
    compare(&asked.email, &held.email, "e-mail address", &mut found);
    if asked.other != held.other {
        found.push("the other names are others".to_owned());
    }
    found
}

fn listed<T: Display>(names: &[T]) -> String {
    let shown: Vec<_> = names.iter().take(SHOWN).map(T::to_string).collect();
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}
