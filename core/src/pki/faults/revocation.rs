//! Whether a certificate was revoked, by what its CA signed.

use jiff::Timestamp;
use webpki::{
    CertRevocationList, Error, ExpirationPolicy, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, RevocationReason, UnknownStatusPolicy,
};

use super::judge::{leaf, verify};
use super::{Fault, Shown};
use crate::pki::Facts;

/// Why a revocation list says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// It is none.
    #[error("it is no revocation list: {0}")]
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
    let unreadable = |problem: Error| Undecided::Unreadable(problem.to_string());
    let believed = |problem: String| Undecided::NotBelieved(problem);
    let list = OwnedCertRevocationList::from_der(crl).map_err(unreadable)?;
    let list = CertRevocationList::from(list);
    let lists = [&list];
    let options = RevocationOptionsBuilder::new(&lists)
        .map_err(|_| believed("there is none".to_owned()))?
        .with_depth(RevocationCheckDepth::EndEntity)
        .with_status_policy(UnknownStatusPolicy::Deny)
        .with_expiration_policy(ExpirationPolicy::Enforce)
        .build();
    let leaf = leaf(shown.chain).ok_or_else(|| believed("there is no certificate".to_owned()))?;
    match verify(shown, leaf, Some(options)) {
        Ok(()) => Ok(None),
        Err(Error::CertRevoked) => revoked(&list, leaf).map(Some).map_err(unreadable),
        Err(Error::UnknownRevocationStatus) => {
            Err(believed("it is not for this certificate".to_owned()))
        }
        Err(Error::InvalidCrlSignatureForPublicKey) => {
            Err(believed("its signature is not the CA's".to_owned()))
        }
        Err(Error::CrlExpired { .. }) => Err(believed("it is out of date".to_owned())),
        Err(problem) => Err(believed(problem.to_string())),
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
        reason: entry.reason_code.and_then(words),
    })
}

fn words(reason: RevocationReason) -> Option<&'static str> {
    match reason {
        RevocationReason::Unspecified | RevocationReason::RemoveFromCrl => None,
        RevocationReason::KeyCompromise => Some("keyCompromise"),
        RevocationReason::CaCompromise => Some("cACompromise"),
        RevocationReason::AffiliationChanged => Some("affiliationChanged"),
        RevocationReason::Superseded => Some("superseded"),
        RevocationReason::CessationOfOperation => Some("cessationOfOperation"),
        RevocationReason::CertificateHold => Some("certificateHold"),
        RevocationReason::PrivilegeWithdrawn => Some("privilegeWithdrawn"),
        RevocationReason::AaCompromise => Some("aACompromise"),
    }
}
