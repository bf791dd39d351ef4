//! What several fuzz targets use.

use std::sync::OnceLock;

use certwright_core::api::CertificateSpec;
use certwright_core::pki::sign::{self, Locations};
use certwright_core::pki::{CertificateDer, Facts, KeySpec, PrivateKey, Profile};
use certwright_core::plan::Request;
use certwright_core::plan::drift::differences;
use certwright_core::plan::request::VERSION;
use jiff::Timestamp;
use webpki::EndEntityCert;

/// When targets sign: 2026-11-02.
pub fn now() -> Timestamp {
    Timestamp::from_second(1_793_577_600).unwrap()
}

/// One key of each kind, made once; `None` for RSA, which takes too long to make.
pub fn key(spec: KeySpec) -> Option<&'static PrivateKey> {
    static KEYS: [OnceLock<PrivateKey>; 4] = [const { OnceLock::new() }; 4];
    let at = match spec {
        KeySpec::Ecdsa(256) => 0,
        KeySpec::Ecdsa(384) => 1,
        KeySpec::Ecdsa(521) => 2,
        KeySpec::Ed25519 => 3,
        _ => return None,
    };
    Some(KEYS[at].get_or_init(|| PrivateKey::generate(spec).unwrap()))
}

/// What a spec asks for, if it can be said: it stays the same through its JSON, and is the same each time.
pub fn request(spec: &CertificateSpec) -> Option<Request> {
    let request = Request::of(spec, VERSION).ok()?;
    assert_eq!(Request::of(spec, VERSION).as_ref(), Ok(&request));
    let json = serde_json::to_vec(&request).unwrap();
    assert_eq!(serde_json::from_slice::<Request>(&json).unwrap(), request);
    let hash = request.hash(VERSION);
    assert_eq!(Request::version_of(&hash), Some(VERSION));
    Some(request)
}

/// Whatever is signed says what was asked for, and others can read it: a profile is refused, or fulfilled exactly.
pub fn signs_what_is_asked_for(profile: &Profile) -> Option<Facts> {
    let key = key(profile.key)?;
    let der = sign::self_signed(profile, &Locations::default(), key, now()).ok()?;
    let facts = Facts::read(&der).expect("we read what we sign");
    assert_eq!(differences(profile, &facts), Vec::<String>::new());
    others_read(&der);
    Some(facts)
}

/// Two other readers take a certificate that we made.
pub fn others_read(der: &CertificateDer) {
    if let Err(problem) = EndEntityCert::try_from(der) {
        panic!("webpki can't read it: {problem}");
    }
    if let Err(problem) = <x509_cert::Certificate as x509_cert::der::Decode>::from_der(der) {
        panic!("x509-cert can't read it: {problem}");
    }
}

/// Whether a text can be shown on one line of a terminal, and is no longer than this in bytes.
pub fn is_plain(text: &str, most: usize) -> bool {
    text.len() <= most && !text.chars().any(char::is_control)
}
