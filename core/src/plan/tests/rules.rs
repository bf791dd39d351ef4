//! Each rule of [`plan`](crate::plan::plan) alone, in its order; rules 4 and 7 are in files of their own.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::cas::root;
use super::secret::{annotations, data, labels};
use super::world::{Given, World, at};
use crate::api::certificate::{PrivateKey, RotationPolicy};
use crate::pki::KeySpec;
use crate::plan::{BlockReason, Flaw, IssueReason, Plan, Undoes};

pub(super) fn held() -> World {
    Given::certificate("web").by(&root()).issued("2026-11-02")
}

pub(super) fn issue(why: IssueReason) -> Plan {
    Plan::Issue {
        why,
        undoes: Undoes::Nothing,
    }
}

/// The first time in a while that it undoes what somebody did.
pub(super) fn restore(why: IssueReason) -> Plan {
    Plan::Issue {
        why,
        undoes: Undoes::Change,
    }
}

pub(super) fn repair(flaws: &[Flaw], undoes: Undoes) -> Plan {
    Plan::Repair {
        what: flaws.iter().copied().collect(),
        undoes,
    }
}

pub(super) fn blocked(why: BlockReason) -> Plan {
    Plan::Blocked { why }
}

pub(super) fn not_ours(secret: &mut Secret) {
    labels(secret).remove("certwright.dev/managed");
    annotations(secret).remove("certwright.dev/certificate-name");
}

pub(super) fn put(secret: &mut Secret, key: &str, value: &[u8]) {
    data(secret).insert(key.to_owned(), ByteString(value.to_vec()));
}

pub(super) fn key(change: impl FnOnce(&mut PrivateKey)) -> Option<PrivateKey> {
    let mut key = PrivateKey::default();
    change(&mut key);
    Some(key)
}

const NOON: &str = "2026-11-02T12:00:00Z";

#[test]
fn rule_0_a_certificate_being_deleted_is_left() {
    assert_eq!(held().without_secret().deleted().plan(NOON), Plan::Leave);
}

#[test]
fn rule_1a_a_spec_that_no_certificate_can_say_is_blocked() {
    let world = held().changed(|spec| spec.literal_subject = Some("nonsense".into()));
    let Plan::Blocked {
        why: BlockReason::InvalidSpec(problem),
    } = world.plan(NOON)
    else {
        panic!("{:?}", world.plan(NOON))
    };
    assert_eq!(problem.field, "spec.literalSubject");
}

#[test]
fn rule_2_a_secret_that_is_not_ours_to_change_blocks() {
    let deleting = |secret: &mut Secret| {
        secret.metadata.deletion_timestamp = Some(Time(at("2026-11-02")));
    };
    let immutable = |secret: &mut Secret| secret.immutable = Some(true);
    for (name, world, why) in [
        (
            "claimed",
            held().claimed_by("api"),
            BlockReason::SecretOwnedByOther("api".into()),
        ),
        (
            "foreign",
            held().edited(NOON, not_ours),
            BlockReason::ForeignSecret,
        ),
        (
            "going",
            held().edited(NOON, deleting),
            BlockReason::SecretBeingDeleted,
        ),
        (
            "immutable, to be issued",
            held()
                .edited(NOON, immutable)
                .changed(|spec| spec.dns_names.push("example.com".into())),
            BlockReason::ImmutableSecret,
        ),
        (
            "immutable, to be repaired",
            held()
                .edited(NOON, immutable)
                .edited(NOON, |secret| drop(data(secret).remove("ca.crt"))),
            BlockReason::ImmutableSecret,
        ),
    ] {
        assert_eq!(world.plan(NOON), blocked(why), "{name}");
    }
}

#[test]
fn rule_2_an_immutable_secret_that_is_right_is_kept() {
    let world = held().edited(NOON, |secret| secret.immutable = Some(true));
    assert!(matches!(world.plan(NOON), Plan::Keep { .. }));
}

#[test]
fn rule_2_our_label_or_our_annotation_makes_it_ours() {
    let label = |secret: &mut Secret| drop(labels(secret).remove("certwright.dev/managed"));
    let name = |secret: &mut Secret| {
        annotations(secret).remove("certwright.dev/certificate-name");
    };
    assert_eq!(
        held().edited(NOON, label).plan(NOON),
        repair(&[Flaw::Labels], Undoes::Change)
    );
    assert_eq!(
        held().edited(NOON, name).plan(NOON),
        repair(&[Flaw::Annotations], Undoes::Change)
    );
}

#[test]
fn rule_5_the_issuer_is_left_alone_after_a_failure() {
    let world = || Given::certificate("web").by(&root()).refused(NOON);
    let Plan::Hold { until, why } = world().plan("2026-11-02T12:00:05Z") else {
        panic!("{:?}", world().plan("2026-11-02T12:00:05Z"))
    };
    assert!(
        (at("2026-11-02T12:00:07Z")..=at("2026-11-02T12:00:10Z")).contains(&until),
        "{until}"
    );
    assert_eq!(why, IssueReason::Missing);
    let soon = "2026-11-02T12:00:05Z";
    for (name, world, now) in [
        ("it has run out", world(), "2026-11-02T12:00:10Z"),
        (
            "another request",
            world().changed(|spec| spec.dns_names.push("a.example".into())),
            soon,
        ),
        ("another CA", world().by(&root()), soon),
        ("asked anew", world().asked("1"), soon),
        ("the clock was a day ahead", world(), "2026-11-01T12:00:00Z"),
    ] {
        assert_eq!(world.plan(now), issue(IssueReason::Missing), "{name}");
    }
}

#[test]
fn rule_5_asking_by_hand_ends_a_hold_off_once() {
    let world = Given::certificate("web")
        .by(&root())
        .refused(NOON)
        .asked("1")
        .refused("2026-11-02T12:00:05Z");
    assert!(matches!(
        world.plan("2026-11-02T12:00:06Z"),
        Plan::Hold { .. }
    ));
    assert_eq!(
        world.asked("2").plan("2026-11-02T12:00:06Z"),
        issue(IssueReason::Missing)
    );
}

#[test]
fn rule_6_without_an_issuer_nothing_is_issued() {
    let world = Given::certificate("web");
    assert_eq!(
        world.plan(NOON),
        blocked(BlockReason::IssuerNotFound(IssueReason::Missing))
    );
    let message = "the CA has expired".to_owned();
    assert_eq!(
        world.lapsed("the CA has expired").plan(NOON),
        blocked(BlockReason::IssuerNotReady {
            message,
            wanted: IssueReason::Missing
        })
    );
}

#[test]
fn rule_6_a_key_that_must_stay_and_can_not_blocks() {
    let world = Given::certificate("web")
        .by(&root())
        .with(|spec| {
            spec.private_key = key(|key| key.rotation_policy = Some(RotationPolicy::Never))
        })
        .issued("2026-11-02")
        .changed(|spec| {
            let key = spec.private_key.as_mut().unwrap();
            key.size = Some(384);
        });
    let why = BlockReason::KeyCannotStay {
        held: KeySpec::Ecdsa(256),
        asked: KeySpec::Ecdsa(384),
    };
    assert_eq!(world.plan(NOON), blocked(why));
    assert_eq!(
        world.without_secret().plan(NOON),
        issue(IssueReason::Missing)
    );
}

#[test]
fn rule_6_a_key_that_must_stay_stays() {
    let mut world = Given::certificate("web")
        .by(&root())
        .with(|spec| {
            spec.private_key = key(|key| key.rotation_policy = Some(RotationPolicy::Never))
        })
        .issued("2026-11-02");
    let first = world.leaf();
    world.change(|spec| spec.dns_names.push("a.example".into()));
    world.reconcile(at(NOON));
    assert_ne!(world.leaf(), first);
    assert_eq!(world.leaf().public_key, first.public_key);
}
