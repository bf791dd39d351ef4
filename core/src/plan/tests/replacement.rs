//! A CA replaced, as a timeline.

use jiff::{SignedDuration, Timestamp};

use super::cas::{Ca, root};
use super::secret::data;
use super::world::{Given, Issuer, World, at, days};
use crate::pki::Facts;
use crate::plan::{CaState, Flaw, IssueReason, OldLeaves, Plan};

const NOON: &str = "2026-11-02T12:00:00Z";

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn held_by(ca: &Ca) -> World {
    Given::certificate("web").by(ca).issued("2026-11-02")
}

fn fingerprints(certificates: &[Facts]) -> Vec<String> {
    certificates
        .iter()
        .map(|facts| facts.fingerprint.to_string())
        .collect()
}

fn roots(world: &World) -> Vec<String> {
    fingerprints(&world.stored("ca.crt"))
}

fn tops(cas: &[&Ca]) -> Vec<String> {
    cas.iter()
        .map(|ca| ca.authority().top().fingerprint.to_string())
        .collect()
}

fn due(world: &World, now: Timestamp) -> Timestamp {
    match world.assess(now).ca {
        CaState::Following { due } => due,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_certificate_of_the_same_key_only_repairs() {
    let old = root();
    let new = old.renewed("2026-11-01", &days(3650));
    let mut world = held_by(&old);
    let leaf = world.leaf();
    world.sign_by(&new);
    assert!(matches!(world.plan(NOON), Plan::Repair { .. }));
    world.run(at(NOON), at("2026-11-03"));
    assert_eq!(roots(&world), tops(&[&new]));
    assert_eq!((world.issued.len(), world.repaired.len()), (1, 1));
    assert_eq!(world.leaf(), leaf);
    assert_eq!(world.status().last_restored, None);
}

#[test]
fn a_new_key_adds_its_root_at_once_and_the_leaf_follows_within_the_overlap() {
    let (old, new) = (root(), root());
    let mut world = held_by(&old);
    world.old_leaves = OldLeaves::Held;
    world.sign_by(&new);
    world.reconcile(at(NOON));
    assert_eq!(roots(&world), tops(&[&new, &old]));
    assert_eq!(world.issued.len(), 1);
    assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
    let due = due(&world, at(NOON));
    assert!(
        (at(NOON) + minutes(5)..=at(NOON) + minutes(60)).contains(&due),
        "{due}"
    );
    assert_eq!(world.status().renewal_time.as_ref().unwrap().0, due);
    assert_eq!(
        world.condition("Issuing").unwrap().message,
        format!(
            "The issuer's CA was replaced. Clients read the new root now; a new certificate follows at {due}."
        )
    );
    world.run(at(NOON), at(NOON) + minutes(90));
    assert_eq!(world.issued[1..], [(due, IssueReason::CaReplaced)]);
    assert!(world.leaf().is_signed_by(new.authority().certificate()));
    // Another server still holds a leaf of the old key.
    assert_eq!(roots(&world), tops(&[&new, &old]));
    world.old_leaves = OldLeaves::GoneSince(at(NOON) + minutes(90));
    world.run(at(NOON) + minutes(90), at(NOON) + minutes(94));
    // The server may not have read its new certificate yet.
    assert_eq!(roots(&world), tops(&[&new, &old]));
    world.run(at(NOON) + minutes(94), at(NOON) + minutes(95));
    assert_eq!(roots(&world), tops(&[&new]));
    assert_eq!((world.issued.len(), world.repaired.len()), (2, 2));
    assert_eq!(world.status().last_restored, None);
    assert!(
        world
            .secret
            .unwrap()
            .metadata
            .annotations
            .unwrap()
            .keys()
            .all(|key| !key.contains("replaced"))
    );
}

#[test]
fn the_old_root_stays_for_the_overlap_though_no_old_leaf_is_left() {
    let (old, new) = (root(), root());
    let mut world = held_by(&old);
    world.sign_by(&new);
    world.run(at(NOON), at(NOON) + minutes(59));
    assert_eq!(roots(&world), tops(&[&new, &old]));
    world.run(at(NOON) + minutes(59), at(NOON) + minutes(61));
    assert_eq!(roots(&world), tops(&[&new]));
}

#[test]
fn many_leaves_follow_spread_over_the_overlap() {
    let (old, new) = (root(), root());
    let mut early = 0;
    for number in 0..40 {
        let mut world = Given::certificate(&format!("web-{number}"))
            .by(&old)
            .issued("2026-11-02");
        world.sign_by(&new);
        world.reconcile(at(NOON));
        let due = due(&world, at(NOON));
        assert!(
            (at(NOON) + minutes(5)..=at(NOON) + minutes(60)).contains(&due),
            "{due}"
        );
        early += usize::from(due < at(NOON) + minutes(30));
    }
    assert!((5..=35).contains(&early), "{early} of 40 in the first half");
}

#[test]
fn a_second_replacement_inside_the_overlap_begins_anew_and_keeps_all_roots() {
    let (first, second, third) = (root(), root(), root());
    let mut world = held_by(&first);
    world.sign_by(&second);
    world.reconcile(at(NOON));
    world.sign_by(&third);
    world.reconcile(at(NOON) + minutes(4));
    assert_eq!(roots(&world), tops(&[&third, &second, &first]));
    assert!(due(&world, at(NOON) + minutes(4)) >= at(NOON) + minutes(9));
    world.run(at(NOON) + minutes(4), at(NOON) + minutes(64));
    assert!(world.leaf().is_signed_by(third.authority().certificate()));
    assert_eq!(world.issued.len(), 2);
    world.run(at(NOON) + minutes(64), at(NOON) + minutes(180));
    assert_eq!(roots(&world), tops(&[&third]));
}

#[test]
fn a_second_replacement_after_the_leaf_followed_keeps_the_first_root_too() {
    let (first, second, third) = (root(), root(), root());
    let mut world = held_by(&first);
    world.old_leaves = OldLeaves::Held;
    world.sign_by(&second);
    world.run(at(NOON), at(NOON) + minutes(61));
    world.sign_by(&third);
    world.reconcile(at(NOON) + minutes(62));
    assert_eq!(roots(&world), tops(&[&third, &second, &first]));
    assert!(due(&world, at(NOON) + minutes(62)) >= at(NOON) + minutes(67));
}

#[test]
fn an_expired_ca_that_is_replaced_is_followed_at_once() {
    let old = Ca::root("Root", "2026-01-01", &days(310));
    let world = held_by(&old);
    let end = old.facts().not_after;
    assert_eq!(world.leaf().not_after, end);
    let mut world = world_at_end(world.lapsed("expired"), end);
    let new = Ca::root("Root", "2026-11-05", &days(3650));
    let now = end + minutes(10);
    world.sign_by(&new);
    world.reconcile(now);
    assert_eq!(world.issued[1..], [(now, IssueReason::Expired(end))]);
    assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
    assert_eq!(roots(&world)[0], tops(&[&new])[0]);
    world.run(now, now + minutes(90));
    assert_eq!(roots(&world), tops(&[&new]));
    assert_eq!(world.issued.len(), 2);
}

fn world_at_end(mut world: World, end: Timestamp) -> World {
    let step = world.reconcile(end + minutes(1));
    assert!(matches!(step.plan, Plan::Blocked { .. }), "{step:?}");
    assert_eq!(world.condition("Ready").unwrap().reason, "Expired");
    world
}

#[test]
fn an_intermediate_replaced_under_the_same_root_is_followed_in_turn() {
    let root = root();
    let (old, new) = (
        root.below("A", "2026-01-02", &days(3000)),
        root.below("B", "2026-01-02", &days(3000)),
    );
    let mut world = held_by(&old);
    assert_eq!(
        fingerprints(&world.stored("tls.crt"))[1..],
        [old.facts().fingerprint.to_string()]
    );
    world.sign_by(&new);
    world.reconcile(at(NOON));
    assert_eq!(roots(&world), tops(&[&root]));
    assert_eq!(
        fingerprints(&world.stored("tls.crt"))[1..],
        [old.facts().fingerprint.to_string()]
    );
    world.run(at(NOON), at(NOON) + minutes(120));
    assert_eq!(world.issued.len(), 2);
    assert_eq!(
        fingerprints(&world.stored("tls.crt"))[1..],
        [new.facts().fingerprint.to_string()]
    );
    assert_eq!(roots(&world), tops(&[&root]));
}

#[test]
fn an_intermediate_signed_anew_by_its_root_only_repairs() {
    let root = root();
    let old = root.below("A", "2026-01-02", &days(3000));
    let new = old.signed_anew_by(&root, "2026-11-01", &days(3000));
    let mut world = held_by(&old);
    world.sign_by(&new);
    world.run(at(NOON), at("2026-11-03"));
    assert_eq!(
        fingerprints(&world.stored("tls.crt"))[1..],
        [new.facts().fingerprint.to_string()]
    );
    assert_eq!(roots(&world), tops(&[&root]));
    assert_eq!((world.issued.len(), world.repaired.len()), (1, 1));
}

#[test]
fn an_intermediate_signed_anew_by_another_root_is_followed_like_a_new_key() {
    let (first, second) = (root(), root());
    let old = first.below("A", "2026-01-02", &days(3000));
    let new = old.signed_anew_by(&second, "2026-11-01", &days(3000));
    let mut world = held_by(&old);
    let above = |world: &World| fingerprints(&world.stored("tls.crt"))[1..].to_vec();
    let before = above(&world);
    world.sign_by(&new);
    world.reconcile(at(NOON));
    assert_eq!(roots(&world), tops(&[&second, &first]));
    assert_eq!(above(&world), before, "clients don't know the new root yet");
    let due = due(&world, at(NOON));
    world.run(at(NOON), due - minutes(1));
    assert_eq!((world.issued.len(), above(&world)), (1, before));
    world.old_leaves = OldLeaves::GoneSince(due);
    world.run(due, due);
    let after = [new.facts().fingerprint.to_string()];
    assert_eq!(world.issued[1..], [(due, IssueReason::CaReplaced)]);
    assert_eq!(above(&world), after);
    assert_eq!(roots(&world), tops(&[&second, &first]));
    // Whoever takes the chain out has it put back, and no more.
    world.edit("editor", due + minutes(1), |secret| {
        let crt = &mut data(secret).get_mut("tls.crt").unwrap().0;
        let mark = b"-----END CERTIFICATE-----\n";
        let end = crt.windows(mark.len()).position(|found| found == mark);
        crt.truncate(end.unwrap() + mark.len());
    });
    world.run(due + minutes(1), at(NOON) + minutes(120));
    assert_eq!((world.issued.len(), above(&world)), (2, after.to_vec()));
    assert_eq!(roots(&world), tops(&[&second]));
}

#[test]
fn an_intermediate_below_another_root_keeps_both_roots() {
    let (first, second) = (root(), root());
    let old = first.below("A", "2026-01-02", &days(3000));
    let new = second.below("B", "2026-01-02", &days(3000));
    let mut world = held_by(&old);
    world.sign_by(&new);
    world.reconcile(at(NOON));
    assert_eq!(roots(&world), tops(&[&second, &first]));
}

#[test]
fn a_renewal_that_is_due_when_the_key_is_replaced_waits_for_clients_to_read_the_new_root() {
    let (old, new) = (root(), root());
    let mut world = held_by(&old);
    world.sign_by(&new);
    let now = at("2027-01-02");
    assert!(matches!(world.plan("2027-01-02"), Plan::Repair { .. }));
    world.run(now, now + minutes(4));
    assert_eq!(
        (world.issued.len(), roots(&world)),
        (1, tops(&[&new, &old]))
    );
    world.run(now + minutes(4), now + minutes(59));
    assert_eq!(world.issued.len(), 2);
    assert_eq!(roots(&world), tops(&[&new, &old]));
}

#[test]
fn a_renewal_by_hand_waits_likewise_and_is_answered_by_what_follows() {
    let (old, new) = (root(), root());
    let mut world = held_by(&old).asked("1");
    world.sign_by(&new);
    world.run(at(NOON), at(NOON) + minutes(120));
    assert_eq!(world.issued.len(), 2);
    assert!(world.issued[1].0 >= at(NOON) + minutes(5));
    assert_eq!(world.status().last_renew_request.as_deref(), Some("1"));
}

#[test]
fn a_changed_request_does_not_wait_and_keeps_the_old_root() {
    let (old, new) = (root(), root());
    let more = |spec: &mut crate::api::CertificateSpec| spec.dns_names.push("a.example".into());
    // Both in one moment, and after the new root was added.
    for seen in [false, true] {
        let mut world = held_by(&old);
        world.old_leaves = OldLeaves::Held;
        world.sign_by(&new);
        if seen {
            world.reconcile(at(NOON));
        }
        let now = at(NOON) + minutes(1);
        world.change(more);
        world.reconcile(now);
        assert_eq!(world.issued.len(), 2);
        assert_eq!(roots(&world), tops(&[&new, &old]), "{seen}");
        world.run(now, now + minutes(120));
        assert_eq!(roots(&world), tops(&[&new, &old]), "{seen}");
        world.old_leaves = OldLeaves::GoneSince(now + minutes(120));
        world.run(now + minutes(120), now + minutes(240));
        assert_eq!(roots(&world), tops(&[&new]), "{seen}");
        assert_eq!(world.issued.len(), 2);
    }
}

#[test]
fn another_issuer_in_the_spec_replaces_the_root() {
    let (old, new) = (root(), root());
    let mut world = held_by(&old);
    world.change(|spec| spec.issuer_ref.name = "other".into());
    world.sign_by(&new);
    world.reconcile(at(NOON));
    assert_eq!(roots(&world), tops(&[&new]));
}

#[test]
fn a_leaf_with_little_time_left_follows_before_it_expires() {
    let (old, new) = (root(), root());
    let mut world = Given::certificate("web")
        .by(&old)
        .with(|spec| spec.duration = Some("1h".into()))
        .issued(NOON);
    let now = at(NOON) + minutes(54);
    world.sign_by(&new);
    world.run(now, now + minutes(5));
    assert_eq!(
        world.issued[1..],
        [(now + minutes(3), IssueReason::CaReplaced)]
    );
}

#[test]
fn an_overlap_is_a_tenth_of_the_remaining_life_at_most() {
    let (old, new) = (root(), root());
    for number in 0..10 {
        let mut world = Given::certificate(&format!("web-{number}"))
            .by(&old)
            .with(|spec| spec.duration = Some("3h".into()))
            .issued(NOON);
        world.sign_by(&new);
        world.reconcile(at(NOON));
        let due = due(&world, at(NOON));
        assert!(
            (at(NOON) + minutes(5)..=at(NOON) + minutes(18)).contains(&due),
            "{due}"
        );
    }
}

#[test]
fn a_new_root_taken_out_again_and_again_is_contested() {
    let (old, new) = (root(), root());
    let mut world = held_by(&old);
    let before = data(world.secret.as_mut().unwrap())["ca.crt"].clone();
    world.sign_by(&new);
    for second in 0..60 {
        let now = at(NOON) + SignedDuration::from_secs(second);
        world.reconcile(now);
        world.edit("trust-bundle", now, |secret| {
            data(secret).insert("ca.crt".into(), before.clone());
        });
    }
    assert!(world.repaired.len() <= 6, "{}", world.repaired.len());
    assert!(
        world
            .status()
            .last_failure
            .as_ref()
            .unwrap()
            .message
            .contains("\"trust-bundle\"")
    );
}

#[test]
fn a_replacement_noted_under_a_clock_a_day_ahead_begins_anew() {
    let (old, new) = (root(), root());
    let mut world = held_by(&old);
    world.sign_by(&new);
    world.reconcile(at("2026-11-03T12:00:00Z"));
    let plan = world.plan(NOON);
    let Plan::Repair { what, .. } = &plan else {
        panic!("{plan:?}")
    };
    assert!(what.contains(&Flaw::NewRoot));
    world.run(at(NOON), at(NOON) + minutes(60));
    assert!(world.leaf().is_signed_by(new.authority().certificate()));
    assert!(matches!(world.issuer, Issuer::Ready(_)));
}
