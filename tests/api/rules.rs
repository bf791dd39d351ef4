//! For each rule an object that is refused with its words, and nothing else, and a neighbour that passes.

use std::collections::BTreeSet;

use certwright_core::api::{Group, schema};
use serde_json::{Map, Value, json};

use crate::cluster::{Kind, control_plane};

mod acme;
mod bounds;
mod fallback;
mod issuers;
mod keys;
mod names;
mod odd_input;
mod rollout;
mod secrets;
mod served_checks;
mod times;

/// One refusal and its neighbour; each spec is given by what differs from the plainest that passes.
struct Case {
    /// What is refused.
    refused: Value,
    /// The field the objection is shown at.
    field: &'static str,
    /// Its words.
    says: &'static str,
    /// What passes.
    passes: Value,
}

fn case(refused: Value, field: &'static str, says: &'static str, passes: Value) -> Case {
    Case {
        refused,
        field,
        says,
        passes,
    }
}

fn issuer_cases() -> Vec<Case> {
    [issuers::cases(), issuers::own(), acme::cases()]
        .into_iter()
        .flatten()
        .collect()
}

fn cluster_issuer_cases() -> Vec<Case> {
    [issuers::cases(), issuers::for_many(), acme::cases()]
        .into_iter()
        .flatten()
        .collect()
}

fn certificate_cases() -> Vec<Case> {
    [
        names::cases(),
        times::cases(),
        keys::cases(),
        secrets::cases(),
        fallback::cases(),
        rollout::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[tokio::test]
async fn every_certificate_rule_refuses_with_its_words_and_lets_the_neighbour_pass() {
    let base =
        json!({ "secretName": "tls", "issuerRef": { "name": "ca" }, "dnsNames": ["example.com"] });
    check("Certificate", &base, &certificate_cases()).await;
}

#[tokio::test]
async fn every_issuer_rule_refuses_with_its_words_and_lets_the_neighbour_pass() {
    check("Issuer", &json!({}), &issuer_cases()).await;
    check("ClusterIssuer", &json!({}), &cluster_issuer_cases()).await;
}

#[tokio::test]
async fn every_served_check_rule_refuses_with_its_words_and_lets_the_neighbour_pass() {
    let base = json!({ "target": "www.example.com:443" });
    check("ServedCheck", &base, &served_checks::cases()).await;
}

#[test]
fn no_rule_is_without_a_case() {
    let group = Group::default();
    for (rules, cases) in [
        (schema::certificate_rules(&group), certificate_cases()),
        (schema::issuer_rules(), issuer_cases()),
        (schema::cluster_issuer_rules(), cluster_issuer_cases()),
        (schema::served_check_rules(), served_checks::cases()),
    ] {
        let tested: BTreeSet<_> = cases
            .iter()
            .map(|case| (pattern(case.field), case.says))
            .collect();
        let missing: Vec<_> = rules
            .iter()
            .filter(|rule| !tested.contains(&(shown_at(rule), rule.message.as_str())))
            .map(|rule| (shown_at(rule), &rule.message))
            .collect();
        assert!(missing.is_empty(), "{missing:#?}");
    }
}

/// Where a rule's message is shown, with `[]` and `{}` for any item and value.
fn shown_at(rule: &schema::Rule) -> String {
    let path = if rule.at.is_empty() {
        "spec".to_owned()
    } else {
        format!("spec.{}", rule.at)
    };
    format!("{path}{}", rule.field.unwrap_or_default())
}

/// `spec.dnsNames[3]` as `spec.dnsNames[]`, `spec.secretTemplate.labels[a]` as `spec.secretTemplate.labels{}`.
fn pattern(field: &str) -> String {
    let mut pattern = String::new();
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('[') {
        let (index, after) = after.split_once(']').unwrap();
        pattern.push_str(before);
        pattern.push_str(if index.bytes().all(|b| b.is_ascii_digit()) {
            "[]"
        } else {
            "{}"
        });
        rest = after;
    }
    pattern + rest
}

async fn check(kind: &'static str, base: &Value, cases: &[Case]) {
    let kind = Kind::new(control_plane().await, &Group::default(), kind);
    let mut wrong = Vec::new();
    for Case {
        refused,
        field,
        says,
        passes,
    } in cases
    {
        let objections = kind.objections(&with(base, refused)).await;
        let expected = objections.len() == 1
            && objections[0].0 == *field
            && objections[0].1.ends_with(&format!(": {says}"));
        if !expected {
            wrong.push(format!(
                "{refused}\n  expected {field}: {says}\n  got {objections:#?}"
            ));
        }
        let objections = kind.objections(&with(base, passes)).await;
        if !objections.is_empty() {
            wrong.push(format!("{passes}\n  should pass, got {objections:#?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// `base` with the fields of `changes` in place of its own; `null` takes a field away.
fn with(base: &Value, changes: &Value) -> Value {
    let mut spec: Map<String, Value> = base.as_object().unwrap().clone();
    for (field, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => spec.remove(field),
            value => spec.insert(field.clone(), value.clone()),
        };
    }
    Value::Object(spec)
}
