//! Rule 7: each reason to issue.

use k8s_openapi::api::core::v1::Secret;

use super::cas::{Ca, root};
use super::rules::{held, issue, not_ours, put, repair, restore};
use super::secret::{annotations, data};
use super::world::{Given, at, days};
use crate::api::certificate::{Renewal, RenewalPolicy};
use crate::plan::observed::PairFlaw;
use crate::plan::{Flaw, IssueReason, Plan, Undoes};

const NOON: &str = "2026-11-02T12:00:00Z";

#[test]
fn rule_7_each_reason_to_issue() {
    let key_of_another = data(&mut held().secret.unwrap())["tls.key"].0.clone();
    let drifted = |secret: &mut Secret| {
        let others = Given::certificate("web")
            .by(&root())
            .with(|spec| spec.dns_names = vec!["b.example".into()])
            .issued("2026-11-02");
        let others = others.secret.unwrap().data.unwrap();
        put(secret, "tls.crt", &others["tls.crt"].0);
        put(secret, "tls.key", &others["tls.key"].0);
    };
    let empty = PairFlaw::Missing("tls.crt");
    for (name, world, now, plan) in [
        (
            "the first",
            Given::certificate("web").by(&root()),
            NOON,
            issue(IssueReason::Missing),
        ),
        (
            "deleted",
            held().without_secret(),
            NOON,
            restore(IssueReason::Missing),
        ),
        (
            "emptied",
            held().edited(NOON, |secret| secret.data = None),
            NOON,
            restore(IssueReason::Broken(empty)),
        ),
        (
            "another key",
            held().edited(NOON, |secret| put(secret, "tls.key", &key_of_another)),
            NOON,
            restore(IssueReason::KeyDoesNotFit),
        ),
        (
            "another request",
            held().changed(|spec| spec.dns_names.push("a.example".into())),
            NOON,
            issue(IssueReason::RequestChanged(vec![
                "it lacks the DNS name a.example".into(),
            ])),
        ),
        (
            "another issuer",
            held().changed(|spec| spec.issuer_ref.kind = Some("ClusterIssuer".into())),
            NOON,
            issue(IssueReason::RequestChanged(vec![])),
        ),
        (
            "another pair",
            held().edited(NOON, drifted),
            NOON,
            restore(IssueReason::Drift(vec![
                "it lacks the DNS name www.example.com".into(),
                "it has the DNS name b.example that was not asked for".into(),
            ])),
        ),
        (
            "expired",
            held(),
            "2027-02-01",
            issue(IssueReason::Expired(at("2027-01-31"))),
        ),
        ("due", held(), "2027-01-01", issue(IssueReason::Due)),
        (
            "by hand",
            held().asked("1"),
            NOON,
            issue(IssueReason::AskedByHand("1".into())),
        ),
    ] {
        assert_eq!(world.plan(now), plan, "{name}");
    }
}

#[test]
fn rule_7_truncated_pem_counts_as_broken() {
    for key in ["tls.crt", "tls.key"] {
        let world = held().edited(NOON, |secret| {
            let half = data(secret)[key].0.len() / 2;
            data(secret).get_mut(key).unwrap().0.truncate(half);
        });
        let Plan::Issue {
            why: IssueReason::Broken(_),
            undoes: Undoes::Change,
        } = world.plan(NOON)
        else {
            panic!("{key}: {:?}", world.plan(NOON))
        };
    }
}

#[test]
fn rule_7_renewals_switched_off_leave_the_other_reasons() {
    let disabled = || {
        let renewal = Renewal {
            policy: RenewalPolicy::Disabled,
            windows: Vec::new(),
        };
        Given::certificate("web")
            .by(&root())
            .with(|spec| spec.renewal = Some(renewal))
            .issued("2026-11-02")
    };
    for now in ["2027-01-01", "2027-02-01"] {
        assert!(matches!(disabled().plan(now), Plan::Keep { .. }), "{now}");
        assert_eq!(
            disabled().asked("1").plan(now),
            issue(IssueReason::AskedByHand("1".into()))
        );
        assert_eq!(
            disabled().without_secret().plan(now),
            restore(IssueReason::Missing)
        );
    }
}

#[test]
fn rule_7_a_certificate_expires_after_its_last_second() {
    let mut world = held().lapsed("expired");
    world.reconcile(at("2027-01-31"));
    assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
    let step = world.reconcile(at("2027-01-31T00:00:01Z"));
    assert_eq!(world.condition("Ready").unwrap().reason, "Expired");
    assert!(matches!(step.plan, Plan::Blocked { .. }));
}

#[test]
fn rule_7_a_secret_handed_over_is_kept_if_it_is_right_and_issued_if_another_signed_it() {
    let hand_over = |secret: &mut Secret| {
        not_ours(secret);
        annotations(secret).retain(|key, _| !key.starts_with("certwright.dev/"));
        secret.metadata.managed_fields = None;
        annotations(secret).insert("certwright.dev/certificate-name".into(), "web".into());
    };
    let ca = root();
    let mut world = Given::certificate("web")
        .by(&ca)
        .issued("2026-11-02")
        .edited(NOON, hand_over);
    world.certificate.status = None;
    let mut other = Given::certificate("web").by(&Ca::root("Other", "2026-01-01", &days(3650)));
    other.secret.clone_from(&world.secret);
    let plan = other.plan(NOON);
    assert_eq!(
        plan,
        issue(IssueReason::Drift(vec![
            "it was signed by another issuer".into()
        ]))
    );
    let leaf = world.leaf();
    assert_eq!(
        world.plan(NOON),
        repair(&[Flaw::Labels, Flaw::Annotations], Undoes::Nothing)
    );
    world.reconcile(at(NOON));
    assert!(matches!(world.plan(NOON), Plan::Keep { .. }));
    assert_eq!(world.leaf(), leaf);
}
