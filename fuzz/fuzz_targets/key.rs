//! Private keys: the first octet says in which armour the rest stands, or that it is PEM itself.
#![no_main]

use certwright_core::api::certificate::KeyEncoding;
use certwright_core::pki::{KeySpec, PrivateKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, contents)) = data.split_first() else {
        return;
    };
    let pem = match kind {
        b'8' => armour("PRIVATE KEY", contents),
        b'1' => armour("RSA PRIVATE KEY", contents),
        b'e' => armour("EC PRIVATE KEY", contents),
        _ => contents.to_vec(),
    };
    let key = match PrivateKey::from_pem(&pem) {
        Ok(key) => key,
        Err(problem) => {
            let _ = problem.to_string();
            return;
        }
    };
    assert_eq!(format!("{key:?}"), "PrivateKey(..)");
    assert_eq!(key.public().spec(), Some(key.spec()));
    for encoding in [KeyEncoding::Pkcs1, KeyEncoding::Pkcs8] {
        let again = PrivateKey::from_pem(key.to_pem(encoding).as_bytes()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(again.to_der(encoding), key.to_der(encoding));
        let has_own_form = key.spec() != KeySpec::Ed25519;
        assert_eq!(
            again.read_encoding() == encoding,
            has_own_form || encoding == KeyEncoding::Pkcs8
        );
    }
});

/// PEM without base64 of its own: pki-types has only a reader.
fn armour(label: &str, contents: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n").into_bytes();
    for part in contents.chunks(3) {
        let bits = part
            .iter()
            .fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet))
            << (8 * (3 - part.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= part.len() { digit } else { b'=' });
        }
    }
    text.extend(format!("\n-----END {label}-----\n").bytes());
    text
}
