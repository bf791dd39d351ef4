//! What Go and a linter make of each kind of certificate that a spec can ask for.
//!
//! Each file in `cases` has a spec, who signs, and what `crypto/x509` must read from what is issued: written down by
//! hand from the spec, not computed by the code under test. What the linter (zlint) finds is either mended or stands in
//! `accepted.yaml` with the reason.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a whole crate of tests, of which clippy only knows the #[test] functions"
)]

mod case;
mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::case::{Case, Issued, NOW};
use crate::reader::Answer;

/// A finding of the linter that stands, and why.
#[derive(Deserialize)]
struct Accepted {
    finding: String,
    /// The cases that have it.
    cases: BTreeSet<String>,
    reason: String,
}

#[test]
fn go_reads_what_was_asked_for() {
    for (case, answer) in answers() {
        let mut expected = common(case);
        expected.extend(case.says.clone());
        // One that is null is not there.
        expected.retain(|_, value| !value.is_null());
        assert_eq!(
            Value::from(answer.certificate.clone()),
            Value::from(expected),
            "{}",
            case.name
        );
    }
}

#[test]
fn go_accepts_each_chain() {
    for (case, answer) in answers() {
        assert_eq!(answer.refused, case.refused, "{}", case.name);
        if case.refused.is_some() {
            continue;
        }
        let subject = answer.certificate.get("subject");
        let subject = subject.and_then(Value::as_str).unwrap_or_default();
        let above = case.signer.above();
        let chain: Vec<&str> = std::iter::once(subject)
            .chain(above.iter().copied())
            .collect();
        assert_eq!(answer.chain, chain, "{}", case.name);
    }
}

#[test]
fn go_refuses_a_chain_that_lacks_a_part_or_has_expired() {
    let case = case::all()
        .into_iter()
        .find(|case| case.name == "below-two-cas")
        .unwrap();
    let Issued { chain, top } = case.issue();
    let alone = reader::question(&chain[..1], &top, NOW);
    let later = reader::question(&chain, &top, "2027-02-01T00:00:00Z");
    let answers = reader::ask(&[alone, later]);
    let refused: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.refused.unwrap())
        .collect();
    assert!(refused[0].contains("unknown authority"), "{}", refused[0]);
    assert!(refused[1].contains("expired"), "{}", refused[1]);
}

#[test]
fn what_the_linter_finds_is_explained() {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (case, answer) in answers() {
        for finding in &answer.findings {
            found
                .entry(finding.clone())
                .or_default()
                .insert(case.name.clone());
        }
    }
    let accepted: Vec<Accepted> = serde_yaml::from_str(include_str!("accepted.yaml")).unwrap();
    assert!(accepted.iter().all(|accepted| accepted.reason.len() > 20));
    let accepted: BTreeMap<_, _> = accepted
        .into_iter()
        .map(|accepted| (accepted.finding, accepted.cases))
        .collect();
    // A finding that is gone must go from the list too.
    assert_eq!(found, accepted);
}

/// Every release's golden Secrets are of these kinds: each has a case of the same name here.
#[test]
fn every_golden_secret_is_of_a_kind_that_is_read_here() {
    let cases: BTreeSet<String> = case::all().into_iter().map(|case| case.name).collect();
    let golden = case::files("tests/golden/v0.1.0")
        .into_iter()
        .map(|(name, _)| name);
    let missing: Vec<_> = golden.filter(|name| !cases.contains(name)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// Each case and what is said of it; asked once.
fn answers() -> &'static [(Case, Answer)] {
    static ANSWERS: OnceLock<Vec<(Case, Answer)>> = OnceLock::new();
    ANSWERS.get_or_init(asked)
}

fn asked() -> Vec<(Case, Answer)> {
    let cases = case::all();
    assert!(cases.len() >= 25, "only {} cases were found", cases.len());
    let questions: Vec<Value> = cases
        .iter()
        .map(|case| {
            let Issued { chain, top } = case.issue();
            reader::question(&chain, &top, NOW)
        })
        .collect();
    let answers = reader::ask(&questions);
    assert_eq!(answers.len(), cases.len());
    cases.into_iter().zip(answers).collect()
}

/// What most certificates say; a case names what it has otherwise.
fn common(case: &Case) -> Map<String, Value> {
    let mut says = json!({
        "version": 3,
        "notBefore": NOW,
        // 90 days.
        "notAfter": "2027-01-31T00:00:00Z",
        "key": "ECDSA P-256",
        "signature": "ECDSA-SHA256",
        "keyUsage": ["digitalSignature"],
        "isCA": false,
        "issuer": case.signer.above().first(),
    });
    says.as_object_mut().map(std::mem::take).unwrap()
}
