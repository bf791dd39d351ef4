//! Issuers outside the cluster: an order is begun, gone on with, and given up; and what comes back is the CA's choice.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::rules::not_ours;
use super::world::{Given, World, at};
use crate::api::certificate::{OrderStatus, PresentedChallenge, Usage};
use crate::api::{CertificateSpec, ConditionStatus, condition};
use crate::plan::status::{Failure, Pace};
use crate::plan::{AbandonReason, BlockReason, HeldOrder, IssueReason, Plan, Undoes};

const NOON: &str = "2026-11-02T12:00:00Z";
const LATER: &str = "2026-11-02T12:00:10Z";

/// An order was made at noon.
fn ordered() -> World {
    let mut world = Given::certificate("web").by_an_outsider("acme.1");
    let step = world.reconcile(at(NOON));
    assert!(matches!(step.plan, Plan::Issue { .. }), "{step:?}");
    world
}

fn held() -> World {
    let mut world = ordered();
    let step = world.reconcile(at(LATER));
    assert_eq!(step.plan, go_on(IssueReason::Missing));
    world
}

fn go_on(why: IssueReason) -> Plan {
    Plan::Continue {
        why,
        undoes: Undoes::Nothing,
        not_before: None,
    }
}

fn give_up(why: AbandonReason) -> Plan {
    Plan::Abandon { why }
}

fn more(spec: &mut CertificateSpec) {
    spec.dns_names.push("a.example".into());
}

fn order(world: &mut World) -> &mut OrderStatus {
    let status = world.certificate.status.as_mut().unwrap();
    status.order.as_mut().unwrap()
}

#[test]
fn an_order_is_begun_gone_on_with_and_forgotten_once_its_certificate_is_held() {
    let world = held();
    let status = world.certificate.status.as_ref().unwrap();
    assert_eq!(status.order, None);
    assert!(
        condition::is_true(&status.conditions, "Ready"),
        "{status:?}"
    );
    assert!(matches!(world.plan(LATER), Plan::Keep { .. }));
}

#[test]
fn while_it_is_under_way_the_status_says_where_the_ca_looks() {
    let mut world = ordered();
    order(&mut world).challenges = ["a", "b", "c", "d"]
        .map(|name| PresentedChallenge {
            kind: "http-01".to_owned(),
            identifier: format!("{name}.example"),
            token: "token".to_owned(),
            authorization_url: "https://ca.example/authorization".to_owned(),
            presented_at: None,
            accepted: false,
        })
        .to_vec();
    order(&mut world).look_again = Some(Time(at("2026-11-02T12:05:00Z")));
    world.reconcile(at(LATER));
    let status = world.certificate.status.as_ref().unwrap();
    let issuing = condition::find(&status.conditions, "Issuing").unwrap();
    assert_eq!(issuing.status, ConditionStatus::True);
    assert_eq!(
        issuing.message,
        "A certificate is needed because Secret web does not exist; it was ordered at 2026-11-02T12:00:00Z, and the CA is to find \
         our answer at a.example, b.example, c.example and 1 more."
    );
}

#[test]
fn what_the_ca_chose_is_no_drift_also_while_the_issuer_can_not_be_asked() {
    let world = held().with(|spec| {
        // None of it was what came back, and nobody asked anew.
        spec.usages = vec![Usage::ClientAuth];
    });
    let mut world = world;
    // The same request as was recorded: it is the certificate that differs.
    let hash = world.assess(at(LATER)).hash;
    world.edit("certwright", at(LATER), |secret| {
        super::secret::annotations(secret).insert("certwright.dev/request".to_owned(), hash);
    });
    assert!(
        matches!(world.plan(LATER), Plan::Keep { .. }),
        "{:?}",
        world.plan(LATER)
    );
    let lapsed = world.lapsed("it is away");
    assert!(matches!(lapsed.plan(LATER), Plan::Keep { .. }));
    let gone = lapsed.without_issuer();
    assert!(matches!(gone.plan(LATER), Plan::Keep { .. }));
}

#[test]
fn other_names_and_another_key_are_drift_all_the_same() {
    let world = held().changed(more);
    assert!(
        matches!(
            world.plan(LATER),
            Plan::Issue {
                why: IssueReason::RequestChanged(_),
                ..
            }
        ),
        "{:?}",
        world.plan(LATER)
    );
}

#[test]
fn an_order_is_given_up_when_it_is_for_something_that_nobody_wants_any_more() {
    let cases = [
        (ordered().changed(more), AbandonReason::RequestChanged),
        (
            ordered().changed(|spec| spec.literal_subject = Some("nonsense".into())),
            AbandonReason::RequestChanged,
        ),
        (
            ordered().by_an_outsider("acme.2"),
            AbandonReason::RequestChanged,
        ),
        (ordered().claimed_by("api"), AbandonReason::SecretInTheWay),
        (ordered().without_issuer(), AbandonReason::IssuerGone),
        (ordered().not_allowed(), AbandonReason::IssuerNotAllowed),
    ];
    for (world, why) in cases {
        assert_eq!(world.plan(LATER), give_up(why));
    }
    // Somebody put the Secret back meanwhile.
    let whole = held();
    let mut world = held().without_secret();
    world.reconcile(at("2026-11-02T12:01:00Z"));
    world.secret = whole.secret;
    let plan = world.plan("2026-11-02T12:02:00Z");
    assert_eq!(plan, give_up(AbandonReason::NothingToIssue));
}

#[test]
fn giving_up_goes_before_all_else_but_the_certificates_own_end() {
    let deleted = ordered().changed(more).deleted();
    assert_eq!(deleted.plan(LATER), Plan::Leave);
    let foreign = held().edited(LATER, not_ours);
    let mut foreign = foreign.changed(more);
    foreign.certificate.status.as_mut().unwrap().order = Some(OrderStatus {
        attempted: "another".to_owned(),
        url: None,
        started_at: Time(at(NOON)),
        challenges: Vec::new(),
        look_again: None,
        waits_for: None,
    });
    assert_eq!(foreign.plan(LATER), give_up(AbandonReason::SecretInTheWay));
}

#[test]
fn an_order_waits_for_an_issuer_that_can_not_be_asked() {
    let world = ordered().lapsed("it is away");
    let plan = world.plan(LATER);
    assert!(
        matches!(
            plan,
            Plan::Blocked {
                why: BlockReason::IssuerNotReady { .. }
            }
        ),
        "{plan:?}"
    );
}

#[test]
fn the_cas_own_time_is_waited_for_within_bounds() {
    let mut world = ordered();
    let moment = at("2026-11-02T12:05:00Z");
    order(&mut world).look_again = Some(Time(moment));
    let Plan::Continue { not_before, .. } = world.plan(LATER) else {
        panic!("{:?}", world.plan(LATER))
    };
    assert_eq!(not_before, Some(moment));
    assert_eq!(
        world.plan("2026-11-02T12:05:00Z"),
        go_on(IssueReason::Missing)
    );
    // A day is no answer to an order: whoever wrote that, it holds nobody up.
    order(&mut world).look_again = Some(Time(at("2026-11-03")));
    assert_eq!(world.plan(LATER), go_on(IssueReason::Missing));
}

#[test]
fn after_a_failure_the_order_is_kept_or_begun_anew_as_the_failure_says() {
    let mut world = ordered();
    let kept = order(&mut world).clone();
    for order in [Some(kept), None] {
        let mut world = ordered();
        world.fails = Some(Failure {
            order: order.clone(),
            ..Failure::new("Unreachable", "It is away.".to_owned())
        });
        world.reconcile(at(LATER));
        world.fails = None;
        let status = world.certificate.status.as_ref().unwrap();
        assert_eq!(status.order, order);
        let next = status.last_failure.as_ref().unwrap().next_try.0;
        assert!(matches!(world.plan(LATER), Plan::Hold { .. }));
        let plan = world.plan(&next.to_string());
        assert_eq!(
            matches!(plan, Plan::Continue { .. }),
            order.is_some(),
            "{plan:?}"
        );
        assert_eq!(
            matches!(plan, Plan::Issue { .. }),
            order.is_none(),
            "{plan:?}"
        );
    }
}

#[test]
fn a_refusal_is_waited_off_longer_and_longer_and_the_cas_word_counts() {
    let mut world = Given::certificate("web").by_an_outsider("acme.1");
    let mut now = at(NOON);
    let mut waits = Vec::new();
    for _ in 0..8 {
        // An order that is made does not make the failures before it undone.
        world.reconcile(now);
        world.fails = Some(Failure {
            pace: Pace::Refused,
            ..Failure::new("Refused", "No.".to_owned())
        });
        let tried = now.checked_add(jiff::SignedDuration::from_secs(5)).unwrap();
        world.reconcile(tried);
        world.fails = None;
        let status = world.certificate.status.as_ref().unwrap();
        now = status.last_failure.as_ref().unwrap().next_try.0;
        waits.push(now.duration_since(tried).as_mins());
    }
    let full = [15, 30, 60, 120, 240, 360, 360, 360];
    for (wait, full) in waits.iter().zip(full) {
        assert!(*wait <= full && *wait >= full * 3 / 4 - 1, "{waits:?}");
    }

    let mut world = ordered();
    let named = at("2026-11-05T09:00:00Z");
    for (until, next) in [
        (named, named),
        (at("2027-11-05"), at("2026-11-09T12:00:10Z")),
    ] {
        world.certificate.status.as_mut().unwrap().last_failure = None;
        world.fails = Some(Failure {
            pace: Pace::Until(until),
            ..Failure::new("RateLimited", "Too many.".to_owned())
        });
        let order = order(&mut world).clone();
        world.reconcile(at(LATER));
        let status = world.certificate.status.as_mut().unwrap();
        assert_eq!(status.last_failure.as_ref().unwrap().next_try.0, next);
        status.order = Some(order);
        assert!(matches!(
            world.plan("2026-11-05T08:59:59Z"),
            Plan::Hold { .. }
        ));
    }
}

#[test]
fn what_was_not_tried_is_looked_at_again_each_minute_and_told_in_the_same_words() {
    let mut world = Given::certificate("web").by_an_outsider("acme.1");
    world.cant_begin = Some(Failure {
        pace: Pace::EachMinute,
        ..Failure::new("NoSuchName", "web.example.com does not exist.".to_owned())
    });
    for (now, next) in [
        ("2026-11-02T12:00:10Z", "2026-11-02T12:01:10Z"),
        ("2026-11-02T12:01:10Z", "2026-11-02T12:02:10Z"),
        ("2026-11-02T12:02:10Z", "2026-11-02T12:03:10Z"),
    ] {
        world.reconcile(at(now));
        let status = world.certificate.status.as_ref().unwrap();
        let failure = status.last_failure.as_ref().unwrap();
        assert_eq!((failure.attempts, failure.next_try.0), (0, at(next)));
        let issuing = condition::find(&status.conditions, "Issuing").unwrap();
        assert_eq!(issuing.status, ConditionStatus::False);
        assert_eq!(issuing.reason, "NoSuchName");
        let words = format!(". The next try is at {next}: web.example.com does not exist.");
        assert!(issuing.message.ends_with(&words), "{}", issuing.message);
    }
}

#[test]
fn who_is_held_for_a_limit_has_not_tried_and_comes_back_after_it_one_after_the_other() {
    let until = at("2026-11-02T15:00:00Z");
    let next_try = |name: &str, until| {
        let mut world = Given::certificate(name).by_an_outsider("acme.1");
        world.reconcile(at(NOON));
        world.fails = Some(Failure {
            pace: Pace::Held(until),
            ..Failure::new("WaitsForLimit", "Wait.".to_owned())
        });
        world.reconcile(at(LATER));
        let failure = world.certificate.status.unwrap().last_failure.unwrap();
        assert_eq!(failure.attempts, 0);
        failure.next_try.0
    };
    let moments: std::collections::BTreeSet<_> = (0..20)
        .map(|n| next_try(&format!("web-{n}"), until))
        .collect();
    let latest = until
        .checked_add(jiff::SignedDuration::from_mins(5))
        .unwrap();
    assert!(
        moments.len() > 10
            && *moments.first().unwrap() >= until
            && *moments.last().unwrap() <= latest,
        "{moments:?}"
    );
    // Nobody is held for longer than a week.
    let week = at("2026-11-09T12:00:10Z");
    assert_eq!(next_try("web", at("2027-11-02")), week);
    assert!(next_try("web", at("2026-11-01")) >= at(LATER));
}

#[test]
fn what_an_order_waits_for_is_told_and_a_moment_is_not_worth_a_write() {
    let mut world = ordered();
    order(&mut world).waits_for = Some("Our answer is not seen from here.".to_owned());
    let kept = order(&mut world).clone();
    let after = |seconds: i64| {
        let seconds = jiff::SignedDuration::from_secs(seconds);
        at(LATER).checked_add(seconds).unwrap()
    };
    let again = |at: i64, order: &OrderStatus| OrderStatus {
        look_again: Some(Time(after(at))),
        ..order.clone()
    };
    let mut step = |now: i64, under_way: OrderStatus| {
        world.goes_on = Some(under_way);
        let before = world.status_writes;
        world.reconcile(after(now));
        world.status_writes - before
    };
    // The first says what is waited for.
    assert_eq!(step(0, again(2, &kept)), 1);
    assert_eq!(step(2, again(4, &kept)), 0);
    assert_eq!(step(4, again(64, &kept)), 0);
    let shown = OrderStatus {
        waits_for: None,
        ..kept
    };
    assert_eq!(step(14, again(16, &shown)), 1);
    assert_eq!(step(16, again(90, &shown)), 1);
    let status = world.certificate.status.as_ref().unwrap();
    assert_eq!(status.order, Some(again(90, &shown)));
}

#[test]
fn after_an_outage_of_any_length_the_ca_is_asked_within_minutes() {
    let mut world = ordered();
    world.fails = Some(Failure {
        order: Some(order(&mut world).clone()),
        ..Failure::new("Unreachable", "It is away.".to_owned())
    });
    let mut now = at(LATER);
    for _ in 0..300 {
        world.reconcile(now);
        let status = world.certificate.status.as_ref().unwrap();
        let next = status.last_failure.as_ref().unwrap().next_try.0;
        assert!(next.duration_since(now) <= jiff::SignedDuration::from_mins(5));
        now = next;
    }
    world.fails = None;
    world.reconcile(now);
    let status = world.certificate.status.as_ref().unwrap();
    assert!(condition::is_true(&status.conditions, "Ready"));
    assert_eq!((&status.last_failure, &status.order), (&None, &None));
}

#[test]
fn an_order_that_could_not_be_told_is_told_before_it_is_gone_on_with() {
    let mut world = Given::certificate("web").by_an_outsider("acme.1");
    world.loses_status = true;
    world.reconcile(at(NOON));
    assert_eq!(world.certificate.status, None);
    let made = OrderStatus {
        attempted: world.assess(at(NOON)).attempted,
        url: Some("https://ca.example/order".to_owned()),
        started_at: Time(at(NOON)),
        challenges: Vec::new(),
        look_again: Some(Time(at("2026-11-02T12:01:00Z"))),
        waits_for: None,
    };
    world.heard.order = HeldOrder::NotTold(made.clone());
    let step = world.reconcile(at(LATER));
    assert!(matches!(step.plan, Plan::Continue { .. }), "{step:?}");
    assert_eq!(world.status().order, Some(made));
    assert_eq!((world.tries, world.issued.len()), (1, 0));
}

#[test]
fn an_order_for_another_request_is_given_up_also_while_its_issuer_is_not_ready() {
    let mut world = ordered().lapsed("The account is gone");
    assert!(matches!(world.plan(LATER), Plan::Blocked { .. }));
    world.change(more);
    assert_eq!(world.plan(LATER), give_up(AbandonReason::RequestChanged));
}

#[test]
fn after_an_outage_the_first_refusal_counts_as_the_first() {
    let mut world = ordered();
    let mut now = at(LATER);
    let mut fail = |reason: &'static str, pace: Pace, times: usize| {
        for _ in 0..times {
            world.fails = Some(Failure {
                pace,
                order: world.certificate.status.as_ref().unwrap().order.clone(),
                ..Failure::new(reason, "No.".to_owned())
            });
            world.reconcile(now);
            let failure = world.status().last_failure.as_ref().unwrap();
            assert_eq!(failure.reason, reason);
            now = failure.next_try.0;
        }
        let failure = world.status().last_failure.as_ref().unwrap();
        failure.next_try.0.duration_since(failure.time.0).as_mins()
    };
    assert!(fail("Unreachable", Pace::Soon, 20) <= 5);
    assert!((11..=15).contains(&fail("Refused", Pace::Refused, 1)));
    assert!((22..=30).contains(&fail("Refused", Pace::Refused, 1)));
    assert!((270..=360).contains(&fail("Refused", Pace::Refused, 5)));
    assert!(fail("Unreachable", Pace::Soon, 1) <= 5);
}
