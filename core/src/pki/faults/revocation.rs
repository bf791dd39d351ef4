//! Whether a certificate was revoked, by what its CA signed.

use jiff::Timestamp;
use webpki::{
    CertRevocationList, Error, ExpirationPolicy, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::judge::{leaf, verify};
use super::{Fault, Shown};
use crate::pki::Facts;

/// What a CA says of whether it has revoked a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The certificate names nobody who could be asked, as those that last for days.
    Unnamed,
    /// Not revoked, says who is found at this URL.
    Good(String),
    /// Revoked.
    Revoked(Fault),
    /// Nobody said anything that can be believed, for these reasons.
    Unknown(String),
}

/// Why what was said about revocation says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// It is another thing than was asked for.
    #[error("{0}")]
    Unreadable(String),
    /// It is not for this certificate, too old, or not signed by its CA; or the CA isn't trusted.
    #[error("it can't be believed: {0}")]
    NotBelieved(String),
}

/// Whether a revocation list (RFC 5280 section 5, in DER) names the leaf. It is believed only if it is of the leaf's CA, signed
/// by it, and not past its own end; and only where the chain is trusted.
///
/// # Errors
/// When it says nothing of the leaf.
pub fn by_crl(shown: &Shown<'_>, crl: &[u8]) -> Result<Option<Fault>, Undecided> {
    let unreadable =
        |problem: Error| Undecided::Unreadable(format!("it is no revocation list: {problem}"));
    let list = OwnedCertRevocationList::from_der(crl).map_err(unreadable)?;
    let list = CertRevocationList::from(list);
    let lists = [&list];
    let options = RevocationOptionsBuilder::new(&lists)
        .map_err(|_| Undecided::NotBelieved("there is none".to_owned()))?
        .with_depth(RevocationCheckDepth::EndEntity)
        .with_status_policy(UnknownStatusPolicy::Deny)
        .with_expiration_policy(ExpirationPolicy::Enforce)
        .build();
    let leaf = leaf(shown.chain)
        .ok_or_else(|| Undecided::NotBelieved("there is no certificate".to_owned()))?;
    match verify(shown, leaf, Some(options)) {
        Ok(()) => Ok(None),
        Err(Error::CertRevoked) => revoked(&list, leaf).map(Some).map_err(unreadable),
        Err(Error::UnknownRevocationStatus) => Err(Undecided::NotBelieved(
            "it is not for this certificate".to_owned(),
        )),
        Err(Error::InvalidCrlSignatureForPublicKey) => Err(Undecided::NotBelieved(
            "its signature is not the CA's".to_owned(),
        )),
        Err(Error::CrlExpired { .. }) => {
            Err(Undecided::NotBelieved("it is out of date".to_owned()))
        }
        Err(problem) => Err(Undecided::NotBelieved(problem.to_string())),
    }
}

/// When and why.
fn revoked(list: &CertRevocationList<'_>, leaf: &Facts) -> Result<Fault, Error> {
    let mut found = list.find_serial(&leaf.serial)?;
    if let (None, [0, magnitude @ ..]) = (&found, leaf.serial.as_slice()) {
        found = list.find_serial(magnitude)?;
    }
    let entry = found.ok_or(Error::UnknownRevocationStatus)?;
    let seconds = i64::try_from(entry.revocation_date.as_secs()).unwrap_or(i64::MAX);
    Ok(Fault::Revoked {
        at: Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX),
        reason: entry.reason_code.and_then(|reason| words(reason as u8)),
    })
}

/// A CRLReason in the words of RFC 5280 section 5.3.1, where it says something.
pub(super) fn words(reason: u8) -> Option<&'static str> {
    Some(match reason {
        1 => "keyCompromise",
        2 => "cACompromise",
        3 => "affiliationChanged",
        4 => "superseded",
        5 => "cessationOfOperation",
        6 => "certificateHold",
        9 => "privilegeWithdrawn",
        10 => "aACompromise",
        _ => return None,
    })
}
