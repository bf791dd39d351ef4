use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::json;

use super::*;
use crate::api::condition::{self, Condition, ConditionStatus};
use crate::api::{ServedCheck, ServedCheckStatus};
use crate::pki::testing::{at, ca, key, leaf, root, signed};

const NAME: &str = "www.example.com";

fn now() -> Timestamp {
    at("2026-11-24T10:00:00Z")
}

/// A check of [`NAME`], with this status.
fn check(status: Option<ServedCheckStatus>) -> ServedCheck {
    ServedCheck {
        metadata: ObjectMeta {
            generation: Some(3),
            ..ObjectMeta::default()
        },
        spec: serde_json::from_value(json!({ "target": "www.example.com:443" })).unwrap(),
        status,
    }
}

/// 90 days from 2026-11-23, signed by a root.
fn certificate() -> Facts {
    signed(&root(&ca("Root")), &leaf(&[NAME, "example.com"]), &key()).unwrap()
}

fn seen(leaf: &Facts, faults: Vec<Fault>, standing: Option<Standing>) -> Look {
    Look::Seen(Box::new(Seen {
        name: NAME.to_owned(),
        leaf: leaf.clone(),
        chain_length: 2,
        judgement: Judgement {
            faults,
            ends: leaf.not_after,
        },
        standing,
    }))
}

fn unreached(reason: &'static str, message: &str) -> Look {
    let message = message.to_owned();
    Look::Unreached { reason, message }
}

fn expired(leaf: &Facts) -> Fault {
    Fault::Expired {
        position: 1,
        not_after: leaf.not_after,
    }
}

/// Status and reason of each condition, in order.
fn said<'a>(status: &'a ServedCheckStatus) -> Vec<(&'a str, ConditionStatus, &'a str)> {
    let said = |said: &'a Condition| (said.type_.as_str(), said.status, said.reason.as_str());
    status.conditions.iter().map(said).collect()
}

use ConditionStatus::{False, True, Unknown};

#[test]
fn what_is_without_fault_is_ready_and_says_what_was_shown() {
    let leaf = certificate();
    let look = seen(&leaf, Vec::new(), Some(Standing::Good("http://crl".into())));
    let new = status(now(), &check(None), &look);
    assert_eq!(
        said(&new),
        [
            ("Ready", True, "Valid"),
            ("Reachable", True, "Reached"),
            ("RevocationChecked", True, "NotRevoked"),
        ]
    );
    assert_eq!(new.observed_generation, Some(3));
    assert_eq!(new.not_after, Some(Time(leaf.not_after)));
    assert_eq!(new.faults, []);
    let presented = new.presented.unwrap();
    assert_eq!(presented.issuer, "CN=Root");
    assert_eq!(presented.names, ["example.com", NAME]);
    assert_eq!((presented.name_count, presented.chain_length), (2, 2));
    assert_eq!(presented.fingerprint, leaf.fingerprint.to_string());
}

#[test]
fn the_first_fault_is_the_reason_and_each_is_told_with_its_remedy() {
    let leaf = certificate();
    let revoked = Fault::Revoked {
        at: now(),
        reason: Some("superseded"),
    };
    let faults = vec![Fault::KeyMismatch, expired(&leaf)];
    let mut faults = faults;
    faults.sort();
    let look = seen(&leaf, faults, Some(Standing::Revoked(revoked)));
    let new = status(now(), &check(None), &look);
    assert_eq!(
        said(&new),
        [
            ("Ready", False, "Expired"),
            ("Reachable", True, "Reached"),
            ("RevocationChecked", True, "Revoked"),
        ]
    );
    let codes: Vec<_> = new.faults.iter().map(|fault| fault.code.as_str()).collect();
    assert_eq!(codes, ["expired", "key-mismatch", "revoked"]);
    let message = &new.conditions[0].message;
    for fault in &new.faults {
        assert!(!fault.remedy.is_empty());
        assert!(message.contains(&fault.remedy), "{message}");
    }
    assert!(
        message.starts_with("Certificate 1 expired at "),
        "{message}"
    );
}

#[test]
fn a_look_that_finds_the_same_says_nothing_new() {
    let leaf = certificate();
    let later = now() + SignedDuration::from_hours(1);
    for look in [
        seen(&leaf, Vec::new(), Some(Standing::Unnamed)),
        seen(&leaf, vec![expired(&leaf)], None),
        unreached("Unreachable", "nobody takes a connection."),
    ] {
        let first = status(now(), &check(None), &look);
        assert!(news(None, &first).is_some());
        let again = status(later, &check(Some(first.clone())), &look);
        assert_eq!(again, first);
        assert_eq!(news(Some(&first), &again), None);
    }
}

#[test]
fn the_same_failure_in_other_words_is_nothing_new_but_another_is() {
    let first = unreached("Unreachable", "10.0.0.1: refused.");
    let first = status(now(), &check(None), &first);
    let later = now() + SignedDuration::from_hours(1);
    let other_words = unreached("Unreachable", "10.0.0.2: refused.");
    let held = check(Some(first.clone()));
    assert_eq!(status(later, &held, &other_words), first);
    let slow = status(later, &held, &unreached("TooSlow", "it took too long."));
    assert_eq!(
        said(&slow),
        [
            ("Ready", Unknown, "TooSlow"),
            ("Reachable", False, "TooSlow")
        ]
    );
    // It is unknown as before, since the same moment, and there is a word to tell of.
    assert_eq!(slow.conditions[0].last_transition_time, Time(now()));
    assert_eq!(news(Some(&first), &slow), Some(&slow.conditions[0]));
}

#[test]
fn an_answer_in_other_words_is_nothing_new() {
    let leaf = certificate();
    let standing = |why: &str| Some(Standing::Unknown(why.to_owned()));
    let first = status(now(), &check(None), &seen(&leaf, Vec::new(), standing("a")));
    assert_eq!(said(&first)[0], ("Ready", True, "Valid"));
    assert_eq!(said(&first)[2], ("RevocationChecked", False, "NoAnswer"));
    let held = check(Some(first.clone()));
    let again = status(now(), &held, &seen(&leaf, Vec::new(), standing("b")));
    assert_eq!(again, first);
}

#[test]
fn one_that_is_not_reached_keeps_what_was_shown_and_takes_back_what_was_said() {
    let leaf = certificate();
    let look = seen(&leaf, vec![expired(&leaf)], Some(Standing::Unnamed));
    let held = status(now(), &check(None), &look);
    let away = unreached("Unreachable", "nobody takes a connection.");
    let new = status(now(), &check(Some(held.clone())), &away);
    assert_eq!(
        said(&new),
        [
            ("Ready", Unknown, "Unreachable"),
            ("Reachable", False, "Unreachable"),
        ]
    );
    assert_eq!(new.presented, held.presented);
    assert_eq!(new.not_after, held.not_after);
    assert_eq!(new.faults, []);

    // What another spec was shown is forgotten.
    let mut changed = check(Some(held));
    changed.metadata.generation = Some(4);
    let new = status(now(), &changed, &away);
    assert_eq!((new.presented, new.not_after), (None, None));
    assert_eq!(new.conditions[0].observed_generation, Some(4));
}

#[test]
fn one_that_is_refused_says_only_that() {
    let leaf = certificate();
    let held = status(now(), &check(None), &seen(&leaf, Vec::new(), None));
    let refused = Look::Refused {
        reason: "TargetNotAllowed",
        message: "No.".to_owned(),
    };
    let new = status(now(), &check(Some(held)), &refused);
    assert_eq!(said(&new), [("Ready", False, "TargetNotAllowed")]);
    assert_eq!((new.presented, new.not_after), (None, None));
}

#[test]
fn whatever_a_stranger_writes_fits_the_schema_and_moves_no_cursor() {
    let mut leaf = certificate();
    leaf.names.dns = (0..500)
        .map(|n| format!("{n}.{}", "ä\u{1b}".repeat(2000)))
        .collect();
    leaf.serial = vec![0xff; 200];
    let fault = |n| Fault::MissingIntermediate {
        position: n,
        issuer: "\u{202e}x".repeat(5000),
        found_at: None,
    };
    let why = Standing::Unknown("ü".repeat(5000));
    let look = seen(&leaf, (0..40).map(fault).collect(), Some(why));
    let new = status(now(), &check(None), &look);
    assert_eq!(new.faults.len(), 16);
    let presented = new.presented.unwrap();
    assert_eq!((presented.names.len(), presented.name_count), (20, 500));
    let texts = new
        .faults
        .iter()
        .flat_map(|fault| [&fault.cause, &fault.remedy])
        .chain(&presented.names)
        .chain(new.conditions.iter().map(|said| &said.message));
    for text in texts {
        assert!(text.len() <= 1024, "{}", text.len());
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
    assert!(presented.serial_number.len() <= 64);
}

#[test]
fn checks_are_looked_at_in_turn_over_the_interval_whoever_looks() {
    let hour = SignedDuration::from_hours(1);
    let mut minutes = BTreeSet::new();
    for number in 0..600 {
        let uid = format!("uid-{number}");
        let next = next_look(now(), &uid, hour);
        let wait = next.duration_since(now());
        assert!(wait > SignedDuration::ZERO && wait <= hour, "{wait}");
        minutes.insert(wait.as_secs() / 60);
        // The same moments, from wherever one looks.
        let sooner = next_look(now() - SignedDuration::from_mins(61), &uid, hour);
        assert_eq!(next.duration_since(sooner).as_secs() % 3600, 0);
        assert_eq!(next_look(next, &uid, hour), next + hour);
        let before = next - SignedDuration::from_secs(1);
        assert_eq!(next_look(before, &uid, hour), next);
    }
    assert!(minutes.len() > 50, "{minutes:?}");
}

#[test]
fn one_that_fails_is_asked_again_ever_later_but_no_later_than_the_interval() {
    let waits = |interval| {
        let seconds = |failures| again_after(failures, interval).as_secs();
        [1, 2, 3, 4, 10, u32::MAX].map(seconds)
    };
    let hour = SignedDuration::from_hours(1);
    assert_eq!(waits(hour), [30, 60, 120, 240, 3600, 3600]);
    assert_eq!(
        waits(SignedDuration::from_mins(1)),
        [30, 60, 60, 60, 60, 60]
    );
}

#[test]
fn what_changes_by_time_alone_is_looked_at_then() {
    let leaf = certificate();
    let mut spec = check(None).spec;
    let look = seen(&leaf, Vec::new(), None);
    let second = SignedDuration::from_secs(1);
    let over = leaf.not_after + second;
    // A sixth of 90 days.
    let soon = over - SignedDuration::from_hours(15 * 24);
    let life = leaf.not_after.duration_since(leaf.not_before);
    assert_eq!(least_left(&spec, &leaf), life / 6);
    let difference = turns_at(now(), &spec, &look).unwrap().duration_since(soon);
    assert!(
        difference.abs() <= SignedDuration::from_hours(1),
        "{difference}"
    );
    spec.warn_before = Some("336h".into());
    let soon = over - SignedDuration::from_hours(336);
    assert_eq!(turns_at(now(), &spec, &look), Some(soon));
    assert_eq!(turns_at(soon, &spec, &look), Some(over));
    assert_eq!(turns_at(over, &spec, &look), None);
    let away = unreached("Unreachable", "away.");
    assert_eq!(turns_at(now(), &spec, &away), None);
}

/// What is said at these moments is what the judge of chains finds there.
#[test]
fn the_moments_are_those_of_the_judge() {
    let authority = root(&ca("Root"));
    let leaf = signed(&authority, &leaf(&[NAME]), &key()).unwrap();
    let trusted = [webpki::anchor_from_trusted_cert(&authority.certificate().der).unwrap()];
    let chain = [leaf.clone()];
    let judged = |now: Timestamp| {
        let shown = crate::pki::faults::Shown {
            chain: &chain,
            name: None,
            holds_key: None,
            trusted: &trusted,
            own_cas: true,
            least_left: least_left(&check(None).spec, &leaf),
            now,
        };
        let judgement = crate::pki::faults::judge(&shown).unwrap();
        let codes: Vec<_> = judgement.faults.iter().map(Fault::code).collect();
        codes
    };
    let spec = check(None).spec;
    let look = seen(&leaf, Vec::new(), None);
    let second = SignedDuration::from_secs(1);
    let soon = turns_at(now(), &spec, &look).unwrap();
    assert_eq!(judged(soon - second), Vec::<&str>::new());
    assert_eq!(judged(soon), ["ends-soon"]);
    let over = turns_at(soon, &spec, &look).unwrap();
    assert_eq!(judged(over - second), ["ends-soon"]);
    assert_eq!(judged(over), ["expired"]);
}

#[test]
fn conditions_of_other_looks_go() {
    let leaf = certificate();
    let standing = Some(Standing::Unnamed);
    let held = status(now(), &check(None), &seen(&leaf, Vec::new(), standing));
    assert!(condition::find(&held.conditions, "RevocationChecked").is_some());
    let new = status(now(), &check(Some(held)), &seen(&leaf, Vec::new(), None));
    assert!(condition::find(&new.conditions, "RevocationChecked").is_none());
}
