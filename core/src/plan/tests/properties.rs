//! What holds for every spec, and for whatever stands in a cluster.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, Time};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

use super::cas::{Ca, root};
use super::specs;
use super::world::{Given, World, at};
use crate::api::certificate::{LastFailure, PrivateKey, Renewal, RenewalWindow};
use crate::api::{CertificateSpec, CertificateStatus};
use crate::plan::drift::differences;
use crate::plan::status::{Failure, Outcome};
use crate::plan::{MAX_LOOK_AGAIN, Observed, OldLeaves, Plan, Undoes, assess, decide, status};

fn ca() -> &'static Ca {
    static CA: OnceLock<Ca> = OnceLock::new();
    CA.get_or_init(root)
}

fn stays_as_issued(spec: &CertificateSpec, by_itself: bool) {
    let world = Given::certificate("web").with(|given| given.clone_from(spec));
    let world = if by_itself {
        world.by_itself()
    } else {
        world.by(ca())
    };
    let mut world = world.issued("2026-11-02");
    let assessment = world.assess(at("2026-11-02"));
    let profile = &assessment.request.as_ref().unwrap().profile;
    assert_eq!(differences(profile, &world.leaf()), Vec::<String>::new());
    for now in ["2026-11-02", "2026-11-02T00:00:01Z"] {
        let plan = world.plan(now);
        assert!(matches!(plan, Plan::Keep { .. }), "{now}: {plan:?}");
    }
    world.reconcile(at("2026-11-02T00:00:01Z"));
    assert_eq!(world.status_writes, 1);
    assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
}

#[test]
fn rsa_stays_as_issued() {
    let spec = CertificateSpec {
        secret_name: "web".into(),
        issuer_ref: Given::certificate("web").certificate.spec.issuer_ref,
        dns_names: vec!["www.example.com".into()],
        private_key: Some(PrivateKey {
            size: Some(2048),
            ..PrivateKey::default()
        }),
        ..CertificateSpec::default()
    };
    stays_as_issued(&spec, false);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is issued has no drift, is kept, and is told once.
    #[test]
    fn what_is_issued_is_kept(spec in specs::valid(), by_itself: bool) {
        stays_as_issued(&spec, by_itself);
    }

    /// Whatever is repaired or issued for a new spec comes to rest, and nothing is done twice.
    #[test]
    fn a_new_spec_comes_to_rest(before in specs::valid(), after in specs::valid()) {
        let mut world = Given::certificate("web").with(|spec| *spec = before).by(ca()).issued("2026-11-02");
        world.change(|spec| *spec = after);
        let first = world.reconcile(at("2026-11-02T00:10:00Z")).plan;
        let plan = world.plan("2026-11-02T00:10:00Z");
        let kept = matches!(plan, Plan::Keep { .. });
        prop_assert!(kept || matches!(first, Plan::Blocked { .. }), "{first:?}, then {plan:?}");
        prop_assert_eq!(&world.status().last_restored, &None);
        let writes = world.status_writes;
        world.reconcile(at("2026-11-02T00:10:01Z"));
        prop_assert_eq!(world.status_writes, writes);
    }

    /// There is a plan and a status for whatever stands in the cluster.
    #[test]
    fn nothing_makes_planning_panic(
        spec in any_spec(),
        secret in of(any_secret()),
        told in of(any_status()),
        now in any_time(),
        issuer in 0..4,
        old_leaves in of(any_time()),
    ) {
        let mut world = Given::certificate("web").with(|given| *given = spec).asked("1");
        world = match issuer {
            0 => world,
            1 => world.lapsed("no"),
            2 => world.by(ca()),
            _ => world.by_itself(),
        };
        world.secret = secret;
        world.certificate.status = told;
        world.old_leaves = old_leaves.map_or(OldLeaves::Held, OldLeaves::GoneSince);
        looks(&world, now);
    }
}

fn looks(world: &World, now: Timestamp) {
    let observed = world
        .secret
        .as_ref()
        .map(|secret| Observed::of(secret, &world.group));
    let inputs = world.inputs(observed.as_ref());
    let assessment = assess(now, &inputs);
    let plan = decide(now, &inputs, &assessment);
    assert_eq!(
        plan,
        decide(now, &inputs, &assess(now, &inputs)),
        "it is the same each time"
    );
    if let Plan::Keep { look_again: next }
    | Plan::Hold { until: next, .. }
    | Plan::HoldRepair { until: next, .. } = &plan
    {
        // Rounded up to whole seconds.
        let longest = MAX_LOOK_AGAIN + SignedDuration::from_secs(1);
        assert!(
            *next >= now && next.duration_since(now) <= longest,
            "{next}"
        );
    }
    let failed = Failure {
        reason: "No",
        message: "No.".into(),
    };
    for outcome in [
        Outcome::Nothing,
        Outcome::Done(Undoes::Nothing),
        Outcome::Done(Undoes::Again { by: None }),
        Outcome::Failed(failed),
    ] {
        let told = status::status(now, &inputs, &assessment, &plan, &outcome);
        assert!(status::unchanged(Some(&told), &told));
    }
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        4 => (1_700_000_000_i64..2_000_000_000).prop_map(|second| Timestamp::from_second(second).unwrap()),
        1 => (-377_705_023_201_i64..=253_402_207_200).prop_map(|second| Timestamp::from_second(second).unwrap()),
        1 => select(vec![Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH]),
    ]
}

fn any_spec() -> impl Strategy<Value = CertificateSpec> {
    let window = (
        ".{0,12}|[0-9*/,-]{1,3} 2 * * [0-7]",
        ".{0,6}|[0-9]{1,9}[hms]",
        of(".{0,12}|Europe/Berlin"),
    )
        .prop_map(|(cron, duration, timezone)| RenewalWindow {
            cron,
            window_duration: duration.as_str().into(),
            timezone,
        });
    let renewal = of(vec(window, 0..3).prop_map(|windows| Renewal {
        windows,
        ..Renewal::default()
    }));
    let text = || of(".{0,20}|[0-9]{1,9}[hms]");
    (
        specs::valid(),
        renewal,
        text(),
        text(),
        of(any::<i32>()),
        of(".{0,30}"),
        of(".{0,30}"),
    )
        .prop_map(
            |(spec, renewal, duration, before, percentage, dns, literal)| CertificateSpec {
                renewal,
                duration: duration.as_deref().map(Into::into).or(spec.duration),
                renew_before: before.as_deref().map(Into::into),
                renew_before_percentage: percentage,
                dns_names: dns.map_or(spec.dns_names, |name| vec![name]),
                literal_subject: literal.or(spec.literal_subject),
                ..spec
            },
        )
}

fn keys() -> impl Strategy<Value = &'static str> {
    select(vec![
        "tls.crt",
        "tls.key",
        "ca.crt",
        "key.der",
        "tls-combined.pem",
    ])
}

/// Our own marks, with whatever in them.
fn marks() -> impl Strategy<Value = BTreeMap<&'static str, String>> {
    btree_map(
        select(vec![
            "certificate-name",
            "request",
            "issued-at",
            "revision",
            "renew-request",
            "ca-replaced-at",
            "issuer-name",
        ]),
        prop_oneof![
            ".{0,20}",
            "v[0-9]{1,12}-[0-9a-f]{64}",
            any_time().prop_map(|at| at.to_string())
        ],
        0..7,
    )
}

/// A real Secret with something of it spoiled, or one of nothing but rubbish.
fn any_secret() -> impl Strategy<Value = Secret> {
    let rubbish = btree_map(keys(), vec(any::<u8>(), 0..60), 0..5).prop_map(|data| {
        let data = data
            .into_iter()
            .map(|(key, value)| (key.to_owned(), ByteString(value)));
        Secret {
            data: Some(data.collect()),
            ..Secret::default()
        }
    });
    let spoiled = (keys(), any::<Index>(), any::<u8>(), any::<bool>()).prop_map(
        |(key, place, octet, cut)| {
            let mut secret = real();
            if let Some(value) = secret.data.as_mut().and_then(|data| data.get_mut(key)) {
                let place = place.index(value.0.len());
                value.0[place] = octet;
                if cut {
                    value.0.truncate(place);
                }
            }
            secret
        },
    );
    (
        prop_oneof![rubbish, spoiled, Just(real())],
        marks(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(mut secret, marks, ours, immutable, garbled)| {
            let metadata = &mut secret.metadata;
            let annotations = metadata.annotations.get_or_insert_default();
            annotations.extend(
                marks
                    .into_iter()
                    .map(|(name, value)| (format!("certwright.dev/{name}"), value)),
            );
            if ours {
                metadata.labels = Some(BTreeMap::from([(
                    "certwright.dev/managed".to_owned(),
                    "true".to_owned(),
                )]));
            }
            if garbled {
                metadata.managed_fields = Some(vec![ManagedFieldsEntry {
                    manager: Some("certwright".into()),
                    operation: Some("Apply".into()),
                    fields_v1: Some(FieldsV1(
                        json!({"f:metadata": [1], "f:data": {"tls.crt": 2, "f:x": null}}),
                    )),
                    ..ManagedFieldsEntry::default()
                }]);
            }
            secret.immutable = Some(immutable);
            secret
        })
}

fn real() -> Secret {
    static SECRET: OnceLock<Secret> = OnceLock::new();
    let secret = || {
        Given::certificate("web")
            .by(ca())
            .issued("2026-11-02")
            .secret
            .unwrap()
    };
    SECRET.get_or_init(secret).clone()
}

/// A status is untrusted: anybody who may write it can have written this.
fn any_status() -> impl Strategy<Value = CertificateStatus> {
    let failure = of((
        any::<bool>(),
        any::<i32>(),
        any_time(),
        any_time(),
        ".{0,10}",
    )
        .prop_map(|(contested, attempts, time, next, text)| LastFailure {
            reason: if contested {
                "Contested".into()
            } else {
                text.clone()
            },
            message: text.clone(),
            attempts,
            time: Time(time),
            next_try: Time(next),
            attempted: text,
            renew_request: None,
        }));
    (of(any::<i64>()), failure, of(any_time()), of(any::<i64>())).prop_map(
        |(generation, last_failure, restored, revision)| CertificateStatus {
            observed_generation: generation,
            last_failure,
            last_restored: restored.map(Time),
            revision,
            ..CertificateStatus::default()
        },
    )
}
