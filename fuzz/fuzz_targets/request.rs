//! Certification requests (PKCS#10), as an issuer is given them.
#![no_main]

use certwright_core::pki::PublicKey;
use certwright_core::pki::csr::Csr;
use libfuzzer_sys::fuzz_target;
use x509_cert::der::{Decode, Encode};
use x509_cert::request::CertReq;

fuzz_target!(|der: &[u8]| {
    let _ = PublicKey::from_der(der).map(|key| (key.spec(), key.key_identifier(), key.sha256()));
    let Ok(key) = Csr(der.to_vec()).verified_public_key() else {
        return;
    };
    if let Ok(other) = CertReq::from_der(der) {
        assert_eq!(other.info.public_key.to_der().unwrap(), key.as_der());
    }
});
