//! The examples of RFC 8659 and RFC 8657, and what is said of them.

use super::*;

fn property(text: &str) -> Property {
    let mut parts = text.splitn(3, ' ');
    let mut next = || parts.next().unwrap();
    Property {
        critical: next() == "128",
        tag: next().to_owned(),
        value: next().to_owned(),
    }
}

const ACCOUNT: &str = "https://ca1.example.net/account/1";

/// Whether a CA that is known by this name may sign, by these records.
fn may_sign(ca: &str, name: &str, records: &[&str]) -> bool {
    stop(ca, name, records).is_none()
}

fn stop(ca: &str, name: &str, records: &[&str]) -> Option<Stop> {
    let identities = [ca.to_owned()];
    let signer = Signer {
        identities: &identities,
        account: ACCOUNT,
        kind: Some(ChallengeKind::Http01),
    };
    let properties: Vec<_> = records.iter().map(|text| property(text)).collect();
    excludes(name, "example.com", &properties, &signer)
}

#[test]
fn records_are_looked_for_from_the_name_up_to_its_top_level_domain() {
    let climbed = |name| climb(name).collect::<Vec<_>>();
    assert_eq!(
        climbed("x.y.example.com"),
        ["x.y.example.com", "y.example.com", "example.com", "com"]
    );
    assert_eq!(climbed("*.example.com"), ["example.com", "com"]);
}

#[test]
fn names_that_no_public_server_knows_are_not_asked_for() {
    for (name, public) in [
        ("www.example.com", true),
        ("example.com", true),
        ("xn--bcher-kva.example.org", true),
        ("localhost", false),
        ("web", false),
        ("web.shop.svc.cluster.local", false),
        ("web.corp", false),
        ("web.internal", false),
        ("web.test", false),
        ("web.home.arpa", false),
        (".com", false),
    ] {
        assert_eq!(is_public(name), public, "{name}");
    }
}

#[test]
fn those_that_issue_names_may_sign_and_others_may_not() {
    // Section 4.2.
    let named = ["0 issue ca1.example.net", "0 issue ca2.example.org"];
    assert!(may_sign("ca1.example.net", "www.example.com", &named));
    assert!(may_sign("CA2.example.org", "www.example.com", &named));
    assert!(!may_sign("ca3.example.net", "www.example.com", &named));
    let with_parameters = ["0 issue ca1.example.net; account=230123"];
    assert!(may_sign(
        "ca1.example.net",
        "www.example.com",
        &with_parameters
    ));
}

#[test]
fn an_empty_or_unreadable_issue_lets_nobody_sign() {
    for record in [
        "0 issue ;",
        "0 issue  ",
        "0 issue %%%%%",
        "0 issue ca1.example.net; account",
    ] {
        assert!(
            !may_sign("ca1.example.net", "www.example.com", &[record]),
            "{record}"
        );
    }
    // One that can be read beside it counts.
    let both = ["0 issue ;", "0 ISSUE ca1.example.net"];
    assert!(may_sign("ca1.example.net", "www.example.com", &both));
}

#[test]
fn records_without_issue_leave_everybody_free() {
    let iodef = ["0 iodef mailto:security@example.com"];
    for name in ["www.example.com", "*.example.com"] {
        assert!(may_sign("ca1.example.net", name, &iodef), "{name}");
        assert!(may_sign("ca1.example.net", name, &[]), "{name}");
    }
    let wild_only = ["0 issuewild ca2.example.org"];
    assert!(may_sign("ca1.example.net", "www.example.com", &wild_only));
}

#[test]
fn for_a_wildcard_issuewild_counts_before_issue() {
    // Section 4.3.
    let both = ["0 issue ca1.example.net", "0 issuewild ca2.example.org"];
    assert!(may_sign("ca1.example.net", "www.example.com", &both));
    assert!(!may_sign("ca1.example.net", "*.example.com", &both));
    assert!(may_sign("ca2.example.org", "*.example.com", &both));
    let none = ["0 issue ca1.example.net", "0 issuewild ;"];
    assert!(!may_sign("ca1.example.net", "*.example.com", &none));
    let issue_only = ["0 issue ca1.example.net"];
    assert!(may_sign("ca1.example.net", "*.example.com", &issue_only));
}

#[test]
fn what_is_critical_and_unknown_lets_nobody_sign() {
    // Section 4.5.
    let critical = ["0 issue ca1.example.net", "128 tbs Unknown"];
    assert_eq!(
        stop("ca1.example.net", "www.example.com", &critical)
            .unwrap()
            .to_string(),
        "A CAA record of example.com is critical and of a kind that no CA knows, \"tbs\", so that none may sign for \
         www.example.com. Correct or remove it"
    );
    let known = ["128 issue ca1.example.net", "0 tbs Unknown"];
    assert!(may_sign("ca1.example.net", "www.example.com", &known));
}

#[test]
fn account_and_kind_of_proof_count_where_they_are_named() {
    // RFC 8657 section 3 and 4.
    for (record, allows) in [
        (
            "0 issue ca1.example.net; accounturi=https://ca1.example.net/account/1",
            true,
        ),
        (
            "0 issue ca1.example.net; accounturi=https://ca1.example.net/account/2",
            false,
        ),
        (
            "0 issue ca1.example.net; accounturi=https://ca1.example.net/account/1; accounturi=https://ca1.example.net/account/2",
            false,
        ),
        (
            "0 issue ca1.example.net; validationmethods=dns-01,http-01",
            true,
        ),
        ("0 issue ca1.example.net; validationmethods=dns-01", false),
        ("0 issue ca1.example.net; validationmethods=", false),
    ] {
        let names = "www.example.com";
        assert_eq!(
            may_sign("ca1.example.net", names, &[record]),
            allows,
            "{record}"
        );
    }
}

#[test]
fn a_ca_that_names_no_identity_is_not_held_against_any_record() {
    let signer = Signer {
        identities: &[],
        account: ACCOUNT,
        kind: None,
    };
    let properties = ["0 issue ca1.example.net", "128 tbs Unknown"].map(property);
    assert_eq!(
        excludes("www.example.com", "example.com", &properties, &signer),
        None
    );
}

#[test]
fn the_words_name_what_was_found_and_the_record_to_add() {
    let said = |name, records: &[&str]| {
        let stop = stop("letsencrypt.org", name, records);
        stop.unwrap().to_string()
    };
    assert_eq!(
        said("www.example.com", &["0 issue ca1.example.net", "0 issue ;"]),
        "CAA records of example.com do not let this CA sign for www.example.com: they say 0 issue \"ca1.example.net\" and \
         0 issue \";\". Add the record example.com. CAA 0 issue \"letsencrypt.org\", or use another issuer"
    );
    assert!(
        said("*.example.com", &["0 issuewild ;"])
            .contains("Add the record example.com. CAA 0 issuewild \"letsencrypt.org\"")
    );
    assert!(
        said(
            "www.example.com",
            &["0 issue letsencrypt.org; accounturi=https://a.example/9"]
        )
        .contains(
            "add the record example.com. CAA 0 issue \"letsencrypt.org; accounturi=https://ca1.example.net/account/1\""
        )
    );
    // Whoever writes the zone does not write our messages.
    let hostile = said(
        "www.example.com",
        &[&format!("0 issue evil\n\u{1b}[2J{}", "x".repeat(5000))],
    );
    assert!(!hostile.contains(['\n', '\u{1b}']), "{hostile}");
    assert!(hostile.len() < 1000, "{hostile}");
    let missing = Stop::NoSuchName {
        name: "www.example.com".to_owned(),
    };
    assert!(
        missing
            .to_string()
            .contains("Add an A or AAAA record for www.example.com.")
    );
}
