//! What is kept, comes back where workloads refuse the new one, and stays for a while.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::cas::root;
use super::world::{Given, World, at, days};
use crate::api::ConditionStatus;
use crate::api::certificate::{
    KeyAlgorithm, PrivateKey, RefusedStatus, RenewalPolicy, RevocationState, RevocationStatus,
    RollBackPolicy, Rollout, RolloutStatus,
};
use crate::plan::held_back::Stays;
use crate::plan::status::ROLL_BACK_FAILED;
use crate::plan::{IssueReason, Plan};

const FIRST: &str = "2026-11-02";
const NEXT: &str = "2026-11-03";
const REFUSED: &str = "2026-11-03T00:10:00Z";
const LATER: &str = "2026-11-03T01:00:00Z";
/// A fifth of the life of one that was issued at first.
const FIFTH: &str = "2027-01-13T00:00:00Z";

fn going_back() -> World {
    let world = Given::certificate("web").by(&root());
    world.with(|spec| spec.rollout = rolls_back())
}

pub(super) fn rolls_back() -> Option<Rollout> {
    Some(Rollout {
        roll_back: Some(RollBackPolicy::Enabled),
        ..Rollout::default()
    })
}

fn another_key(world: World) -> World {
    world.changed(|spec| {
        spec.private_key = Some(PrivateKey {
            algorithm: Some(KeyAlgorithm::Ed25519),
            ..PrivateKey::default()
        });
    })
}

/// Issued, and issued again for another key.
fn renewed() -> World {
    another_key(going_back().issued(FIRST)).issued(NEXT)
}

/// The same, refused, and put back.
fn put_back() -> World {
    let mut world = renewed();
    world.refuse();
    let step = world.reconcile(at(REFUSED));
    assert_eq!(step.plan, Plan::Restore);
    world
}

impl World {
    /// A workload refuses what is held.
    pub(super) fn refuse(&mut self) {
        let fingerprint = self.leaf().fingerprint.to_string();
        self.refuse_this(&fingerprint);
    }

    fn refuse_this(&mut self, fingerprint: &str) {
        let status = self.certificate.status.as_mut().unwrap();
        status.rollout = Some(RolloutStatus {
            refused: Some(RefusedStatus {
                fingerprint: fingerprint.to_owned(),
                kind: "Deployment".to_owned(),
                name: "web".to_owned(),
                message: "container web of Pod web-1 ends with exit code 1".to_owned(),
                since: Time(at(REFUSED)),
            }),
            ..RolloutStatus::default()
        });
    }

    fn revoke(&mut self, serial: &str) {
        self.heard.revocation = Some(RevocationStatus {
            request: format!("{serial}:keyCompromise"),
            state: RevocationState::Revoked,
            serial_number: None,
            message: String::new(),
            time: Time(at(NEXT)),
            attempts: None,
            next_try: None,
        });
    }
}

#[test]
fn the_one_before_is_kept_where_that_is_asked_for() {
    let world = Given::certificate("web").by(&root()).issued(FIRST);
    assert_eq!(world.asked("1").issued(NEXT).kept, None);

    let world = going_back().issued(FIRST);
    assert_eq!(world.kept, None);
    let first = world.leaf();
    let world = world.asked("1").issued(NEXT);
    let kept = world.kept.as_ref().unwrap();
    assert_eq!(kept.type_.as_deref(), Some("Opaque"));
    let labels: Vec<_> = kept.metadata.labels.as_ref().unwrap().keys().collect();
    assert_eq!(labels, ["certwright.dev/previous-pair"]);
    let keys: Vec<_> = kept.data.as_ref().unwrap().keys().collect();
    assert_eq!(keys, ["ca.crt", "tls.crt", "tls.key"]);
    let told = world.status().previous.as_ref().unwrap();
    assert_eq!(told.fingerprint, first.fingerprint.to_string());
    assert_eq!(told.serial_number, first.serial_hex());
    assert_eq!(told.usable_until.0, at(FIFTH));
}

#[test]
fn only_the_last_one_is_kept() {
    let world = going_back().issued(FIRST).asked("1").issued(NEXT);
    let second = world.leaf();
    let world = world.asked("2").issued(LATER);
    let told = world.status().previous.as_ref().unwrap();
    assert_eq!(told.fingerprint, second.fingerprint.to_string());
}

#[test]
fn one_that_was_not_good_is_not_kept_and_nor_is_the_one_before_it() {
    let renewed = || going_back().issued(FIRST).asked("1").issued(NEXT);
    let mut revoked = renewed().asked("2");
    let serial = revoked.leaf().serial_hex();
    revoked.revoke(&serial);
    let broken = renewed().edited(LATER, |secret| {
        secret.data.as_mut().unwrap().remove("tls.key");
    });
    for (name, world) in [("revoked", revoked), ("broken", broken)] {
        assert!(world.kept.is_some(), "{name}");
        let world = world.issued(LATER);
        assert_eq!(world.kept, None, "{name}");
        assert_eq!(world.status().previous, None, "{name}");
    }
    // Renewed so late that it can't come back.
    let late = going_back()
        .with(|spec| spec.renew_before = Some("240h".into()))
        .issued(FIRST)
        .asked("1")
        .issued("2027-01-14");
    assert_eq!(late.kept, None);
    assert_eq!(late.status().previous, None);
}

#[test]
fn what_is_refused_makes_room_for_the_one_before() {
    let mut world = renewed();
    let refused = world.leaf();
    assert!(matches!(world.plan(REFUSED), Plan::Keep { .. }));
    world.refuse();
    let step = world.reconcile(at(REFUSED));
    assert_eq!(step.plan, Plan::Restore);
    assert_ne!(world.leaf().fingerprint, refused.fingerprint);
    assert_eq!(world.leaf().not_before, at(FIRST));
    assert_eq!(world.stored("ca.crt").len(), 1);
    let status = world.status();
    assert_eq!(status.revision, Some(3));
    assert_eq!(status.previous, None);
    let held_back = status.held_back.as_ref().unwrap();
    assert_eq!(held_back.fingerprint, refused.fingerprint.to_string());
    assert_eq!(held_back.serial_number, refused.serial_hex());
    assert_eq!(held_back.restored, world.leaf().fingerprint.to_string());
    assert_eq!(
        held_back.message,
        "Deployment web: container web of Pod web-1 ends with exit code 1"
    );
    let ready = world.condition("Ready").unwrap();
    assert_eq!(ready.status, ConditionStatus::False);
    assert_eq!(ready.reason, "HeldBack");
    assert!(ready.message.contains(&refused.serial_hex()), "{ready:?}");
    assert!(ready.message.contains(FIFTH), "{ready:?}");
    let observed = world.observed().unwrap();
    // What was started since it was issued runs with the refused one.
    assert_eq!(observed.issued_at(), Some(at(REFUSED)));
    assert_eq!(world.repaired, []);
}

#[test]
fn one_that_is_what_the_spec_asks_for_is_ready() {
    let mut world = going_back().issued(FIRST).asked("1").issued(NEXT);
    world.refuse();
    assert_eq!(world.reconcile(at(REFUSED)).plan, Plan::Restore);
    let ready = world.condition("Ready").unwrap();
    assert_eq!(ready.status, ConditionStatus::True);
    assert!(ready.message.contains("is held back"), "{ready:?}");
}

#[test]
fn it_stays_until_a_fifth_of_its_life_is_left() {
    for policy in [None, Some(RenewalPolicy::Disabled)] {
        let mut world = put_back();
        if let Some(policy) = policy {
            // No new request: what is asked for is the same.
            world.certificate.spec.renewal = Some(crate::api::certificate::Renewal {
                policy,
                ..Default::default()
            });
        }
        let writes = world.status_writes;
        world.run(at(LATER), at("2027-01-12T23:59:59Z"));
        assert_eq!(world.issued.len(), 2, "{policy:?}");
        assert!(world.status_writes <= writes + 1, "{policy:?}");
        assert!(world.status().held_back.is_some());
        let step = world.reconcile(at(FIFTH));
        assert!(
            matches!(
                &step.plan,
                Plan::Issue {
                    why: IssueReason::RequestChanged(_),
                    ..
                }
            ),
            "{step:?}"
        );
        assert_eq!(world.status().held_back, None);
        assert_eq!(
            world.condition("Ready").unwrap().status,
            ConditionStatus::True
        );
    }
}

#[test]
fn one_that_is_due_by_itself_is_renewed_at_that_time_too() {
    let mut world = going_back().issued(FIRST).asked("1").issued(NEXT);
    world.refuse();
    world.reconcile(at(REFUSED));
    let renewal = world.status().renewal_time.clone().unwrap();
    assert_eq!(renewal.0, at(FIFTH));
    world.run(at(LATER), at("2027-01-12T23:59:59Z"));
    assert_eq!(world.issued.len(), 2);
    let step = world.reconcile(at(FIFTH));
    assert!(
        matches!(
            step.plan,
            Plan::Issue {
                why: IssueReason::Due,
                ..
            }
        ),
        "{step:?}"
    );
}

#[test]
fn something_else_that_is_asked_for_ends_it() {
    let mut world = put_back();
    world.change(|spec| spec.private_key = None);
    assert!(
        matches!(world.plan(LATER), Plan::Keep { .. }),
        "the spec it was issued for"
    );
    let step = world.reconcile(at(LATER));
    assert!(matches!(step.plan, Plan::Keep { .. }));
    assert_eq!(world.status().held_back, None);
    assert_eq!(
        world.condition("Ready").unwrap().status,
        ConditionStatus::True
    );

    let world =
        another_key(put_back()).changed(|spec| spec.duration = Some(days(60).as_str().into()));
    assert!(matches!(world.plan(LATER), Plan::Issue { .. }));

    let mut world = put_back().asked("again").issued(LATER);
    // It may be refused once more.
    world.refuse();
    assert_eq!(
        world.reconcile(at("2026-11-03T02:00:00Z")).plan,
        Plan::Restore
    );
    assert!(matches!(
        world.plan("2026-11-03T03:00:00Z"),
        Plan::Keep { .. }
    ));
}

#[test]
fn a_revoked_one_is_not_held_back() {
    let mut world = put_back();
    let serial = world.leaf().serial_hex();
    world.revoke(&serial);
    assert!(matches!(world.plan(LATER), Plan::Issue { .. }));
}

#[test]
fn a_status_that_was_not_written_is_made_good() {
    let mut world = renewed();
    world.refuse();
    world.loses_status = true;
    assert_eq!(world.reconcile(at(REFUSED)).plan, Plan::Restore);
    assert_eq!(world.status().held_back, None);
    let step = world.reconcile(at(LATER));
    assert!(matches!(step.plan, Plan::Keep { .. }), "{step:?}");
    assert!(world.status().held_back.is_some());
    assert_eq!(world.issued.len(), 2);
}

#[test]
fn what_stands_in_the_way_of_going_back_is_told() {
    let refused = || {
        let mut world = renewed();
        world.refuse();
        world
    };
    let mut gone = refused();
    gone.kept = None;
    let mut revoked = refused();
    let serial = revoked.status().previous.clone().unwrap().serial_number;
    revoked.revoke(&serial);
    let mut immutable = refused();
    immutable.edit("kubectl-edit", at(NEXT), |secret| {
        secret.immutable = Some(true);
    });
    for (mut world, reason) in [
        (gone, "NothingKept"),
        (revoked, "PreviousRevoked"),
        (immutable, "ImmutableSecret"),
    ] {
        let held = world.leaf();
        let step = world.reconcile(at(REFUSED));
        assert!(matches!(step.plan, Plan::Keep { .. }), "{reason}: {step:?}");
        assert_eq!(world.leaf().fingerprint, held.fingerprint);
        let told = world.condition(ROLL_BACK_FAILED).unwrap();
        assert_eq!(told.status, ConditionStatus::True);
        assert_eq!(told.reason, reason);
        let writes = world.status_writes;
        world.refuse();
        world.run(at(LATER), at("2026-11-04"));
        assert_eq!(world.status_writes, writes, "{reason}");
    }
}

#[test]
fn a_condition_goes_with_its_reason() {
    let mut world = renewed();
    world.kept = None;
    world.refuse();
    world.reconcile(at(REFUSED));
    assert!(world.condition(ROLL_BACK_FAILED).is_some());
    world.certificate.status.as_mut().unwrap().rollout = None;
    world.reconcile(at(LATER));
    assert_eq!(world.condition(ROLL_BACK_FAILED), None);
}

#[test]
fn what_a_status_says_of_another_certificate_moves_nothing() {
    let mut world = renewed();
    let first = world.status().previous.clone().unwrap().fingerprint;
    for fingerprint in [first.as_str(), "", "x"] {
        world.refuse_this(fingerprint);
        assert!(
            matches!(world.plan(REFUSED), Plan::Keep { .. }),
            "{fingerprint:?}"
        );
    }
    let mut world = put_back();
    // What was put back is refused too, and nothing else is kept.
    world.refuse();
    let step = world.reconcile(at(LATER));
    assert!(matches!(step.plan, Plan::Keep { .. }), "{step:?}");
    let told = world.condition(ROLL_BACK_FAILED).unwrap();
    assert_eq!(told.reason, "NothingKept");
    assert!(world.status().held_back.is_some());
}

#[test]
fn marks_that_tell_of_another_pair_hold_nothing_back() {
    let noted = |world: &World| {
        let annotations = world.secret.as_ref().unwrap().metadata.annotations.clone();
        annotations.unwrap()["certwright.dev/held-back"].clone()
    };
    let world = put_back();
    let told = noted(&world);
    let restored = world.leaf().fingerprint.to_string();
    for (name, forged) in [
        ("another pair", told.replace(&restored, "00")),
        (
            "another request",
            told.replace("\"request\":\"", "\"request\":\"x"),
        ),
        ("nonsense", "{".to_owned()),
        ("nothing", String::new()),
    ] {
        let world = put_back().edited(LATER, |secret| {
            let annotations = secret.metadata.annotations.as_mut().unwrap();
            annotations.insert("certwright.dev/held-back".to_owned(), forged.clone());
        });
        assert!(
            matches!(world.plan(LATER), Plan::Issue { .. }),
            "{name}: {:?}",
            world.plan(LATER)
        );
    }
}

#[test]
fn what_is_not_wanted_any_more_is_not_told() {
    let mut world = renewed();
    assert!(world.status().previous.is_some());
    world.certificate.spec.rollout = None;
    world.reconcile(at(LATER));
    assert_eq!(world.status().previous, None);
    assert_eq!(world.kept, None);
    assert_eq!(Stays::Same.reason(), Stays::NothingKept.reason());
}

/// Renewed, and refused.
fn refused() -> World {
    let mut world = renewed();
    world.refuse();
    world
}

#[test]
fn a_secret_in_the_way_goes_before_going_back() {
    let world = refused().edited(REFUSED, super::rules::not_ours);
    let plan = world.plan(REFUSED);
    assert!(matches!(plan, Plan::Blocked { .. }), "{plan:?}");
    let plan = refused().changed(|spec| spec.literal_subject = Some("nonsense".into()));
    let plan = plan.plan(REFUSED);
    assert!(matches!(plan, Plan::Blocked { .. }), "{plan:?}");
    assert_eq!(refused().deleted().plan(REFUSED), Plan::Leave);
}

#[test]
fn going_back_goes_before_keeping_and_repairing() {
    assert_eq!(refused().plan(REFUSED), Plan::Restore);
    let damaged = refused().edited(REFUSED, |secret| {
        super::secret::labels(secret).clear();
    });
    let mut calm = renewed().edited(REFUSED, |secret| {
        super::secret::labels(secret).clear();
    });
    assert!(matches!(calm.plan(REFUSED), Plan::Repair { .. }));
    assert_eq!(damaged.plan(REFUSED), Plan::Restore);
    calm.heard.stays = Some(Stays::NothingKept);
    assert!(matches!(calm.plan(REFUSED), Plan::Repair { .. }));
}

#[test]
fn going_back_goes_before_a_renewal_that_is_due_and_its_hold_off() {
    // Of what is held now, a third is left on 2027-01-02.
    let due = "2027-01-04";
    assert!(matches!(renewed().plan(due), Plan::Issue { .. }));
    assert_eq!(refused().plan(due), Plan::Restore);
    let mut held_off = renewed().refused(due);
    assert!(matches!(
        held_off.plan("2027-01-04T00:00:05Z"),
        Plan::Hold { .. }
    ));
    held_off.refuse();
    assert_eq!(held_off.plan("2027-01-04T00:00:05Z"), Plan::Restore);
    assert_eq!(refused().without_issuer().plan(REFUSED), Plan::Restore);
}

#[test]
fn what_may_be_the_remedy_goes_before_going_back() {
    let asked = refused().asked("2");
    assert!(matches!(asked.plan(REFUSED), Plan::Issue { .. }));
    let changed = refused().changed(|spec| spec.private_key = None);
    assert!(matches!(changed.plan(REFUSED), Plan::Issue { .. }));
    let mut not_wanted = refused();
    not_wanted.certificate.spec.rollout = None;
    assert!(matches!(not_wanted.plan(REFUSED), Plan::Keep { .. }));
}

#[test]
fn an_issuance_that_is_under_way_goes_before_going_back() {
    let mut world = going_back().by_an_outsider("acme.1");
    let step = world.reconcile(at(FIRST));
    assert!(matches!(step.plan, Plan::Issue { .. }));
    world.reconcile(at(FIRST));
    world.ask("1");
    for _ in 0..2 {
        world.reconcile(at(NEXT));
    }
    assert_eq!(world.issued.len(), 2, "{:?}", world.issued);
    world.refuse();
    assert_eq!(world.plan(REFUSED), Plan::Restore);
    let due = "2027-01-04";
    let rollout = world.certificate.status.as_mut().unwrap().rollout.take();
    assert!(matches!(world.reconcile(at(due)).plan, Plan::Issue { .. }));
    assert!(world.status().order.is_some());
    world.certificate.status.as_mut().unwrap().rollout = rollout;
    assert!(matches!(world.plan(due), Plan::Continue { .. }));
}
