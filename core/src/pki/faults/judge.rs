//! From a chain to what is wrong with it.

use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::{ServerName, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage, RevocationOptions};

use super::{Fault, Judgement, Shown};
use crate::pki::asn1::{self, Spki};
use crate::pki::{CertificateDer, Facts, chain};

/// Everything that a client would have against a chain; `None` if it is empty.
pub fn judge(shown: &Shown<'_>) -> Option<Judgement> {
    let leaf = leaf(shown.chain)?;
    let path = chain::build(leaf, shown.chain);
    let mut faults = Vec::new();
    faults.extend(dates(shown, &path[..1]));
    faults.extend(name(shown.name, leaf));
    let weak = rsa_bits(leaf).filter(|bits| *bits < LEAST_RSA_BITS);
    faults.extend(weak.map(|bits| Fault::WeakKey {
        position: position(shown.chain, leaf),
        bits,
    }));
    // Nobody believes what a weak key signs, so that says nothing of whether it is held.
    if shown.holds_key == Some(false) && weak.is_none() {
        faults.push(Fault::KeyMismatch);
    }
    faults.extend(order(shown.chain, &path));
    faults.extend(trust(shown, &path));
    faults.sort();
    faults.dedup();
    let needed = path.iter().filter(|facts| !is_top(facts, leaf));
    let ends = needed.map(|facts| facts.not_after).min()?;
    Some(Judgement { faults, ends })
}

/// Judges as a client would; a leaf out of its time as if it were within. Whether it is trusted for its own sake is for the
/// caller to see.
pub(super) fn verify(
    shown: &Shown<'_>,
    leaf: &Facts,
    revocation: Option<RevocationOptions<'_>>,
) -> Result<(), Error> {
    let others: Vec<CertificateDer> = shown
        .chain
        .iter()
        .filter(|facts| facts.fingerprint != leaf.fingerprint)
        .map(|facts| facts.der.clone())
        .collect();
    let moment = shown.now.max(leaf.not_before).min(leaf.not_after);
    let certificate = EndEntityCert::try_from(&leaf.der)?;
    let verified = certificate.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        shown.trusted,
        &others,
        unix_time(moment),
        KeyUsage::server_auth(),
        revocation,
        None,
    );
    verified.map(|_| ())
}

/// The first certificate, as clients have it (RFC 8446 section 4.4.2); but where CAs stand before one that is none, that one is
/// meant.
pub fn leaf(chain: &[Facts]) -> Option<&Facts> {
    chain
        .iter()
        .find(|facts| !facts.is_ca)
        .or_else(|| chain.first())
}

/// Which certificates are out of their time, or will be before what must be left is over.
fn dates(shown: &Shown<'_>, certificates: &[Facts]) -> Vec<Fault> {
    let now = shown.now.as_second();
    let soon = now.saturating_add(shown.least_left.as_secs());
    let fault = |facts: &Facts| {
        let position = position(shown.chain, facts);
        let Facts {
            not_before,
            not_after,
            ..
        } = *facts;
        if now < not_before.as_second() {
            return Some(Fault::NotYetValid {
                position,
                not_before,
            });
        }
        // The last second is part of it (RFC 5280 section 4.1.2.5).
        if now > not_after.as_second() {
            return Some(Fault::Expired {
                position,
                not_after,
            });
        }
        (soon > not_after.as_second()).then_some(Fault::EndsSoon {
            position,
            not_after,
        })
    };
    certificates.iter().filter_map(fault).collect()
}

fn name(name: Option<&ServerName<'_>>, leaf: &Facts) -> Option<Fault> {
    let name = name?;
    let certificate = EndEntityCert::try_from(&leaf.der).ok()?;
    certificate.verify_is_valid_for_subject_name(name).err()?;
    let dns = leaf.names.dns.iter().cloned();
    let addresses = leaf.names.ip.iter().map(ToString::to_string);
    Some(Fault::WrongName {
        name: name.to_str().into_owned(),
        names: dns.chain(addresses).collect(),
    })
}

/// Whether more of the chain is there than one finds who goes from each certificate to the next.
fn order(chain: &[Facts], path: &[Facts]) -> Option<Fault> {
    let in_order = chain
        .windows(2)
        .take_while(|pair| pair[0].is_signed_by(&pair[1]))
        .count()
        + 1;
    let first = chain.first()?.fingerprint == path.first()?.fingerprint;
    (!first || path.len() > in_order).then(|| Fault::WrongOrder {
        right: path.iter().map(|facts| position(chain, facts)).collect(),
    })
}

/// Why the chain would not be trusted.
fn trust(shown: &Shown<'_>, path: &[Facts]) -> Vec<Fault> {
    let Some((leaf, above)) = path.split_first() else {
        return Vec::new();
    };
    if leaf.is_self_signed() {
        let trusted = shown.trusted.iter().any(|anchor| is_of(anchor, leaf));
        return if trusted {
            Vec::new()
        } else {
            vec![Fault::SelfSigned]
        };
    }
    let Err(problem) = verify(shown, leaf, None) else {
        // What clients need may still end sooner than was asked for.
        let needed = above.iter().take_while(|facts| !is_top(facts, leaf));
        return needed
            .flat_map(|facts| dates(shown, std::slice::from_ref(facts)))
            .collect();
    };
    let fault = match problem {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => {
            let faults = dates(shown, above);
            if !faults.is_empty() {
                return faults;
            }
            refused(&problem)
        }
        Error::UnknownIssuer
        | Error::InvalidSignatureForPublicKey
        | Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => nobody_known(shown, path),
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => Fault::NotForServers,
        Error::NameConstraintViolation => Fault::NameNotPermitted,
        problem => refused(&problem),
    };
    vec![fault]
}

/// Why the chain leads to nobody who is trusted.
fn nobody_known(shown: &Shown<'_>, path: &[Facts]) -> Fault {
    let Some(top) = path.last() else {
        return refused(&Error::UnknownIssuer);
    };
    let place = position(shown.chain, top);
    if top.is_self_signed() {
        return Fault::UnknownAuthority {
            authority: top.subject.to_string(),
            namesake: shown
                .trusted
                .iter()
                .any(|anchor| names(anchor, top.subject_der())),
        };
    }
    if WEAK.contains(&top.signature_algorithm.as_str()) {
        return Fault::WeakSignature {
            position: place,
            algorithm: top.signature_algorithm.clone(),
        };
    }
    let weak = shown
        .chain
        .iter()
        .filter(|facts| facts.subject_der() == top.issuer_der());
    for signer in weak {
        if let Some(bits) = rsa_bits(signer).filter(|bits| *bits < LEAST_RSA_BITS) {
            let position = position(shown.chain, signer);
            return Fault::WeakKey { position, bits };
        }
    }
    let issuer = top.issuer.to_string();
    let namesake = shown
        .trusted
        .iter()
        .any(|anchor| names(anchor, top.issuer_der()));
    // Those who sign for servers publish where they are found; and who has a root of their own in hand knows it.
    let found_at = top.issuing_certificate_urls.first();
    if !namesake && !top.is_ca && (shown.own_cas || found_at.is_some()) {
        return Fault::MissingIntermediate {
            position: place,
            issuer,
            found_at: found_at.cloned(),
        };
    }
    Fault::UnknownAuthority {
        authority: issuer,
        namesake,
    }
}

fn refused(problem: &Error) -> Fault {
    Fault::Refused {
        problem: problem.to_string(),
    }
}

/// Where a certificate stands, from 1.
fn position(chain: &[Facts], facts: &Facts) -> usize {
    let place = chain
        .iter()
        .position(|other| other.fingerprint == facts.fingerprint);
    place.map_or(1, |index| index + 1)
}

/// Whether it is a root that is shown for nothing: clients go by the one they have.
fn is_top(facts: &Facts, leaf: &Facts) -> bool {
    facts.fingerprint != leaf.fingerprint && facts.is_self_signed()
}

/// Whether the CA has this name. An anchor's name is held without its outer tag.
fn names(anchor: &TrustAnchor<'_>, name: Option<&[u8]>) -> bool {
    name.and_then(content)
        .is_some_and(|name| name == anchor.subject.as_ref())
}

/// Whether this certificate is the CA itself: name and key are the same.
fn is_of(anchor: &TrustAnchor<'_>, facts: &Facts) -> bool {
    names(anchor, facts.subject_der())
        && content(facts.public_key.as_der())
            .is_some_and(|key| key == anchor.subject_public_key_info.as_ref())
}

fn content(der: &[u8]) -> Option<&[u8]> {
    asn1::Reader::new(der).expect(asn1::SEQUENCE)
}

fn rsa_bits(facts: &Facts) -> Option<u16> {
    let spki = Spki::read(facts.public_key.as_der())?;
    // Keys of other kinds are no such sequence.
    asn1::rsa_modulus_bits(spki.key)
}

fn unix_time(moment: Timestamp) -> UnixTime {
    let seconds = u64::try_from(moment.as_second()).unwrap_or_default();
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// What clients, and Debian's OpenSSL, refuse to see less of.
const LEAST_RSA_BITS: u16 = 2048;
/// Broken hashes, as [`Facts::signature_algorithm`] names them.
const WEAK: [&str; 3] = [
    "md5WithRSAEncryption",
    "sha1WithRSAEncryption",
    "ecdsa-with-SHA1",
];
