//! Specs of every kind.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

use crate::api::CertificateSpec;
use crate::api::certificate::{
    AdditionalOutputFormat, IssuerRef, KeyAlgorithm, KeyEncoding, NameConstraintItems,
    NameConstraints, OtherName, OutputFormat, PrivateKey, RotationPolicy, SecretDeletionPolicy,
    SecretTemplate, SignatureAlgorithm, Subject, Usage,
};

/// Specs that are valid, with every kind of key but RSA, which takes long to make.
pub(super) fn valid() -> impl Strategy<Value = CertificateSpec> {
    (names(), subject(), usages(), key(), ca(), surroundings()).prop_map(
        |(names, subject, usages, key, (is_ca, constraints), surroundings)| {
            let mut spec = surroundings;
            spec.secret_name = "web".into();
            spec.issuer_ref = IssuerRef {
                name: "ca".into(),
                ..IssuerRef::default()
            };
            spec.dns_names = names.dns;
            spec.ip_addresses = names.ip;
            spec.uris = names.uri;
            spec.email_addresses = names.email;
            spec.other_names = names.other;
            match subject {
                Said::Fields(common_name, subject) => {
                    spec.common_name = common_name;
                    spec.subject = subject;
                }
                Said::Literal(literal) => spec.literal_subject = Some(literal),
            }
            spec.usages = usages;
            (spec.private_key, spec.signature_algorithm) = key;
            let nobody = spec.literal_subject.is_none()
                && spec
                    .subject
                    .as_ref()
                    .is_none_or(|s| *s == Subject::default());
            let nameless = nobody && spec.common_name.is_none();
            if is_ca {
                spec.is_ca = Some(true);
                spec.name_constraints = constraints;
            }
            if nameless {
                spec.common_name = Some("Nobody".into());
            }
            spec
        },
    )
}

#[derive(Clone, Debug)]
struct San {
    dns: Vec<String>,
    ip: Vec<String>,
    uri: Vec<String>,
    email: Vec<String>,
    other: Vec<OtherName>,
}

#[derive(Clone, Debug)]
enum Said {
    Fields(Option<String>, Option<Subject>),
    Literal(String),
}

fn some(texts: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    subsequence(texts, 0..=texts.len())
        .prop_shuffle()
        .prop_map(|texts| texts.into_iter().map(str::to_owned).collect())
}

fn names() -> impl Strategy<Value = San> {
    let other = [
        ("1.3.6.1.4.1.311.20.2.3", "upn@example.com"),
        ("1.2.3.4", "Grüße"),
        ("1.2.3", "b"),
        ("1.2.3", "aa"),
    ];
    (
        some(&[
            "www.example.com",
            "*.Example.COM",
            "bücher.example",
            "_srv.example.com",
            "a",
            "xn--bcher-kva.example",
        ]),
        some(&[
            "192.0.2.1",
            "2001:db8::1",
            "2001:0DB8::0001",
            "::ffff:192.0.2.1",
            "::",
            "10.0.0.1",
        ]),
        some(&[
            "spiffe://cluster.local/ns/a/sa/b",
            "https://Example.com/A?b=%20c",
            "urn:uuid:1",
        ]),
        some(&["ops@example.com", "Ops@Example.COM", "a+b@b.example"]),
        subsequence(other.to_vec(), 0..=4),
    )
        .prop_map(|(dns, ip, uri, email, other)| San {
            dns,
            ip,
            uri,
            email,
            other: other
                .into_iter()
                .map(|(oid, value)| OtherName {
                    oid: oid.into(),
                    utf8_value: value.into(),
                })
                .collect(),
        })
}

/// Values of several lengths and scripts: DER sorts a set by encoding, we by text.
const VALUES: &[&str] = &[
    "b",
    "aa",
    "Zürich",
    "zz",
    "Aß",
    "a, b + c = \"d\"",
    "東京",
    "ab",
];

fn subject() -> impl Strategy<Value = Said> {
    let several = || some(VALUES);
    let fields = (
        (
            several(),
            several(),
            several(),
            several(),
            several(),
            several(),
        ),
        some(&["DE", "FR", "AT"]),
        of(select(&["42", "No. 7 (b)"][..])),
    )
        .prop_map(
            |((o, ou, l, st, street, postal), countries, serial)| Subject {
                organizations: o,
                countries,
                organizational_units: ou,
                localities: l,
                provinces: st,
                street_addresses: street,
                postal_codes: postal,
                serial_number: serial.map(str::to_owned),
            },
        );
    let common = of(select(&["web", "Jörg", "a, b"][..])).prop_map(|name| name.map(str::to_owned));
    let attribute = (
        select(
            &[
                "CN",
                "O",
                "OU",
                "uid",
                "L",
                "2.5.4.12",
                "1.2.840.113549.1.9.1",
                "DC",
            ][..],
        ),
        select(&["b", "aa", "a\\, b", "\\#x", "a\\+b", "z\\20", "x.example"][..]),
    )
        .prop_map(|(kind, value)| format!("{kind}={value}"));
    let literal = vec(vec(attribute, 1..4).prop_map(|set| set.join("+")), 1..4)
        .prop_map(|names| names.join(","));
    prop_oneof![
        2 => (common, of(fields)).prop_map(|(name, subject)| Said::Fields(name, subject)),
        1 => literal.prop_map(Said::Literal),
    ]
}

fn usages() -> impl Strategy<Value = Vec<Usage>> {
    const ALL: [&str; 23] = [
        "signing",
        "digital signature",
        "content commitment",
        "key encipherment",
        "key agreement",
        "data encipherment",
        "cert sign",
        "crl sign",
        "encipher only",
        "decipher only",
        "any",
        "server auth",
        "client auth",
        "code signing",
        "email protection",
        "s/mime",
        "ipsec end system",
        "ipsec tunnel",
        "ipsec user",
        "timestamping",
        "ocsp signing",
        "microsoft sgc",
        "netscape sgc",
    ];
    let all: Vec<Usage> = serde_json::from_value(json!(ALL)).unwrap();
    prop_oneof![Just(Vec::new()), subsequence(all, 0..=23)]
}

fn key() -> impl Strategy<Value = (Option<PrivateKey>, Option<SignatureAlgorithm>)> {
    use SignatureAlgorithm as Sign;
    let kinds = vec![
        (None, None, None),
        (Some(KeyAlgorithm::Ecdsa), None, None),
        (None, Some(256), None),
        (Some(KeyAlgorithm::Ecdsa), Some(384), None),
        (Some(KeyAlgorithm::Ecdsa), Some(521), None),
        (None, Some(384), Some(Sign::EcdsaWithSha384)),
        (None, Some(521), Some(Sign::EcdsaWithSha512)),
        (Some(KeyAlgorithm::Ed25519), None, None),
        (None, None, Some(Sign::PureEd25519)),
    ];
    let encoding = of(select(vec![KeyEncoding::Pkcs1, KeyEncoding::Pkcs8]));
    let rotation = of(select(vec![RotationPolicy::Never, RotationPolicy::Always]));
    (select(kinds), encoding, rotation).prop_map(
        |((algorithm, size, signature), encoding, rotation_policy)| {
            let key = PrivateKey {
                rotation_policy,
                encoding,
                algorithm,
                size,
            };
            ((key != PrivateKey::default()).then_some(key), signature)
        },
    )
}

fn ca() -> impl Strategy<Value = (bool, Option<NameConstraints>)> {
    let items = || {
        (
            some(&["example.com", ".Example.org", "bücher.example"]),
            some(&["10.0.0.0/8", "192.0.2.17/24", "2001:db8::/32", "0.0.0.0/0"]),
            some(&["ops@example.com", "example.com", ".example.com"]),
            some(&["example.com", ".example.com"]),
        )
            .prop_map(|(dns_domains, ip_ranges, email_addresses, uri_domains)| {
                NameConstraintItems {
                    dns_domains,
                    ip_ranges,
                    email_addresses,
                    uri_domains,
                }
            })
    };
    let constraints = (of(any::<bool>()), of(items()), of(items())).prop_map(
        |(critical, permitted, excluded)| NameConstraints {
            critical,
            permitted,
            excluded,
        },
    );
    let says = |given: &NameConstraints| {
        let parts = [&given.permitted, &given.excluded];
        parts
            .into_iter()
            .flatten()
            .any(|part| *part != NameConstraintItems::default())
    };
    prop_oneof![
        2 => Just((false, None)),
        1 => constraints.prop_map(move |given| {
            let given = Some(given).filter(says);
            (true, given)
        }),
    ]
}

/// What doesn't show in the certificate, and how long it lives.
fn surroundings() -> impl Strategy<Value = CertificateSpec> {
    let formats = subsequence(vec![OutputFormat::Der, OutputFormat::CombinedPem], 0..=2);
    let template = of((
        some(&["team", "a.example/b"]),
        some(&["note", "a.example/empty"]),
    )
        .prop_map(|(labels, annotations)| SecretTemplate {
            labels: labels.into_iter().map(|key| (key, "x".into())).collect(),
            annotations: annotations
                .into_iter()
                .map(|key| (key, String::new()))
                .collect(),
        }));
    let deletion = of(select(vec![
        SecretDeletionPolicy::Retain,
        SecretDeletionPolicy::Delete,
    ]));
    let duration = of(select(&["1h", "1h30m0.5s", "2160h", "87600h"][..]));
    (
        formats,
        template,
        deletion,
        duration,
        of(any::<bool>()),
        of(1..5),
    )
        .prop_map(
            |(formats, secret_template, secret_deletion_policy, duration, encoded, limit)| {
                CertificateSpec {
                    additional_output_formats: formats
                        .into_iter()
                        .map(|type_| AdditionalOutputFormat { type_ })
                        .collect(),
                    secret_template,
                    secret_deletion_policy,
                    duration: duration.map(Into::into),
                    encode_usages_in_request: encoded,
                    revision_history_limit: limit,
                    ..CertificateSpec::default()
                }
            },
        )
}
