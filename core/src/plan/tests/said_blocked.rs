//! What the user reads when somebody else must act first.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::cas::root;
use super::rules::not_ours;
use super::said::{WORKS, held, more, says};
use super::world::{Given, at};
use crate::api::certificate::{PrivateKey, RotationPolicy};

const NOON: &str = "2026-11-02T12:00:00Z";

#[test]
fn a_missing_issuer_says_what_it_is_needed_for() {
    let message = "Issuer ca does not exist, and it is needed because Secret web does not exist. Create it, or correct spec.issuerRef.";
    let mut world = Given::certificate("web");
    says(
        &mut world,
        NOON,
        "Ready",
        "False",
        "IssuerNotFound",
        message,
    );
    says(
        &mut world,
        NOON,
        "Issuing",
        "False",
        "IssuerNotFound",
        message,
    );
}

#[test]
fn a_missing_issuer_leaves_what_works_ready_where_a_renewal_waits_for_it() {
    let mut world = held().without_issuer();
    says(
        &mut world,
        "2027-01-02",
        "Ready",
        "True",
        "Ready",
        "The certificate is what the spec asks for, and valid until 2027-01-31T00:00:00Z.",
    );
    says(
        &mut world,
        "2027-01-02",
        "Issuing",
        "False",
        "IssuerNotFound",
        "Issuer ca does not exist, and it is needed because its renewal is due. Create it, or correct spec.issuerRef.",
    );
    says(
        &mut world,
        "2027-02-01",
        "Ready",
        "False",
        "Expired",
        "The certificate expired at 2027-01-31T00:00:00Z. Issuer ca does not exist, and it is needed because the certificate \
         expired at 2027-01-31T00:00:00Z. Create it, or correct spec.issuerRef.",
    );
}

#[test]
fn an_issuer_that_can_not_sign_is_quoted() {
    let mut world = Given::certificate("web").lapsed("Secret shop/ca does not exist.");
    let message = "Issuer ca cannot sign, and it is needed because Secret web does not exist. It says: Secret shop/ca does not exist.";
    says(
        &mut world,
        NOON,
        "Ready",
        "False",
        "IssuerNotReady",
        message,
    );
}

#[test]
fn an_issuer_for_other_namespaces_says_who_can_add_this_one_and_leaves_what_works_ready() {
    let mut world = Given::certificate("web").not_allowed();
    let message = "Issuer ca does not serve namespace shop, and it is needed because Secret web does not exist. Have the \
                   namespace added to its spec.allowedNamespaces, or name another issuer in spec.issuerRef.";
    for condition in ["Ready", "Issuing"] {
        says(
            &mut world,
            NOON,
            condition,
            "False",
            "IssuerNotAllowed",
            message,
        );
    }
    let mut world = held().not_allowed();
    says(
        &mut world,
        "2027-01-02",
        "Ready",
        "True",
        "Ready",
        "The certificate is what the spec asks for, and valid until 2027-01-31T00:00:00Z.",
    );
    let message = "Issuer ca does not serve namespace shop, and it is needed because its renewal is due. Have the namespace \
                   added to its spec.allowedNamespaces, or name another issuer in spec.issuerRef.";
    says(
        &mut world,
        "2027-01-02",
        "Issuing",
        "False",
        "IssuerNotAllowed",
        message,
    );
}

#[test]
fn a_foreign_secret_says_how_to_hand_it_over_and_nothing_of_it_is_told() {
    let mut world = held().edited(NOON, not_ours);
    world.certificate.status = None;
    let message = "Secret web exists and was not made by Certwright. Delete it, choose another spec.secretName, or hand it over: \
                   kubectl annotate secret web certwright.dev/certificate-name=web";
    says(&mut world, NOON, "Ready", "False", "ForeignSecret", message);
    says(
        &mut world,
        NOON,
        "Issuing",
        "False",
        "ForeignSecret",
        message,
    );
    let status = world.status();
    assert_eq!(
        (&status.fingerprint, &status.not_after, status.revision),
        (&None, &None, None)
    );
}

#[test]
fn the_secret_of_another_certificate_names_it_and_nothing_of_it_is_told() {
    let mut world = held().asked("1");
    world.reconcile(at(NOON));
    world.certificate.metadata.name = Some("second".into());
    world.certificate.metadata.annotations = None;
    world.certificate.status = None;
    says(
        &mut world,
        NOON,
        "Ready",
        "False",
        "SecretOwnedByOther",
        "Secret web belongs to Certificate web. Give spec.secretName another name, or delete Certificate web.",
    );
    let status = world.status();
    assert_eq!(
        (
            &status.fingerprint,
            &status.last_renew_request,
            status.revision
        ),
        (&None, &None, None)
    );
}

#[test]
fn a_secret_being_deleted_points_at_its_finalizers() {
    let mut world = held().edited(NOON, |secret| {
        secret.metadata.deletion_timestamp = Some(Time(at(NOON)))
    });
    let message = "Secret web is being deleted, and something holds it back. Look at its metadata.finalizers; the certificate is \
                   issued once it is gone.";
    says(
        &mut world,
        NOON,
        "Ready",
        "False",
        "SecretBeingDeleted",
        &format!("{message} {WORKS}"),
    );
}

#[test]
fn an_immutable_secret_says_how_to_go_on() {
    let immutable = || held().edited(NOON, |secret| secret.immutable = Some(true));
    let message = "Secret web is immutable and would have to change. Delete it, and it is made anew without immutable: true.";
    says(
        &mut immutable().changed(more),
        NOON,
        "Ready",
        "False",
        "ImmutableSecret",
        &format!("{message} {WORKS}"),
    );
    let mut world = immutable().edited(NOON, |secret| secret.metadata.labels = None);
    says(
        &mut world,
        NOON,
        "Issuing",
        "False",
        "ImmutableSecret",
        message,
    );
    assert_eq!(world.condition("Ready").unwrap().reason, "Ready");
}

#[test]
fn an_invalid_spec_says_where_and_what_still_works() {
    let mut world = held().changed(|spec| spec.dns_names = vec!["a b".into()]);
    world.reconcile(at(NOON));
    let ready = world.condition("Ready").unwrap();
    assert_eq!(ready.reason, "InvalidSpec");
    assert!(
        ready.message.starts_with("spec.dnsNames[0]: "),
        "{}",
        ready.message
    );
    assert!(ready.message.ends_with(WORKS), "{}", ready.message);
    assert_eq!(world.status().not_after, Some(Time(at("2027-01-31"))));
}

#[test]
fn a_key_that_can_not_stay_offers_three_ways_out() {
    let key = |size| {
        Some(PrivateKey {
            rotation_policy: Some(RotationPolicy::Never),
            size,
            ..PrivateKey::default()
        })
    };
    let mut world = Given::certificate("web")
        .by(&root())
        .with(|spec| spec.private_key = key(None))
        .issued("2026-11-02")
        .changed(|spec| spec.private_key = key(Some(384)));
    let message = "Secret web holds a key of kind ECDSA P-256, the spec asks for ECDSA P-384, and spec.privateKey.rotationPolicy is \
                   Never. Set it to Always for one issuance, ask for a key of kind ECDSA P-256, or delete the Secret.";
    says(
        &mut world,
        NOON,
        "Issuing",
        "False",
        "KeyCannotStay",
        message,
    );
    says(
        &mut world,
        NOON,
        "Ready",
        "False",
        "KeyCannotStay",
        &format!("{message} {WORKS}"),
    );
}
