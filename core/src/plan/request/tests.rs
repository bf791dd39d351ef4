mod key_and_usages;
mod subject;

use std::collections::BTreeSet;

use super::*;
use crate::api::DurationText;
use crate::api::certificate::{
    KeyAlgorithm, NameConstraintItems, NameConstraints, OtherName, PrivateKey, SignatureAlgorithm,
    Subject, Usage,
};
use crate::pki::KeySpec;
use crate::pki::profile::{Attribute, DistinguishedName, KeyUsage};

fn spec() -> CertificateSpec {
    CertificateSpec {
        secret_name: "web".into(),
        issuer_ref: IssuerRef {
            name: "ca".into(),
            ..IssuerRef::default()
        },
        dns_names: vec!["www.example.com".into()],
        ..CertificateSpec::default()
    }
}

fn profile(change: impl FnOnce(&mut CertificateSpec)) -> Profile {
    let mut spec = spec();
    change(&mut spec);
    Request::of(&spec, VERSION).unwrap().profile
}

fn refused(change: impl FnOnce(&mut CertificateSpec)) -> InvalidSpec {
    let mut spec = spec();
    change(&mut spec);
    Request::of(&spec, VERSION).unwrap_err()
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_spec_that_says_little_gets_the_defaults() {
    let request = Request::of(&spec(), VERSION).unwrap();
    assert_eq!(
        request.issuer,
        IssuerName {
            cluster: false,
            name: "ca".into()
        }
    );
    let profile = request.profile;
    assert!(profile.subject.is_empty());
    assert_eq!(
        profile.names.dns,
        BTreeSet::from(["www.example.com".to_owned()])
    );
    assert_eq!(
        profile.key_usages,
        BTreeSet::from([KeyUsage::DigitalSignature])
    );
    assert_eq!(profile.extended_key_usages, BTreeSet::new());
    assert_eq!(profile.key, KeySpec::Ecdsa(256));
    assert_eq!(profile.signature_algorithm, None);
    assert_eq!(
        (
            profile.is_ca,
            profile.usages_in_request,
            profile.lifetime_seconds
        ),
        (false, true, 7_776_000)
    );
}

#[test]
fn a_version_from_the_future_reads_as_the_current_one() {
    assert_eq!(Request::of(&spec(), 99), Request::of(&spec(), VERSION));
}

#[test]
fn issuers_are_namespaced_unless_said_otherwise() {
    for (kind, cluster) in [
        (None, false),
        (Some(""), false),
        (Some("Issuer"), false),
        (Some("ClusterIssuer"), true),
    ] {
        let mut spec = spec();
        spec.issuer_ref.kind = kind.map(str::to_owned);
        assert_eq!(
            Request::of(&spec, VERSION).unwrap().issuer.cluster,
            cluster,
            "{kind:?}"
        );
    }
    let refused = refused(|spec| spec.issuer_ref.kind = Some("Clusterissuer".into()));
    assert_eq!(
        refused.to_string(),
        r#"spec.issuerRef.kind: "Clusterissuer" is no kind of issuer; write Issuer or ClusterIssuer"#
    );
}

#[test]
fn durations_count_in_whole_seconds() {
    for (text, seconds) in [("1h", 3600), ("2160h0m0s", 7_776_000), ("1h0.9s", 3600)] {
        assert_eq!(
            profile(|spec| spec.duration = Some(DurationText::from(text))).lifetime_seconds,
            seconds
        );
    }
    for text in ["0s", "0.9s", "90d", ""] {
        assert_eq!(
            refused(|spec| spec.duration = Some(DurationText::from(text))).field,
            "spec.duration",
            "{text}"
        );
    }
}

#[test]
fn a_wrong_name_is_told_by_its_place() {
    let other = |oid: &str, value: &str| {
        vec![
            OtherName {
                oid: "1.2.3".into(),
                utf8_value: "a".into(),
            },
            OtherName {
                oid: oid.into(),
                utf8_value: value.into(),
            },
        ]
    };
    for (refused, field) in [
        (
            refused(|spec| spec.dns_names = strings(&["a", "b", "c d"])),
            "spec.dnsNames[2]",
        ),
        (
            refused(|spec| spec.ip_addresses = strings(&["192.0.2"])),
            "spec.ipAddresses[0]",
        ),
        (
            refused(|spec| spec.uris = strings(&["a:b", "/path"])),
            "spec.uris[1]",
        ),
        (
            refused(|spec| spec.email_addresses = strings(&["ops"])),
            "spec.emailAddresses[0]",
        ),
        (
            refused(|spec| spec.other_names = other("upn", "a")),
            "spec.otherNames[1].oid",
        ),
        (
            refused(|spec| spec.other_names = other("1.2.3", "")),
            "spec.otherNames[1].utf8Value",
        ),
        (
            refused(|spec| constrain(spec, |items| items.dns_domains = strings(&["*.a"]))),
            "spec.nameConstraints.permitted.dnsDomains[0]",
        ),
        (
            refused(|spec| {
                constrain(spec, |items| {
                    items.ip_ranges = strings(&["10.0.0.0/8", "10.0.0.1"])
                })
            }),
            "spec.nameConstraints.permitted.ipRanges[1]",
        ),
        (
            refused(|spec| constrain(spec, |items| items.email_addresses = strings(&["@a"]))),
            "spec.nameConstraints.permitted.emailAddresses[0]",
        ),
        (
            refused(|spec| constrain(spec, |items| items.uri_domains = strings(&["a://b"]))),
            "spec.nameConstraints.permitted.uriDomains[0]",
        ),
    ] {
        assert_eq!(refused.field, field);
    }
}

fn constrain(spec: &mut CertificateSpec, change: fn(&mut NameConstraintItems)) {
    let mut items = NameConstraintItems::default();
    change(&mut items);
    spec.is_ca = Some(true);
    spec.common_name = Some("ca".into());
    spec.name_constraints = Some(NameConstraints {
        permitted: Some(items),
        ..NameConstraints::default()
    });
}

#[test]
fn name_constraints_are_for_cas_and_constrain_something() {
    let of_a_leaf = refused(|spec| {
        constrain(spec, |items| items.dns_domains = strings(&["a"]));
        spec.is_ca = None;
    });
    assert_eq!(
        (
            of_a_leaf.field.as_str(),
            of_a_leaf.problem.contains("isCA: true")
        ),
        ("spec.nameConstraints", true)
    );
    let empty = refused(|spec| constrain(spec, |_| ()));
    assert_eq!(
        (
            empty.field.as_str(),
            empty.problem.contains("nothing is constrained")
        ),
        ("spec.nameConstraints", true)
    );
}

#[test]
fn a_certificate_has_a_name_and_a_ca_a_subject() {
    assert_eq!(refused(|spec| spec.dns_names.clear()).field, "spec");
    assert_eq!(
        refused(|spec| spec.is_ca = Some(true)).field,
        "spec.commonName"
    );
    let ca = profile(|spec| {
        spec.is_ca = Some(true);
        spec.dns_names.clear();
        spec.literal_subject = Some("O=Example".into());
    });
    assert!(ca.names.is_empty());
}

#[test]
fn order_case_and_repetition_of_names_do_not_matter() {
    let hash = |dns_names: &[&str]| {
        let mut spec = spec();
        spec.dns_names = strings(dns_names);
        Request::of(&spec, VERSION).unwrap().hash(VERSION)
    };
    assert_eq!(
        hash(&["a.example", "b.example"]),
        hash(&["B.example", "a.example.", "b.example"])
    );
    assert_ne!(hash(&["a.example", "b.example"]), hash(&["a.example"]));
}

#[test]
fn what_does_not_show_in_the_certificate_does_not_change_the_request() {
    let request = Request::of(&spec(), VERSION).unwrap();
    let mut other = spec();
    other.secret_name = "another".into();
    other.renew_before = Some(DurationText::from("720h"));
    other.revision_history_limit = Some(3);
    other.private_key = Some(PrivateKey {
        algorithm: Some(KeyAlgorithm::Ecdsa),
        size: Some(256),
        ..PrivateKey::default()
    });
    other.duration = Some(DurationText::from("2160h0m0s"));
    other.issuer_ref.kind = Some("Issuer".into());
    assert_eq!(Request::of(&other, VERSION).unwrap(), request);
}

#[test]
fn hashes_tell_their_version() {
    let request = Request::of(&spec(), VERSION).unwrap();
    assert_eq!(Request::version_of(&request.hash(1)), Some(1));
    assert_eq!(Request::version_of(&request.hash(42)), Some(42));
    let hex = "0".repeat(64);
    for hash in [
        "",
        "v1",
        "v1-",
        "1-00",
        &format!("v01-{hex}"),
        &format!("v+1-{hex}"),
        &format!("v-{hex}"),
        &format!("v1-{hex}0"),
        &format!("v1-{}", "G".repeat(64)),
        &format!("V1-{hex}"),
        &format!("v4294967296-{hex}"),
    ] {
        assert_eq!(Request::version_of(hash), None, "{hash}");
    }
}
