//! Revocations that are asked for by hand.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::cas::Ca;
use super::world::{Given, World, at};
use crate::api::ConditionStatus;
use crate::api::certificate::{RevocationState, RevocationStatus, RotationPolicy};
use crate::plan::revocation::{Answer, Revocation, RevocationReason, Wanted, after, revocation};
use crate::plan::{Heard, IssueReason, Plan};

const NOON: &str = "2026-11-02T12:00:00Z";

fn held() -> World {
    let mut world = Given::certificate("web").by_an_outsider("acme.1");
    world.reconcile(at(NOON));
    world.reconcile(at(NOON));
    world
}

impl World {
    pub(super) fn revoking(mut self, value: &str) -> Self {
        let annotations = self
            .certificate
            .metadata
            .annotations
            .get_or_insert_default();
        annotations.insert("certwright.dev/revoke".to_owned(), value.to_owned());
        self
    }

    fn revocation(&self, now: &str) -> Revocation {
        let (assessment, plan) = (self.assess(at(now)), self.plan(now));
        let observed = self.observed();
        revocation(
            at(now),
            &self.inputs(observed.as_deref()),
            &assessment,
            &plan,
        )
    }

    fn wanted(&self, now: &str) -> Wanted {
        match self.revocation(now) {
            Revocation::Ask(wanted) => *wanted,
            other => panic!("{other:?}"),
        }
    }

    fn refusal(&self) -> String {
        match self.revocation(NOON) {
            Revocation::Tell(told) => {
                assert_eq!(told.state, RevocationState::Refused);
                told.message
            }
            other => panic!("{other:?}"),
        }
    }

    /// What came of it is written down.
    fn told(&mut self, now: &str, told: RevocationStatus) {
        self.heard.revocation = Some(told);
        let assessment = self.assess(at(now));
        let plan = self.plan(now);
        let observed = self.observed();
        let inputs = self.inputs(observed.as_deref());
        let nothing = crate::plan::status::Outcome::Nothing;
        let new = crate::plan::status::status(at(now), &inputs, &assessment, &plan, &nothing);
        self.certificate.status = Some(new);
        self.heard = Heard::default();
    }

    fn answered(&mut self, now: &str, answer: Answer) {
        let wanted = self.wanted(now);
        let observed = self.observed();
        let told = after(at(now), &self.inputs(observed.as_deref()), &wanted, answer);
        self.told(now, told);
    }
}

#[test]
fn the_held_certificate_is_revoked_however_its_serial_number_is_written() {
    let world = held();
    let serial = world.leaf().serial_hex();
    let pairs: Vec<_> = serial
        .as_bytes()
        .chunks(2)
        .map(|pair| String::from_utf8(pair.to_vec()).unwrap())
        .collect();
    for written in [
        serial.clone(),
        serial.to_uppercase(),
        pairs.join(":"),
        format!("00{serial}"),
    ] {
        for reason in ["keyCompromise", "KEYCOMPROMISE", "1"] {
            let world = held_with(&world, &format!("{written}:{reason}"));
            let wanted = world.wanted(NOON);
            assert_eq!(wanted.reason, RevocationReason::KeyCompromise);
            assert_eq!(wanted.certificate.serial_hex(), serial);
        }
    }
}

fn held_with(world: &World, value: &str) -> World {
    let mut other = Given::certificate("web").by_an_outsider("acme.1");
    other.certificate = world.certificate.clone();
    other.secret = world.secret.clone();
    other.revoking(value)
}

#[test]
fn a_revoked_certificate_is_replaced_at_once_by_one_with_another_key_and_only_once() {
    let world = held().with(|spec| {
        spec.private_key = Some(crate::api::certificate::PrivateKey {
            rotation_policy: Some(RotationPolicy::Never),
            ..Default::default()
        });
    });
    let serial = world.leaf().serial_hex();
    let mut world = world.revoking(&format!("{serial}:superseded"));
    world.answered(NOON, Answer::Revoked);
    let ready = world.condition("Ready").unwrap();
    assert_eq!(
        (ready.status, ready.reason.as_str()),
        (ConditionStatus::False, "Revoked")
    );
    assert_eq!(world.condition("RevocationFailed"), None);
    assert_eq!(world.assess(at(NOON)).reason, Some(IssueReason::Revoked));
    assert_eq!(world.revocation(NOON), Revocation::Nothing);
    world.reconcile(at(NOON));
    world.reconcile(at(NOON));
    assert_ne!(world.leaf().serial_hex(), serial);
    assert!(matches!(world.plan(NOON), Plan::Keep { .. }));
    assert_eq!(world.revocation(NOON), Revocation::Nothing);
    let ready = world.condition("Ready").unwrap();
    assert_eq!(ready.status, ConditionStatus::True);
    // It is revoked, wherever it comes back from.
    assert_eq!(
        world.status().revocation.as_ref().unwrap().serial_number,
        Some(serial)
    );
}

#[test]
fn what_makes_no_sense_is_told_once_with_the_annotation_and_the_way_out() {
    let serial = held().leaf().serial_hex();
    for (value, says) in [
        ("nonsense".to_owned(), "<serial>:<reason>"),
        ("04ab:superseded".to_owned(), "names another certificate"),
        (":superseded".to_owned(), "names another certificate"),
        (format!("{serial}:whim"), "a reason is one of"),
        (format!("{serial}:6"), "a reason is one of"),
        (format!("{serial}:"), "a reason is one of"),
        ("x".repeat(100_000), "<serial>:<reason>"),
    ] {
        let mut world = held();
        let held = world.leaf().serial_hex();
        world = world.revoking(&value.replace(&serial, &held));
        let message = world.refusal();
        assert!(message.contains(says), "{message}");
        assert!(message.contains("certwright.dev/revoke"), "{message}");
        let Revocation::Tell(told) = world.revocation(NOON) else {
            panic!("{value}")
        };
        assert!(told.request.len() <= 256);
        world.told(NOON, told);
        assert_eq!(world.revocation(NOON), Revocation::Nothing, "{value}");
        let condition = world.condition("RevocationFailed").unwrap();
        assert_eq!(condition.reason, "Refused");
        assert!(matches!(world.plan(NOON), Plan::Keep { .. }));
        // Another value acts, and without the annotation there is nothing to complain of.
        let held = format!("{held}:4");
        assert!(matches!(
            held_with(&world, &held).revocation(NOON),
            Revocation::Ask(_)
        ));
        world.certificate.metadata.annotations = None;
        world.reconcile(at(NOON));
        assert_eq!(world.condition("RevocationFailed"), None);
    }
}

#[test]
fn a_ca_in_a_secret_is_told_of_no_revocation() {
    let world = Given::certificate("web")
        .by(&Ca::root("Root", "2026-01-01", "87600h"))
        .issued(NOON);
    let serial = world.leaf().serial_hex();
    let message = world.revoking(&format!("{serial}:superseded")).refusal();
    assert!(message.contains("Issuer ca is no ACME CA"), "{message}");
    assert!(message.contains("certwright.dev/renew"), "{message}");
}

#[test]
fn a_ca_that_is_away_is_asked_again_later_and_the_certificate_stays() {
    let world = held();
    let serial = world.leaf().serial_hex();
    let mut world = world.revoking(&format!("{serial}:4"));
    let mut now = at(NOON);
    let mut waits = Vec::new();
    for _ in 0..12 {
        world.answered(
            &now.to_string(),
            Answer::Failed("It is away.".to_owned(), None),
        );
        let Revocation::Wait(next) = world.revocation(&now.to_string()) else {
            panic!("{:?}", world.status())
        };
        waits.push(next.duration_since(now).as_secs());
        now = next;
    }
    assert_eq!(waits[..4], [10, 20, 40, 80]);
    assert_eq!(waits[11], 3600);
    let condition = world.condition("RevocationFailed").unwrap();
    assert_eq!(condition.reason, "CANotAsked");
    assert_eq!(condition.message, "It is away.");
    assert!(matches!(world.plan(&now.to_string()), Plan::Keep { .. }));

    let named = at("2026-11-04");
    world.answered(
        &now.to_string(),
        Answer::Failed("It is busy.".to_owned(), Some(named)),
    );
    assert_eq!(world.revocation(&now.to_string()), Revocation::Wait(named));
    // A moment that no CA may name holds nobody up.
    let status = world.certificate.status.as_mut().unwrap();
    status.revocation.as_mut().unwrap().next_try = Some(Time(at("2029-01-01")));
    assert!(matches!(
        world.revocation(&now.to_string()),
        Revocation::Ask(_)
    ));
}

#[test]
fn an_issuer_that_is_not_ready_or_not_for_this_namespace_is_waited_for() {
    for (world, says) in [
        (held().lapsed("it is away"), "it is away"),
        (
            held().not_allowed(),
            "Issuer ca does not serve namespace shop.",
        ),
    ] {
        let serial = world.leaf().serial_hex();
        let world = world.revoking(&format!("{serial}:4"));
        let Revocation::Tell(told) = world.revocation(NOON) else {
            panic!("{:?}", world.revocation(NOON))
        };
        assert_eq!(told.state, RevocationState::Failing);
        assert!(told.message.contains(says), "{}", told.message);
        assert!(told.next_try.is_some());
    }
}
