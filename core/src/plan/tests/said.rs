//! What the user reads.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::cas::{Ca, root};
use super::rules::{not_ours, put};
use super::secret::labels;
use super::world::{Given, World, at, days};
use crate::api::certificate::{Renewal, RenewalPolicy, RolloutStatus};
use crate::api::{CertificateSpec, Condition, ConditionStatus};
use crate::plan::status;

const NOON: &str = "2026-11-02T12:00:00Z";
pub(super) const WORKS: &str = "The certificate that is there works until 2027-01-31T00:00:00Z.";

pub(super) fn held() -> World {
    Given::certificate("web").by(&root()).issued("2026-11-02")
}

pub(super) fn more(spec: &mut CertificateSpec) {
    spec.dns_names.push("a.example".into());
}

/// Status, reason and message of a condition once the world was looked at.
#[track_caller]
pub(super) fn says(
    world: &mut World,
    now: &str,
    type_: &str,
    status: &str,
    reason: &str,
    message: &str,
) {
    world.reconcile(at(now));
    let said = world
        .condition(type_)
        .unwrap_or_else(|| panic!("no {type_}"));
    let told = (
        format!("{:?}", said.status),
        said.reason.as_str(),
        said.message.as_str(),
    );
    assert_eq!(told, (status.to_owned(), reason, message), "{type_}");
}

#[test]
fn what_is_right_is_ready() {
    let mut world = held();
    says(
        &mut world,
        NOON,
        "Ready",
        "True",
        "Ready",
        "The certificate is what the spec asks for, and valid until 2027-01-31T00:00:00Z.",
    );
    says(
        &mut world,
        NOON,
        "Issuing",
        "False",
        "UpToDate",
        "Nothing needs to be issued.",
    );
    assert_eq!(world.status().conditions.len(), 2);
}

#[test]
fn the_held_certificate_is_told() {
    let world = held();
    let leaf = world.leaf();
    let status = world.status();
    assert_eq!(status.not_before, Some(Time(at("2026-11-02"))));
    assert_eq!(status.not_after, Some(Time(at("2027-01-31"))));
    let renewal = status.renewal_time.as_ref().unwrap().0;
    assert!(
        (at("2026-12-26")..=at("2027-01-01")).contains(&renewal),
        "{renewal}"
    );
    assert_eq!(status.revision, Some(1));
    assert_eq!(status.serial_number, Some(leaf.serial_hex()));
    assert_eq!(status.fingerprint, Some(leaf.fingerprint.to_string()));
    assert_eq!(
        (
            &status.last_failure,
            &status.last_restored,
            &status.last_renew_request
        ),
        (&None, &None, &None)
    );
}

#[test]
fn a_changed_request_says_until_when_the_old_certificate_works() {
    let mut world = held().changed(more);
    world.refuses = Some("no");
    let clause =
        "he spec asks for something else than what was issued: it lacks the DNS name a.example";
    says(
        &mut world,
        NOON,
        "Ready",
        "False",
        "RequestChanged",
        &format!("T{clause}; the last try failed: no. {WORKS}"),
    );
    let next = world.status().last_failure.clone().unwrap().next_try.0;
    says(
        &mut world,
        "2026-11-02T12:00:01Z",
        "Issuing",
        "False",
        "SigningRefused",
        &format!(
            "A certificate is needed because t{clause}. Try 1 failed, the next is at {next}: no."
        ),
    );
    assert_eq!(
        world.status().fingerprint,
        Some(world.leaf().fingerprint.to_string())
    );
}

#[test]
fn a_changed_request_without_a_try_says_so_too() {
    let mut world = held().changed(more).lapsed("It sleeps.");
    let message = "Issuer ca cannot sign, and it is needed because the spec asks for something else than what was issued: it lacks \
                   the DNS name a.example. It says: It sleeps.";
    says(
        &mut world,
        NOON,
        "Ready",
        "False",
        "IssuerNotReady",
        &format!("{message} {WORKS}"),
    );
    says(
        &mut world,
        NOON,
        "Issuing",
        "False",
        "IssuerNotReady",
        message,
    );
}

#[test]
fn renewals_switched_off_are_named_when_it_has_expired() {
    let renewal = Renewal {
        policy: RenewalPolicy::Disabled,
        windows: Vec::new(),
    };
    let mut world = Given::certificate("web")
        .by(&root())
        .with(|spec| spec.renewal = Some(renewal))
        .issued("2026-11-02");
    assert_eq!(world.status().renewal_time, None);
    says(
        &mut world,
        "2027-02-01",
        "Ready",
        "False",
        "Expired",
        "The certificate expired at 2027-01-31T00:00:00Z. It is not renewed by itself, because spec.renewal.policy is Disabled.",
    );
}

#[test]
fn damage_is_told_while_it_can_not_be_mended() {
    for (key, reason, clause) in [
        (
            "tls.key",
            "InvalidCertificate",
            "Secret web is damaged: its tls.key cannot be read: there is no private key in it",
        ),
        (
            "tls.crt",
            "InvalidCertificate",
            "Secret web is damaged: its tls.crt cannot be read: there is no certificate in it",
        ),
    ] {
        let mut world = held().edited(NOON, |secret| put(secret, key, b"x"));
        world.refuses = Some("no");
        says(
            &mut world,
            NOON,
            "Ready",
            "False",
            reason,
            &format!("{clause}; the last try failed: no."),
        );
    }
    let mut world = held().edited(NOON, |secret| put(secret, "tls.key", b""));
    world.refuses = Some("no");
    says(
        &mut world,
        NOON,
        "Ready",
        "False",
        "MissingData",
        "Secret web is damaged: it has no tls.key; the last try failed: no.",
    );
}

#[test]
fn a_contest_is_told_with_its_next_try() {
    let mut world = held();
    for second in 0..2 {
        let now = at(NOON) + SignedDuration::from_secs(second);
        world.edit("gitops", now, |secret| {
            drop(labels(secret).insert("certwright.dev/managed".into(), "no".into()))
        });
        world.reconcile(now);
    }
    world.edit("gitops", at("2026-11-02T12:00:02Z"), |secret| {
        drop(labels(secret).insert("certwright.dev/managed".into(), "no".into()))
    });
    let next = world.status().last_failure.clone().unwrap().next_try.0;
    let contested = r#"Secret web keeps being changed by the field manager "gitops". Stop it, or let it leave out the fields that Certwright writes."#;
    says(
        &mut world,
        "2026-11-02T12:00:02Z",
        "Issuing",
        "False",
        "Contested",
        &format!(
            "Secret web is to be repaired: labels. Try 1 failed, the next is at {next}: {contested}"
        ),
    );
    world.reconcile(next);
    says(
        &mut world,
        &next.to_string(),
        "Issuing",
        "False",
        "Contested",
        contested,
    );
}

#[test]
fn fields_without_effect_are_named_and_the_word_goes_with_them() {
    let mut world = Given::certificate("web")
        .by(&root())
        .with(|spec| spec.revision_history_limit = Some(1));
    says(
        &mut world,
        NOON,
        "FieldsIgnored",
        "True",
        "FieldsIgnored",
        "Accepted, without effect: spec.revisionHistoryLimit. You can remove it.",
    );
    world.change(|spec| spec.revision_history_limit = None);
    world.reconcile(at(NOON));
    assert_eq!(world.condition("FieldsIgnored"), None);
}

#[test]
fn every_generation_told_is_that_of_the_spec_looked_at() {
    let ca = Ca::root("Root", "2026-01-01", &days(310));
    let mut world = Given::certificate("web").by(&ca).with(|spec| {
        spec.revision_history_limit = Some(1);
        spec.renew_before = Some(days(60).as_str().into());
    });
    for generation in 1..4 {
        world.reconcile(at(NOON));
        let status = world.status();
        assert_eq!(status.observed_generation, Some(generation));
        assert_eq!(status.conditions.len(), 4, "{:?}", status.conditions);
        for condition in &status.conditions {
            assert_eq!(
                condition.observed_generation,
                Some(generation),
                "{}",
                condition.type_
            );
        }
        world.change(|spec| spec.revision_history_limit = Some(2));
    }
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let mut world = held();
    world.change(more);
    world.refuses = Some("no");
    let since = |world: &World| world.condition("Ready").unwrap().last_transition_time.0;
    assert_eq!(since(&world), at("2026-11-02"));
    world.reconcile(at(NOON));
    assert_eq!(since(&world), at(NOON));
    world.run(at("2026-11-02T12:00:01Z"), at("2026-11-02T12:10:00Z"));
    assert_eq!(since(&world), at(NOON));
    world.refuses = None;
    world.run(at("2026-11-02T12:10:00Z"), at("2026-11-02T12:20:00Z"));
    assert!(since(&world) > at("2026-11-02T12:10:00Z"));
}

#[test]
fn what_the_rollout_owns_is_not_touched_and_makes_no_difference() {
    let mut world = held();
    let theirs = Condition::new("RolledOut", ConditionStatus::True, "Done", "All.", at(NOON));
    let status = world.certificate.status.as_mut().unwrap();
    status.conditions.insert(0, theirs);
    status.rollout = Some(RolloutStatus {
        dependents: 2,
        ..RolloutStatus::default()
    });
    let before = world.status_writes;
    world.reconcile(at(NOON));
    assert_eq!(world.status_writes, before);
    world.ask("1");
    world.reconcile(at(NOON));
    // What is applied leaves their part out; the API server keeps it for them.
    assert_eq!(world.status().rollout, None);
    assert_eq!(world.condition("RolledOut"), None);
    assert!(status::OWNED.iter().all(|type_| *type_ != "RolledOut"));
}

#[test]
fn nothing_is_said_twice() {
    let refused = || {
        let mut world = held().changed(more);
        world.refuses = Some("no");
        world.reconcile(at(NOON));
        world
    };
    for (name, mut world) in [
        ("kept", held()),
        ("blocked", held().without_secret().without_issuer()),
        ("foreign", held().edited(NOON, not_ours)),
        (
            "invalid",
            held().changed(|spec| spec.literal_subject = Some("nonsense".into())),
        ),
        ("held off", refused()),
        (
            "immutable",
            held()
                .changed(more)
                .edited(NOON, |secret| secret.immutable = Some(true)),
        ),
    ] {
        world.reconcile(at("2026-11-02T12:00:01Z"));
        let (status, writes) = (world.status().clone(), world.status_writes);
        world.reconcile(at("2026-11-02T12:00:02Z"));
        assert_eq!(world.status_writes, writes, "{name}");
        assert_eq!(*world.status(), status, "{name}");
    }
}

#[test]
fn what_is_quoted_is_cut_so_that_the_status_can_be_written() {
    let long = "ü".repeat(100_000);
    let mut worlds = [
        // What the user wrote, and waits for an issuer.
        held().asked(&long).without_issuer(),
        // What the issuer says of itself.
        held()
            .changed(more)
            .lapsed(Box::leak(long.clone().into_boxed_str())),
        // What somebody put into the Secret.
        Given::certificate("web")
            .by(&root())
            .with(|spec| spec.uris = vec![format!("spiffe://{}", "u".repeat(100_000))])
            .issued("2026-11-02")
            .with(|spec| spec.uris.clear()),
    ];
    for world in &mut worlds {
        world.refuses = Some("no");
        world.reconcile(at(NOON));
        let said = world.status();
        let failures = said.last_failure.iter().map(|failure| &failure.message);
        let messages = said.conditions.iter().map(|said| &said.message);
        let longest = messages.chain(failures).map(String::len).max();
        assert!(
            longest.is_some_and(|longest| (4000..4200).contains(&longest)),
            "{longest:?}"
        );
    }
}
