//! What keeps issuing within bounds: a CA near its end, a failing issuer, requests by hand.

use jiff::SignedDuration;

use super::cas::{Ca, root};
use super::world::{Given, World, at, days};
use crate::plan::{IssueReason, Plan};

const NOON: &str = "2026-11-02T12:00:00Z";

fn held() -> World {
    Given::certificate("web").by(&root()).issued("2026-11-02")
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn a_day() -> SignedDuration {
    SignedDuration::from_hours(24)
}

#[test]
fn a_ca_in_its_last_30_days_gives_three_certificates_at_most() {
    let ca = Ca::root("Root", "2026-01-01", &days(365));
    let end = ca.facts().not_after;
    assert_eq!(end, at("2027-01-01"));
    for (lives, limited) in [(90, true), (60, true), (30, true), (14, false), (7, false)] {
        let mut world = Given::certificate("web")
            .by(&ca)
            .with(|spec| spec.duration = Some(days(lives).as_str().into()));
        world.run(at("2026-12-02"), end);
        let renewals = world.issued.len() - 1;
        if limited {
            assert!(world.issued.len() <= 3, "{lives} days: {:?}", world.issued);
        } else {
            // Each of these gained a tenth of its duration at least.
            assert!(renewals <= 12, "{lives} days: {renewals}");
        }
        assert_eq!(world.leaf().not_after, end, "{lives} days");
        let said = world.condition("LimitedByCA").unwrap();
        assert_eq!(said.reason, "CANearItsEnd");
        assert_eq!(
            said.message,
            "The CA ends at 2027-01-01T00:00:00Z, so a renewal would gain less than a tenth of the duration. Renew the CA; \
             then this certificate is renewed too."
        );
        assert_eq!(world.status().renewal_time, None, "{lives} days");
        let mut world = world.lapsed("expired");
        world.run(end, end + a_day());
        assert_eq!(world.condition("LimitedByCA"), None);
        assert_eq!(world.issued.len() - 1, renewals);
    }
}

#[test]
fn a_certificate_that_its_ca_outlasts_by_little_is_renewed_once_more_before_it_expires() {
    // 90 days from the beginning, and the CA has five more.
    let ca = Ca::root("Root", "2026-01-01", &days(400));
    let end = ca.facts().not_after;
    let mut world = Given::certificate("web").by(&ca);
    let first = end - a_day() * 95;
    world.run(first, first + a_day() * 70);
    assert_eq!(world.issued.len(), 1, "not when it is due");
    assert!(world.condition("LimitedByCA").is_some());
    world.run(first + a_day() * 70, end);
    assert_eq!(world.issued.len(), 2);
    assert_eq!(world.issued[1].1, IssueReason::Due);
    assert!(
        world.issued[1].0 < first + a_day() * 90,
        "before it expired"
    );
    assert_eq!(world.leaf().not_after, end);
}

#[test]
fn a_ca_renewed_ends_the_limit() {
    let ca = Ca::root("Root", "2026-01-01", &days(365));
    let mut world = Given::certificate("web").by(&ca).issued("2026-12-02");
    world.run(at("2026-12-02"), at("2026-12-30"));
    assert_eq!(world.issued.len(), 1);
    world.sign_by(&ca.renewed("2026-12-30", &days(365)));
    world.run(at("2026-12-30"), at("2026-12-30T00:10:00Z"));
    assert_eq!(
        world.issued[1..],
        [(at("2026-12-30T00:00:00Z"), IssueReason::Due)]
    );
    assert_eq!(world.condition("LimitedByCA"), None);
}

#[test]
fn a_long_renew_before_is_no_limit_of_the_ca() {
    for number in 0..20 {
        let mut world = Given::certificate(&format!("web-{number}"))
            .by(&root())
            .with(|spec| spec.renew_before = Some(days(81).as_str().into()))
            .issued("2026-11-02");
        world.run(at(NOON), at("2026-11-12"));
        assert_eq!(world.condition("LimitedByCA"), None);
        assert_eq!(world.issued.len(), 2, "renewed with 81 days left");
    }
}

#[test]
fn an_issuer_that_fails_for_a_week_is_asked_every_few_minutes_and_what_works_stays() {
    let mut world = Given::certificate("web").by(&root()).issued("2026-10-25");
    let secret = world.secret.clone();
    world.refuses = Some("the disk is full");
    // Due in the last days of the year.
    let due = at("2026-12-24");
    world.run(due, due + a_day() * 7);
    assert!((2016..=2800).contains(&world.tries), "{}", world.tries);
    assert_eq!(world.secret, secret);
    assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
    let issuing = world.condition("Issuing").unwrap();
    assert_eq!(issuing.reason, "SigningRefused");
    assert!(
        issuing
            .message
            .starts_with("A certificate is needed because its renewal is due. Try "),
        "{}",
        issuing.message
    );
    assert!(issuing.message.ends_with("the disk is full."));
    world.refuses = None;
    world.run(due + a_day() * 7, due + a_day() * 7 + minutes(6));
    assert_eq!(world.issued.len(), 2);
    assert_eq!(world.status().last_failure, None);
    assert_eq!(world.condition("Issuing").unwrap().reason, "UpToDate");
}

#[test]
fn hold_offs_double_up_to_five_minutes() {
    let mut world = Given::certificate("web").by(&root());
    world.refuses = Some("no");
    let mut now = at(NOON);
    let mut longest = 10;
    for attempt in 1..=12 {
        world.reconcile(now);
        let failure = world.status().last_failure.clone().unwrap();
        assert_eq!((failure.attempts, failure.time.0), (attempt, now));
        let wait = failure.next_try.0.duration_since(now).as_secs_f64();
        let longest_now = f64::from(longest.min(300));
        assert!(
            (longest_now * 0.75..=longest_now).contains(&wait),
            "{attempt}: {wait}"
        );
        longest *= 2;
        now = failure.next_try.0;
    }
}

#[test]
fn a_renewal_by_hand_acts_once_for_each_value() {
    let mut world = held().asked("1");
    world.run(at(NOON), at("2026-11-03"));
    assert_eq!(
        world.issued[1..],
        [(at(NOON), IssueReason::AskedByHand("1".into()))]
    );
    assert_eq!(world.status().last_renew_request.as_deref(), Some("1"));
    world.ask("2");
    world.run(at("2026-11-03"), at("2026-11-04"));
    assert_eq!(world.issued.len(), 3);
    assert_eq!(world.status().revision, Some(3));
}

#[test]
fn a_renewal_by_hand_waits_for_five_minutes_after_the_last_issuance() {
    let mut world = held().asked("1");
    world.reconcile(at(NOON));
    for (second, value) in [(1, "2"), (2, "3"), (3, "4")] {
        world.ask(value);
        world.reconcile(at(NOON) + SignedDuration::from_secs(second));
    }
    assert_eq!(world.issued.len(), 2);
    let Plan::Keep { look_again } = world.plan("2026-11-02T12:01:00Z") else {
        panic!()
    };
    assert_eq!(look_again, at(NOON) + minutes(5));
    world.run(at(NOON) + minutes(1), at(NOON) + minutes(60));
    assert_eq!(
        world.issued[2..],
        [(at(NOON) + minutes(5), IssueReason::AskedByHand("4".into()))]
    );
}

#[test]
fn a_renewal_by_hand_that_failed_is_tried_again() {
    let mut world = held().asked("1");
    world.refuses = Some("no");
    world.run(at(NOON), at(NOON) + minutes(5));
    assert!(world.tries >= 4);
    assert_eq!(world.status().last_renew_request, None);
    world.refuses = None;
    world.run(at(NOON) + minutes(5), at(NOON) + minutes(60));
    assert_eq!(world.issued.len(), 2);
    assert_eq!(world.status().last_renew_request.as_deref(), Some("1"));
}

#[test]
fn a_renewal_by_hand_survives_a_status_that_was_not_written() {
    let mut world = held().asked("1");
    world.loses_status = true;
    world.reconcile(at(NOON));
    assert_eq!(world.status().last_renew_request, None);
    world.run(at(NOON) + minutes(1), at(NOON) + minutes(60));
    assert_eq!(world.issued.len(), 2);
    assert_eq!(world.status().last_renew_request.as_deref(), Some("1"));
    assert_eq!(world.status().revision, Some(2));
}

#[test]
fn whatever_is_issued_answers_a_renewal_by_hand() {
    for mut world in [
        Given::certificate("web").by(&root()).asked("1"),
        held().without_secret().asked("1"),
        held()
            .changed(|spec| spec.dns_names.push("a.example".into()))
            .asked("1"),
    ] {
        let before = world.issued.len();
        world.run(at(NOON), at(NOON) + minutes(60));
        assert_eq!(world.issued.len(), before + 1);
        assert_eq!(world.status().last_renew_request.as_deref(), Some("1"));
    }
}

#[test]
fn a_secret_put_back_to_before_a_renewal_by_hand_does_not_renew_again() {
    let mut world = held().asked("0");
    world.reconcile(at(NOON));
    let old = world.secret.clone();
    world.ask("1");
    world.reconcile(at(NOON) + minutes(10));
    assert_eq!(world.issued.len(), 3);
    world.secret = old;
    world.run(at(NOON) + minutes(20), at(NOON) + minutes(60));
    assert_eq!(world.issued.len(), 3);
    assert_eq!(world.status().last_renew_request.as_deref(), Some("1"));
}
