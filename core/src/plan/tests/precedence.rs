//! Where two neighbouring rules hold, the first one counts.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::cas::{Ca, root};
use super::rules::{blocked, held, issue, not_ours, put, restore};
use super::secret::data;
use super::world::{Given, World, at, days};
use crate::api::CertificateSpec;
use crate::api::certificate::{PrivateKey, RotationPolicy};
use crate::plan::observed::PairFlaw;
use crate::plan::{BlockReason, IssueReason, Plan, Undoes};

const NOON: &str = "2026-11-02T12:00:00Z";

fn nonsense(spec: &mut CertificateSpec) {
    spec.literal_subject = Some("nonsense".into());
}

fn more(spec: &mut CertificateSpec) {
    spec.dns_names.push("a.example".into());
}

fn keeping_its_key() -> World {
    Given::certificate("web")
        .by(&root())
        .with(|spec| {
            spec.private_key = Some(PrivateKey {
                rotation_policy: Some(RotationPolicy::Never),
                ..PrivateKey::default()
            });
        })
        .issued("2026-11-02")
        .changed(|spec| spec.private_key.as_mut().unwrap().size = Some(384))
}

fn why(plan: &Plan) -> &BlockReason {
    match plan {
        Plan::Blocked { why } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn deleting_goes_before_an_invalid_spec() {
    assert_eq!(held().changed(nonsense).deleted().plan(NOON), Plan::Leave);
}

#[test]
fn an_invalid_spec_goes_before_a_secret_in_the_way() {
    for world in [held().claimed_by("api"), held().edited(NOON, not_ours)] {
        let plan = world.changed(nonsense).plan(NOON);
        assert!(
            matches!(why(&plan), BlockReason::InvalidSpec(_)),
            "{plan:?}"
        );
    }
}

#[test]
fn another_owner_goes_before_a_foreign_secret() {
    let plan = held().edited(NOON, not_ours).claimed_by("api").plan(NOON);
    assert_eq!(plan, blocked(BlockReason::SecretOwnedByOther("api".into())));
}

#[test]
fn a_foreign_secret_goes_before_one_being_deleted() {
    let plan = held()
        .edited(NOON, |secret| {
            not_ours(secret);
            secret.metadata.deletion_timestamp = Some(Time(at(NOON)));
        })
        .plan(NOON);
    assert_eq!(plan, blocked(BlockReason::ForeignSecret));
}

#[test]
fn a_secret_being_deleted_goes_before_an_immutable_one() {
    let plan = held()
        .changed(more)
        .edited(NOON, |secret| {
            secret.immutable = Some(true);
            secret.metadata.deletion_timestamp = Some(Time(at(NOON)));
        })
        .plan(NOON);
    assert_eq!(plan, blocked(BlockReason::SecretBeingDeleted));
}

#[test]
fn a_secret_in_the_way_goes_before_keeping_what_is_right() {
    let plan = held().claimed_by("api").plan(NOON);
    assert_eq!(plan, blocked(BlockReason::SecretOwnedByOther("api".into())));
}

#[test]
fn a_secret_in_the_way_goes_before_a_hold_off_and_a_missing_issuer() {
    let refused = || held().changed(more).refused(NOON);
    let soon = "2026-11-02T12:00:05Z";
    assert!(matches!(refused().plan(soon), Plan::Hold { .. }));
    for world in [refused(), refused().without_issuer()] {
        let plan = world.edited(soon, not_ours).plan(soon);
        assert_eq!(plan, blocked(BlockReason::ForeignSecret));
    }
}

#[test]
fn keeping_goes_before_a_hold_off() {
    // The try that failed was for a renewal by hand; the wish was taken back.
    let mut world = held().asked("1").refused(NOON);
    let soon = "2026-11-02T12:00:05Z";
    assert!(matches!(world.plan(soon), Plan::Hold { .. }));
    world.certificate.metadata.annotations = None;
    assert!(matches!(world.plan(soon), Plan::Keep { .. }));
    world.reconcile(at(soon));
    assert_eq!(world.status().last_failure, None);
}

#[test]
fn keeping_and_repairing_go_before_a_missing_issuer() {
    assert!(matches!(
        held().without_issuer().plan(NOON),
        Plan::Keep { .. }
    ));
    let relabelled = held().without_issuer().edited(NOON, |secret| {
        secret.metadata.labels = None;
    });
    assert!(matches!(relabelled.plan(NOON), Plan::Repair { .. }));
}

#[test]
fn issuing_goes_before_repairing() {
    let world = held()
        .changed(more)
        .edited(NOON, |secret| drop(data(secret).remove("ca.crt")));
    assert!(matches!(world.plan(NOON), Plan::Issue { .. }));
}

#[test]
fn a_hold_off_goes_before_an_issuer_that_is_ready_but_for_the_key() {
    let world = keeping_its_key();
    let plan = world.plan(NOON);
    assert!(matches!(why(&plan), BlockReason::KeyCannotStay { .. }));
    // The last try was for the very same; it failed before the key was there.
    let mut world = keeping_its_key();
    let secret = world.secret.take();
    let mut world = world.refused(NOON);
    world.secret = secret;
    let plan = world.plan("2026-11-02T12:00:05Z");
    assert!(matches!(plan, Plan::Hold { .. }), "{plan:?}");
}

#[test]
fn a_hold_off_is_for_the_issuer_that_refused_so_one_that_is_gone_blocks() {
    let refused = || Given::certificate("web").by(&root()).refused(NOON);
    let soon = "2026-11-02T12:00:05Z";
    let plan = refused().without_issuer().plan(soon);
    assert_eq!(
        plan,
        blocked(BlockReason::IssuerNotFound(IssueReason::Missing))
    );
    let plan = refused().lapsed("expired").plan(soon);
    assert!(matches!(why(&plan), BlockReason::IssuerNotReady { .. }));
}

#[test]
fn a_contest_holds_off_whatever_the_issuer_is() {
    let mut world = held();
    for second in 0..2 {
        world.secret = None;
        world.reconcile(at(NOON) + jiff::SignedDuration::from_secs(second));
    }
    let world = world.without_secret().without_issuer();
    let plan = world.plan("2026-11-02T12:00:03Z");
    assert!(
        matches!(
            plan,
            Plan::Hold {
                why: IssueReason::Missing,
                ..
            }
        ),
        "{plan:?}"
    );
}

#[test]
fn a_missing_issuer_goes_before_a_key_that_can_not_stay() {
    for world in [
        keeping_its_key().without_issuer(),
        keeping_its_key().lapsed("expired"),
    ] {
        let plan = world.plan(NOON);
        let issuer = matches!(
            why(&plan),
            BlockReason::IssuerNotFound(_) | BlockReason::IssuerNotReady { .. }
        );
        assert!(issuer, "{plan:?}");
    }
}

#[test]
fn a_key_that_can_not_stay_goes_before_issuing() {
    // Even where the certificate has expired, which would be reason enough.
    let plan = keeping_its_key().plan("2027-02-01");
    assert!(matches!(why(&plan), BlockReason::KeyCannotStay { .. }));
}

/// The Secret holds a pair for other names.
fn drifted(world: World) -> World {
    let spec = |spec: &mut CertificateSpec| spec.dns_names = vec!["b.example".into()];
    let other = Given::certificate("web")
        .by(&root())
        .with(spec)
        .issued("2026-11-02");
    let other = other.secret.unwrap().data.unwrap();
    world.edited(NOON, |secret| {
        put(secret, "tls.crt", &other["tls.crt"].0);
        put(secret, "tls.key", &other["tls.key"].0);
    })
}

/// The CA's key was replaced, and clients had their time.
fn following() -> World {
    let mut world = held();
    world.sign_by(&Ca::root("Next", "2026-01-01", &days(3650)));
    world.reconcile(at("2026-11-02T01:00:00Z"));
    assert_eq!(world.repaired.len(), 1);
    world
}

/// The reasons of rule 7 in their order, each with a world where the next one holds too.
#[test]
fn reasons_to_issue_count_in_their_order() {
    let asked = |world: World| world.asked("1");
    let broken = PairFlaw::Missing("tls.crt");
    let other_key = data(&mut held().secret.unwrap())["tls.key"].0.clone();
    let misfit = |world: World| world.edited(NOON, |secret| put(secret, "tls.key", &other_key));
    let empty = |world: World| world.edited(NOON, |secret| drop(data(secret).remove("tls.crt")));
    let table = [
        (
            "missing, asked",
            asked(held()).without_secret(),
            NOON,
            restore(IssueReason::Missing),
        ),
        // With neither certificate nor a key that fits it.
        (
            "broken, misfit",
            empty(misfit(held())),
            NOON,
            restore(IssueReason::Broken(broken)),
        ),
        (
            "misfit, changed",
            misfit(held().changed(more)),
            NOON,
            issue_of_misfit(),
        ),
        (
            "changed, drifted",
            drifted(held()).changed(more),
            NOON,
            issue(IssueReason::RequestChanged(vec![
                "it lacks the DNS name a.example, www.example.com".into(),
                "it has the DNS name b.example that was not asked for".into(),
            ])),
        ),
        (
            "drifted, replaced",
            drifted(following()),
            NOON,
            restore(IssueReason::Drift(vec![
                "it lacks the DNS name www.example.com".into(),
                "it has the DNS name b.example that was not asked for".into(),
            ])),
        ),
        (
            "replaced, expired",
            following(),
            "2027-02-01",
            issue(IssueReason::CaReplaced),
        ),
        (
            "expired, due",
            held(),
            "2027-02-01",
            issue(IssueReason::Expired(at("2027-01-31"))),
        ),
        (
            "due, asked",
            asked(held()),
            "2027-01-02",
            issue(IssueReason::Due),
        ),
        (
            "asked",
            asked(held()),
            NOON,
            issue(IssueReason::AskedByHand("1".into())),
        ),
    ];
    for (name, world, now, plan) in table {
        assert_eq!(world.plan(now), plan, "{name}");
    }
}

/// Under a spec that nobody looked at yet, a key that doesn't fit undoes nothing.
fn issue_of_misfit() -> Plan {
    Plan::Issue {
        why: IssueReason::KeyDoesNotFit,
        undoes: Undoes::Nothing,
    }
}
