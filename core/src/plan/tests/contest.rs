//! Others who write or delete what we write.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;

use super::cas::root;
use super::rules::put;
use super::secret::labels;
use super::world::{Given, World, at};
use crate::plan::{Plan, Undoes};

const NOON: &str = "2026-11-02T12:00:00Z";

fn held() -> World {
    Given::certificate("web").by(&root()).issued("2026-11-02")
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// A hundred times in a minute the Secret is disturbed, and each time looked at.
fn disturbed(world: &mut World, disturb: impl Fn(&mut World, Timestamp)) -> Timestamp {
    let mut now = at(NOON);
    for _ in 0..100 {
        disturb(world, now);
        world.reconcile(now);
        now += SignedDuration::from_millis(600);
        now = Timestamp::from_second(now.as_second()).unwrap()
            + SignedDuration::from_millis(i64::from(now.subsec_millisecond()));
    }
    now
}

/// Nobody disturbs any more: the Secret is put right once the hold-off is over, and all is calm ten minutes later.
fn calms_down(mut world: World, now: Timestamp) {
    world.run(now, now + seconds(300));
    assert!(matches!(
        world.plan(&(now + seconds(300)).to_string()),
        Plan::Keep { .. }
    ));
    let issuing = world.condition("Issuing").unwrap();
    assert_eq!(issuing.reason, "Contested", "it is said until it is calm");
    let counts = (world.issued.len(), world.repaired.len());
    world.run(now + seconds(300), now + seconds(1000));
    assert_eq!(world.condition("Issuing").unwrap().reason, "UpToDate");
    assert_eq!(world.status().last_failure, None);
    assert_eq!(world.status().last_restored, None);
    assert_eq!((world.issued.len(), world.repaired.len()), counts);
}

#[test]
fn a_hundred_deletions_cost_five_issues_and_are_said() {
    let mut world = held();
    let now = disturbed(&mut world, |world, _| world.secret = None);
    assert!(
        (2..=5).contains(&(world.issued.len() - 1)),
        "{}",
        world.issued.len() - 1
    );
    let ready = world.condition("Ready").unwrap();
    assert_eq!(ready.reason, "DoesNotExist");
    let issuing = world.condition("Issuing").unwrap();
    assert_eq!(issuing.reason, "Contested");
    assert!(
        issuing.message.contains("Secret web keeps being deleted."),
        "{}",
        issuing.message
    );
    calms_down(world, now);
}

#[test]
fn a_hundred_reverts_cost_five_issues_and_name_the_manager() {
    let other = Given::certificate("web")
        .by(&root())
        .with(|spec| spec.dns_names = vec!["old.example".into()])
        .issued("2026-11-01");
    let other = other.secret.unwrap().data.unwrap();
    let mut world = held();
    let now = disturbed(&mut world, |world, now| {
        world.edit("gitops", now, |secret| secret.data = Some(other.clone()));
    });
    assert!(
        (2..=5).contains(&(world.issued.len() - 1)),
        "{}",
        world.issued.len() - 1
    );
    let issuing = world.condition("Issuing").unwrap();
    assert_eq!(issuing.reason, "Contested");
    assert!(
        issuing.message.contains(r#"field manager "gitops""#),
        "{}",
        issuing.message
    );
    calms_down(world, now);
}

#[test]
fn putting_the_secret_of_an_older_spec_back_counts_as_well() {
    let mut world = held();
    let old = world.secret.clone().unwrap();
    world.change(|spec| spec.dns_names.push("a.example".into()));
    world.reconcile(at("2026-11-02T11:00:00Z"));
    assert_eq!(world.issued.len(), 2);
    let now = disturbed(&mut world, |world, now| {
        world.edit("backup", now, |secret| {
            secret.data.clone_from(&old.data);
            secret
                .metadata
                .annotations
                .clone_from(&old.metadata.annotations);
        });
    });
    assert!(
        (2..=5).contains(&(world.issued.len() - 2)),
        "{}",
        world.issued.len() - 2
    );
    assert!(
        world
            .condition("Issuing")
            .unwrap()
            .message
            .contains(r#""backup""#)
    );
    calms_down(world, now);
}

/// `backup` puts the Secret back to what it was before its last renewal, a hundred times in a minute: `whole`, or only
/// its data.
fn put_back(mut world: World, old: &Secret, whole: bool) {
    let before = world.issued.len();
    let now = disturbed(&mut world, |world, now| {
        world.edit("backup", now, |secret| {
            secret.data.clone_from(&old.data);
            if whole {
                secret
                    .metadata
                    .annotations
                    .clone_from(&old.metadata.annotations);
            }
        });
    });
    let issued = world.issued.len() - before;
    assert!((2..=5).contains(&issued), "{issued}");
    let issuing = world.condition("Issuing").unwrap();
    assert_eq!(issuing.reason, "Contested");
    assert!(issuing.message.contains(r#""backup""#), "{issuing:?}");
    calms_down(world, now);
}

#[test]
fn putting_a_certificate_back_that_was_renewed_counts_as_well() {
    let renewed = |issued: &str| {
        let mut world = Given::certificate("web").by(&root()).issued(issued);
        let old = world.secret.clone().unwrap();
        let step = world.reconcile(at("2026-11-02T11:00:00Z"));
        assert!(
            matches!(
                step.plan,
                Plan::Issue {
                    undoes: Undoes::Nothing,
                    ..
                }
            ),
            "{step:?}"
        );
        (world, old)
    };
    // It was due, or had expired.
    for issued in ["2026-08-20", "2026-06-01"] {
        for whole in [true, false] {
            let (world, old) = renewed(issued);
            put_back(world, &old, whole);
        }
    }
}

#[test]
fn putting_a_certificate_of_a_replaced_ca_back_counts_as_well() {
    let mut world = held();
    world.reconcile(at("2026-11-02T08:00:00Z"));
    world.sign_by(&root());
    world.run(at("2026-11-02T08:00:01Z"), at("2026-11-02T08:03:00Z"));
    // With both roots, a moment before it was followed.
    let old = world.secret.clone().unwrap();
    world.run(at("2026-11-02T08:03:00Z"), at("2026-11-02T11:00:00Z"));
    assert_eq!(world.issued.len(), 2);
    put_back(world, &old, true);
}

#[test]
fn a_renewal_that_is_due_is_no_part_of_a_contest_though_the_status_was_lost() {
    let mut world = Given::certificate("web").by(&root()).issued("2026-08-20");
    world.loses_status = true;
    world.reconcile(at("2026-11-02T11:00:00Z"));
    assert_eq!((world.issued.len(), world.status().revision), (2, Some(1)));
    world.reconcile(at("2026-11-02T11:00:01Z"));
    world.reconcile(at("2027-01-20"));
    assert_eq!(world.issued.len(), 3);
    assert_eq!(world.status().last_restored, None);
}

#[test]
fn a_hundred_changes_around_the_pair_cost_five_repairs_and_no_issue() {
    let mut world = held();
    let now = disturbed(&mut world, |world, now| {
        world.edit("gitops", now, |secret| {
            drop(labels(secret).insert("certwright.dev/managed".into(), "no".into()))
        });
    });
    assert!(
        (2..=5).contains(&world.repaired.len()),
        "{}",
        world.repaired.len()
    );
    assert_eq!(world.issued.len(), 1);
    assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
    assert!(
        world
            .condition("Issuing")
            .unwrap()
            .message
            .contains(r#""gitops""#)
    );
    calms_down(world, now);
}

#[test]
fn one_that_never_stops_is_answered_every_few_minutes_at_most() {
    let mut world = held();
    let mut now = at(NOON);
    while now < at("2026-11-02T18:00:00Z") {
        world.secret = None;
        world.reconcile(now);
        now += seconds(20);
    }
    let answers = world.issued.len() - 1;
    assert!((70..=110).contains(&answers), "{answers} in six hours");
}

#[test]
fn a_changed_spec_is_issued_at_once_in_the_midst_of_a_contest() {
    let mut world = held();
    let now = disturbed(&mut world, |world, _| world.secret = None);
    assert!(matches!(world.plan(&now.to_string()), Plan::Hold { .. }));
    world.change(|spec| spec.dns_names.push("a.example".into()));
    let step = world.reconcile(now);
    assert!(
        matches!(
            step.plan,
            Plan::Issue {
                undoes: Undoes::Nothing,
                ..
            }
        ),
        "{step:?}"
    );
}

#[test]
fn what_is_due_or_asked_for_is_no_part_of_a_contest() {
    let mut world = held();
    let now = disturbed(&mut world, |world, now| {
        world.edit("gitops", now, |secret| {
            drop(labels(secret).remove("certwright.dev/managed"))
        });
    });
    world.run(now, now + seconds(300));
    world.ask("1");
    let step = world.reconcile(now + seconds(301));
    assert!(
        matches!(
            step.plan,
            Plan::Issue {
                undoes: Undoes::Nothing,
                ..
            }
        ),
        "{step:?}"
    );
}

#[test]
fn two_restorations_far_apart_are_no_contest() {
    let mut world = held();
    for hour in 0..5 {
        let now = at(NOON) + SignedDuration::from_hours(hour);
        world.secret = None;
        let step = world.reconcile(now);
        assert!(
            matches!(
                step.plan,
                Plan::Issue {
                    undoes: Undoes::Change,
                    ..
                }
            ),
            "{step:?}"
        );
        world.run(now, now + SignedDuration::from_mins(50));
        assert_eq!(world.status().last_restored, None);
    }
}

#[test]
fn a_contest_under_a_clock_a_day_ahead_ends_when_it_is_set_back() {
    let mut world = held();
    for second in 0..5 {
        world.secret = None;
        world.reconcile(at("2026-11-03T12:00:00Z") + seconds(second));
    }
    let step = world.reconcile(at(NOON));
    assert!(
        matches!(
            step.plan,
            Plan::Issue {
                undoes: Undoes::Change,
                ..
            }
        ),
        "{step:?}"
    );
    world.run(at(NOON), at("2026-11-02T12:20:00Z"));
    assert_eq!(world.status().last_failure, None);
}

#[test]
fn the_manager_that_changed_it_last_is_named() {
    let break_it = |secret: &mut Secret| put(secret, "tls.key", b"x");
    let mut world = held();
    world.edit("first", at("2026-11-02T11:00:00Z"), |secret| {
        drop(labels(secret).insert("theirs".into(), "1".into()))
    });
    for second in 0..2 {
        let now = at(NOON) + seconds(second);
        world.edit("second", now, break_it);
        world.reconcile(now);
    }
    let failure = world.status().last_failure.as_ref().unwrap();
    assert!(
        failure.message.contains(r#""second""#),
        "{}",
        failure.message
    );
}
