//! A CA as it stands in a Secret.

use std::fmt;

use jiff::Timestamp;

use super::Facts;
use super::chain::{self, BundleError};
use super::key::{KeyError, PrivateKey};
use super::profile::KeyUsage;

/// A CA that can sign: its certificate, its key and what is known of the chain above it.
pub struct Authority {
    /// The CA's own certificate, then each certificate above it, the topmost known last. Never empty.
    pub chain: Vec<Facts>,
    /// The CA's key.
    pub(super) key: PrivateKey,
}

/// Why a CA cannot sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaProblem {
    /// `tls.crt` can't be read.
    #[error("tls.crt: {0}")]
    Certificate(BundleError),
    /// `ca.crt` is there and can't be read.
    #[error("ca.crt: {0}")]
    Above(BundleError),
    /// `tls.key` can't be read.
    #[error("tls.key: {0}")]
    Key(KeyError),
    /// The key belongs to another certificate.
    #[error("tls.key is not the key of the first certificate in tls.crt")]
    KeyDoesNotFit,
    /// The certificate is not one of a CA.
    #[error("the first certificate in tls.crt is not a CA: {0}")]
    NotACa(&'static str),
    /// The CA's time is over.
    #[error("the CA expired at {0}")]
    Expired(Timestamp),
    /// The CA's time has not come.
    #[error("the CA is not valid before {0}")]
    NotYetValid(Timestamp),
}

impl Authority {
    /// Reads a CA from a Secret's `tls.crt`, `tls.key` and, where present, `ca.crt` (more of the chain above).
    ///
    /// The first certificate of `tls.crt` is the CA; of all others, those are kept that build the chain above it. A
    /// `ca.crt` without a certificate in it counts as absent. Time is for [`Self::check`].
    ///
    /// # Errors
    /// Each of [`CaProblem`] but those of time.
    pub fn read(tls_crt: &[u8], tls_key: &[u8], ca_crt: Option<&[u8]>) -> Result<Self, CaProblem> {
        let mut pool = chain::read_pem(tls_crt).map_err(CaProblem::Certificate)?;
        let ca = pool.remove(0);
        if let Some(ca_crt) = ca_crt {
            match chain::read_pem(ca_crt) {
                Ok(above) => pool.extend(above),
                Err(BundleError::Empty) => {}
                Err(problem) => return Err(CaProblem::Above(problem)),
            }
        }
        let key = PrivateKey::from_pem(tls_key).map_err(CaProblem::Key)?;
        if *key.public() != ca.public_key {
            return Err(CaProblem::KeyDoesNotFit);
        }
        if !ca.is_ca {
            return Err(CaProblem::NotACa("its basic constraints don't say cA"));
        }
        if ca
            .key_usages
            .as_ref()
            .is_some_and(|usages| !usages.contains(&KeyUsage::KeyCertSign))
        {
            return Err(CaProblem::NotACa("its key usage lacks \"cert sign\""));
        }
        Ok(Self {
            chain: chain::build(&ca, &pool),
            key,
        })
    }

    /// The CA's own certificate.
    pub fn certificate(&self) -> &Facts {
        &self.chain[0]
    }

    /// Whether it may sign now.
    ///
    /// # Errors
    /// `Expired` or `NotYetValid`.
    pub fn check(&self, now: Timestamp) -> Result<(), CaProblem> {
        let ca = self.certificate();
        if now < ca.not_before {
            return Err(CaProblem::NotYetValid(ca.not_before));
        }
        // The second of notAfter belongs to the validity (RFC 5280 section 4.1.2.5), its fractions with it.
        if now.as_second() > ca.not_after.as_second() {
            return Err(CaProblem::Expired(ca.not_after));
        }
        Ok(())
    }

    /// What goes into `tls.crt` after the leaf: the CA and what is above it, without a self-signed top.
    pub fn intermediates(&self) -> &[Facts] {
        match self.chain.split_last() {
            Some((top, below)) if top.is_self_signed() => below,
            _ => &self.chain,
        }
    }

    /// What goes into `ca.crt`: the topmost certificate known.
    pub fn top(&self) -> &Facts {
        self.chain.last().unwrap_or_else(|| self.certificate())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authority")
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
