//! Whether a certificate was revoked, by a responder's word (OCSP, RFC 6960).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::judge::{leaf, verify};
use super::revocation::words;
use super::{Fault, Shown, Undecided};
use crate::pki::asn1::{
    CONTEXT_0, CONTEXT_1, CertificateFrame, INTEGER, OCTET_STRING, Reader, SEQUENCE, Signed, Spki,
};
use crate::pki::chain::MAX_SKEW;
use crate::pki::{CertificateDer, Facts, chain, signature};

/// What a responder is asked about the leaf, in DER; `None` if nobody who could have signed it is known.
///
/// There is no nonce in it: responders of public CAs prepare their answers (RFC 5019).
pub fn ocsp_request(shown: &Shown<'_>) -> Option<Vec<u8>> {
    let leaf = leaf(shown.chain)?;
    let [name, key] = issuer(shown, leaf)?.hashes()?;
    let parts = [
        SHA1.to_vec(),
        element(OCTET_STRING, &name),
        element(OCTET_STRING, &key),
        element(INTEGER, &leaf.serial),
    ];
    let mut request = parts.concat();
    // CertID, Request, requestList, TBSRequest, OCSPRequest (section 4.1.1).
    for _ in 0..5 {
        request = element(SEQUENCE, &request);
    }
    Some(request)
}

/// Whether a responder's answer says that the leaf was revoked. It is believed only if the leaf's CA signed it, or one whom
/// that CA let answer, and not past its own end; and only where the chain is trusted.
///
/// # Errors
/// When it says nothing of the leaf.
pub fn by_ocsp(shown: &Shown<'_>, response: &[u8]) -> Result<Option<Fault>, Undecided> {
    let not_believed = |why: &str| Undecided::NotBelieved(why.to_owned());
    let leaf = leaf(shown.chain).ok_or_else(|| not_believed("there is no certificate"))?;
    verify(shown, leaf, None).map_err(|problem| Undecided::NotBelieved(problem.to_string()))?;
    let issuer = issuer(shown, leaf).ok_or_else(|| not_believed("its CA is not known"))?;
    let unreadable = || Undecided::Unreadable("it is no answer of an OCSP responder".to_owned());
    let status = status(response).ok_or_else(unreadable)?;
    if status != SUCCESSFUL {
        let problem = format!("the responder does not answer, with status {status}");
        return Err(Undecided::Unreadable(problem));
    }
    let answer = Answer::read(response).ok_or_else(unreadable)?;
    if !answer.is_by(&issuer, shown.now) {
        return Err(not_believed("its signature is not the CA's"));
    }
    let single = answer
        .about(&issuer, leaf)
        .ok_or_else(|| not_believed("it is not for this certificate"))?;
    let begun = single.this_update.duration_since(shown.now) <= MAX_SKEW;
    if !begun || single.next_update < shown.now {
        return Err(not_believed("it is out of date"));
    }
    match single.standing {
        Standing::Good => Ok(None),
        Standing::Revoked { at, reason } => Ok(Some(Fault::Revoked { at, reason })),
        Standing::Unknown => Err(not_believed("the responder does not know the certificate")),
    }
}

/// Who signed the leaf: its name and key, as they are encoded.
struct Issuer {
    name: Vec<u8>,
    key: Vec<u8>,
}

impl Issuer {
    /// SHA-1 of the name and of the key's bits, as everybody's requests have them.
    fn hashes(&self) -> Option<[Vec<u8>; 2]> {
        let key = Spki::read(&self.key)?.key;
        Some([self.name.as_slice(), key].map(sha1))
    }
}

/// The next certificate of the chain, or a trusted CA that signed the leaf.
fn issuer(shown: &Shown<'_>, leaf: &Facts) -> Option<Issuer> {
    if let Some(above) = chain::build(leaf, shown.chain).get(1) {
        return Some(Issuer {
            name: above.subject_der()?.to_vec(),
            key: above.public_key.as_der().to_vec(),
        });
    }
    let frame = CertificateFrame::read(&leaf.der)?;
    shown.trusted.iter().find_map(|anchor| {
        let name = element(SEQUENCE, &anchor.subject);
        let key = element(SEQUENCE, &anchor.subject_public_key_info);
        let signed = name == frame.issuer && signature::holds(&frame.signed, &key);
        signed.then_some(Issuer { name, key })
    })
}

/// A BasicOCSPResponse (section 4.2.1).
struct Answer<'a> {
    signed: Signed<'a>,
    /// Whose, if the CA does not sign itself.
    certificates: Vec<CertificateDer>,
    /// SingleResponses.
    responses: Reader<'a>,
}

/// What is said of one certificate.
struct Single {
    this_update: Timestamp,
    next_update: Timestamp,
    standing: Standing,
}

enum Standing {
    Good,
    Revoked {
        at: Timestamp,
        reason: Option<&'static str>,
    },
    Unknown,
}

fn status(response: &[u8]) -> Option<u8> {
    let [status] = Reader::inside(response, SEQUENCE)?.expect(ENUMERATED)? else {
        return None;
    };
    Some(*status)
}

impl<'a> Answer<'a> {
    fn read(response: &'a [u8]) -> Option<Self> {
        let mut outer = Reader::inside(response, SEQUENCE)?;
        outer.expect(ENUMERATED)?;
        let mut bytes = Reader::inside(outer.expect(CONTEXT_0)?, SEQUENCE)?;
        if bytes.oid()?.to_string() != BASIC {
            return None;
        }
        let mut basic = Reader::inside(bytes.expect(OCTET_STRING)?, SEQUENCE)?;
        let (content, message) = basic.whole(SEQUENCE)?;
        let algorithm = basic.expect(SEQUENCE)?;
        let signature = basic.bits()?;
        let mut certificates = Vec::new();
        if let Some(shown) = basic.optional(CONTEXT_0) {
            let mut shown = Reader::inside(shown, SEQUENCE)?;
            while !shown.is_empty() && certificates.len() < chain::MAX_CHAIN {
                let (_, certificate) = shown.whole(SEQUENCE)?;
                certificates.push(CertificateDer::from(certificate.to_vec()));
            }
        }
        let mut content = Reader::new(content);
        content.optional(CONTEXT_0);
        // Who answers, and when: the signature and the dates of each answer count.
        content.element()?;
        content.expect(GENERALIZED_TIME)?;
        Some(Self {
            signed: Signed {
                message,
                algorithm,
                signature,
            },
            certificates,
            responses: Reader::new(content.expect(SEQUENCE)?),
        })
    }

    /// Whether the CA signed it, or one whom it let answer (section 4.2.2.2).
    fn is_by(&self, issuer: &Issuer, now: Timestamp) -> bool {
        let delegated = |certificate: &CertificateDer| {
            let facts = Facts::read(certificate).ok()?;
            let frame = CertificateFrame::read(certificate)?;
            let valid = facts.not_before <= now && now <= facts.not_after;
            let by_issuer =
                frame.issuer == issuer.name && signature::holds(&frame.signed, &issuer.key);
            let permitted = facts.extended_key_usages.contains(OCSP_SIGNING);
            let signs = signature::holds(&self.signed, facts.public_key.as_der());
            (valid && by_issuer && permitted && signs).then_some(())
        };
        signature::holds(&self.signed, &issuer.key)
            || self
                .certificates
                .iter()
                .any(|certificate| delegated(certificate).is_some())
    }

    /// What it says of the leaf.
    fn about(mut self, issuer: &Issuer, leaf: &Facts) -> Option<Single> {
        let hashes = issuer.hashes()?;
        while !self.responses.is_empty() {
            let mut single = Reader::new(self.responses.expect(SEQUENCE)?);
            let mut id = Reader::new(single.expect(SEQUENCE)?);
            let algorithm = Reader::new(id.expect(SEQUENCE)?).oid()?.to_string();
            let found = [id.expect(OCTET_STRING)?, id.expect(OCTET_STRING)?];
            if algorithm == SHA1_OID && found == hashes && id.expect(INTEGER)? == leaf.serial {
                return Single::read(single);
            }
        }
        None
    }
}

impl Single {
    /// Reads what follows the CertID.
    fn read(mut single: Reader<'_>) -> Option<Self> {
        let (tag, content, _) = single.element()?;
        let standing = match tag {
            GOOD => Standing::Good,
            CONTEXT_1 => {
                let mut revoked = Reader::new(content);
                let at = time(revoked.expect(GENERALIZED_TIME)?)?;
                let reason = revoked.optional(CONTEXT_0);
                let reason = reason.and_then(|reason| Reader::new(reason).expect(ENUMERATED));
                Standing::Revoked {
                    at,
                    reason: reason.and_then(|reason| words(*reason.first()?)),
                }
            }
            _ => Standing::Unknown,
        };
        let this_update = time(single.expect(GENERALIZED_TIME)?)?;
        let next_update = match single.optional(CONTEXT_0) {
            Some(next) => time(Reader::new(next).expect(GENERALIZED_TIME)?)?,
            // There may be newer word at any time (section 4.2.2.1): an old one is no answer to a question of today.
            None => this_update.checked_add(WITHOUT_END).ok()?,
        };
        Some(Self {
            this_update,
            next_update,
            standing,
        })
    }
}

/// As RFC 5280 section 4.1.2.5.2 writes it.
fn time(text: &[u8]) -> Option<Timestamp> {
    let moment = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    Some(moment.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn sha1(octets: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, octets).as_ref().to_vec()
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|octet| **octet == 0).count()..];
    let mut whole = vec![tag];
    match significant {
        [] => whole.push(0),
        [short] if *short < 0x80 => whole.push(*short),
        long => {
            whole.push(0x80 | long.len() as u8);
            whole.extend(long);
        }
    }
    whole.extend(content);
    whole
}

/// How long an answer counts that does not say so itself.
const WITHOUT_END: SignedDuration = SignedDuration::from_hours(24);
const ENUMERATED: u8 = 0x0a;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] IMPLICIT NULL`.
const GOOD: u8 = 0x80;
const SUCCESSFUL: u8 = 0;
/// `id-pkix-ocsp-basic`.
const BASIC: &str = "1.3.6.1.5.5.7.48.1.1";
/// `id-kp-OCSPSigning`.
const OCSP_SIGNING: &str = "1.3.6.1.5.5.7.3.9";
const SHA1_OID: &str = "1.3.14.3.2.26";
/// The AlgorithmIdentifier of SHA-1, with NULL.
const SHA1: &[u8] = &[SEQUENCE, 9, 0x06, 5, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0];

#[cfg(test)]
mod tests;
