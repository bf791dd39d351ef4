//! Each rule of [`plan`](crate::plan::plan) alone, in its order.

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::cas::{Ca, root};
use super::secret::{annotations, data, labels};
use super::world::{Given, World, at, days};
use crate::api::certificate::{
    AdditionalOutputFormat, KeyEncoding, OutputFormat, PrivateKey, Renewal, RenewalPolicy,
    RotationPolicy, SecretDeletionPolicy, SecretTemplate,
};
use crate::pki::KeySpec;
use crate::plan::observed::PairFlaw;
use crate::plan::{BlockReason, Flaw, IssueReason, Plan, Undoes};

/// Held since the beginning of November for 90 days; due around the end of the year.
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

fn repair(flaws: &[Flaw], undoes: Undoes) -> Plan {
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

fn key(change: impl FnOnce(&mut PrivateKey)) -> Option<PrivateKey> {
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
fn rule_4_what_is_right_is_kept_and_looked_at_within_the_hour() {
    assert_eq!(
        held().plan(NOON),
        Plan::Keep {
            look_again: at("2026-11-02T13:00:00Z")
        }
    );
}

#[test]
fn rule_4_it_is_kept_whatever_the_issuer_is() {
    for world in [held().without_issuer(), held().lapsed("expired")] {
        assert!(matches!(world.plan(NOON), Plan::Keep { .. }));
    }
}

#[test]
fn rule_4_the_look_is_sooner_where_something_happens_sooner() {
    let world = held();
    let renewal = world.assess(at(NOON)).renewal.unwrap().at.unwrap();
    assert!(
        (at("2026-12-26")..=at("2027-01-01")).contains(&renewal),
        "{renewal}"
    );
    let before = renewal - jiff::SignedDuration::from_secs(90);
    assert_eq!(
        world.plan(&before.to_string()),
        Plan::Keep {
            look_again: renewal
        }
    );
}

#[test]
fn rule_4_a_changed_spec_around_the_pair_is_repaired_without_issuing() {
    let template = |spec: &mut crate::api::CertificateSpec| {
        spec.secret_template = Some(SecretTemplate {
            labels: [("team".into(), "shop".into())].into(),
            annotations: [("empty".into(), String::new())].into(),
        });
    };
    let formats = |spec: &mut crate::api::CertificateSpec| {
        spec.additional_output_formats = [OutputFormat::Der, OutputFormat::CombinedPem]
            .map(|type_| AdditionalOutputFormat { type_ })
            .into();
    };
    for (name, mut world, flaws) in [
        (
            "template",
            held().changed(template),
            vec![Flaw::Labels, Flaw::Annotations],
        ),
        (
            "taken out of the template",
            Given::certificate("web")
                .by(&root())
                .with(template)
                .issued("2026-11-02")
                .changed(|spec| spec.secret_template = None),
            vec![Flaw::Labels, Flaw::Annotations],
        ),
        ("formats", held().changed(formats), vec![Flaw::Formats]),
        (
            "formats taken out",
            Given::certificate("web")
                .by(&root())
                .with(formats)
                .issued("2026-11-02")
                .changed(|spec| spec.additional_output_formats.clear()),
            vec![Flaw::Formats],
        ),
        (
            "owner",
            held().changed(|spec| spec.secret_deletion_policy = Some(SecretDeletionPolicy::Delete)),
            vec![Flaw::Owner],
        ),
        (
            "owner taken out",
            Given::certificate("web")
                .by(&root())
                .with(|spec| spec.secret_deletion_policy = Some(SecretDeletionPolicy::Delete))
                .issued("2026-11-02")
                .changed(|spec| spec.secret_deletion_policy = None),
            vec![Flaw::Owner],
        ),
        (
            "encoding",
            held().changed(|spec| {
                spec.private_key = key(|key| key.encoding = Some(KeyEncoding::Pkcs1))
            }),
            vec![Flaw::Encoding],
        ),
    ] {
        let leaf = world.leaf();
        assert_eq!(world.plan(NOON), repair(&flaws, Undoes::Nothing), "{name}");
        world.reconcile(at(NOON));
        assert!(
            matches!(world.plan(NOON), Plan::Keep { .. }),
            "{name}: {:?}",
            world.plan(NOON)
        );
        assert_eq!(world.leaf(), leaf, "{name}");
        assert_eq!(world.status().last_restored, None, "{name}");
    }
}

#[test]
fn rule_4_what_others_did_around_the_pair_is_repaired_without_issuing() {
    let all = || {
        Given::certificate("web")
            .by(&root().below("Issuing", "2026-01-02", &days(3000)))
            .with(|spec| {
                spec.secret_template = Some(SecretTemplate {
                    labels: [("team".into(), "shop".into())].into(),
                    annotations: [("empty".into(), String::new())].into(),
                });
                spec.additional_output_formats = [OutputFormat::Der, OutputFormat::CombinedPem]
                    .map(|type_| AdditionalOutputFormat { type_ })
                    .into();
                spec.secret_deletion_policy = Some(SecretDeletionPolicy::Delete);
            })
            .issued("2026-11-02")
    };
    let leaf_alone = |secret: &mut Secret| {
        let pem = String::from_utf8(data(secret)["tls.crt"].0.clone()).unwrap();
        let end = pem.find("-----END CERTIFICATE-----\n").unwrap() + 26;
        put(secret, "tls.crt", &pem.as_bytes()[..end]);
    };
    type Change = Box<dyn Fn(&mut Secret)>;
    let table: Vec<(&str, Change, &[Flaw])> = vec![
        (
            "label",
            Box::new(|secret| drop(labels(secret).remove("team"))),
            &[Flaw::Labels],
        ),
        (
            "label",
            Box::new(|secret| drop(labels(secret).insert("team".into(), "b".into()))),
            &[Flaw::Labels],
        ),
        (
            "annotation",
            Box::new(|secret| drop(annotations(secret).remove("empty"))),
            &[Flaw::Annotations],
        ),
        (
            "annotation",
            Box::new(|secret| drop(annotations(secret).remove("certwright.dev/request"))),
            &[Flaw::Annotations],
        ),
        (
            "DER",
            Box::new(|secret| drop(data(secret).remove("key.der"))),
            &[Flaw::Formats],
        ),
        (
            "DER",
            Box::new(|secret| put(secret, "key.der", b"x")),
            &[Flaw::Formats],
        ),
        (
            "combined",
            Box::new(|secret| put(secret, "tls-combined.pem", b"x")),
            &[Flaw::Formats],
        ),
        (
            "no CA",
            Box::new(|secret| drop(data(secret).remove("ca.crt"))),
            &[Flaw::Ca],
        ),
        (
            "broken CA",
            Box::new(|secret| put(secret, "ca.crt", b"x")),
            &[Flaw::Ca],
        ),
        ("chain", Box::new(leaf_alone), &[Flaw::Formats, Flaw::Chain]),
    ];
    for (name, change, flaws) in table {
        let mut world = all().edited(NOON, change);
        let leaf = world.leaf();
        assert_eq!(world.plan(NOON), repair(flaws, Undoes::Change), "{name}");
        world.reconcile(at(NOON));
        assert!(
            matches!(world.plan(NOON), Plan::Keep { .. }),
            "{name}: {:?}",
            world.plan(NOON)
        );
        assert_eq!(world.leaf(), leaf, "{name}");
        assert_eq!(world.status().last_restored, Some(Time(at(NOON))), "{name}");
    }
}

#[test]
fn rule_4_what_others_added_stays() {
    let mut world = held().edited(NOON, |secret| {
        labels(secret).insert("theirs".into(), "1".into());
        annotations(secret).insert("theirs".into(), "2".into());
        put(secret, "theirs", b"3");
        put(secret, "key.der", b"of another program");
    });
    assert!(matches!(world.plan(NOON), Plan::Keep { .. }));
    world.change(|spec| spec.dns_names.push("example.com".into()));
    world.reconcile(at(NOON));
    assert_eq!(world.issued.len(), 2);
    let secret = world.secret.as_mut().unwrap();
    assert_eq!(labels(secret)["theirs"], "1");
    assert_eq!(annotations(secret)["theirs"], "2");
    assert_eq!(data(secret)["theirs"].0, b"3");
    assert_eq!(data(secret)["key.der"].0, b"of another program");
}

#[test]
fn rule_4_a_new_key_of_the_ca_is_told_to_clients_first() {
    let world = held().by(&root());
    assert_eq!(
        world.plan(NOON),
        repair(&[Flaw::Annotations, Flaw::NewRoot], Undoes::Nothing)
    );
}

#[test]
fn rule_4_a_contested_repair_waits() {
    let remove = |secret: &mut Secret| drop(labels(secret).remove("certwright.dev/managed"));
    let mut world = held().edited(NOON, remove);
    world.reconcile(at(NOON));
    world.edit("kubectl-edit", at("2026-11-02T12:00:01Z"), remove);
    assert_eq!(
        world.plan("2026-11-02T12:00:01Z"),
        repair(
            &[Flaw::Labels],
            Undoes::Again {
                by: Some("unknown".into())
            }
        )
    );
    world.reconcile(at("2026-11-02T12:00:01Z"));
    world.edit("kubectl-edit", at("2026-11-02T12:00:02Z"), remove);
    let Plan::HoldRepair { until, what } = world.plan("2026-11-02T12:00:02Z") else {
        panic!("{:?}", world.plan("2026-11-02T12:00:02Z"))
    };
    assert!(
        (at("2026-11-02T12:00:08Z")..=at("2026-11-02T12:00:11Z")).contains(&until),
        "{until}"
    );
    assert_eq!(what, BTreeSet::from([Flaw::Labels]));
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

#[test]
fn rule_7_each_reason_to_issue() {
    let other = held();
    let key_of_another = data(&mut other.secret.clone().unwrap())["tls.key"]
        .0
        .clone();
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
