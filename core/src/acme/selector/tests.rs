use serde_json::{Value, json};

use super::*;

fn solvers(values: &Value) -> Vec<Solver> {
    serde_json::from_value(values.clone()).unwrap()
}

fn dns(name: &str) -> Identifier {
    Identifier::Dns(name.to_owned())
}

fn ip(address: &str) -> Identifier {
    Identifier::Ip(address.parse().unwrap())
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Which solver is chosen, by its place.
fn chosen(solvers: &[Solver], carried: &[(&str, &str)], identifier: &Identifier) -> usize {
    let choice = choose(solvers, &labels(carried), identifier, None).unwrap();
    solvers
        .iter()
        .position(|solver| std::ptr::eq(solver, choice.solver))
        .unwrap()
}

#[test]
fn the_more_it_says_of_a_name_the_better_a_solver_fits() {
    let solvers = solvers(&json!([
        { "http01": {} },
        { "http01": {}, "selector": {} },
        { "http01": {}, "selector": { "matchLabels": { "team": "web" } } },
        { "http01": {}, "selector": { "matchLabels": { "team": "web", "stage": "live" } } },
        { "http01": {}, "selector": { "dnsZones": ["com", "example.com"] } },
        { "http01": {}, "selector": { "dnsZones": ["shop.example.com"] } },
        { "http01": {}, "selector": { "dnsZones": ["example.com"], "matchLabels": { "team": "web" } } },
        { "http01": {}, "selector": { "dnsNames": ["www.example.com", "a.shop.example.com"] } },
        { "http01": {}, "selector": { "dnsNames": ["www.example.com"], "dnsZones": ["example.com"] } },
    ]));
    let all = [("team", "web"), ("stage", "live")];
    for (name, carried, expected) in [
        // Nothing said: the first.
        ("other.example", &[][..], 0),
        ("other.example", &[("team", "mail")], 0),
        // Labels.
        ("other.example", &all[..1], 2),
        ("other.example", &all, 3),
        // Zones before labels, the longest before all others, labels between equals.
        ("a.example.com", &[], 4),
        ("example.com", &[], 4),
        ("a.example.com", &all, 6),
        ("b.shop.example.com", &all, 5),
        // A zone is not just the end of a text.
        ("myexample.com", &[], 4),
        ("myshop.example.com", &[], 4),
        // Names before everything, zones between equals.
        ("a.shop.example.com", &all, 7),
        ("www.example.com", &[], 8),
    ] {
        assert_eq!(
            chosen(&solvers, carried, &dns(name)),
            expected,
            "{name} {carried:?}"
        );
    }
    assert_eq!(within("myexample.com", "example.com"), None);
    assert_eq!(within("a.example.com", "example.com"), Some(2));
}

#[test]
fn addresses_fit_only_solvers_that_name_no_names() {
    let solvers = solvers(&json!([
        { "http01": {}, "selector": { "dnsNames": ["192.0.2.1"] } },
        { "http01": {}, "selector": { "dnsZones": ["2.1"] } },
        { "http01": {}, "selector": { "matchLabels": { "team": "web" } } },
    ]));
    assert_eq!(chosen(&solvers, &[("team", "web")], &ip("192.0.2.1")), 2);
    assert_eq!(
        choose(&solvers, &labels(&[]), &ip("192.0.2.1"), None),
        Err(NoSolver::NotSelected {
            name: "192.0.2.1".to_owned()
        })
    );
}

#[test]
fn international_names_are_selected_as_users_write_them() {
    let solvers = solvers(&json!([
        { "http01": {} },
        { "http01": {}, "selector": { "dnsZones": ["Bücher.example"] } },
        { "http01": {}, "selector": { "dnsNames": ["WWW.bücher.example"] } },
    ]));
    assert_eq!(chosen(&solvers, &[], &dns("a.xn--bcher-kva.example")), 1);
    assert_eq!(chosen(&solvers, &[], &dns("www.xn--bcher-kva.example")), 2);
}

#[test]
fn a_wildcard_goes_to_a_solver_that_can_prove_it() {
    let both = solvers(&json!([
        { "http01": {}, "selector": { "dnsNames": ["*.example.com"] } },
        { "dns01": {} },
    ]));
    let wildcard = dns("*.example.com");
    let choice = choose(&both, &labels(&[]), &wildcard, None).unwrap();
    assert_eq!(choice.kind, ChallengeKind::Dns01);
    let refused = choose(&both[..1], &labels(&[]), &wildcard, None).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "*.example.com is a wildcard, which HTTP-01 can't prove: write the hosts one by one, or use an issuer with a solver for DNS-01"
    );
    let refused = choose(&both[1..], &labels(&[]), &ip("::1"), None);
    assert_eq!(
        refused,
        Err(NoSolver::Address {
            name: "::1".to_owned()
        })
    );
}

#[test]
fn only_what_the_ca_offers_is_chosen() {
    let solvers = solvers(&json!([
        { "http01": {}, "selector": { "dnsNames": ["a.example"] } },
        { "dns01": {} },
    ]));
    let of = |offered: &[&str]| {
        choose(&solvers, &labels(&[]), &dns("a.example"), Some(offered)).map(|choice| choice.kind)
    };
    assert_eq!(of(&["dns-01", "http-01"]), Ok(ChallengeKind::Http01));
    assert_eq!(of(&["dns-01"]), Ok(ChallengeKind::Dns01));
    assert_eq!(
        of(&["tls-alpn-01", "strange\n-kind"])
            .unwrap_err()
            .to_string(),
        "the CA takes tls-alpn-01, strange -kind for a.example, and the issuer's solvers that are for it do http-01, dns-01"
    );
}

#[test]
fn without_solvers_it_says_where_to_write_one() {
    let refused = choose(&[], &labels(&[]), &dns("a.example"), None).unwrap_err();
    assert!(
        refused.to_string().contains("spec.acme.solvers"),
        "{refused}"
    );
}

#[test]
fn of_several_names_the_first_that_nothing_proves_is_named() {
    let solvers = solvers(&json!([{ "http01": {} }]));
    let [www, wildcard] = ["www.example.com", "*.example.com"].map(dns);
    let ask = |identifiers: &[&Identifier]| {
        all_can_be_proven(&solvers, &labels(&[]), identifiers.iter().copied())
    };
    assert_eq!(ask(&[&www, &ip("192.0.2.1")]), Ok(()));
    assert_eq!(
        ask(&[&www, &wildcard]),
        Err(NoSolver::Wildcard {
            name: "*.example.com".to_owned()
        })
    );
    // The CA may want nothing shown.
    assert_eq!(all_can_be_proven(&[], &labels(&[]), [&wildcard]), Ok(()));
}
