//! Whatever may stand in a cluster, by accident or by somebody's will.

use std::collections::BTreeMap;
use std::fmt;
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
use super::world::{Given, Issuer, World, at, days};
use crate::api::certificate::{
    IssuerRef, KeyAlgorithm, LastFailure, OtherName, PrivateKey, Renewal, RenewalWindow,
};
use crate::api::condition::{Condition, ConditionStatus};
use crate::api::{CertificateSpec, CertificateStatus};
use crate::plan::{OldLeaves, Settings};

/// CAs of every standing: the one that most Secrets here are from, the same renewed, one below it, another one, one
/// that has expired and one whose time has not come.
pub(super) fn cas() -> &'static [Ca; 6] {
    static CAS: OnceLock<[Ca; 6]> = OnceLock::new();
    CAS.get_or_init(|| {
        let first = root();
        let renewed = first.renewed("2026-11-01", &days(3650));
        let below = first.below("Below", "2026-11-01", &days(300));
        let expired = Ca::root("Expired", "2020-01-01", "1h");
        let to_come = Ca::root("To come", "2040-01-01", &days(365));
        [first, renewed, below, root(), expired, to_come]
    })
}

/// A Certificate, its Secret, its issuer, and what is remembered of them.
pub(super) fn any_world() -> impl Strategy<Value = World> {
    let issuer = prop_oneof![
        1 => Just(None),
        1 => Just(Some(None)),
        6 => (0..cas().len()).prop_map(|at| Some(Some(at))),
    ];
    let owner = of(prop_oneof![3 => Just("web".to_owned()), 1 => ".{0,8}"]);
    let settings =
        (any_duration(), any_duration()).prop_map(|(ca_overlap, renew_throttle)| Settings {
            ca_overlap,
            renew_throttle,
        });
    // Boxed, or all their parts would lie on a test's small stack.
    (
        (any_spec(), of(".{0,10}"), of(any_time()), of(any::<i64>())).boxed(),
        of(any_secret()).boxed(),
        of(any_status()).boxed(),
        (issuer, any::<bool>(), of(any_time())),
        owner,
        settings,
    )
        .prop_map(
            |(certificate, secret, status, (issuer, by_itself, old_leaves), owner, settings)| {
                let (spec, asked, deleted, generation) = certificate;
                let mut world = Given::certificate("web").with(|given| *given = spec);
                if let Some(asked) = asked {
                    world.ask(&asked);
                }
                let metadata = &mut world.certificate.metadata;
                metadata.deletion_timestamp = deleted.filter(|_| by_itself).map(Time);
                metadata.generation = generation;
                world.certificate.status = status;
                world.secret = secret;
                world.owner = owner;
                world.settings = settings;
                world.old_leaves = old_leaves.map_or(OldLeaves::Held, OldLeaves::GoneSince);
                match issuer {
                    None => world.issuer = Issuer::NotReady("no"),
                    Some(None) if by_itself => return world.by_itself(),
                    Some(None) => {}
                    Some(Some(at)) => world.sign_by(&cas()[at]),
                }
                world
            },
        )
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuer = match &self.issuer {
            Issuer::Missing => "none",
            Issuer::NotReady(_) => "not ready",
            Issuer::NotAllowed => "not allowed",
            Issuer::Ready(issuer) => &issuer.identity,
        };
        f.debug_struct("World")
            .field("certificate", &self.certificate)
            .field("secret", &self.secret)
            .field("owner", &self.owner)
            .field("issuer", &issuer)
            .field("old_leaves", &self.old_leaves)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// From nothing to the longest that a flag takes.
fn any_duration() -> impl Strategy<Value = SignedDuration> {
    prop_oneof![
        Just(SignedDuration::ZERO),
        Just(SignedDuration::from_mins(5)),
        (0_i64..10_000_000_000).prop_map(SignedDuration::from_secs),
    ]
}

pub(super) fn any_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        4 => (1_700_000_000_i64..2_000_000_000).prop_map(|second| Timestamp::from_second(second).unwrap()),
        1 => (-377_705_023_201_i64..=253_402_207_200).prop_map(|second| Timestamp::from_second(second).unwrap()),
        1 => select(vec![Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH]),
        1 => (-90_000_000_i64..200_000_000, 0..1_000_000_000)
            .prop_map(|(second, nanosecond)| at("2026-11-02") + SignedDuration::new(second, nanosecond)),
    ]
}

pub(super) fn any_spec() -> impl Strategy<Value = CertificateSpec> {
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
    let times = (text(), text(), of(any::<i32>()));
    let names = (
        of(vec(".{0,30}|[0-9a-f:.]{1,20}", 0..3)),
        of(".{0,30}"),
        of((".{0,12}|[0-9.]{1,12}", ".{0,12}")),
    );
    let key = of((
        any::<Option<i32>>(),
        select(vec![None, Some(KeyAlgorithm::Rsa)]),
    ));
    let issuer = of((".{0,8}", of("Issuer|ClusterIssuer|.{0,8}")));
    (
        specs::valid().boxed(),
        renewal.boxed(),
        times.boxed(),
        names.boxed(),
        key,
        issuer.boxed(),
    )
        .prop_map(
            |(
                spec,
                renewal,
                (duration, before, percentage),
                (names, literal, other),
                key,
                issuer,
            )| {
                let named = |held: Vec<String>| names.clone().unwrap_or(held);
                CertificateSpec {
                    renewal,
                    duration: duration.as_deref().map(Into::into).or(spec.duration),
                    renew_before: before.as_deref().map(Into::into),
                    renew_before_percentage: percentage,
                    dns_names: named(spec.dns_names),
                    ip_addresses: named(spec.ip_addresses),
                    uris: named(spec.uris),
                    email_addresses: named(spec.email_addresses),
                    other_names: other.map_or(spec.other_names, |(oid, utf8_value)| {
                        vec![OtherName { oid, utf8_value }]
                    }),
                    literal_subject: literal.or(spec.literal_subject),
                    private_key: key.map_or(spec.private_key, |(size, algorithm)| {
                        Some(PrivateKey {
                            size,
                            algorithm,
                            ..PrivateKey::default()
                        })
                    }),
                    issuer_ref: issuer.map_or(spec.issuer_ref, |(name, kind)| IssuerRef {
                        name,
                        kind,
                        group: None,
                    }),
                    ..spec
                }
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
pub(super) fn any_secret() -> impl Strategy<Value = Secret> {
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
            let mut secret = real(0);
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
        prop_oneof![rubbish, spoiled, (0..cas().len() - 2).prop_map(real)],
        marks(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        of(any_time()),
    )
        .prop_map(|(mut secret, marks, ours, immutable, garbled, time)| {
            let metadata = &mut secret.metadata;
            metadata.deletion_timestamp = time.filter(|_| immutable).map(Time);
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
                    time: time.map(Time),
                    ..ManagedFieldsEntry::default()
                }]);
            }
            secret.immutable = Some(immutable);
            secret
        })
}

/// One as we leave it behind, of one of the CAs that could sign then.
fn real(ca: usize) -> Secret {
    static SECRETS: OnceLock<Vec<Secret>> = OnceLock::new();
    let issued = |ca: &Ca| {
        let world = Given::certificate("web").by(ca).issued("2026-11-02");
        world.secret.unwrap()
    };
    let secrets = SECRETS.get_or_init(|| cas()[..4].iter().map(issued).collect());
    secrets[ca].clone()
}

/// A status is untrusted: anybody who may write it can have written this.
pub(super) fn any_status() -> impl Strategy<Value = CertificateStatus> {
    let failure = of((
        any::<bool>(),
        prop_oneof![any::<i32>(), select(vec![i32::MIN, i32::MAX])],
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
    let condition = (
        "Ready|Issuing|LimitedByCA|RenewalAdjusted|.{0,8}",
        select(vec![
            ConditionStatus::True,
            ConditionStatus::False,
            ConditionStatus::Unknown,
        ]),
        ".{0,10}",
        any_time(),
    )
        .prop_map(|(type_, status, text, at)| {
            Condition::new(type_, status, text.clone(), text, at)
        });
    let number = || {
        of(prop_oneof![
            any::<i64>(),
            select(vec![i64::MIN, i64::MAX, 1])
        ])
    };
    (
        number(),
        failure,
        of(any_time()),
        number(),
        vec(condition, 0..4),
        of(".{0,10}"),
    )
        .prop_map(
            |(generation, last_failure, restored, revision, conditions, renewed)| {
                CertificateStatus {
                    observed_generation: generation,
                    conditions,
                    last_failure,
                    last_restored: restored.map(Time),
                    revision,
                    last_renew_request: renewed,
                    ..CertificateStatus::default()
                }
            },
        )
}
