//! Subjects as RFC 4514 texts. What is read is the same when it is written and read again, and stands in the
//! certificate as it was read.
#![no_main]

use certwright_core::api::CertificateSpec;
use certwright_core::pki::profile::DistinguishedName;
use certwright_fuzz::{request, signs_what_is_asked_for};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some(subject) = subject(text) else {
        return;
    };
    let again = self::subject(&written(&subject));
    assert_eq!(again.as_ref(), Some(&subject));
    let profile = request(&spec(text)).unwrap().profile;
    if let Some(facts) = signs_what_is_asked_for(&profile) {
        assert!(!facts.subject.is_empty());
    }
});

fn spec(text: &str) -> CertificateSpec {
    CertificateSpec {
        literal_subject: Some(text.to_owned()),
        ..CertificateSpec::default()
    }
}

fn subject(text: &str) -> Option<DistinguishedName> {
    request(&spec(text)).map(|request| request.profile.subject)
}

/// The most particular name first; whatever is special in values is escaped (RFC 4514 section 2.4).
fn written(subject: &DistinguishedName) -> String {
    let value = |text: &str| -> String {
        text.chars()
            .map(|c| match c {
                ' ' | '"' | '#' | '+' | ',' | ';' | '<' | '=' | '>' | '\\' => format!("\\{c}"),
                '\0'..='\x1f' | '\x7f' => format!("\\{:02X}", u32::from(c)),
                _ => c.to_string(),
            })
            .collect()
    };
    let names = subject.0.iter().rev().map(|name| {
        let attributes: Vec<_> = name
            .iter()
            .map(|attribute| format!("{}={}", attribute.oid, value(&attribute.value)))
            .collect();
        attributes.join("+")
    });
    names.collect::<Vec<_>>().join(",")
}
