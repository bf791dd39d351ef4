use rustls_pki_types::TrustAnchor;

use super::*;
use crate::pki::testing::{at, ca, key, leaf as profile, now, root, signed};
use crate::pki::{Authority, PrivateKey, encode};

/// A CA, and a leaf of it.
struct World {
    ca: Authority,
    leaf: Facts,
}

impl World {
    fn new() -> Self {
        let ca = root(&ca("Root"));
        let leaf = signed(&ca, &profile(&["www.example.com"]), &key()).unwrap();
        Self { ca, leaf }
    }

    /// What an answer at a moment comes to.
    fn judge(&self, response: &[u8], now: Timestamp) -> Result<Option<Fault>, Undecided> {
        let anchor = webpki::anchor_from_trusted_cert(&self.ca.chain[0].der).unwrap();
        by_ocsp(&self.shown(&[anchor], now), response)
    }

    fn shown<'a>(&'a self, trusted: &'a [TrustAnchor<'a>], now: Timestamp) -> Shown<'a> {
        Shown {
            chain: std::slice::from_ref(&self.leaf),
            name: None,
            holds_key: None,
            trusted,
            own_cas: true,
            least_left: SignedDuration::ZERO,
            now,
        }
    }

    /// An answer about the leaf, from the moment of its making on.
    fn answer(&self, signer: &PrivateKey, standing: &[u8], next_update: &[u8]) -> Vec<u8> {
        let anchor = webpki::anchor_from_trusted_cert(&self.ca.chain[0].der).unwrap();
        let request = ocsp_request(&self.shown(&[anchor], now())).unwrap();
        // The CertID is what was asked, four layers down.
        let mut id = request.as_slice();
        for _ in 0..4 {
            id = Reader::new(id).expect(SEQUENCE).unwrap();
        }
        let made = element(GENERALIZED_TIME, b"20261123100000Z");
        let single = [id, standing, &made, next_update].concat();
        let responses = element(SEQUENCE, &element(SEQUENCE, &single));
        let by = element(0xa2, &element(OCTET_STRING, &[7; 20]));
        let data = element(SEQUENCE, &[by, made, responses].concat());
        let basic = encode::signed(&data, signer.default_signature(), signer).unwrap();
        let basic_id = [0x06, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
        let bytes = [basic_id.to_vec(), element(OCTET_STRING, &basic)].concat();
        let bytes = element(CONTEXT_0, &element(SEQUENCE, &bytes));
        element(
            SEQUENCE,
            &[element(ENUMERATED, &[SUCCESSFUL]), bytes].concat(),
        )
    }
}

const IS_GOOD: &[u8] = &[GOOD, 0];

fn until(text: &[u8]) -> Vec<u8> {
    element(CONTEXT_0, &element(GENERALIZED_TIME, text))
}

fn revoked() -> Vec<u8> {
    let at = element(GENERALIZED_TIME, b"20261120080910Z");
    let reason = element(CONTEXT_0, &element(ENUMERATED, &[1]));
    element(CONTEXT_1, &[at, reason].concat())
}

#[test]
fn an_answer_of_the_ca_is_believed_until_it_ends() {
    let world = World::new();
    let good = world.answer(&world.ca.key, IS_GOOD, &until(b"20261127100000Z"));
    assert_eq!(world.judge(&good, now()), Ok(None));
    assert_eq!(world.judge(&good, at("2026-11-27T10:00:00Z")), Ok(None));
    let late = Undecided::NotBelieved("it is out of date".to_owned());
    let after = at("2026-11-27T10:00:01Z");
    assert_eq!(world.judge(&good, after), Err(late.clone()));
    // Without an end, for a day.
    let good = world.answer(&world.ca.key, IS_GOOD, &[]);
    assert_eq!(world.judge(&good, at("2026-11-24T10:00:00Z")), Ok(None));
    let after = at("2026-11-24T10:00:01Z");
    assert_eq!(world.judge(&good, after), Err(late));

    let answer = world.answer(&world.ca.key, &revoked(), &[]);
    let fault = Fault::Revoked {
        at: at("2026-11-20T08:09:10Z"),
        reason: Some("keyCompromise"),
    };
    assert_eq!(world.judge(&answer, now()), Ok(Some(fault)));
}

#[test]
fn an_answer_about_another_or_by_another_decides_nothing() {
    let (world, other) = (World::new(), World::new());
    let problem = |answer: &[u8]| world.judge(answer, now()).unwrap_err().to_string();
    let end = until(b"20261127100000Z");
    let foreign = world.answer(&other.ca.key, IS_GOOD, &end);
    assert!(problem(&foreign).contains("not the CA's"));
    let about = other.answer(&world.ca.key, IS_GOOD, &end);
    assert!(problem(&about).contains("not for this certificate"));
    let unknown = world.answer(&world.ca.key, &[0x82, 0], &end);
    assert!(problem(&unknown).contains("does not know the certificate"));
    let try_later = [SEQUENCE, 3, ENUMERATED, 1, 3];
    assert!(problem(&try_later).contains("with status 3"));
    assert!(problem(b"<html>").contains("no answer of an OCSP responder"));
}

#[test]
fn an_answer_that_was_cut_or_changed_anywhere_is_never_believed() {
    let world = World::new();
    let good = world.answer(&world.ca.key, IS_GOOD, &until(b"20261127100000Z"));
    for length in 0..good.len() {
        assert!(world.judge(&good[..length], now()).is_err(), "{length}");
    }
    for index in 0..good.len() {
        let mut changed = good.clone();
        changed[index] ^= 0x15;
        assert!(world.judge(&changed, now()).is_err(), "{index}");
    }
}
