//! Rule 4: what is right is kept, and what is around it repaired.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::cas::root;
use super::rules::{held, key, put, repair};
use super::secret::{annotations, data, labels};
use super::world::{Given, at, days};
use crate::api::CertificateSpec;
use crate::api::certificate::{
    AdditionalOutputFormat, KeyEncoding, OutputFormat, SecretDeletionPolicy, SecretTemplate,
};
use crate::plan::{Flaw, Plan, Undoes};

const NOON: &str = "2026-11-02T12:00:00Z";

fn template(spec: &mut CertificateSpec) {
    spec.secret_template = Some(SecretTemplate {
        labels: [("team".into(), "shop".into())].into(),
        annotations: [("empty".into(), String::new())].into(),
    });
}

fn formats(spec: &mut CertificateSpec) {
    spec.additional_output_formats = [OutputFormat::Der, OutputFormat::CombinedPem]
        .map(|type_| AdditionalOutputFormat { type_ })
        .into();
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
                template(spec);
                formats(spec);
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
