//! Certificates in DER. What is read here, x509-cert reads likewise wherever it reads anything.
#![no_main]

use std::collections::BTreeSet;

use certwright_core::pki::{CertificateDer, Facts, Profile};
use certwright_core::plan::drift::differences;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

fuzz_target!(|der: &[u8]| {
    let der = CertificateDer::from(der.to_vec());
    let Ok(facts) = Facts::read(&der) else {
        return;
    };
    let _ = (
        format!("{facts:?}"),
        facts.serial_hex(),
        facts.is_self_signed(),
    );
    if facts.is_signed_by(&facts) {
        assert!(facts.is_self_signed());
    }
    agrees_with_itself(&facts);
    if let Ok(other) = x509_cert::Certificate::from_der(&der) {
        agrees_with(&facts, &other);
    }
});

/// A certificate is what it says it is.
fn agrees_with_itself(facts: &Facts) {
    let Some(key) = facts.key else {
        return;
    };
    let life = facts.not_after.duration_since(facts.not_before).as_secs();
    let profile = Profile {
        subject: facts.subject.clone(),
        names: facts.names.clone(),
        key_usages: facts.key_usages.clone().unwrap_or_default(),
        extended_key_usages: facts.extended_key_usages.clone(),
        is_ca: facts.is_ca,
        name_constraints: facts.name_constraints.clone(),
        key,
        signature_algorithm: None,
        usages_in_request: true,
        lifetime_seconds: life,
    };
    let found = differences(&profile, facts);
    assert_eq!(
        found.is_empty(),
        facts.unknown_names.is_empty(),
        "{found:?}"
    );
}

fn agrees_with(facts: &Facts, other: &x509_cert::Certificate) {
    let signed = other.tbs_certificate();
    assert_eq!(signed.serial_number().as_bytes(), facts.serial);
    let key = signed.subject_public_key_info().to_der().unwrap();
    assert_eq!(key, facts.public_key.as_der());
    assert_eq!(signed.subject().as_ref().len(), facts.subject.0.len());
    assert_eq!(signed.issuer().as_ref().len(), facts.issuer.0.len());
    let validity = signed.validity();
    for (theirs, ours) in [
        (validity.not_before, facts.not_before),
        (validity.not_after, facts.not_after),
    ] {
        assert_eq!(seconds(theirs), ours.as_second());
    }
    if let Ok(Some((_, names))) = signed.get_extension::<SubjectAltName>() {
        let dns: BTreeSet<_> = names.0.iter().filter_map(dns_name).collect();
        assert_eq!(dns, facts.names.dns);
    }
}

fn seconds(time: Time) -> i64 {
    i64::try_from(time.to_unix_duration().as_secs())
        .unwrap()
        .min(Timestamp::MAX.as_second())
}

fn dns_name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(dns) => Some(dns.as_str().to_ascii_lowercase()),
        _ => None,
    }
}
