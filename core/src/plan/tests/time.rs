//! Clocks that are set, and lives of all lengths.

use jiff::{SignedDuration, Timestamp};

use super::cas::root;
use super::world::{Given, World, at, days};
use crate::api::certificate::{Renewal, RenewalPolicy};
use crate::plan::Plan;

fn lives(duration: &str) -> World {
    Given::certificate("web")
        .by(&root())
        .with(|spec| spec.duration = Some(duration.into()))
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

#[test]
fn a_clock_set_forward_by_a_day_and_back_issues_nothing() {
    let mut world = Given::certificate("web").by(&root()).issued("2026-11-02");
    for now in [
        "2026-11-10",
        "2026-11-11",
        "2026-11-10",
        "2026-11-09",
        "2026-11-10T00:00:01Z",
    ] {
        let step = world.reconcile(at(now));
        assert!(matches!(step.plan, Plan::Keep { .. }), "{now}: {step:?}");
        assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
    }
    assert_eq!(world.status_writes, 1);
}

#[test]
fn a_certificate_from_tomorrow_is_not_ready_until_an_hour_before_it_begins() {
    let mut world = Given::certificate("web").by(&root()).issued("2026-11-03");
    world.reconcile(at("2026-11-02"));
    let ready = world.condition("Ready").unwrap();
    assert_eq!(ready.reason, "NotYetValid");
    assert_eq!(
        ready.message,
        "The certificate is not valid before 2026-11-03T00:00:00Z. Is a clock wrong?"
    );
    world.run(at("2026-11-02"), at("2026-11-03"));
    assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
    assert_eq!(world.issued.len(), 1);
}

#[test]
fn a_renewal_by_hand_is_not_held_off_by_an_issuance_from_tomorrow() {
    let mut world = Given::certificate("web")
        .by(&root())
        .issued("2026-11-03")
        .asked("1");
    world.run(at("2026-11-02"), at("2026-11-02T01:00:00Z"));
    assert_eq!(world.issued.len(), 2);
    assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
}

#[test]
fn a_machine_that_slept_over_the_renewal_renews_when_it_wakes() {
    let mut world = Given::certificate("web").by(&root()).issued("2026-11-02");
    world.reconcile(at("2026-11-03"));
    world.reconcile(at("2027-01-20"));
    assert_eq!(world.issued.len(), 2);
}

#[test]
fn lives_of_an_hour_and_of_160_hours_are_renewed_in_their_last_two_fifths() {
    for (duration, run) in [("1h", 24), ("160h", 24 * 60), ("2160h", 24 * 365)] {
        let mut world = lives(duration);
        let begin = at("2028-02-28T12:00:00Z");
        world.run(begin, begin + hours(run));
        let life = world
            .leaf()
            .not_after
            .duration_since(world.leaf().not_before);
        for pair in world.issued.windows(2) {
            let age = pair[1].0.duration_since(pair[0].0).as_secs_f64() / life.as_secs_f64();
            assert!((0.6..=0.667).contains(&age), "{duration}: {age}");
        }
        let expected = hours(run).as_secs_f64() / life.as_secs_f64() / 0.634;
        let count = world.issued.len() as f64;
        assert!(
            (expected * 0.9..=expected * 1.1 + 1.0).contains(&count),
            "{duration}: {count} not {expected}"
        );
        // A status for each certificate and no more, for all the looks between.
        assert_eq!(world.status_writes, world.issued.len(), "{duration}");
        assert!(world.repaired.is_empty());
    }
}

#[test]
fn leap_days_are_days() {
    let mut world = lives("24h").issued("2028-02-29");
    assert_eq!(world.leaf().not_after, at("2028-03-01"));
    world.run(at("2028-02-29"), at("2028-03-02"));
    assert!(matches!(world.plan("2028-03-02"), Plan::Keep { .. }));
}

#[test]
fn a_renew_before_that_is_too_long_is_said_and_does_not_renew_in_a_circle() {
    let mut world = lives("100h")
        .with(|spec| spec.renew_before = Some("99h".into()))
        .issued("2026-11-02");
    world.run(at("2026-11-02"), at("2026-11-04"));
    assert_eq!(world.issued.len(), 1);
    let said = world.condition("RenewalAdjusted").unwrap();
    assert_eq!(said.reason, "RenewBeforeTooLong");
    assert_eq!(
        said.message,
        "spec.renewBefore is 99h, but the certificate only lives for 100h: it is renewed a third of its life before its end instead."
    );
}

#[test]
fn a_life_cut_by_the_ca_makes_a_renew_before_too_long_and_does_not_renew_in_a_circle() {
    let ca = super::cas::Ca::root("Root", "2026-01-01", &days(365));
    let mut world = Given::certificate("web")
        .by(&ca)
        .with(|spec| spec.renew_before = Some(days(30).as_str().into()));
    world.run(at("2026-12-03"), at("2027-01-01"));
    assert!(world.issued.len() <= 3, "{:?}", world.issued);
    assert!(world.condition("RenewalAdjusted").is_some());
    assert!(world.condition("LimitedByCA").is_some());
}

#[test]
fn a_thousand_certificates_of_one_second_are_not_renewed_in_one() {
    let world = Given::certificate("web").by(&root()).issued("2026-11-02");
    let mut moments = std::collections::BTreeSet::new();
    let mut world = world;
    for number in 0..1000 {
        world.certificate.metadata.name = Some(format!("web-{number}"));
        moments.insert(world.assess(at("2026-11-02")).renewal.unwrap().at.unwrap());
    }
    assert!(moments.len() > 950, "{}", moments.len());
}

#[test]
fn the_ends_of_time_are_no_trouble() {
    let mut world = Given::certificate("web").by_itself().with(|spec| {
        spec.duration = Some("999999h".into());
        spec.renewal = Some(Renewal {
            policy: RenewalPolicy::Disabled,
            windows: Vec::new(),
        });
    });
    world.reconcile(at("2026-11-02"));
    for (now, reason) in [
        (Timestamp::MAX, "Expired"),
        (Timestamp::MIN, "NotYetValid"),
        (at("2027-11-02"), "Ready"),
    ] {
        world.reconcile(now);
        assert_eq!(world.condition("Ready").unwrap().reason, reason);
    }
}
