//! Chains of certificates, and their PEM.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::armour;
use super::key::PublicKey;
use super::profile::{Names, Profile};
use super::{CertificateDer, Facts};

/// PEM longer than this, in bytes, is not read.
pub const MAX_PEM_BYTES: usize = 1 << 20;
/// A bundle of more certificates than this is not read.
pub const MAX_CERTIFICATES: usize = 100;
/// A chain is not followed beyond this many certificates, the leaf included.
pub const MAX_CHAIN: usize = 10;
/// How far ahead of ours the clock of a CA may be.
pub const MAX_SKEW: SignedDuration = SignedDuration::from_hours(1);

/// Why a bundle of certificates cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The PEM has no certificate.
    #[error("there is no certificate in it")]
    Empty,
    /// There is more than we read.
    #[error("it is too large: {0}")]
    TooLarge(String),
    /// A block cannot be read.
    #[error("certificate {position} cannot be read: {problem}")]
    Unreadable {
        /// Which one, from 1.
        position: usize,
        /// Why.
        problem: String,
    },
}

/// Why a certificate and a key must not be stored together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairProblem {
    /// There is no certificate.
    #[error("there is no certificate")]
    Empty,
    /// The certificate is one for another key.
    #[error("the certificate is not one for the key")]
    KeyDoesNotFit,
    /// Names that were asked for are not in the certificate.
    #[error("the certificate lacks {}", .0.join(", "))]
    MissingNames(Vec<String>),
    /// A certificate of the chain is not signed by the next.
    #[error("certificate {position} of the chain is not signed by the one that follows it")]
    BrokenChain {
        /// Which one, from 1, the leaf.
        position: usize,
    },
    /// A certificate of the chain is not valid yet, the skew of clocks granted.
    #[error("certificate {position} of the chain is not valid before {not_before}")]
    NotYetValid {
        /// Which one, from 1, the leaf.
        position: usize,
        /// From when it is.
        not_before: Timestamp,
    },
    /// A certificate of the chain has expired.
    #[error("certificate {position} of the chain expired at {not_after}")]
    Expired {
        /// Which one, from 1, the leaf.
        position: usize,
        /// Until when it was valid.
        not_after: Timestamp,
    },
    /// Names nobody asked for are in the certificate.
    #[error("the certificate also says {}", .0.join(", "))]
    ExtraNames(Vec<String>),
}

/// Reads the certificates of a PEM text in their order; text between blocks and blocks of other kinds are skipped.
///
/// # Errors
/// `TooLarge` beyond [`MAX_PEM_BYTES`] or [`MAX_CERTIFICATES`], `Unreadable` at the first block that can't be read,
/// `Empty` without any certificate.
pub fn read_pem(pem: &[u8]) -> Result<Vec<Facts>, BundleError> {
    if pem.len() > MAX_PEM_BYTES {
        return Err(BundleError::TooLarge(format!(
            "{} bytes, {MAX_PEM_BYTES} are allowed",
            pem.len()
        )));
    }
    let mut ders = Vec::new();
    for block in armour::blocks(pem) {
        let position = ders.len() + 1;
        let unreadable = |problem: &str| BundleError::Unreadable {
            position,
            problem: problem.to_owned(),
        };
        let block = block.map_err(unreadable)?;
        if !LABELS.contains(&block.label.as_str()) {
            continue;
        }
        if position > MAX_CERTIFICATES {
            return Err(BundleError::TooLarge(format!(
                "more than {MAX_CERTIFICATES} certificates"
            )));
        }
        ders.push(CertificateDer::from(
            block.contents.map_err(unreadable)?.to_vec(),
        ));
    }
    if ders.is_empty() {
        return Err(BundleError::Empty);
    }
    let read = |(index, der)| {
        Facts::read(der).map_err(|problem| BundleError::Unreadable {
            position: index + 1,
            problem: problem.0,
        })
    };
    ders.iter().enumerate().map(read).collect()
}

/// Certificates as PEM, each block ending in a line feed.
pub fn to_pem<'a>(certificates: impl IntoIterator<Item = &'a CertificateDer>) -> String {
    certificates
        .into_iter()
        .map(|der| armour::armour("CERTIFICATE", der).to_string())
        .collect()
}

/// The chain from `leaf` upwards, each signed by the next, as far as `pool` reaches: leaf first, a self-signed top
/// included.
///
/// Where several certificates could be the next one (a CA renewed under the same key, or signed by several others),
/// those that say they are CAs go before those that don't, then the one valid longest, then the first of the pool. No
/// certificate stands twice, and no chain is longer than [`MAX_CHAIN`].
pub fn build(leaf: &Facts, pool: &[Facts]) -> Vec<Facts> {
    let mut chain = vec![leaf.clone()];
    while let Some(below) = chain.last()
        && chain.len() < MAX_CHAIN
        && !below.is_self_signed()
    {
        let mut candidates: Vec<&Facts> = pool
            .iter()
            .filter(|candidate| {
                chain
                    .iter()
                    .all(|held| held.fingerprint != candidate.fingerprint)
            })
            .collect();
        candidates
            .sort_by_key(|candidate| std::cmp::Reverse((candidate.is_ca, candidate.not_after)));
        let Some(above) = candidates
            .into_iter()
            .find(|candidate| below.is_signed_by(candidate))
        else {
            break;
        };
        chain.push(above.clone());
    }
    chain
}

/// Whether this chain may be stored with the key: it is one for the key, says the profile's names and no others, each
/// certificate is signed by the next, and all are valid now, with [`MAX_SKEW`] granted to the beginning.
///
/// # Errors
/// The first problem in the order of [`PairProblem`]. `ExtraNames` comes last, so that a caller whose CA may add names
/// can let exactly that one pass.
pub fn check_pair(
    profile: &Profile,
    public_key: &PublicKey,
    chain: &[Facts],
    now: Timestamp,
) -> Result<(), PairProblem> {
    let leaf = chain.first().ok_or(PairProblem::Empty)?;
    if leaf.public_key != *public_key {
        return Err(PairProblem::KeyDoesNotFit);
    }
    let wanted = name_texts(&profile.names);
    let mut found = name_texts(&leaf.names);
    found.extend(leaf.unknown_names.iter().cloned());
    let missing: Vec<_> = wanted.difference(&found).cloned().collect();
    if !missing.is_empty() {
        return Err(PairProblem::MissingNames(missing));
    }
    for (index, pair) in chain.windows(2).enumerate() {
        if !pair[0].is_signed_by(&pair[1]) {
            return Err(PairProblem::BrokenChain {
                position: index + 1,
            });
        }
    }
    for (index, certificate) in chain.iter().enumerate() {
        let Facts {
            not_before,
            not_after,
            ..
        } = *certificate;
        let position = index + 1;
        if not_before.duration_since(now) > MAX_SKEW {
            return Err(PairProblem::NotYetValid {
                position,
                not_before,
            });
        }
        if now.as_second() > not_after.as_second() {
            return Err(PairProblem::Expired {
                position,
                not_after,
            });
        }
    }
    let extra: Vec<_> = found.difference(&wanted).cloned().collect();
    if extra.is_empty() {
        Ok(())
    } else {
        Err(PairProblem::ExtraNames(extra))
    }
}

/// The labels of certificates (RFC 7468 section 5.1): the one to write, and an old one.
const LABELS: [&str; 2] = ["CERTIFICATE", "X509 CERTIFICATE"];

/// Each name with its kind, as OpenSSL prints it.
fn name_texts(names: &Names) -> BTreeSet<String> {
    let Names {
        dns,
        ip,
        uri,
        email,
        other,
    } = names;
    dns.iter()
        .map(|name| format!("DNS:{name}"))
        .chain(ip.iter().map(|address| format!("IP:{address}")))
        .chain(uri.iter().map(|uri| format!("URI:{uri}")))
        .chain(email.iter().map(|mailbox| format!("email:{mailbox}")))
        .chain(
            other
                .iter()
                .map(|(oid, value)| format!("otherName:{oid}:{value}")),
        )
        .collect()
}

#[cfg(test)]
mod tests;
