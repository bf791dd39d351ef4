//! A CA that signs something else than it was asked for.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use certwright::clock::{Clock as _, SystemClock};
use certwright_core::pki::csr::Csr;
use certwright_core::pki::profile::{DistinguishedName, KeyUsage, Names};
use certwright_core::pki::sign::{Locations, by_authority};
use certwright_core::pki::{Authority, KeySpec, PrivateKey, Profile, PublicKey};
use certwright_core::pki::{CertificateDer, chain};
use jiff::SignedDuration;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::Value;

use crate::faulty::{Asked, Fault, answer};

/// What is wrong with the chain that is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Forgery {
    /// Nothing, but that another CA signed it.
    None,
    /// It is for another key.
    Key,
    /// It is for another name.
    Name,
    /// It is for one name more.
    MoreNames,
    /// What signed it is missing.
    Alone,
    /// What comes with it did not sign it.
    OtherIntermediate,
    /// It begins to be valid in hours.
    Tomorrow,
    /// It begins to be valid within the hour: clocks differ.
    Soon,
    /// It has ended.
    Yesterday,
    /// The text ends in the middle.
    CutShort,
    /// There is no certificate in the text.
    Empty,
    /// There is the private key of somebody in it.
    WithKey,
}

/// Somebody who knows what was asked for.
pub(crate) struct Forger {
    authority: Authority,
    other: Authority,
    requested: Option<PublicKey>,
}

impl Forger {
    pub(crate) fn new() -> Self {
        Self {
            authority: authority("A CA"),
            other: authority("Another CA"),
            requested: None,
        }
    }

    /// Hears which key is to be certified.
    pub(crate) fn hears(&mut self, asked: &Asked) {
        let (_, body) = asked.text.split_once("\r\n\r\n").unwrap();
        let decoded = |text: &Value| BASE64_URL_SAFE_NO_PAD.decode(text.as_str().unwrap());
        let signed: Value = serde_json::from_str(body).unwrap();
        let payload: Value = serde_json::from_slice(&decoded(&signed["payload"]).unwrap()).unwrap();
        let csr = Csr(decoded(&payload["csr"]).unwrap());
        self.requested = Some(csr.verified_public_key().unwrap());
    }

    /// The answer to whoever comes for the certificate for this name.
    pub(crate) fn gives(&self, name: &str, forgery: Forgery) -> Fault {
        let other = PrivateKey::generate(KeySpec::Ecdsa(256)).unwrap();
        let key = match forgery {
            Forgery::Key => other.public(),
            _ => self.requested.as_ref().unwrap(),
        };
        let names: &[&str] = match forgery {
            Forgery::Name => &["elsewhere.example.com"],
            Forgery::MoreNames => &[name, "more.example.com"],
            _ => &[name],
        };
        let now = SystemClock.now();
        let begin = match forgery {
            Forgery::Tomorrow => now + SignedDuration::from_hours(20),
            Forgery::Soon => now + SignedDuration::from_mins(30),
            Forgery::Yesterday => now - SignedDuration::from_hours(120),
            _ => now,
        };
        let profile = profile(names);
        let none = Locations::default();
        let leaf = by_authority(&profile, &none, key, &self.authority, begin).unwrap();
        let above = match forgery {
            Forgery::OtherIntermediate => &self.other,
            _ => &self.authority,
        };
        let above = &above.certificate().der;
        let mut pem = match forgery {
            Forgery::Alone => chain::to_pem([&leaf]),
            Forgery::Empty => String::new(),
            _ => chain::to_pem::<'_>([&leaf, above] as [&CertificateDer; 2]),
        };
        match forgery {
            Forgery::CutShort => pem.truncate(pem.len() - 40),
            Forgery::WithKey => {
                let encoding = certwright_core::api::certificate::KeyEncoding::Pkcs8;
                pem.push_str(other.to_pem(encoding).as_str());
            }
            _ => {}
        }
        let headers = [("Content-Type", "application/pem-certificate-chain")];
        Fault::Says(answer("200 OK", &headers, &pem))
    }
}

fn authority(name: &str) -> Authority {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, name);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let key = root.key().serialize_pem();
    Authority::read(root.pem().as_bytes(), key.as_bytes(), None).unwrap()
}

/// Four days for these names.
fn profile(names: &[&str]) -> Profile {
    Profile {
        subject: DistinguishedName::default(),
        names: Names {
            dns: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Names::default()
        },
        key_usages: [KeyUsage::DigitalSignature].into(),
        extended_key_usages: ["1.3.6.1.5.5.7.3.1".to_owned()].into(),
        is_ca: false,
        name_constraints: None,
        key: KeySpec::Ecdsa(256),
        signature_algorithm: None,
        usages_in_request: true,
        lifetime_seconds: 4 * 86_400,
    }
}
