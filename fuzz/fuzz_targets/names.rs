//! The names of a spec: `kind:text`. What is accepted is in its final form, and no other is found by asking again.
#![no_main]

use certwright_core::api::names;
use libfuzzer_sys::fuzz_target;
use rustls_pki_types::{DnsName, ServerName};

fuzz_target!(|text: &str| {
    let Some((kind, text)) = text.split_once(':') else {
        return;
    };
    match kind {
        "dns" => {
            let Some(name) = settled(text, names::dns_name) else {
                return;
            };
            assert!(name.len() <= 253 && !name.ends_with('.'));
            let host = name.strip_prefix("*.").unwrap_or(&name);
            // One that ends in a number is an address to rustls, as in URLs.
            let last = host.rsplit('.').next().unwrap_or_default();
            let digits = last.strip_prefix("0x").unwrap_or(last);
            if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                DnsName::try_from(host).unwrap();
            }
        }
        "dns-constraint" => drop(settled(text, names::dns_constraint)),
        "uri" => drop(settled(text, names::uri)),
        "uri-constraint" => drop(settled(text, names::uri_constraint)),
        "email" => drop(settled(text, names::email_address)),
        "email-constraint" => drop(settled(text, names::email_constraint)),
        "oid" => drop(settled(text, names::object_identifier)),
        "ip" => {
            let ip = |text: &str| names::ip_address(text).map(|address| address.to_string());
            if let Some(address) = settled(text, ip) {
                assert!(matches!(
                    ServerName::try_from(address.as_str()),
                    Ok(ServerName::IpAddress(_))
                ));
            }
        }
        "ip-range" => {
            let range = |text: &str| {
                names::ip_range(text).map(|(address, prefix)| format!("{address}/{prefix}"))
            };
            settled(text, range);
        }
        _ => {}
    }
});

/// The name, which must be the same when it is read again.
fn settled<E: std::fmt::Display>(
    text: &str,
    read: impl Fn(&str) -> Result<String, E>,
) -> Option<String> {
    match read(text) {
        Ok(name) => {
            assert!(name.is_ascii());
            match read(&name) {
                Ok(again) => assert_eq!(again, name),
                Err(problem) => panic!("{name:?} is refused: {problem}"),
            }
            Some(name)
        }
        Err(problem) => {
            assert!(problem.to_string().len() < 300 + 20 * text.len());
            None
        }
    }
}
