//! Two candidates, one Lease, and two clocks that have nothing to do with each other.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::*;

const LASTS: Duration = Duration::from_secs(6);

fn candidate(identity: &str) -> Election {
    Election::new(identity, LASTS)
}

fn seconds(seconds: u64) -> Moment {
    Moment::from_secs(seconds)
}

fn now() -> Timestamp {
    "2026-11-02T10:00:00Z".parse().unwrap()
}

fn lease(spec: LeaseSpec) -> Lease {
    Lease {
        metadata: ObjectMeta::default(),
        spec: Some(spec),
    }
}

/// Takes the Lease that nobody holds.
fn leading(identity: &str, at: Moment) -> (Election, Lease) {
    let mut election = candidate(identity);
    election.read(at, None);
    let Step::Create(spec) = election.next(at, now()) else {
        panic!("{election:?}");
    };
    let lease = lease(spec);
    election.wrote(at, &lease);
    (election, lease)
}

fn renewed(election: &mut Election, at: Moment) -> Lease {
    let later = now() + at;
    let Step::Replace(spec) = election.next(at, later) else {
        panic!("{election:?}");
    };
    let lease = lease(spec);
    election.wrote(at, &lease);
    lease
}

#[test]
fn who_has_read_nothing_reads() {
    let election = candidate("a");
    assert_eq!(election.next(seconds(0), now()), Step::Read);
    assert!(!election.holds(seconds(0)));
}

#[test]
fn the_first_to_come_creates_it_and_renews_it_twice_in_its_duration() {
    let (mut election, first) = leading("a", seconds(100));
    let spec = first.spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some("a"));
    assert_eq!(
        (spec.lease_duration_seconds, spec.lease_transitions),
        (Some(6), Some(0))
    );
    assert!(election.holds(seconds(105)) && !election.holds(seconds(106)));
    assert_eq!(
        election.next(seconds(101), now()),
        Step::Wait(seconds(102)),
        "not yet"
    );
    let second = renewed(&mut election, seconds(102));
    let renewed = second.spec.unwrap();
    assert_eq!(renewed.acquire_time, spec.acquire_time);
    assert_ne!(renewed.renew_time, spec.renew_time);
    assert_eq!(election.held_until(), Some(seconds(108)));
}

#[test]
fn it_is_taken_only_once_it_stayed_unchanged_for_its_duration_by_ones_own_clock() {
    let (mut leader, first) = leading("a", seconds(100));
    let mut other = candidate("b");
    // The other machine has been up for a year.
    let start = seconds(31_536_000);
    other.read(start, Some(&first));
    assert_eq!(other.other_holder(), Some("a"));
    assert_eq!(other.next(start, now()), Step::Wait(start + seconds(1)));
    assert_eq!(other.next(start + seconds(1), now()), Step::Read);

    let second = renewed(&mut leader, seconds(102));
    other.read(start + seconds(2), Some(&second));
    for later in 3..8 {
        let at = start + seconds(later);
        assert_eq!(other.next(at, now()), Step::Read, "{later}");
        other.read(at, Some(&second));
        assert_eq!(
            other.next(at, now()),
            Step::Wait(at + seconds(1)),
            "{later}"
        );
    }
    let at = start + seconds(8);
    other.read(at, Some(&second));
    let Step::Replace(spec) = other.next(at, now()) else {
        panic!("{other:?}");
    };
    assert_eq!(spec.holder_identity.as_deref(), Some("b"));
    assert_eq!(spec.lease_transitions, Some(1));
    assert!(!other.holds(at), "not before it is written");
    // It was seen at the earliest when it was sent, so that the leader's time is up first.
    assert!(!leader.holds(seconds(108)));
}

#[test]
fn the_holders_own_duration_counts_within_bounds() {
    let (_, lease) = leading("a", seconds(0));
    let with = |duration: i32| {
        let mut lease = lease.clone();
        lease.spec.as_mut().unwrap().lease_duration_seconds = Some(duration);
        lease
    };
    for (duration, over) in [(30, 30), (i32::MAX, 300), (-1, 6)] {
        let mut other = candidate("b");
        other.read(seconds(0), Some(&with(duration)));
        let before = seconds(over) - Duration::from_millis(1);
        other.read(before, Some(&with(duration)));
        assert_eq!(other.next(before, now()), Step::Wait(seconds(over)));
        other.read(seconds(over), Some(&with(duration)));
        assert!(matches!(other.next(seconds(over), now()), Step::Replace(_)));
    }
}

#[test]
fn one_that_was_released_is_taken_at_once() {
    let (leader, lease_) = leading("a", seconds(0));
    let released = lease(leader.release(now()).unwrap());
    let mut other = candidate("b");
    other.read(seconds(50), Some(&lease_));
    assert_eq!(other.release(now()), None, "it is not ours to let go");
    other.read(seconds(51), Some(&released));
    assert!(matches!(
        other.next(seconds(51), now()),
        Step::Replace(spec) if spec.lease_transitions == Some(1)
    ));
}

#[test]
fn what_cannot_be_renewed_runs_out_though_nobody_takes_it() {
    let (mut leader, _) = leading("a", seconds(0));
    leader.failed(seconds(2));
    assert_eq!(leader.next(seconds(2), now()), Step::Wait(seconds(3)));
    assert_eq!(leader.next(seconds(3), now()), Step::Read);
    leader.failed(seconds(5));
    assert!(leader.holds(seconds(5)) && !leader.holds(seconds(6)));
}

#[test]
fn a_write_that_nobody_knows_of_counts_from_the_one_after_it() {
    let mut election = candidate("a");
    election.read(seconds(0), None);
    let Step::Create(spec) = election.next(seconds(0), now()) else {
        panic!("{election:?}");
    };
    election.failed(seconds(4));
    assert_eq!(election.next(seconds(5), now()), Step::Read);
    election.read(seconds(5), Some(&lease(spec)));
    assert!(!election.holds(seconds(5)), "it was written, but when?");
    renewed(&mut election, seconds(5));
    assert_eq!(election.held_until(), Some(seconds(11)));
}

#[test]
fn whoever_changes_it_besides_costs_no_more_than_a_look() {
    let (mut leader, held) = leading("a", seconds(0));
    leader.overtaken(seconds(2));
    assert_eq!(leader.next(seconds(2), now()), Step::Read);
    assert!(leader.holds(seconds(2)), "its time runs on meanwhile");
    leader.read(seconds(2), Some(&held));
    renewed(&mut leader, seconds(2));
    assert_eq!(leader.held_until(), Some(seconds(8)));
}

#[test]
fn who_sees_another_holder_leads_no_more() {
    let (mut first, _) = leading("a", seconds(0));
    let (_, other) = leading("b", seconds(0));
    first.read(seconds(2), Some(&other));
    assert!(!first.holds(seconds(2)));
    assert_eq!(first.other_holder(), Some("b"));
    assert_eq!(first.release(now()), None);
}

#[test]
fn one_that_was_deleted_is_made_anew() {
    let (mut leader, _) = leading("a", seconds(0));
    leader.overtaken(seconds(2));
    leader.read(seconds(2), None);
    assert!(matches!(leader.next(seconds(2), now()), Step::Create(_)));
}

#[test]
fn an_empty_one_is_taken() {
    let mut election = candidate("a");
    election.read(seconds(0), Some(&Lease::default()));
    assert!(matches!(
        election.next(seconds(0), now()),
        Step::Replace(spec) if spec.holder_identity.as_deref() == Some("a")
    ));
}
