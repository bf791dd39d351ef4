//! Several issuers: whose turn it is, and what becomes of a certificate that a fallback signed.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;

use super::anything::{any_time, any_world};
use super::cas::Ca;
use super::world::{Given, Issuer, World, at};
use crate::api::certificate::{FallbackStatus, SignedBy};
use crate::plan::status::{Failure, Pace, READY};
use crate::plan::{AbandonReason, BlockReason, IssueReason, Plan};

const NOON: &str = "2026-11-02T12:00:00Z";
const ONE: &str = "2026-11-02T13:00:00Z";
const TWO: &str = "2026-11-02T14:00:00Z";

fn root(name: &str) -> Ca {
    Ca::root(name, "2026-11-01", "87600h")
}

/// `Issuer ca` has not been there since noon; the fallback signs by a CA.
fn alone(fallback: &Ca) -> World {
    let mut world = Given::certificate("web").or_by("spare", Issuer::Ready(fallback.issuer()));
    world.run(at(NOON), at(NOON));
    world
}

fn seconds_before(moment: &str, seconds: i64) -> jiff::Timestamp {
    at(moment) - SignedDuration::from_secs(seconds)
}

fn signed_by(world: &World) -> (&str, Option<&str>) {
    let by = world.status().signed_by.as_ref().unwrap();
    (&by.name, by.why.as_deref())
}

fn annotation<'a>(world: &'a World, name: &str) -> &'a str {
    let metadata = &world.secret.as_ref().unwrap().metadata;
    &metadata.annotations.as_ref().unwrap()[name]
}

#[test]
fn the_next_issuer_signs_once_the_one_before_has_failed_for_an_hour() {
    let spare = root("Spare");
    let mut world = alone(&spare);
    let message = world.condition("Issuing").unwrap().message.clone();
    assert!(
        message.ends_with("If it has not worked by 2026-11-02T13:00:00Z, the next issuer that the spec names is asked."),
        "{message}"
    );
    world.run(at(NOON), seconds_before(ONE, 1));
    assert_eq!(world.tries, 0);

    world.run(at(ONE), at(ONE));
    assert!(world.leaf().is_signed_by(spare.authority().certificate()));
    assert_eq!(
        signed_by(&world),
        ("spare", Some("Issuer ca does not exist"))
    );
    assert_eq!(annotation(&world, "certwright.dev/issuer-name"), "spare");
    let ready = world.condition(READY).unwrap();
    assert!(
        ready
            .message
            .ends_with("Issuer spare signed it, because Issuer ca does not exist."),
        "{ready:?}"
    );
    assert_eq!(world.status().fallback, None);
}

#[test]
fn what_a_fallback_signed_stays_until_its_renewal_which_the_first_issuer_is_asked_for() {
    let (first, spare) = (root("First"), root("Spare"));
    let mut world = alone(&spare);
    world.run(at(ONE), at(ONE));
    let held = world.leaf();
    world.sign_by(&first);
    let writes = world.status_writes;
    let renewal = world.status().renewal_time.clone().unwrap().0;
    world.run(at(TWO), renewal - SignedDuration::from_secs(1));
    assert_eq!(world.leaf(), held);
    assert_eq!(world.repaired, []);
    assert_eq!(world.status_writes, writes);

    world.run(renewal, renewal);
    assert!(world.leaf().is_signed_by(first.authority().certificate()));
    assert_eq!(signed_by(&world), ("ca", None));
    assert_eq!(world.stored("ca.crt").len(), 1);
    assert_eq!(annotation(&world, "certwright.dev/issuer-name"), "ca");
}

#[test]
fn turns_pass_over_issuers_that_can_not_sign_and_come_round_again() {
    let mut world = Given::certificate("web")
        .or_by("away", Issuer::NotReady("It is away."))
        .or_by("third", Issuer::Ready(root("Third").issuer()));
    world.refuses = Some("no");
    world.run(at(NOON), at(ONE));
    let fallback = world.status().fallback.clone().unwrap();
    assert_eq!(fallback.name, "third");
    assert_eq!(fallback.failing_since, Some(Time(at(ONE))));
    // It refuses for an hour, and by then the first is there.
    let first = root("First");
    world.sign_by(&first);
    world.run(at(ONE), seconds_before(TWO, 1));
    assert_eq!(world.status().fallback.as_ref().unwrap().name, "third");
    world.refuses = None;
    world.run(at(TWO), at(TWO));
    assert!(world.leaf().is_signed_by(first.authority().certificate()));
    assert_eq!(signed_by(&world), ("ca", None));
}

#[test]
fn turns_pass_over_issuers_that_are_for_other_namespaces_and_from_them_to_the_next() {
    let spare = root("Spare");
    let mut world = Given::certificate("web")
        .or_by("others", Issuer::NotAllowed)
        .or_by("spare", Issuer::Ready(spare.issuer()));
    world.issuer = Issuer::NotAllowed;
    world.run(at(NOON), seconds_before(ONE, 1));
    assert_eq!(world.tries, 0);
    world.run(at(ONE), at(ONE));
    assert!(world.leaf().is_signed_by(spare.authority().certificate()));
    let (name, why) = signed_by(&world);
    assert_eq!(name, "spare");
    let why = why.unwrap_or_default();
    assert!(why.contains("does not serve namespace shop"), "{why}");
}

#[test]
fn where_nobody_can_sign_the_first_that_can_is_asked_at_once() {
    let mut world = Given::certificate("web").or_by("spare", Issuer::NotReady("It is away."));
    world.run(at(NOON), at(TWO));
    assert_eq!(world.tries, 0);
    let writes = world.status_writes;
    world.run(at("2026-11-02T14:30:00Z"), at("2026-11-02T16:00:00Z"));
    assert_eq!(world.status_writes, writes, "{:#?}", world.status());
    world.fallbacks[0] = Issuer::Ready(root("Spare").issuer());
    world.reconcile(at("2026-11-02T16:00:01Z"));
    assert_eq!(signed_by(&world).0, "spare");
}

#[test]
fn a_moment_named_beyond_the_patience_ends_a_turn_at_once_and_an_earlier_one_does_not() {
    for (until, passes) in [
        ("2026-11-02T12:30:00Z", false),
        ("2026-11-03T12:00:00Z", true),
    ] {
        let mut world = Given::certificate("web")
            .by_an_outsider("acme.1")
            .or_by("spare", Issuer::Ready(root("Spare").issuer()));
        world.fails = Some(Failure {
            pace: Pace::Until(at(until)),
            ..Failure::new("RateLimited", "Too many.".to_owned())
        });
        world.run(at(NOON), at("2026-11-02T12:05:00Z"));
        assert_eq!(world.secret.is_some(), passes, "{until}");
        if passes {
            let why = "Issuer ca has failed since 2026-11-02T12:00:01Z: Too many";
            assert_eq!(signed_by(&world), ("spare", Some(why)));
        }
    }
}

#[test]
fn an_order_under_way_is_given_up_before_another_issuer_is_asked() {
    let mut world = Given::certificate("web")
        .by_an_outsider("acme.1")
        .or_by("spare", Issuer::Ready(root("Spare").issuer()));
    world.reconcile(at(NOON));
    let order = world.status().order.clone().unwrap();
    world.fails = Some(Failure {
        order: Some(order),
        ..Failure::new("Unreachable", "It does not answer.".to_owned())
    });
    world.run(at("2026-11-02T12:00:01Z"), at("2026-11-02T13:00:00Z"));
    assert!(world.status().order.is_some());
    assert!(world.secret.is_none());
    let step = world.reconcile(at("2026-11-02T13:00:01Z"));
    let why = AbandonReason::AnothersTurn;
    assert_eq!(step.plan, Plan::Abandon { why });
    let status = world.status();
    assert_eq!((&status.order, &status.last_failure), (&None, &None));
    world.reconcile(at("2026-11-02T13:00:02Z"));
    assert_eq!(signed_by(&world).0, "spare");
}

#[test]
fn an_order_that_never_ends_counts_as_a_failure_after_an_hour_however_short_the_patience() {
    let mut world = Given::certificate("web")
        .with(|spec| spec.fallback_after = Some("1m".into()))
        .by_an_outsider("acme.1")
        .or_by("spare", Issuer::Ready(root("Spare").issuer()));
    world.reconcile(at(NOON));
    for moment in ["2026-11-02T12:59:59Z", ONE] {
        world.take_turns(at(moment));
        assert_eq!(world.turn.place, usize::from(moment == ONE), "{moment}");
    }
}

#[test]
fn failures_that_any_issuer_would_meet_end_no_turn() {
    let mut world = Given::certificate("web")
        .by_an_outsider("acme.1")
        .or_by("spare", Issuer::Ready(root("Spare").issuer()));
    world.fails = Some(Failure::new(
        "SecretRefused",
        "A webhook says no.".to_owned(),
    ));
    world.run(at(NOON), at(TWO));
    assert_eq!(world.status().fallback, None);
    assert!(world.secret.is_none());
}

#[test]
fn another_request_begins_with_the_first_issuer_again() {
    let mut world = alone(&root("Spare"));
    world.refuses = Some("no");
    world.run(at(NOON), at(ONE));
    assert_eq!(world.status().fallback.as_ref().unwrap().name, "spare");
    world.change(|spec| spec.dns_names.push("a.example".into()));
    let plan = world.reconcile(at(ONE)).plan;
    let why = BlockReason::IssuerNotFound(IssueReason::Missing);
    assert_eq!(plan, Plan::Blocked { why });
    let fallback = world.status().fallback.as_ref().unwrap();
    assert_eq!((fallback.name.as_str(), &fallback.why), ("ca", &None));
}

#[test]
fn the_chain_and_root_of_a_fallback_are_followed_while_it_is_held() {
    let spare = root("Spare");
    let mut world = alone(&spare);
    world.run(at(ONE), at(ONE));
    world.sign_by(&root("First"));
    // The same key, another certificate: only ca.crt changes.
    let renewed = spare.renewed("2026-11-02T13:30:00Z", "87600h");
    world.fallbacks[0] = Issuer::Ready(renewed.issuer());
    let leaf = world.leaf();
    world.run(at(TWO), at(TWO));
    assert_eq!(world.repaired, [at(TWO)]);
    assert_eq!(world.leaf(), leaf);
    assert_eq!(world.stored("ca.crt")[0], renewed.facts());
    assert_eq!(annotation(&world, "certwright.dev/issuer-name"), "spare");
}

#[test]
fn a_fallback_that_the_spec_names_no_more_is_replaced() {
    let first = root("First");
    let mut world = alone(&root("Spare"));
    world.run(at(ONE), at(ONE));
    world.sign_by(&first);
    world.fallbacks.clear();
    world.change(|spec| spec.fallback_issuer_refs.clear());
    world.reconcile(at(TWO));
    let words = "Issuer spare signed it, which the spec does not name any more";
    let why = IssueReason::Drift(vec![words.to_owned()]);
    assert_eq!(world.issued.last().unwrap().1, why);
    assert!(world.leaf().is_signed_by(first.authority().certificate()));
    assert_eq!(world.status().signed_by, None);
}

#[test]
fn an_issuer_named_on_the_secret_by_somebody_else_is_put_right() {
    let mut world = alone(&root("Spare"));
    world.run(at(ONE), at(ONE));
    let leaf = world.leaf();
    world.sign_by(&root("First"));
    world.edit("kubectl-edit", at(TWO), |secret| {
        super::secret::annotations(secret)
            .insert("certwright.dev/issuer-name".to_owned(), "ca".to_owned());
    });
    world.run(at(TWO), at(TWO));
    assert_eq!(annotation(&world, "certwright.dev/issuer-name"), "spare");
    assert_eq!(world.leaf(), leaf);
}

#[test]
fn a_clock_that_was_set_back_does_not_make_a_turn_last_for_days() {
    let mut world = Given::certificate("web").or_by("spare", Issuer::NotReady("It is away."));
    world.run(at("2026-11-05"), at("2026-11-05"));
    world.fallbacks[0] = Issuer::Ready(root("Spare").issuer());
    world.run(at(NOON), at("2026-11-02T13:00:01Z"));
    assert_eq!(signed_by(&world).0, "spare");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Without fallbacks in the spec, nothing that stands in a status about turns changes anything.
    #[test]
    fn without_fallbacks_nothing_changes(world in any_world(), now in any_time(), since in any_time(), name in "ca|[a-z]{0,3}") {
        let mut other = world;
        other.certificate.spec.fallback_issuer_refs.clear();
        let before = other.assess(now);
        let plan = other.plan(&now.to_string());
        let status = other.certificate.status.get_or_insert_default();
        if plan != Plan::Leave && status.observed_generation.is_some() {
            status.fallback = Some(FallbackStatus {
                kind: "Issuer".to_owned(),
                name: name.clone(),
                request: before.hash,
                failing_since: Some(Time(since)),
                not_before: Some(Time(since)),
                why: Some("why".to_owned()),
            });
            status.signed_by = Some(SignedBy { kind: "Issuer".to_owned(), name, why: None });
            other.take_turns(now);
            prop_assert_eq!(other.turn.place, 0);
            prop_assert!(!other.turn.begins);
            prop_assert_eq!(other.plan(&now.to_string()), plan);
        }
    }

    /// With fallbacks, an issuer that works is asked just as without them.
    #[test]
    fn an_issuer_that_works_is_asked_whatever_could_follow_it(name in "[b-z]{1,5}") {
        let first = root("First");
        let plain = Given::certificate("web").by(&first).issued(NOON);
        let mut world = Given::certificate("web").by(&first).or_by(&name, Issuer::Missing);
        let Plan::Issue { why, .. } = world.reconcile(at(NOON)).plan else { panic!() };
        prop_assert_eq!(why, IssueReason::Missing);
        prop_assert_eq!(&world.status().fallback, &None);
        prop_assert_eq!(signed_by(&world), ("ca", None));
        prop_assert_eq!(&world.status().conditions, &plain.status().conditions);
    }
}
