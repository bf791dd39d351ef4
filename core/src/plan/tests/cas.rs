//! CAs to sign with.

use std::sync::Arc;

use crate::api::CertificateSpec;
use crate::api::certificate::{IssuerRef, KeyEncoding};
use crate::pki::chain;
use crate::pki::sign::{self, Locations};
use crate::pki::{Authority, CertificateDer, Facts, KeySpec, PrivateKey, Profile};
use crate::plan::{ReadyIssuer, Request, Signer, request};

use super::world::{at, days};

/// A CA as it stands in a Secret.
#[derive(Clone)]
pub(super) struct Ca {
    key: String,
    tls_crt: Vec<CertificateDer>,
}

impl Ca {
    /// A self-signed one with a new key.
    pub(super) fn root(name: &str, from: &str, lives: &str) -> Self {
        Self::with_key(new_key(), name, from, lives)
    }

    /// The same key and name, another certificate.
    pub(super) fn renewed(&self, from: &str, lives: &str) -> Self {
        let name = &self.facts().subject.0[0][0].value;
        Self::with_key(self.key.clone(), name, from, lives)
    }

    /// One with a new key, signed by this one.
    pub(super) fn below(&self, name: &str, from: &str, lives: &str) -> Self {
        self.sign(new_key(), name, from, lives)
    }

    /// The same key and name, signed by another CA.
    pub(super) fn signed_anew_by(&self, other: &Self, from: &str, lives: &str) -> Self {
        let name = &self.facts().subject.0[0][0].value;
        other.sign(self.key.clone(), name, from, lives)
    }

    fn sign(&self, key: String, name: &str, from: &str, lives: &str) -> Self {
        let certificate = sign::by_authority(
            &profile(name, lives),
            &Locations::default(),
            PrivateKey::from_pem(key.as_bytes()).unwrap().public(),
            &self.authority(),
            at(from),
        )
        .unwrap();
        let above = self.tls_crt.iter().cloned();
        Self {
            key,
            tls_crt: std::iter::once(certificate).chain(above).collect(),
        }
    }

    fn with_key(key: String, name: &str, from: &str, lives: &str) -> Self {
        let signer = PrivateKey::from_pem(key.as_bytes()).unwrap();
        let profile = profile(name, lives);
        let certificate =
            sign::self_signed(&profile, &Locations::default(), &signer, at(from)).unwrap();
        Self {
            key,
            tls_crt: vec![certificate],
        }
    }

    pub(super) fn authority(&self) -> Authority {
        let pem = chain::to_pem(&self.tls_crt);
        Authority::read(pem.as_bytes(), self.key.as_bytes(), None).unwrap()
    }

    pub(super) fn facts(&self) -> Facts {
        Facts::read(&self.tls_crt[0]).unwrap()
    }

    /// The issuer that signs with it.
    pub(super) fn issuer(&self) -> ReadyIssuer {
        let authority = self.authority();
        ReadyIssuer {
            identity: format!("ca.{}", authority.certificate().fingerprint),
            signer: Signer::Authority(Arc::new(authority)),
        }
    }
}

/// For tests that are about something else: valid from 2026 for ten years.
pub(super) fn root() -> Ca {
    Ca::root("Root", "2026-01-01", &days(3650))
}

fn new_key() -> String {
    let key = PrivateKey::generate(KeySpec::Ecdsa(256)).unwrap();
    key.to_pem(KeyEncoding::Pkcs8).to_string()
}

fn profile(name: &str, lives: &str) -> Profile {
    let spec = CertificateSpec {
        secret_name: "ca".into(),
        issuer_ref: IssuerRef::default(),
        common_name: Some(name.into()),
        is_ca: Some(true),
        duration: Some(lives.into()),
        ..CertificateSpec::default()
    };
    Request::of(&spec, request::VERSION).unwrap().profile
}
