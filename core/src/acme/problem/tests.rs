use serde_json::{Value, json};

use super::*;
use crate::acme::wire::Identifier;

fn problem(value: &Value) -> Problem {
    serde_json::from_value(value.clone()).unwrap()
}

fn of_kind(kind: &str, detail: &str) -> Problem {
    problem(&json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail }))
}

fn now() -> Timestamp {
    "2026-11-06T08:00:00Z".parse().unwrap()
}

fn answer(status: u16, problem: &Problem) -> Meaning {
    Meaning::of_answer(now(), status, problem, None)
}

#[test]
fn each_kind_of_rfc_8555_has_a_meaning_and_a_pace() {
    for (kind, expected, pace) in [
        ("accountDoesNotExist", Meaning::AccountGone, Pace::Soon),
        ("alreadyRevoked", Meaning::AlreadyRevoked, Pace::AtOnce),
        ("alreadyReplaced", Meaning::AlreadyReplaced, Pace::AtOnce),
        ("badCSR", Meaning::BadRequest, Pace::Slow),
        ("badNonce", Meaning::BadNonce, Pace::AtOnce),
        ("badPublicKey", Meaning::BadRequest, Pace::Slow),
        ("badRevocationReason", Meaning::Permanent, Pace::Slow),
        ("badSignatureAlgorithm", Meaning::BadRequest, Pace::Slow),
        ("caa", Meaning::Caa, Pace::Slow),
        ("connection", Meaning::Connection, Pace::Slow),
        ("dns", Meaning::Dns, Pace::Slow),
        (
            "externalAccountRequired",
            Meaning::ExternalAccountRequired,
            Pace::Slow,
        ),
        ("incorrectResponse", Meaning::WrongAnswer, Pace::Slow),
        ("invalidContact", Meaning::BadContact, Pace::Slow),
        ("invalidProfile", Meaning::InvalidProfile, Pace::Slow),
        ("malformed", Meaning::Permanent, Pace::Slow),
        ("orderNotReady", Meaning::OrderNotReady, Pace::AtOnce),
        (
            "rateLimited",
            Meaning::RateLimited {
                scope: Scope::Names,
                until: None,
            },
            Pace::Soon,
        ),
        (
            "rejectedIdentifier",
            Meaning::RejectedIdentifier,
            Pace::Slow,
        ),
        (
            "serverInternal",
            Meaning::Transient { until: None },
            Pace::Soon,
        ),
        ("tls", Meaning::Tls, Pace::Slow),
        ("unauthorized", Meaning::Permanent, Pace::Slow),
        ("unsupportedContact", Meaning::BadContact, Pace::Slow),
        (
            "unsupportedIdentifier",
            Meaning::RejectedIdentifier,
            Pace::Slow,
        ),
        (
            "userActionRequired",
            Meaning::UserActionRequired { url: None },
            Pace::Slow,
        ),
    ] {
        let meaning = answer(400, &of_kind(kind, ""));
        assert_eq!((&meaning, meaning.pace()), (&expected, pace), "{kind}");
    }
}

#[test]
fn unauthorized_depends_on_what_it_is_about() {
    let deactivated = of_kind(
        "unauthorized",
        "Account is not valid, has status \"deactivated\"",
    );
    assert_eq!(answer(403, &deactivated), Meaning::AccountClosed);
    let words = describe(&Meaning::AccountClosed, &deactivated);
    assert!(words.ends_with(CLOSED), "{words}");
    let wrong = of_kind(
        "unauthorized",
        "192.0.2.1: Invalid response from http://a.example/...: 404",
    );
    assert_eq!(answer(403, &wrong), Meaning::Permanent);
    assert_eq!(Meaning::of_validation(&wrong), Meaning::WrongAnswer);
}

#[test]
fn a_status_decides_where_the_kind_says_nothing() {
    let html = problem(&json!({}));
    for (status, transient) in [
        (400, false),
        (403, false),
        (404, false),
        (408, true),
        (500, true),
        (502, true),
        (503, true),
        (504, true),
    ] {
        assert_eq!(
            answer(status, &html).pace() == Pace::Soon,
            transient,
            "{status}"
        );
    }
    assert_eq!(
        Meaning::of_answer(now(), 429, &html, Some("60")),
        Meaning::RateLimited {
            scope: Scope::Names,
            until: Some("2026-11-06T08:01:00Z".parse().unwrap()),
        }
    );
    // A status does not make a malformed request a good one.
    assert_eq!(answer(503, &of_kind("malformed", "")), Meaning::Permanent);
}

#[test]
fn the_header_goes_before_the_text() {
    let limited = of_kind(
        "rateLimited",
        "too many new orders (300) from this account in the last 3h0m0s, retry after 2026-11-06 10:00:00 UTC",
    );
    for (header, until) in [
        (None, "2026-11-06T10:00:00Z"),
        (Some("60"), "2026-11-06T08:01:00Z"),
        (Some("nonsense"), "2026-11-06T10:00:00Z"),
    ] {
        let meaning = Meaning::of_answer(now(), 429, &limited, header);
        assert_eq!(
            meaning,
            Meaning::RateLimited {
                scope: Scope::Account,
                until: Some(until.parse().unwrap()),
            }
        );
        assert_eq!(meaning.until(), Some(until.parse().unwrap()));
    }
    let busy = of_kind("rateLimited", "Service busy; retry later.");
    assert_eq!(
        Meaning::of_answer(now(), 503, &busy, Some("30")),
        Meaning::Transient {
            until: Some("2026-11-06T08:00:30Z".parse().unwrap())
        }
    );
}

#[test]
fn of_several_parts_the_one_that_takes_longest_decides() {
    let compound = |kind: &str, parts: &[Problem]| Problem {
        subproblems: parts.to_vec(),
        ..of_kind(kind, "Errors during validation")
    };
    let (internal, caa) = (of_kind("serverInternal", ""), of_kind("caa", ""));
    assert_eq!(
        Meaning::of_validation(&compound("compound", &[internal.clone(), caa.clone()])),
        Meaning::Caa
    );
    assert_eq!(
        answer(
            400,
            &compound("malformed", &[caa.clone(), internal.clone()])
        ),
        Meaning::Caa
    );
    assert_eq!(
        answer(
            400,
            &compound("rejectedIdentifier", std::slice::from_ref(&internal))
        ),
        Meaning::RejectedIdentifier
    );
    // Parts of parts are not followed: a problem nested without end costs nothing.
    let mut nested = compound("compound", &[caa]);
    for _ in 0..50 {
        nested = compound("compound", &[nested]);
    }
    assert_eq!(Meaning::of_validation(&nested), Meaning::Permanent);
}

#[test]
fn waits_double_up_to_their_bound() {
    let seconds = |pace: Pace, failures| pace.wait(failures).as_secs();
    assert_eq!(seconds(Pace::AtOnce, 5), 0);
    for (failures, soon, slow) in [
        (0, 5, 900),
        (1, 5, 900),
        (2, 10, 1800),
        (3, 20, 3600),
        (5, 80, 14_400),
        (6, 160, 21_600),
        (u32::MAX, 300, 21_600),
    ] {
        assert_eq!(seconds(Pace::Soon, failures), soon, "{failures}");
        assert_eq!(seconds(Pace::Slow, failures), slow, "{failures}");
    }
}

#[test]
fn a_failed_validation_says_which_name_what_was_seen_and_what_to_do() {
    let connection = of_kind(
        "connection",
        "192.0.2.1: Fetching http://a.example/.well-known/acme-challenge/x:\n Timeout during connect (likely firewall problem)",
    );
    let words = describe_validation(
        &Identifier::Dns("a.example".to_owned()),
        "http-01",
        &connection,
    );
    assert_eq!(
        words,
        "the CA looked for the proof that a.example is yours, by http-01, and says: \"192.0.2.1: Fetching \
         http://a.example/.well-known/acme-challenge/x: Timeout during connect (likely firewall problem)\" (connection). \
         Check that port 80 of each address of the name leads to this cluster, through firewalls too; an AAAA record that \
         leads nowhere is enough to fail."
    );
}

#[test]
fn a_refused_request_tells_its_parts_by_name() {
    let part = |name: &str| {
        json!({
            "type": "urn:ietf:params:acme:error:rejectedIdentifier",
            "detail": "forbidden by policy",
            "identifier": { "type": "dns", "value": name },
        })
    };
    let parts: Vec<_> = (0..8).map(|n| part(&format!("{n}.example"))).collect();
    let refused = problem(&json!({
        "type": "urn:ietf:params:acme:error:malformed", "detail": "some names are refused", "subproblems": parts,
    }));
    let words = describe(&answer(400, &refused), &refused);
    assert!(words.starts_with("the CA refused: \"some names are refused\" (malformed); 0.example: \"forbidden by policy\" (rejectedIdentifier); 1.example"), "{words}");
    assert!(
        words.contains("4.example") && !words.contains("5.example"),
        "{words}"
    );
    assert!(
        words.contains("; and 3 more. Leave the name out"),
        "{words}"
    );
}

#[test]
fn whatever_a_ca_says_the_words_are_bounded_and_plain() {
    let hostile = "\u{1b}[31mred\r\nSet-Cookie: x\u{202e}\u{0}ä".repeat(10_000);
    let parts: Vec<_> = (0..200)
        .map(|_| json!({ "type": hostile, "detail": hostile, "identifier": { "type": "dns", "value": hostile } }))
        .collect();
    let problem = problem(&json!({ "type": hostile, "detail": hostile, "subproblems": parts }));
    let identifier = Identifier::Dns("a.example".to_owned());
    for words in [
        describe(&answer(400, &problem), &problem),
        describe_validation(&identifier, &hostile, &problem),
    ] {
        assert!(words.len() <= MAX_WORDS, "{}", words.len());
        assert!(!words.contains(|c: char| c.is_control() || c == '\u{202e}'));
    }
    assert!(plain(&hostile, MAX_DETAIL).len() <= MAX_DETAIL + '…'.len_utf8());
    assert_eq!(plain("  a \n\t b  ", 64), "a b");
    assert_eq!(plain("äöü", 4), "äö…");
}

#[test]
fn a_page_to_visit_is_found_in_the_text() {
    let terms = of_kind(
        "userActionRequired",
        "Terms of service have changed: see <https://ca.example/terms/v2>.",
    );
    assert_eq!(
        answer(403, &terms),
        Meaning::UserActionRequired {
            url: Some("https://ca.example/terms/v2".to_owned())
        }
    );
    for text in ["", "see http://ca.example", "https://", "https:// x"] {
        assert_eq!(words::link(text), None, "{text}");
    }
}
