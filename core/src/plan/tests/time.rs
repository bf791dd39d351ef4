//! Clocks that are set, and lives of all lengths.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::cas::root;
use super::world::{Given, World, at, days};
use crate::api::certificate::{Renewal, RenewalPolicy};
use crate::plan::{IssueReason, MAX_LOOK_AGAIN, Plan, Undoes};

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
fn a_clock_a_day_ahead_at_the_renewal_costs_one_certificate() {
    let mut world = Given::certificate("web").by(&root()).issued("2026-11-02");
    let due = world.status().renewal_time.clone().unwrap().0;
    let ahead = due + hours(23);
    world.reconcile(ahead);
    assert_eq!(world.issued.len(), 2);
    // Set back: what was issued begins tomorrow, and nothing is gained by another.
    world.run(due - hours(1), ahead + hours(48));
    assert_eq!(world.issued.len(), 2);
    assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
    let next = world.status().renewal_time.clone().unwrap().0;
    assert!(next > ahead + hours(24 * 50), "{next}");
}

#[test]
fn a_clock_set_by_a_day_and_back_while_a_ca_is_followed_issues_once() {
    let (old, new) = (root(), root());
    let begin = at("2026-11-10");
    for step in [hours(24), -hours(24)] {
        let mut world = Given::certificate("web").by(&old).issued("2026-11-02");
        world.sign_by(&new);
        world.reconcile(begin);
        for now in [begin + step, begin + step + hours(1), begin + hours(1)] {
            world.reconcile(now);
        }
        world.run(begin + hours(1), begin + hours(72));
        assert_eq!(world.issued.len(), 2, "{step:#}");
        assert_eq!(world.stored("ca.crt").len(), 1, "{step:#}");
        assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
    }
}

#[test]
fn nobody_waits_for_longer_than_an_hour_over_a_whole_life() {
    for duration in ["1h", "160h", "2160h"] {
        let mut world = lives(duration);
        let begin = at("2026-12-31T12:34:56Z");
        let mut now = begin;
        while world.issued.len() < 3 {
            let next = world.reconcile(now).next;
            assert!(
                next.duration_since(now) <= MAX_LOOK_AGAIN,
                "{duration}: {now}"
            );
            now = next;
        }
        let life = world
            .leaf()
            .not_after
            .duration_since(world.leaf().not_before);
        assert!(now.duration_since(begin) <= life * 2, "{duration}: {now}");
    }
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
fn lives_cross_leap_days_and_the_ends_of_years_in_hours() {
    for (from, duration, until, due) in [
        (
            "2028-02-28T12:00:00Z",
            "36h",
            "2028-03-01T00:00:00Z",
            "2028-02-29T12:00:00Z",
        ),
        (
            "2027-02-28T12:00:00Z",
            "36h",
            "2027-03-02T00:00:00Z",
            "2027-03-01T12:00:00Z",
        ),
        // A year from the leap day ends the day before there would be another.
        (
            "2028-02-29T00:00:00Z",
            "8760h",
            "2029-02-28T00:00:00Z",
            "2028-10-29T08:00:00Z",
        ),
        // No leap year, although four divides it.
        (
            "2100-02-28T00:00:00Z",
            "24h",
            "2100-03-01T00:00:00Z",
            "2100-02-28T16:00:00Z",
        ),
        (
            "2027-12-31T23:59:59Z",
            "1h",
            "2028-01-01T00:59:59Z",
            "2028-01-01T00:39:59Z",
        ),
        // Certificates write years from 2050 on in another form.
        (
            "2049-12-31T23:30:00Z",
            "1h",
            "2050-01-01T00:30:00Z",
            "2050-01-01T00:10:00Z",
        ),
        (
            "2050-01-01T00:00:00Z",
            "160h",
            "2050-01-07T16:00:00Z",
            "2050-01-05T10:40:00Z",
        ),
    ] {
        let ca = super::cas::Ca::root("Root", "2026-01-01", "999999h");
        let mut world = Given::certificate("web")
            .by(&ca)
            .with(|spec| spec.duration = Some(duration.into()))
            .issued(from);
        let leaf = world.leaf();
        assert_eq!((leaf.not_before, leaf.not_after), (at(from), at(until)));
        let moment = world.status().renewal_time.clone().unwrap().0;
        let earliest = at(due) - at(due).duration_since(at(from)) / 10;
        assert!((earliest..=at(due)).contains(&moment), "{from}: {moment}");
        world.run(moment - hours(2), moment);
        assert_eq!(world.issued[1..], [(moment, IssueReason::Due)], "{from}");
        assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
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
    let ca = root();
    let second = SignedDuration::from_secs(1);
    let mut per_second = BTreeMap::<Timestamp, usize>::new();
    let mut per_bin = [0; 10];
    for number in 0..1000 {
        let world = Given::certificate(&format!("web-{number}"))
            .by(&ca)
            .issued("2026-11-02");
        let at = world.status().renewal_time.clone().unwrap().0;
        let plan = |now: Timestamp| world.plan(&now.to_string());
        assert!(matches!(plan(at - second), Plan::Keep { .. }));
        let due = Plan::Issue {
            why: IssueReason::Due,
            undoes: Undoes::Nothing,
        };
        assert_eq!(plan(at), due);
        *per_second.entry(at).or_default() += 1;
        // Six days, up to two thirds of ninety.
        let early = super::world::at("2027-01-01").duration_since(at).as_hours();
        per_bin[(early * 10 / (6 * 24)) as usize] += 1;
    }
    let most = per_second.values().max().unwrap();
    assert!(*most <= 4, "{most} in one second");
    // 100 are expected in each; five standard deviations are 47.
    assert!(
        per_bin.iter().all(|count| (53..=147).contains(count)),
        "{per_bin:?}"
    );
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
