use std::time::{Duration, Instant};

use super::*;
use crate::pki::testing::{
    DAY, at, authority, below, ca, everything, key, leaf, pem, root, self_signed, signed,
};
use crate::pki::{Authority, PrivateKey};

/// One line of a chain, as common names or DNS names.
fn shown(chain: &[Facts]) -> Vec<String> {
    let name = |facts: &Facts| match facts.subject.0.first() {
        Some(rdn) => rdn[0].value.clone(),
        None => facts.names.dns.first().cloned().unwrap_or_default(),
    };
    chain.iter().map(name).collect()
}

#[test]
fn reads_back_what_it_writes_in_order_and_skips_the_rest() {
    let ca = root(&ca("ca"));
    let leaf = signed(&ca, &leaf(&["example.com"]), &key()).unwrap();
    let written = pem(&[&leaf, ca.certificate()]);
    assert!(
        written.lines().all(|line| line.len() <= 64)
            && written.ends_with("-----END CERTIFICATE-----\n")
    );
    let key = ca.key.to_pem(crate::api::certificate::KeyEncoding::Pkcs8);
    let text = format!("bag attributes: é\n{}{written}", *key);
    assert_eq!(
        read_pem(text.as_bytes()).unwrap(),
        [leaf, ca.certificate().clone()]
    );
}

#[test]
fn says_what_is_wrong_with_a_bundle() {
    assert_eq!(read_pem(b"").unwrap_err(), BundleError::Empty);
    let good = to_pem([&everything()]);
    let problem = |text: &str| read_pem(text.as_bytes()).unwrap_err().to_string();
    let bad = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    assert!(problem(&format!("{good}{bad}")).starts_with("certificate 2 cannot be read: "));
    let base64 = "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n";
    assert_eq!(
        problem(&format!("{good}{good}{base64}")),
        "certificate 3 cannot be read: it is not base64"
    );
    assert_eq!(
        problem(&good[..good.len() - 30]),
        "certificate 1 cannot be read: a block has no END line"
    );
}

#[test]
fn reads_bundles_up_to_the_bounds_and_refuses_larger_ones_at_once() {
    let one = to_pem([&everything()]);
    assert_eq!(read_pem(one.repeat(100).as_bytes()).unwrap().len(), 100);
    assert_eq!(
        read_pem(one.repeat(101).as_bytes())
            .unwrap_err()
            .to_string(),
        "it is too large: more than 100 certificates"
    );
    let started = Instant::now();
    let small = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".repeat(10_000);
    assert_eq!(
        read_pem(small.as_bytes()).unwrap_err().to_string(),
        "it is too large: more than 100 certificates"
    );
    let long = vec![b'-'; MAX_PEM_BYTES + 1];
    assert_eq!(
        read_pem(&long).unwrap_err().to_string(),
        "it is too large: 1048577 bytes, 1048576 are allowed"
    );
    assert_eq!(read_pem(&long[1..]).unwrap_err(), BundleError::Empty);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn builds_from_the_leaf_to_a_self_signed_top_out_of_any_order() {
    let top = root(&ca("root"));
    let middle = below(&top, &ca("middle"));
    let last = below(&middle, &ca("last"));
    let stranger = root(&ca("root"));
    let leaf = signed(&last, &leaf(&["example.com"]), &key()).unwrap();
    let pool = [
        stranger.certificate(),
        top.certificate(),
        last.certificate(),
        middle.certificate(),
    ]
    .map(Clone::clone);
    let chain = build(&leaf, &pool);
    assert_eq!(shown(&chain), ["example.com", "last", "middle", "root"]);
    assert_eq!(chain[3], *top.certificate());
    assert_eq!(
        shown(&build(&leaf, &pool[..3])),
        ["example.com", "last"],
        "middle is not known"
    );
    assert_eq!(shown(&build(top.certificate(), &pool)), ["root"]);
    assert_eq!(shown(&build(&leaf, &[])), ["example.com"]);
}

/// A CA certificate for an existing key.
fn for_key(authority: &Authority, profile: &Profile, key: &PrivateKey) -> Facts {
    signed(authority, profile, key).unwrap()
}

#[test]
fn prefers_cas_then_the_one_valid_longest_then_the_first_of_the_pool() {
    let (key, other_top) = (key(), root(&ca("other")));
    let lasting = |days, is_ca| Profile {
        lifetime_seconds: days * DAY,
        is_ca,
        ..ca("ca")
    };
    let short = self_signed(&lasting(100, true), &key);
    let long = for_key(&other_top, &lasting(200, true), &key);
    let no_ca = self_signed(&lasting(300, false), &key);
    let twin = self_signed(&lasting(100, true), &key);
    let leaf = signed(
        &authority(&[&short], &key),
        &leaf(&["example.com"]),
        &PrivateKey::generate(crate::pki::KeySpec::Ed25519).unwrap(),
    )
    .unwrap();
    let next = |pool: &[&Facts]| {
        build(
            &leaf,
            &pool
                .iter()
                .map(|facts| (*facts).clone())
                .collect::<Vec<_>>(),
        )[1]
        .clone()
    };
    assert_eq!(next(&[&no_ca, &short, &long]), long);
    assert_eq!(next(&[&no_ca, &short]), short);
    assert_eq!(next(&[&no_ca]), no_ca);
    assert_eq!(next(&[&short, &twin]), short);
    assert_eq!(next(&[&twin, &short]), twin);
}

#[test]
fn two_cas_that_signed_each_other_end_in_a_chain_without_repetition() {
    let (a, b) = (root(&ca("a")), root(&ca("b")));
    let a_by_b = for_key(&b, &ca("a"), &a.key);
    let b_by_a = for_key(&a, &ca("b"), &b.key);
    let leaf = signed(&a, &leaf(&["example.com"]), &key()).unwrap();
    let chain = build(&leaf, &[a_by_b, b_by_a]);
    assert_eq!(shown(&chain), ["example.com", "a", "b"]);
}

#[test]
fn no_chain_is_longer_than_its_bound() {
    let mut authorities = vec![root(&ca("0"))];
    for depth in 1..12 {
        let next = below(authorities.last().unwrap(), &ca(&depth.to_string()));
        authorities.push(next);
    }
    let pool: Vec<Facts> = authorities
        .iter()
        .map(|authority| authority.certificate().clone())
        .collect();
    assert_eq!(build(&pool[11], &pool).len(), MAX_CHAIN);
}

#[test]
fn a_pair_is_right_only_if_everything_about_it_is() {
    let ca = root(&ca("ca"));
    let (profile, key) = (leaf(&["a.example", "b.example"]), key());
    let leaf_facts = signed(&ca, &profile, &key).unwrap();
    let chain = [leaf_facts.clone(), ca.certificate().clone()];
    let check = |profile: &Profile, key: &PublicKey, chain: &[Facts], now: &str| {
        check_pair(profile, key, chain, at(now))
    };
    let noon = "2026-11-23T12:00:00Z";
    assert_eq!(check(&profile, key.public(), &chain, noon), Ok(()));
    assert_eq!(check(&profile, key.public(), &chain[..1], noon), Ok(()));
    assert_eq!(
        check(&profile, key.public(), &[], noon),
        Err(PairProblem::Empty)
    );
    assert_eq!(
        check(&profile, ca.key.public(), &chain, noon),
        Err(PairProblem::KeyDoesNotFit)
    );
    assert_eq!(
        check(
            &leaf(&["a.example", "c.example"]),
            key.public(),
            &chain,
            noon
        ),
        Err(PairProblem::MissingNames(vec!["DNS:c.example".to_owned()]))
    );
    assert_eq!(
        check(&leaf(&["a.example"]), key.public(), &chain, noon),
        Err(PairProblem::ExtraNames(vec!["DNS:b.example".to_owned()]))
    );
    let stranger = root(&crate::pki::testing::ca("ca"));
    assert_eq!(
        check(
            &profile,
            key.public(),
            &[leaf_facts, stranger.certificate().clone()],
            noon
        ),
        Err(PairProblem::BrokenChain { position: 1 })
    );
}

#[test]
fn a_pair_is_valid_from_an_hour_before_its_beginning_through_its_last_second() {
    let key = key();
    let profile = leaf(&["example.com"]);
    let certificate = self_signed(&profile, &key);
    let (not_before, not_after) = (at("2026-11-23T10:00:00Z"), at("2027-02-21T10:00:00Z"));
    assert_eq!(
        (certificate.not_before, certificate.not_after),
        (not_before, not_after)
    );
    let check = |now| {
        check_pair(
            &profile,
            key.public(),
            std::slice::from_ref(&certificate),
            at(now),
        )
    };
    assert_eq!(
        check("2026-11-23T08:59:59Z"),
        Err(PairProblem::NotYetValid {
            position: 1,
            not_before
        })
    );
    assert_eq!(check("2026-11-23T09:00:00Z"), Ok(()));
    assert_eq!(check("2027-02-21T10:00:00.9Z"), Ok(()));
    assert_eq!(
        check("2027-02-21T10:00:01Z"),
        Err(PairProblem::Expired {
            position: 1,
            not_after
        })
    );
}

#[test]
fn extra_names_are_the_last_problem_named() {
    let key = key();
    let certificate = self_signed(&leaf(&["example.com", "extra.example"]), &key);
    let chain = [certificate];
    let asked = leaf(&["example.com"]);
    let problem = |now| check_pair(&asked, key.public(), &chain, at(now)).unwrap_err();
    assert!(matches!(
        problem("2026-12-01T00:00:00Z"),
        PairProblem::ExtraNames(_)
    ));
    assert!(matches!(
        problem("2028-12-01T00:00:00Z"),
        PairProblem::Expired { .. }
    ));
}
