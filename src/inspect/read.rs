//! From bytes to what is in them.

use std::collections::BTreeMap;

use certwright_core::pki::chain::{self, BundleError};
use certwright_core::pki::{CertificateDer, Facts, PrivateKey};
use k8s_openapi::api::core::v1::Secret;

use super::{Found, Key, Placed, Service};
use crate::probe::Presented;

/// Reads a file: PEM blocks, or one certificate in DER.
pub(super) fn bundle(source: &str, bytes: &[u8]) -> Found {
    let mut found = Found {
        source: source.to_owned(),
        ..Found::default()
    };
    if !is_pem(bytes) {
        match Facts::read(&CertificateDer::from(bytes.to_vec())) {
            Ok(facts) => found.add("certificate 1", facts),
            Err(error) => found.problems.push(format!("neither PEM nor DER: {error}")),
        }
        return found;
    }
    found.certificates_of("certificate", "", bytes);
    found.key_of("", bytes);
    found
}

/// Reads a Secret of type `kubernetes.io/tls`, or one with the same keys in it.
pub(super) fn secret(namespace: &str, name: &str, secret: &Secret) -> Found {
    let mut found = Found {
        source: format!("Secret {namespace}/{name}"),
        ..Found::default()
    };
    let empty = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&empty);
    for (key, required) in [("tls.crt", true), (CAS, false)] {
        match data.get(key) {
            Some(bytes) => found.certificates_of(key, &format!("{key}: "), &bytes.0),
            None if required => found.problems.push(
                match data.keys().map(String::as_str).collect::<Vec<_>>()[..] {
                    [] => format!("there is no {key} in it, nor anything else"),
                    ref keys => format!("there is no {key} in it, but {}", keys.join(", ")),
                },
            ),
            None => {}
        }
    }
    if let Some(bytes) = data.get("tls.key") {
        found.key_of("tls.key: ", &bytes.0);
    }
    found
}

/// The key of a Secret under which those stand whom its readers trust.
const CAS: &str = "ca.crt";

/// Reads what a server showed.
pub(super) fn presented(source: &str, name: &str, presented: Presented) -> Found {
    let mut found = Found {
        source: source.to_owned(),
        ..Found::default()
    };
    for (index, der) in presented.chain.iter().enumerate() {
        match Facts::read(der) {
            Ok(facts) => found.add(&format!("certificate {}", index + 1), facts),
            Err(problem) => {
                let problem = format!("certificate {}: {problem}", index + 1);
                found.problems.push(problem);
            }
        }
    }
    let how = presented
        .protocol
        .unwrap_or_else(|| "a handshake that it broke off".to_owned());
    found.service = Some(Service {
        reached: format!("{}, {how}", presented.at),
        name: name.to_owned(),
        holds_key: presented.holds_key,
        faults: Vec::new(),
    });
    found
}

impl Found {
    /// Those that whoever has this shows to others, in their order.
    pub(super) fn chain(&self) -> Vec<Facts> {
        self.standing(|place| !place.starts_with(CAS))
    }

    /// Those whom the readers of a Secret trust.
    pub(super) fn cas(&self) -> Vec<Facts> {
        self.standing(|place| place.starts_with(CAS))
    }

    fn standing(&self, there: impl Fn(&str) -> bool) -> Vec<Facts> {
        let stands = |placed: &&Placed| placed.places.iter().any(|place| there(place));
        let standing = self.certificates.iter().filter(stands);
        standing.map(|placed| placed.facts.clone()).collect()
    }

    fn certificates_of(&mut self, place: &str, prefix: &str, pem: &[u8]) {
        match chain::read_pem(pem) {
            Ok(certificates) => {
                for (index, facts) in certificates.into_iter().enumerate() {
                    self.add(&format!("{place} {}", index + 1), facts);
                }
            }
            // A file may well hold only a key.
            Err(BundleError::Empty) if prefix.is_empty() => {}
            Err(error) => self.problems.push(format!("{prefix}{error}")),
        }
    }

    fn key_of(&mut self, prefix: &str, pem: &[u8]) {
        // A file may well hold only certificates, and more of them than anybody would read in search of a key.
        if prefix.is_empty() && !contains(pem, b"PRIVATE KEY-----") {
            return;
        }
        self.key = Some(match PrivateKey::from_pem(pem) {
            Ok(key) => Key::Readable {
                spec: key.spec(),
                public: key.public().clone(),
            },
            Err(error) => Key::Unreadable(format!("{prefix}{error}")),
        });
    }

    fn add(&mut self, place: &str, facts: Facts) {
        match self
            .certificates
            .iter_mut()
            .find(|known| known.facts.fingerprint == facts.fingerprint)
        {
            Some(known) => known.places.push(place.to_owned()),
            None => self.certificates.push(Placed {
                places: vec![place.to_owned()],
                facts,
            }),
        }
    }
}

/// Whether the bytes hold PEM anywhere: tools write text before the first block.
fn is_pem(bytes: &[u8]) -> bool {
    contains(bytes, b"-----BEGIN ")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
