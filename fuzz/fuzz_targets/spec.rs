//! Specs. One is refused with a message, or what is issued for it is exactly what it says, and others read it so.
#![no_main]

use std::sync::OnceLock;

use certwright_core::api::CertificateSpec;
use certwright_core::api::certificate::KeyEncoding;
use certwright_core::pki::csr::Csr;
use certwright_core::pki::sign::{self, Locations};
use certwright_core::pki::{Authority, Facts, KeySpec, PrivateKey, Profile, chain};
use certwright_core::plan::drift::differences;
use certwright_core::plan::renew::RenewalRule;
use certwright_fuzz::{key, now, others_read, request, signs_what_is_asked_for};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let Ok(spec) = serde_json::from_slice::<CertificateSpec>(json) else {
        return;
    };
    let _ = RenewalRule::of(&spec).map(|rule| rule.renewal(now(), now(), 0.5));
    let Some(request) = request(&spec) else {
        return;
    };
    let profile = request.profile;
    let Some(key) = key(profile.key) else {
        return;
    };
    if let Ok(request) = Csr::new(&profile, key) {
        assert_eq!(request.verified_public_key().as_ref(), Ok(key.public()));
    }
    if let Some(leaf) = signs_what_is_asked_for(&profile) {
        chain::check_pair(&profile, key.public(), &[leaf], now()).unwrap();
    }
    if let Ok(leaf) = sign::by_authority(&profile, &Locations::default(), key.public(), ca(), now())
    {
        others_read(&leaf);
        let leaf = Facts::read(&leaf).unwrap();
        assert_eq!(differences(&profile, &leaf), Vec::<String>::new());
        let chain = chain::build(&leaf, &ca().chain);
        assert_eq!(chain.len(), 2);
        chain::check_pair(&profile, key.public(), &chain, now()).unwrap();
    }
});

fn ca() -> &'static Authority {
    static CA: OnceLock<Authority> = OnceLock::new();
    CA.get_or_init(|| {
        let spec: CertificateSpec = serde_json::from_str(
            r#"{"secretName": "ca", "issuerRef": {"name": "ca"}, "isCA": true, "commonName": "ca", "duration": "87600h"}"#,
        )
        .unwrap();
        let profile: Profile = request(&spec).unwrap().profile;
        // Another key than that of any certificate: one of the same name would be its own CA.
        let key = PrivateKey::generate(KeySpec::Ecdsa(256)).unwrap();
        let certificate = sign::self_signed(&profile, &Locations::default(), &key, now()).unwrap();
        let pem = chain::to_pem([&certificate]);
        Authority::read(pem.as_bytes(), key.to_pem(KeyEncoding::Pkcs8).as_bytes(), None).unwrap()
    })
}
