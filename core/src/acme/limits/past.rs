//! What statuses tell of an account's past.
//!
//! A status tells of what was done last, not of all that was done: what is rebuilt from it is a lower bound, and a CA's own
//! 429 corrects it. Whoever may write statuses could make things up, so nothing said there holds up anybody for longer
//! than an hour.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::super::problem::Scope;
use super::super::wire::Identifier;
use super::{Event, MAX_UNSAID, later};
use crate::api::{CertificateStatus, ConditionStatus, condition};
use crate::plan::status::ISSUING;

/// A certificate that was stored more than this after its beginning was not ordered just before; CAs date them back by an
/// hour.
const DATED_BACK: SignedDuration = SignedDuration::from_hours(2);

/// The reasons of failed validations, as a status has them.
const NOT_SHOWN: [&str; 5] = [
    "WrongAnswer",
    "ConnectionProblem",
    "DNSProblem",
    "TLSProblem",
    "CAAForbids",
];

/// What a Certificate's status tells of what its account was used for, up to `now`:
///
/// - an order that is under way was made when it was begun;
/// - a certificate that is held was ordered about when it was stored, which is when `Issuing` came to rest;
/// - a try that failed at showing names had an order, and the names are those that its message quotes;
/// - a 429 is counted against the Certificate's own names, and for an hour at most: whatever else it held has to be
///   heard again.
pub fn past(
    now: Timestamp,
    status: &CertificateStatus,
    identifiers: &BTreeSet<Identifier>,
) -> Vec<(Timestamp, Event)> {
    let mut past = Vec::new();
    if let Some(order) = &status.order
        && order.url.is_some()
    {
        past.push((order.started_at.0, Event::Ordered));
    }
    let stored = condition::find(&status.conditions, ISSUING)
        .filter(|issuing| issuing.status == ConditionStatus::False && issuing.reason == "UpToDate")
        .map(|issuing| issuing.last_transition_time.0);
    let begins = status.not_before.as_ref().map(|begins| begins.0);
    if let (Some(stored), Some(begins)) = (stored, begins)
        && stored.duration_since(begins).abs() <= DATED_BACK
    {
        past.push((stored, Event::Ordered));
    }
    if let Some(failure) = &status.last_failure {
        let at = failure.time.0;
        if NOT_SHOWN.contains(&failure.reason.as_str()) {
            past.push((at, Event::Ordered));
            let quoted = |identifier: &&Identifier| {
                let name = super::base(identifier);
                failure
                    .message
                    .contains(&format!("proof that {name} is yours"))
            };
            let failed = identifiers.iter().filter(quoted);
            past.extend(failed.map(|identifier| (at, Event::Failed(identifier.clone()))));
        } else if failure.reason == "RateLimited" {
            let until = failure.next_try.0.min(later(now, MAX_UNSAID));
            past.push((
                at,
                Event::Limited {
                    identifiers: identifiers.clone(),
                    scope: Scope::Names,
                    until: Some(until),
                    // It may have been.
                    replaces: true,
                },
            ));
        }
    }
    past.retain(|(at, _)| *at <= now);
    past
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Budget, Limits, Wish};
    use super::*;

    const NOW: &str = "2026-11-06T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn names(names: &[&str]) -> BTreeSet<Identifier> {
        let dns = |name: &&str| Identifier::Dns((*name).to_owned());
        names.iter().map(dns).collect()
    }

    fn told(status: Value, of: &[&str]) -> Vec<(Timestamp, Event)> {
        past(now(), &serde_json::from_value(status).unwrap(), &names(of))
    }

    fn failure(reason: &str, message: &str, next_try: &str) -> Value {
        json!({ "lastFailure": {
            "reason": reason, "message": message, "attempts": 3, "time": "2026-11-06T11:50:00Z",
            "nextTry": next_try, "attempted": "v1-abc/acme",
        } })
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn orders_are_those_under_way_and_those_that_brought_what_is_held() {
        let order = |url: Option<&str>, started: &str| json!({ "order": { "attempted": "a", "url": url, "startedAt": started } });
        let began = "2026-11-06T11:59:00Z";
        assert_eq!(
            told(order(Some("https://ca.example/1"), began), &[]),
            [(at(began), Event::Ordered)]
        );
        assert_eq!(told(order(None, began), &[]), []);
        let ahead = order(Some("https://ca.example/1"), "2026-11-06T12:00:01Z");
        assert_eq!(told(ahead, &[]), []);

        let stored = |status: &str, reason: &str, begins: &str| {
            json!({ "notBefore": begins, "conditions": [{
                "type": "Issuing", "status": status, "reason": reason, "message": "",
                "lastTransitionTime": "2026-11-06T11:30:00Z",
            }] })
        };
        let dated_back = "2026-11-06T10:30:00Z";
        assert_eq!(
            told(stored("False", "UpToDate", dated_back), &[]),
            [(at("2026-11-06T11:30:00Z"), Event::Ordered)]
        );
        for other in [
            stored("True", "Renewing", dated_back),
            stored("False", "RateLimited", dated_back),
            stored("False", "UpToDate", "2026-10-06T10:30:00Z"),
        ] {
            assert_eq!(told(other, &[]), []);
        }
        assert_eq!(told(json!({}), &["a.example"]), []);
    }

    #[test]
    fn names_that_failed_are_those_that_the_message_quotes() {
        let message =
            "The CA looked for the proof that a.example is yours, by http-01, and says: \"404\".";
        let failed = failure("WrongAnswer", message, "2026-11-06T12:05:00Z");
        let when = at("2026-11-06T11:50:00Z");
        let of = |name: &str| Event::Failed(Identifier::Dns(name.to_owned()));
        assert_eq!(
            told(failed.clone(), &["a.example", "b.example"]),
            [(when, Event::Ordered), (when, of("a.example"))]
        );
        assert_eq!(
            told(failed, &["*.a.example"]),
            [(when, Event::Ordered), (when, of("*.a.example"))]
        );
        let other = failure("Unreachable", message, "2026-11-06T12:05:00Z");
        assert_eq!(told(other, &["a.example"]), []);
    }

    #[test]
    fn what_a_status_says_of_a_limit_holds_its_own_names_and_for_an_hour_at_most() {
        let limited = failure("RateLimited", "", "2036-11-06T12:05:00Z");
        let of = ["a.example.com"];
        let limits = Limits::rebuilt(Budget::default(), told(limited, &of));
        let held = |of: &[&str], at: &str| {
            let identifiers = names(of);
            let wish = Wish {
                identifiers: &identifiers,
                life_left: Some(0.0),
                replaces: false,
            };
            limits.may_order(at.parse().unwrap(), &wish).is_err()
        };
        assert!(held(&of, "2026-11-06T12:59:59Z"));
        assert!(!held(&of, "2026-11-06T13:00:00Z"));
        assert!(!held(&["b.example.com"], NOW));
    }
}
