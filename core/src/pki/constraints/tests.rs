use std::collections::BTreeSet;

use x509_parser::asn1_rs::Tag;

use super::*;
use crate::pki::profile::{NameConstraints, Names, Subtrees};
use crate::pki::testing::{
    attribute, below, ca, constrained, everything, key, leaf, named, root, signed,
};
use crate::pki::{Authority, Facts};

/// Names of one kind each: `DNS:`, `IP:`, `URI:` or `email:` in front.
fn profile(name: &str) -> Profile {
    let (kind, name) = name.split_once(':').unwrap();
    let mut names = Names::default();
    match kind {
        "DNS" => names.dns = [name.to_owned()].into(),
        "IP" => names.ip = [name.parse().unwrap()].into(),
        "URI" => names.uri = [name.to_owned()].into(),
        "email" => names.email = [name.to_owned()].into(),
        other => panic!("{other}"),
    }
    Profile { names, ..leaf(&[]) }
}

fn subtrees(bases: &[&str]) -> Subtrees {
    let of = |kind: &str| {
        bases
            .iter()
            .filter_map(|base| base.strip_prefix(kind))
            .map(str::to_owned)
            .collect()
    };
    let ip: BTreeSet<String> = of("IP:");
    let network = |text: &String| {
        let (address, length) = text.split_once('/').unwrap();
        (address.parse().unwrap(), length.parse().unwrap())
    };
    Subtrees {
        dns: of("DNS:"),
        ip: ip.iter().map(network).collect(),
        email: of("email:"),
        uri: of("URI:"),
    }
}

/// A CA that permits and excludes these.
fn authority(permitted: &[&str], excluded: &[&str]) -> Authority {
    let (permitted, excluded) = (subtrees(permitted), subtrees(excluded));
    root(&constrained(NameConstraints {
        critical: true,
        permitted,
        excluded,
    }))
}

/// Whether a CA with just this subtree, permitted, signs the name; and whether it does with it excluded.
fn verdict(base: &str, name: &str) -> (bool, bool) {
    let signs = |permitted: &[&str], excluded: &[&str]| {
        check(&profile(name), &authority(permitted, excluded).chain).is_ok()
    };
    (signs(&[base], &[]), signs(&[], &[base]))
}

const WITHIN: (bool, bool) = (true, false);
const OUTSIDE: (bool, bool) = (false, true);
/// Can't be told, so it counts against the name both times.
const UNDECIDED: (bool, bool) = (false, false);
/// Another kind of name.
const UNCONCERNED: (bool, bool) = (true, true);

#[test]
fn names_are_held_against_subtrees_of_their_kind() {
    let table = [
        ("DNS:example.com", "DNS:example.com", WITHIN),
        ("DNS:example.com", "DNS:www.example.com", WITHIN),
        ("DNS:example.com", "DNS:*.example.com", WITHIN),
        ("DNS:Example.com", "DNS:www.example.com", WITHIN),
        ("DNS:example.com", "DNS:badexample.com", OUTSIDE),
        ("DNS:example.com", "DNS:example.org", OUTSIDE),
        ("DNS:.example.com", "DNS:www.example.com", WITHIN),
        ("DNS:.example.com", "DNS:example.com", OUTSIDE),
        ("DNS:", "DNS:example.com", WITHIN),
        ("DNS:www.example.com", "DNS:*.example.com", UNDECIDED),
        ("DNS:a.www.example.com", "DNS:*.example.com", OUTSIDE),
        ("DNS:example.com", "IP:192.0.2.1", UNCONCERNED),
        ("IP:192.0.2.0/24", "IP:192.0.2.255", WITHIN),
        ("IP:192.0.2.0/24", "IP:192.0.3.0", OUTSIDE),
        ("IP:192.0.2.128/25", "IP:192.0.2.127", OUTSIDE),
        ("IP:0.0.0.0/0", "IP:203.0.113.7", WITHIN),
        ("IP:0.0.0.0/0", "IP:2001:db8::1", OUTSIDE),
        ("IP:2001:db8::/33", "IP:2001:db8:7fff::1", WITHIN),
        ("IP:2001:db8::/33", "IP:2001:db8:8000::1", OUTSIDE),
        ("IP:192.0.2.1/32", "DNS:example.com", UNCONCERNED),
        ("URI:example.com", "URI:https://example.com/a", WITHIN),
        (
            "URI:example.com",
            "URI:https://jo@Example.com:8443/a?b#c",
            WITHIN,
        ),
        ("URI:example.com", "URI:spiffe://example.com", WITHIN),
        ("URI:example.com", "URI:https://www.example.com", OUTSIDE),
        ("URI:.example.com", "URI:https://www.example.com", WITHIN),
        ("URI:.example.com", "URI:https://example.com", OUTSIDE),
        ("URI:example.com", "URI:urn:uuid:1", UNDECIDED),
        ("URI:example.com", "URI:https://192.0.2.1/", UNDECIDED),
        ("URI:example.com", "URI:https://[2001:db8::1]/", UNDECIDED),
        ("email:example.com", "email:jo@Example.com", WITHIN),
        ("email:example.com", "email:jo@www.example.com", OUTSIDE),
        ("email:.example.com", "email:jo@www.example.com", WITHIN),
        ("email:.example.com", "email:jo@example.com", OUTSIDE),
        ("email:jo@example.com", "email:jo@EXAMPLE.com", WITHIN),
        ("email:jo@example.com", "email:Jo@example.com", OUTSIDE),
        ("email:example.com", "DNS:example.org", UNCONCERNED),
    ];
    for (base, name, expected) in table {
        assert_eq!(verdict(base, name), expected, "{name} against {base}");
    }
}

#[test]
fn one_permitted_subtree_is_enough_and_an_excluded_one_wins() {
    let ca = authority(&["DNS:a.example", "DNS:b.example"], &["DNS:no.b.example"]);
    let verdict = |name| check(&profile(name), &ca.chain).is_ok();
    assert!(verdict("DNS:x.a.example") && verdict("DNS:x.b.example"));
    assert!(!verdict("DNS:x.no.b.example") && !verdict("DNS:c.example"));
}

#[test]
fn a_refusal_names_the_ca_the_name_and_the_constraint() {
    let problem = |ca: &Authority, name| check(&profile(name), &ca.chain).unwrap_err();
    let ca = authority(
        &["DNS:a.example", "DNS:b.example", "IP:10.0.0.0/8"],
        &["DNS:no.a.example"],
    );
    assert_eq!(
        problem(&ca, "DNS:c.example"),
        "the CA \"constrained\" may not sign this: it permits only DNS:a.example, DNS:b.example, and DNS:c.example is outside"
    );
    assert_eq!(
        problem(&ca, "DNS:x.no.a.example"),
        "the CA \"constrained\" may not sign this: it excludes DNS:no.a.example, and DNS:x.no.a.example is within that"
    );
    assert_eq!(
        problem(&ca, "IP:192.0.2.1"),
        "the CA \"constrained\" may not sign this: it permits only IP:10.0.0.0/255.0.0.0, and IP:192.0.2.1 is outside"
    );
}

#[test]
fn the_constraints_of_every_ca_above_hold_too() {
    let top = authority(&["DNS:example.com"], &[]);
    let middle = below(&top, &ca("middle"));
    let last = below(&middle, &ca("last"));
    assert!(signed(&last, &leaf(&["www.example.com"]), &key()).is_ok());
    let problem = signed(&last, &leaf(&["example.org"]), &key())
        .unwrap_err()
        .to_string();
    assert_eq!(
        problem,
        "the CA \"constrained\" may not sign this: it permits only DNS:example.com, and DNS:example.org is outside"
    );
}

#[test]
fn addresses_in_the_subject_are_names_too() {
    let ca = authority(&["email:example.com"], &[]);
    let with = |mailbox| Profile {
        subject: DistinguishedName(vec![vec![attribute(EMAIL_ADDRESS, mailbox)]]),
        ..leaf(&[])
    };
    assert!(check(&with("jo@example.com"), &ca.chain).is_ok());
    assert!(check(&with("jo@example.org"), &ca.chain).is_err());
}

#[test]
fn subjects_and_masks_with_gaps_are_held_against_what_openssl_wrote() {
    let chain = [Facts::read(&everything()).unwrap()];
    let under = |subject: &[&str], name: &str| {
        let subject = subject.iter().flat_map(|name| named(name).0).collect();
        check(
            &Profile {
                subject: DistinguishedName(subject),
                ..profile(name)
            },
            &chain,
        )
    };
    assert_eq!(under(&["Elsewhere"], "DNS:example.com"), Ok(()));
    assert_eq!(under(&["elsewhere", "x"], "DNS:example.com"), Ok(()));
    assert!(
        under(&["x", "elsewhere"], "DNS:example.com")
            .unwrap_err()
            .ends_with("and the subject is outside")
    );
    assert_eq!(under(&[], "IP:10.7.7.1"), Ok(()));
    assert!(under(&[], "IP:10.7.7.2").is_err());
}

/// A base of any kind whose octets can't be read, such as a DNS name that is no text.
#[test]
fn constraints_that_cannot_be_read_let_no_name_of_their_kind_pass() {
    let names = [
        (0, Name::Other("1.2.3")),
        (1, Name::Email("jo@example.com")),
        (2, Name::Dns("example.com")),
        (4, Name::Directory(&DistinguishedName::default())),
        (6, Name::Uri("spiffe://example.com/a")),
        (7, Name::Ip(IpAddr::from([192, 0, 2, 1]))),
    ];
    for (tag, _) in &names {
        let subtree = [GeneralSubtree {
            base: GeneralName::Invalid(Tag(*tag), &[0xff]),
        }];
        for (kind, name) in &names {
            let passes = kind != tag;
            assert_eq!(
                check_name(name, &subtree, &[]).is_ok(),
                passes,
                "{}",
                name.text()
            );
            assert_eq!(
                check_name(name, &[], &subtree).is_ok(),
                passes,
                "{}",
                name.text()
            );
        }
    }
}

#[test]
fn a_path_length_counts_the_cas_below() {
    // The certificate that OpenSSL made allows three CAs below it.
    let top = Facts::read(&everything()).unwrap();
    let made = root(&ca("other"));
    let other = made.certificate().clone();
    let intermediate = |name: &str| signed(&made, &ca(name), &key()).unwrap();
    let self_issued = other;
    let below: Vec<Facts> = ["a", "b", "c"].map(intermediate).into();
    let may = |profile: &Profile, below: &[Facts]| {
        check_path_length(profile, &[below, std::slice::from_ref(&top)].concat())
    };
    assert_eq!(may(&ca("x"), &below[..2]), Ok(()));
    assert_eq!(may(&leaf(&[]), &below), Ok(()));
    assert_eq!(
        may(&ca("x"), &below).unwrap_err(),
        "the CA \"Everything\" may not sign this: its path length allows 3 CAs below it, this would be number 4"
    );
    let with_self_issued = [&below[..2], std::slice::from_ref(&self_issued)].concat();
    assert_eq!(
        may(&ca("x"), &with_self_issued),
        Ok(()),
        "self-issued ones don't count"
    );
}

#[test]
fn a_ca_of_more_constraints_than_are_checked_signs_nothing() {
    let many = |count: usize| {
        let domains: Vec<_> = (0..count).map(|n| format!("DNS:{n}.example")).collect();
        let domains: Vec<_> = domains.iter().map(String::as_str).collect();
        check(&profile("DNS:0.example"), &authority(&domains, &[]).chain)
    };
    assert_eq!(many(MAX_SUBTREES), Ok(()));
    let refused = many(MAX_SUBTREES + 1).unwrap_err();
    assert!(refused.contains("4097 name constraints"), "{refused}");
}
